# What only Google's API would refuse, of one function.

mock_provider "google" {}

variables {
  name              = "deploy"
  project_id        = "acme-project"
  region            = "us-central1"
  runtime           = "python311"
  source_archive    = { bucket = "source", object = "deploy/1.zip" }
  build             = { service_account = "projects/p/serviceAccounts/b", repository = "projects/p/locations/l/repositories/r" }
  address           = "https://signalbox-deploy-1.us-central1.run.app"
  environment       = { GOOGLE_CLOUD_PROJECT = "acme-project" }
  database          = "(default)"
  deployer          = null
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

run "ack_deadline_below_ten" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 9, min_backoff = 10, max_backoff = 600, max_attempts = 20, retention_days = 7 }
  }

  expect_failures = [var.delivery]
}

run "ack_deadline_above_ten_minutes" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 601, min_backoff = 10, max_backoff = 600, max_attempts = 20, retention_days = 7 }
  }

  expect_failures = [var.delivery]
}

run "ack_deadline_in_parts_of_a_second" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 70.5, min_backoff = 10, max_backoff = 600, max_attempts = 20, retention_days = 7 }
  }

  expect_failures = [var.delivery]
}

run "ack_deadline_below_the_timeout" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 59, min_backoff = 10, max_backoff = 600, max_attempts = 20, retention_days = 7 }
  }

  expect_failures = [var.delivery]
}

run "min_backoff_below_zero" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 70, min_backoff = -1, max_backoff = 600, max_attempts = 20, retention_days = 7 }
  }

  expect_failures = [var.delivery]
}

run "min_backoff_above_max_backoff" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 70, min_backoff = 20, max_backoff = 10, max_attempts = 20, retention_days = 7 }
  }

  expect_failures = [var.delivery]
}

run "max_backoff_above_ten_minutes" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 70, min_backoff = 10, max_backoff = 601, max_attempts = 20, retention_days = 7 }
  }

  expect_failures = [var.delivery]
}

run "too_few_attempts" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 70, min_backoff = 10, max_backoff = 600, max_attempts = 4, retention_days = 7 }
  }

  expect_failures = [var.delivery]
}

run "too_many_attempts" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 70, min_backoff = 10, max_backoff = 600, max_attempts = 101, retention_days = 7 }
  }

  expect_failures = [var.delivery]
}

run "retention_of_no_day" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 70, min_backoff = 10, max_backoff = 600, max_attempts = 20, retention_days = 0 }
  }

  expect_failures = [var.delivery]
}

run "retention_above_a_month" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    delivery = { ack_deadline = 70, min_backoff = 10, max_backoff = 600, max_attempts = 20, retention_days = 32 }
  }

  expect_failures = [var.delivery]
}

run "store_of_another_kind" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "all", timeout = 60, memory = "512Mi", cpu = "1", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "timeout_of_nothing" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 0, memory = "512Mi", cpu = "1", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "timeout_above_an_hour" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 3601, memory = "512Mi", cpu = "1", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "memory_without_a_unit" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512", cpu = "1", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "cpu_that_there_is_not" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "3", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "cpu_below_the_least" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "0.01", concurrency = 1, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "cpu_in_words" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "two", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "concurrency_of_none" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "1", concurrency = 0, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "concurrency_above_a_thousand" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "1", concurrency = 1001, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "concurrency_without_a_whole_cpu" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "0.5", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "more_instances_at_least_than_at_most" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "1", concurrency = 40, min_instances = 3, max_instances = 2 }
  }

  expect_failures = [var.function]
}

run "no_instances_at_all" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "1", concurrency = 40, min_instances = 0, max_instances = 0 }
  }

  expect_failures = [var.function]
}

run "subscribed_and_scheduled" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "1", concurrency = 40, min_instances = 0, max_instances = 20, schedule = "* * * * *" }
  }

  expect_failures = [var.function]
}

run "public_and_subscribed" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = true, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "1", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "publishes_to_an_unknown_topic" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["elsewhere"], secrets = ["RAILWAY-API", "N8N-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "1", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "a_secret_that_it_does_not_get" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    function = { public = false, subscribes = "deploy", publishes = ["notify"], secrets = ["RAILWAY-API"], store = "write", timeout = 60, memory = "512Mi", cpu = "1", concurrency = 40, min_instances = 0, max_instances = 20 }
  }

  expect_failures = [var.function]
}

run "limit_above_the_timeout" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    environment = { SIGNALBOX_LIMIT = "60" }
  }

  expect_failures = [var.environment]
}

run "redelivery_before_the_backoff_ends" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    environment = { SIGNALBOX_REDELIVERY = "600" }
  }

  expect_failures = [var.environment]
}

run "name_in_capitals" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name = "Deploy"
  }

  expect_failures = [var.name]
}

run "name_too_long_for_an_account" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name = "deploy-everything"
  }

  expect_failures = [var.name]
}

run "name_too_short_for_a_subscription" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name = "qa"
  }

  expect_failures = [var.name]
}

run "name_that_google_keeps_for_itself" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name = "google-sync"
  }

  expect_failures = [var.name]
}

run "name_that_ends_in_a_hyphen" {
  command = plan

  module {
    source = "./modules/function"
  }

  variables {
    name = "deploy-"
  }

  expect_failures = [var.name]
}
