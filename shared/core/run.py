"""The document of a run: one intent, from request to end.

It is immutable; `msgspec.structs.replace` makes the next state. `schema` counts incompatible changes of shape.
Times are timezone-aware UTC.
"""

from __future__ import annotations

import enum
import hashlib
from datetime import datetime
from typing import Literal

from msgspec import Struct

from shared.core.reasons import Reason


class Stage(enum.StrEnum):
    MERGE = "merge"
    DEPLOY = "deploy"
    MONITOR = "monitor"
    VERIFY = "verify"
    ROLLBACK = "rollback"
    DONE = "done"


class Status(enum.StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    NOT_DEPLOYED = "not_deployed"
    """There was nothing to deploy, or the target is held: neither a success nor a failure."""

    @property
    def terminal(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING, Status.WAITING)


class Kind(enum.StrEnum):
    DEPLOY = "deploy"
    ROLLBACK = "rollback"


class Verdict(enum.StrEnum):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not_run"


class PullRequest(Struct, frozen=True, kw_only=True):
    number: int
    title: str
    author: str
    head_sha: str
    base: str
    url: str
    public: bool = False
    """Everybody can read the comments on it."""


class Trigger(Struct, frozen=True, kw_only=True):
    """Who asked. `id` makes the run's id: the merge commit for a merge, the comment's id for a command.

    For a label it is that of its being set, and the head. `health`: what serves lost its health on probation; `id` is
    the deployment's. `promotion`: the commit was verified in the environment before, by the run and attempt of the id.
    """

    source: Literal["merge", "command", "label", "health", "replay", "promotion"]
    actor: str
    id: str
    url: str
    force: str | None = None
    """The reason given with --force, which overrides a quarantine."""
    out_of_order: bool = False
    """By an administrator, with --force: deployed though it was not verified in the environment before."""


class Deployment(Struct, frozen=True, kw_only=True):
    """The Railway deployment of a run. Before `id` is known this is the recorded intent to make one.

    `baseline` holds the ids that existed when the intent was recorded; an id outside it appeared since.
    """

    id: str | None = None
    url: str | None = None
    """Where it answers: scheme and host; None for a private service."""
    adopted: bool = False
    migrates: bool = False
    """It runs a preDeployCommand."""
    baseline: tuple[str, ...] = ()
    awaited_since: datetime | None = None
    """Since when Railway's own deployment is waited for (auto_deploy = "adopt")."""
    requested_at: datetime | None = None
    """When the call that makes one was about to be sent."""
    left_alone: str | None = None
    """Why the sweep does not check the health of this service, as Railway described it: see `Target.left_alone`."""
    health_check_before: str | None = None
    """The path at which Railway checked the version before this one, before it let that go live."""
    health_check_lost: bool = False
    """Railway checked the version before, and does not check this one."""
    followed_by: str | None = None
    """The newer deployment of the service that might still go live when this one was looked at last."""


class Verified(Struct, frozen=True, kw_only=True):
    """A deployment that passed verification."""

    deployment_id: str
    commit_sha: str
    run_id: str | None
    at: datetime
    migrates: bool = False
    """It ran a preDeployCommand, which a rollback does not undo."""


class Rollback(Struct, frozen=True, kw_only=True):
    """The rollback. `needed` is None until the rollback stage has looked; False when the old version still serves."""

    reason: Reason
    to: Verified | None = None
    to_commit: str | None = None
    """The commit requested by `/rollback to <sha>`, a prefix of at least seven characters."""
    unless: str | None = None
    """What was verified last when the command was given while a deployment was under way: if this commit serves when
    it reaches the front of the queue, that deployment was rolled back already."""
    method: Literal["image", "rebuild"] = "image"
    """`rebuild` when Railway no longer keeps the image: the old commit is deployed again, with today's variables."""
    needed: bool | None = None
    deployment_id: str | None = None
    baseline: tuple[str, ...] = ()
    requested_at: datetime | None = None


class Failure(Struct, frozen=True, kw_only=True):
    code: Reason
    message: str
    stage: Stage
    log_tail: tuple[str, ...] = ()


class Lease(Struct, frozen=True):
    """Who works on the run now; free once `until` has passed."""

    owner: str
    until: datetime


class EntryKind(enum.StrEnum):
    """What an entry of the history is about, beside its words."""

    REQUESTED = "requested"
    QUEUED = "queued"
    CALLED = "called"
    """The run reached the front of the target's queue."""
    WAITING = "waiting"
    RETRIED = "retried"
    """Something passing went wrong; the stage runs again."""
    REFUSED = "refused"
    """A vendor refused something; that is requested again."""
    ADVANCED = "advanced"
    """The stage is done, and the next one begins."""
    ROLLING_BACK = "rolling_back"
    """The stage failed, and the deployment is rolled back."""
    ENDED = "ended"
    REPLAYED = "replayed"


class HistoryEntry(Struct, frozen=True):
    at: datetime
    stage: Stage
    status: Status
    message: str
    kind: EntryKind | None = None
    """None in documents from before this field."""


class Check(Struct, frozen=True):
    """One question of the verification and its answer."""

    name: str
    verdict: Verdict
    detail: str


class Verification(Struct, frozen=True, kw_only=True):
    checks: tuple[Check, ...] = ()
    failures: int = 0
    """Failed looks in a row."""
    healthy_since: datetime | None = None
    """When the bake began, moved on by the time in which nothing could be seen."""
    looked_at: datetime | None = None
    relapses: int = 0
    """How often a failed check ended a bake, which then had to start again."""
    answered: bool = False
    """The version itself has answered, well or not: from then on Railway's edge answering for it is a failure."""

    @property
    def unseen(self) -> bool:
        """No one could check the service's health: it has no public address, or runs by a schedule."""
        return any(check.name == "health" and check.verdict is Verdict.NOT_RUN for check in self.checks)


class Notified(Struct, frozen=True):
    """What became of one owed notification: `outcome` is `sent`, or why it was given up."""

    at: datetime
    outcome: str


class AttemptOutcome(Struct, frozen=True, kw_only=True):
    """How an attempt of a run ended, kept when the run is replayed: figures count each attempt by itself."""

    attempt: int
    status: Status
    reason: Reason | None
    """Of the failure; None where there was none."""
    deployed: bool
    """It got as far as a deployment."""
    began_at: datetime
    ended_at: datetime
    stage_seconds: dict[str, float] = {}
    """The time spent in each stage."""


class Run(Struct, frozen=True, kw_only=True):
    id: str
    schema: Literal[1] = 1
    kind: Kind
    target: str
    repository: str
    service: str
    environment: str
    pull_request: PullRequest | None
    commit_sha: str | None
    """The commit that is deployed: the merge commit, known once merged."""
    head_seen_at: datetime | None = None
    """When the merge stage first looked at the pull request's head."""
    updated_head: str | None = None
    """The head of which GitHub was asked to bring it up to date with its base (update_branch)."""
    unchecked: str | None = None
    """What had not passed at the head of a pull request that people merged, in words."""
    trigger: Trigger
    stage: Stage
    status: Status
    attempt: int = 1
    """Raised when a finished run is replayed."""
    retried_by: int | None = None
    """The comment that asked for the present attempt."""
    replayed_at: datetime | None = None
    """When the present attempt began; None for the first. Documents from before this field have it in the history."""
    attempts_ended: tuple[AttemptOutcome, ...] = ()
    """The attempts before this one, oldest first."""
    attempts: int = 0
    """Claims of this stage since its last commit; waiting costs none."""
    refused_since: datetime | None = None
    """Since when a vendor refuses what this stage asks; None again with the stage's next result."""
    refusals: int = 0
    """How often since then."""
    left_unverified: bool = False
    """It ended while a version of its own may be live that was not verified, or is bad; the target is held for it."""
    deployment: Deployment | None = None
    rollback: Rollback | None = None
    verification: Verification | None = None
    address: str | None = None
    """Where the service answers, as far as the run knows by now: scheme and host."""
    error: Failure | None = None
    reason: Reason | None = None
    """Why nothing was deployed, where the run ended as `not_deployed`: that is no error."""
    touches: bool | None = None
    """Whether the merge changes a file that the service is deployed for; None: not looked at, so it is deployed."""
    next_up: str = ""
    """What becomes of the commit in the environments after this one, in words, once it was verified here."""
    time_left: float | None = None
    """Seconds that its stage had left when it was queued: what it has waited before is not given to it again."""
    suspended_since: datetime | None = None
    """Since when the stage's time stands still: Railway waits for a person, or has paused its builds."""
    lease: Lease | None = None
    notify_lease: Lease | None = None
    stage_due: datetime | None = None
    """When the stage is to be woken unless something does so first; None once the run has ended."""
    notify_due: datetime | None = None
    """When the owed notifications are to be tried; None when none is owed."""
    notify_attempts: int = 0
    """Tries since one was last delivered."""
    wake_at: datetime | None = None
    """The earlier of the two: what the sweep looks for."""
    deadline: datetime | None = None
    """When this stage's time is up."""
    history: tuple[HistoryEntry, ...] = ()
    owed: tuple[str, ...] = ()
    """Notifications not yet sent, as `event:channel`, oldest first."""
    notified: dict[str, Notified] = {}
    created_at: datetime
    updated_at: datetime
    expire_at: datetime

    @property
    def unasked(self) -> bool:
        """A rollback that no command requested: the version of `trigger.id` lost its health on probation."""
        back = self.rollback if self.kind is Kind.ROLLBACK else None
        return back is not None and back.reason is not Reason.ROLLED_BACK_BY_COMMAND

    @property
    def watched_deployment(self) -> str | None:
        """The deployment that monitor and verify look at: the restored one once a rollback has begun."""
        if self.rollback is not None:
            return self.rollback.deployment_id
        return self.deployment.id if self.deployment else None

    @property
    def watched_commit(self) -> str | None:
        """The commit that should answer."""
        if self.rollback is not None:
            return self.rollback.to.commit_sha if self.rollback.to else None
        return self.commit_sha


def run_id(target: str, number: int | None, trigger: str) -> str:
    """Readable and deterministic, so that creating the run is the dedupe: `production-pr42-0f3a9c21be`."""
    environment = target.rsplit(":", 1)[-1]
    digest = hashlib.sha256(f"{target} {trigger}".encode()).hexdigest()[:10]
    return f"{environment}-pr{number}-{digest}" if number else f"{environment}-{digest}"
