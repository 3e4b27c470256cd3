"""The rules of a target: who has it and who waits, what was verified there, what is locked, held or quarantined.

Pure, like the pipeline that calls it. A *pause* stops everything, rollbacks too; a *lock* stops every deployment and
queues the runs; a *hold* stops only the automatic ones; a *quarantine* stops one commit.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from shared.core.notices import at_time, owe
from shared.core.outcome import Enqueue, Fail, Message, NotDeployed
from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import Kind, Run, Stage, Status, Verification, Verified
from shared.core.target import Health, HeldBack, Hold, Quarantine, QueueEntry, Target

KEPT_VERIFIED = 10
KEPT_QUARANTINED = 20
KEPT_HELD_BACK = 20
FOLLOWING = frozenset({"merge", "promotion"})
"""Triggers that follow the branch, merge by merge: a newer merge takes an older one along."""
AUTOMATIC = FOLLOWING | {"label"}
"""Triggers by which no one requested this target by name just now. A hold stops them, and so does a merge that has
nothing for the service; a command, a replay and a rollback it does not."""


def take(run: Run, target: Target, now: datetime, *, adopting: bool = False) -> Target | Enqueue | Fail | NotDeployed:
    """The target as the run's own, or why the run cannot have it (now, or at all).

    A run that was called from the queue has the target already, and is refused anyway when it has come to be
    held or its commit quarantined meanwhile. `adopting`: Railway deploys the merge by itself, whatever is said here, so
    it is followed and verified anyway.
    """
    under_way = target.active == run.id and run.kind is Kind.ROLLBACK  # it keeps the target, and waits with it
    if target.pause is not None and not under_way:
        return Enqueue(f"queued: {target.pause}", Reason.TARGET_PAUSED)
    refused = None if adopting and run.trigger.source == "merge" else refusal(run, target)
    if refused is not None:
        return refused
    if target.active not in (None, run.id):
        return Enqueue(f"queued behind {target.active}", Reason.QUEUE_TIMEOUT)
    called = target.active is None or run.status is Status.QUEUED
    if called and target.lock is not None and run.kind is Kind.DEPLOY:
        return Enqueue(f"queued: the target is locked: {target.lock.reason}", Reason.TARGET_LOCKED)
    resumed = run.kind is Kind.DEPLOY and run.trigger.source == "command"
    hold = target.hold if not resumed or (target.hold and target.hold.unverified) else None
    taken = replace(target, active=run.id, queue=_without(target, run.id), hold=hold)
    return target if taken == target else replace(taken, updated_at=now)


def enqueue(run: Run, target: Target, now: datetime) -> Target:
    """The run stands at the end of the queue, or where it stood already. If it had been called, it gives that up."""
    active = None if target.active == run.id else target.active
    stands = any(entry.run_id == run.id for entry in target.queue)
    if stands and active == target.active:
        return target
    merged = run.trigger.source in FOLLOWING and run.touches is not False  # what is not built brings nothing along
    entry = QueueEntry(run.id, run.stage, run.commit_sha if merged else None)
    queue = target.queue if stands else (*target.queue, entry)
    return replace(target, active=active, queue=queue, updated_at=now)


def rollback_waits(target: Target) -> bool:
    """Whether a rollback stands in the queue: what has not begun to be built gives way to it."""
    return target.pause is None and any(entry.stage is Stage.ROLLBACK for entry in target.queue)


def newer(run: Run, target: Target) -> tuple[str, ...]:
    """Commits that, if they contain a merged one that is deployed by itself, make its deployment pointless.

    The merges that wait with it, newest first, and then what was verified last: an event that comes late must not put
    an older version in its place. Whoever asks for a commit by command gets it.
    """
    if run.trigger.source not in FOLLOWING or run.commit_sha is None:
        return ()
    waiting = (entry.merged for entry in reversed(target.queue) if entry.run_id != run.id)
    serving = target.current.commit_sha if target.current else None
    found = (commit for commit in (*waiting, serving) if commit not in (None, run.commit_sha))
    return tuple(dict.fromkeys(commit for commit in found if commit and not target.quarantine_of(commit)))


def release(target: Target, run_id: str, now: datetime) -> tuple[Target, tuple[Message, ...]]:
    """Give the target up, leave its queue, and name the next run."""
    active = None if target.active == run_id else target.active
    return call_next(replace(target, active=active, queue=_without(target, run_id), updated_at=now))


def call_next(target: Target) -> tuple[Target, tuple[Message, ...]]:
    """Give a free target to the first run of its queue that may have it, and wake that run.

    While the target is locked that is a rollback, which enters the queue at its own stage. While it is paused, no one.
    """
    free = target.active is None and target.pause is None
    may_have_it = (entry for entry in target.queue if target.lock is None or entry.stage is Stage.ROLLBACK)
    head = next(may_have_it, None) if free else None
    if head is None:
        return target, ()
    called = replace(target, active=head.run_id, queue=_without(target, head.run_id))
    return called, (Message(head.stage, head.run_id),)


def resume(target: Target) -> tuple[Target, tuple[Message, ...]]:
    """No longer paused; the run that had the target, or the next one, goes on."""
    return call_next(replace(target, pause=None))


def standing(target: Target, run: Run, now: datetime) -> Target:
    """The run's deployment was verified: it is the current version, and what to come back to."""
    deployment = run.deployment
    if deployment is None or deployment.id is None or run.commit_sha is None:
        raise AssertionError(f"{run.id} was verified without a deployment")
    verified = Verified(
        deployment_id=deployment.id, commit_sha=run.commit_sha, run_id=run.id, at=now, migrates=deployment.migrates
    )
    hold = target.hold if target.hold is not None and target.hold.outlasts(deployment, run.commit_sha) else None
    return replace(
        _well(target, run.verification, now),
        left_alone=deployment.left_alone,
        held_back=tuple(one for one in target.held_back if one.commit_sha != run.commit_sha),
        verified=(verified, *(v for v in target.verified if v.deployment_id != deployment.id))[:KEPT_VERIFIED],
        address=deployment.url,
        rollbacks_in_a_row=0,
        hold=hold,
        quarantined=tuple(q for q in target.quarantined if q.commit_sha != run.commit_sha),
    )


def restored(target: Target, run: Run, now: datetime, policy: Policy) -> Target:
    """The old version serves again: the commit it replaced, if another, is quarantined, and the target perhaps held."""
    rollback = run.rollback
    if rollback is None or rollback.to is None or rollback.deployment_id is None:
        raise AssertionError(f"{run.id} was restored without a rollback")
    bad = run.commit_sha if run.commit_sha != rollback.to.commit_sha else None
    current = replace(rollback.to, deployment_id=rollback.deployment_id, run_id=run.id, at=now)
    older = tuple(v for v in target.verified if v.commit_sha not in (bad, current.commit_sha))
    quarantine = () if bad is None else (Quarantine(commit_sha=bad, run_id=run.id, reason=rollback.reason, at=now),)
    count = target.rollbacks_in_a_row + 1
    held = 0 < policy.hold_after_rollbacks <= count
    hold = Hold(reason=f"{run.id} was rolled back: {rollback.reason}", at=now, run_id=run.id) if held else None
    before = None if target.hold is not None and target.hold.unverified else target.hold  # replaced for good
    return replace(
        _well(target, run.verification, now),
        held_back=tuple(one for one in target.held_back if one.commit_sha != bad),
        verified=(current, *older)[:KEPT_VERIFIED],
        address=run.address or target.address,
        rollbacks_in_a_row=count,
        hold=hold or before,
        quarantined=(*quarantine, *(q for q in target.quarantined if q.commit_sha != bad))[:KEPT_QUARANTINED],
    )


def hold_unverified(target: Target, run: Run, reason: str, now: datetime) -> Target:
    """Held, because a version of the run's may be live that was not verified."""
    deployment_id = run.deployment.id if run.deployment else None
    hold = Hold(
        reason=reason,
        at=now,
        run_id=run.id,
        unverified=True,
        commit_sha=run.commit_sha,
        deployment_id=deployment_id,
    )
    return replace(target, hold=hold)


def good_again(target: Target, commit_sha: str | None) -> Target:
    """A version that is live already was verified: the hold for it is over, and none for one that may come yet."""
    hold = target.hold
    ends = hold is not None and hold.unverified and commit_sha is not None and hold.commit_sha == commit_sha
    return replace(target, hold=None) if ends else target


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
    return owe(after, "health_regained" if healthy else "health_lost", now, at_time(now))


def keep_back(target: Target, run: Run, now: datetime) -> Target:
    """Remember a merge that is not deployed because the target is held, once."""
    if run.commit_sha is None or any(one.commit_sha == run.commit_sha for one in target.held_back):
        return target
    pull = run.pull_request
    held = HeldBack(
        commit_sha=run.commit_sha,
        run_id=run.id,
        at=now,
        number=pull.number if pull else None,
        title=pull.title if pull else "",
    )
    return replace(target, held_back=(held, *target.held_back)[:KEPT_HELD_BACK], updated_at=now)


def _well(target: Target, verification: Verification | None, now: datetime) -> Target:
    """A version was verified: what was seen of the one before counts no more, and a loss of health is over.

    Where no one could check the new one's health, it is not known.
    """
    if verification is not None and verification.unseen:
        changed = now if target.health.state != "unknown" else target.health.changed_at
        return replace(target, health=Health(changed_at=changed, detail="live, not checked"))
    if target.health.state == "unhealthy":
        return observe(target, True, "verified", now, 1)
    return replace(target, health=replace(target.health, failures=0))


def refusal(run: Run, target: Target) -> Fail | NotDeployed | None:
    """Why nothing may be deployed here for the run: its commit is quarantined, or the target held."""
    if run.kind is Kind.ROLLBACK:
        return None
    quarantine = target.quarantine_of(run.commit_sha) if run.commit_sha else None
    if quarantine is not None and run.trigger.force is None:
        return Fail(Reason.QUARANTINED, f"{quarantine.commit_sha[:7]} was rolled back by {quarantine.run_id}")
    if target.hold is not None and run.trigger.source in AUTOMATIC:
        return NotDeployed(Reason.TARGET_HELD, f"the target is held: {target.hold.reason}")
    return None


def _without(target: Target, run_id: str) -> tuple[QueueEntry, ...]:
    return tuple(entry for entry in target.queue if entry.run_id != run_id)
