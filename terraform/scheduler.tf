locals {
  minute  = "(\\*|[0-5]?[0-9](-[0-5]?[0-9])?)(/[1-9][0-9]*)?"
  hour    = "(\\*|([01]?[0-9]|2[0-3])(-([01]?[0-9]|2[0-3]))?)(/[1-9][0-9]*)?"
  day     = "(\\*|([1-9]|[12][0-9]|3[01])(-([1-9]|[12][0-9]|3[01]))?)(/[1-9][0-9]*)?"
  month   = "(\\*|([1-9]|1[0-2])(-([1-9]|1[0-2]))?)(/[1-9][0-9]*)?"
  weekday = "(\\*|[0-7](-[0-7])?)(/[1-9][0-9]*)?"
  # Five fields, each a list of these.
  cron = "^${join(" ", [for field in [local.minute, local.hour, local.day, local.month, local.weekday] : "${field}(,${field})*"])}$"
}

resource "google_cloud_scheduler_job" "this" {
  for_each = local.schedules

  name      = "signalbox-${each.key}"
  region    = coalesce(var.scheduler_region, var.region)
  schedule  = each.value
  time_zone = "Etc/UTC"
  # A run of the job is not given up before the function would be.
  attempt_deadline = "${local.functions[each.key].timeout + 10}s"

  retry_config {
    retry_count = 0 # the next minute comes anyway
  }

  http_target {
    http_method = "POST"
    uri         = module.function[each.key].push_endpoint

    oidc_token {
      service_account_email = module.function[each.key].caller
      audience              = local.addresses[each.key]
    }
  }

  lifecycle {
    precondition {
      condition     = can(regex(local.cron, each.value))
      error_message = "functions.${each.key}.schedule: five fields of cron, such as \"*/5 * * * *\", not ${each.value}."
    }
    precondition {
      condition     = local.functions[each.key].timeout + 10 >= 15 && local.functions[each.key].timeout + 10 <= 1800
      error_message = "functions.${each.key}.timeout: the scheduler waits for 15 seconds to 30 minutes."
    }
  }
}
