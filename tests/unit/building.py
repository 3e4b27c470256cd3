"""Documents for the tests of the pure core: a run to production, its target, and the terms it is judged by."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.core.observed import DeploymentState
from shared.core.pipeline import Pace, Terms
from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import (
    Deployment,
    HistoryEntry,
    Kind,
    Lease,
    PullRequest,
    Rollback,
    Run,
    Stage,
    Status,
    Trigger,
    Verified,
)
from shared.core.target import QueueEntry, Target

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
TARGET = "acme:shop:web:production"
RUN = "production-pr42-0f3a9c21be"
HEAD, MERGE, OLD, OLDER = ("1" * 40, "2" * 40, "3" * 40, "4" * 40)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def terms(now: datetime = NOON, *, pace: Pace | None = None, **policy: Any) -> Terms:
    return Terms(now, Policy(**policy), pace or Pace())


def a_trigger(source: str = "merge", **changes: Any) -> Trigger:
    given = {"source": source, "actor": "mona", "id": MERGE, "url": "https://github.com/acme/shop/pull/42"}
    return Trigger(**given | changes)


def a_run(stage: Stage = Stage.MERGE, **changes: Any) -> Run:
    """A run as it is claimed in a stage, a minute after it came there; the stage has ten minutes in all."""
    merged = stage is not Stage.MERGE and changes.get("kind") is not Kind.ROLLBACK
    deployed = stage in (Stage.MONITOR, Stage.VERIFY) and changes.get("kind") is not Kind.ROLLBACK
    given: dict[str, Any] = {
        "id": RUN,
        "kind": Kind.DEPLOY,
        "target": TARGET,
        "repository": "acme/shop",
        "service": "web",
        "environment": "production",
        "pull_request": PullRequest(
            number=42,
            title="Sell socks",
            author="mona",
            head_sha=HEAD,
            base="main",
            url="https://github.com/acme/shop/pull/42",
        ),
        "commit_sha": MERGE if merged else None,
        "trigger": a_trigger(),
        "stage": stage,
        "status": Status.RUNNING,
        "attempts": 1,
        "deployment": Deployment(id="d-new", url="https://web.example") if deployed else None,
        "rollback": Rollback(reason=Reason.ROLLED_BACK_BY_COMMAND) if changes.get("kind") is Kind.ROLLBACK else None,
        "lease": Lease("worker", at(60)),
        "stage_due": at(150),
        "wake_at": at(150),
        "deadline": at(540),
        "history": (HistoryEntry(at(-60), stage, Status.RUNNING, "requested by mona"),),
        "created_at": at(-60),
        "updated_at": at(0),
        "expire_at": at(90 * 86400),
    }
    return Run(**given | changes)


def a_way_back(**changes: Any) -> Rollback:
    """A rollback to the old version that Railway has begun."""
    given: dict[str, Any] = {
        "reason": Reason.UNHEALTHY,
        "to": a_version(),
        "needed": True,
        "deployment_id": "d-back",
        "requested_at": at(-30),
    }
    return Rollback(**given | changes)


def a_version(deployment_id: str = "d-old", commit_sha: str = OLD, **changes: Any) -> Verified:
    given: dict[str, Any] = {
        "deployment_id": deployment_id,
        "commit_sha": commit_sha,
        "run_id": "production-pr41-aaaaaaaaaa",
        "at": at(-86400),
    }
    return Verified(**given | changes)


def a_target(**changes: Any) -> Target:
    """The target as the run has it: the old version stands, nobody waits."""
    return Target(**{"id": TARGET, "active": RUN, "verified": (a_version(),)} | changes)


def queued(*ids: str, stage: Stage = Stage.MERGE) -> tuple[QueueEntry, ...]:
    return tuple(QueueEntry(id, stage) for id in ids)


def a_deployment(id: str = "d-new", status: str = "SUCCESS", **changes: Any) -> DeploymentState:
    ages = {"d-new": 0, "d-back": 60, "d-old": -86400, "d-older": -2 * 86400}
    given: dict[str, Any] = {"id": id, "status": status, "created_at": at(ages.get(id, -3600)), "commit_sha": MERGE}
    return DeploymentState(**given | changes)
