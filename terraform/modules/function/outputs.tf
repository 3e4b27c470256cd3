output "caller" {
  description = "As whom its subscription or schedule calls it; null for a function that neither does."
  value       = local.caller
}

output "grants" {
  description = "What it may do, and who may call it."
  value = {
    publishes = sort(keys(google_pubsub_topic_iam_member.publisher))
    secrets   = sort(keys(google_secret_manager_secret_iam_member.accessor))
    project   = sort([for grant in google_project_iam_member.store : grant.role])
    callers   = sort([for grant in google_cloud_run_v2_service_iam_member.invoker : grant.member])
  }
}

output "push_endpoint" {
  description = "Where its subscription or schedule calls it."
  value       = local.push_endpoint

  # Whoever is to call it may do so once this is known.
  depends_on = [google_cloud_run_v2_service_iam_member.invoker]
}

output "service_account" {
  description = "As whom it runs."
  value       = local.service_account
}

output "service" {
  description = "The Cloud Run service below it."
  value       = google_cloudfunctions2_function.this.name
}

output "uri" {
  description = "Its address."
  value       = local.uri
}
