"""The operator's side of a bus, held to one contract: the embedded bus, and Pub/Sub as Google emulates it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from msgspec import Struct

from local import topology
from local.cli import main
from local.emulation.backend import open_journal
from local.emulation.bus import EmbeddedBus, Pump
from local.emulation.host import Options, _configuration
from local.emulation.journal import Journal
from local.emulation.topics import create_topics_and_subscriptions
from local.operating.google_messages import GoogleMessages
from local.operating.messages import JournalMessages, Messages
from local.operating.workplace import Left, leave_behind
from local.world.clock import VirtualClock
from shared.cloud.pubsub import PubSubBus
from shared.errors import BadInput
from shared.runtime.ports import Bus

DELIVERY = topology.Delivery(ack_deadline=10.0, min_backoff=1.0, max_backoff=1.0, max_attempts=5)


class Desk(Struct):
    """The operator's side, the bus, and how a message ends as a dead letter of `merge`."""

    messages: Messages
    bus: Bus
    bury: Callable[[bytes], Awaitable[None]]


def refuse(_: httpx.Request) -> httpx.Response:
    return httpx.Response(400)


async def bury_in(journal: Journal, data: bytes) -> None:
    """Publish it, and refuse it until it is given up."""
    clock = VirtualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    await EmbeddedBus(journal, clock).publish("merge", data, {"run_id": "r"})
    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as client:
        pump = Pump(journal, clock, client)
        while journal.backlog()["merge"]:
            await pump.step()
            clock.advance(600)


@pytest.fixture(params=["embedded", "emulators"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    if request.param == "embedded":
        journal = open_journal(tmp_path, "http://functions", DELIVERY)
        clock = VirtualClock(datetime.now(UTC))
        messages = JournalMessages(journal, clock)
        yield Desk(messages, EmbeddedBus(journal, clock), lambda data: bury_in(journal, data))
        await messages.close()
        return
    host = request.getfixturevalue("google").pubsub.host
    project = request.getfixturevalue("new_project")()
    await create_topics_and_subscriptions(topology.load(), "http://127.0.0.1:1", DELIVERY, project, host=host)
    bus = PubSubBus(project, emulator=host)

    async def bury(data: bytes) -> None:
        """As Pub/Sub does it, whose attributes these are."""
        source = {
            "CloudPubSubDeadLetterSourceSubscription": "merge",
            "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        }
        await bus.publish("dead-letters", data, {"run_id": "r", **source})

    messages = GoogleMessages(project, topology.load(), bus, emulator=host)
    yield Desk(messages, bus, bury)
    await messages.close()
    await bus.close()


async def test_dead_letters_are_listed_as_often_as_one_looks(desk: Desk) -> None:
    await desk.bury(b"first")
    await desk.bury(b"second")

    for _ in range(2):
        letters = await desk.messages.dead_letters()
        assert sorted(letter.data for letter in letters) == ["first", "second"]
        assert {(letter.subscription, letter.topic, letter.attempts) for letter in letters} == {("merge", "merge", 5)}
        assert letters[0].attributes["run_id"] == "r"


async def test_a_dead_letter_is_dropped_and_no_other(desk: Desk) -> None:
    await desk.bury(b"first")
    await desk.bury(b"second")
    [wanted] = [letter.id for letter in await desk.messages.dead_letters() if letter.data == "first"]

    assert await desk.messages.drop(wanted)

    assert [letter.data for letter in await desk.messages.dead_letters()] == ["second"]
    assert not await desk.messages.drop("nothing-like-it@merge")


async def test_a_dead_letter_is_delivered_again(desk: Desk) -> None:
    await desk.bury(b"mended")
    [letter] = await desk.messages.dead_letters()

    assert await desk.messages.redrive(letter.id)

    assert await desk.messages.dead_letters() == []
    assert not await desk.messages.redrive(letter.id)


async def test_messages_are_replayed_of_a_subscription_that_exists(desk: Desk) -> None:
    await desk.bus.publish("merge", b"x", {})

    assert await desk.messages.replay("merge", datetime.now(UTC) - timedelta(hours=1)) in (1, None)
    with pytest.raises(BadInput, match="no subscription nonsense"):
        await desk.messages.replay("nonsense", datetime.now(UTC))


# The command, on the embedded bus


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a `signalbox up` that has one dead letter."""
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    text = _configuration(Options(folder=tmp_path), "http://127.0.0.1:1")
    leave_behind(tmp_path, Left(backend="embedded"), text)
    journal = open_journal(tmp_path, "http://functions", DELIVERY)
    asyncio.run(bury_in(journal, b"garbled"))
    journal.close()
    return tmp_path


def signalbox(*words: str, folder: Path) -> str:
    result = CliRunner().invoke(main, [*words, "--dir", str(folder)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_lists_shows_redrives_and_drops(folder: Path) -> None:
    [letter] = json.loads(signalbox("dead-letters", "list", "--json", folder=folder))
    assert letter["data"] == "garbled"
    assert letter["reason"] == "answered 400"
    assert letter["id"] in signalbox("dead-letters", "list", folder=folder)
    assert json.loads(signalbox("dead-letters", "show", letter["id"], folder=folder)) == letter
    assert "delivered again" in signalbox("dead-letters", "redrive", letter["id"], folder=folder)
    assert signalbox("dead-letters", "list", folder=folder) == "no dead letters\n"
    assert signalbox("dead-letters", "drop", "--all", folder=folder) == ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["dead-letters", "drop"], "name dead letters, or say --all"),
        (["dead-letters", "drop", "17@merge"], "there is no dead letter 17@merge"),
        (["dead-letters", "show", "17@merge"], "there is no dead letter 17@merge"),
        (["replay"], "give a RUN"),
        (["replay", "x", "--since", "2h"], "give a RUN"),
        (["redeliver", "merge"], "Missing option '--since'"),
        (["redeliver", "merge", "--since", "soon"], "is not a duration"),
        (["redeliver", "nonsense", "--since", "2h"], "no subscription nonsense"),
        (["replay", "no-such-run"], "there is no run no-such-run"),
    ],
)
def test_the_command_says_what_is_wrong(folder: Path, words: list[str], complaint: str) -> None:
    result = CliRunner().invoke(main, [*words, "--dir", str(folder)])
    assert result.exit_code != 0
    assert complaint in result.output


def test_the_command_redelivers_a_subscriptions_messages(folder: Path) -> None:
    told = signalbox("redeliver", "merge", "--since", "2d", folder=folder)
    assert told.startswith("merge: ")
    counted = json.loads(signalbox("redeliver", "merge", "--since", "30d", "--json", folder=folder))
    assert counted["subscription"] == "merge"


def test_the_earlier_form_of_it_goes_on_working_with_a_word(folder: Path) -> None:
    words = ["replay", "--since", "2d", "--subscription", "merge", "--json", "--dir", str(folder)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["subscription"] == "merge"
    assert "is now `signalbox redeliver`" in result.stderr
