"""What the embedded Pub/Sub remembers: every message, and one delivery of it per subscription of its topic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from local.emulation.sqlite import connect, reading, timestamp, transaction
from shared.errors import ConfigError

_OPEN = "acked_at IS NULL AND dead_at IS NULL"
_DUE = "(due <= ? OR due > ?)"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, data BLOB NOT NULL, attributes TEXT NOT NULL,
    published_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    message INTEGER NOT NULL REFERENCES messages (id), subscription TEXT NOT NULL, attempt INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL, acked_at TEXT, dead_at TEXT, reason TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (message, subscription));
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (subscription, due) WHERE {_OPEN}
"""
_MARGIN = 1.0
"""Seconds that a lease outlives the ack deadline, so that a pump that is alive notes the timeout itself."""
_PREFIX = "CloudPubSubDeadLetterSource"


class Subscription(Struct, frozen=True):
    """Where the messages of a topic are pushed, and how often; durations are in seconds. Defaults are Pub/Sub's.

    Without a dead letter topic a message is pushed until it is acked.
    """

    name: str
    topic: str
    endpoint: str
    ack_deadline: float = 10.0
    min_backoff: float = 10.0
    max_backoff: float = 600.0
    max_attempts: int = 5
    dead_letter_topic: str | None = None

    @property
    def path(self) -> str:
        return f"projects/local/subscriptions/{self.name}"

    def backoff(self, attempt: int) -> float:
        """Seconds until the next attempt after `attempt` failed."""
        return min(self.max_backoff, self.min_backoff * 2.0 ** min(attempt - 1, 60))


class Message(Struct, frozen=True):
    id: str
    topic: str
    data: bytes
    attributes: dict[str, str]
    published_at: datetime


class Delivery(Struct, frozen=True):
    """One attempt to bring a message to a subscription, counted from 1."""

    message: Message
    subscription: str
    attempt: int


class DeadLetter(Struct, frozen=True):
    """A delivery that was given up; `reason` is the last refusal."""

    message: Message
    subscription: str
    attempts: int
    dead_at: datetime
    reason: str


class Journal:
    """Messages and deliveries in one file, for several processes at once, or in ":memory:".

    Nothing is ever removed: an acked message can be read and replayed. `due` is when a delivery may be pushed; while a
    pump is at it, it is when its lease runs out, so the deliveries of a pump that dies come back by themselves.
    """

    def __init__(self, path: str | Path, topics: Collection[str], subscriptions: Sequence[Subscription]) -> None:
        """Raises ConfigError for a subscription of an unknown topic, Unavailable when the file cannot be opened."""
        self.topics = frozenset(topics)
        self.subscriptions = {subscription.name: subscription for subscription in subscriptions}
        for subscription in subscriptions:
            self._check(subscription.topic)
            self._check(subscription.dead_letter_topic or subscription.topic)
        self.stirred = asyncio.Event()
        """Set when this process appends or settles something: time to look for what is due."""
        self._connection = connect(path, _SCHEMA)

    def append(self, topic: str, data: bytes, attributes: Mapping[str, str], now: datetime) -> str:
        """Keep a message and owe it to the topic's subscriptions; its id. Raises ConfigError, Unavailable."""
        self._check(topic)
        with transaction(self._connection):
            message = self._append(topic, data, attributes, now)
        self.stirred.set()
        return message

    def claim(self, room: Mapping[str, int], now: datetime) -> list[Delivery]:
        """Lease what is due, up to so many deliveries per subscription, in the order it fell due."""
        with reading(self._connection):
            due = self._connection.execute(
                f"SELECT DISTINCT subscription FROM deliveries WHERE {_OPEN} AND {_DUE}",  # noqa: S608 - constants
                self._due(now),
            ).fetchall()
        names = [name for (name,) in due if room.get(name, 0) > 0]
        if not names:
            return []
        with transaction(self._connection):
            return [delivery for name in names for delivery in self._lease(name, room[name], now)]

    def ack(self, delivery: Delivery, now: datetime) -> None:
        self._settle(delivery, "acked_at = ?", timestamp(now))

    def hand_back(self, delivery: Delivery, due: datetime, reason: str) -> None:
        """Owe it again at `due`, unless its lease ran out and somebody else has it now."""
        self._settle(delivery, "reason = ?, due = ?", reason, due.timestamp())

    def bury(self, delivery: Delivery, now: datetime, reason: str) -> None:
        """Give it up and publish it to the dead letter topic, in one step."""
        subscription = self.subscriptions[delivery.subscription]
        source = {
            f"{_PREFIX}DeliveryCount": str(delivery.attempt),
            f"{_PREFIX}Subscription": subscription.name,
            f"{_PREFIX}SubscriptionProject": "local",
            f"{_PREFIX}TopicPublishTime": timestamp(delivery.message.published_at),
        }
        attributes = {**delivery.message.attributes, **source}
        with transaction(self._connection):
            if self._mark(delivery, "reason = ?, dead_at = ?", reason, timestamp(now)) and (
                topic := subscription.dead_letter_topic
            ):
                self._append(topic, delivery.message.data, attributes, now)
        self.stirred.set()

    def backlog(self) -> dict[str, int]:
        """How many deliveries each subscription is still owed."""
        with reading(self._connection):
            rows = self._connection.execute(
                f"SELECT subscription, count(*) FROM deliveries WHERE {_OPEN} GROUP BY subscription"  # noqa: S608 - a constant
            ).fetchall()
        return {**dict.fromkeys(self.subscriptions, 0), **dict(rows)}

    def next_due(self) -> datetime | None:
        """When the next delivery is due, or its lease runs out; None when nothing is owed."""
        with reading(self._connection):
            (due,) = self._connection.execute(f"SELECT min(due) FROM deliveries WHERE {_OPEN}").fetchone()  # noqa: S608 - a constant
        return None if due is None else msgspec.convert(due, datetime, strict=False)

    def messages(self, topic: str) -> list[Message]:
        """Everything ever published to a topic, oldest first."""
        with reading(self._connection):
            rows = self._connection.execute("SELECT * FROM messages WHERE topic = ? ORDER BY id", (topic,)).fetchall()
        return [_message(*row) for row in rows]

    def dead_letters(self) -> list[DeadLetter]:
        """Every delivery that was given up and not dropped, oldest first."""
        with reading(self._connection):
            rows = self._connection.execute(
                "SELECT m.*, d.subscription, d.attempt, d.dead_at, d.reason FROM deliveries d"
                " JOIN messages m ON m.id = d.message WHERE d.dead_at IS NOT NULL AND d.acked_at IS NULL"
                " ORDER BY d.dead_at, m.id"
            ).fetchall()
        return [DeadLetter(_message(*row[:5]), row[5], row[6], datetime.fromisoformat(row[7]), row[8]) for row in rows]

    def redrive(self, message: str, subscription: str, now: datetime) -> bool:
        """Owe a dead letter again, with all its attempts; False when there is no such."""
        return self._bring_out(
            message, subscription, "dead_at = NULL, attempt = 0, reason = '', due = ?", now.timestamp()
        )

    def drop(self, message: str, subscription: str, now: datetime) -> bool:
        """Forget a dead letter; False when there is no such."""
        return self._bring_out(message, subscription, "acked_at = ?", timestamp(now))

    def replay(self, subscription: str, since: datetime, now: datetime) -> int:
        """Owe again everything of a subscription published since then, as a seek to that time does; how many."""
        with transaction(self._connection):
            replayed = self._connection.execute(
                "UPDATE deliveries SET attempt = 0, due = ?, acked_at = NULL, dead_at = NULL, reason = ''"
                " WHERE subscription = ? AND message IN (SELECT id FROM messages WHERE published_at >= ?)",
                (now.timestamp(), subscription, timestamp(since)),
            )
        self.stirred.set()
        return replayed.rowcount

    def _bring_out(self, message: str, subscription: str, change: str, value: str | float) -> bool:
        with transaction(self._connection):
            changed = self._connection.execute(
                f"UPDATE deliveries SET {change} WHERE message = ? AND subscription = ?"  # noqa: S608 - constants
                " AND dead_at IS NOT NULL AND acked_at IS NULL",
                (value, message, subscription),
            )
        self.stirred.set()
        return changed.rowcount == 1

    def close(self) -> None:
        self._connection.close()

    def _check(self, topic: str) -> None:
        if topic not in self.topics:
            raise ConfigError(f"topic {topic}: not one of {', '.join(sorted(self.topics))}")

    def _append(self, topic: str, data: bytes, attributes: Mapping[str, str], now: datetime) -> str:
        message = self._connection.execute(
            "INSERT INTO messages (topic, data, attributes, published_at) VALUES (?, ?, ?, ?)",
            (topic, data, json.dumps(dict(attributes)), timestamp(now)),
        ).lastrowid
        self._connection.executemany(
            "INSERT INTO deliveries (message, subscription, due) VALUES (?, ?, ?)",
            [(message, s.name, now.timestamp()) for s in self.subscriptions.values() if s.topic == topic],
        )
        return str(message)

    def _lease(self, name: str, room: int, now: datetime) -> list[Delivery]:
        lease = now.timestamp() + self.subscriptions[name].ack_deadline + _MARGIN
        rows = self._connection.execute(
            f"SELECT m.*, d.attempt + 1 FROM deliveries d JOIN messages m ON m.id = d.message"  # noqa: S608 - a constant
            f" WHERE {_OPEN} AND subscription = ? AND {_DUE} ORDER BY due, message LIMIT ?",
            (name, *self._due(now), room),
        ).fetchall()
        self._connection.executemany(
            "UPDATE deliveries SET attempt = attempt + 1, due = ? WHERE message = ? AND subscription = ?",
            [(lease, row[0], name) for row in rows],
        )
        return [Delivery(_message(*row[:5]), name, row[5]) for row in rows]

    def _due(self, now: datetime) -> tuple[float, float]:
        """Later than anything is ever put off is what was put off before the clock was set back."""
        longest = max((max(one.max_backoff, one.ack_deadline) for one in self.subscriptions.values()), default=0.0)
        return now.timestamp(), now.timestamp() + longest + 2 * _MARGIN

    def _settle(self, delivery: Delivery, change: str, *values: str | float) -> None:
        with transaction(self._connection):
            self._mark(delivery, change, *values)
        self.stirred.set()

    def _mark(self, delivery: Delivery, change: str, *values: str | float) -> bool:
        """Change the row if it is still at this attempt."""
        marked = self._connection.execute(
            f"UPDATE deliveries SET {change} WHERE message = ? AND subscription = ? AND attempt = ? AND {_OPEN}",  # noqa: S608 - constants
            (*values, int(delivery.message.id), delivery.subscription, delivery.attempt),
        )
        return marked.rowcount == 1


def _message(id: int, topic: str, data: bytes, attributes: str, published_at: str) -> Message:
    return Message(str(id), topic, data, json.loads(attributes), datetime.fromisoformat(published_at))
