# One function, as an HTTP function: what an event trigger makes is not Terraform's, so it could have no dead letters.

resource "google_service_account" "runtime" {
  account_id   = "signalbox-${var.name}"
  display_name = "Signalbox: ${var.name}"
}

locals {
  # Put together instead of read, so that a plan shows who gets what before the account is there.
  service_account = "${google_service_account.runtime.account_id}@${var.project_id}.iam.gserviceaccount.com"
  runtime         = "serviceAccount:${local.service_account}"
  uri             = google_cloudfunctions2_function.this.service_config[0].uri
  # A function does not look at the path when it is called by a machine: it is for whoever reads the request logs.
  push_endpoint = "${local.uri}/functions/${var.name}"
  # Whom it obeys, as its subscription or schedule is told beside: see shared/runtime/caller.py.
  checks = !local.called ? {} : {
    SIGNALBOX_CALLER   = local.caller
    SIGNALBOX_AUDIENCE = var.address
    SIGNALBOX_PRIVATE  = tostring(!var.function.public)
  }
}

resource "google_cloudfunctions2_function" "this" {
  # checkov:skip=CKV_GCP_124:open from outside only where it is public, or people are named who may call it
  # The Cloud Run service below a function has the same name.
  name     = "signalbox-${var.name}"
  location = var.region

  build_config {
    runtime           = var.runtime
    entry_point       = var.name
    service_account   = var.build.service_account
    docker_repository = var.build.repository

    source {
      storage_source {
        bucket = var.source_archive.bucket
        object = var.source_archive.object
      }
    }
  }

  service_config {
    service_account_email            = local.service_account
    available_memory                 = var.function.memory
    available_cpu                    = var.function.cpu
    max_instance_request_concurrency = var.function.concurrency
    min_instance_count               = var.function.min_instances
    max_instance_count               = var.function.max_instances
    timeout_seconds                  = var.function.timeout
    # Pub/Sub and the scheduler of the same project count as internal.
    ingress_settings      = var.function.public || length(var.members) > 0 ? "ALLOW_ALL" : "ALLOW_INTERNAL_ONLY"
    environment_variables = merge(var.environment, local.checks)
  }

  depends_on = [terraform_data.accounts_are_known]
}

# An account that was made just now, and what the deployer may do as it, take about a minute to be known everywhere;
# until then a function of it is refused. Source: cloud.google.com/iam/docs/access-change-propagation.
resource "terraform_data" "accounts_are_known" {
  triggers_replace = concat([google_service_account.runtime.unique_id, var.deployer], google_service_account.caller[*].unique_id)

  provisioner "local-exec" {
    command = "sleep ${var.settle}"
  }

  depends_on = [google_service_account_iam_member.deployer]
}
