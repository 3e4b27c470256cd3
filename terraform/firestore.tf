resource "google_firestore_database" "this" {
  name                    = var.database
  location_id             = coalesce(var.database_location, var.region)
  type                    = "FIRESTORE_NATIVE"
  concurrency_mode        = "OPTIMISTIC"
  delete_protection_state = var.protect_data ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy         = "DELETE"
  # Any minute of the last week can be restored; docs/restore.md says how.
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"

  depends_on = [google_project_service.this]
}

# Beyond that week, and where the database itself is gone.
resource "google_firestore_backup_schedule" "daily" {
  count = var.backup_days == null ? 0 : 1

  database  = google_firestore_database.this.name
  retention = "${var.backup_days * 86400}s"

  daily_recurrence {}
}

# indexes.json is what shared/cloud/indexes.py says; a test compares them.
resource "google_firestore_index" "this" {
  for_each = {
    for index in jsondecode(file("${path.module}/indexes.json")) :
    join(" ", concat([index.collection], [for field in index.fields : field.path])) => index
  }

  database    = google_firestore_database.this.name
  collection  = each.value.collection
  query_scope = "COLLECTION"

  dynamic "fields" {
    for_each = each.value.fields
    content {
      field_path = fields.value.path
      order      = fields.value.order
    }
  }
}

# Runs go 90 days after they began. Nothing asks for that field, so it needs no index.
resource "google_firestore_field" "expiry" {
  database   = google_firestore_database.this.name
  collection = "runs"
  field      = "expire_at"

  ttl_config {}
  index_config {}
}
