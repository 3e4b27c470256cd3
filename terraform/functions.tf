module "function" {
  for_each = local.functions
  source   = "./modules/function"

  name       = each.key
  function   = each.value
  delivery   = local.delivery
  project_id = var.project_id
  region     = var.region
  runtime    = var.runtime

  source_archive = {
    bucket = google_storage_bucket.source.name
    object = google_storage_bucket_object.source[each.key].name
  }
  build = {
    service_account = google_service_account.build.id
    repository      = google_artifact_registry_repository.images.id
  }
  environment = local.environment
  address     = local.addresses[each.key]

  topics            = { for name, topic in google_pubsub_topic.this : name => "projects/${var.project_id}/topics/${topic.name}" }
  dead_letter_topic = local.dead_letter_topic
  pubsub_agent      = local.pubsub_agent
  database          = google_firestore_database.this.name
  # A secret of which one version is pinned is never listed.
  secrets = {
    for name in each.value.secrets : name => {
      id     = "projects/${var.project_id}/secrets/${name}"
      listed = !contains(keys(var.secret_versions), name)
    }
  }
  # People's: whoever is named may open the console. All others are called by machines only, or by everybody.
  members  = each.key == "console" ? var.console_members : []
  deployer = var.grant_deployer ? data.google_service_account.deployer.email : null

  depends_on = [
    google_project_service.this,
    google_secret_manager_secret.this,
    google_service_account_iam_member.deployer_build,
    terraform_data.build_may_build,
  ]
}

locals {
  # Put together, not read from the function: it would wait for itself. Every Cloud Run service has this address beside
  # the one with a hash. Source: cloud.google.com/run/docs/triggering/https-request#deterministic.
  addresses = {
    for name, function in local.functions : name => "https://signalbox-${name}-${data.google_project.this.number}.${var.region}.run.app"
  }
  environment = merge(
    {
      GOOGLE_CLOUD_PROJECT = var.project_id
      GITHUB_APP_ID        = var.github_app_id
      # By then the queue has brought back what a function handed back: its longest backoff, and a minute for the way.
      SIGNALBOX_REDELIVERY  = tostring(local.delivery.max_backoff + 60)
      SIGNALBOX_DATABASE    = var.database
      SIGNALBOX_CONSOLE_URL = local.addresses["console"]
    },
    length(var.secret_versions) == 0 ? {} : {
      SIGNALBOX_SECRET_VERSIONS = join(",", [for name, version in var.secret_versions : "${name}=${version}"])
    },
    var.settings,
  )
}
