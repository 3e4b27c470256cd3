# As whom its subscription, or its schedule, calls the function; nothing else may be done as that account.

resource "google_service_account" "caller" {
  count = local.called ? 1 : 0

  account_id   = "signalbox-${var.name}-caller"
  display_name = "Signalbox: calls ${var.name}"
}

locals {
  caller        = local.called ? "${google_service_account.caller[0].account_id}@${var.project_id}.iam.gserviceaccount.com" : null
  caller_member = local.called ? "serviceAccount:${local.caller}" : null
}

resource "google_pubsub_subscription" "push" {
  count = var.function.subscribes == null ? 0 : 1

  name                 = var.name
  topic                = var.topics[var.function.subscribes]
  ack_deadline_seconds = var.delivery.ack_deadline

  push_config {
    push_endpoint = local.push_endpoint

    oidc_token {
      service_account_email = local.caller
      audience              = var.address
    }
  }

  retry_policy {
    minimum_backoff = "${var.delivery.min_backoff}s"
    maximum_backoff = "${var.delivery.max_backoff}s"
  }

  dead_letter_policy {
    dead_letter_topic     = var.dead_letter_topic
    max_delivery_attempts = var.delivery.max_attempts
  }

  message_retention_duration = "${var.delivery.retention_days * 86400}s"

  expiration_policy {
    ttl = "" # never
  }

  # Before that its pushes would be refused.
  depends_on = [google_cloud_run_v2_service_iam_member.invoker]
}

# Pub/Sub itself takes a message off the subscription when it becomes a dead letter.
resource "google_pubsub_subscription_iam_member" "dead_letters" {
  count = var.function.subscribes == null ? 0 : 1

  subscription = google_pubsub_subscription.push[0].name
  role         = "roles/pubsub.subscriber"
  member       = var.pubsub_agent
}
