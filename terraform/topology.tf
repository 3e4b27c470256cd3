# functions/topology.yaml is the one description of functions, topics and grants; nothing here repeats it.

locals {
  topology = yamldecode(file("${path.module}/${var.topology}"))

  topics       = toset(local.topology.topics)
  dead_letters = local.topology.dead_letters
  delivery     = local.topology.delivery
  functions    = { for name, function in local.topology.functions : name => merge(local.topology.defaults, function) }
  subscribers  = toset([for name, function in local.functions : name if can(function.subscribes)])
  schedules    = { for name, function in local.functions : name => function.schedule if can(function.schedule) }
  secrets      = toset(flatten([for function in values(local.functions) : function.secrets]))

  # Service agents that Google makes with the API; google_project_service_identity is in the beta provider only.
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}
