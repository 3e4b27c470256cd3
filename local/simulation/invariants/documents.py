"""What must hold of the documents, at every commit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from local.simulation.execution import START, Execution
from local.simulation.invariants.asking import Found, Question, ask, secrets_in
from shared.core import notices
from shared.core.run import Kind, Run, Stage, Status
from shared.core.target import Target
from shared.runtime.ports import Document

if TYPE_CHECKING:
    from local.simulation.witness import Witness

SKEW = timedelta(seconds=6)
"""How much two instances' clocks may disagree."""
STAGES = frozenset({Stage.MERGE, Stage.DEPLOY, Stage.MONITOR, Stage.VERIFY, Stage.ROLLBACK})
_FOLLOWS = {
    Stage.MERGE: {Stage.DEPLOY, Stage.DONE},
    Stage.DEPLOY: {Stage.MONITOR, Stage.ROLLBACK, Stage.DONE},
    Stage.MONITOR: {Stage.VERIFY, Stage.ROLLBACK, Stage.DONE},
    Stage.VERIFY: {Stage.ROLLBACK, Stage.DONE},
    Stage.ROLLBACK: {Stage.MONITOR, Stage.VERIFY, Stage.DONE},
    Stage.DONE: set(),
}
_ENDINGS = {
    Status.SUCCEEDED: {"succeeded", "rolled_back"},
    Status.FAILED: {"failed", "unverified", "rollback_failed"},
    Status.ROLLED_BACK: {"rolled_back"},
    Status.CANCELLED: {"cancelled"},
    Status.SUPERSEDED: {"superseded"},
    Status.NOT_DEPLOYED: {"held_back", "nothing_to_deploy"},
}


def who_owes_is_woken(_: Witness, __: Execution, ___: Document | None, after: Document) -> Iterator[str]:
    """Whoever owes a stage or a notification has a `wake_at`, which is the earliest of what is due."""
    stage_due = after.stage_due if isinstance(after, Run) else None
    if isinstance(after, Run) and (stage_due is None) is not after.status.terminal:
        yield f"{after.id} is {after.status} and its stage is due {stage_due}"
    if after.owed and after.notify_due is None:
        yield f"{after.id} owes {after.owed} and never tells"
    due = min((at for at in (stage_due, after.notify_due) if at is not None), default=None)
    if after.wake_at != due:
        yield f"{after.id} is due {due} and woken {after.wake_at}"


def a_lease_keeps_others_away(
    witness: Witness, execution: Execution, before: Document | None, after: Document
) -> Iterator[str]:
    """While a lease lives, only its owner writes what the lease is for."""
    if not isinstance(before, Run) or not isinstance(after, Run) or before.lease is None:
        return
    if execution.function not in STAGES or before.lease.owner == execution.token:
        return
    if after.lease is None or after.lease.owner != execution.token:
        yield f"{execution.token} saves {after.id}, which {before.lease.owner} has"
    elif before.lease.until > _now(witness) + SKEW:
        yield f"{execution.token} takes {after.id}, which {before.lease.owner} has until {before.lease.until:%H:%M:%S}"


def notifying_is_leased(
    witness: Witness, execution: Execution, before: Document | None, after: Document
) -> Iterator[str]:
    """While one worker tells people about a document, no other begins to."""
    if before is None or before.notify_lease is None or execution.function != "notify":
        return
    new = after.notify_lease
    if new is None and before.notify_lease.owner != execution.token:
        yield f"{execution.token} ends the lease of {before.notify_lease.owner} on {after.id}"
    if new is not None and new.owner != before.notify_lease.owner and before.notify_lease.until > _now(witness) + SKEW:
        yield f"{new.owner} tells about {after.id}, which {before.notify_lease.owner} does already"


def history_has_no_gaps(_: Witness, __: Execution, before: Document | None, after: Document) -> Iterator[str]:
    """What was written stays, and every change of stage and every ending is written down."""
    if not isinstance(after, Run):
        return
    if not isinstance(before, Run):
        if not after.history:
            yield f"{after.id} begins without a history"
        return
    if after.history[: len(before.history)] != before.history:
        yield f"{after.id} lost a part of its history"
    moved = (before.stage, before.status.terminal) != (after.stage, after.status.terminal)
    if moved and len(after.history) == len(before.history):
        yield f"{after.id} went from {before.stage} to {after.stage} without a word"


def stages_follow_each_other(_: Witness, __: Execution, before: Document | None, after: Document) -> Iterator[str]:
    """A run goes only where its stage leads, and an ended one nowhere, unless a person has it attempted again."""
    if not isinstance(before, Run) or not isinstance(after, Run):
        return
    if before.status.terminal and after.attempt == before.attempt + 1 and after.retried_by is not None:
        return
    if before.stage is not after.stage and after.stage not in _FOLLOWS[before.stage]:
        yield f"{after.id} went from {before.stage} to {after.stage}"
    if (after.stage is Stage.DONE) is not after.status.terminal:
        yield f"{after.id} is {after.status} at {after.stage}"
    if before.status.terminal and (before.status, before.error) != (after.status, after.error):
        yield f"{after.id} had ended as {before.status} and is {after.status}"


def no_rollback_of_a_rollback(_: Witness, __: Execution, before: Document | None, after: Document) -> Iterator[str]:
    """A run that is on its way back never begins another way back."""
    here = isinstance(before, Run) and before.stage not in (Stage.ROLLBACK, Stage.DONE)
    back = here and isinstance(before, Run) and before.rollback is not None
    if back and isinstance(after, Run) and after.stage is Stage.ROLLBACK:
        yield f"{after.id} rolls back its rollback"


def endings_are_notified(_: Witness, __: Execution, ___: Document | None, after: Document) -> Iterator[str]:
    """A run that has ended owes people its ending, or has told them, in every channel."""
    if not isinstance(after, Run) or not after.status.terminal:
        return
    known = [notices.Notice.read(key) for key in (*after.owed, *after.notified)]
    ways = [event for event in _ENDINGS[after.status] if any(one.event == event for one in known)]
    if not ways:
        yield f"{after.id} ended as {after.status} and nobody is told"
    for event in ways:
        if missing := set(notices.CHANNELS[event]) - {one.channel for one in known if one.event == event}:
            yield f"{after.id} ended as {after.status} and does not owe {event} in {missing}"


def attempts_are_bounded(witness: Witness, _: Execution, __: Document | None, after: Document) -> Iterator[str]:
    """A stage that gets nowhere is given up after `max_attempts`, and a few claims that die while they do so."""
    place = witness.configured.target(after.target) if isinstance(after, Run) else None
    if place is not None and witness.claims[after.id] > place.policy.max_attempts + 3:
        yield f"{after.id} was claimed {witness.claims[after.id]} times without getting anywhere"


def one_run_per_intent(witness: Witness, _: Execution, before: Document | None, after: Document) -> Iterator[str]:
    """A merge, or a command, makes one run for a target."""
    if before is not None or not isinstance(after, Run):
        return
    for other in witness.runs():
        same = (other.target, other.trigger.source, other.trigger.id)
        if other.id != after.id and same == (after.target, after.trigger.source, after.trigger.id):
            yield f"{other.id} and {after.id} are about the same {after.trigger.source} {after.trigger.id}"


def no_secrets_in_documents(_: Witness, __: Execution, ___: Document | None, after: Document) -> Iterator[str]:
    """A document is shown to people."""
    yield from secrets_in(msgspec.json.encode(after), after.id)


def one_active_run_per_target(witness: Witness, _: Execution, __: Document | None, after: Document) -> Iterator[str]:
    """A run that deploys, follows, verifies or has asked to roll back has its target, and no other does."""
    id = after.id if isinstance(after, Target) else after.target
    target = witness.target(id)
    for run in witness.runs():
        if run.target == id and _occupies(run) and target.active != run.id:
            yield f"{run.id} is at {run.stage} and {id} is taken by {target.active}"


def no_target_stays_taken(witness: Witness, _: Execution, __: Document | None, after: Document) -> Iterator[str]:
    """Who has a target has not ended."""
    target = witness.target(after.id if isinstance(after, Target) else after.target)
    active = witness.run(target.active) if target.active else None
    if target.active and (active is None or active.status.terminal):
        yield f"{target.id} is taken by {target.active}, which {'does not exist' if active is None else 'has ended'}"


def turns_come(_: Witness, __: Execution, ___: Document | None, after: Document) -> Iterator[str]:
    """Nobody stands in the queue of a free target, unless it is locked or paused."""
    if isinstance(after, Target) and after.active is None and after.pause is None:
        waiting = [entry.run_id for entry in after.queue if after.lock is None or entry.stage is Stage.ROLLBACK]
        if waiting:
            yield f"{after.id} is free and {waiting} wait for it"


def queued_runs_are_in_the_queue(witness: Witness, _: Execution, __: Document | None, after: Document) -> Iterator[str]:
    """A queued run stands in its target's queue, or has been called."""
    if isinstance(after, Run) and after.status is Status.QUEUED:
        target = witness.target(after.target)
        if target.active != after.id and all(entry.run_id != after.id for entry in target.queue):
            yield f"{after.id} is queued, and {target.id} does not know of it"


def a_locked_target_is_not_taken(
    witness: Witness, _: Execution, before: Document | None, after: Document
) -> Iterator[str]:
    """A lock keeps deployments out; a rollback passes."""
    if isinstance(before, Target) and isinstance(after, Target) and before.lock is not None and after.lock is not None:
        run = witness.run(after.active) if after.active and after.active != before.active else None
        if run is not None and run.kind is Kind.DEPLOY:
            yield f"{run.id} takes {after.id}, which {after.lock.by} has locked"


def what_is_not_deployed_did_not_fail(
    _: Witness, __: Execution, ___: Document | None, after: Document
) -> Iterator[str]:
    """A run that ended as `not_deployed` says why, and has no error; no other run has such a reason."""
    if isinstance(after, Run) and (after.reason is not None) is not (after.status is Status.NOT_DEPLOYED):
        yield f"{after.id} is {after.status} with the reason {after.reason}"
    if isinstance(after, Run) and after.reason is not None and after.error is not None:
        yield f"{after.id} was not deployed and has the error {after.error.code}"


_COMMIT: list[Question[[Witness, Execution, Document | None, Document]]] = [
    who_owes_is_woken,
    a_lease_keeps_others_away,
    notifying_is_leased,
    history_has_no_gaps,
    stages_follow_each_other,
    no_rollback_of_a_rollback,
    endings_are_notified,
    attempts_are_bounded,
    one_run_per_intent,
    no_secrets_in_documents,
    one_active_run_per_target,
    no_target_stays_taken,
    turns_come,
    queued_runs_are_in_the_queue,
    a_locked_target_is_not_taken,
    what_is_not_deployed_did_not_fail,
]


def commit(witness: Witness, execution: Execution, before: Document | None, after: Document) -> Found:
    return ask(_COMMIT, witness, execution, before, after)


def _now(witness: Witness) -> datetime:
    return START + timedelta(seconds=witness.now)


def _occupies(run: Run) -> bool:
    if run.status.terminal or run.stage is Stage.MERGE:
        return False
    if run.stage is Stage.ROLLBACK and run.kind is Kind.ROLLBACK:
        return run.rollback is not None and run.rollback.requested_at is not None
    return True
