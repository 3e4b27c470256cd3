"""What the bus promises: durable before `publish` returns, pushed as Pub/Sub pushes, until acked or given up."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from endpoint import Endpoint, listening
from msgspec.structs import replace

from local.emulation.bus import ACKS, AT_ONCE, EmbeddedBus, Pump
from local.emulation.journal import Journal, Subscription
from local.world.clock import VirtualClock
from shared.errors import ConfigError, Unavailable
from shared.runtime.clock import SystemClock

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
TOPICS = ("events", "merge", "dead", "archive")
DISPATCH = Subscription("dispatch", "events", "http://functions/dispatch", 10.0, 10.0, 60.0, 3, "dead")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOON)


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
async def client(endpoint):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=endpoint.app)) as client:
        yield client


@pytest.fixture(params=["file", "memory"])
def journal(request, tmp_path):
    journal = Journal(tmp_path / "bus.db" if request.param == "file" else ":memory:", TOPICS, [DISPATCH])
    yield journal
    journal.close()


@pytest.fixture
def bus(journal, clock) -> EmbeddedBus:
    return EmbeddedBus(journal, clock)


@pytest.fixture
def pump(journal, clock, client) -> Pump:
    return Pump(journal, clock, client)


async def until_settled(journal: Journal, stop_after: float = 60.0) -> None:
    async with asyncio.timeout(stop_after):
        while sum(journal.backlog().values()):
            journal.stirred.clear()
            await journal.stirred.wait()


# The push


async def test_a_message_is_pushed_in_pubsubs_envelope(bus, pump, endpoint):
    message = await bus.publish("events", b'{"type":"x"}', {"run_id": "r1"})

    assert await pump.step() == 1

    assert endpoint.paths == ["/dispatch"]
    assert endpoint.pushed == [
        {
            "message": {
                "data": base64.b64encode(b'{"type":"x"}').decode(),
                "attributes": {"run_id": "r1"},
                "messageId": message,
                "message_id": message,
                "publishTime": "2026-07-01T12:00:00.000000Z",
                "publish_time": "2026-07-01T12:00:00.000000Z",
            },
            "subscription": "projects/local/subscriptions/dispatch",
            "deliveryAttempt": 1,
        }
    ]


async def test_without_a_dead_letter_topic_attempts_are_not_counted_out(clock, client, endpoint):
    journal = Journal(":memory:", TOPICS, [replace(DISPATCH, dead_letter_topic=None)])
    await EmbeddedBus(journal, clock).publish("events", b"", {})
    pump = Pump(journal, clock, client)
    endpoint.answers = [503] * 10

    for _ in range(11):
        assert await pump.step() == 1
        clock.advance(60)

    assert all("deliveryAttempt" not in body for body in endpoint.pushed)
    assert journal.backlog() == {"dispatch": 0}
    journal.close()


@pytest.mark.parametrize("status", sorted(ACKS - {102}))
async def test_these_answers_are_acks(bus, pump, endpoint, journal, clock, status):
    await bus.publish("events", b"", {})
    endpoint.answers = [status]

    await pump.step()
    clock.advance(10_000)

    assert await pump.step() == 0
    assert journal.backlog() == {"dispatch": 0}


@pytest.mark.parametrize("answer", [203, 301, 400, 404, 409, 429, 500, 503, httpx.ConnectError("refused")])
async def test_anything_else_comes_again(bus, pump, endpoint, clock, answer):
    await bus.publish("events", b"", {})
    endpoint.answers = [answer]

    await pump.step()
    clock.advance(10)
    await pump.step()

    assert endpoint.attempts == [1, 2]


async def test_messages_that_are_due_together_are_pushed_together(bus, pump, endpoint):
    for n in range(AT_ONCE + 5):
        await bus.publish("events", b"%d" % n, {})

    endpoint.gate.clear()
    step = asyncio.create_task(pump.step())
    for _ in range(AT_ONCE):
        await endpoint.arrivals.get()
    assert await pump.step() == 0, "no more at once, though five are due"
    endpoint.gate.set()

    assert await step == AT_ONCE
    assert await pump.step() == 5
    assert endpoint.most_at_once == AT_ONCE
    assert sorted(map(int, endpoint.data)) == list(range(AT_ONCE + 5))


async def test_every_subscription_of_a_topic_gets_it(clock, client, endpoint):
    both = [DISPATCH, replace(DISPATCH, name="audit", endpoint="http://functions/audit")]
    journal = Journal(":memory:", TOPICS, both)
    await EmbeddedBus(journal, clock).publish("events", b"", {})
    endpoint.answers = [204, 503]

    assert await Pump(journal, clock, client).step() == 2

    assert sorted(endpoint.paths) == ["/audit", "/dispatch"]
    assert sum(journal.backlog().values()) == 1
    journal.close()


async def test_a_topic_without_subscription_keeps_its_messages(bus, pump, journal):
    await bus.publish("archive", b"x", {"a": "b"})

    assert await pump.step() == 0
    assert [(m.data, m.attributes, m.published_at) for m in journal.messages("archive")] == [(b"x", {"a": "b"}, NOON)]


async def test_an_unknown_topic_is_a_configuration_error(bus):
    with pytest.raises(ConfigError, match="nowhere"):
        await bus.publish("nowhere", b"", {})
    with pytest.raises(ConfigError, match="nowhere"):
        Journal(":memory:", TOPICS, [replace(DISPATCH, topic="nowhere")])
    with pytest.raises(ConfigError, match="nowhere"):
        Journal(":memory:", TOPICS, [replace(DISPATCH, dead_letter_topic="nowhere")])


# Redelivery


async def test_the_backoff_doubles_up_to_its_maximum():
    waits = [replace(DISPATCH, min_backoff=10, max_backoff=600).backoff(attempt) for attempt in (1, 2, 3, 6, 7, 2000)]

    assert waits == [10, 20, 40, 320, 600, 600]


async def test_a_refused_message_waits_for_its_backoff(bus, pump, endpoint, journal, clock):
    await bus.publish("events", b"", {})
    endpoint.answers = [503, 503]
    looks = []

    for second in range(31):
        if await pump.step():
            looks.append(second)
        clock.advance(1)

    assert looks == [0, 10, 30]
    assert journal.next_due() is None


async def test_an_endpoint_that_was_down_gets_everything_when_it_is_back(journal, bus, clock, endpoint, client):
    async def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    for n in range(3):
        await bus.publish("events", b"%d" % n, {})
    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as down:
        assert await Pump(journal, clock, down).step() == 3
    assert journal.next_due() == NOON + timedelta(seconds=10)
    clock.advance(10)

    assert await Pump(journal, clock, client).step() == 3

    assert sorted(endpoint.data) == [b"0", b"1", b"2"]


async def test_no_answer_within_the_ack_deadline_is_a_refusal(clock, endpoint, client):
    journal = Journal(":memory:", TOPICS, [replace(DISPATCH, ack_deadline=0.01, max_attempts=1)])
    await EmbeddedBus(journal, clock).publish("events", b"", {})
    endpoint.gate.clear()

    await Pump(journal, clock, client).step()

    assert "no answer within 0.01 s" in journal.dead_letters()[0].reason
    journal.close()


# Dead letters


async def test_after_the_last_attempt_it_is_published_to_the_dead_letter_topic(bus, pump, endpoint, journal, clock):
    await bus.publish("events", b"poison", {"run_id": "r1"})
    endpoint.answers = [500, 500, 400]

    for _ in range(5):
        await pump.step()
        clock.advance(60)

    assert endpoint.attempts == [1, 2, 3]
    (dead,) = journal.messages("dead")
    assert dead.data == b"poison"
    assert dead.attributes == {
        "run_id": "r1",
        "CloudPubSubDeadLetterSourceDeliveryCount": "3",
        "CloudPubSubDeadLetterSourceSubscription": "dispatch",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "local",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-07-01T12:00:00.000000Z",
    }
    (letter,) = journal.dead_letters()
    assert (letter.subscription, letter.attempts, letter.reason) == ("dispatch", 3, "answered 400")
    assert letter.dead_at == NOON + timedelta(seconds=120)
    assert journal.backlog() == {"dispatch": 0}


async def test_a_subscription_of_the_dead_letter_topic_gets_it(clock, client, endpoint):
    buried = Subscription("buried", "dead", "http://functions/buried")
    journal = Journal(":memory:", TOPICS, [replace(DISPATCH, max_attempts=1), buried])
    await EmbeddedBus(journal, clock).publish("events", b"poison", {})
    pump = Pump(journal, clock, client)
    endpoint.answers = [500]

    await pump.step()
    await pump.step()

    assert endpoint.paths == ["/dispatch", "/buried"]
    journal.close()


async def test_a_replay_brings_back_what_was_acked_and_what_was_given_up(bus, pump, endpoint, journal, clock):
    await bus.publish("events", b"before", {})
    await pump.step()
    clock.advance(60)
    message = await bus.publish("events", b"after", {})
    await pump.step()

    assert journal.replay("dispatch", NOON + timedelta(seconds=60), clock.now()) == 1
    await pump.step()

    assert endpoint.data == [b"before", b"after", b"after"]
    assert endpoint.pushed[-1]["message"]["messageId"] == message
    assert endpoint.attempts[-1] == 1


# Several pumps, and pumps that die


async def test_two_pumps_do_not_push_the_same_delivery(tmp_path, clock, endpoint, client):
    journals = [Journal(tmp_path / "bus.db", TOPICS, [DISPATCH]) for _ in range(2)]
    for n in range(10):
        await EmbeddedBus(journals[0], clock).publish("events", b"%d" % n, {})

    counts = await asyncio.gather(*(Pump(journal, clock, client).step() for journal in journals))

    assert sum(counts) == 10
    assert sorted(map(int, endpoint.data)) == list(range(10))
    for journal in journals:
        journal.close()


async def test_racing_claims_get_each_delivery_once(tmp_path, clock):
    journal = Journal(tmp_path / "bus.db", TOPICS, [DISPATCH])
    for n in range(100):
        await EmbeddedBus(journal, clock).publish("events", b"%d" % n, {})

    def claim_all() -> list[bytes]:
        mine, claimed = Journal(tmp_path / "bus.db", TOPICS, [DISPATCH]), []
        while deliveries := mine.claim({"dispatch": 1}, clock.now()):
            claimed += [delivery.message.data for delivery in deliveries]
        mine.close()
        return claimed

    claims = await asyncio.gather(*(asyncio.to_thread(claim_all) for _ in range(4)))

    assert sorted(int(data) for claimed in claims for data in claimed) == list(range(100))
    journal.close()


async def test_an_outcome_that_cannot_be_written_costs_a_redelivery(tmp_path, clock, endpoint, client, monkeypatch):
    monkeypatch.setattr("local.emulation.sqlite.PATIENCE", 0.0)
    journal, blocker = (Journal(tmp_path / "bus.db", TOPICS, [DISPATCH]) for _ in range(2))
    await EmbeddedBus(journal, clock).publish("events", b"", {})
    endpoint.gate.clear()
    step = asyncio.create_task(Pump(journal, clock, client).step())
    await endpoint.arrivals.get()

    blocker._connection.execute("BEGIN IMMEDIATE")
    endpoint.gate.set()
    assert await step == 1
    blocker._connection.execute("ROLLBACK")
    clock.advance(11)

    assert await Pump(journal, clock, client).step() == 1
    assert endpoint.attempts == [1, 2]
    for each in (journal, blocker):
        each.close()


async def test_what_a_dead_pump_had_comes_back_after_the_ack_deadline(journal, bus, clock, endpoint, client):
    await bus.publish("events", b"", {})
    endpoint.gate.clear()
    frozen = asyncio.create_task(Pump(journal, clock, client).step())
    await endpoint.arrivals.get()
    another = Pump(journal, clock, client)

    clock.advance(DISPATCH.ack_deadline)
    assert await another.step() == 0, "the first pump has it"
    clock.advance(1)
    endpoint.gate.set()
    assert await another.step() == 1

    assert await frozen == 1, "the first pump was alive after all: a late ack does no harm"
    assert endpoint.attempts == [1, 2]
    assert journal.backlog() == {"dispatch": 0}


async def test_the_late_refusal_of_a_lost_lease_does_not_bring_it_back(journal, bus, clock, endpoint, client):
    await bus.publish("events", b"", {})
    (late,) = journal.claim({"dispatch": 1}, clock.now())
    clock.advance(11)
    await Pump(journal, clock, client).step()

    journal.hand_back(late, clock.now(), "too late")
    journal.bury(late, clock.now(), "too late")

    assert journal.backlog() == {"dispatch": 0}
    assert journal.messages("dead") == []


async def test_a_stopped_pump_hands_back_what_it_had(journal, bus, clock, endpoint, client):
    await bus.publish("events", b"", {})
    endpoint.gate.clear()
    running = asyncio.create_task(Pump(journal, clock, client).run())
    await endpoint.arrivals.get()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    endpoint.gate.set()

    assert await Pump(journal, clock, client).step() == 1
    assert endpoint.attempts == [1, 2]


async def test_messages_outlive_the_process_that_published_them(tmp_path, clock, endpoint, client):
    journal = Journal(tmp_path / "bus.db", TOPICS, [DISPATCH])
    await EmbeddedBus(journal, clock).publish("events", b"kept", {})
    journal.close()

    reopened = Journal(tmp_path / "bus.db", TOPICS, [DISPATCH])
    await Pump(reopened, clock, client).step()

    assert endpoint.data == [b"kept"]
    reopened.close()


async def test_a_closed_door_is_told_to_the_publisher(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("local.emulation.sqlite.PATIENCE", 0.01)
    bus, blocker = (EmbeddedBus(Journal(tmp_path / "bus.db", TOPICS, []), clock) for _ in range(2))
    blocker._journal._connection.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable):
        await bus.publish("events", b"", {})

    await bus.close()
    await blocker.close()


# The loop, over real HTTP


async def test_the_loop_delivers_what_this_and_other_processes_publish(tmp_path, endpoint):
    async with listening(endpoint.app) as url, httpx.AsyncClient() as client:
        here, elsewhere = (
            Journal(tmp_path / "bus.db", TOPICS, [replace(DISPATCH, endpoint=f"{url}/dispatch", min_backoff=0.01)])
            for _ in range(2)
        )
        endpoint.answers = [503]
        running = asyncio.create_task(Pump(here, SystemClock(), client).run())

        await EmbeddedBus(here, SystemClock()).publish("events", b"here", {})
        await EmbeddedBus(elsewhere, SystemClock()).publish("events", b"elsewhere", {})
        await until_settled(here)

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert sorted(set(endpoint.data)) == [b"elsewhere", b"here"]
    assert sorted(endpoint.attempts) == [1, 1, 2]
    for journal in (here, elsewhere):
        journal.close()


async def test_a_slow_message_does_not_hold_up_the_others(tmp_path, endpoint, clock, client):
    journal = Journal(tmp_path / "bus.db", TOPICS, [DISPATCH])
    bus = EmbeddedBus(journal, clock)
    endpoint.gate.clear()
    running = asyncio.create_task(Pump(journal, clock, client).run())

    async with asyncio.timeout(60):
        for n in range(3):
            await bus.publish("events", json.dumps(n).encode(), {})
            await endpoint.arrivals.get()
    assert endpoint.at_once == 3
    endpoint.gate.set()
    await until_settled(journal)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    journal.close()


async def test_the_loop_outlives_a_locked_journal(tmp_path, endpoint, clock, client, monkeypatch):
    monkeypatch.setattr("local.emulation.sqlite.PATIENCE", 0.0)
    journal, blocker = (Journal(tmp_path / "bus.db", TOPICS, [DISPATCH]) for _ in range(2))
    await EmbeddedBus(journal, clock).publish("events", b"", {})
    blocker._connection.execute("BEGIN IMMEDIATE")
    running = asyncio.create_task(Pump(journal, clock, client).run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert endpoint.pushed == []

    blocker._connection.execute("ROLLBACK")
    await asyncio.wait_for(endpoint.arrivals.get(), 5)
    await until_settled(journal)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for each in (journal, blocker):
        each.close()
