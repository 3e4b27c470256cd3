# The values of edri2or-commits/project38-or. The pool, the provider, the deployer and three of the secrets exist already.

project_id        = "project38-483612"
region            = "us-central1"
github_repository = "edri2or-commits/project38-or"

workload_identity = {
  pool     = "github-pool"
  provider = "github-provider"
}
deployer = "claude-code-agent@project38-483612.iam.gserviceaccount.com"

# For the smoke test of GitHub Actions: the console is private.
console_members = ["serviceAccount:claude-code-agent@project38-483612.iam.gserviceaccount.com"]

# Made in that project before Signalbox came: granted to the functions that use them, neither made nor destroyed.
# RAILWAY-API holds an account's token there; the functions use the project token in RAILWAY-PRODUCTION.
existing_secrets = ["N8N-API", "RAILWAY-API", "github-app-private-key"]

# Of the App whose key that secret holds. It needs the permissions that `signalbox github-app manifest` names.
github_app_id = "2497877"
