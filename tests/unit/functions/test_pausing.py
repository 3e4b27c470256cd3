"""While a target is paused nothing is begun for it; afterwards everything goes on."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from unit.functions.scene import NEW, OLD, TARGET, Scene
from unit.functions.test_merge import asked, behind

from functions.sweep.probation import failed_probation
from local.cli import pausing
from local.operating.workplace import Place
from local.world.vendors import ENVIRONMENT, REPOSITORY, SERVICE
from shared.clients.railway.client import Railway
from shared.core.observed import ServiceState
from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import Stage, Status
from shared.core.target import Health, Pause, Target

REASON = "the database is being moved"


def place(scene: Scene) -> Place:
    return Place(
        name="the scene",
        store=scene.store.real,
        bus=scene.bus,
        messages=None,  # type: ignore[arg-type] - no command here reads them
        config=scene.services.config,
        pace=scene.services.pace,
        clock=scene.clock,
    )


async def pause(scene: Scene) -> None:
    [target] = await pausing._pause(place(scene), (), REASON)
    assert target.pause is not None


async def resume(scene: Scene) -> None:
    [target] = await pausing._resume(place(scene), ("production",))
    assert target.pause is None


async def pass_by(scene: Scene, seconds: float) -> None:
    end = scene.clock.now() + timedelta(seconds=seconds)
    while scene.clock.now() < end:
        await scene.go_on()
        await scene.deliver()


def serving(scene: Scene) -> str | None:
    found = scene.railway.serving(SERVICE, ENVIRONMENT)
    return found.commit_sha if found else None


async def test_nothing_is_merged_or_deployed_until_it_is_resumed(scene: Scene) -> None:
    # Given a paused target
    await pause(scene)

    # When one pull request is merged by hand, and another is to be deployed by command
    sha = scene.merge(scene.open_pull_request())
    other = scene.open_pull_request()
    scene.github.comment(REPOSITORY, other, "/deploy", "grace")
    await pass_by(scene, 3600)

    # Then neither is deployed, the second is not merged, and both say why
    assert (scene.railway.created, scene.github.pull(REPOSITORY, other).merged) == ([], False)
    runs = await scene.runs()
    assert len(runs) == 2
    assert {run.status for run in runs} == {Status.QUEUED}
    assert all("paused by" in run.history[-1].message and REASON in run.history[-1].message for run in runs)
    assert all(REASON in said for said in scene.comments(other))

    # And when it goes on, both are
    await resume(scene)
    await scene.settle()
    assert {run.status for run in await scene.runs()} <= {Status.SUCCEEDED, Status.SUPERSEDED}
    assert scene.github.pull(REPOSITORY, other).merged
    assert serving(scene) not in (OLD, None)
    assert sha


async def test_a_deployment_under_way_is_followed_and_a_bad_version_not_taken_back_meanwhile(scene: Scene) -> None:
    # Given a bad version on its way when the target is paused
    scene.railway.plan(SERVICE, health="failing")
    sha = scene.merge(scene.open_pull_request())
    while not scene.railway.created:
        await scene.go_on()
        await scene.deliver()
    await pause(scene)
    asked = len(scene.railway.created)

    # When it turns out to be bad, for longer than any stage may take
    await pass_by(scene, 4 * 3600)

    # Then its run waits to go back, and says so
    [run] = await scene.runs()
    assert (run.stage, run.status, serving(scene), len(scene.railway.created)) == (
        Stage.ROLLBACK,
        Status.WAITING,
        sha,
        asked,
    )
    assert REASON in run.history[-1].message

    # And goes back once it may
    await resume(scene)
    await scene.settle()
    [run] = await scene.runs()
    assert (run.status, run.error.code, serving(scene)) == (Status.ROLLED_BACK, Reason.UNHEALTHY, OLD)


async def test_a_run_that_was_about_to_deploy_waits_with_its_time_standing_still(scene: Scene) -> None:
    run = scene.new_run(Stage.DEPLOY)
    await scene.hold_target(run)
    await scene.save(run)
    await pause(scene)
    await scene.wake("deploy", run.id)
    waiting = await scene.run(run.id)
    assert (waiting.status, waiting.suspended_since is not None, scene.railway.created) == (Status.WAITING, True, [])

    scene.pass_time(3600)
    await resume(scene)
    await scene.wake("deploy", run.id)
    after = await scene.run(run.id)
    assert (after.stage, after.suspended_since, len(scene.railway.created)) == (Stage.MONITOR, None, 1)


async def test_a_pause_that_comes_while_what_serves_is_read_stops_the_deployment(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run that is about to deploy, and a pause that comes while the stage looks at what serves now
    run = scene.new_run(Stage.DEPLOY)
    await scene.save(run, Target(id=TARGET, active=run.id))
    service = Railway.service
    paused: list[str] = []

    async def slow(self: Railway, **which: str) -> ServiceState:
        found = await service(self, **which)
        paused.append(run.id)
        await pause(scene)
        return found

    monkeypatch.setattr(Railway, "service", slow)
    await scene.wake("deploy", run.id)

    # Then nothing is deployed, and the run waits
    assert paused
    assert ((await scene.run(run.id)).status, scene.railway.created) == (Status.WAITING, [])


async def test_a_rollback_by_command_waits_too_and_asks_nobody_to_give_way(scene: Scene) -> None:
    await scene.save(replace(await scene.target(), verified=(scene.serving(),), pause=a_pause(scene)))
    number = scene.open_pull_request()
    scene.github.comment(REPOSITORY, number, "/rollback", "grace")
    await pass_by(scene, 1800)
    assert scene.railway.created == []
    assert any(REASON in said for said in scene.comments(number)) or await scene.runs() == []


async def test_a_branch_is_not_brought_up_to_date_meanwhile(scene: Scene) -> None:
    scene.configure(update_branch=True)
    number, _ = await behind(scene)
    await pause(scene)
    run = await scene.execute(asked(scene, number))
    assert (run.status, REASON in run.history[-1].message) == (Status.WAITING, True)
    assert not scene.calls(scene.github.app, "update-branch")
    await resume(scene)
    await scene.wake("merge", run.id)
    assert scene.calls(scene.github.app, "update-branch")


async def test_health_lost_on_probation_takes_nothing_back_meanwhile(scene: Scene) -> None:
    current = replace(scene.serving(), run_id="r", deployment_id="new", commit_sha=NEW)
    target = replace(
        await scene.target(),
        verified=(current, scene.serving()),
        health=Health(state="unhealthy", changed_at=current.at),
    )
    assert failed_probation(target, Policy(probation=900)) == current
    assert failed_probation(replace(target, pause=a_pause(scene)), Policy(probation=900)) is None


def a_pause(scene: Scene) -> Pause:
    return Pause(by="root", reason=REASON, at=scene.clock.now())


@pytest.mark.parametrize("wanted", [("production",), ("web/production",), (TARGET,), ()])
async def test_a_target_is_named_as_it_is_known(scene: Scene, wanted: tuple[str, ...]) -> None:
    assert [one.id for one in await pausing._pause(place(scene), wanted, REASON)] == [TARGET]


async def test_a_target_that_is_not_known_changes_nothing(scene: Scene) -> None:
    with pytest.raises(pausing.click.UsageError, match=f"no target staging; there are: {TARGET}"):
        await pausing._pause(place(scene), ("production", "staging"), REASON)
    assert (await scene.target()).pause is None
