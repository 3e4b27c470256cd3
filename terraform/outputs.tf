output "console_url" {
  description = "The console; whoever opens it needs to be one of console_members."
  value       = module.function["console"].uri
}

output "deployer_roles" {
  description = "What grant_deployer gives on the project, each role with the resources that it is for."
  value       = local.deployer_roles
}

output "function_urls" {
  description = "Each function's address."
  value       = { for name, function in module.function : name => function.uri }
}

output "github_actions" {
  description = "For google-github-actions/auth: the provider and the account that GitHub Actions signs in with."
  value = {
    workload_identity_provider = data.google_iam_workload_identity_pool_provider.this.name
    service_account            = data.google_service_account.deployer.email
    repository                 = var.github_repository
  }
}

output "grants" {
  description = "What each function may do, and who may call it."
  value       = { for name, function in module.function : name => function.grants }
}

output "secrets" {
  description = "Secrets that need a value: gcloud secrets versions add NAME --data-file=-"
  value       = sort(local.secrets)
}

output "service_accounts" {
  description = "As whom each function runs."
  value       = { for name, function in module.function : name => function.service_account }
}

output "webhook_urls" {
  description = "To be pasted: into the GitHub App's settings, and into the webhook of the project on Railway."
  value = {
    github  = "${module.function["webhooks"].uri}/github-webhook"
    railway = "${module.function["webhooks"].uri}/railway-webhook"
  }
}
