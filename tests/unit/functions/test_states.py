"""Railway's other states: waiting for people, paused builds, a process that has ended, schedules, services asleep."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import DOMAIN, NEW, OLD, TARGET, Scene

from functions.sweep.drift import EVERY
from local.world.faults import Fault
from local.world.vendors import ENVIRONMENT, SERVICE
from shared.core.reasons import Reason
from shared.core.run import Kind, Rollback, Run, Stage, Status, Trigger, Verdict
from shared.core.target import Health, Target

CRON = "0 * * * *"
DAY = 86400


async def at(scene: Scene, stage: Stage, until: str, **plan: Any) -> Run:
    """A run at the stage, of our own deployment, which has come so far."""
    scene.open_pull_request()
    run = scene.new_run(stage, deployment=await scene.deployed(until=until, **plan))
    await scene.hold_target(run)
    await scene.save(run)
    return run


async def look(scene: Scene, run: Run, after: float = 0.0) -> Run:
    await scene.live(after)
    await scene.wake(run.stage, run.id)
    return await scene.run(run.id)


# What waits for people, or for Railway


async def test_an_approval_has_peoples_time_and_the_deployment_is_not_cancelled(scene: Scene) -> None:
    # Given a deployment that needs somebody's approval
    run = await look(scene, await at(scene, Stage.MONITOR, "NEEDS_APPROVAL", needs_approval=True))
    assert "a person has to approve" in run.history[-1].message

    # When that takes three days
    for _ in range(24 * 3):
        run = await look(scene, run, 3600)
    assert (run.stage, run.status) == (Stage.MONITOR, Status.WAITING)
    scene.railway.approve(scene.railway.created[0].id)

    # Then it is built, with the stage's whole time, although nobody looked in between
    run = await look(scene, run, 1)
    assert run.deadline == scene.clock.now() + timedelta(seconds=900)
    run = await look(scene, run, 20)
    assert run.stage is Stage.VERIFY
    assert len(scene.railway.created) == 1


@pytest.mark.parametrize("refused", [False, True])
async def test_a_deployment_that_waits_for_an_approval_gives_way_to_a_rollback(scene: Scene, refused: bool) -> None:
    # Given a deployment that needs somebody's approval, while an older version serves
    run = await look(scene, await at(scene, Stage.MONITOR, "NEEDS_APPROVAL", needs_approval=True))
    deployment = scene.railway.created[0]
    if refused:
        scene.railway.app.faults.append(
            Fault(when="deploymentCancel", status=200, body={"errors": [{"message": "Not Authorized"}]})
        )

    # When somebody comments /rollback
    await scene.happen(scene.say(1, "/rollback"))
    for _ in range(10):
        await scene.deliver()
        await scene.live(10)
        await scene.sweep()

    # Then nobody has to approve or wait for days: the deployment is cancelled, and the rollback goes on
    run = await scene.run(run.id)
    back = next(one for one in await scene.runs() if one.kind is Kind.ROLLBACK)
    assert (run.status, deployment.status) == (Status.SUPERSEDED, "REMOVED")
    assert any("a rollback was requested" in entry.message for entry in run.history)
    assert back.status is not Status.QUEUED


async def test_an_approval_of_which_no_webhook_tells_is_seen_in_minutes(scene: Scene) -> None:
    # Given a deployment that has waited for a day
    run = await look(scene, await at(scene, Stage.MONITOR, "NEEDS_APPROVAL", needs_approval=True))
    run = await look(scene, run, DAY)

    # When the next look is due
    # Then it is not as far away again: what is approved meanwhile may be live and bad
    assert run.stage_due is not None
    assert run.stage_due - scene.clock.now() == timedelta(minutes=10)


async def test_an_approval_that_is_first_seen_after_the_deadline_is_not_late(scene: Scene) -> None:
    run = await at(scene, Stage.MONITOR, "NEEDS_APPROVAL", needs_approval=True)
    run = await look(scene, run, 901)
    assert (run.stage, run.status) == (Stage.MONITOR, Status.WAITING)


async def test_an_approval_that_never_comes_is_given_up(scene: Scene) -> None:
    scene.configure(approval_deadline=2 * DAY)
    run = await look(scene, await at(scene, Stage.MONITOR, "NEEDS_APPROVAL", needs_approval=True))
    run = await look(scene, run, 2 * DAY - 1)
    assert run.stage is Stage.MONITOR
    run = await look(scene, run, 1)
    assert (run.stage, run.error.code) == (Stage.ROLLBACK, Reason.DEPLOY_TIMEOUT)


async def test_a_build_that_takes_too_long_after_the_approval_is_given_up(scene: Scene) -> None:
    run = await look(scene, await at(scene, Stage.MONITOR, "NEEDS_APPROVAL", needs_approval=True))
    run = await look(scene, run, DAY)
    deployment = scene.railway.created[0]
    deployment.status, deployment.due = "BUILDING", None
    run = await look(scene, run)
    run = await look(scene, run, 899)
    assert run.stage is Stage.MONITOR
    assert (await look(scene, run, 1)).stage is Stage.ROLLBACK


async def test_paused_builds_have_the_time_that_they_take(scene: Scene) -> None:
    # Given that Railway has paused builds
    scene.railway.paused = True
    run = await look(scene, await at(scene, Stage.MONITOR, "QUEUED"))
    assert "paused builds" in run.history[-1].message

    # When they go on hours later
    run = await look(scene, run, 6 * 3600)
    assert (run.stage, run.status) == (Stage.MONITOR, Status.WAITING)
    scene.railway.resume_builds()
    for _ in range(4):
        await scene.live(5)

    # Then the deployment is followed to its end
    assert (await look(scene, run)).stage is Stage.VERIFY
    assert len(scene.railway.created) == 1


async def test_what_waits_for_ci_has_its_time_too(scene: Scene) -> None:
    run = await at(scene, Stage.MONITOR, "BUILDING")
    scene.railway.created[0].status, scene.railway.created[0].due = "WAITING", None
    run = await look(scene, run)
    run = await look(scene, run, 3600)
    assert (run.stage, run.status) == (Stage.MONITOR, Status.WAITING)


@pytest.mark.parametrize("status", ["QUEUED", "WAITING"])
async def test_a_rollback_that_railway_pauses_is_reported_in_time(scene: Scene, status: str) -> None:
    # Given a bad version that is live, and a rollback whose deployment Railway does not begin
    run = await at(scene, Stage.MONITOR, "BUILDING")
    scene.railway.created[0].status, scene.railway.created[0].due = status, None
    back = Rollback(reason=Reason.UNHEALTHY, to=scene.serving(), needed=True, deployment_id=run.deployment.id)

    # When its time is up
    await scene.save(replace(run, rollback=back))
    run = await look(scene, run)
    run = await look(scene, run, 900)

    # Then people are notified at once, and not in a week
    assert (run.status, run.error.code) == (Status.FAILED, Reason.ROLLBACK_TIMEOUT)
    assert "rollback_failed:n8n" in run.owed


async def test_an_approval_that_a_rollback_waits_for_is_critical(scene: Scene) -> None:
    run = await at(scene, Stage.MONITOR, "NEEDS_APPROVAL", needs_approval=True)
    back = Rollback(reason=Reason.UNHEALTHY, to=scene.serving(), needed=True, deployment_id=run.deployment.id)
    await scene.save(replace(run, rollback=back))
    run = await look(scene, run)
    run = await look(scene, run, 3600)
    await scene.wake("notify", run.id)
    assert [(told["event"], told["severity"]) for told in scene.n8n.notifications] == [("needs_approval", "critical")]
    assert (run.stage, run.status) == (Stage.MONITOR, Status.WAITING)


# A process that has ended


@pytest.mark.parametrize("domain", [DOMAIN, None], ids=["public", "private"])
async def test_a_process_that_ends_without_a_schedule_has_failed(scene: Scene, domain: str | None) -> None:
    # Given a version whose process ends with code 0 soon after it is live
    scene.railway_service.domain = domain
    run = await at(scene, Stage.VERIFY, "SUCCESS", exit_after=20, log=("starting", "nothing to do"))
    run = await look(scene, run)
    assert run.status is Status.WAITING

    # When it is looked at, as often as failures count
    run = await look(scene, run, 21)
    run = await look(scene, run, 10)

    # Then it is rolled back, with the end of its log
    assert (run.stage, run.error.code) == (Stage.ROLLBACK, Reason.DEPLOY_CRASHED)
    assert run.error.log_tail == ("starting", "nothing to do")
    await scene.settle()
    assert (await scene.run(run.id)).status is Status.ROLLED_BACK


async def test_a_process_that_railway_begins_anew_has_not_failed(scene: Scene) -> None:
    run = await at(scene, Stage.VERIFY, "SUCCESS", exit_after=1)
    run = await look(scene, run, 2)
    scene.railway.created[0].stopped = False
    run = await look(scene, run, 10)
    assert (await look(scene, run, 30)).status is Status.SUCCEEDED


async def test_instances_that_have_exited_tell_it_where_railway_does_not(scene: Scene) -> None:
    run = await at(scene, Stage.VERIFY, "SUCCESS", exit_after=1)
    await scene.live(2)
    (place,) = scene.services.config.targets
    state = await scene.services.railway_for(place).deployment(scene.railway.created[0].id)
    assert (state.live, state.ended, state.serves) == (True, True, False)
    assert run.stage is Stage.VERIFY


@pytest.mark.parametrize(("source", "made"), [("merge", 1), ("command", 2)])
async def test_a_command_deploys_anew_what_has_ended_and_a_merge_adopts_it(
    scene: Scene, source: Any, made: int
) -> None:
    # Given a live deployment of the commit whose process has ended
    await scene.deployed(exit_after=1)
    await scene.live(5)
    asked = Trigger(source=source, actor="grace", id="1", url="https://github.test/1")

    # When a run of the commit comes to deploy
    run = scene.new_run(Stage.DEPLOY, trigger=asked)
    await scene.hold_target(run)
    await scene.execute(run)

    # Then only a command has it deployed again
    assert len(scene.railway.created) == made


async def test_a_service_with_a_schedule_is_right_between_its_ticks(scene: Scene) -> None:
    # Given a service that runs by a schedule, and has a domain all the same
    scene.railway_service.cron_schedule = CRON
    run = await at(scene, Stage.VERIFY, "SUCCESS")

    # When it is verified
    run = await look(scene, run)
    assert run.history[-1].message == "live, not checked; must stay live for 30 s"
    run = await look(scene, run, 30)

    # Then nothing was looked at, and nothing is called healthy
    assert (run.status, scene.application.calls) == (Status.SUCCEEDED, [])
    assert run.history[-1].message == "live, not checked: Railway has called it live for 30 s"
    assert {check.name: check.verdict for check in run.verification.checks}["health"] is Verdict.NOT_RUN
    assert (await scene.target()).health.state == "unknown"

    # And later it has neither drifted, nor lost its health
    await scene.sweep(after=EVERY.total_seconds())
    target = await scene.target()
    assert (target.serving.drifting_since, target.health.state, scene.application.calls) == (None, "unknown", [])


async def test_a_process_that_ended_after_its_verification_is_a_drift(scene: Scene) -> None:
    await scene.save(Target(id=TARGET, verified=(scene.serving(),)))
    scene.railway.exit(scene.railway.deployments(SERVICE, ENVIRONMENT)[0])
    await scene.sweep(after=EVERY.total_seconds())
    assert (await scene.target()).serving.drifting_since is not None


@pytest.mark.parametrize(("schedule", "remembered"), [(CRON, True), (None, False)])
async def test_at_first_contact_an_ended_process_is_remembered_only_with_a_schedule(
    scene: Scene, schedule: str | None, remembered: bool
) -> None:
    scene.railway_service.cron_schedule = schedule
    scene.railway.exit(scene.railway.deployments(SERVICE, ENVIRONMENT)[0])
    run = scene.new_run(Stage.DEPLOY)
    await scene.save(Target(id=TARGET, active=run.id))
    await scene.execute(run)
    target = await scene.target()
    assert (target.current is not None) is remembered
    assert (bool(target.left_alone), scene.application.calls) == (remembered, [])


async def test_a_private_service_is_live_and_not_called_healthy(scene: Scene) -> None:
    scene.railway_service.domain = None
    run = await look(scene, await at(scene, Stage.VERIFY, "SUCCESS"))
    run = await look(scene, run, 30)
    assert run.status is Status.SUCCEEDED
    assert all("healthy" not in entry.message for entry in run.history)


async def test_a_previous_version_that_cannot_be_looked_at_is_not_called_healthy(scene: Scene) -> None:
    scene.railway_service.domain = None
    run = await at(scene, Stage.MONITOR, "FAILED", build="fail")
    await scene.wake("monitor", run.id)
    await scene.settle()
    after = await scene.run(run.id)
    assert after.history[-1].message == "the previous version is live, not checked; there was nothing to roll back"


# What the sweep leaves alone


async def watched(scene: Scene, **changes: Any) -> None:
    target = Target(id=TARGET, verified=(scene.serving(),), address=f"https://{DOMAIN}")
    await scene.save(replace(target, **changes))
    scene.pass_time(60)


async def shown_health(scene: Scene) -> dict[str, Any]:
    health: dict[str, Any] = (await scene.web.get("/metrics/summary")).json()["targets"][0]["health"]
    return health


async def test_a_service_that_sleeps_is_not_kept_awake(scene: Scene) -> None:
    # Given a service that sleeps when idle, as a run has verified it
    scene.railway_service.sleeps = True
    run = await look(scene, await at(scene, Stage.VERIFY, "SUCCESS", sleep_after=40))
    run = await look(scene, run, 30)
    assert run.status is Status.SUCCEEDED
    looks = len(scene.application.calls)
    await scene.live(60)

    # When eight hours pass
    for _ in range(8 * 60):
        await scene.live(60)
        await scene.sweep()

    # Then nobody has woken it, and people are shown that nobody looks
    assert (len(scene.application.calls), scene.railway.woken) == (looks, [])
    shown = await shown_health(scene)
    assert (shown["state"], "sleeps when idle" in shown["detail"]) == ("unknown", True)


async def test_a_service_that_is_found_asleep_is_left_alone(scene: Scene) -> None:
    await watched(scene)
    scene.railway.deployments(SERVICE, ENVIRONMENT)[0].status = "SLEEPING"
    scene.configure(watch=False)
    await scene.sweep()
    scene.configure(watch=True)
    for _ in range(5):
        await scene.sweep(after=60)
    assert (scene.application.calls, scene.railway.woken) == ([], [])


async def test_a_service_that_no_longer_sleeps_is_looked_at_again(scene: Scene) -> None:
    await watched(scene, left_alone="it sleeps when idle, and a check would wake it")
    await scene.sweep(after=EVERY.total_seconds())
    await scene.sweep()
    assert (await scene.target()).left_alone is None
    assert len(scene.application.calls) == 1


async def test_the_policy_turns_the_looks_off(scene: Scene) -> None:
    scene.configure(watch=False)
    unhealthy = Health(state="unhealthy", failures=3, checked_at=scene.clock.now(), detail="503")
    await watched(scene, health=unhealthy)
    await scene.sweep()
    assert scene.application.calls == []
    shown = await shown_health(scene)
    assert (shown["state"], shown["detail"]) == ("unknown", "not checked: `policy.watch` is false")


async def test_what_was_verified_without_a_look_ends_no_loss_of_health(scene: Scene) -> None:
    scene.railway_service.cron_schedule = CRON
    run = await at(scene, Stage.VERIFY, "SUCCESS")
    lost = Health(state="unhealthy", failures=3, checked_at=scene.clock.now(), detail="503")
    await scene.hold_target(run, health=lost)
    run = await look(scene, run)
    run = await look(scene, run, 30)
    target = await scene.target()
    assert (run.status, target.health.state, target.owed) == (Status.SUCCEEDED, "unknown", ())
    assert [version.commit_sha for version in target.verified] == [NEW, OLD]


@pytest.mark.parametrize("named", [True, False])
async def test_a_version_whose_process_has_ended_is_restored_when_it_is_named(scene: Scene, named: bool) -> None:
    # Given a verified version whose process has ended, of which people are notified
    await scene.ship()
    live = scene.railway.serving(SERVICE, ENVIRONMENT)
    live.stopped = True
    await scene.sweep(after=600)
    await scene.settle()
    [told] = [sent for sent in scene.n8n.notifications if sent["event"] == "drifted"]
    assert f"comment `/rollback to {live.commit_sha[:7]}`" in str(told["text"])

    # When somebody asks for it, or for a rollback
    await scene.happen(scene.say(1, f"/rollback to {live.commit_sha[:7]}" if named else "/rollback"))
    await scene.settle()

    # Then it is begun anew, or the version before it is restored, as after a crash
    again = scene.railway.serving(SERVICE, ENVIRONMENT)
    assert (again.id != live.id, again.commit_sha == live.commit_sha) == (True, named)
