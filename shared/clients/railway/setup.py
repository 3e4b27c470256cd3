"""How a Railway project is set up: whose the token is, what there is, and what Railway deploys by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeVar

from msgspec import Struct

from shared.clients.railway import wire

T = TypeVar("T")
TokenKind = Literal["account", "project"]


class Call(Protocol):
    """Sends a document as the client does, with the token in the header of another kind when that is named."""

    async def __call__(
        self, document: str, kind: type[T], token_kind: TokenKind | None = None, **variables: Any
    ) -> T: ...


class Token(Struct, frozen=True, kw_only=True):
    """What the token opens: an account's workspaces by name, or a project token's one environment."""

    kind: TokenKind
    workspaces: tuple[str, ...] = ()
    project_id: str | None = None
    environment_id: str | None = None


class Project(Struct, frozen=True):
    """Names by id."""

    name: str
    environments: Mapping[str, str]
    services: Mapping[str, str]


class AutoDeploy(Struct, frozen=True):
    """Whether Railway deploys each push by itself, and when it cannot, why."""

    enabled: bool
    reason: str | None


class Trigger(Struct, frozen=True):
    """What Railway deploys by itself when auto-deploy is on."""

    branch: str
    repository: str


class Setup:
    """Every call raises what the client's queries raise; nothing here changes anything."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def token(self, kind: TokenKind) -> Token:
        """The token taken as one of this kind. Raises Unauthorized when it is none.

        Workspace tokens count as account tokens (docs.railway.com/reference/public-api).
        """
        if kind == "project":
            scope = await self._call(wire.PROJECT_TOKEN, wire.ProjectToken, kind)
            return Token(kind=kind, project_id=scope.project_id, environment_id=scope.environment_id)
        found = await self._call(wire.API_TOKEN, wire.ApiToken, kind)
        return Token(kind=kind, workspaces=tuple(workspace.name for workspace in found.workspaces))

    async def project(self, id: str) -> Project:
        found = await self._call(wire.PROJECT, wire.Project, id=id)
        return Project(found.name, found.environments.names, found.services.names)

    async def auto_deploy(self, *, project_id: str, environment_id: str, service_id: str) -> AutoDeploy:
        found = await self._call(
            wire.AUTO_DEPLOY,
            wire.AutoDeploy,
            projectId=project_id,
            environmentId=environment_id,
            serviceId=service_id,
        )
        return AutoDeploy(found.enabled, found.reason)

    async def triggers(self, *, project_id: str, environment_id: str, service_id: str) -> list[Trigger]:
        page = await self._call(
            wire.TRIGGERS,
            wire.TriggerPage,
            projectId=project_id,
            environmentId=environment_id,
            serviceId=service_id,
        )
        return [Trigger(edge.node.branch, edge.node.repository) for edge in page.edges]
