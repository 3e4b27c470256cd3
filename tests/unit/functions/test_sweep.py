"""sweep: whatever is due is sent again, health is watched, missed webhooks are fetched, and no part stops another."""

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace
from unit.functions.scene import DOMAIN, STAGING, TARGET, Scene

from functions.sweep.due import PAGE
from local import topology
from local.world.faults import Fault
from local.world.railway.deployment import Plan
from local.world.vendors import ENVIRONMENT, REPOSITORY, SERVICE
from shared.core import notices
from shared.core.run import Run, Stage, Status
from shared.core.target import Serving, Target
from shared.errors import TransientError
from shared.runtime.ports import Create
from shared.runtime.update import amend

[ITS_TIME] = [function.timeout for function in topology.load().functions if function.name == "sweep"]
_PARTS = (
    "woken",
    "probed",
    "compared",
    "brought",
    "redelivered",
    "unnoticed",
    "labelled",
    "deaf",
    "renamed",
    "reported",
    "expiring",
)
UNREACHED = dict.fromkeys(_PARTS, 0)
FROM_GITHUB = {"redelivered": None, "unnoticed": None, "deaf": None, "renamed": None}


def published(scene: Scene) -> list[tuple[str, str]]:
    return sorted(message.about for message in scene.bus.take())


async def watched(scene: Scene, **changes: object) -> None:
    """The target serves a verified version, and nothing is under way."""
    await scene.save(replace(Target(id=TARGET, verified=(scene.serving(),), address=f"https://{DOMAIN}"), **changes))


# What is due


async def test_nothing_is_done_where_nothing_is_due(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run)
    answer = await scene.sweep()
    assert (answer.status_code, answer.json()) == (200, UNREACHED)
    assert (await scene.run(run.id), published(scene)) == (run, [])


async def test_a_run_that_is_due_is_woken_once_and_then_left_to_the_queue(scene: Scene) -> None:
    run = scene.new_run(Stage.MONITOR)
    await scene.save(run)
    assert (await scene.sweep(after=scene.services.pace.unclaimed)).json()["woken"] == 1
    assert published(scene) == [("monitor", run.id)]
    assert (await scene.run(run.id)).wake_at == scene.clock.now() + timedelta(seconds=scene.services.pace.redelivery)

    assert (await scene.sweep(after=60)).json()["woken"] == 0
    assert published(scene) == []
    await scene.sweep(after=scene.services.pace.redelivery)
    assert published(scene) == [("monitor", run.id)]


async def test_of_a_run_only_what_is_due_is_sent(scene: Scene) -> None:
    now = scene.clock.now()
    run = notices.owe(scene.new_run(Stage.MONITOR), "started", now)
    await scene.save(run)
    await scene.sweep()
    assert published(scene) == [("notify", run.id)]
    after = await scene.run(run.id)
    assert after.stage_due == run.stage_due
    assert (after.notify_due, after.wake_at) == (
        now + timedelta(seconds=scene.services.pace.redelivery),
        run.stage_due,
    )


async def test_a_run_that_has_ended_is_only_told_of(scene: Scene) -> None:
    ended = replace(scene.new_run(Stage.VERIFY), stage=Stage.DONE, status=Status.SUCCEEDED, stage_due=None)
    run = notices.owe(ended, "succeeded", scene.clock.now())
    await scene.save(run)
    await scene.sweep()
    assert published(scene) == [("notify", run.id)]


async def test_a_target_that_owes_something_is_told_of(scene: Scene) -> None:
    await scene.sweep()  # after which nobody else writes to it
    await scene.save(notices.owe(await scene.target(), "health_lost", scene.clock.now(), "now"))
    assert (await scene.sweep()).json()["woken"] == 1
    assert published(scene) == [("notify", TARGET)]
    assert (await scene.target()).wake_at == scene.clock.now() + timedelta(seconds=scene.services.pace.redelivery)


async def test_what_could_not_be_sent_stays_due(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run)
    scene.pass_time(scene.services.pace.unclaimed)
    scene.bus.down = True
    assert (await scene.sweep()).json()["woken"] == 0
    assert await scene.run(run.id) == run
    scene.bus.down = False
    await scene.sweep()
    assert published(scene) == [("merge", run.id)]


async def test_a_run_that_went_on_meanwhile_is_not_written_over(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run)
    scene.pass_time(scene.services.pace.unclaimed)

    async def went_on() -> None:
        await amend(scene.store.real, Run, run.id, lambda now: replace(now, stage=Stage.DEPLOY))

    scene.store.incidents.before(1, went_on)
    assert (await scene.sweep()).status_code == 200
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def many_due(scene: Scene, count: int) -> None:
    runs = [replace(scene.new_run(Stage.MERGE), id=f"run-{number:04}") for number in range(count)]
    await scene.store.real.commit(*map(Create, runs))
    scene.pass_time(scene.services.pace.unclaimed)


@pytest.mark.parametrize("count", [PAGE, 1000])
async def test_all_that_are_due_are_woken_by_one_sweep_and_each_once(scene: Scene, count: int) -> None:
    await many_due(scene, count)
    assert (await scene.sweep()).json()["woken"] == count
    assert len(set(published(scene))) == count
    assert (await scene.sweep()).json()["woken"] == 0


async def test_what_there_was_no_time_for_is_left_to_the_next_sweep(scene: Scene) -> None:
    await many_due(scene, 1000)
    scene.bus.slow = 5.0
    woken = (await scene.sweep()).json()["woken"]
    assert 0 < woken < 1000
    assert scene.logged("more is due than there was time for")
    scene.bus.slow = 0.0
    assert (await scene.sweep()).json()["woken"] == 1000 - woken
    assert len(set(published(scene))) == 1000


async def test_what_cannot_be_sent_holds_nobody_up(scene: Scene) -> None:
    await many_due(scene, PAGE + 1)
    scene.bus.incidents.before(1, TransientError("not this one"))
    assert (await scene.sweep()).json()["woken"] == PAGE


async def test_what_cannot_be_noted_or_read_holds_nobody_up_either(scene: Scene) -> None:
    await scene.sweep()
    await many_due(scene, 2 * PAGE)
    whole_page = f"id BETWEEN 'run-0000' AND 'run-{PAGE - 1:04}'"
    scene.store.real._connection.execute(f"UPDATE documents SET body = json_set(body, '$.kind', 7) WHERE {whole_page}")
    scene.store.incidents.before(1, TransientError("not this one"))
    assert (await scene.sweep()).json()["woken"] == PAGE
    assert len(set(published(scene))) == PAGE
    assert scene.logged("a document is left out")
    assert scene.logged("it could not be noted")


# Health


async def test_a_healthy_target_is_noted_and_nobody_is_told(scene: Scene) -> None:
    await watched(scene)
    assert (await scene.sweep()).json()["probed"] == 1
    target = await scene.target()
    assert (target.health.state, target.owed, target.health.checked_at) == ("healthy", (), scene.clock.now())


async def test_a_look_that_brings_nothing_new_costs_one_read_and_no_write_until_it_is_old(scene: Scene) -> None:
    await watched(scene)
    await scene.sweep(after=60)
    commits, reads = scene.store.commits, scene.store.reads
    for _ in range(9):
        await scene.sweep(after=60)
    assert (scene.store.commits, scene.store.reads) == (commits, reads + 9)
    await scene.sweep(after=60)
    assert scene.store.commits == commits + 2  # its health, and what serves it
    assert (await scene.target()).health.checked_at == scene.clock.now()


async def test_lost_and_regained_health_is_notified_once_each_at_the_threshold(scene: Scene) -> None:
    await watched(scene)
    await scene.sweep()
    scene.application.faults.append(Fault(status=503, times=4))
    for failures in (1, 2, 3, 4):
        await scene.sweep(after=60)
        target = await scene.target()
        assert target.health.failures == failures
        assert target.health.state == ("healthy" if failures < 2 else "unhealthy")
        assert len(target.owed) == (0 if failures < 2 else 1)
    await scene.settle()
    assert scene.told() == ["health_lost"]
    assert "503" in scene.n8n.notifications[0]["text"]
    await scene.sweep(after=60)
    assert (await scene.target()).health.state == "healthy"
    await scene.settle()
    assert scene.told() == ["health_lost", "health_regained"]


@pytest.mark.parametrize("state", ["says it is unhealthy", "is gone behind the edge"])
async def test_what_serves_loses_its_health_by_the_same_judgement(scene: Scene, state: str) -> None:
    # Given a verified version whose body says that it is unhealthy, or which no longer listens
    await scene.save(Target(id=TARGET, verified=(scene.serving(),), address=f"https://{DOMAIN}"))
    await scene.sweep()
    serving = scene.railway.serving(SERVICE, ENVIRONMENT)
    serving.plan = Plan(health="unwell") if state == "says it is unhealthy" else Plan(listens_after=1e9)

    # When it is looked at as often as the threshold says
    for _ in range(2):
        await scene.sweep(after=60)

    # Then its health is lost, and the text says where
    health = (await scene.target()).health
    assert health.state == "unhealthy"
    assert health.detail.endswith(f", at https://{DOMAIN}/health")


async def test_one_failed_look_is_no_news(scene: Scene) -> None:
    await watched(scene)
    await scene.sweep()
    scene.application.faults.append(Fault(status=503))
    for _ in range(3):
        await scene.sweep(after=60)
    target = await scene.target()
    assert (target.health.state, target.health.failures, target.owed) == ("healthy", 0, ())


async def test_a_blind_prober_is_no_sign_of_ill_health(scene: Scene) -> None:
    await watched(scene)
    await scene.sweep()
    scene.blind = True
    for _ in range(5):
        await scene.sweep(after=60)
    target = await scene.target()
    assert (target.health.state, target.health.failures, target.owed) == ("healthy", 0, ())
    assert "not reached" in target.health.detail


@pytest.mark.parametrize("given", ["unknown", "under deployment", "never verified", "private"])
async def test_what_is_watched_by_somebody_else_or_has_no_address_is_not_looked_at(scene: Scene, given: str) -> None:
    if given == "under deployment":
        await watched(scene, active="a-run")
    if given == "never verified":
        await watched(scene, verified=())
    if given == "private":
        await watched(scene, address=None)
    assert (await scene.sweep()).json()["probed"] == 0
    assert scene.application.calls == []


async def test_each_target_is_looked_at(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))
    await watched(scene)
    staging = scene.services.config.targets[1].id
    await scene.save(Target(id=staging, verified=(scene.serving(),), address="https://staging.test"))
    assert (await scene.sweep()).json()["probed"] == 2


async def test_one_that_cannot_be_recorded_keeps_no_other_from_being_looked_at(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))
    staging = scene.services.config.targets[1].id
    await scene.sweep()
    for id in (TARGET, staging):
        await amend(scene.store.real, Target, id, lambda target: replace(target, **serving_since_long_ago(scene)))
    scene.application.faults.append(Fault(slow=5.0, status=200))
    scene.store.incidents.before(1, TransientError("not this one"))
    assert (await scene.sweep()).json()["probed"] is None
    states = {(await scene.target(id)).health.state for id in (TARGET, staging)}
    assert states == {"healthy", "unknown"}


def serving_since_long_ago(scene: Scene) -> dict[str, object]:
    """So that nothing but its health is news."""
    serving = Serving(looked_at=scene.clock.now() + timedelta(minutes=1))
    return {"verified": (scene.serving(),), "address": f"https://{DOMAIN}", "serving": serving}


# Webhooks that never arrived


async def missed(scene: Scene, count: int = 1) -> list[str]:
    """Webhooks that were sent while nothing of ours answered."""
    deliver, scene.github.webhooks.deliver = scene.github.webhooks.deliver, None
    for _ in range(count):
        scene.github.webhooks.queue.clear()
        scene.open_pull_request()
        await scene.github.tick()
    scene.github.webhooks.deliver = deliver
    return [attempt.webhook.guid for attempt in scene.github.webhooks.attempts() if attempt.status != "OK"]


async def test_a_missed_webhook_is_asked_for_again_after_a_minute(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.github.webhooks.queue.clear()
    scene.merge(number)
    scene.github.webhooks.deliver, deliver = None, scene.github.webhooks.deliver
    await scene.github.tick()
    scene.github.webhooks.deliver = deliver
    assert (await scene.sweep(after=59)).json()["redelivered"] == 0

    assert (await scene.sweep(after=1)).json()["redelivered"] == 2  # the pull request and the push
    assert len(scene.logged("a webhook had not arrived")) == 2
    await scene.settle()
    assert (await scene.the_run()).status is Status.SUCCEEDED
    assert (await scene.sweep(after=60)).json()["redelivered"] == 0


async def test_what_we_always_refuse_is_asked_for_at_doubling_intervals_and_then_no_more(scene: Scene) -> None:
    async def refuse(*_: object) -> int:
        return 401

    guid = (await missed(scene))[0]
    scene.github.webhooks.deliver = refuse
    passed = 0
    for due in (1, 3, 7, 15, 31, 63, 127, 255):
        for minute, asked in ((due - 1, False), (due, True)):  # not a minute too early
            scene.pass_time((minute - passed) * 60)
            passed = minute
            assert (minute, (await scene.sweep()).json()["redelivered"] > 0) == (minute, asked)
            await scene.github.tick()
    for _ in range(7):  # after so long GitHub shows no more than the later attempts
        assert (await scene.sweep(after=3600)).json()["redelivered"] == 0
    assert len([a for a in scene.github.webhooks.attempts() if a.webhook.guid == guid]) == 9


async def test_what_was_missed_long_ago_is_let_go(scene: Scene) -> None:
    await missed(scene)
    assert (await scene.sweep(after=6 * 3600 + 1)).json()["redelivered"] == 0


async def test_a_delivery_that_github_will_not_repeat_keeps_no_other_from_being_asked_for(scene: Scene) -> None:
    guids = await missed(scene, 3)
    scene.pass_time(60)
    scene.github.app.faults.append(Fault(when="/attempts", status=422, body={"message": "cannot be redelivered"}))
    answer = await scene.sweep()
    assert answer.json()["redelivered"] == len(guids) - 1
    assert len(scene.github.webhooks.queue) == len(guids) - 1


# One part and another


async def test_githubs_outage_stops_neither_waking_nor_probing(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run)
    await watched(scene)
    scene.pass_time(scene.services.pace.unclaimed)
    scene.github.app.faults.append(Fault(times=100))
    answer = await scene.sweep()
    assert (answer.status_code, answer.json()) == (
        200,
        {**UNREACHED, "woken": 1, "probed": 1, "compared": 1, **FROM_GITHUB},
    )
    assert {line["part"] for line in scene.logged("a part of the sweep failed")} == set(FROM_GITHUB)


@pytest.mark.parametrize("trouble", ["no key", "not allowed"])
async def test_a_missing_key_or_permission_stops_neither(scene: Scene, trouble: str) -> None:
    if trouble == "no key":
        del scene.secrets["GITHUB_APP_PRIVATE_KEY"]
    else:
        scene.github.app.faults.append(Fault(times=9, status=403, body={"message": "Resource not accessible"}))
    await watched(scene)
    assert (await scene.sweep()).json() == {**UNREACHED, "probed": 1, "compared": 1, **FROM_GITHUB}


async def test_a_store_that_is_down_is_said_but_missed_webhooks_are_fetched(scene: Scene) -> None:
    guids = await missed(scene)
    scene.pass_time(60)
    scene.store.down = True
    answer = await scene.sweep()
    without_the_store = {"redelivered": len(guids), "labelled": 0, "reported": 0, "expiring": 0}
    assert (answer.status_code, answer.json()) == (503, {**dict.fromkeys(UNREACHED), **without_the_store})


async def test_a_vendor_that_hangs_takes_no_other_parts_time(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run)
    await watched(scene)
    scene.pass_time(scene.services.pace.unclaimed)
    scene.github.app.faults.append(Fault(slow=600.0, times=100))
    began = asyncio.get_running_loop().time()
    answer = await scene.sweep()
    assert asyncio.get_running_loop().time() - began < ITS_TIME
    assert (answer.status_code, answer.json()) == (
        200,
        {**UNREACHED, "woken": 1, "probed": 1, "compared": 1, **FROM_GITHUB},
    )
    assert {line["part"] for line in scene.logged("a part of the sweep took too long")} == set(FROM_GITHUB)


async def test_slow_looks_at_many_targets_take_no_other_parts_time(scene: Scene) -> None:
    places = "".join(STAGING.replace("staging", f"place-{n}").format(branch="main") for n in range(60))
    scene.configure(more=places, health_timeout=60)
    await scene.save(scene.new_run(Stage.MERGE))
    for place in scene.services.config.targets:
        await scene.save(Target(id=place.id, verified=(scene.serving(),), address=f"https://{DOMAIN}"))
    scene.pass_time(scene.services.pace.unclaimed)
    scene.application.faults.append(Fault(slow=600.0, times=1000))
    answer = await scene.sweep()
    assert (answer.status_code, answer.json()) == (200, UNREACHED | {"woken": 1, "probed": None, "compared": 1})


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_the_schedulers_method_sweeps(scene: Scene, method: str) -> None:
    answer = await scene.web.request(method, "/functions/sweep")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_sweep_leaves_one_line_about_all_of_it(scene: Scene) -> None:
    await scene.sweep()
    (line,) = scene.logged("swept")
    assert {name: line[name] for name in UNREACHED} == UNREACHED
    assert scene.github.repository(REPOSITORY).pulls == {}
