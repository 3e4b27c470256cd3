# What is counted in the logs, and when somebody is told. The words are those of shared/runtime/log.py and of who logs; a test
# compares them.

locals {
  services = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^signalbox-\""
  sweep    = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"signalbox-sweep\""

  log_metrics = {
    errors = {
      # By 503 a function asks for its message once more, which is no error, whatever Cloud Run's own line of it says.
      filter      = "${local.services} AND severity>=ERROR AND NOT httpRequest.status=503"
      description = "Lines of a function, or of Cloud Run about it, that are errors."
    }
    commands_refused = {
      filter      = "${local.services} AND jsonPayload.message=\"command refused\""
      description = "Commands of who may not give them, or that cannot be carried out."
    }
    failed_runs = {
      filter      = "${local.services} AND jsonPayload.logger=\"signalbox\" AND jsonPayload.status=\"failed\""
      description = "Runs that ended as failed."
    }
    rolled_back_runs = {
      filter      = "${local.services} AND jsonPayload.logger=\"signalbox\" AND jsonPayload.status=\"rolled_back\""
      description = "Runs that took a version back."
    }
    succeeded_runs = {
      filter      = "${local.services} AND jsonPayload.logger=\"signalbox\" AND jsonPayload.status=\"succeeded\""
      description = "Runs whose version holds."
    }
    sweeps = {
      filter      = "${local.sweep} AND jsonPayload.message=\"swept\""
      description = "Sweeps that came to their end."
    }
    store_denied = {
      filter      = "${local.services} AND jsonPayload.reason=~\"^Firestore .*(PERMISSION_DENIED|UNAUTHENTICATED)\""
      description = "Firestore refused a function for want of a role."
    }
    secrets_expiring = {
      filter      = "${local.services} AND jsonPayload.message=\"a secret is about to expire\""
      description = "Secrets that are to be rotated within two weeks."
    }
    webhooks_accepted = {
      filter      = "${local.services} AND jsonPayload.message=\"webhook accepted\""
      description = "Webhooks that were made durable."
    }
    webhooks_refused = {
      filter      = "${local.services} AND jsonPayload.message=~\"^webhook refused\""
      description = "Webhooks without a right signature or secret, or not to be read."
    }
  }
  # As time series.
  counted = {
    for name, metric in google_logging_metric.this :
    name => "metric.type=\"logging.googleapis.com/user/${metric.name}\" AND resource.type=\"cloud_run_revision\""
  }
  channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  pushed = "(${join("|", local.subscribers)})"
  waits  = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=monitoring.regex.full_match(\"${local.pushed}\")"
  dead   = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${local.dead_letters.subscription}\""

  # More than `above` in `seconds`.
  alerts = {
    dead_letters = {
      title    = "a message could not be delivered"
      filter   = local.dead
      aligner  = "ALIGN_MAX"
      above    = 0
      seconds  = 300
      severity = "ERROR"
      advice   = "`signalbox dead-letters list` shows of which function it is and the last refusal; `redrive` delivers it again once the cause is mended."
    }
    errors = {
      title    = "functions log errors"
      filter   = local.counted["errors"]
      aligner  = "ALIGN_SUM"
      above    = var.alerts.errors
      seconds  = 300
      severity = "ERROR"
      advice   = "Look at the functions' log at severity ERROR; `signalbox doctor` says what of the set-up is not well."
    }
    failed_runs = {
      title    = "a run failed"
      filter   = local.counted["failed_runs"]
      aligner  = "ALIGN_SUM"
      above    = 0
      seconds  = 300
      severity = "WARNING"
      advice   = "`signalbox runs` lists the runs, `signalbox show RUN` tells why. docs/reasons.md has the next step of each reason."
    }
    oldest_message = {
      title    = "messages wait for too long"
      filter   = local.waits
      aligner  = "ALIGN_MAX"
      above    = var.alerts.oldest_message
      seconds  = 300
      severity = "ERROR"
      advice   = "A function refuses or cannot keep up: see its log. Pub/Sub goes on trying; the sweep makes up for lost stages."
    }
    secrets_expiring = {
      title    = "a secret is about to expire"
      filter   = local.counted["secrets_expiring"]
      aligner  = "ALIGN_SUM"
      above    = 0
      seconds  = 3600
      severity = "WARNING"
      advice   = "`signalbox secrets status` says which; `signalbox secrets rotate NAME` replaces it. docs/token-management.md has the steps."
    }
    store_denied = {
      title    = "Firestore refuses a function"
      filter   = local.counted["store_denied"]
      aligner  = "ALIGN_SUM"
      above    = 0
      seconds  = 300
      severity = "CRITICAL"
      advice   = "Its service account lost roles/datastore.user (or viewer) on this database: `terraform plan` shows the difference."
    }
  }
}

resource "google_logging_metric" "this" {
  for_each = local.log_metrics

  name        = "signalbox/${each.key}"
  description = each.value.description
  filter      = each.value.filter

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }

  depends_on = [google_project_service.this]
}

# An alert on a metric that was made just now is refused (404) until Monitoring knows it: within ten minutes, as the
# refusal says (github.com/hashicorp/terraform-provider-google/issues/11102). These three go by while functions are built.
resource "terraform_data" "metrics_are_known" {
  triggers_replace = [for metric in google_logging_metric.this : metric.id]

  provisioner "local-exec" {
    command = "sleep 180"
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  display_name = "Signalbox: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }

  depends_on = [google_project_service.this]
}

resource "google_monitoring_alert_policy" "this" {
  for_each = local.alerts

  display_name          = "Signalbox: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.channels

  conditions {
    display_name = each.value.title

    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = "0s"

      aggregations {
        alignment_period     = "${each.value.seconds}s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.aligner == "ALIGN_SUM" ? "REDUCE_SUM" : "REDUCE_MAX"
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    content   = each.value.advice
    mime_type = "text/markdown"
  }

  depends_on = [terraform_data.metrics_are_known]
}

# Nothing else notices when nobody wakes what waits.
resource "google_monitoring_alert_policy" "unattended" {
  display_name          = "Signalbox: the sweep does not run"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.channels

  # Whether a count of nothing is written as zero, or as nothing, depends on how long ago there was one.
  conditions {
    display_name = "no sweep was counted"

    condition_threshold {
      filter                  = local.counted["sweeps"]
      comparison              = "COMPARISON_LT"
      threshold_value         = 1
      duration                = "60s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_ACTIVE"

      aggregations {
        alignment_period     = "${var.alerts.minutes_unattended * 60}s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  conditions {
    display_name = "sweeps are no longer counted"

    condition_absent {
      filter   = local.counted["sweeps"]
      duration = "${var.alerts.minutes_unattended * 60}s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  documentation {
    content   = "See whether the job signalbox-sweep of Cloud Scheduler is paused or refused, and the log of the function. Without the sweep runs that wait are not woken, and lost webhooks not made up for."
    mime_type = "text/markdown"
  }

  depends_on = [terraform_data.metrics_are_known]
}
