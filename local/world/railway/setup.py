"""What the simulated Railway tells about tokens, projects, and what it deploys by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import GraphQLError

from local.world.railway.deployment import Service

if TYPE_CHECKING:
    from local.world.railway.server import RailwayWorld


class SetupResolvers:
    """One method for each root field. The context of a request is its Caller."""

    def __init__(self, world: RailwayWorld) -> None:
        self._world = world

    def root(self) -> dict[str, Any]:
        return {
            "apiToken": self._api_token,
            "projectToken": self._project_token,
            "project": self._project,
            "serviceInstanceAutoDeployStatus": self._auto_deploy,
            "deploymentTriggers": self._triggers,
        }

    def _api_token(self, info: Any) -> dict[str, Any]:
        if info.context.kind != "account":
            raise GraphQLError("Not Authorized")
        return {"workspaces": [{"id": "workspace-1", "name": "Workspace"}]}

    def _project_token(self, info: Any) -> dict[str, Any]:
        if info.context.kind != "project":
            raise GraphQLError("Project Token not found")
        first = self._world.services[0]
        project_id, environment_id = info.context.scope or (first.project_id, first.environment_id)
        return {
            "id": "project-token-1",
            "name": "signalbox",
            "projectId": project_id,
            "environmentId": environment_id,
        }

    def _project(self, _: Any, id: str) -> dict[str, Any]:
        services = [service for service in self._world.services if service.project_id == id]
        if not services:
            raise GraphQLError("Project not found")
        environments = {service.environment_id: service.environment_name for service in services}
        named = {service.service_id: service.name for service in services}
        return {
            "id": id,
            "name": "Project",
            "environments": _page([{**_named(id, one), "isEphemeral": False} for one in environments.items()]),
            "services": _page([_named(id, one) for one in named.items()]),
        }

    def _auto_deploy(self, _: Any, project_id: str, environment_id: str, service_id: str) -> dict[str, Any]:
        service = self._service(project_id, environment_id, service_id)
        connected = service.image is None
        reason = None if connected else "Service is not connected to a repository"
        return {"enabled": service.auto_deploy, "canEnable": connected, "reason": reason}

    def _triggers(self, _: Any, project_id: str, environment_id: str, service_id: str) -> dict[str, Any]:
        service = self._service(project_id, environment_id, service_id)
        trigger = {
            "id": f"trigger-{service_id}@{environment_id}",
            "branch": service.branch,
            "repository": service.repository,
            "checkSuites": service.waits_for_ci,
            "provider": "github",
            "projectId": project_id,
            "environmentId": environment_id,
            "serviceId": service_id,
        }
        return _page([trigger] if service.image is None else [])

    def _service(self, project_id: str, environment_id: str, service_id: str) -> Service:
        service = self._world.service(service_id, environment_id)
        if service.project_id != project_id:
            raise GraphQLError("ServiceInstance not found")
        return service


def _named(project_id: str, one: tuple[str, str]) -> dict[str, Any]:
    return {"id": one[0], "name": one[1], "projectId": project_id}


def _page(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"edges": [{"cursor": node["id"], "node": node} for node in nodes]}
