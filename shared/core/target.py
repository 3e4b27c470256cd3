"""The document of a target: what runs deploy to, one at a time.

It is immutable; `msgspec.structs.replace` makes the next state. `schema` counts incompatible changes of shape.
Times are timezone-aware UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from shared.core.reasons import Reason
from shared.core.run import Deployment, Lease, Notified, Stage, Verified


class Lock(Struct, frozen=True, kw_only=True):
    """Nothing is deployed to a locked target; runs queue."""

    by: str
    reason: str
    at: datetime
    run_id: str | None = None


class Pause(Struct, frozen=True, kw_only=True):
    """Nothing is begun for a paused target: no merge, no deployment, no rollback; an operator lifts it."""

    by: str
    reason: str
    at: datetime

    def __str__(self) -> str:
        return f"paused by {self.by}: {self.reason}"


class Hold(Struct, frozen=True, kw_only=True):
    """Nothing is deployed automatically to a held target; a command lifts the hold."""

    reason: str
    at: datetime
    run_id: str
    unverified: bool = False
    """What is live may be a version that was not verified: a command deploys, and the hold stays until one is."""
    commit_sha: str | None = None
    """Of that version, which may also go live later. Another version that was live already ends no such hold."""
    deployment_id: str | None = None
    """Of that version, as far as it is known. While Railway is still at work on it, no other version ends the hold."""

    def outlasts(self, deployment: Deployment, commit_sha: str) -> bool:
        """Whether its version may still go live, after this deployment of another commit was verified."""
        coming = deployment.followed_by
        another = self.commit_sha != commit_sha and self.deployment_id in (coming, None)
        return self.unverified and coming is not None and another


class Quarantine(Struct, frozen=True, kw_only=True):
    """A commit that was rolled back: not deployed here again unless a user says so."""

    commit_sha: str
    run_id: str
    reason: Reason
    at: datetime


class HeldBack(Struct, frozen=True, kw_only=True):
    """A merge that was not deployed because the target is held: the next deployment of a commit with it brings it."""

    commit_sha: str
    run_id: str
    at: datetime
    number: int | None = None
    """Of the pull request."""
    title: str = ""
    missing_in: str | None = None
    """The commit that is live and does not contain it, as far as GitHub was asked."""


class QueueEntry(Struct, frozen=True):
    """A run that waits for the target, and the stage to wake it in."""

    run_id: str
    stage: Stage
    merged: str | None = None
    """The commit of a merge that is deployed by itself: a newer one that contains it takes its place."""


class Health(Struct, frozen=True, kw_only=True):
    """What the sweep saw last; `failures` counts failed checks in a row."""

    state: Literal["unknown", "healthy", "unhealthy"] = "unknown"
    failures: int = 0
    checked_at: datetime | None = None
    changed_at: datetime | None = None
    detail: str = ""


class Serving(Struct, frozen=True, kw_only=True):
    """What serves by Railway's word, as the sweep saw it last; nothing does where there is no `deployment_id`."""

    looked_at: datetime | None = None
    deployment_id: str | None = None
    commit_sha: str | None = None
    drifting_since: datetime | None = None
    """Since when that is not the version that was verified last."""

    @property
    def version(self) -> str | None:
        return self.commit_sha or self.deployment_id


class Deaf(Struct, frozen=True, kw_only=True):
    """GitHub's webhooks about the repository do not arrive."""

    since: datetime
    reason: str
    failing: bool = False
    """GitHub tries to deliver and cannot, whatever repository it is about; otherwise it does not even try."""


class Repository(Struct, frozen=True, kw_only=True):
    """GitHub's id of a repository, which stays, and what GitHub calls it now."""

    id: int
    name: str


class Target(Struct, frozen=True, kw_only=True):
    """One service in one environment of one repository."""

    id: str
    schema: Literal[1] = 1
    active: str | None = None
    """The run that has it."""
    queue: tuple[QueueEntry, ...] = ()
    """Runs that wait for it, in order."""
    lock: Lock | None = None
    pause: Pause | None = None
    hold: Hold | None = None
    address: str | None = None
    """Where its health is looked at: scheme and host, as last used."""
    verified: tuple[Verified, ...] = ()
    """Deployments that passed verification, newest first; the first is what should be serving."""
    rollbacks_in_a_row: int = 0
    last_command: int = 0
    """The latest comment that locked or unlocked it: an earlier one that comes later changes nothing."""
    answering: dict[str, Lease] = {}
    """Who answers which comment or label just now; on the first target of the repository, whichever it is about."""
    silent: tuple[int | str, ...] = ()
    """The latest comments and settings of labels that were answered where no reply could be written, in a locked
    conversation; on the first target of the repository, too."""
    quarantined: tuple[Quarantine, ...] = ()
    held_back: tuple[HeldBack, ...] = ()
    """Merges that the hold kept from being deployed, newest first: what `/deploy` or lifting the hold would bring."""
    health: Health = Health()
    left_alone: str | None = None
    """Why the sweep does not check its health, as Railway described the service last: it sleeps when idle, and a check
    would wake it, or it runs by a schedule, and answers nothing in between."""
    serving: Serving = Serving()
    owed: tuple[str, ...] = ()
    notified: dict[str, Notified] = {}
    notify_lease: Lease | None = None
    notify_due: datetime | None = None
    notify_attempts: int = 0
    wake_at: datetime | None = None
    watched_since: datetime | None = None
    """When the sweep first saw it in signalbox.toml: merges before that are not its business."""
    listened_since: datetime | None = None
    """When the sweep first saw the repository, on the first of its targets: earlier silence is not its business."""
    deaf: Deaf | None = None
    reported_until: datetime | None = None
    """The end of the last week of which the report was owed, on the first target of signalbox.toml."""
    heard: dict[str, datetime] = {}
    """When the last webhook about it arrived, by vendor; no more precise than five minutes."""
    repository: Repository | None = None
    """The one that the name in signalbox.toml meant when it was first seen."""
    analysed_forks: tuple[datetime, ...] = ()
    """When the analyses of forks' heads of the last day were owed, on the first target of the repository."""
    updated_at: datetime | None = None

    @property
    def current(self) -> Verified | None:
        return self.verified[0] if self.verified else None

    def quarantine_of(self, commit_sha: str) -> Quarantine | None:
        return next((q for q in self.quarantined if q.commit_sha == commit_sha), None)


def target_id(repository: str, service: str, environment: str) -> str:
    """`owner:name:service:environment`, usable as a Firestore document id and in a URL path."""
    return ":".join((*repository.split("/"), service, environment))
