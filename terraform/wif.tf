# The Workload Identity pool, its provider and the deployer are somebody else's: they are looked up, never made or
# changed.

locals {
  identity_project = coalesce(var.workload_identity.project, var.project_id)
}

data "google_iam_workload_identity_pool" "this" {
  project                   = local.identity_project
  workload_identity_pool_id = var.workload_identity.pool
}

data "google_iam_workload_identity_pool_provider" "this" {
  project                            = local.identity_project
  workload_identity_pool_id          = var.workload_identity.pool
  workload_identity_pool_provider_id = var.workload_identity.provider

  lifecycle {
    postcondition {
      condition     = self.attribute_condition != "" || var.workload_identity.any_repository
      error_message = "The provider ${var.workload_identity.provider} has no attribute condition, so any repository on GitHub gets a token from it: restrict it to ${var.github_repository}, or say any_repository = true in workload_identity."
    }
  }
}

data "google_service_account" "deployer" {
  account_id = var.deployer
}

check "workload_identity" {
  assert {
    condition     = !data.google_iam_workload_identity_pool.this.disabled && !data.google_iam_workload_identity_pool_provider.this.disabled
    error_message = "The Workload Identity pool ${var.workload_identity.pool} or its provider ${var.workload_identity.provider} is disabled: GitHub Actions cannot sign in."
  }
}

check "deployer" {
  assert {
    condition     = !data.google_service_account.deployer.disabled
    error_message = "The deployer ${var.deployer} is disabled."
  }
}
