"""Environments in order: what was verified in one goes on to the next, and nothing else does."""

import pytest
from msgspec.structs import replace
from unit.functions.scene import OLD, OTHER, STAGING_TARGET, START, TARGET, Crash, Scene

from local.world.vendors import ENVIRONMENT, REPOSITORY, SERVICE
from shared.core.promotion import verified_in
from shared.core.reasons import Reason
from shared.core.run import Kind, Run, Stage, Status, Verified
from shared.core.target import Hold, Lock, Quarantine, Target

STAGING_ENVIRONMENT = "environment-staging"


def serving(scene: Scene, environment: str) -> str:
    deployment = scene.railway.serving(SERVICE, environment)
    return deployment.commit_sha if deployment else ""


async def runs_by_environment(scene: Scene) -> dict[str, Run]:
    return {run.environment: run for run in await scene.runs()}


async def test_a_merge_goes_to_the_first_environment_and_on_once_it_was_verified(scene: Scene) -> None:
    scene.put_staging_first()
    await scene.ship()
    runs = await runs_by_environment(scene)
    assert {name: run.status for name, run in runs.items()} == dict.fromkeys(
        ("staging", "production"), Status.SUCCEEDED
    )
    staging, production = runs["staging"], runs["production"]
    assert production.commit_sha == staging.commit_sha == serving(scene, ENVIRONMENT)
    assert (production.trigger.source, production.trigger.id) == ("promotion", f"{staging.id} 1")
    assert production.created_at >= (await scene.target(STAGING_TARGET)).current.at
    assert "Next: `web/production` follows with the same commit." in scene.comments()[0]
    assert f"promoted after `{staging.id}` verified it" in scene.comments()[1]


async def test_what_failed_goes_no_further(scene: Scene) -> None:
    scene.put_staging_first()
    scene.railway.plan_in(STAGING_ENVIRONMENT, SERVICE, health="failing")
    await scene.ship()
    run = await scene.the_run()
    assert (run.environment, run.status) == ("staging", Status.ROLLED_BACK)
    assert (serving(scene, STAGING_ENVIRONMENT), serving(scene, ENVIRONMENT)) == (OLD, OLD)


async def test_a_command_deploys_to_the_environment_that_it_names_and_the_next_one_follows(scene: Scene) -> None:
    scene.put_staging_first()
    number = scene.open_pull_request(tests="success")
    await scene.happen(scene.say(number, "/deploy staging"))
    await scene.settle()
    runs = await runs_by_environment(scene)
    assert [runs[name].trigger.source for name in ("staging", "production")] == ["command", "promotion"]
    assert len(await scene.runs()) == 2


@pytest.mark.parametrize("order", ["/promote staging production", "/deploy production"])
async def test_by_setting_it_goes_on_at_a_command_alone(scene: Scene, order: str) -> None:
    scene.put_staging_first(promotion="command")
    number = scene.open_pull_request()
    sha = scene.merge(number)
    await scene.settle()
    assert list(await runs_by_environment(scene)) == ["staging"]
    assert "comment `/promote web/staging production` to deploy it to `web/production`" in scene.comments()[0]
    await scene.happen(scene.say(number, order))
    await scene.settle()
    assert serving(scene, ENVIRONMENT) == sha
    assert (await runs_by_environment(scene))["production"].trigger.source == "command"


@pytest.mark.parametrize("order", ["/deploy production", "/promote staging production"])
@pytest.mark.parametrize("merged", [False, True])
async def test_what_was_not_verified_before_is_refused_with_the_command_that_comes_first(
    scene: Scene, order: str, merged: bool
) -> None:
    scene.put_staging_first("policy.automatic = false")
    number = scene.open_pull_request(tests="success")
    if merged:
        scene.merge(number)
    await scene.happen(scene.say(number, order))
    await scene.settle()
    assert await scene.runs() == []
    [reply] = scene.comments()
    assert f"**`{Reason.NOT_VERIFIED_BEFORE}`**" in reply
    assert "Usage: `/deploy web/staging`" in reply


@pytest.mark.parametrize(("by", "deployed"), [("ada", True), ("grace", False)], ids=["an admin", "a writer"])
async def test_only_an_administrator_may_go_past_the_order(scene: Scene, by: str, deployed: bool) -> None:
    scene.put_staging_first("policy.automatic = false")
    number = scene.open_pull_request(tests="success")
    await scene.happen(scene.say(number, "/deploy production --force staging is down", by))
    await scene.settle()
    assert (serving(scene, ENVIRONMENT) != OLD) is deployed
    if not deployed:
        assert "only an administrator" in scene.comments()[0]


async def test_a_rollback_is_not_promoted(scene: Scene) -> None:
    scene.put_staging_first()
    await scene.ship()
    before = len(await scene.runs())
    await scene.happen(scene.say(1, "/rollback staging"))
    await scene.settle()
    after = await scene.runs()
    assert [run.kind for run in after[before:]] == [Kind.ROLLBACK]
    assert serving(scene, STAGING_ENVIRONMENT) == OLD


async def test_what_was_rolled_back_meanwhile_goes_no_further(scene: Scene) -> None:
    # Given a commit that has to stand for an hour, and is rolled back within that
    scene.put_staging_first(promote_after=3600)
    sha = scene.merge(scene.open_pull_request())
    with pytest.raises(AssertionError, match="unfinished"):
        await scene.settle(hours=0.4)
    waiting = (await runs_by_environment(scene))["production"]
    assert (waiting.status, waiting.stage) == (Status.WAITING, Stage.MERGE)
    assert "verified in web/staging; deployed here from" in waiting.history[-1].message
    await scene.happen(scene.say(1, "/rollback staging"))
    await scene.settle()

    # Then its time comes to nothing
    run = await scene.run(waiting.id)
    assert (run.status, run.error.code) == (Status.FAILED, Reason.NOT_VERIFIED_BEFORE)
    assert (await scene.target(STAGING_TARGET)).quarantine_of(sha) is not None
    assert serving(scene, ENVIRONMENT) == OLD


async def test_the_time_between_is_waited_for(scene: Scene) -> None:
    scene.put_staging_first(promote_after=7200)
    sha = scene.merge(scene.open_pull_request())
    await scene.settle(hours=4)
    run = (await runs_by_environment(scene))["production"]
    assert run.status is Status.SUCCEEDED
    verified = next(one for one in (await scene.target(STAGING_TARGET)).verified if one.commit_sha == sha)
    [started] = [
        made for made in scene.railway.created if made.service.environment_id == ENVIRONMENT and made.commit_sha == sha
    ]
    assert (started.created_at - verified.at).total_seconds() >= 7200


async def test_a_promotion_to_a_locked_environment_waits(scene: Scene) -> None:
    scene.put_staging_first()
    await scene.save(Target(id=TARGET, lock=Lock(by="ada", reason="audit", at=START)))
    with pytest.raises(AssertionError, match="unfinished"):
        await scene.ship()
    assert (await runs_by_environment(scene))["production"].status is Status.QUEUED
    await scene.happen(scene.say(1, "/unlock production"))
    await scene.settle()
    assert (await runs_by_environment(scene))["production"].status is Status.SUCCEEDED


async def test_a_promotion_to_a_held_environment_is_kept_back(scene: Scene) -> None:
    scene.put_staging_first()
    await scene.save(Target(id=TARGET, hold=Hold(reason="x was rolled back", at=START, run_id="x")))
    await scene.ship()
    run = (await runs_by_environment(scene))["production"]
    assert (run.status, run.reason) == (Status.NOT_DEPLOYED, Reason.TARGET_HELD)
    assert [one.commit_sha for one in (await scene.target()).held_back] == [run.commit_sha]


async def test_a_label_merges_and_deploys_to_the_first_environment(scene: Scene) -> None:
    scene.put_staging_first(deploy_label="ship it")
    number = scene.open_pull_request(tests="success")
    scene.github.label(REPOSITORY, number, "ship it", "grace")
    await scene.settle()
    runs = await runs_by_environment(scene)
    assert [runs[name].trigger.source for name in ("staging", "production")] == ["label", "promotion"]


async def test_a_merge_without_a_webhook_is_not_started_where_it_comes_later(scene: Scene) -> None:
    scene.put_staging_first()
    await scene.sweep()
    scene.pass_time(1)
    scene.merge(scene.open_pull_request())
    scene.github.webhooks.queue.clear()
    await scene.sweep(after=180)
    assert list(await runs_by_environment(scene)) == ["staging"]


@pytest.mark.parametrize("afterwards", [False, True])
async def test_a_crash_where_it_goes_on_loses_and_repeats_nothing(scene: Scene, afterwards: bool) -> None:
    # Given a run of staging about to be verified
    scene.put_staging_first()
    scene.merge(scene.open_pull_request())
    for _ in range(40):
        await scene.live(1)
        await scene.deliver()
        await scene.sweep()
        staging = (await runs_by_environment(scene)).get("staging")
        if staging is not None and staging.verification is not None:
            break
    scene.pass_time(40)

    # When the process dies around the commit that ends it
    (scene.store.incidents.after if afterwards else scene.store.incidents.before)(2, Crash())
    with pytest.raises(Crash):
        await scene.wake("verify", staging.id)

    # Then the next one has one run there, and only one
    await scene.settle()
    assert [run.environment for run in await scene.runs()] == ["staging", "production"]
    assert serving(scene, ENVIRONMENT) == serving(scene, STAGING_ENVIRONMENT) != OLD


def test_what_the_environment_before_has_verified() -> None:
    verified = Verified(deployment_id="d", commit_sha=OTHER, run_id=None, at=START)
    before = Target(id="x", verified=(replace(verified, commit_sha=OLD), verified))
    bad = Quarantine(commit_sha=OTHER, run_id="r", reason=Reason.UNHEALTHY, at=START)
    assert verified_in(before, OTHER) == verified
    assert verified_in(before, "c" * 40) is None
    assert verified_in(replace(before, quarantined=(bad,)), OTHER) is None
