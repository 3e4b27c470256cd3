"""The rules of a target: who has it and who waits, what was verified there, what is locked, held or quarantined.

Pure, like the pipeline that calls it. A *lock* stops every deployment and queues the runs; a *hold* stops only the
automatic ones; a *quarantine* stops one commit.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from shared.errors import Code
from shared.outbox import owe
from shared.outcome import Enqueue, Fail, Message
from shared.policy import Policy
from shared.run import Health, Hold, Kind, Quarantine, QueueEntry, Run, Target, Verified

KEPT_VERIFIED = 10
KEPT_QUARANTINED = 20


def take(run: Run, target: Target, now: datetime) -> Target | Enqueue | Fail:
    """The target as the run's own, or why the run cannot have it (now, or at all)."""
    if target.active == run.id:
        return target
    refused = _refusal(run, target)
    if refused is not None:
        return refused
    if target.active is not None:
        return Enqueue(f"queued behind {target.active}", Code.QUEUE_TIMEOUT)
    if target.lock is not None and run.kind is Kind.DEPLOY:
        return Enqueue(f"queued: the target is locked: {target.lock.reason}", Code.TARGET_LOCKED)
    return replace(
        target,
        active=run.id,
        queue=_without(target, run.id),
        hold=None if run.trigger.source == "command" else target.hold,
        updated_at=now,
    )


def enqueue(run: Run, target: Target, now: datetime) -> Target:
    """The run stands at the end of the queue, or where it stood already."""
    if any(entry.run_id == run.id for entry in target.queue):
        return target
    return replace(target, queue=(*target.queue, QueueEntry(run.id, run.stage)), updated_at=now)


def release(target: Target, run_id: str, now: datetime) -> tuple[Target, tuple[Message, ...]]:
    """Give the target up, leave its queue, and name the next run."""
    active = None if target.active == run_id else target.active
    return call_next(replace(target, active=active, queue=_without(target, run_id), updated_at=now))


def call_next(target: Target) -> tuple[Target, tuple[Message, ...]]:
    """Give a free and unlocked target to the first run of its queue, and wake that run."""
    if target.active is not None or not target.queue or target.lock is not None:
        return target, ()
    head, *rest = target.queue
    return replace(target, active=head.run_id, queue=tuple(rest)), (Message(head.stage, head.run_id),)


def standing(target: Target, run: Run, now: datetime) -> Target:
    """The run's deployment was verified: it is the current version, and what to come back to."""
    deployment = run.deployment
    if deployment is None or deployment.id is None or run.commit_sha is None:
        raise AssertionError(f"{run.id} was verified without a deployment")
    verified = Verified(
        deployment_id=deployment.id, commit_sha=run.commit_sha, run_id=run.id, at=now, migrates=deployment.migrates
    )
    return replace(
        target,
        verified=(verified, *target.verified)[:KEPT_VERIFIED],
        address=deployment.url,
        rollbacks_in_a_row=0,
        hold=None,
        quarantined=tuple(q for q in target.quarantined if q.commit_sha != run.commit_sha),
    )


def restored(target: Target, run: Run, now: datetime, policy: Policy) -> Target:
    """The old version serves again: the commit it replaced is quarantined, and the target perhaps held."""
    rollback = run.rollback
    if rollback is None or rollback.to is None or rollback.deployment_id is None:
        raise AssertionError(f"{run.id} was restored without a rollback")
    bad = run.commit_sha
    current = replace(rollback.to, deployment_id=rollback.deployment_id, run_id=run.id, at=now)
    older = tuple(v for v in target.verified if v.commit_sha not in (bad, current.commit_sha))
    quarantine = () if bad is None else (Quarantine(commit_sha=bad, run_id=run.id, reason=rollback.reason, at=now),)
    count = target.rollbacks_in_a_row + 1
    held = 0 < policy.hold_after_rollbacks <= count
    return replace(
        target,
        verified=(current, *older)[:KEPT_VERIFIED],
        rollbacks_in_a_row=count,
        hold=Hold(reason=f"{run.id} was rolled back: {rollback.reason}", at=now, run_id=run.id) if held else None,
        quarantined=(*quarantine, *(q for q in target.quarantined if q.commit_sha != bad))[:KEPT_QUARANTINED],
    )


def observe(target: Target, healthy: bool | None, detail: str, now: datetime, threshold: int) -> Target:
    """The target after a look at its health; None is no answer either way. A change of state is owed to people."""
    health = target.health
    if healthy is None:
        return replace(target, health=replace(health, checked_at=now, detail=detail), updated_at=now)
    failures = 0 if healthy else health.failures + 1
    state = "healthy" if healthy else "unhealthy" if failures >= threshold else health.state
    changed = state != health.state
    seen = Health(
        state=state,
        failures=failures,
        checked_at=now,
        changed_at=now if changed else health.changed_at,
        detail=detail,
    )
    after = replace(target, health=seen, updated_at=now)
    if not changed or (state == "healthy" and health.state == "unknown"):
        return after
    return owe(after, f"{'health_regained' if healthy else 'health_lost'}@{now:%Y-%m-%dT%H:%M:%SZ}", now)


def _refusal(run: Run, target: Target) -> Fail | None:
    if run.kind is Kind.ROLLBACK:
        return None
    quarantine = target.quarantine_of(run.commit_sha) if run.commit_sha else None
    if quarantine is not None and run.trigger.force is None:
        return Fail(Code.QUARANTINED, f"{quarantine.commit_sha[:7]} was rolled back by {quarantine.run_id}")
    if target.hold is not None and run.trigger.source != "command":
        return Fail(Code.TARGET_HELD, target.hold.reason)
    return None


def _without(target: Target, run_id: str) -> tuple[QueueEntry, ...]:
    return tuple(entry for entry in target.queue if entry.run_id != run_id)
