mock_provider "google" {}

variables {
  project_id        = "acme-project"
  github_app_id     = "Iv23liTEST"
  github_repository = "acme/shop"
  deployer          = "deployer@acme-project.iam.gserviceaccount.com"
  workload_identity = { pool = "github-pool", provider = "github-provider" }
  console_members   = [] # whatever else a file of variables names
  existing_secrets  = []
}

run "ordinary" {
  command = plan
}

run "everything" {
  command = plan

  variables {
    alert_emails     = ["ada@acme.test"]
    budget           = { billing_account = "012345-6789AB-CDEF01", units = 20 }
    console_members  = ["user:ada@acme.test", "serviceAccount:deployer@acme-project.iam.gserviceaccount.com"]
    database         = "signalbox"
    grant_deployer   = true
    secret_versions  = { RAILWAY-PRODUCTION = "3", N8N-API = "latest" }
    existing_secrets = ["N8N-API"]
    settings         = { SIGNALBOX_LOG_LEVEL = "DEBUG" }
  }
}
