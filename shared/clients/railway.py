"""Railway's public GraphQL API: the deployments of a service, started, watched and rolled back, and their logs."""

from __future__ import annotations

import logging
import re
from collections import deque
from datetime import datetime
from typing import Any, TypeVar

import httpx
import msgspec
from msgspec import Raw, Struct

from shared.clients import railway_wire as wire
from shared.clients import tolerant
from shared.clients.http import open_client, send
from shared.clients.railway_setup import Setup, TokenKind
from shared.errors import NotFound, Refused, SignalboxError, Unauthorized, Unavailable, UnknownOutcome
from shared.redaction import redact
from shared.secrets import RAILWAY_API, Secrets
from shared.unreadable import UNREADABLE

log = logging.getLogger("signalbox")

PAGE = 100
LONGEST_LINE = 500

_IN_PROGRESS = {"INITIALIZING", "QUEUED", "WAITING", "NEEDS_APPROVAL", "BUILDING", "DEPLOYING"}
_ON_ITS_WAY = {"INITIALIZING", "QUEUED", "BUILDING", "DEPLOYING"}
_LIVE = {"SUCCESS", "SLEEPING"}
_FAILED = {"FAILED", "CRASHED"}
_GONE = {"REMOVING", "REMOVED"}
_KNOWN = _IN_PROGRESS | _LIVE | _FAILED | _GONE | {"SKIPPED"}
_CREDENTIAL_MESSAGES = {"not authorized", "project token not found", "two factor authentication required"}
_CREDENTIAL_CODES = {"UNAUTHENTICATED", "FORBIDDEN"}
_GENERIC = "problem processing request"
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
T = TypeVar("T")
S = TypeVar("S", bound=Struct)


class DeploymentState(Struct, frozen=True, kw_only=True):
    """A deployment as Railway describes it now. A commit has any number of them: its hash is not a key."""

    id: str
    status: str
    created_at: datetime
    commit_sha: str | None = None
    url: str | None = None
    can_rollback: bool = False
    can_redeploy: bool = False
    stopped: bool = False
    """All its instances have ended; together with SUCCESS: the process ended with code 0."""
    image: str | None = None
    migrates: bool = False
    """It ran a preDeployCommand, which a rollback does not undo."""
    running_instances: int = 0

    @property
    def in_progress(self) -> bool:
        """Not final. A status that we do not know counts as such: the stage's deadline decides."""
        return self.status in _IN_PROGRESS or self.status not in _KNOWN

    @property
    def live(self) -> bool:
        """It serves, or does at the next request (SLEEPING). It may still turn into CRASHED."""
        return self.status in _LIVE

    @property
    def serves(self) -> bool:
        """It answers, or does at the next request: live, and its process has not ended."""
        return self.live and (self.status == "SLEEPING" or not self.stopped)

    @property
    def failed(self) -> bool:
        """FAILED (never went live, the previous deployment still serves) or CRASHED (after it went live)."""
        return self.status in _FAILED

    @property
    def crashed(self) -> bool:
        return self.status == "CRASHED"

    @property
    def skipped(self) -> bool:
        """Not built: its checks failed, or no watched path changed."""
        return self.status == "SKIPPED"

    @property
    def gone(self) -> bool:
        """Replaced, cancelled or removed by hand. While REMOVING it may still serve."""
        return self.status in _GONE


class ServiceState(Struct, frozen=True, kw_only=True):
    """A service in one environment: what serves it and where; `host` is None for a private service."""

    active: tuple[DeploymentState, ...]
    """What runs now, in Railway's order: the predecessor stays among them, REMOVING, until it has drained."""
    latest_id: str | None
    host: str | None
    healthcheck_path: str | None
    image: str | None
    repository: str | None
    on_its_way: bool = False
    """The latest deployment is being built or started, and waits for nobody."""
    overlap_seconds: int | None = None
    """For how long the predecessor goes on serving; None when the service does not say."""


class Railway:
    """One instance's connection to Railway.

    Every call raises Unauthorized, NotFound, Refused, RateLimited, SecretMissing, and Unavailable (a query) or
    UnknownOutcome (a mutation that may have taken effect: Railway has no idempotency keys, so look before repeating).
    """

    def __init__(
        self,
        *,
        url: str,
        token_kind: TokenKind,
        secrets: Secrets,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._token_kind = token_kind
        self._secrets = secrets
        self._client = open_client(url, transport=transport)
        self.setup = Setup(self.call)
        """How the project is set up."""

    async def deploy(self, *, service_id: str, environment_id: str, commit_sha: str) -> str:
        """Start a deployment of the commit and return its id. Two calls make two deployments."""
        return await self.call(
            wire.DEPLOY, str, serviceId=service_id, environmentId=environment_id, commitSha=commit_sha
        )

    async def deployment(self, id: str) -> DeploymentState:
        return _state(await self.call(wire.DEPLOYMENT, wire.Deployment, id=id))

    async def deployments(
        self, *, project_id: str, environment_id: str, service_id: str, limit: int = PAGE
    ) -> list[DeploymentState]:
        """The latest deployments, removed ones too, newest first (Railway promises no order)."""
        wanted = {
            "projectId": project_id,
            "environmentId": environment_id,
            "serviceId": service_id,
            "includeDeleted": True,
        }
        found: list[DeploymentState] = []
        after: str | None = None
        while len(found) < limit:
            first = min(PAGE, limit - len(found))
            page = await self.call(wire.DEPLOYMENTS, wire.Page, input=wanted, first=first, after=after)
            found += [_state(edge.node) for edge in page.edges]
            before, after = after, page.page_info.end_cursor
            if not page.page_info.has_next_page or after in (None, before):  # the same once more would never end
                break
        return sorted(found, key=lambda deployment: deployment.created_at, reverse=True)[:limit]

    async def service(self, *, environment_id: str, service_id: str) -> ServiceState:
        found = await self.call(wire.SERVICE, wire.Service, environmentId=environment_id, serviceId=service_id)
        source = found.source or wire.Source()
        hosts = [domain.domain for domain in found.domains.custom_domains + found.domains.service_domains]
        return ServiceState(
            active=tuple(_state(deployment) for deployment in found.active_deployments),
            latest_id=None if found.latest_deployment is None else found.latest_deployment.id,
            on_its_way=found.latest_deployment is not None and found.latest_deployment.status in _ON_ITS_WAY,
            host=hosts[0] if hosts else None,
            healthcheck_path=found.healthcheck_path,
            image=source.image,
            repository=source.repo,
            overlap_seconds=found.overlap_seconds,
        )

    async def rollback(self, deployment_id: str) -> None:
        """Restore image and variables of a former deployment, as a new one.

        Railway does not say its id: list the deployments before, and look for the new one after.
        """
        await self.confirmed(wire.ROLLBACK, deployment_id)

    async def redeploy(self, deployment_id: str, *, use_previous_image: bool) -> str:
        """Run a deployment again with today's variables, from its image or built anew, and return the new id."""
        made = await self.call(wire.REDEPLOY, wire.Id, id=deployment_id, usePreviousImage=use_previous_image)
        return made.id

    async def cancel(self, deployment_id: str) -> None:
        """Stop a deployment that is not live yet; it becomes REMOVED."""
        await self.confirmed(wire.CANCEL, deployment_id)

    async def build_logs(self, deployment_id: str, *, limit: int) -> tuple[str, ...]:
        """The last `limit` lines of the build, oldest first, secrets masked, each at most 500 characters."""
        return _tail(await self.call(wire.BUILD_LOGS, list[wire.LogEntry], id=deployment_id, limit=limit), limit)

    async def deployment_logs(self, deployment_id: str, *, limit: int) -> tuple[str, ...]:
        """The last `limit` lines the application wrote, in the form of `build_logs`."""
        return _tail(await self.call(wire.DEPLOYMENT_LOGS, list[wire.LogEntry], id=deployment_id, limit=limit), limit)

    async def close(self) -> None:
        await self._client.aclose()

    async def confirmed(self, document: str, id: str) -> None:
        """Send a change that is answered with true or false, which is a refusal, too."""
        if not await self.call(document, bool, id=id):
            raise Refused(f"Railway {_name(document)}: answered false", status=200)

    async def call(self, document: str, kind: type[T], token_kind: TokenKind | None = None, **variables: Any) -> T:
        """Send a document of ours, and read its `result` as this kind: what every method does."""
        changes = document.startswith("mutation")
        name = _name(document)
        request = {"operationName": name, "query": document, "variables": variables}
        headers = await self._credentials(token_kind or self._token_kind)
        response = await send(self._client, "POST", self._url, changes=changes, headers=headers, json=request)
        if response.status_code in {401, 403}:
            self._secrets.clear()
            raise Unauthorized(f"Railway {name}: HTTP {response.status_code}", status=response.status_code)
        try:
            reply = tolerant.decode(response.content, wire.Reply, about=f"Railway {name}")
            if not reply.errors:
                return tolerant.decode(reply.result, kind, about=f"Railway {name}")
        except UNREADABLE as error:
            text = redact(f"Railway {name}: unreadable answer, HTTP {response.status_code}: {error}")
            raise _lost(changes)(text) from error
        problem = next((one for one in reply.errors if one is not None), None)
        raise self._refusal(problem or wire.Problem(message=_GENERIC), name, changes)

    async def _credentials(self, kind: TokenKind) -> dict[str, str]:
        """The one header of this kind of token: Railway is never to be sent both."""
        token = await self._secrets.token(RAILWAY_API)
        if kind == "project":
            return {"Project-Access-Token": token}
        return {"Authorization": f"Bearer {token}"}

    def _refusal(self, problem: wire.Problem, name: str, changes: bool) -> SignalboxError:
        """Railway has one code for refusals and for failures of its own, so the message has to tell them apart."""
        message = problem.message.lower()
        code = _text(problem.extensions.code) if problem.extensions else None
        text = redact(f"Railway {name}: {problem.message or 'refused'} (trace {problem.trace_id})")
        if message in _CREDENTIAL_MESSAGES or code in _CREDENTIAL_CODES:
            self._secrets.clear()
            return Unauthorized(text, status=200)
        if message.startswith(_GENERIC):
            return _lost(changes)(text)
        if message.endswith("not found") and message != "commit not found":
            return NotFound(text, status=200)
        return Refused(text, status=200)


def _name(document: str) -> str:
    """The name of the operation: the second word."""
    return document.partition("(")[0].split()[1]


def _lost(changes: bool) -> type[Unavailable | UnknownOutcome]:
    return UnknownOutcome if changes else Unavailable


def _state(raw: wire.Deployment) -> DeploymentState:
    if raw.status not in _KNOWN:
        log.warning("Railway deployment %s has the unknown status %s; taken as not final", raw.id, raw.status)
    meta = _lenient(raw.meta, wire.DeploymentMeta)
    deploy = _lenient(_lenient(meta.service_manifest, wire.Manifest).deploy, wire.ManifestDeploy)
    return DeploymentState(
        id=raw.id,
        status=raw.status,
        created_at=raw.created_at,
        commit_sha=_text(meta.commit_hash),
        url=raw.url or (f"https://{raw.static_url}" if raw.static_url else None),
        can_rollback=raw.can_rollback,
        can_redeploy=raw.can_redeploy,
        stopped=raw.deployment_stopped,
        image=_text(meta.image_digest) or _text(meta.image),
        migrates=bool(deploy.pre_deploy_command),
        running_instances=sum(instance.status == "RUNNING" for instance in raw.instances),
    )


def _lenient(raw: Raw, kind: type[S]) -> S:
    """The part of the untyped meta, or an empty one where it is missing or has another shape."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE:
        return kind()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _tail(entries: list[wire.LogEntry], limit: int) -> tuple[str, ...]:
    """Masked as one text, as a secret may span several entries, and before lines are cut, as a cut would hide it."""
    entries = sorted(entries, key=lambda entry: entry.timestamp.rstrip("Z"))
    text = redact(_COLOUR.sub("", "\n".join(entry.message for entry in entries)))
    lines = (line.rstrip()[:LONGEST_LINE] for line in text.split("\n"))
    return tuple(deque((line for line in lines if line), maxlen=limit))
