# What only Google's API would refuse, of the whole: of variables, and of a topology.

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

run "values_out_of_range" {
  command = plan

  variables {
    alert_emails      = ["ada"]
    alerts            = { errors = 0 }
    backup_days       = 99
    budget            = { billing_account = "mine", units = 20 }
    console_members   = ["allUsers"]
    database          = "abc"
    database_location = "europe"
    deployer          = "deployer"
    github_app_id     = ""
    github_repository = "shop"
    project_id        = "123456789012"
    region            = "us-central1-a"
    runtime           = "python310"
    scheduler_region  = "somewhere"
    secret_versions   = { RAILWAY-API = "0" }
    settings          = { SIGNALBOX_BACKEND = "local.emulation.backend:open_backend" }
    workload_identity = { pool = "projects/1/locations/global/workloadIdentityPools/github-pool", provider = "github-provider" }
  }

  expect_failures = [
    var.alert_emails,
    var.alerts,
    var.backup_days,
    var.budget,
    var.console_members,
    var.database,
    var.database_location,
    var.deployer,
    var.github_app_id,
    var.github_repository,
    var.project_id,
    var.region,
    var.runtime,
    var.scheduler_region,
    var.secret_versions,
    var.settings,
    var.workload_identity,
  ]
}

# Cloud Billing tells five at most.
run "a_budget_that_six_are_told_of" {
  command = plan

  variables {
    alert_emails = ["a@acme.test", "b@acme.test", "c@acme.test", "d@acme.test", "e@acme.test", "f@acme.test"]
    budget       = { billing_account = "012345-6789AB-CDEF01", units = 20 }
  }

  expect_failures = [google_billing_budget.this]
}

run "values_of_another_form" {
  command = plan

  variables {
    alerts            = { minutes_unattended = 1 }
    budget            = { billing_account = "012345-6789AB-CDEF01", units = 0 }
    console_members   = ["ada@acme.test"]
    database          = "Signalbox"
    project_id        = "acme"
    secret_versions   = { RAILWAY-API = "3.1" }
    workload_identity = { pool = "github-pool", provider = "gcp-provider" }
  }

  expect_failures = [
    var.alerts,
    var.budget,
    var.console_members,
    var.database,
    var.project_id,
    var.secret_versions,
    var.workload_identity,
  ]
}

run "values_that_others_have" {
  command = plan

  variables {
    alerts          = { minutes_unattended = 1440 }
    budget          = { billing_account = "012345-6789AB-CDEF01", units = 20, currency = "Euro" }
    console_members = ["allAuthenticatedUsers"]
    database        = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
    settings        = { SIGNALBOX_DATABASE = "signalbox" }
  }

  expect_failures = [
    var.alerts,
    var.budget,
    var.console_members,
    var.database,
    var.settings,
  ]
}

run "names" {
  command = plan

  variables {
    topology = "tests/topologies/names.yaml"
  }

  expect_failures = [
    google_pubsub_topic.this["x"], google_pubsub_topic.dead_letters, google_secret_manager_secret.this["GITHUB.WEBHOOK"],
  ]
}

run "name_of_the_dead_letters" {
  command = plan

  variables {
    topology = "tests/topologies/name-of-the-dead-letters.yaml"
  }

  expect_failures = [google_pubsub_subscription.dead_letters]
}

run "names_of_others" {
  command = plan

  variables {
    topology = "tests/topologies/names-of-others.yaml"
  }

  expect_failures = [google_pubsub_topic.this["google-events"], google_pubsub_subscription.dead_letters]
}

run "times" {
  command = plan

  variables {
    topology = "tests/topologies/times.yaml"
  }

  expect_failures = [google_pubsub_subscription.dead_letters, google_cloud_scheduler_job.this["sweep"]]
}

run "schedule_in_words" {
  command = plan

  variables {
    topology = "tests/topologies/schedule-in-words.yaml"
  }

  expect_failures = [google_cloud_scheduler_job.this["sweep"]]
}

run "schedule_of_minute_sixty" {
  command = plan

  variables {
    topology = "tests/topologies/schedule-of-minute-sixty.yaml"
  }

  expect_failures = [google_cloud_scheduler_job.this["sweep"]]
}

run "schedule_of_every_zeroth_minute" {
  command = plan

  variables {
    topology = "tests/topologies/schedule-of-every-zeroth-minute.yaml"
  }

  expect_failures = [google_cloud_scheduler_job.this["sweep"]]
}

run "no_packages" {
  command = plan

  variables {
    packages = "tests/none"
  }

  expect_failures = [google_storage_bucket_object.source]
}

run "packages_without_the_names_of_railways_tokens" {
  command = plan

  variables {
    topology = "tests/topologies/railway-tokens.yaml"
    packages = "tests/no-tokens"
  }

  expect_failures = [google_storage_bucket_object.source]
}
