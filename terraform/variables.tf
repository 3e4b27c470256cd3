variable "alert_emails" {
  description = "Who is told when something is wrong. With none, alerts are only shown in Cloud Monitoring."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for email in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "alert_emails: addresses of e-mail."
  }
}

variable "alerts" {
  description = "When something counts as wrong: log lines of errors in five minutes, seconds that the oldest message waits, minutes without a sweep."
  type = object({
    errors             = optional(number, 10)
    oldest_message     = optional(number, 1800)
    minutes_unattended = optional(number, 5)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.alerts.errors >= 1 && var.alerts.oldest_message >= 60
    error_message = "alerts: at least one error, and a minute."
  }
  # Source: cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies (MetricAbsence.duration).
  validation {
    condition     = var.alerts.minutes_unattended >= 2 && var.alerts.minutes_unattended <= 1410
    error_message = "alerts.minutes_unattended: 2 minutes to 23.5 hours."
  }
}

variable "audit_secrets" {
  description = "Record who reads secrets, in Google Cloud's audit log. It is the project's whole setting for Secret Manager: false where somebody else has one, or the organization's says so already."
  type        = bool
  default     = true
  nullable    = false
}

variable "backup_days" {
  description = "Days for which each day's backup of the documents is kept; null for no backups."
  type        = number
  default     = 14

  # Source: cloud.google.com/firestore/native/docs/backups: at most 14 weeks.
  validation {
    condition     = var.backup_days == null || try(var.backup_days >= 1 && var.backup_days <= 98 && floor(var.backup_days) == var.backup_days, false)
    error_message = "backup_days: 1 to 98 whole days, or null."
  }
}

variable "budget" {
  description = "Tells when a month has cost half, nine tenths and all of so many units of the billing account's currency; null for no budget."
  type        = object({ billing_account = string, units = number, currency = optional(string) })
  default     = null

  validation {
    condition     = var.budget == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.budget.billing_account))
    error_message = "budget.billing_account: such as 012345-6789AB-CDEF01."
  }
  validation {
    condition     = var.budget == null || try(var.budget.units >= 1 && floor(var.budget.units) == var.budget.units && can(regex("^[A-Z]{3}$", coalesce(var.budget.currency, "USD"))), false)
    error_message = "budget: whole units; currency is the billing account's own, in three capitals such as USD, or left out."
  }
}

variable "console_members" {
  description = "IAM members, such as user:ada@example.com or the deployer, who may open the console. With none it is reached from inside the project only."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.console_members : can(regex("^(user|group|serviceAccount|domain|principal|principalSet):.+$", member))])
    error_message = "console_members: people, groups, accounts and domains, such as user:ada@example.com; never allUsers or allAuthenticatedUsers."
  }
}

variable "database" {
  description = "The Firestore database; another name where the project has a (default) one already."
  type        = string
  default     = "(default)"
  nullable    = false

  # Source: cloud.google.com/firestore/docs/manage-databases#database_id.
  validation {
    condition     = var.database == "(default)" || (can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.database)) && !can(regex("^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$", var.database)))
    error_message = "database: (default), or 4 to 63 lower-case letters, digits and hyphens, beginning with a letter and not like a UUID."
  }
}

variable "database_location" {
  description = "Where the documents are: a region, or nam5 or eur3. The functions' region when null. Cannot be changed later."
  type        = string
  default     = null

  validation {
    condition     = var.database_location == null || can(regex("^(nam5|nam7|eur3|[a-z]+-[a-z]+[0-9]+)$", var.database_location))
    error_message = "database_location: a region such as us-central1, or nam5, nam7 or eur3."
  }
}

variable "deployer" {
  description = "E-mail of the service account that GitHub Actions deploys as. It exists already."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9.:-]+\\.gserviceaccount\\.com$", var.deployer))
    error_message = "deployer: such as deployer@my-project.iam.gserviceaccount.com."
  }
}

variable "existing_secrets" {
  description = "Names of secrets that the project has already: they are granted to the functions, but not made."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "github_app_id" {
  description = "Client id (or App id) of the GitHub App."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9.]{1,64}$", var.github_app_id))
    error_message = "github_app_id: such as Iv23liABCDEFGHIJKLMN, or a number."
  }
}

variable "github_repository" {
  description = "The repository that deploys this, as owner/name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository: owner/name."
  }
}

variable "grant_deployer" {
  description = "Give the deployer what deploying needs, and nothing else: see deployer.tf."
  type        = bool
  default     = false
  nullable    = false
}

variable "packages" {
  description = "The folder of the functions' packages, from this one."
  type        = string
  default     = "../build/packages"
  nullable    = false
}

variable "project_id" {
  description = "The Google Cloud project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id: 6 to 30 lower-case letters, digits and hyphens: the id, not the name or the number."
  }
}

variable "protect_data" {
  description = "Refuse to delete the documents and the secrets. To destroy everything, apply with false first."
  type        = bool
  default     = true
  nullable    = false
}

variable "region" {
  description = "Where the functions run."
  type        = string
  default     = "us-central1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: such as us-central1."
  }
}

variable "runtime" {
  description = "The Python that the functions run on."
  type        = string
  default     = "python311"
  nullable    = false

  validation {
    condition     = contains(["python311", "python312", "python313", "python314"], var.runtime)
    error_message = "runtime: python311 or newer."
  }
}

variable "scheduler_region" {
  description = "Where Cloud Scheduler runs, when it is not offered in the functions' region."
  type        = string
  default     = null

  validation {
    condition     = var.scheduler_region == null || can(regex("^[a-z]+-[a-z]+[0-9]+$", var.scheduler_region))
    error_message = "scheduler_region: such as us-central1."
  }
}

variable "secret_versions" {
  description = "Secrets of which one version alone is accepted. All enabled versions otherwise, which a rotation needs."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for version in values(var.secret_versions) : can(regex("^([1-9][0-9]*|[A-Za-z][A-Za-z0-9_-]{0,62})$", version))])
    error_message = "secret_versions: a number or an alias, such as 3 or latest."
  }
}

variable "settings" {
  description = "More of the functions' environment variables: docs/configuration.md explains them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = length(setsubtract(keys(var.settings), [
      "GITHUB_API_URL", "RAILWAY_API_URL", "SIGNALBOX_CONSOLE_URL", "SIGNALBOX_LIMIT", "SIGNALBOX_LOG_LEVEL",
      "SIGNALBOX_REDELIVERY", "SIGNALBOX_UNCLAIMED", "SIGNALBOX_VISIBLE",
    ])) == 0
    error_message = "settings: only variables that the functions read and that nothing else here sets."
  }
}

variable "topology" {
  description = "The description of functions, topics and grants, from this folder."
  type        = string
  default     = "../functions/topology.yaml"
  nullable    = false
}

variable "workload_identity" {
  description = "The pool and provider that GitHub Actions signs in with. They exist already, in this project unless another is named."
  type = object({
    pool     = string
    provider = string
    project  = optional(string)
    # The provider has no attribute condition, so that any repository on GitHub gets a token of it, and what keeps others
    # from the deployer are the bindings of its account alone.
    any_repository = optional(bool, false)
  })
  nullable = false

  # Source: cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools/create.
  validation {
    condition     = alltrue([for id in [var.workload_identity.pool, var.workload_identity.provider] : can(regex("^[a-z0-9-]{4,32}$", id)) && !startswith(id, "gcp-")])
    error_message = "workload_identity: ids of 4 to 32 lower-case letters, digits and hyphens, not the long resource names."
  }
}
