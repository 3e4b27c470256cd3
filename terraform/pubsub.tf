# Topics, and what becomes of dead letters. Each function's push subscription is in modules/function.

locals {
  # Of topics and subscriptions. Source: cloud.google.com/pubsub/docs/pubsub-basics#resource_names.
  resource_name = "^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$"
  name_rule     = "3 to 255 letters, digits and -._~+%, beginning with a letter and not with goog"
}

resource "google_pubsub_topic" "this" {
  # checkov:skip=CKV_GCP_83:a message names a run and a stage and nothing else; Google's own encryption is enough
  for_each = local.topics

  name                       = each.value
  message_retention_duration = "${local.delivery.retention_days * 86400}s"

  depends_on = [google_project_service.this]

  lifecycle {
    precondition {
      condition     = can(regex(local.resource_name, each.value)) && !startswith(each.value, "goog")
      error_message = "topics: ${local.name_rule}: ${each.value}."
    }
  }
}

resource "google_pubsub_topic" "dead_letters" {
  # checkov:skip=CKV_GCP_83:the same messages as on the other topics; Google's own encryption is enough
  name = local.dead_letters.topic

  depends_on = [google_project_service.this]

  lifecycle {
    precondition {
      condition     = can(regex(local.resource_name, local.dead_letters.topic)) && !startswith(local.dead_letters.topic, "goog")
      error_message = "dead_letters.topic: ${local.name_rule}: ${local.dead_letters.topic}."
    }
  }
}

locals {
  dead_letter_topic = "projects/${var.project_id}/topics/${google_pubsub_topic.dead_letters.name}"
}

# Without a subscription a dead letter would be lost; nobody is pushed these: `signalbox dead-letters` pulls them.
resource "google_pubsub_subscription" "dead_letters" {
  name                       = local.dead_letters.subscription
  topic                      = local.dead_letter_topic
  message_retention_duration = "${local.dead_letters.retention_days * 86400}s"
  ack_deadline_seconds       = 60

  expiration_policy {
    ttl = "" # never
  }

  lifecycle {
    precondition {
      condition     = can(regex(local.resource_name, local.dead_letters.subscription)) && !startswith(local.dead_letters.subscription, "goog")
      error_message = "dead_letters.subscription: ${local.name_rule}: ${local.dead_letters.subscription}."
    }
    precondition {
      condition     = local.dead_letters.retention_days >= 1 && local.dead_letters.retention_days <= 31
      error_message = "dead_letters.retention_days: a subscription keeps messages for 1 to 31 days."
    }
    precondition {
      condition     = !contains(local.topics, local.dead_letters.topic)
      error_message = "dead_letters.topic: a topic of its own, not one that functions publish to."
    }
  }
}

# Pub/Sub itself moves a message there: source: cloud.google.com/pubsub/docs/handling-failures#grant_forwarding_permissions.
resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = local.dead_letter_topic
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent
}
