# Whoever deploys a function has to be allowed to act as its accounts. Only where the deployer's grants are asked for.

locals {
  accounts = merge(
    { runtime = google_service_account.runtime.name },
    local.called ? { caller = google_service_account.caller[0].name } : {},
  )
}

resource "google_service_account_iam_member" "deployer" {
  for_each = { for which, account in local.accounts : which => account if var.deployer != null }

  service_account_id = each.value
  role               = "roles/iam.serviceAccountUser"
  member             = "serviceAccount:${var.deployer}"
}
