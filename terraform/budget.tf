# Of the whole project, as Firestore, Pub/Sub and logs carry no label of ours. Only with `budget`: who applies this then needs roles/billing.costsManager on the billing account.

resource "google_billing_budget" "this" {
  count = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  display_name    = "${var.project_id}, with Signalbox"

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }

  amount {
    specified_amount {
      currency_code = var.budget.currency
      units         = tostring(var.budget.units)
    }
  }

  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1]
    content {
      threshold_percent = threshold_rules.value
    }
  }

  dynamic "all_updates_rule" {
    for_each = length(local.channels) == 0 ? [] : [local.channels]
    content {
      monitoring_notification_channels = all_updates_rule.value
    }
  }

  depends_on = [google_project_service.this]

  lifecycle {
    # Source: cloud.google.com/billing/docs/reference/budget/rest/v1/billingAccounts.budgets#NotificationsRule.
    precondition {
      condition     = length(var.alert_emails) <= 5
      error_message = "budget: it tells five alert_emails at most."
    }
  }
}
