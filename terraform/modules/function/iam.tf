# What the function may do, and who may call it.

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = var.function.publishes

  topic  = var.topics[each.value]
  role   = "roles/pubsub.publisher"
  member = local.runtime
}

resource "google_secret_manager_secret_iam_member" "accessor" {
  for_each = var.secrets

  secret_id = each.value.id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.runtime
}

# All enabled versions count during a rotation, so they are listed; a pinned one is read by its number.
resource "google_secret_manager_secret_iam_member" "viewer" {
  for_each = { for name, secret in var.secrets : name => secret if secret.listed }

  secret_id = each.value.id
  role      = "roles/secretmanager.viewer"
  member    = local.runtime
}

# Firestore knows no grants smaller than the project's, but a condition narrows it to one database. Source:
# cloud.google.com/firestore/docs/manage-databases#configure_per-database_access_permissions.
resource "google_project_iam_member" "store" {
  for_each = { for use, role in { read = "roles/datastore.viewer", write = "roles/datastore.user" } : use => role if use == var.function.store }

  project = var.project_id
  role    = each.value
  member  = local.runtime

  condition {
    title      = "signalbox-database"
    expression = "resource.name == \"projects/${var.project_id}/databases/${var.database}\""
  }
}

locals {
  called = var.function.subscribes != null || var.function.schedule != null
  # Who calls it, by a name that a plan knows.
  invokers = merge(
    local.called ? { caller = local.caller_member } : {},
    var.function.public ? { public = "allUsers" } : {},
    { for member in var.members : member => member },
  )
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  # GitHub and Railway have no identity at Google: their webhooks are signed, or bring a secret.
  for_each = local.invokers

  name     = google_cloudfunctions2_function.this.name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value

  lifecycle {
    # Its service goes with a function that is replaced, and the grants with the service.
    replace_triggered_by = [google_cloudfunctions2_function.this.id]
  }
}
