# What the deployer needs to apply this configuration once somebody with more rights has done so for the first time.
# Only with `grant_deployer`. It can then change what is here, make more of its kind, and read neither a secret nor a
# document by these roles alone. Who may set policies could grant itself that: what stands before it is the protected
# environment of GitHub Actions, and the condition of the Workload Identity provider.

locals {
  # Each role, and the resources for which it is.
  deployer_roles = {
    "roles/artifactregistry.admin"   = ["google_artifact_registry_repository", "google_artifact_registry_repository_iam_member"]
    "roles/cloudfunctions.developer" = ["google_cloudfunctions2_function"]
    "roles/cloudscheduler.admin"     = ["google_cloud_scheduler_job"]
    "roles/datastore.indexAdmin"     = ["google_firestore_field", "google_firestore_index"]
    "roles/iam.roleViewer"           = ["google_project_iam_custom_role"]
    "roles/iam.serviceAccountAdmin"  = ["google_service_account", "google_service_account_iam_member"]
    "roles/logging.configWriter"     = ["google_logging_metric"]
    "roles/monitoring.editor"        = ["google_monitoring_alert_policy", "google_monitoring_dashboard", "google_monitoring_notification_channel"]
    "roles/pubsub.admin" = [
      "google_pubsub_subscription", "google_pubsub_subscription_iam_member", "google_pubsub_topic", "google_pubsub_topic_iam_member",
    ]
    "roles/run.admin"                      = ["google_cloud_run_v2_service_iam_member"]
    "roles/serviceusage.serviceUsageAdmin" = ["google_project_service"]
  }
  # The roles that functions and the build have on the project: the deployer may give and take these, and no others.
  project_roles = ["roles/datastore.user", "roles/datastore.viewer", "roles/logging.logWriter", "roles/storage.objectViewer"]
  deployer      = "serviceAccount:${var.deployer}"
}

resource "google_project_iam_member" "deployer" {
  for_each = toset(var.grant_deployer ? keys(local.deployer_roles) : [])

  project = var.project_id
  role    = each.value
  member  = local.deployer
}

# google_project_iam_member and google_project_iam_audit_config, which grants nothing. Source: cloud.google.com/iam/docs/setting-limits-on-granting-roles.
resource "google_project_iam_member" "deployer_grants" {
  # checkov:skip=CKV_GCP_49:it can grant four roles, none of which lets it act as anybody
  count = var.grant_deployer ? 1 : 0

  project = var.project_id
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = local.deployer

  condition {
    title      = "signalbox-roles"
    expression = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly([${join(", ", [for role in local.project_roles : "'${role}'"])}])"
  }
}

# google_firestore_backup_schedule, google_firestore_database, google_secret_manager_secret and google_secret_manager_secret_iam_member: the roles that
# Google has for them can read documents and values as well.
resource "google_project_iam_custom_role" "deployer" {
  count = var.grant_deployer ? 1 : 0

  role_id     = "signalboxDeployer"
  title       = "Signalbox: database and secrets, without what is in them"
  description = "Make and change the Firestore database and the containers of secrets."
  permissions = [
    "datastore.backupSchedules.create",
    "datastore.backupSchedules.get",
    "datastore.backupSchedules.list",
    "datastore.backupSchedules.update",
    "datastore.databases.create",
    "datastore.databases.getMetadata",
    "datastore.databases.list",
    "datastore.databases.update",
    "secretmanager.secrets.create",
    "secretmanager.secrets.get",
    "secretmanager.secrets.getIamPolicy",
    "secretmanager.secrets.list",
    "secretmanager.secrets.setIamPolicy",
    "secretmanager.secrets.update",
  ]
}

resource "google_project_iam_member" "deployer_containers" {
  count = var.grant_deployer ? 1 : 0

  project = var.project_id
  role    = google_project_iam_custom_role.deployer[0].id
  member  = local.deployer
}

# google_storage_bucket, google_storage_bucket_iam_member and google_storage_bucket_object: of this bucket alone.
resource "google_storage_bucket_iam_member" "deployer" {
  count = var.grant_deployer ? 1 : 0

  bucket = google_storage_bucket.source.name
  role   = "roles/storage.admin"
  member = local.deployer
}

# To deploy a function is to act as who builds it; as who runs and calls it is in modules/function.
resource "google_service_account_iam_member" "deployer_build" {
  count = var.grant_deployer ? 1 : 0

  service_account_id = google_service_account.build.name
  role               = "roles/iam.serviceAccountUser"
  member             = local.deployer
}

# To look the pool and its provider up, which may be another project's.
resource "google_project_iam_member" "deployer_pools" {
  count = var.grant_deployer ? 1 : 0

  project = local.identity_project
  role    = "roles/iam.workloadIdentityPoolViewer"
  member  = local.deployer
}
