"""verify: the new commit answers and stays healthy; only a definite failure takes it back."""

from datetime import timedelta
from typing import Any

import pytest
from unit.functions.scene import DOMAIN, NEW, OLD, TARGET, Scene

from local.world.faults import Fault
from local.world.railway.deployment import CustomDomain
from local.world.vendors import ENVIRONMENT, SERVICE
from shared.core.reasons import Reason
from shared.core.run import Deployment, Rollback, Run, Stage, Status, Verdict
from shared.core.target import Target


async def live(scene: Scene, **plan: Any) -> Run:
    """A run whose deployment has just gone live."""
    run = scene.new_run(Stage.VERIFY, deployment=await scene.deployed(**plan))
    await scene.hold_target(run)
    return run


def verdicts(run: Run) -> dict[str, Verdict]:
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
    assert run.deployment.url == f"https://{DOMAIN}"


async def test_railways_own_redeployment_of_the_commit_takes_the_runs_place(scene: Scene) -> None:
    run = await scene.execute(await live(scene))
    again = await scene.deployed(commit=NEW)
    assert run.deployment.id != again.id

    run = await look_again(scene, run, 30)
    target = await scene.target()
    assert run.status is Status.SUCCEEDED
    assert run.deployment.id == again.id
    assert target.current.deployment_id == again.id


async def test_an_unhealthy_version_is_taken_back_at_the_threshold(scene: Scene) -> None:
    run = await scene.execute(await live(scene, health="failing"))
    assert (run.stage, run.status, verdicts(run)["health"]) == (Stage.VERIFY, Status.WAITING, Verdict.FAIL)
    run = await look_again(scene, run, 10)
    assert (run.stage, run.rollback.reason) == (Stage.ROLLBACK, Reason.UNHEALTHY)


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
    assert run.rollback.reason is Reason.WRONG_VERSION


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
    assert run.deployment.url is None
    run = await look_again(scene, run, 30)
    assert (run.status, (await scene.target()).address) == (Status.SUCCEEDED, None)
    assert scene.application.calls == []


async def test_the_configured_address_goes_before_railways(scene: Scene) -> None:
    scene.configure(health_url="https://shop.example/", health_path="health")
    run = await scene.execute(await live(scene))
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
    assert (run.status, run.error.code, run.rollback) == (Status.FAILED, Reason.VERIFY_INCONCLUSIVE, None)
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
    assert (run.stage, run.error.code) == (Stage.ROLLBACK, Reason.DEPLOY_CRASHED)
    assert run.error.log_tail[-1] == "the process exited with code 1"


async def test_a_deployment_that_was_replaced_is_not_taken_back(scene: Scene) -> None:
    run = await scene.execute(await live(scene))
    await scene.deployed(OLD)
    run = await look_again(scene, run, 1)
    assert (run.status, run.error.code) == (Status.SUPERSEDED, Reason.DEPLOYMENT_REPLACED)
    assert scene.railway.rollbacks == []
    assert (await scene.target()).active is None


async def test_a_restored_version_is_judged_by_its_own_commit_and_without_a_bake(scene: Scene) -> None:
    bad = await scene.deployed()
    back = await scene.deployed(OLD)
    rollback = Rollback(reason=Reason.UNHEALTHY, to=scene.serving(), needed=True, deployment_id=back.id)
    run = scene.new_run(Stage.VERIFY, deployment=bad, rollback=rollback)
    await scene.hold_target(run)
    run = await scene.execute(run)
    target = await scene.target()
    assert (run.status, run.watched_commit) == (Status.ROLLED_BACK, OLD)
    assert (target.current.deployment_id, target.current.commit_sha) == (back.id, OLD)
    assert [quarantine.commit_sha for quarantine in target.quarantined] == [NEW]


async def test_a_restored_version_that_is_unhealthy_locks_the_target(scene: Scene) -> None:
    bad = await scene.deployed()
    back = await scene.deployed(OLD, health="failing")
    rollback = Rollback(reason=Reason.UNHEALTHY, to=scene.serving(), needed=True, deployment_id=back.id)
    run = scene.new_run(Stage.VERIFY, deployment=bad, rollback=rollback)
    await scene.hold_target(run)
    run = await scene.execute(run)
    run = await look_again(scene, run, 10)
    target = await scene.target()
    assert (run.status, run.stage, target.active) == (Status.FAILED, Stage.DONE, None)
    assert target.lock.run_id == run.id
    assert "rollback_failed:n8n" in run.owed
    assert scene.railway.rollbacks == []


async def test_a_run_without_a_deployment_has_nothing_to_verify(scene: Scene) -> None:
    run = scene.new_run(Stage.VERIFY, deployment=Deployment())
    await scene.save(Target(id=TARGET, active=run.id))
    run = await scene.execute(run)
    assert run.error.code is Reason.DEPLOYMENT_REPLACED


async def test_railway_being_down_is_no_verdict(scene: Scene) -> None:
    run = await live(scene)
    scene.railway.app.faults.append(Fault(times=2, status=502))
    run = await scene.execute(run)
    assert (run.stage, run.status, run.verification) == (Stage.VERIFY, Status.WAITING, None)
    assert scene.railway.serving(SERVICE, ENVIRONMENT) is scene.railway.created[-1]


# Where it answers


async def test_a_domain_that_still_leads_to_the_old_host_is_not_judged(scene: Scene) -> None:
    # Given a custom domain whose record leads to the old host, which answers well by an old commit
    scene.railway_service.custom_domains.append(CustomDomain(domain="www.shop.example", elsewhere=OLD))

    # When a good version is verified
    run = await scene.execute(await live(scene))
    run = await look_again(scene, run, 30)

    # Then it was looked at on Railway's own domain, and stands
    assert run.status is Status.SUCCEEDED
    assert (run.address, (await scene.target()).address) == (f"https://{DOMAIN}", f"https://{DOMAIN}")


async def test_a_bad_version_behind_the_old_host_does_not_succeed(scene: Scene) -> None:
    scene.configure(commit_field=None)
    scene.railway_service.custom_domains.append(CustomDomain(domain="www.shop.example", elsewhere=OLD))
    run = await scene.execute(await live(scene, health="failing"))
    run = await look_again(scene, run, 10)
    assert run.rollback.reason is Reason.UNHEALTHY


async def test_a_domain_that_is_verified_is_looked_at_and_named(scene: Scene) -> None:
    scene.railway_service.custom_domains.append(CustomDomain(domain="www.shop.example"))
    run = await scene.execute(await live(scene))
    assert run.verification.checks[-1].detail == "200 OK, at https://www.shop.example/health"
    assert run.address == "https://www.shop.example"


async def test_a_redirect_says_where_it_led(scene: Scene) -> None:
    login = Fault(status=302, headers={"location": "https://login.example/sign-in?next=secret"})
    scene.application.faults.append(login)
    run = await scene.execute(await live(scene))
    health = run.verification.checks[-1]
    assert (health.verdict, health.detail) == (
        Verdict.FAIL,
        f"302 Found, redirects to https://login.example/sign-in, at https://{DOMAIN}/health",
    )


# Not listening yet


@pytest.mark.parametrize("slow", [{"listens_after": 200}, {"routed_after": 200}], ids=["port", "route"])
async def test_a_version_that_listens_after_200_seconds_is_verified(scene: Scene, slow: dict[str, Any]) -> None:
    # Given the documented 300 s, and an application that listens after 200
    scene.configure(verify_deadline=300, poll=20)
    run = await scene.execute(await live(scene, **slow))
    assert (run.status, verdicts(run)["health"]) == (Status.WAITING, Verdict.INCONCLUSIVE)

    # When it is looked at all the while
    while run.stage is Stage.VERIFY:
        run = await look_again(scene, run, 20)

    # Then it stands
    assert (run.status, run.rollback) == (Status.SUCCEEDED, None)
    assert any("not listening yet" in entry.message for entry in run.history)


async def test_a_version_that_never_listens_is_rolled_back_at_the_deadline(scene: Scene) -> None:
    scene.configure(verify_deadline=120, poll=20)
    run = await scene.execute(await live(scene, listens_after=9999))
    looks = 1
    while run.stage is Stage.VERIFY:
        run = await look_again(scene, run, 20)
        looks += 1
    assert looks > 6, "the threshold does not decide"
    assert run.error is not None
    assert run.rollback.reason is Reason.UNHEALTHY
    assert "time ran out: not listening yet: 502 Bad Gateway, from Railway's edge" in run.error.message
    assert run.error.log_tail == ("starting", "listening")


async def test_a_version_that_answers_500_is_left_no_longer_than_before(scene: Scene) -> None:
    scene.configure(verify_deadline=300, failure_threshold=2, poll=20)
    run = await scene.execute(await live(scene, health="failing"))
    run = await look_again(scene, run, 20)
    assert run.rollback is not None


async def test_once_it_has_answered_the_edges_answer_counts(scene: Scene) -> None:
    scene.configure(bake=300)
    run = await scene.execute(await live(scene))
    gone = {"status": "error", "code": 404, "message": "Application not found", "request_id": "x"}
    for _ in range(2):
        scene.application.faults.append(Fault(status=404, headers={"x-railway-fallback": "true"}, body=gone))
        run = await look_again(scene, run, 10)
    assert run.rollback.reason is Reason.UNHEALTHY


# What the body says


async def test_a_version_that_says_it_is_unhealthy_is_rolled_back(scene: Scene) -> None:
    run = await scene.execute(await live(scene, health="unwell"))
    assert verdicts(run)["health"] is Verdict.FAIL
    run = await look_again(scene, run, 10)
    assert run.rollback is not None
    assert run.error.message == f"200 OK, status unhealthy, at https://{DOMAIN}/health (2 failed checks in a row)"
    assert run.error.log_tail == ("starting", "listening")


async def test_the_field_and_value_of_the_policy_decide_alone(scene: Scene) -> None:
    scene.configure(health_field="status", health_value="unhealthy", bake=0)
    assert (await scene.execute(await live(scene, health="unwell"))).status is Status.SUCCEEDED


async def test_a_version_without_the_configured_field_is_not_healthy(scene: Scene) -> None:
    scene.configure(health_field="app.state", health_value="green")
    run = await scene.execute(await live(scene))
    assert verdicts(run)["health"] is Verdict.FAIL


async def test_a_degraded_version_passes_and_says_so(scene: Scene) -> None:
    scene.application.faults.append(Fault(status=200, body={"status": "degraded", "commit": NEW}))
    run = await scene.execute(await live(scene))
    assert run.verification.checks[-1].verdict is Verdict.PASS
    assert run.verification.checks[-1].detail == f"200 OK, status degraded, at https://{DOMAIN}/health"


# The log


@pytest.mark.parametrize(
    ("plan", "code"), [({"health": "failing"}, Reason.UNHEALTHY), ({"shows_commit": "previous"}, Reason.WRONG_VERSION)]
)
async def test_the_end_of_the_log_is_kept_masked(scene: Scene, plan: dict[str, Any], code: Reason) -> None:
    written = ("connecting with ghp_" + "x" * 30, "no such table: socks")
    run = await scene.execute(await live(scene, log=written, **plan))
    while run.stage is Stage.VERIFY:
        run = await look_again(scene, run, 30)
    assert run.error.code is code
    assert run.error.log_tail == ("connecting with [redacted]", "no such table: socks")


async def test_a_log_that_cannot_be_read_hides_no_failure(scene: Scene) -> None:
    run = await scene.execute(await live(scene, health="failing"))
    scene.railway.app.faults.append(Fault(when="DeploymentLogs", times=9, status=502))
    run = await look_again(scene, run, 10)
    assert (run.error.code, run.stage) == (Reason.UNHEALTHY, Stage.ROLLBACK)


async def test_where_nothing_could_be_seen_no_log_is_kept(scene: Scene) -> None:
    scene.blind = True
    run = await scene.execute(await live(scene))
    while run.stage is Stage.VERIFY:
        run = await look_again(scene, run, 30)
    assert (run.error.code, run.error.log_tail) == (Reason.VERIFY_INCONCLUSIVE, ())
