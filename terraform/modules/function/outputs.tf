output "caller" {
  description = "As whom its subscription or schedule calls it; null for a function that neither does."
  value       = local.caller
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
