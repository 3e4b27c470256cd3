terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.0"
    }
  }

  # The bucket is named at init: terraform init -backend-config=bucket=NAME -backend-config=prefix=signalbox
  backend "gcs" {}
}

provider "google" {
  project = var.project_id
  region  = var.region

  default_labels = { app = "signalbox" }

  # Budgets are of a billing account, so their API has to be told which project pays for the calls.
  billing_project       = var.budget == null ? null : var.project_id
  user_project_override = var.budget != null
}

data "google_project" "this" {
  project_id = var.project_id
}
