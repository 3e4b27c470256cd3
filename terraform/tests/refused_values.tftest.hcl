# What only Google's API would refuse, of the whole: of variables, and of a topology.

mock_provider "google" {}

variables {
  project_id        = "acme-project"
  github_app_id     = "Iv23liTEST"
  github_repository = "acme/shop"
  deployer          = "deployer@acme-project.iam.gserviceaccount.com"
  workload_identity = { pool = "github-pool", provider = "github-provider" }
}

run "not_an_address" {
  command = plan

  variables {
    alert_emails = ["ada"]
  }

  expect_failures = [var.alert_emails]
}

run "no_error_at_all" {
  command = plan

  variables {
    alerts = { errors = 0 }
  }

  expect_failures = [var.alerts]
}

run "unattended_for_too_short" {
  command = plan

  variables {
    alerts = { minutes_unattended = 1 }
  }

  expect_failures = [var.alerts]
}

run "unattended_for_a_day" {
  command = plan

  variables {
    alerts = { minutes_unattended = 1440 }
  }

  expect_failures = [var.alerts]
}

run "billing_account_in_another_form" {
  command = plan

  variables {
    budget = { billing_account = "mine", units = 20 }
  }

  expect_failures = [var.budget]
}

run "budget_of_nothing" {
  command = plan

  variables {
    budget = { billing_account = "012345-6789AB-CDEF01", units = 0 }
  }

  expect_failures = [var.budget]
}

run "currency_in_words" {
  command = plan

  variables {
    budget = { billing_account = "012345-6789AB-CDEF01", units = 20, currency = "Euro" }
  }

  expect_failures = [var.budget]
}

run "console_for_everybody" {
  command = plan

  variables {
    console_members = ["allUsers"]
  }

  expect_failures = [var.console_members]
}

run "database_with_a_short_name" {
  command = plan

  variables {
    database = "abc"
  }

  expect_failures = [var.database]
}

run "database_in_capitals" {
  command = plan

  variables {
    database = "Signalbox"
  }

  expect_failures = [var.database]
}

run "database_like_a_uuid" {
  command = plan

  variables {
    database = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
  }

  expect_failures = [var.database]
}

run "location_of_another_kind" {
  command = plan

  variables {
    database_location = "europe"
  }

  expect_failures = [var.database_location]
}

run "deployer_by_its_id_alone" {
  command = plan

  variables {
    deployer = "deployer"
  }

  expect_failures = [var.deployer]
}

run "no_app" {
  command = plan

  variables {
    github_app_id = ""
  }

  expect_failures = [var.github_app_id]
}

run "repository_without_an_owner" {
  command = plan

  variables {
    github_repository = "shop"
  }

  expect_failures = [var.github_repository]
}

run "project_by_its_number" {
  command = plan

  variables {
    project_id = "123456789012"
  }

  expect_failures = [var.project_id]
}

run "project_with_a_short_id" {
  command = plan

  variables {
    project_id = "acme"
  }

  expect_failures = [var.project_id]
}

run "zone_for_a_region" {
  command = plan

  variables {
    region = "us-central1-a"
  }

  expect_failures = [var.region]
}

run "old_python" {
  command = plan

  variables {
    runtime = "python310"
  }

  expect_failures = [var.runtime]
}

run "no_region_for_the_scheduler" {
  command = plan

  variables {
    scheduler_region = "somewhere"
  }

  expect_failures = [var.scheduler_region]
}

run "version_zero" {
  command = plan

  variables {
    secret_versions = { RAILWAY-API = "0" }
  }

  expect_failures = [var.secret_versions]
}

run "setting_that_nobody_reads" {
  command = plan

  variables {
    settings = { SIGNALBOX_BACKEND = "local.backend:open_backend" }
  }

  expect_failures = [var.settings]
}

run "pool_by_its_long_name" {
  command = plan

  variables {
    workload_identity = { pool = "projects/1/locations/global/workloadIdentityPools/github-pool", provider = "github-provider" }
  }

  expect_failures = [var.workload_identity]
}

run "reserved_provider" {
  command = plan

  variables {
    workload_identity = { pool = "github-pool", provider = "gcp-provider" }
  }

  expect_failures = [var.workload_identity]
}

run "names" {
  command = plan

  variables {
    topology = "tests/topologies/names.yaml"
  }

  expect_failures = [google_pubsub_topic.this["x"], google_secret_manager_secret.this["GITHUB.WEBHOOK"]]
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

run "no_packages" {
  command = plan

  variables {
    packages = "tests/none"
  }

  expect_failures = [google_storage_bucket_object.source]
}
