variable "address" {
  description = "The address that is known before the function is there: for it are the tokens of whoever calls it."
  type        = string
  nullable    = false
}

variable "build" {
  description = "Who builds the image, and where it is kept: ids of a service account and of a repository."
  type        = object({ service_account = string, repository = string })
  nullable    = false
}

variable "database" {
  description = "The Firestore database."
  type        = string
  nullable    = false
}

variable "dead_letter_topic" {
  description = "Where a message goes whose attempts are used up."
  type        = string
  nullable    = false
}

variable "delivery" {
  description = "How the subscription delivers; seconds, and days where they are named."
  type = object({
    ack_deadline   = number
    min_backoff    = number
    max_backoff    = number
    max_attempts   = number
    retention_days = number
  })
  nullable = false

  # Ranges: cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions. The provider does not check them.
  validation {
    condition     = var.delivery.ack_deadline >= 10 && var.delivery.ack_deadline <= 600 && floor(var.delivery.ack_deadline) == var.delivery.ack_deadline
    error_message = "delivery.ack_deadline: 10 to 600 whole seconds."
  }
  validation {
    condition     = var.function.subscribes == null || var.delivery.ack_deadline >= var.function.timeout
    error_message = "delivery.ack_deadline: at least the function's timeout, or a message comes again while it is still worked on."
  }
  validation {
    condition     = 0 <= var.delivery.min_backoff && var.delivery.min_backoff <= var.delivery.max_backoff && var.delivery.max_backoff <= 600
    error_message = "delivery: min_backoff to max_backoff, from 0 to 600 seconds."
  }
  validation {
    condition     = var.delivery.max_attempts >= 5 && var.delivery.max_attempts <= 100
    error_message = "delivery.max_attempts: 5 to 100."
  }
  validation {
    condition     = var.delivery.retention_days >= 1 && var.delivery.retention_days <= 31
    error_message = "delivery.retention_days: 1 to 31."
  }
}

variable "deployer" {
  description = "The service account that gets to act as the function's accounts; null for none."
  type        = string
  default     = null
}

variable "environment" {
  description = "Environment variables."
  type        = map(string)
  nullable    = false

  validation {
    condition     = tonumber(lookup(var.environment, "SIGNALBOX_LIMIT", "50")) < var.function.timeout
    error_message = "SIGNALBOX_LIMIT: less than the function's timeout, or it is stopped before it can save what it did."
  }
  validation {
    condition     = tonumber(lookup(var.environment, "SIGNALBOX_REDELIVERY", "660")) > var.delivery.max_backoff
    error_message = "SIGNALBOX_REDELIVERY: more than delivery.max_backoff, or sweep and queue bring the same message."
  }
}

variable "function" {
  description = "Its entry of functions/topology.yaml, with the defaults."
  type = object({
    public        = bool
    paths         = optional(list(string), [])
    subscribes    = optional(string)
    schedule      = optional(string)
    publishes     = set(string)
    secrets       = set(string)
    store         = string
    timeout       = number
    memory        = string
    cpu           = string
    concurrency   = number
    min_instances = number
    max_instances = number
  })
  nullable = false

  # Ranges: cloud.google.com/functions/docs/configuring and cloud.google.com/run/docs/configuring. The provider does not
  # check them.
  validation {
    condition     = contains(["none", "read", "write"], var.function.store)
    error_message = "store: none, read or write."
  }
  validation {
    condition     = var.function.timeout >= 1 && var.function.timeout <= 3600 && floor(var.function.timeout) == var.function.timeout
    error_message = "timeout: 1 to 3600 whole seconds."
  }
  validation {
    condition     = can(regex("^[1-9][0-9]*(Mi|Gi|M|G)$", var.function.memory))
    error_message = "memory: a number with Mi, Gi, M or G, such as 512Mi."
  }
  validation {
    condition     = can(tonumber(var.function.cpu)) && try(tonumber(var.function.cpu) >= 0.08 && (tonumber(var.function.cpu) < 1 || contains(["1", "2", "4", "6", "8"], var.function.cpu)), false)
    error_message = "cpu: from 0.08 to below 1, or 1, 2, 4, 6 or 8."
  }
  validation {
    condition     = var.function.concurrency >= 1 && var.function.concurrency <= 1000
    error_message = "concurrency: 1 to 1000."
  }
  validation {
    condition     = var.function.concurrency == 1 || try(tonumber(var.function.cpu) >= 1, false)
    error_message = "concurrency: above 1 a whole CPU is needed."
  }
  validation {
    condition     = 0 <= var.function.min_instances && var.function.min_instances <= var.function.max_instances && 1 <= var.function.max_instances && var.function.max_instances <= 1000
    error_message = "min_instances to max_instances, from 0 to 1000, with at least one at most."
  }
  validation {
    condition     = var.function.subscribes == null || var.function.schedule == null
    error_message = "subscribes or schedule, not both."
  }
  validation {
    condition     = !var.function.public || (var.function.subscribes == null && var.function.schedule == null)
    error_message = "public: not for a function that is called by a subscription or a schedule."
  }
  validation {
    condition     = length(setsubtract(setunion(var.function.publishes, var.function.subscribes == null ? [] : [var.function.subscribes]), keys(var.topics))) == 0
    error_message = "publishes and subscribes: only topics that the topology names."
  }
  validation {
    condition     = toset(var.function.secrets) == toset(keys(var.secrets))
    error_message = "secrets: those that it gets are not those that the topology names."
  }
}

variable "members" {
  description = "IAM members, such as user:ada@example.com, who may call it. With none, only machines reach it."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "name" {
  description = "Its name in functions/topology.yaml."
  type        = string
  nullable    = false

  validation {
    # The longest account id is signalbox-NAME-caller, of 30 characters; a subscription has the name itself, of 3 at least.
    condition     = can(regex("^[a-z][a-z0-9-]{1,11}[a-z0-9]$", var.name)) && !startswith(var.name, "goog")
    error_message = "A function's name: 3 to 13 lower-case letters, digits and hyphens, beginning with a letter and not with goog."
  }
}

variable "project_id" {
  description = "The project."
  type        = string
  nullable    = false
}

variable "pubsub_agent" {
  description = "Pub/Sub's own service account in the project, as an IAM member."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Where it runs."
  type        = string
  nullable    = false
}

variable "runtime" {
  description = "The Python that it runs on."
  type        = string
  nullable    = false
}

variable "secrets" {
  description = "The secrets that it reads, by name. `listed`: all enabled versions are accepted, so they are listed."
  type        = map(object({ id = string, listed = bool }))
  nullable    = false
}

variable "settle" {
  description = "Seconds that a new account and its grants are given to be known everywhere."
  type        = number
  default     = 60
  nullable    = false
}

variable "source_archive" {
  description = "Where its package is."
  type        = object({ bucket = string, object = string })
  nullable    = false
}

variable "topics" {
  description = "Ids of all topics, by name."
  type        = map(string)
  nullable    = false
}
