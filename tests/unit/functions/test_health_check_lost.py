"""A service whose health check stood in a file that Railway no longer reads: its run says so."""

import pytest
from msgspec.structs import replace
from unit.functions.scene import NEW, RAILWAY_PACE, TARGET, Scene

from local.world.railway.server import CONFIG_FILES_UNTIL
from local.world.vendors import SERVICE
from shared.core.run import Run, Stage, Status
from shared.core.target import Target

LOST = "Railway no longer checks this service before a version goes live: it checked the version before at `/health`"


def configured_by_a_file(scene: Scene, *, own: str | None = None) -> None:
    """What serves was checked at /health, as railway.json says; `own` is what the service's settings say."""
    service = scene.railway_service
    service.config_file, service.file_healthcheck_path, service.healthcheck_path = "/railway.json", "/health", own


def pass_the_first_of_december(scene: Scene) -> None:
    scene.pass_time((CONFIG_FILES_UNTIL - scene.clock.now()).total_seconds())


async def merged(scene: Scene) -> tuple[Run, str]:
    """The run of a merge once it has ended, and its comment."""
    number = scene.open_pull_request()
    scene.merge(number)
    await scene.settle()
    [run] = [one for one in await scene.runs() if one.pull_request and one.pull_request.number == number]
    [said] = scene.comments(number)
    return run, said


async def test_the_comment_says_that_the_health_check_is_gone(scene: Scene) -> None:
    # Given a health check that stands in railway.json alone
    configured_by_a_file(scene)

    # When a version is deployed after Railway stopped reading it
    pass_the_first_of_december(scene)
    run, said = await merged(scene)

    # Then its run ends well, and says what is missing from now on, and what to do
    assert run.status is Status.SUCCEEDED
    assert run.deployment.health_check_lost
    assert LOST in said
    assert "`.railway/railway.ts`" in said
    assert "`serviceInstanceUpdate`" in said


async def test_it_is_said_once_and_not_of_the_runs_after(scene: Scene) -> None:
    configured_by_a_file(scene)
    pass_the_first_of_december(scene)
    await merged(scene)

    run, said = await merged(scene)

    assert run.status is Status.SUCCEEDED
    assert LOST not in said


async def test_until_that_day_nothing_is_lost(scene: Scene) -> None:
    configured_by_a_file(scene)
    _, said = await merged(scene)
    assert LOST not in said


async def test_a_health_check_in_the_services_own_settings_stays(scene: Scene) -> None:
    configured_by_a_file(scene, own="/health")
    pass_the_first_of_december(scene)
    _, said = await merged(scene)
    assert LOST not in said


@pytest.mark.parametrize("plan", [{"health": "failing"}, {"crash_after": RAILWAY_PACE * 3}])
async def test_a_bad_version_that_nothing_kept_from_going_live_says_so(scene: Scene, plan: dict[str, object]) -> None:
    # Given a version that is bad, and that Railway does not check
    configured_by_a_file(scene)
    pass_the_first_of_december(scene)
    scene.railway.plan(SERVICE, **plan)

    # When it is taken back to one that Railway did check
    run, said = await merged(scene)

    # Then the restored version does not hide what is missing
    assert run.status is Status.ROLLED_BACK
    assert LOST in said


async def test_railways_own_deployment_is_looked_at_too(scene: Scene) -> None:
    configured_by_a_file(scene)
    scene.configure(auto_deploy="adopt")
    scene.railway_service.auto_deploy = True
    pass_the_first_of_december(scene)

    run, said = await merged(scene)

    assert run.deployment.adopted
    assert LOST in said


async def test_the_first_run_finds_what_served_before_its_deployment(scene: Scene) -> None:
    # Given a target of which nothing was verified yet, and a deployment of Railway's own that is live already
    configured_by_a_file(scene)
    scene.configure(auto_deploy="adopt")
    pass_the_first_of_december(scene)
    live = await scene.deployed(NEW)

    # When the run of its commit comes late
    run = scene.new_run(Stage.DEPLOY, commit_sha=NEW)
    await scene.save(Target(id=TARGET, active=run.id))
    after = await scene.execute(run)

    # Then it is compared with the one that had been replaced
    assert (after.deployment.id, after.deployment.health_check_before) == (live.id, "/health")
    await scene.wake("monitor", run.id)
    seen = (await scene.run(run.id)).deployment
    assert seen.health_check_lost


async def test_what_another_run_found_live_is_compared_with_what_served_before_it(scene: Scene) -> None:
    # Given Railway's own deployment of a commit, which the run of another commit found live and took for the last good
    configured_by_a_file(scene)
    pass_the_first_of_december(scene)
    live = await scene.deployed(NEW)
    found = replace(scene.serving(), deployment_id=str(live.id), commit_sha=NEW, run_id=None)

    # When the run of that commit adopts it
    run = scene.new_run(Stage.DEPLOY, commit_sha=NEW)
    await scene.save(Target(id=TARGET, active=run.id, verified=(found,)))
    after = (await scene.execute(run)).deployment

    # Then it is compared with the version before, not with itself
    assert (after.id, after.health_check_before) == (live.id, "/health")


async def test_what_an_earlier_attempt_saw_is_not_forgotten(scene: Scene) -> None:
    # Given a run that is attempted again once its own unchecked version is what was verified last
    configured_by_a_file(scene)
    pass_the_first_of_december(scene)
    lost = replace(await scene.deployed(NEW), health_check_before="/health", health_check_lost=True)
    run = scene.new_run(Stage.DEPLOY, commit_sha=NEW, deployment=lost)
    verified = replace(scene.serving(), deployment_id=str(lost.id), commit_sha=NEW)
    await scene.save(Target(id=TARGET, active=run.id, verified=(verified,)))

    # When it adopts that version
    after = (await scene.execute(run)).deployment

    # Then it still knows what the version before was checked by
    assert (after.id, after.health_check_before, after.health_check_lost) == (lost.id, "/health", True)
