"""The shell: who may work on a run, what becomes of every way a stage can end, and that no crash loses a run."""

import asyncio
import base64
from datetime import timedelta
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from unit.functions.scene import IMPATIENT, NEW, OTHER, TARGET, Crash, Scene

from shared.core import notices
from shared.core.outcome import Advance, Enqueue, Outcome, Wait
from shared.core.pipeline import Pace
from shared.core.reasons import Reason
from shared.core.run import Lease, Run, Stage, Status
from shared.core.target import Target
from shared.errors import (
    Final,
    NotFound,
    RateLimited,
    Refused,
    SecretMissing,
    Unauthorized,
    Unavailable,
    UnknownOutcome,
)
from shared.runtime import stage
from shared.runtime.services import Services
from shared.runtime.stage import Claim, LeaseLost
from shared.runtime.update import amend


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return IMPATIENT


async def advance(claim: Claim, services: Services) -> Outcome:
    return Advance("done", {"commit_sha": OTHER})


async def wait(claim: Claim, services: Services) -> Outcome:
    return Wait(message="not yet", wake_in=10, otherwise=Reason.CHECKS_TIMEOUT)


def raising(error: BaseException) -> stage.Handler:
    async def handler(claim: Claim, services: Services) -> Outcome:
        raise error

    return handler


async def push(run_id: str, handler: stage.Handler, *, at: Stage = Stage.MERGE, content: Any = None) -> httpx.Response:
    """As the stage's subscription would; `content` instead of a proper envelope."""
    return await _post(handler, at, content or _envelope(f'{{"stage": "{at}", "run_id": "{run_id}"}}'.encode()))


@pytest.fixture
async def run(scene: Scene) -> Run:
    """A stored run in the stage merge."""
    run = scene.new_run(Stage.MERGE)
    await scene.save(run)
    return run


async def _post(handler: stage.Handler, at: Stage, body: Any) -> httpx.Response:
    async def endpoint(request: Request) -> Response:
        return await stage.serve(request, at, handler)

    transport = httpx.ASGITransport(app=Starlette(routes=[Route("/", endpoint, methods=["POST"])]))
    async with httpx.AsyncClient(transport=transport, base_url="http://stage.test") as client:
        given = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await client.post("/", **given)


def _envelope(data: bytes) -> dict[str, Any]:
    return {"message": {"data": base64.b64encode(data).decode(), "messageId": "1"}, "subscription": "s"}


# What is no message for this stage


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b"\xff",
        [],
        {"message": {"data": "not base64!"}},
        _envelope(b"not json"),
        _envelope(b'{"stage": 5}'),
        _envelope(b"{}"),
        _envelope(b'{"stage": "merge"}'),
        _envelope(b'{"stage": "merge", "run_id": ""}'),
        _envelope(b'{"stage": "merge", "target_id": "t"}'),
    ],
)
async def test_a_garbled_message_goes_the_way_of_dead_letters(scene: Scene, content: Any) -> None:
    answer = await push("", advance, content=content)
    assert answer.status_code == 400
    (line,) = scene.logged()
    assert (line["severity"], line["stage"]) == ("ERROR", "merge")


async def test_a_message_about_an_unknown_run_is_done_with(scene: Scene) -> None:
    assert (await push("nobody", raising(AssertionError("called")))).status_code == 200


async def test_a_run_that_has_ended_is_left_alone(scene: Scene) -> None:
    run = replace(scene.new_run(Stage.MERGE), stage=Stage.DONE, status=Status.SUCCEEDED)
    await scene.save(run)
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 200
    assert await scene.run(run.id) == run


async def test_a_late_message_of_an_earlier_stage_is_done_with(scene: Scene) -> None:
    run = scene.new_run(Stage.MONITOR)
    await scene.save(run)
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 200
    assert await scene.run(run.id) == run
    assert scene.bus.published == []


async def test_a_late_message_wakes_the_stage_that_the_run_is_at_when_that_is_overdue(scene: Scene) -> None:
    run = scene.new_run(Stage.MONITOR)
    await scene.save(run)
    scene.pass_time(scene.services.pace.unclaimed)
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 200
    assert [message.about for message in scene.bus.published] == [("monitor", run.id)]


# The lease


async def test_a_message_about_a_run_that_another_worker_has_comes_again(scene: Scene) -> None:
    lease = Lease("another", scene.clock.now() + timedelta(seconds=60))
    run = replace(scene.new_run(Stage.MERGE), lease=lease)
    await scene.save(run)
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 503
    assert await scene.run(run.id) == run


async def test_a_claim_leases_the_run_and_wakes_later_than_the_lease(scene: Scene, run: Run) -> None:

    async def look(claim: Claim, services: Services) -> Outcome:
        now, saved = scene.clock.now(), await scene.run(run.id)
        assert saved.lease.until == now + timedelta(seconds=60)
        assert saved.wake_at is not None
        assert saved.wake_at > saved.lease.until
        assert (saved.attempts, saved.status) == (1, Status.RUNNING)
        return Advance("done")

    assert (await push(run.id, look)).status_code == 200
    after = await scene.run(run.id)
    assert (after.stage, after.lease, after.attempts) == (Stage.DEPLOY, None, 0)


async def test_of_two_claims_at_once_one_wins_and_the_other_comes_again(scene: Scene, run: Run) -> None:
    entered = asyncio.Event()
    called = []

    async def slow(claim: Claim, services: Services) -> Outcome:
        called.append(claim.run.lease)
        entered.set()
        await release.wait()
        return Advance("done")

    release = asyncio.Event()
    first = asyncio.create_task(push(run.id, slow))
    await entered.wait()
    assert (await push(run.id, slow)).status_code == 503
    release.set()
    assert (await first).status_code == 200
    assert len(called) == 1


async def test_an_expired_lease_is_taken_over_and_the_first_worker_cannot_save_any_more(scene: Scene, run: Run) -> None:

    async def overtaken(claim: Claim, services: Services) -> Outcome:
        scene.pass_time(61)
        assert (await push(run.id, wait)).status_code == 200
        return Advance("too late", {"commit_sha": OTHER})

    assert (await push(run.id, overtaken)).status_code == 503
    after = await scene.run(run.id)
    assert (after.stage, after.history[-1].message, after.commit_sha) == (Stage.MERGE, "not yet", NEW)
    assert scene.bus.published == []


async def test_a_worker_that_was_overtaken_cannot_save_its_intent_either(scene: Scene, run: Run) -> None:
    effects = []

    async def overtaken(claim: Claim, services: Services) -> Outcome:
        await amend(services.store, Run, run.id, lambda now: replace(now, lease=Lease("another", scene.clock.now())))
        await claim.checkpoint(commit_sha=OTHER)
        effects.append("the effect")
        return Advance("done")

    assert (await push(run.id, overtaken)).status_code == 503
    assert effects == []
    assert (await scene.run(run.id)).commit_sha == NEW


async def test_a_worker_that_was_overtaken_cannot_take_the_target_for_a_run_that_has_ended(
    scene: Scene, run: Run
) -> None:

    async def overtaken(claim: Claim, services: Services) -> Outcome:
        scene.pass_time(61)
        await push(run.id, raising(Final("no")))
        assert (await scene.run(run.id)).status is Status.FAILED
        return await claim.take_target() or Advance("too late")

    assert (await push(run.id, overtaken)).status_code == 503
    assert (await scene.target()).active is None


async def test_nor_can_it_change_anything_else_of_the_target(scene: Scene) -> None:
    run = scene.new_run(Stage.DEPLOY)
    await scene.save(run)

    async def overtaken(claim: Claim, services: Services) -> Outcome:
        scene.pass_time(61)
        await push(run.id, raising(Final("no")), at=Stage.DEPLOY)
        await claim.amend_target(lambda target: replace(target, address="https://old.test"))
        return Advance("too late")

    assert (await push(run.id, overtaken, at=Stage.DEPLOY)).status_code == 503
    assert (await scene.target()).address is None


async def test_a_run_that_vanished_cannot_be_saved(scene: Scene, run: Run) -> None:

    async def vanish(claim: Claim, services: Services) -> Outcome:
        scene.store.real._connection.execute("DELETE FROM documents")
        with pytest.raises(LeaseLost):
            await claim.checkpoint(commit_sha=OTHER)
        raise LeaseLost("gone")

    assert (await push(run.id, vanish)).status_code == 503


async def test_a_checkpoint_renews_the_lease_and_survives_the_worker(scene: Scene, run: Run) -> None:

    async def dying(claim: Claim, services: Services) -> Outcome:
        scene.pass_time(30)
        await claim.checkpoint(commit_sha=OTHER)
        raise Crash

    with pytest.raises(Crash):
        await push(run.id, dying)
    left = await scene.run(run.id)
    assert left.commit_sha == OTHER
    assert left.lease.until == scene.clock.now() + timedelta(seconds=60)


# Attempts


async def test_attempts_used_up_end_the_run_without_another_try(scene: Scene) -> None:
    limit = scene.services.terms(TARGET).policy.max_attempts
    run = replace(scene.new_run(Stage.MERGE), attempts=limit)
    await scene.save(run)
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 200
    after = await scene.run(run.id)
    assert (after.status, after.error.code) == (Status.FAILED, Reason.ATTEMPTS_EXHAUSTED)


async def test_a_message_that_kills_every_worker_cannot_leave_its_run_stuck(scene: Scene) -> None:
    """A poison message: no execution gets as far as saying anything."""
    run = replace(scene.new_run(Stage.MERGE), deadline=None)
    await scene.save(run)
    executions = 0
    while not (await scene.run(run.id)).status.terminal:
        try:
            await push(run.id, raising(Crash()))
        except Crash:
            executions += 1
        scene.pass_time(61)
    assert executions == scene.services.terms(TARGET).policy.max_attempts


async def test_the_last_try_still_counts(scene: Scene) -> None:
    limit = scene.services.terms(TARGET).policy.max_attempts
    run = replace(scene.new_run(Stage.MERGE), attempts=limit - 1)
    await scene.save(run)
    await push(run.id, advance)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def test_waiting_costs_no_attempt(scene: Scene, run: Run) -> None:
    for _ in range(3):
        assert (await push(run.id, wait)).status_code == 200
    after = await scene.run(run.id)
    assert (after.attempts, after.status, after.lease) == (0, Status.WAITING, None)
    assert after.wake_at == scene.clock.now() + timedelta(seconds=10)


# What handlers do


async def test_an_outcome_is_saved_and_the_next_stage_called(scene: Scene, run: Run) -> None:
    assert (await push(run.id, advance)).status_code == 200
    after = await scene.run(run.id)
    assert (after.stage, after.commit_sha, after.history[-1].message) == (Stage.DEPLOY, OTHER, "done")
    assert {message.about for message in scene.bus.published} == {("deploy", run.id), ("notify", run.id)}
    line = scene.logged("done")[0]
    assert (line["correlation_id"], line["stage"], line["target"]) == (run.id, "merge", TARGET)
    assert (line["outcome"], line["next_stage"]) == ("advance", "deploy")


@pytest.mark.parametrize("error", [Unavailable("502"), UnknownOutcome("lost"), SecretMissing("no token")])
async def test_something_passing_hands_the_message_back(scene: Scene, run: Run, error: Exception) -> None:
    assert (await push(run.id, raising(error))).status_code == 503
    after = await scene.run(run.id)
    assert (after.stage, after.status, after.lease, after.attempts) == (Stage.MERGE, Status.WAITING, None, 1)
    assert after.history[-1].message == str(error)
    # so late that the queue has brought it again by then: the two must not feed each other
    assert after.wake_at == scene.clock.now() + timedelta(seconds=scene.services.pace.redelivery)


async def test_a_time_that_the_vendor_names_is_waited_for_by_the_sweep_instead_of_the_queue(
    scene: Scene, run: Run
) -> None:
    assert (await push(run.id, raising(RateLimited("429", retry_after=300)))).status_code == 200
    after = await scene.run(run.id)
    assert (after.status, after.lease) == (Status.WAITING, None)
    assert after.wake_at == scene.clock.now() + timedelta(seconds=300)


async def test_what_is_certain_ends_the_run_in_the_vendors_words(scene: Scene, run: Run) -> None:
    assert (await push(run.id, raising(Final("no such thing")))).status_code == 200
    after = await scene.run(run.id)
    assert (after.status, after.error.code, after.error.message) == (
        Status.FAILED,
        Reason.VENDOR_REFUSED,
        "no such thing",
    )


@pytest.mark.parametrize("kind", [Refused, NotFound, Unauthorized])
async def test_one_refusal_is_waited_out_and_said(scene: Scene, run: Run, kind: type[Exception]) -> None:
    # Given a run whose vendor refuses once
    assert (await push(run.id, raising(kind("Not Authorized")))).status_code == 200

    # Then the run goes on waiting, and says what was refused and for how long it is tried again
    refused = await scene.run(run.id)
    until = scene.clock.now() + timedelta(seconds=scene.services.terms(TARGET).policy.refusal_patience)
    assert (refused.status, refused.error, refused.refusals) == (Status.WAITING, None, 1)
    assert refused.history[-1].message == f"refused; retrying until {until:%H:%M:%S} UTC: Not Authorized"

    # And the next good answer has it forgotten
    await push(run.id, advance)
    after = await scene.run(run.id)
    assert (after.stage, after.refusals, after.refused_since) == (Stage.DEPLOY, 0, None)


async def test_a_refusal_that_lasts_ends_the_run_in_the_vendors_words(scene: Scene, run: Run) -> None:
    # Given a vendor that refuses from now on
    await push(run.id, raising(Refused("Not Authorized")))
    began, looks = scene.clock.now(), 1

    # When the run is looked at whenever it is due
    while not (after := await scene.run(run.id)).status.terminal:
        scene.pass_time(max(0.0, ((after.stage_due or began) - scene.clock.now()).total_seconds()))
        await push(run.id, raising(Refused("Not Authorized")))
        looks += 1

    # Then it gives up after the time that the policy names, and several looks
    lasted = (scene.clock.now() - began).total_seconds()
    assert lasted >= scene.services.terms(TARGET).policy.refusal_patience
    assert looks >= 3
    assert after.error.code is Reason.VENDOR_REFUSED
    assert after.error.message == f"refused {looks} times in {lasted:.0f} s: Not Authorized"


async def test_a_defect_is_logged_with_its_stack_and_tried_again(scene: Scene, run: Run) -> None:
    assert (await push(run.id, raising(KeyError("oops")))).status_code == 503
    after = await scene.run(run.id)
    assert (after.status, after.attempts) == (Status.WAITING, 1)
    assert "KeyError" in after.history[-1].message
    assert "oops" not in after.history[-1].message
    assert "oops" in scene.logged("unexpected error")[0]["stack_trace"]


@pytest.mark.parametrize("kind", [Unavailable, Refused, SecretMissing])
async def test_no_secret_gets_into_a_run_by_way_of_an_error(scene: Scene, kind: type[Exception]) -> None:
    token = await scene.services.secrets.value("RAILWAY-API")
    run = scene.new_run(Stage.MERGE)
    await scene.save(run)
    await push(run.id, raising(kind(f"refused {token}")))
    after = await scene.run(run.id)
    assert token not in str(after)
    assert token not in scene.log.getvalue()
    assert "[redacted]" in after.history[-1].message


async def test_a_handler_that_hangs_is_broken_off_and_tried_again(scene: Scene) -> None:
    scene.services.pace = Pace(limit=0.01)
    run = scene.new_run(Stage.MERGE)
    await scene.save(run)
    cancelled = []

    async def hang(claim: Claim, services: Services) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)
        raise AssertionError

    assert (await push(run.id, hang)).status_code == 503
    after = await scene.run(run.id)
    assert cancelled == [True]
    assert after.history[-1].message == "merge did not finish within 0.01 s"
    assert after.lease is None


async def test_a_handlers_own_timeout_is_a_defect_and_not_the_stages(scene: Scene, run: Run) -> None:
    assert (await push(run.id, raising(TimeoutError()))).status_code == 503
    assert "unexpected TimeoutError" in (await scene.run(run.id)).history[-1].message


async def test_a_run_whose_target_is_no_longer_configured_ends(scene: Scene) -> None:
    run = replace(scene.new_run(Stage.MERGE), target="acme:shop:web:gone")
    await scene.save(run)
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 200
    after = await scene.run(run.id)
    assert (after.status, after.error.code) == (Status.FAILED, Reason.TARGET_UNKNOWN)


# Run and target, and who else writes


async def test_the_end_of_a_run_frees_its_target_and_calls_the_next_in_one_commit(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    waiting = replace(run, id="production-pr2-next", status=Status.QUEUED)
    target = notices.scheduled(Target(id=TARGET, active=run.id))
    await scene.save(run, waiting, target)
    await push(waiting.id, enqueue)
    assert [entry.run_id for entry in (await scene.target()).queue] == [waiting.id]
    scene.bus.take()
    before = scene.store.commits
    await push(run.id, raising(Final("no")))
    assert scene.store.commits == before + 2  # the claim, and everything else
    assert (await scene.target()).active == waiting.id
    assert ("merge", waiting.id) in [message.about for message in scene.bus.published]


async def enqueue(claim: Claim, services: Services) -> Outcome:
    return Enqueue("queued behind another", Reason.QUEUE_TIMEOUT)


async def test_what_notify_wrote_meanwhile_is_kept(scene: Scene) -> None:
    run = notices.owe(scene.new_run(Stage.MERGE), "started", scene.clock.now())
    await scene.save(run)

    async def told(document: Run) -> Run:
        return notices.settle(document, {notices.Notice.read("started:comment"): notices.SENT}, scene.clock.now())

    async def meanwhile(claim: Claim, services: Services) -> Outcome:
        fresh = await scene.run(run.id)
        await scene.save(await told(fresh))
        return Advance("done", {"commit_sha": OTHER})

    assert (await push(run.id, meanwhile)).status_code == 200
    after = await scene.run(run.id)
    assert (after.stage, after.commit_sha) == (Stage.DEPLOY, OTHER)
    assert after.notified["started:comment"].outcome == notices.SENT
    assert after.owed == ("merged:comment",)


async def test_a_run_ends_on_the_target_as_it_is_by_then(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run, Target(id=TARGET, active=run.id))

    async def observed() -> None:
        await amend(scene.store.real, Target, TARGET, lambda target: replace(target, address="https://seen.test"))

    scene.store.incidents.before(2, observed)
    await push(run.id, raising(Final("no")))
    target = await scene.target()
    assert (target.active, target.address) == (None, "https://seen.test")
    assert (await scene.run(run.id)).status is Status.FAILED


async def test_a_run_changed_between_reading_and_claiming_is_read_anew(scene: Scene, run: Run) -> None:

    async def ended() -> None:
        await amend(scene.store.real, Run, run.id, lambda now: replace(now, stage=Stage.DONE, status=Status.CANCELLED))

    scene.store.incidents.before(1, ended)
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 200
    assert (await scene.run(run.id)).status is Status.CANCELLED


async def test_a_run_that_everybody_writes_at_once_is_claimed_later(scene: Scene, run: Run) -> None:

    async def touch() -> None:
        await amend(scene.store.real, Run, run.id, lambda now: replace(now, notify_attempts=now.notify_attempts + 1))

    for nth in range(1, 9):
        scene.store.incidents.before(nth, touch)
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 503
    assert (await scene.run(run.id)).attempts == 0


async def test_a_run_that_everybody_writes_at_once_is_not_concluded_blindly(scene: Scene, run: Run) -> None:

    async def touch() -> None:
        await amend(scene.store.real, Run, run.id, lambda now: replace(now, notify_attempts=now.notify_attempts + 1))

    for nth in range(2, 10):
        scene.store.incidents.before(nth, touch)
    assert (await push(run.id, advance)).status_code == 503
    after = await scene.run(run.id)
    assert (after.stage, after.attempts) == (Stage.MERGE, 1)
    assert scene.bus.published == []


async def test_taking_the_target_is_one_commit_with_the_run(scene: Scene) -> None:
    run = replace(scene.new_run(Stage.MERGE), status=Status.QUEUED)
    await scene.save(run)
    commits = []

    async def take(claim: Claim, services: Services) -> Outcome:
        before = scene.store.commits
        assert await claim.take_target() is None
        commits.append(scene.store.commits - before)
        assert (await scene.target()).active == run.id
        assert (await scene.run(run.id)).status is Status.RUNNING
        assert await claim.take_target() is None
        commits.append(scene.store.commits - before)
        return Advance("done")

    await push(run.id, take)
    assert commits == [1, 1]


async def test_a_target_taken_by_another_meanwhile_is_not_taken_twice(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run, Target(id=TARGET))

    async def another() -> None:
        await amend(scene.store.real, Target, TARGET, lambda target: replace(target, active="another"))

    async def take(claim: Claim, services: Services) -> Outcome:
        return await claim.take_target() or Advance("mine")

    scene.store.incidents.before(2, another)
    await push(run.id, take)
    target = await scene.target()
    assert (target.active, [entry.run_id for entry in target.queue]) == ("another", [run.id])
    assert (await scene.run(run.id)).status is Status.QUEUED


async def test_a_target_left_by_another_meanwhile_is_taken_after_all(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run, Target(id=TARGET, active="another"))

    async def left() -> None:
        await amend(scene.store.real, Target, TARGET, lambda target: replace(target, active=None))

    async def take(claim: Claim, services: Services) -> Outcome:
        refused = await claim.take_target()
        assert isinstance(refused, Enqueue)
        await left()
        return await claim.take_target() or Advance("mine")

    await push(run.id, take)
    assert (await scene.target()).active == run.id
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def test_a_change_of_the_target_that_changes_nothing_writes_nothing(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run, Target(id=TARGET))

    async def amending(claim: Claim, services: Services) -> Outcome:
        before = scene.store.commits
        await claim.amend_target(lambda target: target)
        assert scene.store.commits == before
        await claim.amend_target(lambda target: replace(target, address="https://new.test"))
        assert (await claim.target()).address == "https://new.test"
        return Advance("done")

    await push(run.id, amending)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


# The store, the bus, and death


async def test_a_store_that_is_down_asks_for_the_message_again(scene: Scene, run: Run) -> None:
    scene.store.down = True
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 503
    scene.store.down = False
    assert await scene.run(run.id) == run


async def test_what_could_not_be_published_after_the_commit_is_sent_by_the_sweep(scene: Scene, run: Run) -> None:
    scene.bus.down = True
    assert (await push(run.id, advance)).status_code == 200
    assert (await scene.run(run.id)).stage is Stage.DEPLOY
    scene.bus.down = False
    await scene.sweep(after=scene.services.pace.unclaimed)
    assert {message.about for message in scene.bus.published} == {("deploy", run.id), ("notify", run.id)}


@pytest.mark.parametrize("handler", [advance, wait, raising(Unavailable("502")), raising(Final("no"))])
@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("nth", [1, 2])
async def test_a_crash_around_a_commit_leaves_a_run_that_the_sweep_finds(
    scene: Scene, run: Run, handler: stage.Handler, afterwards: bool, nth: int
) -> None:
    (scene.store.incidents.after if afterwards else scene.store.incidents.before)(nth, Crash())
    with pytest.raises(Crash):
        await push(run.id, handler)
    left = await scene.run(run.id)
    assert left.status.terminal or left.wake_at is not None

    await scene.sweep(after=scene.services.pace.redelivery + 1)
    sent = [message.about for message in scene.bus.take()]
    if not left.status.terminal:
        assert (left.stage, run.id) in sent
    if left.owed:
        assert ("notify", run.id) in sent
    # and whoever comes next does what remained to be done
    again = await push(run.id, advance)
    after = await scene.run(run.id)
    assert again.status_code == 200
    assert after.status.terminal or after.stage is Stage.DEPLOY


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("afterwards", [False, True])
async def test_a_crash_around_a_publish_leaves_a_run_that_the_sweep_finds(
    scene: Scene, run: Run, nth: int, afterwards: bool
) -> None:
    (scene.bus.incidents.after if afterwards else scene.bus.incidents.before)(nth, Crash())
    with pytest.raises(Crash):
        await push(run.id, advance)
    scene.bus.take()
    await scene.sweep(after=scene.services.pace.unclaimed)
    assert {message.about for message in scene.bus.published} == {("deploy", run.id), ("notify", run.id)}


async def test_a_commit_whose_answer_was_lost_is_not_made_twice(scene: Scene, run: Run) -> None:
    scene.store.incidents.after(2, UnknownOutcome("the store's answer was lost"))
    assert (await push(run.id, advance)).status_code == 503
    saved = await scene.run(run.id)
    assert saved.stage is Stage.DEPLOY
    assert (await push(run.id, raising(AssertionError("called")))).status_code == 200
    assert await scene.run(run.id) == saved
