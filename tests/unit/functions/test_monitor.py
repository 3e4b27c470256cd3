"""monitor: one look at the deployment, and what each of Railway's statuses means for the run."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import Scene

from local.world.faults import Fault
from local.world.vendors import ENVIRONMENT, SERVICE
from shared.core.reasons import Reason
from shared.core.run import Deployment, Kind, Rollback, Run, Stage, Status


async def watched(scene: Scene, status: str, **plan: Any) -> Run:
    """A run that watches a deployment at this status."""
    deployment = await scene.deployed(until=status, **plan)
    run = scene.new_run(Stage.MONITOR, deployment=deployment)
    await scene.hold_target(run)
    return run


@pytest.mark.parametrize("status", ["INITIALIZING", "BUILDING", "DEPLOYING"])
async def test_a_deployment_on_its_way_is_looked_at_again(scene: Scene, status: str) -> None:
    run = await scene.execute(await watched(scene, status))
    assert (run.stage, run.status) == (Stage.MONITOR, Status.WAITING)
    assert run.wake_at == scene.clock.now() + timedelta(seconds=10)
    assert status.lower() in run.history[-1].message


async def test_the_longer_it_takes_the_rarer_are_the_looks(scene: Scene) -> None:
    # Given a deployment that is on its way for longer and longer
    run = await watched(scene, "NEEDS_APPROVAL", needs_approval=True)
    began = scene.railway.created[0].created_at
    await scene.save(run)

    # When it is looked at whenever that is due
    looks = []
    for _ in range(5):
        await scene.wake("monitor", run.id)
        looks.append((scene.clock.now() - began).total_seconds())
        wake_at = (await scene.run(run.id)).stage_due
        assert wake_at is not None
        scene.pass_time((wake_at - scene.clock.now()).total_seconds())

    # Then each look comes when as much time has passed again
    assert looks == [5, 15, 30, 60, 120]


@pytest.mark.parametrize(("status", "plan"), [("SUCCESS", {}), ("SLEEPING", {"sleep_after": 1})])
async def test_a_live_deployment_is_to_be_verified(scene: Scene, status: str, plan: dict[str, Any]) -> None:
    run = await scene.execute(await watched(scene, status, **plan))
    assert run.stage is Stage.VERIFY


@pytest.mark.parametrize(
    ("status", "plan", "code", "tail"),
    [
        ("FAILED", {"build": "fail"}, Reason.BUILD_FAILED, "the build failed"),
        ("FAILED", {"start": "fail"}, Reason.DEPLOY_FAILED, "the health check failed"),
        ("CRASHED", {"crash_after": 1}, Reason.DEPLOY_CRASHED, "the process exited with code 1"),
    ],
)
async def test_a_failed_deployment_is_to_be_taken_back_with_the_end_of_its_log(
    scene: Scene, status: str, plan: dict[str, Any], code: Reason, tail: str | None
) -> None:
    run = await scene.execute(await watched(scene, status, **plan))
    assert (run.stage, run.rollback.reason, run.error.code) == (Stage.ROLLBACK, code, code)
    assert run.error.log_tail[-1:] == ((tail,) if tail else ())


async def test_one_that_takes_too_long_keeps_the_end_of_its_log(scene: Scene) -> None:
    # Given a build that does not end
    run = await watched(scene, "BUILDING", build_log=("installing dependencies",))
    await scene.save(replace(run, deadline=scene.clock.now()))

    # When its time is up
    await scene.wake("monitor", run.id)

    # Then people can read where it was
    run = await scene.run(run.id)
    assert (run.error.code, run.error.log_tail) == (Reason.DEPLOY_TIMEOUT, ("installing dependencies",))


async def test_of_a_long_log_the_end_is_kept(scene: Scene) -> None:
    lines = tuple(f"line {number}" for number in range(100))
    run = await scene.execute(await watched(scene, "FAILED", build="fail", build_log=lines))
    assert len(run.error.log_tail) == 30
    assert run.error.log_tail[-2:] == ("line 99", "the build failed")


@pytest.mark.parametrize("body", [{"errors": [{"message": "Log not found"}], "data": None}, None])
async def test_a_log_that_cannot_be_read_does_not_hide_the_failure(scene: Scene, body: Any) -> None:
    run = await watched(scene, "CRASHED", crash_after=1)
    scene.railway.app.faults.append(Fault(when="deploymentLogs", status=200 if body else 502, body=body))
    run = await scene.execute(run)
    assert (run.error.code, run.error.log_tail) == (Reason.DEPLOY_CRASHED, ())


async def test_a_replaced_deployment_is_left_to_whoever_replaced_it(scene: Scene) -> None:
    run = await watched(scene, "BUILDING")
    scene.railway.cancel(run.deployment.id if run.deployment and run.deployment.id else "")
    run = await scene.execute(run)
    assert (run.status, run.error.code) == (Status.SUPERSEDED, Reason.DEPLOYMENT_REPLACED)
    assert scene.railway.rollbacks == []
    assert (await scene.target()).active is None


async def test_people_hear_once_that_railway_waits_for_an_approval(scene: Scene) -> None:
    scene.open_pull_request()
    run = await scene.execute(await watched(scene, "NEEDS_APPROVAL", needs_approval=True))
    assert run.status is Status.WAITING
    assert set(run.owed) == {"needs_approval:comment", "needs_approval:n8n"}
    await scene.wake("notify", run.id)
    await scene.wake("monitor", run.id)
    assert (await scene.run(run.id)).owed == ()
    assert scene.told() == ["needs_approval"]

    assert scene.railway.approve(scene.railway.created[0].id)
    await scene.live(20)
    await scene.wake("monitor", run.id)
    assert (await scene.run(run.id)).stage is Stage.VERIFY


@pytest.mark.parametrize(("restoring", "code"), [(False, Reason.DEPLOY_TIMEOUT), (True, Reason.ROLLBACK_TIMEOUT)])
async def test_a_deployment_that_never_ends_runs_out_of_time(scene: Scene, restoring: bool, code: Reason) -> None:
    run = await watched(scene, "BUILDING")
    if restoring:
        back = Rollback(reason=Reason.UNHEALTHY, needed=True, deployment_id=run.deployment.id)
        run = replace(run, rollback=back)
    await scene.save(run)
    scene.pass_time(900)
    await scene.wake("monitor", run.id)
    after = await scene.run(run.id)
    assert after.error.code is code
    assert (after.stage, (await scene.target()).lock is None) == (
        (Stage.DONE, False) if restoring else (Stage.ROLLBACK, True)
    )


async def test_while_going_back_the_restored_deployment_is_the_one_that_is_watched(scene: Scene) -> None:
    bad = await watched(scene, "CRASHED", crash_after=1)
    restored = scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, "0" * 40)
    back = Rollback(reason=Reason.DEPLOY_CRASHED, needed=True, deployment_id=restored.id)
    run = await scene.execute(replace(bad, rollback=back))
    assert (run.status, run.history[-1].message) == (Status.WAITING, "Railway: initializing")


@pytest.mark.parametrize("deployment", [None, Deployment()])
async def test_a_run_without_a_deployment_has_nothing_to_follow(scene: Scene, deployment: Deployment | None) -> None:
    run = scene.new_run(Stage.MONITOR, deployment=deployment, kind=Kind.DEPLOY)
    await scene.hold_target(run)
    run = await scene.execute(run)
    assert run.error.code is Reason.DEPLOYMENT_REPLACED


async def test_a_status_that_is_not_known_yet_is_waited_out(scene: Scene) -> None:
    run = await watched(scene, "BUILDING")
    scene.railway.created[0].status = "TELEPORTING"
    scene.railway.created[0].due = None
    body = {
        "data": {
            "result": {
                "id": scene.railway.created[0].id,
                "status": "TELEPORTING",
                "createdAt": "2026-11-22T12:00:00.000Z",
                "canRollback": False,
                "canRedeploy": False,
                "deploymentStopped": False,
                "instances": [],
            }
        }
    }
    scene.railway.app.faults.append(Fault(when="query Deployment(", status=200, body=body))
    run = await scene.execute(run)
    assert (run.status, run.history[-1].message) == (Status.WAITING, "Railway: teleporting")
