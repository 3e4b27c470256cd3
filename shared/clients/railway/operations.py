"""What people who look after a project ask of Railway; no function of the pipeline needs it.

A document here is as in railway_wire: one operation, whose root field is called `result`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from shared.clients.railway.client import PAGE, Railway
from shared.clients.railway.wire import PageInfo
from shared.runtime.redaction import redact

SERVICES = """query Services($projectId: String!, $environmentId: String!, $first: Int!, $after: String) {
  result: environment(id: $environmentId, projectId: $projectId) {
    serviceInstances(first: $first, after: $after) {
      edges { node { serviceId serviceName latestDeployment { id status } } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""

EVENTS = """query Events($id: String!, $first: Int!) {
  result: deploymentEvents(id: $id, first: $first) {
    edges { node { step createdAt completedAt payload { error } } }
  }
}"""

RESTART = """mutation Restart($id: String!) {
  result: deploymentRestart(id: $id)
}"""

USAGE = """query Usage(
  $projectId: String!, $measurements: [MetricMeasurement!]!, $startDate: DateTime, $endDate: DateTime
) {
  result: usage(
    projectId: $projectId, measurements: $measurements, startDate: $startDate, endDate: $endDate, groupBy: [SERVICE_ID]
  ) { measurement value tags { serviceId } }
}"""

ESTIMATED_USAGE = """query EstimatedUsage($projectId: String!, $measurements: [MetricMeasurement!]!) {
  result: estimatedUsage(projectId: $projectId, measurements: $measurements) { measurement estimatedValue }
}"""

MEASUREMENTS = ("CPU_USAGE", "MEMORY_USAGE_GB", "NETWORK_TX_GB", "DISK_USAGE_GB")
"""What Railway charges for, in vCPU-minutes, GB-minutes and GB, not in money (docs.railway.com/reference/pricing)."""


class Latest(Struct, frozen=True):
    """The latest deployment of a service."""

    id: str
    status: str


class Listed(Struct, frozen=True, rename="camel"):
    """A service of an environment."""

    service_id: str
    service_name: str
    latest_deployment: Latest | None = None


class Step(Struct, frozen=True, kw_only=True):
    """Something that Railway did for a deployment, such as BUILD_IMAGE or HEALTHCHECK; without an end it goes on."""

    step: str
    began: datetime
    ended: datetime | None = None
    error: str | None = None


class Used(Struct, frozen=True):
    """How much of something a service used; None: what belongs to no service."""

    measurement: str
    value: float
    service_id: str | None = None


class Operations:
    """Every call raises what Railway's other calls raise."""

    def __init__(self, railway: Railway) -> None:
        self._railway = railway

    async def services(self, *, project_id: str, environment_id: str) -> list[Listed]:
        """The services of an environment, each with its latest deployment."""
        found: list[Listed] = []
        after: str | None = None
        while True:
            target_config: dict[str, Any] = {"projectId": project_id, "environmentId": environment_id}
            environment = await self._railway.call(SERVICES, _Environment, **target_config, first=PAGE, after=after)
            page = environment.service_instances
            found += [edge.node for edge in page.edges]
            before, after = after, page.page_info.end_cursor
            if not page.page_info.has_next_page or after in (None, before):  # the same once more would never end
                return found

    async def events(self, deployment_id: str) -> list[Step]:
        """What Railway has done for the deployment so far, in order; errors with secrets masked."""
        page = await self._railway.call(EVENTS, _EventPage, id=deployment_id, first=PAGE)
        return sorted((_step(edge.node) for edge in page.edges), key=lambda step: step.began)

    async def restart(self, deployment_id: str) -> None:
        """Begin the process of a live or crashed deployment anew; it stays the same deployment."""
        await self._railway.confirmed(RESTART, deployment_id)

    async def usage(
        self,
        project_id: str,
        *,
        measurements: Sequence[str] = MEASUREMENTS,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Used]:
        """What each service used; without `since` in this billing period."""
        dates: dict[str, Any] = {"startDate": since and since.isoformat(), "endDate": until and until.isoformat()}
        found = await self._railway.call(
            USAGE, list[_Usage], projectId=project_id, measurements=list(measurements), **dates
        )
        return [Used(one.measurement, one.value, one.tags.service_id) for one in found]

    async def estimated_usage(self, project_id: str, *, measurements: Sequence[str] = MEASUREMENTS) -> list[Used]:
        """What the project will have used at the end of this billing period."""
        wanted: dict[str, Any] = {"projectId": project_id, "measurements": list(measurements)}
        found = await self._railway.call(ESTIMATED_USAGE, list[_Estimate], **wanted)
        return [Used(one.measurement, one.estimated_value) for one in found]


class _ServiceEdge(Struct):
    node: Listed


class _ServicePage(Struct, rename="camel"):
    edges: tuple[_ServiceEdge, ...]
    page_info: PageInfo


class _Environment(Struct, rename="camel"):
    service_instances: _ServicePage


class _Payload(Struct):
    error: str | None = None


class _Event(Struct, rename="camel"):
    step: str
    created_at: Annotated[datetime, Meta(tz=True)]
    completed_at: Annotated[datetime, Meta(tz=True)] | None = None
    payload: _Payload | None = None


class _EventEdge(Struct):
    node: _Event


class _EventPage(Struct):
    edges: tuple[_EventEdge, ...]


class _Tags(Struct, rename="camel"):
    service_id: str | None = None


class _Usage(Struct):
    measurement: str
    value: float
    tags: _Tags


class _Estimate(Struct, rename="camel"):
    measurement: str
    estimated_value: float


def _step(event: _Event) -> Step:
    error = event.payload.error if event.payload else None
    return Step(step=event.step, began=event.created_at, ended=event.completed_at, error=error and redact(error))
