"""Who may ask the simulated Railway what: an account's token everything, a project token one environment's affairs.

Source: docs.railway.com/reference/public-api. A dead token and a wrong scope get the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from graphql import GraphQLError
from msgspec import Struct

if TYPE_CHECKING:
    from local.world.railway.server import RailwayWorld

Resolve = Callable[..., Any]
Scope = tuple[str, str]
"""A project and one of its environments, by id."""
_ABOUT_THE_TOKEN = frozenset({"apiToken", "projectToken"})


class Caller(Struct, frozen=True):
    """By what token a request came: the context of its resolvers. `scope` is None where everything is open."""

    kind: Literal["account", "project"]
    scope: Scope | None = None


class Access:
    """Reads the token of a request, and stands before every resolver."""

    def __init__(self, world: RailwayWorld) -> None:
        self._world = world

    def caller(self, headers: Mapping[str, str]) -> Caller:
        """The token comes in its one header: both at once are refused, as is none. Raises GraphQLError."""
        bearer, project = headers.get("authorization"), headers.get("project-access-token")
        world = self._world
        if bearer is None and project is not None:
            if project in world.project_tokens:
                return Caller("project", world.project_tokens[project])
            if project != world.token or world.token_kind == "account":
                raise self._refused("Project Token not found", "a project token that opens nothing")
            first = world.services[0] if world.token_kind == "project" else None
            return Caller("project", (first.project_id, first.environment_id) if first else None)
        if bearer != f"Bearer {world.token}" or project is not None or world.token_kind == "project":
            raise self._refused("Not Authorized", "an account token that opens nothing, or none")
        return Caller("account")

    def guarded(self, field: str, resolve: Resolve) -> Resolve:
        """The resolver of a root field, for those who may ask for it."""

        def answer(info: Any, **asked: Any) -> Any:
            self._check(field, info.context, asked)
            return resolve(info, **asked)

        return answer

    def _check(self, field: str, caller: Caller, asked: Mapping[str, Any]) -> None:
        if caller.kind == "project" and field in self._world.refused_to_project_tokens:
            raise GraphQLError("Not Authorized")
        if caller.scope is None or field in _ABOUT_THE_TOKEN:
            return
        project, environment = self._place(field, asked)
        inside = project in (None, caller.scope[0]) and environment in (None, caller.scope[1])
        if not inside or (project, environment) == (None, None):
            why = f"{field} of {project}/{environment} with the token of {caller.scope}"
            raise self._refused("Not Authorized", why)

    def _refused(self, words: str, why: str) -> GraphQLError:
        self._world.trespasses.append(why)
        return GraphQLError(words)

    def _place(self, field: str, asked: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """The project and the environment that a call is about, as far as it says. Raises GraphQLError."""
        wanted, id = asked.get("input") or {}, asked.get("deployment_id") or asked.get("id")
        if field == "project":
            return id, None
        if field == "environment":
            return asked.get("project_id"), id
        if id is not None:
            service = self._world.deployment(id).service
            return service.project_id, service.environment_id
        project = asked.get("project_id") or wanted.get("projectId")
        return project, asked.get("environment_id") or wanted.get("environmentId")
