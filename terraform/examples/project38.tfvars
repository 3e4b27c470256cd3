# The values of edri2or-commits/project38-or. The pool, the provider and the deployer exist already.

project_id        = "project38-483612"
region            = "us-central1"
github_repository = "edri2or-commits/project38-or"

workload_identity = {
  pool     = "github-pool"
  provider = "github-provider"
}

# To be replaced: the service account that the provider lets GitHub Actions act as, and the App's client id.
deployer      = "github-deployer@project38-483612.iam.gserviceaccount.com"
github_app_id = "Iv23liREPLACEME"
