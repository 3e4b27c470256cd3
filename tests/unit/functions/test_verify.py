"""verify: the new commit answers and stays healthy; only a definite failure takes it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from unit.functions.scene import DOMAIN, NEW, OLD, TARGET, Scene

from local.vendors import ENVIRONMENT, SERVICE
from local.world.faults import Fault
from shared.errors import Code
from shared.run import Deployment, Rollback, Run, Stage, Status, Target, Verdict


async def live(scene: Scene, **plan: Any) -> Run:
    """A run whose deployment has just gone live."""
    run = scene.new_run(Stage.VERIFY, deployment=await scene.deployed(**plan))
    await scene.hold_target(run)
    return run


def verdicts(run: Run) -> dict[str, Verdict]:
    assert run.verification is not None
    return {check.name: check.verdict for check in run.verification.checks}


async def look_again(scene: Scene, run: Run, after: float) -> Run:
    await scene.live(after)
    await scene.wake("verify", run.id)
    return await scene.run(run.id)


async def test_a_healthy_new_version_is_watched_through_the_bake_and_then_stands(scene: Scene) -> None:
    run = await scene.execute(await live(scene))
    assert (run.status, verdicts(run)) == (
        Status.WAITING,
        {"railway": Verdict.PASS, "version": Verdict.PASS, "health": Verdict.PASS},
    )
    run = await look_again(scene, run, 29)
    assert (run.status, run.wake_at) == (Status.WAITING, scene.clock.now() + timedelta(seconds=1))
    run = await look_again(scene, run, 1)
    target = await scene.target()
    assert (run.status, target.active) == (Status.SUCCEEDED, None)
    assert [version.commit_sha for version in target.verified] == [NEW, OLD]
    assert target.address == f"https://{DOMAIN}"


async def test_without_a_bake_one_good_look_is_enough(scene: Scene) -> None:
    scene.configure(bake=0)
    assert (await scene.execute(await live(scene))).status is Status.SUCCEEDED


async def test_people_get_the_address_as_soon_as_it_was_looked_at(scene: Scene) -> None:
    run = await scene.execute(await live(scene))
    assert run.deployment is not None
    assert run.deployment.url == f"https://{DOMAIN}"


async def test_railways_own_redeployment_of_the_commit_takes_the_runs_place(scene: Scene) -> None:
    run = await scene.execute(await live(scene))
    again = await scene.deployed(commit=NEW)
    assert run.deployment is not None
    assert run.deployment.id != again.id

    run = await look_again(scene, run, 30)
    target = await scene.target()
    assert run.status is Status.SUCCEEDED
    assert run.deployment is not None
    assert run.deployment.id == again.id
    assert target.current is not None
    assert target.current.deployment_id == again.id


async def test_an_unhealthy_version_is_taken_back_at_the_threshold(scene: Scene) -> None:
    run = await scene.execute(await live(scene, health="failing"))
    assert (run.stage, run.status, verdicts(run)["health"]) == (Stage.VERIFY, Status.WAITING, Verdict.FAIL)
    run = await look_again(scene, run, 10)
    assert run.rollback is not None
    assert (run.stage, run.rollback.reason) == (Stage.ROLLBACK, Code.UNHEALTHY)


async def test_failures_count_only_in_a_row(scene: Scene) -> None:
    scene.configure(bake=120)
    run = await live(scene)
    for status in (503, None, 503, None, 503):
        if status:
            scene.application.faults.append(Fault(status=status))
        run = await scene.execute(run) if run.verification is None else await look_again(scene, run, 10)
        assert run.stage is Stage.VERIFY


async def test_a_healthy_answer_of_the_old_version_proves_nothing(scene: Scene) -> None:
    run = await scene.execute(await live(scene, shows_commit="previous"))
    assert (run.status, verdicts(run)["version"]) == (Status.WAITING, Verdict.FAIL)
    while run.stage is Stage.VERIFY:
        run = await look_again(scene, run, 60)
    assert run.rollback is not None
    assert run.rollback.reason is Code.WRONG_VERSION


async def test_a_version_that_shows_no_commit_although_it_should_is_wrong(scene: Scene) -> None:
    run = await scene.execute(await live(scene, shows_commit=None))
    assert verdicts(run)["version"] is Verdict.FAIL


async def test_the_commit_may_come_in_a_header(scene: Scene) -> None:
    scene.configure(commit_field="nowhere", commit_header="x-commit-sha")
    assert verdicts(await scene.execute(await live(scene)))["version"] is Verdict.PASS


async def test_where_no_commit_is_shown_railways_word_decides(scene: Scene) -> None:
    scene.configure(commit_field=None)
    run = await scene.execute(await live(scene, shows_commit=None))
    assert (verdicts(run)["version"], verdicts(run)["health"]) == (Verdict.NOT_RUN, Verdict.PASS)
    assert (await look_again(scene, run, 30)).status is Status.SUCCEEDED


async def test_a_private_service_is_judged_by_railway_alone(scene: Scene) -> None:
    scene.railway_service.domain = None
    run = await scene.execute(await live(scene))
    assert verdicts(run) == {"railway": Verdict.PASS, "version": Verdict.NOT_RUN, "health": Verdict.NOT_RUN}
    assert run.deployment is not None
    assert run.deployment.url is None
    run = await look_again(scene, run, 30)
    assert (run.status, (await scene.target()).address) == (Status.SUCCEEDED, None)
    assert scene.application.calls == []


async def test_the_configured_address_goes_before_railways(scene: Scene) -> None:
    scene.configure(health_url="https://shop.example/", health_path="health")
    run = await scene.execute(await live(scene))
    assert run.deployment is not None
    assert (run.deployment.url, verdicts(run)["health"]) == ("https://shop.example", Verdict.PASS)
    assert [call.path for call in scene.application.calls] == ["/health"]


async def test_a_sleeping_service_is_woken_and_then_judged(scene: Scene) -> None:
    run = await scene.execute(await live(scene, sleep_after=1, until="SLEEPING"))
    assert (run.status, verdicts(run)["railway"]) == (Status.WAITING, Verdict.PASS)
    run = await look_again(scene, run, 0)
    assert verdicts(run)["health"] is Verdict.PASS


async def test_a_blind_prober_waits_and_then_tells_without_taking_anything_back(scene: Scene) -> None:
    scene.blind = True
    run = await scene.execute(await live(scene))
    assert (run.status, verdicts(run)["health"]) == (Status.WAITING, Verdict.INCONCLUSIVE)
    while run.stage is Stage.VERIFY:
        run = await look_again(scene, run, 30)
    assert run.error is not None
    assert (run.status, run.error.code, run.rollback) == (Status.FAILED, Code.VERIFY_INCONCLUSIVE, None)
    assert scene.railway.rollbacks == []
    assert "unverified:n8n" in run.owed
    assert [version.commit_sha for version in (await scene.target()).verified] == [OLD]


async def test_a_prober_that_sees_again_goes_on(scene: Scene) -> None:
    scene.blind = True
    run = await scene.execute(await live(scene))
    scene.blind = False
    run = await look_again(scene, run, 10)
    assert verdicts(run)["health"] is Verdict.PASS
    assert (await look_again(scene, run, 30)).status is Status.SUCCEEDED


async def test_a_crash_during_the_bake_is_taken_back_with_the_log(scene: Scene) -> None:
    run = await scene.execute(await live(scene, crash_after=20))
    assert run.status is Status.WAITING
    run = await look_again(scene, run, 21)
    assert run.error is not None
    assert (run.stage, run.error.code) == (Stage.ROLLBACK, Code.DEPLOY_CRASHED)
    assert run.error.log_tail[-1] == "the process exited with code 1"


async def test_a_deployment_that_was_replaced_is_not_taken_back(scene: Scene) -> None:
    run = await scene.execute(await live(scene))
    await scene.deployed(OLD)
    run = await look_again(scene, run, 1)
    assert run.error is not None
    assert (run.status, run.error.code) == (Status.SUPERSEDED, Code.DEPLOYMENT_REPLACED)
    assert scene.railway.rollbacks == []
    assert (await scene.target()).active is None


async def test_a_restored_version_is_judged_by_its_own_commit_and_without_a_bake(scene: Scene) -> None:
    bad = await scene.deployed()
    back = await scene.deployed(OLD)
    rollback = Rollback(reason=Code.UNHEALTHY, to=scene.serving(), needed=True, deployment_id=back.id)
    run = scene.new_run(Stage.VERIFY, deployment=bad, rollback=rollback)
    await scene.hold_target(run)
    run = await scene.execute(run)
    target = await scene.target()
    assert (run.status, run.watched_commit) == (Status.ROLLED_BACK, OLD)
    assert target.current is not None
    assert (target.current.deployment_id, target.current.commit_sha) == (back.id, OLD)
    assert [quarantine.commit_sha for quarantine in target.quarantined] == [NEW]


async def test_a_restored_version_that_is_unhealthy_locks_the_target(scene: Scene) -> None:
    bad = await scene.deployed()
    back = await scene.deployed(OLD, health="failing")
    rollback = Rollback(reason=Code.UNHEALTHY, to=scene.serving(), needed=True, deployment_id=back.id)
    run = scene.new_run(Stage.VERIFY, deployment=bad, rollback=rollback)
    await scene.hold_target(run)
    run = await scene.execute(run)
    run = await look_again(scene, run, 10)
    target = await scene.target()
    assert (run.status, run.stage, target.active) == (Status.FAILED, Stage.DONE, None)
    assert target.lock is not None
    assert target.lock.run_id == run.id
    assert "rollback_failed:n8n" in run.owed
    assert scene.railway.rollbacks == []


async def test_a_run_without_a_deployment_has_nothing_to_verify(scene: Scene) -> None:
    run = scene.new_run(Stage.VERIFY, deployment=Deployment())
    await scene.save(Target(id=TARGET, active=run.id))
    run = await scene.execute(run)
    assert run.error is not None
    assert run.error.code is Code.DEPLOYMENT_REPLACED


async def test_railway_being_down_is_no_verdict(scene: Scene) -> None:
    run = await live(scene)
    scene.railway.app.faults.append(Fault(times=2, status=502))
    run = await scene.execute(run)
    assert (run.stage, run.status, run.verification) == (Stage.VERIFY, Status.WAITING, None)
    assert scene.railway.serving(SERVICE, ENVIRONMENT) is scene.railway.created[-1]
