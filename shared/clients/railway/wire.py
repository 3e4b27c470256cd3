"""What is said to Railway, word for word, and the shapes of what it answers.

Each document is one operation whose root field is called `result`. tests/vendors holds them against the schema.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

_DEPLOYMENT_FIELDS = """
fragment DeploymentFields on Deployment {
  id status createdAt url staticUrl meta canRollback canRedeploy deploymentStopped instances { status }
}"""

DEPLOY = """mutation Deploy($serviceId: String!, $environmentId: String!, $commitSha: String!) {
  result: serviceInstanceDeployV2(serviceId: $serviceId, environmentId: $environmentId, commitSha: $commitSha)
}"""

DEPLOYMENT = f"""query Deployment($id: String!) {{
  result: deployment(id: $id) {{ ...DeploymentFields }}
}}{_DEPLOYMENT_FIELDS}"""

DEPLOYMENTS = f"""query Deployments($input: DeploymentListInput!, $first: Int!, $after: String) {{
  result: deployments(input: $input, first: $first, after: $after) {{
    edges {{ node {{ ...DeploymentFields }} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}{_DEPLOYMENT_FIELDS}"""

SERVICE = f"""query Service($environmentId: String!, $serviceId: String!) {{
  result: serviceInstance(environmentId: $environmentId, serviceId: $serviceId) {{
    healthcheckPath overlapSeconds cronSchedule sleepApplication watchPatterns source {{ repo image }}
    latestDeployment {{ id status }}
    activeDeployments {{ ...DeploymentFields }}
    domains {{
      customDomains {{
        domain syncStatus status {{ verified certificateStatus dnsRecords {{ purpose status }} }}
      }}
      serviceDomains {{ domain syncStatus }}
    }}
  }}
}}{_DEPLOYMENT_FIELDS}"""

ROLLBACK = """mutation Rollback($id: String!) {
  result: deploymentRollback(id: $id)
}"""

REDEPLOY = """mutation Redeploy($id: String!, $usePreviousImage: Boolean!) {
  result: deploymentRedeploy(id: $id, usePreviousImageTag: $usePreviousImage) { id }
}"""

CANCEL = """mutation Cancel($id: String!) {
  result: deploymentCancel(id: $id)
}"""

BUILD_LOGS = """query BuildLogs($id: String!, $limit: Int!) {
  result: buildLogs(deploymentId: $id, limit: $limit) { timestamp message }
}"""

DEPLOYMENT_LOGS = """query DeploymentLogs($id: String!, $limit: Int!) {
  result: deploymentLogs(deploymentId: $id, limit: $limit) { timestamp message }
}"""

API_TOKEN = """query ApiToken {
  result: apiToken { workspaces { name } }
}"""

PROJECT_TOKEN = """query ProjectToken {
  result: projectToken { projectId environmentId }
}"""

PROJECT = """query Project($id: String!) {
  result: project(id: $id) {
    name
    environments { edges { node { id name } } }
    services { edges { node { id name } } }
  }
}"""

AUTO_DEPLOY = """query AutoDeploy($projectId: String!, $environmentId: String!, $serviceId: String!) {
  result: serviceInstanceAutoDeployStatus(
    projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId
  ) { enabled reason }
}"""

TRIGGERS = """query Triggers($projectId: String!, $environmentId: String!, $serviceId: String!) {
  result: deploymentTriggers(projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId) {
    edges { node { branch repository } }
  }
}"""


def root_of(document: str) -> str:
    """What the document asks for, by Railway's own name."""
    return document.partition("result: ")[2].partition("(")[0].split()[0]


class Extensions(Struct):
    code: Any = None


class Problem(Struct, rename="camel"):
    message: str = ""
    extensions: Extensions | None = None
    trace_id: Any = None


class Data(Struct):
    result: Raw = Raw(b"null")


class Reply(Struct):
    data: Data | None = None
    errors: tuple[Problem | None, ...] | None = None

    @property
    def result(self) -> Raw:
        return (self.data or Data()).result


class Instance(Struct):
    status: str


class Deployment(Struct, rename="camel"):
    id: str
    status: str
    created_at: Annotated[datetime, Meta(tz=True)]
    can_rollback: bool
    can_redeploy: bool
    deployment_stopped: bool
    instances: tuple[Instance, ...]
    url: str | None = None
    static_url: str | None = None
    meta: Raw = Raw(b"null")


class DeploymentMeta(Struct, rename="camel"):
    """`Deployment.meta` is JSON without a schema, and half empty until the build is done."""

    commit_hash: Any = None
    image: Any = None
    image_digest: Any = None
    skipped_reason: Any = None
    service_manifest: Raw = Raw(b"null")
    config_file: Any = None
    file_service_manifest: Raw = Raw(b"null")


class Manifest(Struct):
    deploy: Raw = Raw(b"null")


class FileManifest(Struct):
    """What a config file sets, in the sections that such a file has."""

    build: Raw = Raw(b"null")
    deploy: Raw = Raw(b"null")


class ManifestDeploy(Struct, rename="camel"):
    pre_deploy_command: Any = None
    healthcheck_path: Any = None


class Edge(Struct):
    node: Deployment


class PageInfo(Struct, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class Page(Struct, rename="camel"):
    edges: tuple[Edge, ...]
    page_info: PageInfo


class Id(Struct):
    id: str


class Latest(Struct):
    id: str
    status: str = ""


class DnsRecord(Struct):
    purpose: str = ""
    status: str = ""


class DomainStatus(Struct, rename="camel"):
    verified: bool = False
    certificate_status: str = ""
    dns_records: tuple[DnsRecord, ...] = ()


class Domain(Struct, rename="camel"):
    """Of either kind; only a custom domain has a status."""

    domain: str
    sync_status: str = ""
    status: DomainStatus | None = None

    @property
    def going(self) -> bool:
        """It is being taken away, or was."""
        return self.sync_status in {"DELETING", "DELETED"}


class Domains(Struct, rename="camel"):
    custom_domains: tuple[Domain, ...]
    service_domains: tuple[Domain, ...]


class Source(Struct):
    repo: str | None = None
    image: str | None = None


class Service(Struct, rename="camel"):
    active_deployments: tuple[Deployment, ...]
    domains: Domains
    latest_deployment: Latest | None = None
    healthcheck_path: str | None = None
    overlap_seconds: int | None = None
    cron_schedule: str | None = None
    sleep_application: bool | None = None
    watch_patterns: tuple[str, ...] = ()
    source: Source | None = None


class LogEntry(Struct):
    timestamp: str
    message: str


class Workspace(Struct):
    name: str


class ApiToken(Struct):
    workspaces: tuple[Workspace, ...]


class ProjectToken(Struct, rename="camel"):
    project_id: str
    environment_id: str


class Named(Struct):
    id: str
    name: str


class NamedEdge(Struct):
    node: Named


class NamedPage(Struct):
    edges: tuple[NamedEdge, ...]

    @property
    def names(self) -> dict[str, str]:
        """By id."""
        return {edge.node.id: edge.node.name for edge in self.edges}


class Project(Struct):
    name: str
    environments: NamedPage
    services: NamedPage


class AutoDeploy(Struct):
    enabled: bool
    reason: str | None = None


class Trigger(Struct):
    branch: str
    repository: str


class TriggerEdge(Struct):
    node: Trigger


class TriggerPage(Struct):
    edges: tuple[TriggerEdge, ...]
