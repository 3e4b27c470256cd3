"""A finished run, attempted once more: same intent, same document, the old history kept. Pure, like the pipeline."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from shared.core import attempts, targets
from shared.core.notices import scheduled
from shared.core.outcome import Enqueue, Fail, Message, NotDeployed
from shared.core.pipeline import Terms, Transition, deadline_of, messages_of, note, owe_event
from shared.core.reasons import Reason
from shared.core.run import EntryKind, Kind, Rollback, Run, Stage, Status
from shared.core.target import Target


class Request(Struct, frozen=True, kw_only=True):
    """Who wants it, and from where. `stage` None: from where it failed, or from the start."""

    by: str
    comment: int | None = None
    """The comment that asks for it."""
    stage: Stage | None = None
    force: str | None = None
    """Why a quarantined commit is to be deployed anyway."""


def replay(run: Run, target: Target, request: Request, terms: Terms) -> Transition | Fail:
    """The first state of another attempt, with its target taken where the stage does not take it itself."""
    stage = request.stage or _from(run)
    refused = _refusal(run, stage)
    if refused is not None:
        return refused
    again = replace(_cleared(run, stage, request), replayed_at=terms.now, attempts_ended=attempts.of(run))
    taken = targets.take(again, target, terms.now) if stage is not Stage.MERGE else target
    if isinstance(taken, Enqueue):
        stopped = taken.otherwise in (Reason.TARGET_LOCKED, Reason.TARGET_PAUSED)
        return Fail(taken.otherwise if stopped else Reason.NOT_REPLAYABLE, f"the target is not free: {taken.message}")
    if isinstance(taken, NotDeployed):  # no replay: a person asks for it, whom a hold does not stop
        return Fail(taken.code, taken.message)
    if isinstance(taken, Fail):
        return taken
    again = note(again, terms, EntryKind.REPLAYED, f"replayed from {stage} by {request.by}, attempt {again.attempt}")
    again = replace(
        owe_event(again, "started", terms),
        deadline=deadline_of(stage, terms),
        stage_due=terms.after(terms.pace.unclaimed),
        updated_at=terms.now,
    )
    return Transition(scheduled(again), taken, messages_of(again, Message(stage, run.id)))


def _from(run: Run) -> Stage:
    """Where it failed; after a rollback there is nothing left to follow or verify, so the deployment."""
    if run.kind is Kind.ROLLBACK:
        return Stage.ROLLBACK
    if run.rollback is not None:
        return Stage.DEPLOY
    return run.error.stage if run.error else Stage.MERGE


def _refusal(run: Run, stage: Stage) -> Fail | None:
    if not run.status.terminal:
        return Fail(Reason.NOT_REPLAYABLE, f"the run has not ended: it is at {run.stage}")
    if stage is Stage.DONE or (run.kind is Kind.ROLLBACK and stage is not Stage.ROLLBACK):
        return Fail(Reason.NOT_REPLAYABLE, f"a {run.kind} run cannot begin at {stage}")
    if stage is Stage.ROLLBACK and run.kind is Kind.DEPLOY and run.status is Status.SUCCEEDED:
        return Fail(Reason.NOT_REPLAYABLE, "the run succeeded; to take it back, comment `/rollback`")
    if stage in (Stage.DEPLOY, Stage.ROLLBACK) and run.kind is Kind.DEPLOY and run.commit_sha is None:
        return Fail(Reason.NOT_REPLAYABLE, "nothing was merged yet; replay from merge")
    if stage in (Stage.MONITOR, Stage.VERIFY) and (run.deployment is None or run.deployment.id is None):
        return Fail(Reason.NOT_REPLAYABLE, "there is no deployment to look at; replay from deploy")
    return None


def _cleared(run: Run, stage: Stage, request: Request) -> Run:
    """Without what the last attempt found out from this stage on: deployments are found by looking, not by memory."""
    looks = stage in (Stage.MONITOR, Stage.VERIFY, Stage.ROLLBACK)
    back = None
    if stage is Stage.ROLLBACK:
        reason = run.rollback.reason if run.rollback else Reason.ROLLED_BACK_BY_COMMAND
        back = Rollback(reason=reason, to_commit=run.rollback.to_commit if run.rollback else None)
    return replace(
        run,
        stage=stage,
        status=Status.RUNNING,
        attempt=run.attempt + 1,
        retried_by=request.comment,
        attempts=0,
        refused_since=None,
        refusals=0,
        left_unverified=False,
        trigger=replace(run.trigger, source="replay", actor=request.by, force=request.force, out_of_order=False),
        deployment=run.deployment if looks else None,
        rollback=back,
        verification=None,
        error=None,
        reason=None,
        touches=None,
        next_up="",
        updated_head=None if stage is Stage.MERGE else run.updated_head,
        suspended_since=None,
        time_left=None,
        lease=None,
    )
