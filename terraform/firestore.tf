resource "google_firestore_database" "this" {
  name                    = var.database
  location_id             = coalesce(var.database_location, var.region)
  type                    = "FIRESTORE_NATIVE"
  concurrency_mode        = "OPTIMISTIC"
  delete_protection_state = var.protect_data ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy         = "DELETE"

  depends_on = [google_project_service.this]
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
