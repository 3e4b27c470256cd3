# One function by itself: what each way of being called makes of it.

mock_provider "google" {}

variables {
  name              = "deploy"
  project_id        = "acme-project"
  region            = "us-central1"
  runtime           = "python311"
  source_archive    = { bucket = "source", object = "deploy/1.zip" }
  build             = { service_account = "projects/p/serviceAccounts/b", repository = "projects/p/locations/l/repositories/r" }
  address           = "https://signalbox-deploy-123456789012.us-central1.run.app"
  environment       = { GOOGLE_CLOUD_PROJECT = "acme-project" }
  database          = "(default)"
  deployer          = null
  settle            = 0
  dead_letter_topic = "projects/acme-project/topics/dead-letters"
  pubsub_agent      = "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com"
  topics = {
    deploy = "projects/acme-project/topics/deploy"
    notify = "projects/acme-project/topics/notify"
  }
  secrets = {
    RAILWAY-API = { id = "projects/acme-project/secrets/RAILWAY-API", listed = true }
    N8N-API     = { id = "projects/acme-project/secrets/N8N-API", listed = false }
  }
  delivery = { ack_deadline = 70, min_backoff = 10, max_backoff = 600, max_attempts = 20, retention_days = 7 }
  function = {
    public        = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60
    memory        = "512Mi", cpu = "1", concurrency = 40
    min_instances = 0, max_instances = 20
  }
}

run "subscriber" {
  command = apply # on the mock: so that addresses are known

  module {
    source = "./modules/function"
  }

  override_resource {
    target = google_cloudfunctions2_function.this
    values = { service_config = { uri = "https://deploy.test" } }
  }

  assert {
    condition     = google_pubsub_subscription.push[0].push_config[0].push_endpoint == "https://deploy.test/functions/deploy"
    error_message = "It is called where the local emulation calls it."
  }
  assert {
    condition     = google_pubsub_subscription.push[0].push_config[0].oidc_token[0].audience == var.address
    error_message = "Cloud Run accepts a token for its own address, without a path."
  }
  assert {
    condition = google_cloudfunctions2_function.this.service_config[0].environment_variables == tomap({
      GOOGLE_CLOUD_PROJECT = "acme-project"
      SIGNALBOX_CALLER     = google_pubsub_subscription.push[0].push_config[0].oidc_token[0].service_account_email
      SIGNALBOX_AUDIENCE   = google_pubsub_subscription.push[0].push_config[0].oidc_token[0].audience
      SIGNALBOX_PRIVATE    = "true"
    })
    error_message = "It is told who calls it, for which address, as its subscription is."
  }
  assert {
    condition     = google_pubsub_subscription.push[0].push_config[0].oidc_token[0].service_account_email == "signalbox-deploy-caller@acme-project.iam.gserviceaccount.com"
    error_message = "Its subscription calls as an account of its own."
  }
  assert {
    condition     = google_pubsub_subscription.push[0].ack_deadline_seconds >= google_cloudfunctions2_function.this.service_config[0].timeout_seconds
    error_message = "A message does not come again while it is worked on."
  }
  assert {
    condition     = google_pubsub_subscription.push[0].dead_letter_policy[0].max_delivery_attempts == 20 && google_pubsub_subscription.push[0].dead_letter_policy[0].dead_letter_topic == "projects/acme-project/topics/dead-letters"
    error_message = "What cannot be delivered is a dead letter."
  }
  assert {
    condition     = google_pubsub_subscription.push[0].retry_policy[0].minimum_backoff == "10s" && google_pubsub_subscription.push[0].retry_policy[0].maximum_backoff == "600s"
    error_message = "It backs off as the topology says."
  }
  assert {
    condition     = google_pubsub_subscription.push[0].expiration_policy[0].ttl == ""
    error_message = "A subscription never expires."
  }
  assert {
    condition     = google_pubsub_subscription_iam_member.dead_letters[0].member == var.pubsub_agent && google_pubsub_subscription_iam_member.dead_letters[0].role == "roles/pubsub.subscriber"
    error_message = "Pub/Sub may take a dead letter off."
  }
  assert {
    condition = jsonencode(output.grants) == jsonencode({
      publishes = ["notify"]
      secrets   = ["N8N-API", "RAILWAY-API"]
      project   = ["roles/datastore.user"]
      callers   = ["serviceAccount:signalbox-deploy-caller@acme-project.iam.gserviceaccount.com"]
    })
    error_message = "It may do what it was given, and is called by its subscription alone."
  }
  assert {
    condition     = toset(keys(google_secret_manager_secret_iam_member.viewer)) == toset(["RAILWAY-API"])
    error_message = "Versions of a pinned secret are not listed."
  }
  assert {
    condition     = google_cloudfunctions2_function.this.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    error_message = "It is reached from inside."
  }
  assert {
    condition     = length(google_service_account_iam_member.deployer) == 0
    error_message = "No deployer, no grants."
  }
  assert {
    condition = alltrue([
      for account in [google_service_account.runtime, google_service_account.caller[0]] :
      contains(terraform_data.accounts_are_known.triggers_replace, account.unique_id)
    ])
    error_message = "An account that is made anew is waited for."
  }
}

run "public" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    secrets = {}
    function = {
      public        = true, publishes = ["notify"], secrets = [], store = "none", timeout = 60
      memory        = "256Mi", cpu = "1", concurrency = 80
      min_instances = 0, max_instances = 20
    }
  }

  assert {
    condition     = jsonencode(output.grants.callers) == jsonencode(["allUsers"]) && google_cloudfunctions2_function.this.service_config[0].ingress_settings == "ALLOW_ALL"
    error_message = "Everybody may call it, from everywhere."
  }
  assert {
    condition     = output.caller == null && length(google_pubsub_subscription.push) == 0
    error_message = "Nobody is made to call it."
  }
  assert {
    condition     = length(output.grants.project) == 0
    error_message = "It may do nothing with the documents."
  }
}

run "scheduled" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    secrets = {}
    function = {
      public        = false, schedule = "* * * * *", publishes = [], secrets = [], store = "read", timeout = 120
      memory        = "512Mi", cpu = "0.5", concurrency = 1
      min_instances = 1, max_instances = 1
    }
    deployer = "deployer@acme-project.iam.gserviceaccount.com"
  }

  assert {
    condition     = output.caller == "signalbox-deploy-caller@acme-project.iam.gserviceaccount.com" && length(google_pubsub_subscription.push) == 0
    error_message = "It has a caller, and no subscription."
  }
  assert {
    condition     = jsonencode(output.grants.project) == jsonencode(["roles/datastore.viewer"])
    error_message = "It may read the documents."
  }
  assert {
    condition     = toset(keys(google_service_account_iam_member.deployer)) == toset(["runtime", "caller"])
    error_message = "The deployer acts as its accounts."
  }
}

run "for_people" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    secrets = {}
    function = {
      public        = false, publishes = [], secrets = [], store = "read", timeout = 60
      memory        = "256Mi", cpu = "1", concurrency = 40
      min_instances = 0, max_instances = 20
    }
    members = ["user:ada@acme.test"]
  }

  assert {
    condition     = jsonencode(output.grants.callers) == jsonencode(["user:ada@acme.test"]) && google_cloudfunctions2_function.this.service_config[0].ingress_settings == "ALLOW_ALL"
    error_message = "Whoever is named reaches it from everywhere."
  }
}
