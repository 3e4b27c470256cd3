"""What the simulated Railway answers to people who look after it: services, steps of a deployment, restarts, usage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from local.world.railway.deployment import Deployment, Service

if TYPE_CHECKING:
    from local.world.railway.server import RailwayWorld

_STEPS = {
    "INITIALIZING": "SNAPSHOT_CODE",
    "BUILDING": "BUILD_IMAGE",
    "DEPLOYING": "HEALTHCHECK",
    "REMOVING": "DRAIN_INSTANCES",
}


class OperationResolvers:
    """One method for each root field."""

    def __init__(self, world: RailwayWorld) -> None:
        self._world = world

    def root(self) -> dict[str, Any]:
        return {
            "environment": self._environment,
            "deploymentEvents": self._events,
            "deploymentRestart": lambda _, **target: self._world.restart(**target),
            "usage": self._usage,
            "estimatedUsage": self._estimate,
        }

    def _environment(self, _: Any, id: str, project_id: str | None = None) -> dict[str, Any]:
        found = [
            service
            for service in self._world.services
            if service.environment_id == id and project_id in {None, service.project_id}
        ]
        if not found:
            raise GraphQLError("Environment not found")
        instances = [self._instance(service) for service in found]
        return {
            "id": id,
            "name": found[0].environment_name,
            "isEphemeral": False,
            "projectId": found[0].project_id,
            "serviceInstances": lambda _, first=100, after=None, **__: page(instances, first, after),
        }

    def _instance(self, service: Service) -> dict[str, Any]:
        latest = next(iter(self._world.deployments(service.service_id, service.environment_id)), None)
        return {
            "id": f"{service.service_id}@{service.environment_id}",
            "serviceId": service.service_id,
            "serviceName": service.name,
            "latestDeployment": latest and {"id": latest.id, "status": latest.status},
        }

    def _events(self, _: Any, id: str, first: int = 100, after: str | None = None) -> dict[str, Any]:
        return page(list(_steps(self._world.deployment(id))), first, after)

    def _usage(
        self,
        _: Any,
        measurements: list[str],
        project_id: str | None = None,
        group_by: list[str] | None = None,
        **__: Any,
    ) -> list[dict[str, Any]]:
        return [
            {"measurement": name, "value": value, "tags": {"serviceId": id} if "SERVICE_ID" in (group_by or ()) else {}}
            for id, values in self._of(project_id).items()
            for name, value in values.items()
            if name in measurements
        ]

    def _estimate(
        self, _: Any, measurements: list[str], project_id: str | None = None, **__: Any
    ) -> list[dict[str, Any]]:
        """As if half of the billing period had passed."""
        totals = dict.fromkeys(measurements, 0.0)
        for values in self._of(project_id).values():
            for name in totals.keys() & values.keys():
                totals[name] += 2 * values[name]
        return [
            {"measurement": name, "estimatedValue": total, "projectId": project_id or ""}
            for name, total in totals.items()
        ]

    def _of(self, project_id: str | None) -> dict[str, dict[str, float]]:
        """What the services of the project used."""
        services = {service.service_id for service in self._world.services if service.project_id == project_id}
        if not services:
            raise GraphQLError("Project not found")
        return {id: values for id, values in self._world.used.items() if id in services}


def page(nodes: list[dict[str, Any]], first: int, after: str | None) -> dict[str, Any]:
    """Part of a list; a cursor is the id of the one before."""
    start = next((position for position, node in enumerate(nodes, 1) if node["id"] == after), 0)
    found = nodes[start : start + first]
    return {
        "edges": [{"cursor": node["id"], "node": node} for node in found],
        "pageInfo": {
            "hasNextPage": start + first < len(nodes),
            "endCursor": found[-1]["id"] if found else None,
        },
    }


def _steps(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """One for each status that is work, ended by the next status."""
    known: list[tuple[str, datetime]] = [("INITIALIZING", deployment.created_at), *deployment.history]
    for at, (status, since) in enumerate(known):
        if status not in _STEPS:
            continue
        following = known[at + 1] if at + 1 < len(known) else None
        failed = following is not None and following[0] == "FAILED"
        yield {
            "id": f"{deployment.id}-{at}",
            "step": _STEPS[status],
            "createdAt": timestamp(since),
            "completedAt": following and timestamp(following[1]),
            "payload": {"error": f"{status.lower()} failed" if failed else None},
        }


def timestamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
