"""deploy: one deployment of the commit, whether ours, Railway's own, or one that a crash left behind."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import DOMAIN, NEW, OLD, OTHER, TARGET, Crash, Scene

from local.world.faults import Fault
from local.world.railway.deployment import Plan
from local.world.vendors import ENVIRONMENT, SERVICE
from shared.core.pipeline import Pace
from shared.core.reasons import Reason
from shared.core.run import Deployment, Run, Stage, Status
from shared.core.target import Hold, Target

DEPLOY = "mutation Deploy"


@pytest.fixture
async def run(scene: Scene) -> Run:
    run = scene.new_run(Stage.DEPLOY)
    await scene.hold_target(run)
    return run


def made(scene: Scene, commit: str = NEW) -> list[str]:
    return [deployment.id for deployment in scene.railway.created if deployment.commit_sha == commit]


def deployment(run: Run) -> Deployment:
    assert run.deployment is not None
    return run.deployment


async def test_a_deployment_is_made_once_and_its_intent_saved_before(scene: Scene, run: Run) -> None:
    known = [d.id for d in scene.railway.deployments(SERVICE, ENVIRONMENT)]
    scene.store.incidents.before(3, Crash())  # the claim, the intent, and the end that does not come
    with pytest.raises(Crash):
        await scene.execute(run)
    left = deployment(await scene.run(run.id))
    assert (left.id, list(left.baseline), left.requested_at) == (None, known, scene.clock.now())

    scene.pass_time(61)
    await scene.wake("deploy", run.id)
    after = await scene.run(run.id)
    assert after.stage is Stage.MONITOR
    assert [deployment(after).id] == made(scene)
    assert deployment(after).adopted is False
    assert "found our" in after.history[-1].message


async def test_the_whole_of_it_without_a_crash(scene: Scene, run: Run) -> None:
    after = await scene.execute(run)
    assert (after.stage, [deployment(after).id]) == (Stage.MONITOR, made(scene))
    assert (deployment(after).adopted, after.history[-1].message.startswith("Railway started")) == (False, True)


@pytest.mark.parametrize("fault", [{"lost": True}, {"status": 502}])
async def test_a_deployment_whose_answer_was_lost_is_found_and_not_made_again(
    scene: Scene, run: Run, fault: dict[str, Any]
) -> None:
    scene.railway.app.faults.append(Fault(when=DEPLOY, after_effect=True, **fault))
    await scene.execute(run)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY
    await scene.wake("deploy", run.id)
    after = await scene.run(run.id)
    assert ([deployment(after).id], after.stage) == (made(scene), Stage.MONITOR)


async def test_a_deployment_that_failed_at_once_is_still_the_one_that_was_asked_for(scene: Scene, run: Run) -> None:
    scene.railway.plan(SERVICE, build="fail")
    scene.railway.app.faults.append(Fault(when=DEPLOY, after_effect=True, lost=True))
    await scene.execute(run)
    for _ in range(4):
        await scene.live(10)
    await scene.wake("deploy", run.id)
    assert [deployment(await scene.run(run.id)).id] == made(scene)


async def test_a_call_that_never_arrived_is_waited_for_and_then_made_again(scene: Scene, run: Run) -> None:
    scene.railway.app.faults.append(Fault(when=DEPLOY, lost=True))
    await scene.execute(run)
    await scene.wake("deploy", run.id)
    waiting = await scene.run(run.id)
    assert (waiting.status, waiting.stage, made(scene)) == (Status.WAITING, Stage.DEPLOY, [])
    assert "request timed out" in waiting.history[-1].message
    assert waiting.wake_at == scene.clock.now() + timedelta(seconds=10)

    scene.pass_time(scene.services.pace.visible)
    await scene.wake("deploy", run.id)
    after = await scene.run(run.id)
    assert (after.stage, [deployment(after).id]) == (Stage.MONITOR, made(scene))


async def test_a_lost_answer_is_waited_for_though_railway_had_skipped_the_commit(scene: Scene, run: Run) -> None:
    # Given a commit that Railway skipped, and a command whose call for it shows its effect late
    skipped = await scene.deployed(until="SKIPPED", skipped=True)
    asked = replace(run, trigger=replace(run.trigger, source="command"))
    scene.railway.app.faults.append(Fault(when=DEPLOY, lost=True))
    await scene.execute(asked)

    # When it is looked for
    await scene.wake("deploy", run.id)

    # Then nothing is asked for again before the time in which it may show is up
    assert "request timed out" in (await scene.run(run.id)).history[-1].message
    assert made(scene) == [skipped.id]
    scene.pass_time(scene.services.pace.visible)
    await scene.wake("deploy", run.id)
    assert made(scene) == [skipped.id, deployment(await scene.run(run.id)).id]


async def test_a_failed_deployment_from_before_the_call_is_not_taken_for_its_effect(scene: Scene, run: Run) -> None:
    failed = await scene.deployed(until="FAILED", build="fail")
    scene.railway.app.faults.append(Fault(when=DEPLOY, lost=True))
    await scene.execute(run)
    await scene.wake("deploy", run.id)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY
    scene.pass_time(scene.services.pace.visible)
    await scene.wake("deploy", run.id)
    assert made(scene) == [failed.id, deployment(await scene.run(run.id)).id]


@pytest.mark.parametrize(("status", "headers"), [(429, {"retry-after": "30"}), (429, {})])
async def test_a_call_that_certainly_had_no_effect_is_taken_back(
    scene: Scene, run: Run, status: int, headers: dict[str, str]
) -> None:
    scene.railway.app.faults.append(Fault(when=DEPLOY, status=status, headers=headers))
    await scene.execute(run)
    assert (await scene.run(run.id)).deployment is None
    await scene.wake("deploy", run.id)  # so that nothing has to be looked for
    after = await scene.run(run.id)
    assert (after.stage, [deployment(after).id]) == (Stage.MONITOR, made(scene))


async def test_after_an_intent_was_taken_back_somebody_elses_failed_deployment_is_not_ours(
    scene: Scene, run: Run
) -> None:
    scene.railway.app.faults.append(Fault(when=DEPLOY, status=429))
    await scene.execute(run)
    scene.railway.plan(SERVICE, build="fail")
    stranger = scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, NEW)
    for _ in range(4):
        await scene.live(10)
    await scene.wake("deploy", run.id)
    assert deployment(await scene.run(run.id)).id != stranger.id


async def test_railways_refusal_ends_the_run_with_nothing_to_take_back(scene: Scene, run: Run) -> None:
    scene.railway.known_commits = {OLD}
    after = await scene.execute(run)
    assert (after.status, after.error.code, after.deployment) == (Status.FAILED, Reason.DEPLOY_REFUSED, None)
    assert "Commit not found" in after.error.message
    assert (await scene.target()).active is None


async def test_a_token_that_stays_refused_ends_the_run(scene: Scene, run: Run) -> None:
    scene.secrets["RAILWAY_API"] = "revoked-token"
    await scene.execute(run)
    after = await scene.patiently("deploy", run.id)
    assert after.error.code is Reason.VENDOR_REFUSED


async def test_a_deployment_of_the_commit_on_its_way_is_adopted(scene: Scene, run: Run) -> None:
    theirs = scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, NEW)
    after = await scene.execute(run)
    assert (deployment(after).id, deployment(after).adopted) == (theirs.id, True)
    assert (made(scene), after.stage) == ([theirs.id], Stage.MONITOR)
    assert theirs.id not in deployment(after).baseline
    assert len(deployment(after).baseline) == 1, "what was there before is known, should the adopted one fail"


async def test_a_live_deployment_of_the_commit_is_adopted_with_what_is_known_of_it(scene: Scene, run: Run) -> None:
    theirs = await scene.deployed(migrates=True)
    after = await scene.execute(run)
    assert (deployment(after).id, deployment(after).adopted, deployment(after).migrates) == (theirs.id, True, True)
    assert len(made(scene)) == 1


@pytest.mark.parametrize(("until", "plan"), [("FAILED", {"build": "fail"}), ("CRASHED", {"crash_after": 1})])
async def test_an_older_failed_deployment_of_the_commit_says_nothing(
    scene: Scene, run: Run, until: str, plan: dict[str, Any]
) -> None:
    failed = await scene.deployed(until=until, **plan)
    after = await scene.execute(run)
    assert deployment(after).id != failed.id
    assert len(made(scene)) == 2


async def test_a_deployment_of_another_commit_is_not_adopted(scene: Scene, run: Run) -> None:
    scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, OTHER)
    assert [deployment(await scene.execute(run)).id] == made(scene)


# Railway deploys by itself


async def test_railways_own_deployment_is_waited_for_and_adopted(scene: Scene, run: Run) -> None:
    scene.configure(auto_deploy="adopt", adopt_wait=60)
    after = await scene.execute(run)
    assert (after.status, made(scene)) == (Status.WAITING, [])
    assert after.wake_at == scene.clock.now() + timedelta(seconds=10)
    scene.pass_time(30)
    theirs = scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, NEW)
    await scene.wake("deploy", run.id)
    after = await scene.run(run.id)
    assert (deployment(after).id, deployment(after).adopted, made(scene)) == (theirs.id, True, [theirs.id])


async def test_when_railways_own_deployment_does_not_come_one_is_made(scene: Scene, run: Run) -> None:
    scene.configure(auto_deploy="adopt", adopt_wait=60)
    await scene.execute(run)
    scene.pass_time(59)
    await scene.wake("deploy", run.id)
    late = await scene.run(run.id)
    assert (late.status, late.wake_at) == (Status.WAITING, scene.clock.now() + timedelta(seconds=1))
    scene.pass_time(1)
    await scene.wake("deploy", run.id)
    after = await scene.run(run.id)
    assert ([deployment(after).id], deployment(after).adopted) == (made(scene), False)


@pytest.mark.parametrize("railway_deploys", [True, False])
async def test_on_a_held_target_railways_own_deployment_is_followed_and_none_is_made(
    scene: Scene, railway_deploys: bool
) -> None:
    scene.configure(auto_deploy="adopt", adopt_wait=0)
    run = scene.new_run(Stage.DEPLOY)
    hold = Hold(reason="bad", at=scene.clock.now(), run_id="another")
    await scene.save(Target(id=TARGET, active=run.id, hold=hold, verified=(scene.serving(),)))
    if railway_deploys:
        scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, NEW)
    after = await scene.execute(run)
    if railway_deploys:
        assert after.stage is Stage.MONITOR
    else:
        assert (after.status, after.reason, after.error) == (Status.NOT_DEPLOYED, Reason.TARGET_HELD, None)
        assert made(scene) == []


async def test_without_adoption_nothing_is_waited_for(scene: Scene, run: Run) -> None:
    scene.configure(auto_deploy="off")
    assert (await scene.execute(run)).stage is Stage.MONITOR


async def test_a_deployment_that_never_shows_runs_out_of_time(scene: Scene, run: Run) -> None:
    scene.services.pace = Pace(visible=1000)
    scene.railway.app.faults.append(Fault(when=DEPLOY, lost=True))
    await scene.execute(run)
    scene.pass_time(600)
    await scene.wake("deploy", run.id)
    after = await scene.run(run.id)
    assert after.rollback.reason is Reason.DEPLOY_TIMEOUT


# The first contact with a target


async def test_at_first_contact_a_sleeping_version_is_woken_and_remembered(scene: Scene) -> None:
    run = scene.new_run(Stage.DEPLOY)
    await scene.save(Target(id=TARGET, active=run.id))
    serving = scene.railway.serving(SERVICE, ENVIRONMENT)
    serving.status = "SLEEPING"
    await scene.execute(run)
    current = (await scene.target()).current
    assert current.deployment_id == serving.id


async def test_at_first_contact_the_healthy_version_that_serves_is_remembered(scene: Scene) -> None:
    run = scene.new_run(Stage.DEPLOY)
    await scene.save(Target(id=TARGET, active=run.id))
    after = await scene.execute(run)
    target = await scene.target()
    assert after.stage is Stage.MONITOR
    assert (target.current.commit_sha, target.current.run_id) == (OLD, None)
    assert target.address == f"https://{DOMAIN}"


@pytest.mark.parametrize("state", ["unhealthy", "unwell", "nothing", "crashed"])
async def test_at_first_contact_what_is_known_not_to_be_healthy_is_not_what_to_come_back_to(
    scene: Scene, state: str
) -> None:
    run = scene.new_run(Stage.DEPLOY)
    await scene.save(Target(id=TARGET, active=run.id))
    if state == "unhealthy":
        scene.application.faults.append(Fault(status=503))
    first = scene.railway.deployments(SERVICE, ENVIRONMENT)[0]
    if state == "unwell":
        first.plan = Plan(health="unwell")
    if state == "nothing":
        first.status = "REMOVED"
    if state == "crashed":
        first.status = "CRASHED"
    after = await scene.execute(run)
    assert (after.stage, (await scene.target()).current) == (Stage.MONITOR, None)


async def test_at_first_contact_a_look_that_reaches_nothing_leaves_it_to_railways_word(scene: Scene) -> None:
    run = scene.new_run(Stage.DEPLOY)
    await scene.save(Target(id=TARGET, active=run.id))
    scene.blind = True
    await scene.execute(run)
    target = await scene.target()
    assert (target.current.commit_sha, target.address) == (OLD, f"https://{DOMAIN}")


async def test_at_first_contact_a_private_service_is_taken_at_railways_word(scene: Scene) -> None:
    scene.railway_service.domain = None
    run = scene.new_run(Stage.DEPLOY)
    await scene.save(Target(id=TARGET, active=run.id))
    await scene.execute(run)
    target = await scene.target()
    assert (target.current.commit_sha, target.address) == (OLD, None)
    assert scene.application.calls == []


async def test_later_what_serves_is_not_looked_at(scene: Scene, run: Run) -> None:
    before = (await scene.target()).verified
    await scene.execute(run)
    assert (await scene.target()).verified == before
    assert scene.application.calls == []


async def test_what_was_verified_meanwhile_is_not_written_over(scene: Scene) -> None:
    run = scene.new_run(Stage.DEPLOY)
    await scene.save(Target(id=TARGET, active=run.id))

    async def verified() -> None:
        known = replace(scene.serving(), commit_sha=OTHER)
        await scene.save(replace(await scene.target(), verified=(known,)))

    scene.store.incidents.before(2, verified)
    await scene.execute(run)
    assert [version.commit_sha for version in (await scene.target()).verified] == [OTHER]


async def test_a_run_without_a_commit_has_nothing_to_deploy(scene: Scene) -> None:
    after = await scene.execute(scene.new_run(Stage.DEPLOY, commit_sha=None))
    assert after.error.code is Reason.TARGET_UNKNOWN


async def test_an_outage_that_outlasts_the_stage_ends_the_run_and_frees_the_target(scene: Scene, run: Run) -> None:
    scene.railway.app.faults.append(Fault(times=1000, status=502))
    await scene.execute(run)
    scene.pass_time(601)
    await scene.wake("deploy", run.id)
    after = await scene.run(run.id)
    assert (after.status, after.error.code) == (Status.FAILED, Reason.VENDOR_UNAVAILABLE)
    assert (await scene.target()).active is None


async def test_the_last_attempt_of_many_does_not_end_a_run_whose_deployment_may_exist(scene: Scene, run: Run) -> None:
    scene.railway.app.faults.append(Fault(when=DEPLOY, after_effect=True, lost=True))
    tired = replace(run, attempts=scene.services.terms(TARGET).policy.max_attempts - 1)
    await scene.save(tired)
    waiting = await scene.execute(tired)
    assert (waiting.status, waiting.attempts) == (Status.WAITING, 0)
    await scene.live(5)
    await scene.wake("deploy", run.id)
    assert [deployment(await scene.run(run.id)).id] == made(scene)
