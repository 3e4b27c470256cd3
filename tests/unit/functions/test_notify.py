"""notify: people hear of everything, in one comment that is edited, and n8n once for each event."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import CONSOLE, NEW, OTHER, TARGET, Scene

from local.world.faults import Fault
from local.world.vendors import REPOSITORY
from shared.core import notices
from shared.core.outcome import Message
from shared.core.pipeline import Pace
from shared.core.reasons import Reason
from shared.core.run import Deployment, Failure, Kind, Lease, Run, Stage, Status
from shared.core.target import Hold, Target
from shared.runtime import envelope

DONE: dict[str, Any] = {"stage": Stage.DONE, "stage_due": None}


async def owing(scene: Scene, *events: str, **changes: Any) -> Run:
    """A run of pull request 1 of which people are to hear these events."""
    if 1 not in scene.github.repository(REPOSITORY).pulls:
        scene.open_pull_request()
    run = replace(scene.new_run(Stage.MERGE), **{"deployment": Deployment(id="d-new"), **changes})
    for event in events:
        run = notices.owe(run, event, scene.clock.now())
    await scene.save(run)
    return run


async def tell(scene: Scene, run: Run) -> Run:
    assert (await scene.wake("notify", run.id)).status_code == 200
    return await scene.run(run.id)


async def test_all_that_is_owed_goes_into_one_comment(scene: Scene) -> None:
    run = await owing(scene, "started", "merged", "live")
    after = await tell(scene, run)
    (comment,) = scene.comments()
    assert run.id in comment
    assert (after.owed, after.notify_due, after.notify_lease) == ((), None, None)
    assert set(after.notified) == {"started:comment", "merged:comment", "live:comment"}
    assert scene.calls(scene.github.app, "POST /repos/acme/shop/issues/1/comments") == 1


async def test_the_comment_is_found_and_edited_in_place(scene: Scene) -> None:
    run = await tell(scene, await owing(scene, "started"))
    scene.github.comment(REPOSITORY, 1, "<!-- signalbox:run:production-pr1-0123456789 --> mine!", "mallory")
    ended = replace(run, status=Status.SUCCEEDED, **DONE)
    await scene.save(notices.owe(ended, "succeeded", scene.clock.now()))
    await tell(scene, run)
    (comment,) = scene.comments()
    assert "✅ deployed" in comment
    assert any("mine!" in text for text in scene.github.comments(REPOSITORY, 1))


async def test_a_success_is_told_everywhere(scene: Scene) -> None:
    run = await owing(scene, "succeeded", status=Status.SUCCEEDED, **DONE)
    after = await tell(scene, run)
    assert {key: told.outcome for key, told in after.notified.items()} == dict.fromkeys(
        ("succeeded:comment", "succeeded:deployment", "succeeded:n8n"), notices.SENT
    )
    (notification,) = scene.n8n.notifications
    assert (notification["event"], notification["run_id"]) == ("succeeded", run.id)
    assert notification["url"] == f"{CONSOLE}/runs/{run.id}"
    assert scene.n8n.headers[0]["idempotency-key"] == f"{run.id}:succeeded"
    (deployment,) = scene.github.deployments(REPOSITORY)
    assert (deployment.sha, deployment.environment, deployment.task) == (NEW, "web/production", "signalbox")
    assert [status["state"] for status in deployment.statuses] == ["success"]
    assert deployment.statuses[0]["log_url"] == f"{CONSOLE}/runs/{run.id}"


@pytest.mark.parametrize(
    ("event", "changes", "state"),
    [
        ("deploying", {"stage": Stage.MONITOR}, "in_progress"),
        ("succeeded", {"status": Status.SUCCEEDED}, "success"),
        ("failed", {"status": Status.FAILED}, "failure"),
        ("rolled_back", {"status": Status.ROLLED_BACK}, "inactive"),
        ("rolled_back", {"status": Status.SUCCEEDED, "kind": Kind.ROLLBACK}, "inactive"),
        ("superseded", {"status": Status.SUPERSEDED}, "inactive"),
        ("cancelled", {"status": Status.CANCELLED}, "inactive"),
    ],
)
async def test_githubs_deployment_shows_what_the_run_is_now(
    scene: Scene, event: str, changes: dict[str, Any], state: str
) -> None:
    await tell(scene, await owing(scene, event, **changes))
    (deployment,) = scene.github.deployments(REPOSITORY)
    assert [status["state"] for status in deployment.statuses] == [state]


async def test_of_what_was_not_deployed_github_shows_only_what_it_showed_before(scene: Scene) -> None:
    quiet = {"status": Status.NOT_DEPLOYED, "reason": Reason.NOTHING_TO_DEPLOY}
    await tell(scene, await owing(scene, "nothing_to_deploy", **quiet))
    assert (scene.github.deployments(REPOSITORY), scene.comments()) == ([], [])

    await tell(scene, await owing(scene, "deploying", stage=Stage.MONITOR))
    run = await tell(scene, await owing(scene, "nothing_to_deploy", **quiet))
    (deployment,) = scene.github.deployments(REPOSITORY)
    assert [status["state"] for status in deployment.statuses] == ["in_progress", "inactive"]
    assert (len(scene.comments()), run.notified["nothing_to_deploy:comment"].outcome) == (1, notices.SENT)


async def test_a_status_that_is_shown_already_is_not_repeated(scene: Scene) -> None:
    run = await tell(scene, await owing(scene, "deploying", stage=Stage.MONITOR))
    await scene.save(notices.owe(run, "rolling_back", scene.clock.now()))
    await tell(scene, run)
    (deployment,) = scene.github.deployments(REPOSITORY)
    assert [status["state"] for status in deployment.statuses] == ["in_progress"]


async def test_the_status_says_why(scene: Scene) -> None:
    error = Failure(code=Reason.UNHEALTHY, message="503 Service Unavailable", stage=Stage.VERIFY)
    await tell(scene, await owing(scene, "failed", status=Status.FAILED, error=error))
    (deployment,) = scene.github.deployments(REPOSITORY)
    assert deployment.statuses[0]["description"] == "unhealthy: 503 Service Unavailable"


async def test_a_deployment_whose_making_was_not_confirmed_is_found(scene: Scene) -> None:
    scene.github.app.faults.append(Fault(when="POST /repos/acme/shop/deployments\n", after_effect=True, lost=True))
    run = await tell(scene, await owing(scene, "deploying", stage=Stage.MONITOR))
    assert run.owed == ("deploying:deployment",)
    await tell(scene, run)
    assert len(scene.github.deployments(REPOSITORY)) == 1


async def test_where_there_is_nothing_to_tell_it_on_it_is_done_with(scene: Scene) -> None:
    run = await owing(scene, "failed", status=Status.FAILED, pull_request=None, commit_sha=None)
    after = await tell(scene, run)
    assert after.owed == ()
    assert after.notified["failed:comment"].outcome == "no pull request"
    assert after.notified["failed:deployment"].outcome == "nothing was deployed"
    assert scene.told() == ["failed"]


async def test_without_n8n_nothing_stays_owed_to_it(scene: Scene) -> None:
    scene.configure(n8n=False)
    after = await tell(scene, await owing(scene, "succeeded", status=Status.SUCCEEDED))
    assert (after.owed, after.notified["succeeded:n8n"].outcome) == ((), "n8n is not configured")
    assert scene.n8n.app.calls == []


@pytest.mark.parametrize("trouble", ["down", "migrating", "starting", "inactive", "token", "missing"])
async def test_when_n8n_cannot_or_will_not_it_is_tried_again_and_the_rest_is_told(scene: Scene, trouble: str) -> None:
    token = scene.secrets["N8N_API"]
    if trouble == "down":
        scene.n8n.app.faults.append(Fault(status=503))
    elif trouble == "token":
        scene.secrets["N8N_API"] = "a-wrong-token"
    elif trouble == "missing":
        del scene.secrets["N8N_API"]
    else:
        scene.n8n.state = trouble  # type: ignore[assignment]
    run = await tell(scene, await owing(scene, "succeeded", status=Status.SUCCEEDED, **DONE))
    assert (run.owed, len(scene.comments())) == (("succeeded:n8n",), 1)
    assert run.notify_due is not None
    assert run.wake_at == run.notify_due
    assert run.notify_due > scene.clock.now()

    scene.n8n.state = "active"
    scene.secrets["N8N_API"] = token
    scene.services.secrets.clear()
    await scene.sweep(after=60)
    assert [message.about for message in scene.bus.published] == [("notify", run.id)]
    after = await tell(scene, run)
    assert (after.owed, scene.told(), after.wake_at) == ((), ["succeeded"], None)
    assert scene.calls(scene.github.app, "/issues/1/comments") == 2  # the first time only: look, and write


async def test_what_is_refused_for_good_is_given_up_and_says_so(scene: Scene) -> None:
    scene.n8n.state = "inactive"
    run = await owing(scene, "succeeded", status=Status.SUCCEEDED, **DONE)
    await tell(scene, run)
    for _ in range(notices.GIVE_UP_AFTER + 5):
        now = await scene.run(run.id)
        if not now.owed:
            break
        assert now.notify_due is not None
        assert now.notify_due - scene.clock.now() <= notices.LONGEST_PAUSE
        scene.clock.advance((now.notify_due - scene.clock.now()).total_seconds())
        await tell(scene, run)
    after = await scene.run(run.id)
    assert (after.owed, after.wake_at) == ((), None)
    assert "given up" in after.notified["succeeded:n8n"].outcome


async def test_several_events_are_each_told_to_n8n(scene: Scene) -> None:
    await tell(scene, await owing(scene, "needs_approval", "failed", status=Status.FAILED))
    assert scene.told() == ["needs_approval", "failed"]


async def test_two_pushes_at_once_deliver_once(scene: Scene) -> None:
    run = await owing(scene, "succeeded", status=Status.SUCCEEDED, **DONE)
    answers = await asyncio.gather(*(scene.wake("notify", run.id) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert (scene.told(), len(scene.comments())) == (["succeeded"], 1)
    assert (await scene.run(run.id)).owed == ()


async def test_while_another_delivers_nothing_is_sent(scene: Scene) -> None:
    lease = Lease("another", scene.clock.now() + timedelta(seconds=30))
    run = await owing(scene, "succeeded", status=Status.SUCCEEDED, notify_lease=lease)
    await tell(scene, run)
    assert scene.told() == []
    scene.pass_time(31)  # the other one died
    await tell(scene, run)
    assert scene.told() == ["succeeded"]


@pytest.mark.parametrize("pace", [Pace(), Pace(limit=10, lease=12)])
async def test_a_deliverer_that_dies_is_replaced_by_the_sweep(scene: Scene, pace: Pace) -> None:
    scene.services.pace = pace
    run = await owing(scene, "succeeded", status=Status.SUCCEEDED, **DONE)
    scene.store.incidents.before(2, RuntimeError("the process dies"))
    assert (await scene.wake("notify", run.id)).status_code == 500
    left = await scene.run(run.id)
    assert left.owed == run.owed
    assert left.wake_at == scene.clock.now() + timedelta(seconds=pace.lease)
    scene.clock.advance(pace.lease)
    await scene.sweep()
    assert [message.about for message in scene.bus.published] == [("notify", run.id)]
    assert (await tell(scene, run)).owed == ()
    assert len(scene.comments()) == 1


async def test_what_comes_to_be_owed_while_delivering_is_delivered_at_once(scene: Scene) -> None:
    run = await owing(scene, "started")

    async def merged() -> None:
        now = await scene.run(run.id)
        await scene.save(notices.owe(replace(now, commit_sha=OTHER), "merged", scene.clock.now()))

    scene.store.incidents.before(2, merged)
    after = await tell(scene, run)
    assert (after.owed, after.notify_due) == (("merged:comment",), scene.clock.now())
    assert [message.about for message in scene.bus.published] == [("notify", run.id)]
    assert OTHER[:7] not in scene.comments()[0]
    await tell(scene, run)
    assert OTHER[:7] in scene.comments()[0]


async def test_a_deleted_comment_is_written_anew(scene: Scene) -> None:
    run = await tell(scene, await owing(scene, "started"))
    scene.github.repository(REPOSITORY).comments.clear()
    await scene.save(notices.owe(run, "merged", scene.clock.now()))
    await tell(scene, run)
    assert len(scene.comments()) == 1


async def test_githubs_outage_keeps_nothing_from_n8n(scene: Scene) -> None:
    scene.github.app.faults.append(Fault(times=100))
    run = await tell(scene, await owing(scene, "succeeded", status=Status.SUCCEEDED))
    assert scene.told() == ["succeeded"]
    assert set(run.owed) == {"succeeded:comment", "succeeded:deployment"}


async def test_the_health_of_a_target_is_told_to_n8n(scene: Scene) -> None:
    lost = notices.owe(Target(id=TARGET), "health_lost", scene.clock.now(), "2026-11-22T12:00:00Z")
    await scene.save(lost)
    answer = await scene.push("notify", envelope.encode(Message("notify", target_id=TARGET)))
    assert answer.status_code == 200
    (notification,) = scene.n8n.notifications
    assert (notification["event"], notification["severity"], notification["target"]) == ("health_lost", "error", TARGET)
    target = await scene.target()
    assert (target.owed, target.wake_at) == ((), None)


@pytest.mark.parametrize("message", [Message("notify", "nobody"), Message("notify", target_id="nowhere")])
async def test_what_is_not_there_or_owes_nothing_is_done_with(scene: Scene, message: Message) -> None:
    run = await owing(scene)
    assert (await scene.push("notify", envelope.encode(message))).status_code == 200
    assert (await scene.wake("notify", run.id)).status_code == 200
    assert scene.store.commits == 0


@pytest.mark.parametrize("data", [b"{", b'{"run_id": "r"}'])
async def test_a_garbled_message_goes_the_way_of_dead_letters(scene: Scene, data: bytes) -> None:
    assert (await scene.push("notify", data)).status_code == 400


async def test_a_message_about_nothing_goes_the_way_of_dead_letters(scene: Scene) -> None:
    assert (await scene.push("notify", b'{"stage": "notify"}')).status_code == 400


async def test_a_store_that_is_down_asks_for_the_message_again(scene: Scene) -> None:
    run = await owing(scene, "started")
    scene.store.down = True
    assert (await scene.wake("notify", run.id)).status_code == 503
    assert scene.comments() == []


ANALYSIS = "failure-analysis"
CRASHED = Failure(code=Reason.BUILD_FAILED, message="exit 1", stage=Stage.MONITOR, log_tail=("no module zod",))


@pytest.mark.parametrize("event", ["failed", "rolled_back", "rollback_failed"])
async def test_a_failures_log_is_sent_to_be_analysed(scene: Scene, event: str) -> None:
    scene.use_workflow(failure_analysis=ANALYSIS)
    run = await tell(scene, await owing(scene, event, status=Status.FAILED, error=CRASHED))
    assert run.notified[f"{event}:analysis"].outcome == notices.SENT
    assert [payload["event"] for payload in scene.n8n.notifications] == [event]
    [asked] = scene.n8n.asked
    assert (asked["run_id"], asked["log_tail"], asked["attempt"]) == (run.id, ["no module zod"], 1)


async def test_without_a_log_a_pull_request_or_a_workflow_nothing_is_analysed(scene: Scene) -> None:
    scene.use_workflow(failure_analysis=ANALYSIS)
    no_log = replace(CRASHED, log_tail=())
    for changes in ({"error": no_log}, {"error": None}, {"error": CRASHED, "pull_request": None}):
        run = await tell(scene, await owing(scene, "failed", status=Status.FAILED, **changes))
        assert "no log" in run.notified["failed:analysis"].outcome
    scene.configure()
    run = await tell(scene, await owing(scene, "failed", status=Status.FAILED, error=CRASHED))
    assert run.notified["failed:analysis"].outcome == "no analysis is configured"
    assert scene.n8n.asked == []


async def test_an_analysis_that_fails_is_asked_for_again_and_keeps_nothing_from_being_told(scene: Scene) -> None:
    scene.use_workflow(failure_analysis=ANALYSIS)
    scene.n8n.app.faults.append(Fault(when=ANALYSIS, status=502))
    run = await tell(scene, await owing(scene, "failed", status=Status.FAILED, error=CRASHED))
    assert (run.owed, scene.told(), len(scene.comments())) == (("failed:analysis",), ["failed"], 1)

    scene.pass_time(60)
    run = await tell(scene, run)

    assert (run.owed, scene.told(), len(scene.n8n.asked)) == ((), ["failed"], 1)


# A pull request to be analysed, and the weekly report: owed by a target


async def tell_target(scene: Scene, *events: str) -> Target:
    target = await scene.target()
    for event in events:
        name, _, occurrence = event.partition("@")
        target = notices.owe(target, name, scene.clock.now(), occurrence)
    await scene.save(target)
    answer = await scene.push("notify", envelope.encode(Message("notify", target_id=TARGET)))
    assert answer.status_code == 200
    return await scene.target()


async def test_a_pull_request_is_sent_to_be_analysed(scene: Scene) -> None:
    scene.use_workflow(pull_request_analysis="review")
    target = await tell_target(scene, f"pull_request@7-{NEW}")
    assert target.notified[f"pull_request@7-{NEW}:analysis"].outcome == notices.SENT
    key = f"acme/shop#7@{NEW}:analysis"
    about = {"number": 7, "head_sha": NEW}
    assert scene.n8n.asked == [{"key": key, "event": "pull_request", "repository": REPOSITORY, "pull_request": about}]
    assert scene.n8n.api.executions[-1].headers["idempotency-key"] == key


async def test_an_analysis_that_hangs_keeps_no_alarm_from_being_told(scene: Scene) -> None:
    scene.use_workflow(pull_request_analysis="review")
    scene.n8n.app.faults.append(Fault(when="review", lost=True))
    target = await tell_target(scene, f"pull_request@7-{NEW}", "health_lost@2026-11-22T12:00:00Z")
    assert (scene.told(), target.owed) == (["health_lost"], (f"pull_request@7-{NEW}:analysis",))

    scene.pass_time(60)

    assert (await tell_target(scene)).owed == ()
    assert len(scene.n8n.asked) == 1


async def test_without_a_workflow_nothing_is_analysed_or_reported(scene: Scene) -> None:
    target = await tell_target(scene, f"pull_request@7-{NEW}", "weekly_report@2026-11-16T08:00:00Z")
    assert {told.outcome for told in target.notified.values()} == {
        "no analysis is configured",
        "no report is configured",
    }
    assert scene.n8n.api.executions == []


async def test_the_week_that_is_over_is_reported_however_late(scene: Scene) -> None:
    scene.use_workflow(weekly_report="weekly")
    failure = Failure(code=Reason.UNHEALTHY, message="503", stage=Stage.VERIFY)
    run = replace(scene.new_run(Stage.MERGE), status=Status.ROLLED_BACK, error=failure, **DONE)
    await scene.save(replace(run, deployment=Deployment(id="d")))  # on Sunday
    await scene.save(Target(id=TARGET, hold=Hold(reason="rolled back", at=run.created_at, run_id=run.id)))
    scene.pass_time(2 * 86400)
    await scene.save(replace(run, id="after", created_at=scene.clock.now()))

    target = await tell_target(scene, "weekly_report@2026-11-23T08:00:00Z")

    assert target.notified["weekly_report@2026-11-23T08:00:00Z:report"].outcome == notices.SENT
    assert scene.n8n.asked == [
        {
            "key": "weekly_report@2026-11-23T08:00:00Z",
            "event": "weekly_report",
            "since": "2026-11-16T08:00:00Z",
            "until": "2026-11-23T08:00:00Z",
            "runs": 1,
            "attempts": 1,
            "complete": True,
            "by_status": {"rolled_back": 1},
            "by_reason": {"unhealthy": 1},
            "deployments": {
                "ended": 1,
                "succeeded": 0,
                "success_rate": 0.0,
                "rolled_back": 1,
                "median_seconds": None,
            },
            "attention": [{"target": TARGET, "states": ["held"]}],
        }
    ]
