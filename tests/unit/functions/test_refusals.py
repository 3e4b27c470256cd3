"""One refusal is no verdict: at whatever call, it is waited out; one that lasts leaves nothing free and unwatched."""

from datetime import timedelta
from typing import Any

import pytest
from unit.functions.scene import NEW, OLD, OTHER, TARGET, Scene

from local.world.faults import Fault
from local.world.refusals import PASSING_REFUSALS, Answer
from local.world.vendors import ENVIRONMENT, SERVICE
from shared.core import targets
from shared.core.reasons import Reason
from shared.core.run import Rollback, Run, Stage, Status, Trigger
from shared.core.target import Target
from shared.runtime.update import amend

RAILWAY, GITHUB, N8N = PASSING_REFUSALS["railway"], PASSING_REFUSALS["github"], PASSING_REFUSALS["n8n"]
NOT_AUTHORIZED = RAILWAY[0]
DEPLOY, ROLLBACK = "mutation Deploy", "mutation Rollback"
DRAINED = 20


def each_with_each(answers: tuple[Answer, ...], calls: list[str]) -> list[tuple[Answer, str]]:
    """Every answer and every call at least once, together."""
    return [(answers[n % len(answers)], calls[n % len(calls)]) for n in range(max(len(answers), len(calls)))]


def named(value: Any) -> str:
    return value.name if isinstance(value, Answer) else str(value).strip()


async def following(scene: Scene, stage: Stage, **plan: Any) -> Run:
    """A run whose deployment is live, on a target whose former version was verified."""
    scene.open_pull_request()
    before, deployment = scene.serving(), await scene.deployed(**plan)
    await scene.live(DRAINED)
    rollback = Rollback(reason=Reason.UNHEALTHY) if stage is Stage.ROLLBACK else None
    run = scene.new_run(stage, deployment=deployment, rollback=rollback)
    await scene.save(Target(id=TARGET, active=run.id, verified=(before,)))
    return run


# Once


@pytest.mark.parametrize(
    ("answer", "call"),
    [
        *each_with_each(RAILWAY, ["query Deployments", "query Service", "query Deployment(", DEPLOY, ROLLBACK]),
        (NOT_AUTHORIZED, "query Service"),
        (NOT_AUTHORIZED, "query Deployment("),
        (NOT_AUTHORIZED, DEPLOY),
        (NOT_AUTHORIZED, ROLLBACK),
    ],
    ids=named,
)
async def test_a_bad_version_is_rolled_back_though_railway_refuses_once(
    scene: Scene, answer: Answer, call: str
) -> None:
    # Given a version that crashes when it is live, and one refusal of one of the calls
    scene.railway.plan(SERVICE, crash_after=1)
    scene.railway.app.faults.append(answer.as_fault(call))

    # When it is merged, and everything takes its course
    await scene.ship()

    # Then it was deployed once and rolled back, and nothing is locked
    run, target = await scene.the_run(), await scene.target()
    assert not scene.railway.app.faults, "the call was made, and refused"
    assert (run.status, run.error.code if run.error else None) == (Status.ROLLED_BACK, Reason.DEPLOY_CRASHED)
    assert [made.commit_sha for made in scene.railway.created if made.source == "API"] == [run.commit_sha, OLD]
    assert target.lock is None
    serving = scene.railway.serving(SERVICE, ENVIRONMENT)
    assert serving.commit_sha == OLD


@pytest.mark.parametrize(
    ("answer", "call"),
    [
        *each_with_each(tuple(one for one in GITHUB if one.fits("/graphql")), ["/graphql"]),
        *each_with_each(
            tuple(one for one in GITHUB if one.fits("/repos")),
            ["/rules/branches", "/merge", "/permission", "/access_tokens", "/installation", "/statuses", "PATCH "],
        ),
    ],
    ids=named,
)
async def test_a_command_is_carried_out_though_github_refuses_once(scene: Scene, answer: Answer, call: str) -> None:
    # Given an open pull request, and one refusal of one of the calls
    number = scene.open_pull_request(test="success")
    scene.github.app.faults.append(answer.as_fault(call))

    # When somebody asks for its deployment
    scene.say(number, "/deploy")
    await scene.settle()

    # Then it is merged once and deployed, and there is one comment of the run
    run = await scene.the_run()
    assert not scene.github.app.faults, "the call was made, and refused"
    assert run.status is Status.SUCCEEDED
    assert len(scene.github.merges) == 1
    assert sum(f"signalbox:run:{run.id}" in said for said in scene.comments(number)) == 1


@pytest.mark.parametrize("answer", N8N, ids=named)
async def test_people_are_notified_though_n8n_refuses_once(scene: Scene, answer: Answer) -> None:
    scene.n8n.app.faults.append(answer.as_fault("/webhook/"))
    scene.merge(scene.open_pull_request())

    await scene.settle()

    assert not scene.n8n.app.faults
    assert [sent["event"] for sent in scene.n8n.notifications] == ["succeeded"]


async def test_a_refused_deployment_is_not_taken_for_a_lost_answer(scene: Scene) -> None:
    # Given a definite refusal of the call that makes a deployment
    run = scene.new_run(Stage.DEPLOY)
    await scene.hold_target(run)
    scene.railway.app.faults.append(NOT_AUTHORIZED.as_fault(DEPLOY))

    # When the stage runs
    refused = await scene.execute(run)

    # Then nothing is looked for, and the history says what Railway said and until when it is tried again
    assert (refused.stage, refused.status, refused.deployment) == (Stage.DEPLOY, Status.WAITING, None)
    assert "retrying until 12:05:00 UTC: Railway Deploy: Not Authorized" in refused.history[-1].message

    # And the next look makes the deployment
    after = await scene.patiently("deploy", run.id)
    assert after.stage is Stage.MONITOR
    assert [made.source for made in scene.railway.created].count("API") == 1


async def test_a_lost_deployment_is_found_after_look_ups_were_refused(scene: Scene) -> None:
    # Given a deployment whose answer is lost, and Railway that then refuses to list it for longer than it is awaited
    run = scene.new_run(Stage.DEPLOY)
    await scene.hold_target(run)
    scene.railway.app.faults.append(Fault(when=DEPLOY, after_effect=True, lost=True))
    await scene.execute(run)
    scene.railway.app.faults.append(NOT_AUTHORIZED.as_fault("query Deployments", times=9))
    await scene.wake("deploy", run.id)
    await scene.patiently("deploy", run.id)

    # Then it is recognised, and no second one is made
    after = await scene.run(run.id)
    assert scene.clock.now() > run.created_at + timedelta(seconds=scene.services.pace.visible)
    assert (after.stage, len(scene.railway.created)) == (Stage.MONITOR, 1)
    assert (after.deployment.id, after.deployment.adopted) == (scene.railway.created[0].id, False)


async def test_what_is_certain_ends_a_deployment_at_once(scene: Scene) -> None:
    run = scene.new_run(Stage.DEPLOY)
    await scene.hold_target(run)
    answer = {"data": None, "errors": [{"message": "Commit not found"}]}
    scene.railway.app.faults.append(Fault(when=DEPLOY, status=200, body=answer))

    after = await scene.execute(run)

    assert (after.status, after.error.code) == (Status.FAILED, Reason.DEPLOY_REFUSED)
    assert ((await scene.target()).hold, after.left_unverified) == (None, False), "nothing of ours can be live"


async def test_the_time_of_a_stage_does_not_run_while_it_is_refused(scene: Scene) -> None:
    # Given a verification that is refused just before its time is up, and well again after it
    scene.configure(bake=30, verify_deadline=60)
    run = await following(scene, Stage.VERIFY)
    scene.pass_time(55)
    scene.railway.app.faults.append(NOT_AUTHORIZED.as_fault("query Service", times=2))

    await scene.execute(run)
    after = await scene.patiently("verify", run.id)

    assert (after.stage, after.status) == (Stage.VERIFY, Status.WAITING), "the bake has begun"
    await scene.settle()
    assert (await scene.run(run.id)).status is Status.SUCCEEDED


# For long


@pytest.mark.parametrize("stage", [Stage.MONITOR, Stage.VERIFY])
async def test_a_run_that_gives_up_blind_holds_the_target_and_says_so(scene: Scene, stage: Stage) -> None:
    # Given Railway that refuses from the moment that a version is live
    run = await following(scene, stage)
    scene.secrets["RAILWAY_API"] = "revoked-token"

    # When the run has been refused for as long as the policy has patience
    await scene.execute(run)
    after = await scene.patiently(stage, run.id)

    # Then the target is held for the version that nobody verified, and people get a critical notification
    target = await scene.target()
    assert (after.status, after.error.code, after.left_unverified) == (Status.FAILED, Reason.VENDOR_REFUSED, True)
    assert (target.active, target.lock) == (None, None)
    assert (target.hold.unverified, target.hold.run_id) == (True, run.id)
    await scene.settle()
    [told] = scene.n8n.notifications
    assert (told["event"], told["severity"], told["reason"]) == ("unverified", "critical", "vendor_refused")
    assert "Not Authorized" in str(told["message"])
    assert "comment `/deploy` here to verify it" in str(told["next_step"])


async def test_of_a_version_that_was_left_unverified_people_are_notified_once(scene: Scene) -> None:
    # Given a run that gave up on a version that is live
    run = await following(scene, Stage.VERIFY)
    token, scene.secrets["RAILWAY_API"] = scene.secrets["RAILWAY_API"], "revoked-token"
    await scene.execute(run)
    await scene.patiently("verify", run.id)
    scene.secrets["RAILWAY_API"] = token

    # When the sweep compares what is live with what was verified
    for _ in range(2):
        await scene.sweep(after=600)
    await scene.settle()

    # Then the drift is recorded, and the critical notification was the one about it
    assert (await scene.target()).serving.drifting_since is not None
    assert scene.told() == ["unverified"]


@pytest.mark.parametrize("call", ["query Deployments", "query Service", ROLLBACK])
async def test_a_rollback_refused_once_locks_nothing(scene: Scene, call: str) -> None:
    run = await following(scene, Stage.ROLLBACK)
    scene.railway.app.faults.append(NOT_AUTHORIZED.as_fault(call))

    refused = await scene.execute(run)

    assert (refused.stage, refused.status) == (Stage.ROLLBACK, Status.WAITING)
    assert (await scene.target()).lock is None
    await scene.settle()
    assert (await scene.run(run.id)).status is Status.ROLLED_BACK


async def test_a_rollback_that_stays_refused_locks_the_target(scene: Scene) -> None:
    run = await following(scene, Stage.ROLLBACK)
    scene.secrets["RAILWAY_API"] = "revoked-token"

    await scene.execute(run)
    after = await scene.patiently("rollback", run.id)

    target = await scene.target()
    assert (after.status, target.active) == (Status.FAILED, None)
    assert target.lock is not None
    assert "rollback_failed:n8n" in after.owed


# Afterwards


async def given_up(scene: Scene) -> Run:
    """A run that left a version of its own live and unverified."""
    run = await following(scene, Stage.VERIFY)
    token = scene.secrets["RAILWAY_API"]
    scene.secrets["RAILWAY_API"] = "revoked-token"
    await scene.execute(run)
    after = await scene.patiently("verify", run.id)
    scene.secrets["RAILWAY_API"] = token
    await scene.settle()
    return after


async def deploy_again(scene: Scene, commit: str) -> Run:
    """A command's run, which has taken the target."""
    trigger = Trigger(source="command", actor="grace", id="7", url="https://github.test/1")
    run = scene.new_run(Stage.DEPLOY, id="production-pr1-again", trigger=trigger, commit_sha=commit)
    taken = targets.take(run, await scene.target(), scene.clock.now())
    assert isinstance(taken, Target)
    await amend(scene.services.store, Target, TARGET, lambda _: taken)
    await scene.save(run)
    await scene.wake("deploy", run.id)
    await scene.settle()
    return await scene.run(run.id)


async def test_a_command_verifies_what_was_left_and_ends_the_hold(scene: Scene) -> None:
    left = await given_up(scene)

    after, target = await deploy_again(scene, NEW), await scene.target()

    assert (after.status, target.hold) == (Status.SUCCEEDED, None)
    assert target.current.deployment_id == left.deployment.id


async def test_the_hold_stays_when_the_next_deployment_fails(scene: Scene) -> None:
    # Given a version that was left live and unverified, and a next one that cannot be built
    await given_up(scene)
    scene.railway.plan(SERVICE, build="fail")

    # When somebody asks for that
    after, target = await deploy_again(scene, OTHER), await scene.target()

    # Then the first one is live still, and the target held for it
    assert after.status is Status.FAILED
    assert target.hold.unverified


async def test_the_hold_outlasts_another_version_that_is_verified_while_its_own_waits(scene: Scene) -> None:
    # Given a run that gave up on a deployment which waits for an approval, while the version before serves
    scene.open_pull_request()
    before = scene.serving()
    deployment = await scene.deployed(until="NEEDS_APPROVAL", needs_approval=True)
    run = scene.new_run(Stage.MONITOR, deployment=deployment)
    await scene.save(Target(id=TARGET, active=run.id, verified=(before,)))
    token = scene.secrets["RAILWAY_API"]
    scene.secrets["RAILWAY_API"] = "revoked-token"
    await scene.execute(run)
    await scene.patiently("monitor", run.id)
    scene.secrets["RAILWAY_API"] = token

    # When a command has the version that serves verified
    after = await deploy_again(scene, before.commit_sha)

    # Then the one that waits may still go live
    target = await scene.target()
    assert after.status is Status.SUCCEEDED
    assert target.hold is not None
    assert (target.hold.unverified, target.hold.run_id) == (True, run.id)


async def test_the_hold_outlasts_the_version_before_that_still_serves(scene: Scene) -> None:
    # Given a run that gave up on a deployment which waits for an approval, while the version before serves
    number = scene.open_pull_request()
    before = scene.serving()
    deployment = await scene.deployed(until="NEEDS_APPROVAL", needs_approval=True)
    run = scene.new_run(Stage.MONITOR, deployment=deployment)
    await scene.save(Target(id=TARGET, active=run.id, verified=(before,)))
    token = scene.secrets["RAILWAY_API"]
    scene.secrets["RAILWAY_API"] = "revoked-token"
    await scene.execute(run)
    await scene.patiently("monitor", run.id)
    scene.secrets["RAILWAY_API"] = token

    # When the next one cannot be built, and the version before is looked at and well
    scene.railway.plan(SERVICE, build="fail")
    after = await deploy_again(scene, OTHER)
    assert "the previous version is live and healthy" in after.history[-1].message

    # Then nobody knows any better what the first one will be like when it goes live
    target = await scene.target()
    assert number == 1
    assert (target.hold.unverified, target.hold.run_id) == (True, run.id)


async def test_a_merge_is_not_deployed_by_itself_over_what_was_left(scene: Scene) -> None:
    await given_up(scene)

    await scene.ship()

    merged = next(run for run in await scene.runs() if run.trigger.id != NEW)
    assert (merged.status, merged.reason) == (Status.NOT_DEPLOYED, Reason.TARGET_HELD)
