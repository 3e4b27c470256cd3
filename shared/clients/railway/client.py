"""Railway's public GraphQL API: the deployments of a service, started, watched and rolled back, and their logs."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from shared.clients import tolerant
from shared.clients.answers import RAILWAY, Said, error_of, is_page
from shared.clients.http import HttpClient, Network, Response, retry_after
from shared.clients.railway import wire
from shared.clients.railway.setup import Setup, TokenKind
from shared.core.observed import KNOWN_STATUSES, DeploymentState, ServiceState, is_in_progress
from shared.core.target_config import RAILWAY_API
from shared.errors import Refused, SignalboxError, Unauthorized, Unavailable, UnknownOutcome
from shared.runtime.redaction import redact
from shared.runtime.secrets import Secrets
from shared.runtime.unreadable import UNREADABLE

log = logging.getLogger("signalbox")

PAGE = 100
CONFIG_FILES_UNTIL = datetime(2026, 12, 1, tzinfo=UTC)
"""From then on Railway reads neither railway.json nor railway.toml: docs.railway.com/config-as-code."""
LONGEST_LINE = 500
LONGEST_ENTRY = 4 * LONGEST_LINE
"""Characters of one entry of a log that are looked at; it may have several lines."""

_ON_ITS_WAY = {"INITIALIZING", "QUEUED", "BUILDING", "DEPLOYING"}
_ENDED_INSTANCES = {"EXITED", "STOPPED", "CRASHED"}
_UNREADABLE = wire.Problem(message="Problem processing request, and Railway's error cannot be read")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
T = TypeVar("T")
S = TypeVar("S", bound=Struct)


class Railway:
    """One instance's connection to Railway.

    Every call raises Unauthorized, NotFound, Refused, Final, RateLimited, SecretMissing, and Unavailable (a query) or
    UnknownOutcome (a mutation that may have taken effect: Railway has no idempotency keys, so look before repeating).
    """

    def __init__(
        self,
        *,
        url: str,
        token_kind: TokenKind,
        secrets: Secrets,
        secret: str = RAILWAY_API,
        network: Network | None = None,
        client: HttpClient | None = None,
    ) -> None:
        """`secret` holds the token, which is of the kind `token_kind`; `client` is a connection that is open."""
        self._url = url
        self._secret = secret
        self._token_kind = token_kind
        self._secrets = secrets
        self._client = client or HttpClient(url, network=network)
        self.setup = Setup(self.call)
        """How the project is set up."""

    def using(self, secret: str, token_kind: TokenKind) -> Railway:
        """The same connection with another token. To close one is to close both."""
        return Railway(url=self._url, secrets=self._secrets, secret=secret, token_kind=token_kind, client=self._client)

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
        unused = {one.domain: why for one in found.domains.custom_domains if (why := _doubt(one))}
        custom = [one.domain for one in found.domains.custom_domains if one.domain not in unused]
        hosts = custom + [one.domain for one in found.domains.service_domains if not one.going]
        return ServiceState(
            active=tuple(_state(deployment) for deployment in found.active_deployments),
            latest_id=None if found.latest_deployment is None else found.latest_deployment.id,
            on_its_way=found.latest_deployment is not None and found.latest_deployment.status in _ON_ITS_WAY,
            may_go_live=found.latest_deployment is not None and is_in_progress(found.latest_deployment.status),
            host=hosts[0] if hosts else None,
            unused_domains=unused,
            healthcheck_path=found.healthcheck_path,
            image=source.image,
            repository=source.repo,
            overlap_seconds=found.overlap_seconds,
            cron_schedule=found.cron_schedule or None,
            sleeps=bool(found.sleep_application),
            watch_patterns=found.watch_patterns,
        )

    async def rollback(self, deployment_id: str) -> None:
        """Restore image and variables of a former deployment, as a new one.

        Railway does not say its id: list the deployments before, and look for the new one after.
        """
        await self.confirmed(wire.ROLLBACK, deployment_id)

    async def redeploy(self, deployment_id: str, *, use_previous_image: bool) -> str:
        """Run a deployment again with today's variables, from its image or rebuilt, and return the new id."""
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
        await self._client.close()

    async def confirmed(self, document: str, id: str) -> None:
        """Send a change that is answered with true or false, which is a refusal, too."""
        if not await self.call(document, bool, id=id):
            raise Refused(f"Railway {_name(document)}: answered false", status=200)

    async def call(self, document: str, kind: type[T], token_kind: TokenKind | None = None, **variables: Any) -> T:
        """Send a document of ours, and read its `result` as this kind: what every method does."""
        changes = document.startswith("mutation")
        name = _name(document)
        request = {"operationName": name, "query": document, "variables": variables}
        token_kind = token_kind or self._token_kind
        headers = await self._credentials(token_kind)
        response = await self._client.send("POST", self._url, changes=changes, headers=headers, json=request)
        try:
            reply = tolerant.decode(response.content, wire.Reply, about=f"Railway {name}")
            if not reply.errors and response.is_success:
                return tolerant.decode(reply.result, kind, about=f"Railway {name}")
        except UNREADABLE as error:
            if response.status_code not in {401, 403}:
                text = redact(f"Railway {name}: unreadable answer, HTTP {response.status_code}: {error}")
                raise _lost(changes)(text) from error
            reply = wire.Reply()
        shown = [problem for problem in reply.errors or () if problem is not None]
        problem = shown[0] if shown else _UNREADABLE if reply.errors else wire.Problem()
        raise self._refusal(problem, response, name, changes, self._why(document, token_kind))

    async def _credentials(self, kind: TokenKind) -> dict[str, str]:
        """The one header of this kind of token: Railway is never to be sent both."""
        token = await self._secrets.token(self._secret)
        if kind == "project":
            return {"Project-Access-Token": token}
        return {"Authorization": f"Bearer {token}"}

    def _why(self, document: str, kind: TokenKind) -> str:
        """What a refused project token may lack. Railway has one answer for a wrong scope and a missing permission."""
        if kind != "project":
            return ""
        return (
            f". {self._secret} holds a project token, which opens one environment of one project: either this is "
            f"another one, or Railway does not let a project token use `{wire.root_of(document)}`. "
            "`signalbox doctor` says which environment it opens"
        )

    def _refusal(self, problem: wire.Problem, response: Response, name: str, changes: bool, why: str) -> SignalboxError:
        """What RAILWAY in answers.py makes of it; after a refused credential the secret is read again."""
        code = _text(problem.extensions.code) if problem.extensions else None
        status = response.status_code
        page = is_page(response.content, response.headers.get("content-type", ""))
        silent = "refused" if response.is_success else f"HTTP {status}" + ", not Railway's own answer" * page
        words = problem.message or silent
        text = redact(f"Railway {name}: {words}" + f" (trace {problem.trace_id})" * (problem.trace_id is not None))
        said = Said(status=status, message=problem.message, kinds=frozenset([code] if code else []), foreign=page)
        error = error_of(said, RAILWAY, text, changes=changes, wait=retry_after(response))
        if isinstance(error, Unauthorized):
            self._secrets.clear()
            return Unauthorized(text + why, status=status)
        return error


def _name(document: str) -> str:
    """The name of the operation: the second word."""
    return document.partition("(")[0].split()[1]


def _lost(changes: bool) -> type[Unavailable | UnknownOutcome]:
    return UnknownOutcome if changes else Unavailable


def _state(raw: wire.Deployment) -> DeploymentState:
    if raw.status not in KNOWN_STATUSES:
        log.warning("Railway deployment %s has the unknown status %s; taken as not final", raw.id, raw.status)
    meta = _lenient(raw.meta, wire.DeploymentMeta)
    deploy = _lenient(_lenient(meta.service_manifest, wire.Manifest).deploy, wire.ManifestDeploy)
    config_file, file_settings = _of_config_file(meta)
    return DeploymentState(
        id=raw.id,
        status=raw.status,
        created_at=raw.created_at,
        commit_sha=_text(meta.commit_hash),
        url=raw.url or (f"https://{raw.static_url}" if raw.static_url else None),
        can_rollback=raw.can_rollback,
        can_redeploy=raw.can_redeploy,
        stopped=raw.deployment_stopped or _all_ended(raw.instances),
        skipped_reason=_text(meta.skipped_reason),
        image=_text(meta.image_digest) or _text(meta.image),
        migrates=bool(deploy.pre_deploy_command),
        running_instances=sum(instance.status == "RUNNING" for instance in raw.instances),
        health_check=None if _is_empty(meta.service_manifest) else _text(deploy.healthcheck_path) or "",
        config_file=config_file,
        file_settings=file_settings,
    )


def _all_ended(instances: Sequence[wire.Instance]) -> bool:
    """Not where there is none yet."""
    return bool(instances) and all(instance.status in _ENDED_INSTANCES for instance in instances)


def _doubt(domain: wire.Domain) -> str:
    """Why a custom domain may lead elsewhere, to the old host for instance; "" when it certainly leads to the service.

    `verified` alone is about its owner: the TXT record is often set days before traffic is moved, and stays when it is
    moved away. So the records that route traffic have to have arrived, and the certificate to be valid, too
    (CustomDomainStatus in Railway's schema; docs.railway.com, Manage Domains with the Public API). Behind Cloudflare's
    proxy Railway cannot see where the record leads, and says that it needs an update (seen in public; confidence C):
    then Railway's own domain, which leads to the same version, is looked at instead.
    """
    status = domain.status or wire.DomainStatus()
    routes = (record for record in status.dns_records if record.purpose != "DNS_RECORD_PURPOSE_ACME_DNS01_CHALLENGE")
    if domain.domain.startswith("*"):
        return "it is a wildcard"
    if domain.going:
        return "it is being removed"
    if not status.verified:
        return "Railway has not verified it"
    if any(record.status != "DNS_RECORD_STATUS_PROPAGATED" for record in routes):
        return "its DNS record does not lead to Railway"
    if status.certificate_status != "CERTIFICATE_STATUS_TYPE_VALID":
        return "its certificate is not valid yet"
    return ""


def _of_config_file(meta: wire.DeploymentMeta) -> tuple[str | None, tuple[str, ...]]:
    """The deprecated file that a deployment was configured by, and what it sets.

    Either may be missing from meta: a file is named before its content is known. `.railway/railway.ts` stays.
    """
    named = _text(meta.config_file)
    if named is not None and not named.lower().endswith((".json", ".toml")):
        return None, ()
    sections = _lenient(meta.file_service_manifest, wire.FileManifest)
    found = [
        f"{section}.{name}"
        for section in ("build", "deploy")
        for name, value in _lenient_table(getattr(sections, section)).items()
        if value is not None
    ]
    return named or ("railway.json or railway.toml" if found else None), tuple(found)


def _is_empty(manifest: Raw) -> bool:
    return not _lenient_table(manifest)


def _lenient_table(raw: Raw) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except UNREADABLE:
        return {}


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
    said = "\n".join(
        entry.message if len(entry.message) <= LONGEST_ENTRY else redact(entry.message, LONGEST_ENTRY)
        for entry in entries[-limit:]
    )
    text = redact(_COLOUR.sub("", said), longest=len(said))
    lines = (line.rstrip()[:LONGEST_LINE] for line in text.split("\n"))
    return tuple(deque((line for line in lines if line), maxlen=limit))
