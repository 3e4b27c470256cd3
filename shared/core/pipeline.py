"""The pure core: what follows from what. Order, deadlines, attempts, the rollback, and who is notified.

`apply` takes a run, its target and the outcome of a stage and returns the next state of both and the messages to
send; the shell commits the states and then publishes. Nothing here reads a clock or talks to anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.core import promotion, targets
from shared.core.leaving import BAD_DEPLOYMENT, may_be_live, unseen
from shared.core.notices import owe, scheduled
from shared.core.outcome import Advance, Enqueue, Fail, Message, NotDeployed, Outcome, Rejected, Retry, Wait
from shared.core.policy import Policy
from shared.core.reasons import Reason, stated
from shared.core.run import EntryKind, Failure, HistoryEntry, Kind, Lease, Rollback, Run, Stage, Status
from shared.core.target import Lock, Target
from shared.core.target_config import TargetConfig

NOTIFY = "notify"
KEPT_HISTORY = 200
ENOUGH_REFUSALS = 3
"""Looks in a row that a vendor has to refuse, besides the time that the policy names, before that counts."""
ONE_MORE_LOOK = 1.0
"""Seconds that a stage has at least after the queue."""
SOONEST_AGAIN = 5.0
"""Seconds after the first refusal; after each further one twice as long, and no longer than `poll`."""


class Pace(Struct, frozen=True, kw_only=True):
    """How fast the machinery around the pipeline is, in seconds."""

    redelivery: float = 660.0
    """By then a message handed back has been redelivered."""
    unclaimed: float = 90.0
    """By then a message just published has been claimed; the sweep sends it again otherwise."""
    limit: float = 50.0
    """The time a stage gets for one execution."""
    lease: float = 60.0
    """How long a claim keeps others away: longer than `limit`."""
    visible: float = 60.0
    """By then the effect of a vendor call whose answer was lost shows in the vendor's lists."""


class Terms(Struct, frozen=True):
    """What a run is judged by: the time, its target's policy, and the pace of the machinery."""

    now: datetime
    policy: Policy
    pace: Pace
    followers: tuple[TargetConfig, ...] = ()
    """The targets to which a commit goes once it was verified in this one."""

    def after(self, seconds: float) -> datetime:
        return self.now + timedelta(seconds=seconds)


class Transition(Struct, frozen=True):
    """The next states and what to publish once they are saved. `target` is None when it does not change."""

    run: Run
    target: Target | None = None
    messages: tuple[Message, ...] = ()
    begun: tuple[Run, ...] = ()
    """Runs to be created in the same commit."""
    again: bool = False
    """Hand the message back to the queue, which brings it again with backoff."""


class Refusal(Struct, frozen=True):
    """Why a run cannot be claimed now. `busy`: another worker has it, so the message must come again."""

    reason: str
    busy: bool = False
    messages: tuple[Message, ...] = ()


_NEXT = {
    Stage.MERGE: Stage.DEPLOY,
    Stage.DEPLOY: Stage.MONITOR,
    Stage.MONITOR: Stage.VERIFY,
    Stage.VERIFY: Stage.DONE,
    Stage.ROLLBACK: Stage.MONITOR,
}
_REACHED = {Stage.DEPLOY: "merged", Stage.MONITOR: "deploying", Stage.VERIFY: "live"}


def begin(run: Run, terms: Terms, *, quietly: bool = False) -> Transition:
    """The first state of a new run, as it is to be created.

    `quietly`: it may turn out at once that there is nothing to deploy, so people are notified from the next step on.
    """
    begun = note(
        replace(run, deadline=deadline_of(run.stage, terms)),
        terms,
        EntryKind.REQUESTED,
        _requested(run),
    )
    begun = begun if quietly else owe_event(begun, "started", terms)
    begun = replace(begun, stage_due=terms.after(terms.pace.unclaimed))
    return Transition(scheduled(begun), messages=messages_of(begun, Message(begun.stage, begun.id)))


def _requested(run: Run) -> str:
    if run.trigger.source == "promotion":
        return f"promoted after {run.trigger.id.split(' ')[0]} verified it; requested by {run.trigger.actor}"
    return f"requested by {run.trigger.actor}"


def claim(run: Run, stage: Stage, owner: str, terms: Terms) -> Run | Refusal:
    """Lease the run to one worker, for one execution of its stage."""
    if run.status.terminal:
        return Refusal(f"the run has ended ({run.status})")
    if run.stage is not stage:
        overdue = run.stage_due is not None and run.stage_due <= terms.now
        return Refusal(f"the run is at {run.stage}", messages=(Message(run.stage, run.id),) if overdue else ())
    if run.lease is not None and run.lease.until > terms.now:
        return Refusal(f"another worker has the run until {run.lease.until:%H:%M:%S}", busy=True)
    claimed = replace(
        run,
        lease=Lease(owner, terms.after(terms.pace.lease)),
        attempts=run.attempts + 1,
        status=Status.QUEUED if run.status is Status.QUEUED else Status.RUNNING,
        stage_due=terms.after(terms.pace.lease + terms.pace.unclaimed),
        updated_at=terms.now,
    )
    return scheduled(claimed)


def taken(run: Run, terms: Terms) -> Run:
    """The run once it has its target: time in the queue is not time of its stage."""
    if run.status is not Status.QUEUED:
        return run
    run = _unqueued(run, Status.RUNNING, terms)
    return note(run, terms, EntryKind.CALLED, "reached the front of the queue")


def apply(run: Run, target: Target, outcome: Outcome, terms: Terms) -> Transition:
    """What follows from a stage's outcome. `run` is as claimed; the result carries no lease."""
    outcome = judge(run, outcome, terms)
    if isinstance(outcome, Retry):
        return _again(run, outcome, terms)
    run = replace(run, lease=None, attempts=0, updated_at=terms.now)
    if isinstance(outcome, Rejected):
        return _refused(run, outcome, terms)
    run = replace(run, refused_since=None, refusals=0, deadline=_moved_by_refusals(run, terms))
    if isinstance(outcome, Enqueue):
        return _enqueue(run, target, outcome, terms)
    run = replace(run, **outcome.changes)
    if isinstance(outcome, Wait):
        aside = _before_the_target(run)
        return _step_aside(run, target, outcome, terms) if aside else _wait(run, outcome, terms)
    if isinstance(outcome, Fail):
        return _fail(run, target, outcome, terms)
    if isinstance(outcome, NotDeployed):
        return _not_deployed(run, target, outcome, terms)
    stage = Stage.VERIFY if _nothing_to_restore(run) else _NEXT[run.stage]
    if stage is Stage.DONE:
        return _verified(run, target, outcome, terms)
    return _enter(run, stage, outcome.message, terms)


def touches_target(run: Run, outcome: Outcome) -> bool:
    """Whether `apply` looks at the target for this (judged) outcome: the shell need not read it otherwise."""
    aside = isinstance(outcome, Wait) and _before_the_target(run)
    ending = isinstance(outcome, Advance) and run.stage is Stage.VERIFY
    return isinstance(outcome, Fail | NotDeployed | Enqueue) or aside or ending


def judge(run: Run, outcome: Outcome, terms: Terms) -> Outcome:
    """The outcome in the light of deadline and attempts: waiting past its time is failing."""
    overdue = _is_over(run, terms)
    match outcome:
        case Rejected() if (since := lasted(run, terms)) is not None:
            return Fail(outcome.code, f"{since}: {outcome.message}")
        case Wait() if overdue and not _changes_clocks(run, outcome):
            code = Reason.QUEUE_TIMEOUT if run.status is Status.QUEUED else outcome.otherwise
            return Fail(code, f"time ran out: {outcome.message}", changes=outcome.changes)
        case Enqueue() if overdue and run.status is Status.QUEUED:
            return Fail(outcome.otherwise, f"time ran out: {outcome.message}")
        case Retry() if _is_late(run, terms):
            return Fail(Reason.VENDOR_UNAVAILABLE, f"time ran out: {outcome.message}")
        case Retry() if run.attempts >= terms.policy.max_attempts:
            return Fail(Reason.ATTEMPTS_EXHAUSTED, f"tried {run.attempts} times: {outcome.message}")
    return outcome


def _again(run: Run, outcome: Retry, terms: Terms) -> Transition:
    """By the queue's backoff, or by the sweep when the vendor named a time."""
    named = outcome.retry_after
    due = terms.after(terms.pace.redelivery if named is None else named)
    status = run.status if run.status is Status.QUEUED else Status.WAITING
    run = replace(run, lease=None, status=status, stage_due=_capped(run, due, terms), updated_at=terms.now)
    return Transition(scheduled(note(run, terms, EntryKind.RETRIED, outcome.message)), again=named is None)


def _changes_clocks(run: Run, outcome: Wait) -> bool:
    """Whether the stage's time stops, or goes on, with this look: then the deadline that has passed says nothing."""
    return outcome.suspends is (run.suspended_since is None)


def _timed(run: Run, outcome: Wait, terms: Terms) -> Run:
    """With the deadline of what is waited for: people's time for people, and the stage's whole time afterwards."""
    if not _changes_clocks(run, outcome):
        return run
    if outcome.suspends:
        return replace(run, suspended_since=terms.now, deadline=terms.after(terms.policy.approval_deadline))
    return replace(run, suspended_since=None, deadline=deadline_of(run.stage, terms))


def _refused(run: Run, outcome: Rejected, terms: Terms) -> Transition:
    """Wait, and ask again: a refusal that has not lasted says nothing. Even at the deadline, which moves meanwhile."""
    since = run.refused_since or terms.now
    until = since + timedelta(seconds=terms.policy.refusal_patience)
    pause = min(terms.policy.poll, SOONEST_AGAIN * 2 ** min(run.refusals, 10))
    due = terms.after(pause) if terms.now >= until else min(terms.after(pause), until)
    status = run.status if run.status is Status.QUEUED else Status.WAITING
    known = run.refused_since is not None
    run = replace(run, status=status, stage_due=due, refused_since=since, refusals=run.refusals + 1)
    if not known:
        run = note(run, terms, EntryKind.REFUSED, f"refused; retrying until {until:%H:%M:%S} UTC: {outcome.message}")
    return Transition(scheduled(run))


def lasted(run: Run, terms: Terms) -> str | None:
    """How long a refusal has lasted, with the present one, in words; None when it does not count yet."""
    if run.refused_since is None or run.refusals + 1 < ENOUGH_REFUSALS:
        return None
    seconds = (terms.now - run.refused_since).total_seconds()
    if seconds < terms.policy.refusal_patience:
        return None
    return f"refused {run.refusals + 1} times in {seconds:.0f} s"


def _moved_by_refusals(run: Run, terms: Terms) -> datetime | None:
    """The stage's deadline, later by the time in which a vendor refused to let it do anything."""
    if run.deadline is None or run.refused_since is None:
        return run.deadline
    return run.deadline + (terms.now - run.refused_since)


def _is_over(run: Run, terms: Terms) -> bool:
    deadline = _moved_by_refusals(run, terms)
    return deadline is not None and terms.now >= deadline


def _is_late(run: Run, terms: Terms) -> bool:
    """Whether the time is up when nothing was learnt; a refusal before has moved that by no more than its patience."""
    moved = _moved_by_refusals(run, terms)
    if run.deadline is None or moved is None:
        return False
    return terms.now >= min(moved, run.deadline + timedelta(seconds=terms.policy.refusal_patience))


def _wait(run: Run, outcome: Wait, terms: Terms) -> Transition:
    run = _timed(run, outcome, terms)
    status = run.status if run.status is Status.QUEUED else Status.WAITING
    run = replace(run, status=status, stage_due=_capped(run, terms.after(outcome.wake_in), terms))
    run = note(run, terms, EntryKind.QUEUED if run.status is Status.QUEUED else EntryKind.WAITING, outcome.message)
    if outcome.tell is None:
        return Transition(scheduled(run))
    owing = owe_event(run, outcome.tell, terms)
    return Transition(scheduled(owing), messages=messages_of(owing))


def _capped(run: Run, due: datetime, terms: Terms) -> datetime:
    """The last look happens at the deadline, not after."""
    return due if run.deadline is None or run.deadline <= terms.now else min(due, run.deadline)


def _enqueue(run: Run, target: Target, outcome: Enqueue, terms: Terms) -> Transition:
    """Stand in the target's queue, and see whether it has become free meanwhile; looked at now and then besides."""
    wait = Wait(message=outcome.message, wake_in=terms.policy.poll * 5, otherwise=outcome.otherwise)
    standing, called = targets.call_next(targets.enqueue(run, target, terms.now))
    if run.status is not Status.QUEUED:
        left = (run.deadline - terms.now).total_seconds() if run.deadline is not None else None
        run = replace(run, status=Status.QUEUED, time_left=left, deadline=terms.after(terms.policy.queue_deadline))
        wait = replace(wait, tell="queued")
        called = (*called, *_overtaken(run, standing))
    waiting = _wait(run, wait, terms)
    return replace(waiting, target=standing, messages=(*called, *waiting.messages))


def _overtaken(run: Run, target: Target) -> Iterator[Message]:
    """The merges that wait look at a newer one that has come, and end if it brings them along."""
    if run.trigger.source in targets.FOLLOWING:
        older = (entry for entry in target.queue if entry.merged and entry.run_id != run.id)
        yield from (Message(entry.stage, entry.run_id) for entry in older)


def _before_the_target(run: Run) -> bool:
    """Whether waiting in this state means that another user may have the target meanwhile."""
    return run.stage is Stage.MERGE or run.status is Status.QUEUED


def _step_aside(run: Run, target: Target, outcome: Wait, terms: Terms) -> Transition:
    """Not ready after all: others go first, and the run takes the target when it is ready."""
    if run.status is Status.QUEUED:
        run = _unqueued(run, Status.WAITING, terms)
    concerned = target.active == run.id or any(entry.run_id == run.id for entry in target.queue)
    free, called = targets.release(target, run.id, terms.now) if concerned else (None, ())
    waiting = _wait(run, outcome, terms)
    return replace(waiting, target=free, messages=(*called, *waiting.messages))


def _unqueued(run: Run, status: Status, terms: Terms) -> Run:
    """With the rest of the stage's time, and at least one more look.

    With all of it, two that let each other go first would wait for ever.
    """
    left = run.time_left
    deadline = deadline_of(run.stage, terms) if left is None else terms.after(max(ONE_MORE_LOOK, left))
    return replace(run, status=status, time_left=None, deadline=deadline)


def _enter(run: Run, stage: Stage, message: str, terms: Terms) -> Transition:
    kind = EntryKind.ROLLING_BACK if stage is Stage.ROLLBACK else EntryKind.ADVANCED
    entered = replace(
        note(run, terms, kind, message),
        stage=stage,
        status=Status.RUNNING,
        stage_due=terms.after(terms.pace.unclaimed),
        deadline=deadline_of(stage, terms),
        suspended_since=None,
        time_left=None,
        verification=None if stage is Stage.VERIFY else run.verification,
    )
    entered = owe_event(entered, "rolling_back" if run.rollback is not None else _REACHED[stage], terms)
    return Transition(scheduled(entered), messages=messages_of(entered, Message(stage, run.id)))


def _verified(run: Run, target: Target, outcome: Advance, terms: Terms) -> Transition:
    """What was deployed, or restored, stands."""
    if run.rollback is None:
        target = targets.standing(target, run, terms.now)
        held = f"; the target stays held: {target.hold.reason}" if target.hold else ""
        run = replace(run, next_up=promotion.announced(terms.followers))
        ended = _end(run, target, Status.SUCCEEDED, outcome.message + held, "succeeded", terms)
        begun = [
            _promoted(run, follower, terms) for follower in terms.followers if follower.policy.promotion == "automatic"
        ]
        messages = (message for one in begun for message in one.messages)
        return replace(ended, begun=tuple(one.run for one in begun), messages=(*ended.messages, *messages))
    if run.rollback.needed:
        target = targets.restored(target, run, terms.now, terms.policy)
        asked_for = run.kind is Kind.ROLLBACK and not run.unasked
        status = Status.SUCCEEDED if asked_for else Status.ROLLED_BACK
        taken_back = f"; {run.commit_sha[:7]} is quarantined" if run.commit_sha else ""
        held = ", and nothing is deployed automatically until a user requests it" if target.hold else ""
        return _end(run, target, status, outcome.message + taken_back + held, "rolled_back", terms)
    target = targets.good_again(target, run.watched_commit)
    unseen = run.verification is not None and run.verification.unseen
    if run.kind is Kind.ROLLBACK:
        well = "live, not checked" if unseen else "healthy again"
        message = f"{well}: nothing was rolled back" if run.unasked else "that version is live already"
        return _end(run, target, Status.SUCCEEDED, message, "succeeded", terms)
    well = "is live, not checked" if unseen else "is live and healthy"
    message = f"the previous version {well}; there was nothing to roll back"
    return _end(run, target, Status.FAILED, message, "failed", terms)


def _promoted(run: Run, follower: TargetConfig, terms: Terms) -> Transition:
    """The run that goes on with the commit, in the environment after this one."""
    return begin(promotion.follow_up(run, follower, terms.now), Terms(terms.now, follower.policy, terms.pace))


def _fail(run: Run, target: Target, fail: Fail, terms: Terms) -> Transition:
    if fail.code is Reason.VERIFY_INCONCLUSIVE and run.rollback is not None and run.rollback.needed:
        fail = replace(fail, code=Reason.ROLLBACK_UNVERIFIED)
    message = stated(fail.code, fail.message)
    if fail.code is Reason.DEPLOYMENT_REPLACED and run.error is not None:
        return _end(run, target, Status.FAILED, message, "failed", terms)  # for its own reason, which is kept
    # Of a rollback that fails, too, people want to read why it was begun.
    tail = fail.log_tail or (run.error.log_tail if run.rollback is not None and run.error is not None else ())
    failure = Failure(code=fail.code, message=fail.message, stage=run.stage, log_tail=tail)
    run = replace(run, error=failure)
    if fail.code in (Reason.DEPLOYMENT_REPLACED, Reason.NEWER_MERGE):
        return _end(run, target, Status.SUPERSEDED, message, "superseded", terms)
    if fail.code is Reason.LABEL_REMOVED:
        return _end(run, target, Status.CANCELLED, message, "cancelled", terms)
    if run.rollback is not None:
        return _not_restored(run, run.rollback, target, message, terms)
    if (fail.code in BAD_DEPLOYMENT or unseen(run)) and terms.policy.rollback == "automatic" and run.deployment:
        return _enter(replace(run, rollback=Rollback(reason=fail.code)), Stage.ROLLBACK, message, terms)
    event = "failed"
    if may_be_live(run, fail.code, terms.policy):
        run, target = _left(run, target, message, terms)
        event = "failed" if fail.code in BAD_DEPLOYMENT else "unverified"
    return _end(run, target, Status.FAILED, message, event, terms)


def _not_deployed(run: Run, target: Target, outcome: NotDeployed, terms: Terms) -> Transition:
    """No failure, so no error; of a merge that a hold keeps back the target remembers that it is still to come."""
    made = run.deployment is not None and run.deployment.id is not None
    run = replace(run, reason=outcome.code, deployment=run.deployment if made else None)
    held = outcome.code is Reason.TARGET_HELD
    if held and run.commit_sha is not None:
        target = targets.keep_back(target, run, terms.now)
    event = "held_back" if held else "nothing_to_deploy"
    return _end(run, target, Status.NOT_DEPLOYED, outcome.message, event, terms)


def _left(run: Run, target: Target, message: str, terms: Terms) -> tuple[Run, Target]:
    """Not left free as if nothing had been: held until a version was verified, and said."""
    reason = f"{run.id} ended with a version that may be live and is not verified: {message}"
    return replace(run, left_unverified=True), targets.hold_unverified(target, run, reason, terms.now)


def _not_restored(run: Run, rollback: Rollback, target: Target, message: str, terms: Terms) -> Transition:
    """The rollback failed. Unless nothing was begun, or the old version never stopped serving, a person must look.

    Where nothing was begun, a version that lost its health is live still; what a command was to replace is its giver's.
    """
    if run.kind is Kind.ROLLBACK and rollback.requested_at is None and rollback.needed is not True:
        if run.unasked and target.lock is None:
            run, target = _left(run, target, message, terms)
            return _end(run, target, Status.FAILED, message, "rollback_failed", terms)
        return _end(run, target, Status.FAILED, message, "failed", terms)
    if rollback.needed is not False:
        before = f"; locked before by {target.lock.by}: {target.lock.reason}" if target.lock else ""
        target = replace(target, lock=Lock(by="signalbox", reason=message + before, at=terms.now, run_id=run.id))
    return _end(run, target, Status.FAILED, message, "rollback_failed", terms)


def _end(run: Run, target: Target, status: Status, message: str, event: str, terms: Terms) -> Transition:
    ended = replace(run, status=status, stage_due=None, deadline=None, suspended_since=None, time_left=None)
    ended = note(ended, terms, EntryKind.ENDED, message)
    ended = owe_event(replace(ended, stage=Stage.DONE), event, terms)
    free, messages = targets.release(target, run.id, terms.now)
    return Transition(scheduled(ended), free, messages_of(ended, *messages))


def deadline_of(stage: Stage, terms: Terms) -> datetime:
    policy = terms.policy
    seconds = {
        Stage.MERGE: policy.merge_deadline,
        Stage.DEPLOY: policy.deploy_deadline,
        Stage.MONITOR: policy.monitor_deadline,
        Stage.VERIFY: policy.verify_deadline,
        Stage.ROLLBACK: policy.rollback_deadline,
    }
    return terms.after(seconds[stage])


def _nothing_to_restore(run: Run) -> bool:
    return run.stage is Stage.ROLLBACK and run.rollback is not None and run.rollback.needed is False


def paused(target: Target, terms: Terms) -> Wait | None:
    """What a stage is to return before it begins something at a vendor; its time stands still. None: it may."""
    if target.pause is None:
        return None
    return Wait(message=str(target.pause), wake_in=terms.policy.poll * 5, otherwise=Reason.TARGET_PAUSED, suspends=True)


def note(run: Run, terms: Terms, kind: EntryKind, message: str) -> Run:
    """Add to the history what is new: looking again at the same is not."""
    last = run.history[-1] if run.history else None
    if last is not None and (last.stage, last.status, last.message) == (run.stage, run.status, message):
        return run
    entry = HistoryEntry(terms.now, run.stage, run.status, message, kind)
    return replace(run, history=(*run.history, entry)[-KEPT_HISTORY:])


def owe_event(run: Run, event: str, terms: Terms) -> Run:
    """People are notified of each attempt again."""
    return owe(run, event, terms.now, "" if run.attempt == 1 else str(run.attempt))


def messages_of(run: Run, *others: Message) -> tuple[Message, ...]:
    return (*others, Message(NOTIFY, run.id)) if run.owed else others
