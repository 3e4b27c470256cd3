# The whole, as the topology wires it.

mock_provider "google" {}

variables {
  project_id        = "acme-project"
  github_app_id     = "Iv23liTEST"
  github_repository = "acme/shop"
  deployer          = "deployer@acme-project.iam.gserviceaccount.com"
  workload_identity = { pool = "github-pool", provider = "github-provider" }
  console_members   = [] # whatever else a file of variables names
  existing_secrets  = []
}

run "topology" {
  command = plan

  assert {
    condition     = toset(keys(module.function)) == toset(keys(local.topology.functions))
    error_message = "One module for each function."
  }
  assert {
    condition     = toset(keys(google_pubsub_topic.this)) == toset(["events", "merge", "deploy", "monitor", "verify", "rollback", "notify"])
    error_message = "The topics are those of the pipeline."
  }
  assert {
    condition     = alltrue([for topic in google_pubsub_topic.this : topic.message_retention_duration == "604800s"])
    error_message = "Each topic can be sought back over a week."
  }
  assert {
    condition     = google_pubsub_subscription.dead_letters.message_retention_duration == "2678400s" && length(google_pubsub_subscription.dead_letters.push_config) == 0
    error_message = "Dead letters wait for a month to be pulled."
  }
  assert {
    condition     = google_pubsub_topic_iam_member.dead_letters.role == "roles/pubsub.publisher" && google_pubsub_topic_iam_member.dead_letters.member == local.pubsub_agent
    error_message = "Pub/Sub may publish dead letters."
  }
  assert {
    condition     = alltrue([for name in local.subscribers : local.delivery.ack_deadline >= local.functions[name].timeout])
    error_message = "Each ack deadline is at least the function's timeout."
  }
  assert {
    condition     = toset(keys(google_cloud_scheduler_job.this)) == toset(["sweep"]) && google_cloud_scheduler_job.this["sweep"].schedule == "* * * * *"
    error_message = "The sweep runs each minute."
  }
  assert {
    condition     = length(google_firestore_index.this) == 6 && google_firestore_field.expiry.field == "expire_at"
    error_message = "Six indexes, and an end for old runs."
  }
}

run "public_surface" {
  command = plan

  assert {
    condition     = join(",", [for name, function in module.function : name if contains(function.grants.callers, "allUsers")]) == "webhooks"
    error_message = "Exactly one function is public."
  }
  assert {
    condition     = alltrue([for name, function in module.function : length(function.grants.callers) == (name == "console" ? 0 : 1)])
    error_message = "Every other one has one caller; the console has none until somebody is named."
  }
}

run "grants" {
  command = plan

  assert {
    condition = alltrue([
      for name, function in module.function : jsonencode(function.grants.publishes) == jsonencode(sort(local.functions[name].publishes))
    ])
    error_message = "Each function publishes to its own topics."
  }
  assert {
    condition = alltrue([
      for name, function in module.function : jsonencode(function.grants.secrets) == jsonencode(sort(local.functions[name].secrets))
    ])
    error_message = "Each function reads its own secrets."
  }
  assert {
    condition = alltrue([
      for name, function in module.function :
      join(",", function.grants.project) == lookup({ read = "roles/datastore.viewer", write = "roles/datastore.user" }, local.functions[name].store, "")
    ])
    error_message = "On the project a function has a role for Firestore, or none."
  }
  assert {
    condition     = join(",", module.function["webhooks"].grants.publishes) == "events" && length(module.function["webhooks"].grants.project) == 0
    error_message = "What everybody can call publishes events, and cannot touch a document."
  }
  assert {
    condition     = length(google_project_iam_member.deployer) == 0 && length(google_project_iam_custom_role.deployer) == 0
    error_message = "The deployer is granted nothing unless asked for."
  }
}

run "beside_what_is_there" {
  command = plan

  override_data {
    target = data.google_iam_workload_identity_pool_provider.this
    values = { name = "projects/1/locations/global/workloadIdentityPools/github-pool/providers/github-provider", disabled = false, attribute_condition = "assertion.repository == 'acme/shop'" }
  }

  assert {
    condition     = output.github_actions.workload_identity_provider == "projects/1/locations/global/workloadIdentityPools/github-pool/providers/github-provider"
    error_message = "The provider is the one that exists."
  }
}

run "a_provider_without_a_condition" {
  command = plan

  override_data {
    target = data.google_iam_workload_identity_pool_provider.this
    values = { disabled = false, attribute_condition = "" }
  }

  expect_failures = [data.google_iam_workload_identity_pool_provider.this]
}

run "a_provider_without_a_condition_that_somebody_wants" {
  command = plan

  variables {
    workload_identity = { pool = "github-pool", provider = "github-provider", any_repository = true }
  }

  override_data {
    target = data.google_iam_workload_identity_pool_provider.this
    values = { disabled = false, attribute_condition = "" }
  }

  assert {
    condition     = var.workload_identity.any_repository
    error_message = "It was said."
  }
}

run "a_disabled_provider" {
  command = plan

  override_data {
    target = data.google_iam_workload_identity_pool_provider.this
    values = { disabled = true, attribute_condition = "assertion.repository == 'acme/shop'" }
  }

  expect_failures = [check.workload_identity]
}

run "documents_can_be_restored" {
  command = plan

  assert {
    condition     = google_firestore_database.this.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED"
    error_message = "Any minute of the last week can be restored."
  }
  assert {
    condition     = google_firestore_backup_schedule.daily[0].retention == "1209600s" && length(google_firestore_backup_schedule.daily[0].daily_recurrence) == 1
    error_message = "Each day's backup is kept for two weeks."
  }
  assert {
    condition     = toset([for one in google_project_iam_audit_config.secrets[0].audit_log_config : one.log_type]) == toset(["ADMIN_READ", "DATA_READ", "DATA_WRITE"])
    error_message = "Who reads secrets is recorded."
  }
}

run "without_backups_and_audit" {
  command = plan

  variables {
    backup_days   = null
    audit_secrets = false
  }

  assert {
    condition     = length(google_firestore_backup_schedule.daily) + length(google_project_iam_audit_config.secrets) == 0
    error_message = "Both can be left to somebody else."
  }
}

run "a_disabled_deployer" {
  command = plan

  override_data {
    target = data.google_service_account.deployer
    values = { disabled = true }
  }

  expect_failures = [check.deployer]
}

# An entry of the topology is all that a stage needs here, beside its package.
run "another_stage" {
  command = plan

  variables {
    topology = "tests/topologies/another-stage.yaml"
    packages = "tests/packages"
  }

  assert {
    condition = jsonencode(module.function["approve"].grants) == jsonencode({
      publishes = ["promotions"]
      secrets   = ["PAGER-API"]
      project   = ["roles/datastore.user"]
      callers   = ["serviceAccount:signalbox-approve-caller@acme-project.iam.gserviceaccount.com"]
    })
    error_message = "It has its own grants and its own caller."
  }
  assert {
    condition     = toset(keys(google_pubsub_topic.this)) == toset(["events", "approvals", "promotions"]) && toset(keys(google_secret_manager_secret.this)) == toset(["PAGER-API"])
    error_message = "Topics and secrets are those that it names."
  }
  assert {
    condition     = google_cloud_scheduler_job.this["sweep"].schedule == "*/5 8-18 * * 1-5"
    error_message = "Cron with steps and ranges is cron."
  }
}

run "links_lead_to_the_console" {
  command = plan

  override_data {
    target = data.google_project.this
    values = { number = "123456789012" }
  }

  assert {
    condition     = local.environment["SIGNALBOX_CONSOLE_URL"] == "https://signalbox-console-123456789012.us-central1.run.app"
    error_message = "The functions know where the console is without being told."
  }
}

run "links_lead_where_the_settings_say" {
  command = plan

  variables {
    settings = { SIGNALBOX_CONSOLE_URL = "https://console.acme.test" }
  }

  assert {
    condition     = local.environment["SIGNALBOX_CONSOLE_URL"] == "https://console.acme.test"
    error_message = "A console behind a domain of one's own is linked to there."
  }
}

# Each environment has a secret of its own for its token, as signalbox.toml says: granted in the place of RAILWAY-API, to
# the functions that use it.
run "own_tokens" {
  command = plan

  variables {
    topology        = "tests/topologies/railway-tokens.yaml"
    packages        = "tests/own-tokens"
    secret_versions = { RAILWAY-STAGING = "2" }
  }

  assert {
    condition     = jsonencode(module.function["sweep"].grants.secrets) == jsonencode(["N8N-API", "RAILWAY-PRODUCTION", "RAILWAY-STAGING"])
    error_message = "Who uses Railway's tokens reads each of them, and not the account's."
  }
  assert {
    condition     = jsonencode(module.function["webhooks"].grants.secrets) == jsonencode(["GITHUB-WEBHOOK-SECRET"]) && length(module.function["console"].grants.secrets) == 0
    error_message = "Who does not use them reads none."
  }
  assert {
    condition     = toset(keys(google_secret_manager_secret.this)) == toset(["GITHUB-WEBHOOK-SECRET", "N8N-API", "RAILWAY-API", "RAILWAY-PRODUCTION", "RAILWAY-STAGING"])
    error_message = "Each has its container, and what may be there from before keeps its own."
  }
  assert {
    condition     = jsonencode(output.secrets) == jsonencode(["GITHUB-WEBHOOK-SECRET", "N8N-API", "RAILWAY-PRODUCTION", "RAILWAY-STAGING"])
    error_message = "A value is wanted for those that are used."
  }
}
