"""/status, /help, /retry and /resume: what they answer, and what they change."""

from datetime import timedelta
from typing import Any

import pytest
from unit.functions.scene import NEW, START, TARGET, Scene

from functions.dispatch.commands import COMMANDS, SUMMARIES
from local.world.vendors import SERVICE
from shared.core.reasons import Reason
from shared.core.run import Status
from shared.core.target import HeldBack, Hold, Lock, Pause, Target


async def answered(scene: Scene, body: str, number: int = 1) -> str:
    """The reply to a comment."""
    said = scene.say(number, body)
    assert (await scene.happen(said)).status_code == 200
    [reply] = [one for one in scene.comments(number) if f"signalbox:reply:{said.comment_id}" in one]
    return reply


# /help


async def test_help_lists_every_command_with_what_it_does(scene: Scene) -> None:
    scene.open_pull_request()
    reply = await answered(scene, "/help me, please")
    for usage, summary in SUMMARIES.items():
        assert f"| `{usage}` | {summary} |" in reply
    assert len(SUMMARIES) == len(COMMANDS)
    assert "`web/production`" in reply


# /status


async def test_status_of_what_is_live(scene: Scene) -> None:
    await scene.ship()
    reply = await answered(scene, "/status")
    run = await scene.the_run()
    assert "✅ deployed to **web/production**" in reply
    assert f"`{run.id}` since" in reply
    assert f"live: yes, `{run.commit_sha[:7]}` was verified at" in reply


async def test_status_of_a_change_that_a_newer_version_contains(scene: Scene) -> None:
    await scene.ship()
    await scene.ship()
    first, second = await scene.runs()
    reply = await answered(scene, "/status")
    assert f"live: yes, `{second.commit_sha[:7]}` was verified" in reply
    assert f"and contains `{first.commit_sha[:7]}`" in reply


async def test_status_before_anything_happened(scene: Scene) -> None:
    scene.open_pull_request()
    reply = await answered(scene, "/status web/production")
    assert "No run of this pull request on **web/production**" in reply
    assert "live: no, the pull request is not merged" in reply


async def test_status_says_what_is_waited_for_until_when_and_behind_whom(scene: Scene) -> None:
    number = scene.open_pull_request(tests=None)
    await scene.happen(scene.say(number, "/deploy"))
    await scene.deliver()
    reply = await answered(scene, "/status")
    assert ": waiting for tests" in reply
    assert "it waits until 2026-11-22" in reply

    await scene.save(Target(id=TARGET, active="another", lock=Lock(by="ada", reason="audit", at=START)))
    scene.merge(number)
    with pytest.raises(AssertionError, match="unfinished"):
        await scene.settle(hours=0.1)
    reply = await answered(scene, "/status")
    assert "place 1 of 1 in the queue, behind `another`" in reply
    assert "locked by ada: audit; `/unlock` ends it" in reply


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hold": Hold(reason="x was rolled back", at=START, run_id="x")}, "held: x was rolled back; `/resume`"),
        ({"pause": Pause(by="ada", reason="moving", at=START)}, "paused by ada: moving"),
        ({}, "live: not known, nothing was verified here yet"),
    ],
)
async def test_status_shows_what_stops_the_target(scene: Scene, changes: dict[str, Any], said: str) -> None:
    scene.configure(automatic=False)
    scene.merge(scene.open_pull_request())
    await scene.save(Target(id=TARGET, **changes))
    assert said in await answered(scene, "/status")


async def test_status_of_environments_in_order(scene: Scene) -> None:
    scene.put_staging_first(promotion="command")
    await scene.ship()
    reply = await answered(scene, "/status")
    assert "next: comment `/promote web/staging production`" in reply
    assert "next: deployed here once it was verified in `web/staging`" in reply


async def test_status_of_no_target_is_refused(scene: Scene) -> None:
    scene.open_pull_request()
    assert f"`{Reason.TARGET_AMBIGUOUS}`" in await answered(scene, "/status moon")


# /retry


async def failed(scene: Scene) -> None:
    scene.railway.plan(SERVICE, build="fail")
    await scene.ship()
    assert (await scene.the_run()).status is Status.FAILED


async def test_retry_attempts_the_last_run_again(scene: Scene) -> None:
    await failed(scene)
    reply = await answered(scene, "/retry")
    run = await scene.the_run()
    assert (run.attempt, run.trigger.source, run.trigger.actor) == (2, "replay", "grace")
    assert f"attempt 2 of `{run.id}` begins at {run.stage}" in reply
    await scene.settle()
    assert (await scene.the_run()).status is Status.SUCCEEDED


async def test_a_retry_that_comes_twice_is_one(scene: Scene) -> None:
    await failed(scene)
    said = scene.say(1, "/retry")
    for _ in range(2):
        assert (await scene.happen(said)).status_code == 200
    assert (await scene.the_run()).attempt == 2

    # also when whoever answered died before the reply was written
    scene.github.repository("acme/shop").comments.popitem()
    scene.pass_time(scene.services.pace.lease + 1)
    await scene.happen(said)
    assert (await scene.the_run()).attempt == 2
    assert "attempt 2 of" in scene.comments()[-1]


async def test_there_is_nothing_to_retry_of_what_succeeded_or_is_under_way_or_never_was(scene: Scene) -> None:
    number = scene.open_pull_request(tests=None)
    assert "has no run on `web/production`" in await answered(scene, "/retry")
    await scene.happen(scene.say(number, "/deploy"))
    await scene.deliver()
    assert "the run has not ended: it is at merge" in await answered(scene, "/retry")
    scene.github.report_check("acme/shop", number, "tests", "success")
    await scene.settle()
    assert "succeeded: there is nothing to retry" in await answered(scene, "/retry")
    assert (await scene.the_run()).attempt == 1


async def test_what_is_quarantined_is_not_retried(scene: Scene) -> None:
    scene.railway.plan(SERVICE, health="failing")
    await scene.ship()
    assert f"`{Reason.QUARANTINED}`" in await answered(scene, "/retry")
    assert (await scene.the_run()).attempt == 1


# /resume


async def test_resume_lifts_a_hold_and_leaves_the_lock(scene: Scene) -> None:
    scene.open_pull_request()
    lock = Lock(by="ada", reason="audit", at=START)
    held = HeldBack(commit_sha=NEW, run_id="x", at=START, number=7, title="A fix")
    hold = Hold(reason="x was rolled back: unhealthy", at=START, run_id="x")
    await scene.save(Target(id=TARGET, hold=hold, lock=lock, held_back=(held,)))
    reply = await answered(scene, "/resume production")
    target = await scene.target()
    assert (target.hold, target.lock) == (None, lock)
    assert "It was held: x was rolled back: unhealthy." in reply
    assert "#7 A fix" in reply


async def test_what_is_not_held_stays_as_it_is(scene: Scene) -> None:
    scene.open_pull_request()
    assert "**web/production** is not held" in await answered(scene, "/resume")


async def test_a_later_command_counts_before_an_earlier_one_that_comes_late(scene: Scene) -> None:
    scene.open_pull_request()
    hold = Hold(reason="later", at=START, run_id="x")
    await scene.save(Target(id=TARGET, hold=hold, last_command=10**9))
    await scene.happen(scene.say(1, "/resume"))
    assert (await scene.target()).hold == hold


@pytest.mark.parametrize(
    ("order", "stop"),
    [
        ("/resume", {"hold": Hold(reason="it is bad", at=START + timedelta(minutes=1), run_id="x")}),
        ("/unlock", {"hold": Hold(reason="it is bad", at=START + timedelta(minutes=1), run_id="x")}),
        ("/unlock", {"lock": Lock(by="signalbox", reason="it is bad", at=START + timedelta(minutes=1))}),
    ],
)
async def test_what_came_after_the_command_was_written_is_not_lifted_by_it(
    scene: Scene, order: str, stop: dict[str, Any]
) -> None:
    scene.open_pull_request()
    said = scene.say(1, order)
    scene.pass_time(120)
    await scene.save(Target(id=TARGET, **stop))
    await scene.happen(said)
    target = await scene.target()
    assert {name: getattr(target, name) for name in stop} == stop
    assert "after this was written, and stays so: it is bad." in scene.comments()[-1]
