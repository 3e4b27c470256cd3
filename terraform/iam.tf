# Whoever builds the functions' images. What a function itself may do is in modules/function.
# Source of the roles: cloud.google.com/functions/docs/securing/build-custom-sa.

resource "google_service_account" "build" {
  account_id   = "signalbox-build"
  display_name = "Signalbox: builds the functions"

  depends_on = [google_project_service.this]
}

locals {
  build = "serviceAccount:${google_service_account.build.account_id}@${var.project_id}.iam.gserviceaccount.com"
  # To where Cloud Functions copies a source before it is built. Google makes the bucket with the first function.
  google_sources = "projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-${var.region}"
}

# Logs are written to the project; there is nothing smaller to grant it on.
resource "google_project_iam_member" "build_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = local.build
}

# On the project, as the bucket is not there yet, but for this bucket alone.
resource "google_project_iam_member" "build_sources" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = local.build

  condition {
    title      = "signalbox-sources"
    expression = "resource.name.startsWith(\"${local.google_sources}/\")"
  }
}

resource "google_storage_bucket_iam_member" "build" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = local.build
}

resource "google_artifact_registry_repository_iam_member" "build" {
  repository = google_artifact_registry_repository.images.repository_id
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = local.build
}

# A grant takes about a minute to be known everywhere, and a build without it fails.
resource "terraform_data" "build_may_build" {
  triggers_replace = [google_service_account.build.unique_id]

  provisioner "local-exec" {
    command = "sleep 60"
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.build,
    google_project_iam_member.build_logs,
    google_project_iam_member.build_sources,
    google_storage_bucket_iam_member.build,
  ]
}
