# The functions' images. Left to itself Cloud Functions would keep them in gcf-artifacts, a repository that it makes
# and that is not Terraform's to give rules to; in one of our own old images can go.

resource "google_artifact_registry_repository" "images" {
  # checkov:skip=CKV_GCP_84:images of public sources and public packages; Google's own encryption is enough
  repository_id = "signalbox"
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the functions"

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "2592000s"
    }
  }

  # What serves may be old.
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"

    most_recent_versions {
      keep_count = 3
    }
  }

  depends_on = [google_project_service.this]
}
