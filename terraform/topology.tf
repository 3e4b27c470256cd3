# functions/topology.yaml is the one description of functions, topics and grants; nothing here repeats it.

locals {
  topology = yamldecode(file("${path.module}/${var.topology}"))

  topics       = toset(local.topology.topics)
  dead_letters = local.topology.dead_letters
  delivery     = local.topology.delivery
  described    = { for name, function in local.topology.functions : name => merge(local.topology.defaults, function) }
  subscribers  = toset([for name, function in local.functions : name if can(function.subscribes)])
  schedules    = { for name, function in local.functions : name => function.schedule if can(function.schedule) }

  # RAILWAY-API stands there for Railway's tokens: `make package` writes down which signalbox.toml names in its place.
  railway_api    = "RAILWAY-API"
  railway_file   = "${path.module}/${var.packages}/secrets.json"
  railway_tokens = try(jsondecode(file(local.railway_file)).railway, [local.railway_api])
  functions = {
    for name, function in local.described : name => merge(function, {
      secrets = flatten([for secret in function.secrets : secret == local.railway_api ? local.railway_tokens : [secret]])
    })
  }
  secrets = toset(flatten([for function in values(local.functions) : function.secrets]))
  # That of an account stays when nothing uses it any more, as it is protected, and the way back may need it.
  containers = setunion(local.secrets, flatten([for function in values(local.described) : function.secrets]))

  # Service agents that Google makes with the API; google_project_service_identity is in the beta provider only.
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}
