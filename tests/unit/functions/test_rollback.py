"""rollback: back to the last verified version, once, and only where somebody else has not been."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import NEW, OLD, OTHER, TARGET, Crash, Scene

from local.world.faults import Fault
from local.world.vendors import ENVIRONMENT, SERVICE
from shared.core.reasons import Reason
from shared.core.run import Deployment, Kind, Rollback, Run, Stage, Status, Trigger, Verified
from shared.core.target import Lock, Target

ROLLBACK, DEPLOY = "mutation Rollback", "mutation Deploy"
DRAINED = 20
"""Seconds after which Railway has removed what served before."""


async def bad(scene: Scene, **changes: Any) -> Run:
    """A run whose deployment is live and unhealthy, on a target whose former version was verified."""
    before, deployment = scene.serving(), await scene.deployed()
    await scene.live(DRAINED)
    run = scene.new_run(Stage.ROLLBACK, deployment=deployment, rollback=Rollback(reason=Reason.UNHEALTHY), **changes)
    await scene.save(Target(id=TARGET, active=run.id, verified=(before,)))
    return run


def asked(scene: Scene, to: str | None = None, **changes: Any) -> Run:
    """A run as /rollback makes it."""
    rollback = Rollback(reason=Reason.ROLLED_BACK_BY_COMMAND, to_commit=to)
    trigger = Trigger(source="command", actor="grace", id="1", url="")
    return scene.new_run(
        Stage.ROLLBACK, kind=Kind.ROLLBACK, commit_sha=None, rollback=rollback, trigger=trigger, **changes
    )


def back(run: Run) -> Rollback:
    assert run.rollback is not None
    return run.rollback


def code(run: Run) -> Reason | None:
    return run.error.code if run.error else None


# The way back of a run that does not hold


async def test_the_former_version_is_restored_from_its_image_and_its_deployment_found(scene: Scene) -> None:
    run = await bad(scene)
    first = scene.serving()
    waiting = await scene.execute(run)
    assert (waiting.stage, waiting.status) == (Stage.ROLLBACK, Status.WAITING)  # it does not show at once
    assert waiting.wake_at == scene.clock.now() + timedelta(seconds=5)
    await scene.live(5)
    await scene.wake("rollback", run.id)
    after = await scene.run(run.id)
    (restoring,) = scene.railway.rollbacks
    assert restoring.restores == first.deployment_id
    assert (after.stage, back(after).deployment_id) == (Stage.MONITOR, restoring.id)
    assert (back(after).needed, back(after).method, back(after).to) == (True, "image", first)


async def test_the_intent_is_saved_before_the_call(scene: Scene) -> None:
    run = await bad(scene)
    known = [deployment.id for deployment in scene.railway.deployments(SERVICE, ENVIRONMENT)]
    scene.store.incidents.after(2, Crash())
    with pytest.raises(Crash):
        await scene.execute(run)
    left = back(await scene.run(run.id))
    assert (list(left.baseline), left.requested_at, scene.railway.rollbacks) == (known, scene.clock.now(), [])

    scene.pass_time(61)  # neither a lease nor an effect of the call that never was
    await scene.wake("rollback", run.id)
    assert len(scene.railway.rollbacks) == 1


async def test_a_deployment_that_showed_only_after_its_stage_is_recognised_and_cancelled(scene: Scene) -> None:
    run = scene.new_run(Stage.ROLLBACK, rollback=Rollback(reason=Reason.DEPLOY_TIMEOUT))
    known = tuple(deployment.id for deployment in scene.railway.deployments(SERVICE, ENVIRONMENT))
    intent = Deployment(baseline=known, requested_at=scene.clock.now())
    run = replace(run, deployment=intent)
    await scene.save(Target(id=TARGET, active=run.id, verified=(scene.serving(),)))
    late = scene.railway.deploy(SERVICE, ENVIRONMENT, NEW)

    after = await scene.execute(run)

    assert after.deployment.id == late.id
    assert late.status == "REMOVED"


async def test_a_deployment_that_may_show_yet_is_waited_for_before_anything_is_found_in_order(scene: Scene) -> None:
    run = scene.new_run(Stage.ROLLBACK, rollback=Rollback(reason=Reason.ATTEMPTS_EXHAUSTED))
    run = replace(run, deployment=Deployment(requested_at=scene.clock.now()))
    await scene.save(Target(id=TARGET, active=run.id, verified=(scene.serving(),)))

    after = await scene.execute(run)
    assert (after.stage, after.status) == (Stage.ROLLBACK, Status.WAITING)

    await scene.live(60)
    await scene.wake("rollback", run.id)
    assert back(await scene.run(run.id)).needed is False


@pytest.mark.parametrize("fault", [{"lost": True}, {"status": 502}])
async def test_a_rollback_whose_answer_was_lost_is_found_and_not_repeated(scene: Scene, fault: dict[str, Any]) -> None:
    run = await bad(scene)
    scene.railway.app.faults.append(Fault(when=ROLLBACK, after_effect=True, **fault))
    await scene.execute(run)
    await scene.wake("rollback", run.id)
    assert (await scene.run(run.id)).stage is Stage.ROLLBACK
    await scene.live(5)
    await scene.wake("rollback", run.id)
    after = await scene.run(run.id)
    (restoring,) = scene.railway.rollbacks
    assert (after.stage, back(after).deployment_id) == (Stage.MONITOR, restoring.id)


async def test_a_rollback_that_never_arrived_is_waited_for_and_asked_for_again(scene: Scene) -> None:
    run = await bad(scene)
    scene.railway.app.faults.append(Fault(when=ROLLBACK, lost=True))
    await scene.execute(run)
    await scene.live(59)
    await scene.wake("rollback", run.id)
    assert scene.railway.rollbacks == []
    await scene.live(1)
    await scene.wake("rollback", run.id)
    assert len(scene.railway.rollbacks) == 1


async def test_a_call_that_certainly_had_no_effect_is_taken_back(scene: Scene) -> None:
    run = await bad(scene)
    scene.railway.app.faults.append(Fault(when=ROLLBACK, status=429, headers={"retry-after": "5"}))
    after = await scene.execute(run)
    assert (back(after).requested_at, after.status) == (None, Status.WAITING)
    await scene.wake("rollback", run.id)
    assert len(scene.railway.rollbacks) == 1


async def test_an_image_that_is_no_longer_kept_is_built_anew(scene: Scene) -> None:
    run = await bad(scene)
    scene.pass_time(80 * 3600)
    run = replace(run, deadline=scene.clock.now() + timedelta(seconds=600))
    after = await scene.execute(run)
    rebuilt = scene.railway.created[-1]
    assert (scene.railway.rollbacks, rebuilt.commit_sha) == ([], OLD)
    assert (after.stage, back(after).deployment_id, back(after).method) == (Stage.MONITOR, rebuilt.id, "rebuild")


async def test_a_rebuild_whose_answer_was_lost_is_found(scene: Scene) -> None:
    run = await bad(scene)
    scene.pass_time(80 * 3600)
    run = replace(run, deadline=scene.clock.now() + timedelta(seconds=600))
    scene.railway.app.faults.append(Fault(when=DEPLOY, after_effect=True, lost=True))
    await scene.execute(run)
    await scene.wake("rollback", run.id)
    after = await scene.run(run.id)
    assert [d.id for d in scene.railway.created if d.commit_sha == OLD] == [back(after).deployment_id]


async def test_railways_lasting_refusal_locks_the_target_for_a_person(scene: Scene) -> None:
    scene.railway.refuse_rollback = True
    run = await scene.execute(await bad(scene))
    assert (run.status, (await scene.target()).lock) == (Status.WAITING, None), "one refusal locks nothing"
    run = await scene.patiently("rollback", run.id)
    target = await scene.target()
    assert (run.status, code(run), target.active) == (Status.FAILED, Reason.ROLLBACK_REFUSED, None)
    assert (target.lock.by, target.lock.run_id) == ("signalbox", run.id)
    assert "rollback_failed:n8n" in run.owed


async def test_two_new_deployments_of_the_commit_are_too_many_to_choose_from(scene: Scene) -> None:
    run = await bad(scene)
    scene.railway.app.faults.append(Fault(when=ROLLBACK, after_effect=True, lost=True))
    await scene.execute(run)
    scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, OLD)
    await scene.live(1)
    await scene.wake("rollback", run.id)
    after = await scene.run(run.id)
    assert code(after) is Reason.ROLLBACK_AMBIGUOUS
    assert (await scene.target()).lock is not None


async def test_a_new_deployment_of_another_commit_is_not_taken_for_the_restored_one(scene: Scene) -> None:
    run = await bad(scene)
    await scene.execute(run)
    scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, OTHER)
    await scene.live(1)
    await scene.wake("rollback", run.id)
    (restoring,) = scene.railway.rollbacks
    assert back(await scene.run(run.id)).deployment_id == restoring.id


async def test_what_somebody_else_deployed_meanwhile_is_left_alone(scene: Scene) -> None:
    run = await bad(scene)
    await scene.deployed(OTHER)
    run = await scene.execute(run)
    assert (run.status, code(run)) == (Status.SUPERSEDED, Reason.DEPLOYMENT_REPLACED)
    assert scene.railway.rollbacks == []
    assert (await scene.target()).active is None


async def test_when_the_former_version_still_serves_there_is_nothing_to_do(scene: Scene) -> None:
    before = scene.serving()
    failed = await scene.deployed(until="FAILED", build="fail")
    run = scene.new_run(Stage.ROLLBACK, deployment=failed, rollback=Rollback(reason=Reason.BUILD_FAILED))
    await scene.save(Target(id=TARGET, active=run.id, verified=(before,)))
    run = await scene.execute(run)
    assert (run.stage, back(run).needed, back(run).deployment_id) == (Stage.VERIFY, False, before.deployment_id)
    await scene.wake("verify", run.id)
    after = await scene.run(run.id)
    assert after.status is Status.FAILED
    assert scene.railway.rollbacks == []
    assert (await scene.target()).lock is None


async def test_a_deployment_whose_time_ran_out_is_cancelled_before_anything_else(scene: Scene) -> None:
    before = scene.serving()
    slow = await scene.deployed(until="BUILDING")
    run = scene.new_run(Stage.ROLLBACK, deployment=slow, rollback=Rollback(reason=Reason.DEPLOY_TIMEOUT))
    await scene.save(Target(id=TARGET, active=run.id, verified=(before,)))
    run = await scene.execute(run)
    assert (run.stage, run.status, scene.railway.created[-1].status) == (Stage.ROLLBACK, Status.WAITING, "REMOVED")
    await scene.wake("rollback", run.id)
    assert back(await scene.run(run.id)).needed is False


async def test_a_deployment_that_went_live_before_it_could_be_cancelled_is_taken_back(scene: Scene) -> None:
    """Railway refuses to cancel what is live by then: that is no reason to leave it there."""
    before = scene.serving()
    slow = await scene.deployed(until="DEPLOYING")
    run = scene.new_run(Stage.ROLLBACK, deployment=slow, rollback=Rollback(reason=Reason.DEPLOY_TIMEOUT))
    await scene.save(Target(id=TARGET, active=run.id, verified=(before,)))
    refusal = {"errors": [{"message": "Deployment cannot be cancelled"}], "data": None}
    scene.railway.app.faults.append(Fault(when="mutation Cancel", status=200, body=refusal))
    run = await scene.execute(run)
    assert (run.stage, run.status, (await scene.target()).lock) == (Stage.ROLLBACK, Status.WAITING, None)
    await scene.live(10)
    await scene.wake("rollback", run.id)
    assert [restoring.restores for restoring in scene.railway.rollbacks] == [before.deployment_id]


async def test_without_a_verified_version_a_person_has_to_help(scene: Scene) -> None:
    run = await bad(scene)
    await scene.save(Target(id=TARGET, active=run.id))
    run = await scene.execute(run)
    assert code(run) is Reason.ROLLBACK_TARGET_MISSING
    assert (await scene.target()).lock is not None


async def test_a_rollback_that_never_shows_runs_out_of_time(scene: Scene) -> None:
    run = await bad(scene)
    scene.railway.app.faults.append(Fault(when=ROLLBACK, times=100, lost=True))
    await scene.execute(run)
    for _ in range(12):
        await scene.live(55)
        await scene.wake("rollback", run.id)
    after = await scene.run(run.id)
    assert (after.status, (await scene.target()).lock is not None) == (Status.FAILED, True)


async def test_a_run_that_nobody_takes_back_has_nothing_to_return_to(scene: Scene) -> None:
    run = scene.new_run(Stage.ROLLBACK, deployment=Deployment(id="d"))
    await scene.hold_target(run)
    assert code(await scene.execute(run)) is Reason.TARGET_UNKNOWN


# By command


async def two_versions(scene: Scene, *, active: str | None = None) -> tuple[Verified, Verified]:
    """The target has seen two verified versions, and the newer serves."""
    older = scene.serving()
    made = await scene.deployed()
    await scene.live(DRAINED)
    newer = Verified(deployment_id=made.id or "", commit_sha=NEW, run_id=None, at=scene.clock.now())
    await scene.save(Target(id=TARGET, active=active, verified=(newer, older)))
    return newer, older


async def test_a_command_returns_to_the_version_before_the_one_that_serves(scene: Scene) -> None:
    _, older = await two_versions(scene)
    run = await scene.execute(asked(scene))
    assert (await scene.target()).active == run.id
    await scene.live(5)
    await scene.wake("rollback", run.id)
    after = await scene.run(run.id)
    (restoring,) = scene.railway.rollbacks
    assert restoring.restores == older.deployment_id
    assert (after.stage, after.commit_sha, back(after).deployment_id) == (Stage.MONITOR, NEW, restoring.id)


@pytest.mark.parametrize("to", [OLD, OLD[:7]])
async def test_a_command_may_name_the_commit(scene: Scene, to: str) -> None:
    _, older = await two_versions(scene)
    await scene.execute(asked(scene, to))
    assert [restoring.restores for restoring in scene.railway.rollbacks] == [older.deployment_id]


async def test_a_commit_that_was_never_verified_is_not_returned_to(scene: Scene) -> None:
    await two_versions(scene)
    run = await scene.execute(asked(scene, "c" * 7))
    target = await scene.target()
    assert (run.status, code(run), target.lock, target.active) == (
        Status.FAILED,
        Reason.ROLLBACK_TARGET_MISSING,
        None,
        None,
    )


async def test_a_command_for_the_version_that_serves_does_nothing(scene: Scene) -> None:
    newer, _ = await two_versions(scene)
    run = await scene.execute(asked(scene, NEW))
    assert (run.stage, back(run).needed, back(run).deployment_id) == (Stage.VERIFY, False, newer.deployment_id)
    await scene.wake("verify", run.id)
    target = await scene.target()
    assert (await scene.run(run.id)).status is Status.SUCCEEDED
    assert (target.hold, target.quarantined, scene.railway.rollbacks) == (None, (), [])


async def test_a_command_takes_away_even_what_somebody_else_deployed(scene: Scene) -> None:
    newer, _ = await two_versions(scene)
    await scene.deployed(OTHER)
    await scene.live(DRAINED)
    run = await scene.execute(asked(scene))
    assert [restoring.restores for restoring in scene.railway.rollbacks] == [newer.deployment_id]
    assert run.commit_sha == OTHER


async def test_a_command_waits_for_its_turn(scene: Scene) -> None:
    await two_versions(scene, active="another")
    run = await scene.execute(asked(scene))
    assert (run.status, scene.railway.rollbacks) == (Status.QUEUED, [])
    assert [(entry.run_id, entry.stage) for entry in (await scene.target()).queue] == [(run.id, Stage.ROLLBACK)]


async def test_a_lock_does_not_keep_anybody_from_going_back(scene: Scene) -> None:
    await two_versions(scene)
    lock = Lock(by="signalbox", reason="look at this", at=scene.clock.now())
    await scene.save(replace(await scene.target(), lock=lock))
    await scene.execute(asked(scene))
    assert len(scene.railway.rollbacks) == 1


async def test_a_command_whose_call_had_an_effect_before_a_crash_is_not_carried_out_twice(scene: Scene) -> None:
    await two_versions(scene)
    run = asked(scene)
    scene.railway.app.faults.append(Fault(when=ROLLBACK, after_effect=True, lost=True))
    await scene.execute(run)
    for _ in range(5):
        await scene.live(30)
    await scene.wake("rollback", run.id)  # the old version serves by now, and is not what to leave
    after = await scene.run(run.id)
    assert (len(scene.railway.rollbacks), after.stage, after.commit_sha) == (1, Stage.MONITOR, NEW)
