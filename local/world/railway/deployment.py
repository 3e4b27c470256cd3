"""The simulated Railway's services and deployments, and what each deployment may still be asked to do."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct, field

IN_PROGRESS = frozenset({"INITIALIZING", "NEEDS_APPROVAL", "WAITING", "QUEUED", "BUILDING", "DEPLOYING"})
SERVING = frozenset({"SUCCESS", "SLEEPING", "CRASHED"})
"""What a request to the service's domain meets; a crashed one answers with the edge's own error."""
ENDED = frozenset({"FAILED", "SKIPPED", "CRASHED", "REMOVED"})
TRANSITIONS: Mapping[str, frozenset[str]] = {
    "INITIALIZING": frozenset({"NEEDS_APPROVAL", "WAITING", "QUEUED", "BUILDING", "DEPLOYING", "SKIPPED", "REMOVED"}),
    "NEEDS_APPROVAL": frozenset({"WAITING", "QUEUED", "BUILDING", "DEPLOYING", "REMOVED"}),
    "WAITING": frozenset({"QUEUED", "BUILDING", "SKIPPED", "REMOVED"}),
    "QUEUED": frozenset({"BUILDING", "DEPLOYING", "REMOVED"}),
    "BUILDING": frozenset({"DEPLOYING", "FAILED", "REMOVED"}),
    "DEPLOYING": frozenset({"SUCCESS", "FAILED", "REMOVED"}),
    "SUCCESS": frozenset({"SLEEPING", "CRASHED", "REMOVING"}),
    "SLEEPING": frozenset({"SUCCESS", "REMOVING"}),
    "CRASHED": frozenset({"SUCCESS", "REMOVING"}),
    "REMOVING": frozenset({"REMOVED"}),
    "FAILED": frozenset(),
    "SKIPPED": frozenset(),
    "REMOVED": frozenset(),
}
"""Railway's thirteen statuses, and which may follow which (docs.railway.com/reference/deployments).

What runs a kept image is not built."""


class Plan(Struct, frozen=True, kw_only=True):
    """What becomes of one deployment, and how the application in it behaves. Durations are in seconds."""

    build: Literal["ok", "fail"] = "ok"
    start: Literal["ok", "fail"] = "ok"
    """`fail`: Railway's own health check gives up, and the deployment never goes live."""
    skipped: bool = False
    """Whatever the service watches: as `No changes to watched files`."""
    needs_approval: bool = False
    queued: bool = False
    """No builder is free at first."""
    crash_after: float | None = None
    sleep_after: float | None = None
    exit_after: float | None = None
    """The process ends with code 0: Railway goes on calling the deployment SUCCESS, and stopped."""
    health: Literal["ok", "failing", "unwell"] = "ok"
    """`failing`: 503; `unwell`: 200, with a body that says it is unhealthy."""
    routed_after: float = 0.0
    """So long after it went live the edge has no route to it, and answers 404 by itself."""
    listens_after: float = 0.0
    """So long after it went live the application does not listen, and the edge answers 502 by itself."""
    shows_commit: Literal["own", "previous"] | None = "own"
    migrates: bool = False
    build_log: tuple[str, ...] = ("installing dependencies", "build finished")
    log: tuple[str, ...] = ("starting", "listening")


class CustomDomain(Struct, kw_only=True):
    """A domain of the user's own, as Railway sees it.

    `elsewhere` is the commit that answers where its DNS record leads instead, such as to the old host; None: it leads
    here. `verified` is about the TXT record of its owner.
    """

    domain: str
    verified: bool = True
    elsewhere: str | None = None
    certificate: Literal["VALID", "ISSUING", "VALIDATING_OWNERSHIP", "ISSUE_FAILED"] = "VALID"


class Service(Struct, kw_only=True):
    """A service in one environment."""

    project_id: str
    environment_id: str
    environment_name: str
    service_id: str
    name: str
    repository: str
    branch: str
    domain: str | None
    auto_deploy: bool
    custom_domains: list[CustomDomain] = field(default_factory=list)
    waits_for_ci: bool = False
    """What a push deploys waits until its commit's checks have passed, and is skipped when they have not."""
    image: str | None = None
    """Deployed from an image, not from the repository."""
    healthcheck_path: str | None = "/health"
    """In its own settings."""
    config_file: str | None = None
    """Such as /railway.json: what stands in it comes before the settings, and never changes them."""
    file_healthcheck_path: str | None = None
    file_deploy: dict[str, object] = field(default_factory=dict)
    """What else that file has in its section deploy."""
    overlap_seconds: int | None = 5
    cron_schedule: str | None = None
    """The process is begun by a schedule: once live it has ended until the next tick."""
    sleeps: bool = False
    """`sleepApplication`: it is put to sleep when idle."""
    watch_patterns: tuple[str, ...] = ()
    """Each a folder with all in it, as `apps/web/**`, or a file."""

    def watches(self, files: Collection[str]) -> bool:
        """Whether a push that changes these files is built."""
        if not self.watch_patterns:
            return True
        folders = tuple(one.removesuffix("**").lstrip("/") for one in self.watch_patterns)
        return any(file.startswith(folders) for file in files)


class Deployment(Struct, kw_only=True, eq=False):
    """One deployment; `due` is when its status changes by itself next."""

    id: str
    service: Service
    commit_sha: str
    reason: Literal["deploy", "redeploy", "rollback"]
    source: Literal["GitHub", "API", "dashboard"]
    plan: Plan
    created_at: datetime
    due: datetime | None
    healthcheck_path: str | None = None
    """What Railway asks before it lets the deployment go live."""
    config_file: str | None = None
    status: str = "INITIALIZING"
    history: list[tuple[str, datetime]] = field(default_factory=list)
    """Each status and since when, after the first."""
    waits_for_ci: bool = False
    ci_passed: bool | None = None
    skipped_reason: str | None = None
    stopped: bool = False
    """Its process has ended by itself."""
    exit_due: datetime | None = None
    ended_at: datetime | None = None
    """When that was."""
    visible: bool = True
    has_image: bool = False
    """Built already, or running the image of another one."""
    restores: str | None = None
    live_at: datetime | None = None
    previous_commit: str | None = None
    """What served when it went live."""
    removed_at: datetime | None = None

    @property
    def image(self) -> str | None:
        text = f"{self.service.service_id} {self.commit_sha}"
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if self.has_image else None

    @property
    def can_redeploy(self) -> bool:
        return self.status in {"SUCCESS", "SLEEPING", "FAILED", "CRASHED", "SKIPPED"}

    def can_rollback(self, now: datetime, retention: timedelta) -> bool:
        """It has served, and its image is still kept."""
        if self.removed_at is not None:
            return self.live_at is not None and now - self.removed_at < retention
        return self.status in {"SUCCESS", "SLEEPING"}

    def after(self, gate: str) -> str:
        """The status that follows what can come before a build, or the beginning: only what this deployment has."""
        gates = {"NEEDS_APPROVAL": self.plan.needs_approval, "WAITING": self.waits_for_ci, "QUEUED": self.plan.queued}
        names = list(gates)
        ahead = names[names.index(gate) + 1 :] if gate in gates else names
        return next((name for name in ahead if gates[name]), "DEPLOYING" if self.has_image else "BUILDING")

    @property
    def instance(self) -> str | None:
        """The status of its one instance; None before there is one, and after."""
        return {
            "DEPLOYING": "INITIALIZING",
            "SUCCESS": "EXITED" if self.stopped else "RUNNING",
            "SLEEPING": "STOPPED",
            "CRASHED": "CRASHED",
            "REMOVING": "REMOVING",
        }.get(self.status)
