"""sweep: a version that loses its health on probation is taken back, once, and by nobody's command."""

from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import DOMAIN, ENVIRONMENT, NEW, OLD, OTHER, SERVICE, START, TARGET, Crash, Scene

from local.world.faults import Fault
from shared.core.reasons import Reason
from shared.core.replay import Request, replay
from shared.core.run import Kind, Run, Stage, Status, Verified
from shared.core.target import Lock, Target
from shared.runtime.update import amend

PROBATION = 300.0
LOOKS = 2


@pytest.fixture(autouse=True)
def on_probation(scene: Scene) -> None:
    scene.configure(probation=PROBATION)


async def verified(scene: Scene, **changes: Any) -> Run:
    """A run has just deployed NEW in the place of OLD, and verified it."""
    deployment = await scene.deployed(migrates=True)
    run = replace(scene.new_run(Stage.VERIFY), stage=Stage.DONE, status=Status.SUCCEEDED, stage_due=None, wake_at=None)
    current = Verified(deployment_id=deployment.id or "", commit_sha=NEW, run_id=run.id, at=scene.clock.now())
    scene.open_pull_request()
    await scene.save(run)
    await scene.save(
        replace(Target(id=TARGET, verified=(current, scene.serving()), address=f"https://{DOMAIN}"), **changes)
    )
    await scene.sweep()
    return run


async def fails(scene: Scene, *, looks: int = LOOKS, after: float = 60) -> None:
    """What serves fails so many looks, a minute between them, the first of them after so many seconds."""
    for look in range(looks):
        scene.pass_time(60 if look else after)
        scene.application.faults[:] = [Fault(status=503, times=2)]
        await scene.sweep()
    scene.application.faults.clear()


async def back(scene: Scene) -> Run | None:
    """The run that takes back."""
    return next((run for run in await scene.runs() if run.kind is Kind.ROLLBACK), None)


async def test_a_version_that_loses_its_health_on_probation_is_taken_back_as_after_a_failed_bake(scene: Scene) -> None:
    origin = await verified(scene)
    await fails(scene)
    begun = await back(scene)
    assert (begun.trigger.source, begun.trigger.actor, begun.pull_request) == (
        "health",
        "signalbox",
        origin.pull_request,
    )

    await scene.settle()
    run, target = await scene.run(begun.id), await scene.target()
    assert run.status is Status.ROLLED_BACK
    assert (run.error.code, run.error.message) == (
        Reason.UNHEALTHY,
        "503 Service Unavailable, body is not JSON, at https://shop.up.railway.app/health, 120 s after it was verified",
    )
    assert run.error.log_tail == ("starting", "listening"), "the log of what was rolled back"
    assert (target.current.commit_sha, scene.railway.serving(SERVICE, ENVIRONMENT).commit_sha) == (OLD, OLD)
    assert target.quarantine_of(NEW) is not None
    assert target.hold is not None
    assert (target.lock, target.active) == (None, None)
    assert sorted(scene.told()) == ["health_lost", "health_regained", "rolled_back"]
    assert [one["severity"] for one in scene.n8n.notifications if one["event"] == "rolled_back"] == ["error"]
    (comment,) = scene.comments()
    assert "rolled back to an earlier version" in comment
    assert "Started by Signalbox" in comment
    assert "`unhealthy`" in comment
    assert "quarantined" in comment
    assert "@signalbox" not in comment


async def test_one_that_ran_a_migration_says_so(scene: Scene) -> None:
    await verified(scene)
    await amend(
        scene.store.real,
        Target,
        TARGET,
        lambda one: replace(one, verified=(replace(one.verified[0], migrates=True), one.verified[1])),
    )
    await fails(scene)
    await scene.settle()
    run = await back(scene)
    assert "not undone" in run.error.message


async def test_a_rollback_is_not_rolled_back(scene: Scene) -> None:
    await verified(scene)
    await fails(scene)
    await scene.settle()
    await fails(scene, looks=4)
    await scene.settle()
    assert len([run for run in await scene.runs() if run.kind is Kind.ROLLBACK]) == 1
    assert scene.told()[-1] == "health_lost"


@pytest.mark.parametrize(
    ("policy", "changes", "given"),
    [
        ({"probation": 0}, {}, "no probation"),
        ({"rollback": "off"}, {}, "never by itself"),
        ({}, {"lock": Lock(by="ada", reason="looking into it", at=START)}, "locked"),
        ({}, {"rollbacks_in_a_row": 1}, "a rollback serves"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_people_are_only_told(scene: Scene, policy: dict[str, Any], changes: dict[str, Any], given: str) -> None:
    scene.configure(**{"probation": PROBATION} | policy)
    await verified(scene, **changes)
    await fails(scene, looks=4)
    assert await back(scene) is None, given
    await scene.settle()
    assert scene.told()[0] == "health_lost"


async def test_without_an_older_version_people_are_only_told(scene: Scene) -> None:
    await verified(scene)
    await amend(scene.store.real, Target, TARGET, lambda one: replace(one, verified=one.verified[:1]))
    await fails(scene)
    assert await back(scene) is None


async def test_what_no_run_deployed_is_not_taken_back(scene: Scene) -> None:
    await verified(scene)
    await amend(
        scene.store.real,
        Target,
        TARGET,
        lambda one: replace(one, verified=(replace(one.verified[0], run_id=None), one.verified[1])),
    )
    await fails(scene)
    assert await back(scene) is None


@pytest.mark.parametrize(("late", "taken_back"), [(0, True), (1, False)])
async def test_probation_ends_to_the_second(scene: Scene, late: float, taken_back: bool) -> None:
    await verified(scene)
    await fails(scene, after=PROBATION - 60 + late)
    assert (await back(scene) is not None) is taken_back


async def test_one_failed_look_is_no_loss(scene: Scene) -> None:
    await verified(scene)
    await fails(scene, looks=1)
    assert await back(scene) is None


async def test_looks_at_the_version_before_do_not_count(scene: Scene) -> None:
    scene.configure(probation=PROBATION, failure_threshold=3, bake=0)
    await scene.save(Target(id=TARGET, verified=(scene.serving(),), address=f"https://{DOMAIN}"))
    await fails(scene, looks=2)
    await scene.ship()
    assert (await scene.target()).health.failures == 0
    await fails(scene, looks=2)
    assert await back(scene) is None


async def test_a_new_version_that_was_verified_ends_a_loss_of_health(scene: Scene) -> None:
    scene.configure(probation=PROBATION, bake=0)
    await scene.save(Target(id=TARGET, verified=(scene.serving(),), address=f"https://{DOMAIN}"))
    await fails(scene)
    await scene.ship()
    assert sorted(scene.told()) == ["health_lost", "health_regained", "succeeded"]
    await fails(scene)
    assert await back(scene) is not None


async def test_a_crash_before_the_run_is_created_delays_it_by_a_sweep(scene: Scene) -> None:
    await verified(scene)
    await fails(scene, looks=1)
    scene.store.incidents.before(2, Crash())
    with pytest.raises(Crash):
        await fails(scene, looks=1)
    assert await back(scene) is None
    await fails(scene, looks=1)
    assert await back(scene) is not None


async def test_two_sweeps_at_once_count_a_look_once_and_start_one_run(scene: Scene) -> None:
    await verified(scene)
    scene.pass_time(60)
    scene.application.faults.append(Fault(status=503, times=100))
    await scene.sweep()
    await scene.sweep()
    assert (await scene.target()).health.failures == 1
    await scene.sweep(after=60)
    await scene.sweep()
    await scene.sweep(after=60)
    assert len([run for run in await scene.runs() if run.kind is Kind.ROLLBACK]) == 1


async def test_a_run_that_takes_the_target_during_the_look_is_left_to_it(scene: Scene) -> None:
    await verified(scene)
    await fails(scene, looks=1)

    async def taken() -> None:
        await amend(scene.store.real, Target, TARGET, lambda one: replace(one, active="another"))

    scene.store.incidents.before(1, taken)
    await fails(scene, looks=1)
    assert await back(scene) is None
    assert (await scene.target()).health.failures == 1


async def begun(scene: Scene) -> Run:
    """Its run was created, and its message has not come yet."""
    await verified(scene)
    await fails(scene)
    run = await back(scene)
    assert run is not None
    return run


async def test_recovered_before_it_had_the_target_nothing_is_taken_back(scene: Scene) -> None:
    run = await begun(scene)
    scene.bus.take()
    await scene.sweep(after=60)
    assert (await scene.target()).health.state == "healthy"
    await scene.settle()
    run = await scene.run(run.id)
    assert (run.status, run.history[-1].message) == (Status.SUCCEEDED, "healthy again: nothing was rolled back")
    assert scene.railway.rollbacks == []
    assert "healthy again on" in scene.comments()[0]
    assert "nothing was rolled back" in scene.comments()[0]
    (told,) = [one for one in scene.n8n.notifications if one["event"] == "succeeded"]
    assert (told["severity"], told["reason"]) == ("info", None)


async def test_locked_before_it_had_the_target_nothing_is_taken_back(scene: Scene) -> None:
    run = await begun(scene)
    lock = Lock(by="ada", reason="looking into it", at=scene.clock.now())
    await amend(scene.store.real, Target, TARGET, lambda one: replace(one, lock=lock))
    await scene.settle()
    run = await scene.run(run.id)
    assert (run.status, run.error.code) == (Status.FAILED, Reason.TARGET_LOCKED)
    assert (await scene.target()).lock == lock
    assert scene.railway.rollbacks == []


async def test_another_version_verified_meanwhile_is_not_taken_back(scene: Scene) -> None:
    run = await begun(scene)
    await amend(
        scene.store.real,
        Target,
        TARGET,
        lambda one: replace(
            one, verified=(replace(one.verified[0], deployment_id="d-other", commit_sha=OTHER), *one.verified)
        ),
    )
    await scene.settle()
    run = await scene.run(run.id)
    assert (run.status, run.error.code) == (Status.SUPERSEDED, Reason.DEPLOYMENT_REPLACED)
    assert scene.railway.rollbacks == []


@pytest.mark.parametrize("plan", [{}, {"crash_after": 5.0}], ids=["it serves", "it crashed"])
async def test_somebody_elses_deployment_is_left_alone(scene: Scene, plan: dict[str, float]) -> None:
    run = await begun(scene)
    scene.railway.plan(SERVICE, **plan)
    scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, OTHER)
    for _ in range(4):
        await scene.live(10)
    await scene.settle()
    run = await scene.run(run.id)
    assert (run.status, run.error.code) == (Status.SUPERSEDED, Reason.DEPLOYMENT_REPLACED)
    assert scene.railway.rollbacks == []


@pytest.mark.parametrize("gone", ["CRASHED", "REMOVED"])
async def test_what_crashed_or_was_removed_is_taken_back_to_the_version_before(scene: Scene, gone: str) -> None:
    run = await begun(scene)
    scene.railway.serving(SERVICE, ENVIRONMENT).status = gone
    await scene.settle()
    run = await scene.run(run.id)
    assert (run.status, run.commit_sha) == (Status.ROLLED_BACK, NEW)
    assert scene.railway.serving(SERVICE, ENVIRONMENT).commit_sha == OLD


async def test_replaying_it_takes_back_all_the_same_but_never_another_version(scene: Scene) -> None:
    # Given one that found the version healthy again
    run = await begun(scene)
    scene.bus.take()
    await scene.sweep(after=60)
    await scene.settle()

    # When somebody replays it
    async def again() -> None:
        transition = replay(
            await scene.run(run.id), await scene.target(), Request(by="ada"), scene.services.terms(TARGET)
        )
        assert not hasattr(transition, "code")
        await scene.save(transition.run, transition.target)
        await scene.settle()

    await again()

    # Then it is taken back
    assert (await scene.run(run.id)).status is Status.ROLLED_BACK
    assert scene.railway.serving(SERVICE, ENVIRONMENT).commit_sha == OLD

    # And once more it finds another version there
    await again()
    assert (await scene.run(run.id)).status is Status.SUPERSEDED
    assert len(scene.railway.rollbacks) == 1
