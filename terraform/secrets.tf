# Who read which value, and who changed one: without it only changes are recorded.
resource "google_project_iam_audit_config" "secrets" {
  count = var.audit_secrets ? 1 : 0

  project = var.project_id
  service = "secretmanager.googleapis.com"

  audit_log_config {
    log_type = "ADMIN_READ"
  }
  audit_log_config {
    log_type = "DATA_READ"
  }
  audit_log_config {
    log_type = "DATA_WRITE"
  }
}

# Containers only: a value never passes through Terraform, nor its state. Give them their values with
# `gcloud secrets versions add NAME --data-file=-`. Who may read which is in modules/function.

resource "google_secret_manager_secret" "this" {
  for_each = setsubtract(local.containers, var.existing_secrets)

  secret_id           = each.value
  deletion_protection = var.protect_data

  replication {
    auto {}
  }

  depends_on = [google_project_service.this]

  lifecycle {
    precondition {
      condition     = can(regex("^[A-Za-z0-9_-]{1,255}$", each.value))
      error_message = "A secret has 1 to 255 letters, digits, hyphens and underscores: ${each.value}."
    }
  }
}
