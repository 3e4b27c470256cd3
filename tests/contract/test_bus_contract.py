"""What the functions rely on, whichever bus: the embedded one, and Pub/Sub as Google's emulator plays it.

Both are set up from functions/topology.yaml and push over real HTTP. Where the emulator (0.8.20) differs from
production, as was seen by trying: no `deliveryAttempt` in a push although there is a dead letter policy; no OIDC token
although one is asked for; every retry after one second, for want of a retry policy (emulated_topics.py says why there
is none); two pushes at once per subscription; 202 is no ack and 203 is one; nothing is kept for more than seven days.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from endpoint import Endpoint, listening
from google.pubsub_v1.types import Subscription

from local import topology
from local.emulation.backend import open_journal
from local.emulation.bus import EmbeddedBus, Pump
from local.emulation.emulators import Emulators
from local.emulation.topics import clients, create_topics_and_subscriptions, subscription_path
from shared.cloud.pubsub import PubSubBus
from shared.errors import ConfigError, Unavailable
from shared.runtime.clock import SystemClock
from shared.runtime.ports import Bus

TOPOLOGY = topology.load()
QUICK = topology.Delivery(ack_deadline=10.0, min_backoff=0.2, max_backoff=1.0, max_attempts=5)
SOURCE = "CloudPubSubDeadLetterSource"


class EmbeddedBench:
    """The embedded bus with its pump at work."""

    counts_attempts = True

    @asynccontextmanager
    async def running(self, folder: Path, url: str) -> AsyncIterator[EmbeddedBench]:
        self._journal = open_journal(folder, url, QUICK)
        self.bus: Bus = EmbeddedBus(self._journal, SystemClock())
        async with httpx.AsyncClient() as client:
            pump = asyncio.create_task(Pump(self._journal, SystemClock(), client).run())
            try:
                yield self
            finally:
                pump.cancel()
                await asyncio.gather(pump, return_exceptions=True)
                await self.bus.close()

    async def dead_letters(self) -> list[tuple[bytes, dict[str, str]]]:
        return [(m.data, m.attributes) for m in self._journal.messages(TOPOLOGY.dead_letters.topic)]

    async def replay(self, subscription: str, since: datetime) -> None:
        self._journal.replay(subscription, since, SystemClock().now())


class PubSubBench:
    """Google's emulator, a project of its own."""

    counts_attempts = False

    def __init__(self, google: Emulators, project: str) -> None:
        self.host = google.pubsub.host
        self.project = project

    @asynccontextmanager
    async def running(self, _folder: Path, url: str) -> AsyncIterator[PubSubBench]:
        await create_topics_and_subscriptions(TOPOLOGY, url, QUICK, self.project, host=self.host)
        self.bus: Bus = PubSubBus(self.project, emulator=self.host)
        yield self
        await self.bus.close()

    async def dead_letters(self) -> list[tuple[bytes, dict[str, str]]]:
        path = subscription_path(self.project, TOPOLOGY.dead_letters.subscription)
        async with clients(self.host) as google:
            pulled = await google.subscriber.pull(subscription=path, max_messages=100, timeout=60.0)
        return [(got.message.data, dict(got.message.attributes)) for got in pulled.received_messages]

    async def replay(self, subscription: str, since: datetime) -> None:
        async with clients(self.host) as google:
            request = {"subscription": subscription_path(self.project, subscription), "time": since}
            await google.subscriber.seek(request, timeout=60.0)


Bench = EmbeddedBench | PubSubBench


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
async def functions(endpoint):
    async with listening(endpoint.app) as url:
        yield url


@pytest.fixture(params=["embedded", "pubsub"])
def idle(request, new_project) -> Bench:
    """A bench that is not running yet."""
    if request.param == "embedded":
        return EmbeddedBench()
    return PubSubBench(request.getfixturevalue("google"), new_project())


@pytest.fixture
async def bench(idle, tmp_path, functions):
    async with idle.running(tmp_path, functions) as bench:
        yield bench


async def test_a_message_reaches_its_subscriber_in_the_envelope(bench, endpoint):
    id = await bench.bus.publish("events", b'{"type":"x"}', {"run_id": "r1"})

    await endpoint.until(lambda: bool(endpoint.pushed))

    (body,) = endpoint.pushed
    assert endpoint.paths == ["/functions/dispatch"]
    assert base64.b64decode(body["message"]["data"]) == b'{"type":"x"}'
    assert body["message"]["attributes"] == {"run_id": "r1"}
    assert body["message"]["messageId"] == body["message"]["message_id"] == id
    assert datetime.fromisoformat(body["message"]["publishTime"]).tzinfo is not None
    assert body["subscription"].startswith("projects/")
    assert body["subscription"].endswith("/subscriptions/dispatch")
    # Production counts deliveries wherever there is a dead letter policy; the emulator does not say.
    assert body.get("deliveryAttempt") == (1 if bench.counts_attempts else None)


async def test_each_topic_has_its_function(bench, endpoint):
    for topic in TOPOLOGY.topics:
        await bench.bus.publish(topic, topic.encode(), {})

    await endpoint.until(lambda: len(endpoint.pushed) >= len(TOPOLOGY.topics))

    subscribers = {f.subscribes: f"/functions/{f.name}" for f in TOPOLOGY.functions if f.subscribes}
    assert dict(zip((d.decode() for d in endpoint.data), endpoint.paths, strict=True)) == subscribers


async def test_what_is_published_at_once_arrives_once_each(bench, endpoint):
    payloads = [b"%d" % n for n in range(200)]

    ids = await asyncio.gather(*(bench.bus.publish("merge", data, {}) for data in payloads))
    await endpoint.until(lambda: len(endpoint.pushed) >= 200)

    arrived = {body["message"]["messageId"]: data for body, data in zip(endpoint.pushed, endpoint.data, strict=True)}
    assert [arrived[id] for id in ids] == payloads, "and each publisher was told its own message's id"


async def test_an_ack_ends_it_and_anything_else_brings_it_again(bench, endpoint):
    # The emulator takes 203 for an ack and 202 for none, production the other way round; no function answers either.
    acks, nacks = (200, 201, 204), (400, 404, 429, 500, 503)
    endpoint.answers_to = {b"%d" % status: [status] for status in acks}
    endpoint.answers_to |= {b"%d" % status: [status, status, 204] for status in nacks}

    wanted = Counter({**{b"%d" % s: 1 for s in acks}, **{b"%d" % s: 3 for s in nacks}})

    for data in wanted:
        await bench.bus.publish("events", data, {})
    # Two redeliveries of the emulator's, a second after each refusal: 2.0 to 2.4 s.
    await endpoint.until(lambda: Counter(endpoint.data) >= wanted)

    assert Counter(endpoint.data) == wanted


async def test_an_endpoint_that_was_down_gets_everything_when_it_is_back(idle, tmp_path, endpoint):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with idle.running(tmp_path, f"http://127.0.0.1:{port}") as bench:
        for n in range(3):
            await bench.bus.publish("events", b"%d" % n, {})
        await asyncio.sleep(1.2)  # nobody can be waited for: the point is that nobody is there

        async with listening(endpoint.app, port):
            await endpoint.until(lambda: len(set(endpoint.data)) == 3)

    assert sorted(set(endpoint.data)) == [b"0", b"1", b"2"]


async def test_after_the_last_attempt_it_is_a_dead_letter(bench, endpoint):
    endpoint.answers_to = {b"poison": [500], b"good": [204]}
    published = datetime.now(UTC)
    await bench.bus.publish("events", b"poison", {"run_id": "r1"})
    await bench.bus.publish("events", b"good", {})

    await endpoint.until(lambda: endpoint.data.count(b"poison") >= QUICK.max_attempts)
    async with asyncio.timeout(300):
        while not (letters := await bench.dead_letters()):  # noqa: ASYNC110 - nobody tells when it has got there
            await asyncio.sleep(0.05)

    ((data, attributes),) = letters
    assert (data, attributes["run_id"]) == (b"poison", "r1")
    assert attributes[f"{SOURCE}DeliveryCount"] == str(QUICK.max_attempts)
    assert attributes[f"{SOURCE}Subscription"] == "dispatch"
    at = datetime.fromisoformat(attributes[f"{SOURCE}TopicPublishTime"])
    tick = timedelta(seconds=1)  # the clocks of the emulator and of the test may differ by one
    assert published - tick < at < datetime.now(UTC) + tick
    assert Counter(endpoint.data) == {b"poison": QUICK.max_attempts, b"good": 1}


async def test_a_replay_brings_back_what_was_acked_since(bench, endpoint):
    await bench.bus.publish("events", b"before", {})
    await endpoint.until(lambda: len(endpoint.pushed) >= 1)
    await asyncio.sleep(0.05)  # the clocks of the emulator and of the test may differ by a tick
    since = datetime.now(UTC)
    await asyncio.sleep(0.05)
    id = await bench.bus.publish("events", b"after", {})
    await bench.bus.publish("merge", b"elsewhere", {})
    await endpoint.until(lambda: len(endpoint.pushed) >= 3)

    await bench.replay("dispatch", since)
    await endpoint.until(lambda: len(endpoint.pushed) >= 4)

    assert Counter(endpoint.data) == {b"before": 1, b"after": 2, b"elsewhere": 1}
    assert endpoint.pushed[-1]["message"]["messageId"] == id


async def test_an_unknown_topic_is_a_configuration_error(bench):
    with pytest.raises(ConfigError, match="nowhere"):
        await bench.bus.publish("nowhere", b"x", {})


# Pub/Sub alone (the embedded bus with its file out of reach: test_bus.py)


class Line:
    """The line to the broker, which can be cut."""

    def __init__(self, host: str) -> None:
        self._to = host.rsplit(":", 1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._streams: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()
            for stream in [*self._streams]:
                stream.transport.abort()
            await server.wait_closed()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        self._streams |= {writer, far_writer}
        await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()
        self._streams.discard(writer)


async def test_while_the_broker_is_down_the_publisher_is_told_and_the_next_one_served(
    google, new_project, tmp_path, functions, endpoint
):
    idle = PubSubBench(google, new_project())
    line = Line(idle.host)
    bus = PubSubBus(idle.project, emulator=f"127.0.0.1:{line.port}")
    async with idle.running(tmp_path, functions):
        with pytest.raises(Unavailable, match="events"):
            await bus.publish("events", b"lost", {})
        async with line.up():
            await bus.publish("events", b"kept", {})
        with pytest.raises(Unavailable):
            await bus.publish("events", b"lost", {})
        async with line.up():
            await asyncio.gather(*(bus.publish("events", b"again", {}) for _ in range(5)))
        await endpoint.until(lambda: len(endpoint.pushed) >= 6)
    await bus.close()

    assert Counter(endpoint.data) == {b"kept": 1, b"again": 5}


async def test_subscriptions_are_as_the_topology_says(google, new_project):
    project, host = new_project(), google.pubsub.host
    await create_topics_and_subscriptions(TOPOLOGY, "http://127.0.0.1:9", TOPOLOGY.delivery, project, host=host)

    async with clients(host) as emulator:
        listed = [s async for s in await emulator.subscriber.list_subscriptions(project=f"projects/{project}")]

    by_name = {subscription.name.rsplit("/", 1)[1]: subscription for subscription in listed}
    dead_letters = by_name.pop(TOPOLOGY.dead_letters.subscription)
    assert sorted(by_name) == sorted(f.name for f in TOPOLOGY.functions if f.subscribes)
    for function in TOPOLOGY.functions:
        if function.subscribes:
            check_push(by_name[function.name], function, project)
    assert dead_letters.topic == f"projects/{project}/topics/{TOPOLOGY.dead_letters.topic}"
    assert not dead_letters.push_config.push_endpoint
    assert dead_letters.message_retention_duration == timedelta(days=7), "31 in production: the emulator refuses more"


def check_push(subscription: Subscription, function: topology.Function, project: str) -> None:
    delivery, url = TOPOLOGY.delivery, f"http://127.0.0.1:9/functions/{function.name}"
    assert subscription.topic == f"projects/{project}/topics/{function.subscribes}"
    assert subscription.push_config.push_endpoint == url
    # The emulator keeps this and sends no token; production sends one whose audience the function's host checks.
    assert subscription.push_config.oidc_token.audience == "http://127.0.0.1:9"
    account = f"signalbox-{function.name}-caller@{project}.iam.gserviceaccount.com"
    assert subscription.push_config.oidc_token.service_account_email == account
    assert subscription.ack_deadline_seconds == delivery.ack_deadline
    assert "retry_policy" not in subscription, "production has one, and with one the emulator loses messages"
    assert subscription.dead_letter_policy.max_delivery_attempts == delivery.max_attempts
    assert subscription.dead_letter_policy.dead_letter_topic.endswith(f"/topics/{TOPOLOGY.dead_letters.topic}")
    assert subscription.retain_acked_messages
    assert subscription.message_retention_duration == timedelta(days=7)
    assert not subscription.expiration_policy.ttl
