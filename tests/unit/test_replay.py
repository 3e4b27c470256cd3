"""Another attempt of a finished run: where it begins, what it forgets, whom it waits for, and who hears of it."""

import pytest
from msgspec.structs import replace
from unit.building import MERGE, NOON, RUN, a_run, a_target, a_way_back, at, terms

from shared.core import attempts
from shared.core.outcome import Fail, Message
from shared.core.pipeline import Transition
from shared.core.reasons import Reason
from shared.core.replay import Request, replay
from shared.core.run import Deployment, Failure, HistoryEntry, Kind, Rollback, Run, Stage, Status
from shared.core.target import Hold, Quarantine, Target

ADA = Request(by="ada")
DEPLOYED = Deployment(id="d-new", baseline=("d-old",), requested_at=NOON)


def finished(stage: Stage = Stage.MONITOR, status: Status = Status.FAILED, **changes: object) -> Run:
    """A run that failed at the stage."""
    failure = Failure(code=Reason.BUILD_FAILED, message="no", stage=stage)
    given = {"status": status, "error": failure, "deployment": DEPLOYED, "commit_sha": MERGE, **changes}
    return a_run(Stage.DONE, **given)


def begun(run: Run, target: Target | None = None, request: Request = ADA) -> Transition:
    transition = replay(run, target or a_target(active=None), request, terms())
    assert isinstance(transition, Transition), transition
    return transition


def refused(run: Run, target: Target | None = None, request: Request = ADA) -> Fail:
    fail = replay(run, target or a_target(active=None), request, terms())
    assert isinstance(fail, Fail)
    return fail


@pytest.mark.parametrize(
    ("run", "stage"),
    [
        (finished(Stage.MERGE, deployment=None, commit_sha=None), Stage.MERGE),
        (finished(Stage.DEPLOY), Stage.DEPLOY),
        (finished(Stage.MONITOR), Stage.MONITOR),
        (finished(Stage.VERIFY), Stage.VERIFY),
        (finished(Stage.VERIFY, Status.ROLLED_BACK, rollback=a_way_back()), Stage.DEPLOY),
        (finished(status=Status.SUCCEEDED, error=None), Stage.MERGE),
        (finished(Stage.ROLLBACK, kind=Kind.ROLLBACK, rollback=a_way_back()), Stage.ROLLBACK),
    ],
)
def test_it_begins_where_the_last_attempt_failed(run: Run, stage: Stage) -> None:
    after = begun(run)

    assert (after.run.stage, after.run.status, after.run.attempt, after.run.attempts) == (stage, Status.RUNNING, 2, 0)
    assert Message(stage, RUN) in after.messages
    assert after.run.wake_at is not None


def test_the_old_history_is_kept_and_the_new_attempt_noted() -> None:
    run = finished()

    after = begun(run).run

    assert after.history[: len(run.history)] == run.history
    assert after.history[-1].message == "replayed from monitor by ada, attempt 2"
    assert (after.trigger.source, after.trigger.actor, after.trigger.id) == ("replay", "ada", run.trigger.id)


def test_people_hear_of_the_attempt_although_they_heard_of_the_first() -> None:
    after = begun(finished())

    assert after.run.owed == ("started@2:comment",)
    assert Message("notify", RUN) in after.messages


@pytest.mark.parametrize("stage", [Stage.MERGE, Stage.DEPLOY])
def test_before_the_deployment_it_is_looked_for_and_not_remembered(stage: Stage) -> None:
    assert begun(finished(), request=Request(by="ada", stage=stage)).run.deployment is None


@pytest.mark.parametrize("stage", [Stage.MONITOR, Stage.VERIFY, Stage.ROLLBACK])
def test_after_the_deployment_it_is_what_is_looked_at(stage: Stage) -> None:
    after = begun(finished(), request=Request(by="ada", stage=stage)).run

    assert after.deployment == DEPLOYED
    assert (after.error, after.verification) == (None, None)


def test_a_way_back_begins_anew_for_the_old_reason() -> None:
    run = finished(rollback=replace(a_way_back(), reason=Reason.UNHEALTHY, to_commit="abcdef1"))

    after = begun(run, request=Request(by="ada", stage=Stage.ROLLBACK)).run

    assert after.rollback == Rollback(reason=Reason.UNHEALTHY, to_commit="abcdef1")


def test_a_way_back_may_begin_where_there_was_none() -> None:
    after = begun(finished(), request=Request(by="ada", stage=Stage.ROLLBACK)).run

    assert after.rollback == Rollback(reason=Reason.ROLLED_BACK_BY_COMMAND)


def test_the_target_is_taken_at_once_but_by_the_merge_which_does_so_itself() -> None:
    assert begun(finished(Stage.VERIFY)).target == replace(a_target(active=RUN), updated_at=NOON)
    free = a_target(active=None)
    assert begun(finished(Stage.MERGE), free).target == free


def test_a_busy_target_is_not_waited_for() -> None:
    fail = refused(finished(), a_target(active="other"))

    assert (fail.code, fail.message) == (Reason.NOT_REPLAYABLE, "the target is not free: queued behind other")


def test_a_hold_is_for_automatic_runs_and_a_quarantine_is_not() -> None:
    held = a_target(active=None, hold=Hold(reason="bad", at=NOON, run_id="x"))
    assert begun(finished(), held).run.stage is Stage.MONITOR

    bad = Quarantine(commit_sha=MERGE, run_id="x", reason=Reason.UNHEALTHY, at=NOON)
    quarantined = a_target(active=None, quarantined=(bad,))
    assert refused(finished(), quarantined).code is Reason.QUARANTINED
    assert begun(finished(), quarantined, Request(by="ada", force="it was the database")).run.stage is Stage.MONITOR


@pytest.mark.parametrize(
    ("run", "stage"),
    [
        (a_run(Stage.MONITOR), None),
        (finished(), Stage.DONE),
        (finished(kind=Kind.ROLLBACK, rollback=a_way_back()), Stage.DEPLOY),
        (finished(status=Status.SUCCEEDED, error=None), Stage.ROLLBACK),
        (finished(commit_sha=None), Stage.DEPLOY),
        (finished(commit_sha=None), Stage.ROLLBACK),
        (finished(deployment=None), Stage.MONITOR),
        (finished(deployment=Deployment(baseline=("x",))), Stage.VERIFY),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, stage: Stage | None) -> None:
    assert refused(run, request=Request(by="ada", stage=stage)).code is Reason.NOT_REPLAYABLE


def test_each_attempt_has_the_whole_time_of_its_stage() -> None:
    after = begun(finished(Stage.VERIFY)).run

    assert (after.deadline, after.stage_due) == (at(300), at(90))


def test_each_attempt_keeps_how_it_ended_and_how_long_it_took() -> None:
    # Given a run that failed after a minute and is replayed ten minutes later
    ended = HistoryEntry(at(0), Stage.MONITOR, Status.FAILED, "build_failed: no")
    run = finished(history=(*finished().history, ended))
    second = replay(run, a_target(active=None), ADA, terms(at(600)))
    assert isinstance(second, Transition)

    # When the second attempt succeeds, and is replayed again
    good = HistoryEntry(at(630), Stage.VERIFY, Status.SUCCEEDED, "healthy")
    done = replace(second.run, stage=Stage.DONE, status=Status.SUCCEEDED, history=(*second.run.history, good))
    third = replay(done, a_target(active=None), ADA, terms(at(900)))

    # Then each is its own outcome
    assert isinstance(third, Transition)
    assert third.run.replayed_at == at(900)
    assert [
        (one.attempt, one.status, one.reason, one.deployed, one.began_at, one.ended_at, one.stage_seconds)
        for one in third.run.attempts_ended
    ] == [
        (1, Status.FAILED, Reason.BUILD_FAILED, True, at(-60), at(0), {"done": 0.0, "monitor": 60.0}),
        (2, Status.SUCCEEDED, None, True, at(600), at(630), {"monitor": 0.0, "verify": 30.0}),
    ]


def test_of_a_run_from_before_that_was_kept_the_history_tells_when_the_attempt_began() -> None:
    note = HistoryEntry(at(600), Stage.MONITOR, Status.RUNNING, "replayed from monitor by ada, attempt 2")
    end = HistoryEntry(at(645), Stage.VERIFY, Status.SUCCEEDED, "healthy")
    old = finished(status=Status.SUCCEEDED, error=None, attempt=2, history=(*finished().history, note, end))

    (present,) = attempts.of(old)

    assert (present.attempt, present.began_at, present.ended_at) == (2, at(600), at(645))


def test_what_a_replay_begins_with_knows_nothing_of_what_was_not_deployed() -> None:
    quiet = finished(status=Status.NOT_DEPLOYED, error=None, deployment=None)
    run = begun(replace(quiet, reason=Reason.NOTHING_TO_DEPLOY, touches=False)).run

    assert (run.stage, run.reason, run.touches) == (Stage.MERGE, None, None)


def test_what_github_was_asked_for_before_the_merge_may_be_asked_for_again() -> None:
    assert begun(finished(Stage.MERGE, updated_head="c" * 40)).run.updated_head is None
