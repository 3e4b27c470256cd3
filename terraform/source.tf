# The packages of `make package`. Their names hold the hash of their content, so that an unchanged function is not
# deployed again, and a changed one is.

resource "google_storage_bucket" "source" {
  # checkov:skip=CKV_GCP_62:packages without secrets, which one build account reads; access logs would need a second bucket
  # checkov:skip=CKV_GCP_78:an object's name holds its hash, so none is ever overwritten
  name                        = "${var.project_id}-signalbox-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # what is in it can be made again

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket_object" "source" {
  for_each = local.functions

  bucket = google_storage_bucket.source.name
  name   = "${each.key}/${try(filesha256("${path.module}/${var.packages}/${each.key}.zip"), "missing")}.zip"
  source = "${path.module}/${var.packages}/${each.key}.zip"

  lifecycle {
    # The former object stays until the function has been moved to the new one.
    create_before_destroy = true

    precondition {
      condition     = fileexists("${path.module}/${var.packages}/${each.key}.zip")
      error_message = "There is no package ${var.packages}/${each.key}.zip: run `make package` first."
    }
    precondition {
      condition     = can(jsondecode(file(local.railway_file)).railway)
      error_message = "${var.packages}/secrets.json does not name Railway's tokens: run `make package` first."
    }
  }
}
