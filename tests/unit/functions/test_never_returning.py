"""A stage whose every execution is broken off ends its run, and leaves nothing of ours live, unverified and free."""

import pytest
from unit.functions.scene import OLD, TARGET, Scene

from local.world.faults import Fault
from local.world.vendors import ENVIRONMENT, SERVICE
from shared.core.pipeline import Pace
from shared.core.reasons import Reason
from shared.core.run import Run, Stage, Status

LIMIT = 5.0
"""Seconds: less than any client waits for an answer."""


def hang(scene: Scene, when: str = "") -> None:
    """From now on Railway answers nothing that has this in it, and the application nothing at all."""
    scene.railway.app.faults.append(Fault(when=when, slow=3600.0, times=100_000))


async def until(scene: Scene, stage: Stage) -> Run:
    while not (found := await scene.runs()) or found[0].stage is not stage:
        assert not found or not found[0].status.terminal
        await scene.go_on()
        await scene.deliver()
    return found[0]


@pytest.mark.parametrize(
    ("stage", "by_time"),
    [
        (Stage.DEPLOY, Reason.DEPLOY_TIMEOUT),
        (Stage.MONITOR, Reason.DEPLOY_TIMEOUT),
        (Stage.VERIFY, Reason.ATTEMPTS_EXHAUSTED),
        (Stage.ROLLBACK, Reason.VENDOR_UNAVAILABLE),
    ],
)
async def test_a_stage_that_never_returns_leaves_no_version_live_unverified_and_free(
    scene: Scene, stage: Stage, by_time: Reason
) -> None:
    # Given a stage of which no execution ends by itself
    scene.services.pace = Pace(limit=LIMIT, lease=1.2 * LIMIT)
    scene.configure(bake=60, max_attempts=4)
    if stage is Stage.DEPLOY:
        hang(scene, "serviceInstanceDeploy")
    scene.merge(scene.open_pull_request())
    if stage is Stage.ROLLBACK:
        scene.railway.plan(SERVICE, health="failing")
        hang(scene, "deploymentRollback")
    if stage in (Stage.MONITOR, Stage.VERIFY):
        await until(scene, stage)
        hang(scene)

    # When everything else goes on
    await scene.settle(hours=12)

    # Then the run has ended, and says so
    run = await scene.the_run()
    assert (run.status, run.error.code) in ((Status.FAILED, Reason.ATTEMPTS_EXHAUSTED), (Status.FAILED, by_time))
    assert run.rollback is not None or run.left_unverified

    # And where another version than the one before may be live, the target is not free: somebody is told to look
    target = await scene.target(TARGET)
    assert target.active is None
    if run.rollback is not None and run.rollback.needed is False:
        serving = scene.railway.serving(SERVICE, ENVIRONMENT)
        assert serving.commit_sha == OLD
        return
    assert target.hold is not None or target.lock is not None
    told = scene.n8n.notifications[-1]
    assert told["severity"] == "critical"
    assert "`/deploy`" in str(told["next_step"]) or "`/unlock`" in str(told["next_step"])
    scene.railway.app.faults.clear()
    scene.merge(scene.open_pull_request())
    for _ in range(100):
        await scene.go_on()
        await scene.deliver()
    later = next(one for one in await scene.runs() if one.id != run.id)
    assert later.deployment is None
