"""The user's application behind Railway's edge: answers as the deployment that serves would."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from local.world.railway import RailwayWorld
from local.world.railway_deployment import Deployment

COMMIT_FIELD = "commit"
COMMIT_HEADER = "x-commit-sha"


class Application:
    """One service's domain, as an ASGI app; the commit is in a JSON field (a dotted path) and in a header."""

    def __init__(
        self,
        railway: RailwayWorld,
        *,
        service_id: str,
        environment_id: str,
        health_path: str = "/health",
        commit_field: str = COMMIT_FIELD,
        commit_header: str = COMMIT_HEADER,
    ) -> None:
        self._railway = railway
        self._service = (service_id, environment_id)
        self._commit_field = commit_field
        self._commit_header = commit_header
        self._app = Starlette(routes=[Route(f"/{health_path.partition('?')[0].lstrip('/')}", self._health)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _health(self, request: Request) -> Response:  # noqa: ARG002
        deployment = self._railway.serving(*self._service)
        if deployment is None or deployment.status == "CRASHED" or deployment.stopped:
            return _edge_error()
        if deployment.status == "SLEEPING":
            self._railway.wake(deployment)
            return _edge_error()
        commit = _shown_commit(deployment)
        failing = deployment.plan.health == "failing"
        body = {"status": "error" if failing else "ok"} | (_nested(self._commit_field, commit) if commit else {})
        headers = {self._commit_header: commit} if commit else {}
        return JSONResponse(body, status_code=503 if failing else 200, headers=headers)


def _nested(path: str, value: str) -> dict[str, object]:
    """`build.commit` is {"build": {"commit": value}}."""
    name, _, rest = path.partition(".")
    return {name: _nested(rest, value) if rest else value}


def _shown_commit(deployment: Deployment) -> str | None:
    match deployment.plan.shows_commit:
        case "own":
            return deployment.commit_sha
        case "previous":
            return deployment.previous_commit
        case None:
            return None


def _edge_error() -> Response:
    """What the edge says when nothing behind it answers."""
    body = {"status": "error", "code": 502, "message": "Application failed to respond", "request_id": "simulated"}
    return JSONResponse(body, status_code=502)
