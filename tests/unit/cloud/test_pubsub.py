"""Publishing: what shares a request, what a refusal costs, and that nobody is left waiting."""

import asyncio

import pytest
from google.pubsub_v1.types import PublishRequest, PublishResponse
from grpc import StatusCode
from rpc import Refusal, serving

from shared.cloud import channel, pubsub
from shared.cloud.pubsub import BYTES, MESSAGES, REQUESTS_AT_ONCE, PubSubBus
from shared.errors import ConfigError, RateLimited, Refused, Unauthorized, Unavailable

PUBLISH = "/google.pubsub.v1.Publisher/Publish"


class Broker:
    """Numbers what it takes; holds requests back while the gate is shut."""

    def __init__(self, server) -> None:
        self.server = server
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Semaphore(0)
        self.refusals: list[Refusal] = []
        self.poison = b"\0"
        self.at_once = self.most_at_once = self.taken = 0
        server.on(PUBLISH, PublishRequest, self._publish)

    @property
    def sizes(self) -> list[int]:
        return [len(request.messages) for _, request in self.server.requests]

    async def _publish(self, request: PublishRequest) -> PublishResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.arrived.release()
        await self.gate.wait()
        self.at_once -= 1
        if self.refusals:
            raise self.refusals.pop(0)
        if any(message.data == self.poison for message in request.messages):
            raise Refusal(StatusCode.INVALID_ARGUMENT, "One or more messages are invalid")
        ids = [f"{request.topic} {message.data.decode()[:9]}" for message in request.messages]
        return PublishResponse(message_ids=ids)


@pytest.fixture
async def broker():
    async with serving() as server:
        yield Broker(server)


@pytest.fixture
async def bus(broker, monkeypatch):
    monkeypatch.setattr(channel.RETRY, "_timeout", 0.2)
    bus = PubSubBus("acme", emulator=broker.server.address)
    yield bus
    await bus.close()


def many(bus: PubSubBus, count: int, topic: str = "events") -> list[asyncio.Task[str]]:
    return [asyncio.create_task(bus.publish(topic, b"%d" % n, {"n": str(n)})) for n in range(count)]


async def test_a_single_message_goes_at_once(broker, bus):
    assert await bus.publish("events", b"x", {"run_id": "r1"}) == "projects/acme/topics/events x"

    ((_, request),) = broker.server.requests
    assert dict(request.messages[0].attributes) == {"run_id": "r1"}


async def test_what_waits_while_two_requests_are_under_way_goes_with_the_next(broker, bus):
    broker.gate.clear()
    first = many(bus, 1)
    await broker.arrived.acquire()
    second = many(bus, 1)
    await broker.arrived.acquire()
    rest = many(bus, 50)
    elsewhere = many(bus, 1, "merge")
    await broker.arrived.acquire()
    broker.gate.set()

    ids = await asyncio.gather(*first, *second, *rest, *elsewhere)

    assert broker.sizes == [1, 1, 1, 50]
    assert broker.most_at_once == REQUESTS_AT_ONCE + 1, "two per topic"
    assert ids[2:52] == [f"projects/acme/topics/events {n}" for n in range(50)], "each gets its own id"


async def test_a_request_holds_no_more_than_pubsub_takes(broker, bus):
    broker.gate.clear()
    first = many(bus, 2)
    await broker.arrived.acquire()
    large = [asyncio.create_task(bus.publish("events", b"x" * (BYTES // 3), {})) for _ in range(4)]
    waiting = many(bus, MESSAGES)
    await asyncio.sleep(0)
    broker.gate.set()

    await asyncio.gather(*first, *large, *waiting)

    assert max(broker.sizes) <= MESSAGES
    for _, request in broker.server.requests:
        assert PublishRequest.pb(request).ByteSize() <= BYTES + 1000
    assert sum(broker.sizes) == 2 + 4 + MESSAGES


async def test_a_message_larger_than_a_request_goes_alone_and_is_told_no(broker, bus):
    broker.poison = b"x" * (BYTES + 1)

    with pytest.raises(Refused, match="messages are invalid"):
        await bus.publish("events", broker.poison, {})


async def test_one_bad_message_does_not_spoil_its_neighbours(broker, bus):
    tasks = [asyncio.create_task(bus.publish("events", data, {})) for data in (b"a", b"\0", b"b")]

    good, bad, other = await asyncio.gather(*tasks, return_exceptions=True)

    assert (good, other) == ("projects/acme/topics/events a", "projects/acme/topics/events b")
    assert isinstance(bad, Refused)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (StatusCode.DEADLINE_EXCEEDED, Unavailable),
        (StatusCode.INTERNAL, Unavailable),
        (StatusCode.UNKNOWN, Unavailable),
        (StatusCode.RESOURCE_EXHAUSTED, RateLimited),
        (StatusCode.PERMISSION_DENIED, Unauthorized),
        (StatusCode.NOT_FOUND, ConfigError),
        (StatusCode.INVALID_ARGUMENT, Refused),
    ],
)
async def test_a_refusal_reaches_every_publisher_of_the_request(broker, bus, code, expected):
    broker.refusals = [Refusal(code, "why")] * 9

    outcomes = await asyncio.gather(*many(bus, 3), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [expected] * 3
    assert "events" in str(outcomes[0])


async def test_a_denied_permission_names_the_role(broker, bus):
    broker.refusals = [Refusal(StatusCode.PERMISSION_DENIED, "User not authorized to perform this action.")]

    with pytest.raises(Unauthorized, match=r"roles/pubsub\.publisher"):
        await bus.publish("events", b"x", {})


async def test_an_interruption_is_outlasted(broker, bus, monkeypatch):
    monkeypatch.setattr(pubsub, "RETRY", pubsub.RETRY.with_timeout(60))  # on a slow machine, too
    broker.refusals = [Refusal(StatusCode.UNAVAILABLE, "GOAWAY")]

    assert await bus.publish("events", b"x", {})
    assert broker.sizes == [1, 1]


async def test_a_broker_that_stays_away_is_unavailable(broker, bus):
    broker.refusals = [Refusal(StatusCode.UNAVAILABLE, "restarting")] * 99

    with pytest.raises(Unavailable, match="restarting"):
        await bus.publish("events", b"x", {})


async def test_a_silent_broker_is_given_up(broker, bus, monkeypatch):
    monkeypatch.setattr(pubsub, "TIMEOUT", 0.05)
    broker.gate.clear()

    with pytest.raises(Unavailable, match="DEADLINE_EXCEEDED"):
        await bus.publish("events", b"x", {})


@pytest.mark.parametrize("answer", ["answered", "refused"])
async def test_a_publisher_that_gave_up_spoils_nothing(broker, bus, answer):
    broker.gate.clear()
    under_way, other = many(bus, 2)
    await broker.arrived.acquire()
    waiting = many(bus, 1)
    second = many(bus, 2)
    await asyncio.sleep(0)
    for task in (under_way, second[0]):
        task.cancel()
    await asyncio.sleep(0)
    broker.refusals = [Refusal(StatusCode.INTERNAL)] * 9 if answer == "refused" else []
    broker.gate.set()

    outcomes = await asyncio.gather(under_way, other, *waiting, *second, return_exceptions=True)

    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [True, False, False, True, False]
    expected = Unavailable if answer == "refused" else str
    assert all(isinstance(outcomes[n], expected) for n in (1, 2, 4))


async def test_closing_sends_what_was_handed_over(broker, bus):
    broker.gate.clear()
    tasks = many(bus, 5)
    await broker.arrived.acquire()
    closing = asyncio.create_task(bus.close())
    await asyncio.sleep(0)
    assert not closing.done()
    broker.gate.set()

    await closing

    assert len(await asyncio.gather(*tasks)) == 5


async def test_nobody_is_left_waiting_when_a_sender_breaks(broker, bus):
    tasks = many(bus, 1)
    broker.gate.clear()
    await broker.arrived.acquire()
    tasks += many(bus, 2)
    await asyncio.sleep(0)
    for sender in [*bus._senders["events"]]:
        sender.cancel()
    broker.gate.set()

    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(outcomes[0], Unavailable)
    assert all(isinstance(outcome, str | Unavailable) for outcome in outcomes)
