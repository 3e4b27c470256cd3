"""The user's application behind Railway's edge: answers as the deployment that serves would."""

from __future__ import annotations

from datetime import timedelta

from local.world import web
from local.world.railway.deployment import Deployment
from local.world.railway.server import RailwayWorld
from local.world.web import Request, Response, received
from shared.clients import http

COMMIT_FIELD = "commit"
COMMIT_HEADER = "x-commit-sha"


class Application:
    """One service's domains, as a network to them; the commit is in a JSON field (a dotted path) and in a header.

    A custom domain whose record leads elsewhere is answered as the host there would: well, by another commit. Where the
    policy names a `health_field`, a healthy version's has the `health_value`.
    """

    def __init__(
        self,
        railway: RailwayWorld,
        *,
        service_id: str,
        environment_id: str,
        health_path: str = "/health",
        commit_field: str = COMMIT_FIELD,
        commit_header: str = COMMIT_HEADER,
        health_field: str | None = None,
        health_value: object = None,
    ) -> None:
        self._railway = railway
        self._service = (service_id, environment_id)
        self._commit_field = commit_field
        self._commit_header = commit_header
        self._health_field = health_field
        self._health_value = health_value
        self._path = f"/{health_path.partition('?')[0].lstrip('/')}"

    async def __call__(self, sent: http.Request) -> http.Response:
        return await received(self.handle, sent)

    async def handle(self, request: Request) -> Response:
        if (request.method, request.path) != ("GET", self._path):
            return web.text("Not Found", 404)
        elsewhere = self._elsewhere(request.parts.hostname or "")
        if elsewhere is not None:
            return self._shown("ok", elsewhere)
        deployment = self._railway.serving(*self._service)
        if deployment is None:
            return _edge(404)
        if deployment.status == "CRASHED" or deployment.stopped:
            return _edge(502)
        if deployment.status == "SLEEPING":
            self._railway.wake(deployment)
            return _edge(502)
        if self._since_live(deployment) < timedelta(seconds=deployment.plan.routed_after):
            return _edge(404)
        if self._since_live(deployment) < timedelta(seconds=deployment.plan.listens_after):
            return _edge(502)
        health = deployment.plan.health
        word = {"ok": "ok", "failing": "error", "unwell": "unhealthy"}[health]
        return self._shown(word, _shown_commit(deployment), status=503 if health == "failing" else 200)

    def _shown(self, word: str, commit: str | None, *, status: int = 200) -> Response:
        body: dict[str, object] = {"status": word}
        if self._health_field is not None and word == "ok":
            _put(body, self._health_field, self._health_value)
        if commit is not None:
            _put(body, self._commit_field, commit)
        return web.json(body, status=status, headers={self._commit_header: commit} if commit else {})

    def _elsewhere(self, host: str) -> str | None:
        customs = self._railway.service(*self._service).custom_domains
        return next((custom.elsewhere for custom in customs if custom.domain == host), None)

    def _since_live(self, deployment: Deployment) -> timedelta:
        return self._railway.clock.now() - (deployment.live_at or deployment.created_at)


def _put(body: dict[str, object], path: str, value: object) -> None:
    """At a dotted path: `build.commit` is {"build": {"commit": value}}."""
    name, _, rest = path.partition(".")
    if not rest:
        body[name] = value
        return
    inner = body.get(name)
    within: dict[str, object] = inner if isinstance(inner, dict) else {}
    body[name] = within
    _put(within, rest, value)


def _shown_commit(deployment: Deployment) -> str | None:
    match deployment.plan.shows_commit:
        case "own":
            return deployment.commit_sha
        case "previous":
            return deployment.previous_commit
        case None:
            return None


_EDGE = {404: "Application not found", 502: "Application failed to respond"}


def _edge(status: int) -> Response:
    """What the edge says by itself: 404 without a route, 502 when nothing listens, also while a service wakes."""
    body = {"status": "error", "code": status, "message": _EDGE[status], "request_id": "simulated"}
    headers = {"server": "railway-edge", "x-railway-fallback": "true"}
    return web.json(body, status=status, headers=headers)
