"""The embedded Pub/Sub: the same push envelope, acks, backoff and dead letters as the real one, without an account."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from asyncio import TaskGroup
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import httpx
import msgspec

from local.emulation.journal import Delivery, Journal
from local.emulation.sqlite import timestamp
from shared.clients.http import describe
from shared.errors import SignalboxError
from shared.runtime import log
from shared.runtime.ports import Clock

ACKS = frozenset({102, 200, 201, 202, 204})
POLL = 0.05
"""Seconds between looks for messages that other processes published."""
AGAIN = 1.0
"""Seconds to wait after the journal could not be read."""
AT_ONCE = 20
"""Deliveries under way per subscription."""


class EmbeddedBus:
    """The Bus on a journal. A message without a subscription is kept and nothing else."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        """Raises ConfigError for an unknown topic, Unavailable when it could not be written."""
        return self._journal.append(topic, data, attributes, self._clock.now())

    async def close(self) -> None:
        self._journal.close()


class Pump:
    """Pushes what the journal owes. Several may work on one file, in one process or in many."""

    def __init__(self, journal: Journal, clock: Clock, client: httpx.AsyncClient) -> None:
        self._journal = journal
        self._clock = clock
        self._client = client
        self._under_way: Counter[str] = Counter()

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is handed back."""
        async with TaskGroup() as group:
            while True:
                self._journal.stirred.clear()
                try:
                    self._start(group)
                except SignalboxError as error:
                    log.error("the journal cannot be read, trying again", reason=str(error))
                    await asyncio.sleep(AGAIN)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL):
                        await self._journal.stirred.wait()

    async def step(self) -> int:
        """Deliver what is due now, and no more; how many deliveries that was. Raises Unavailable."""
        async with TaskGroup() as group:
            return self._start(group)

    def _start(self, group: TaskGroup) -> int:
        """Claim what is due and begin to push it; how many deliveries that is."""
        room = {name: AT_ONCE - self._under_way[name] for name in self._journal.subscriptions}
        deliveries = self._journal.claim(room, self._clock.now())
        for delivery in deliveries:
            self._under_way[delivery.subscription] += 1
            group.create_task(self._deliver(delivery))
        return len(deliveries)

    async def _push(self, delivery: Delivery) -> str | None:
        """Send it once; None when acked, otherwise why not."""
        subscription = self._journal.subscriptions[delivery.subscription]
        try:
            async with asyncio.timeout(subscription.ack_deadline):
                answer = await self._client.post(
                    subscription.endpoint,
                    content=self._envelope(delivery),
                    headers={"Content-Type": "application/json"},
                    timeout=None,  # it is the ack deadline that counts
                )
        except TimeoutError:
            return f"no answer within {subscription.ack_deadline} s"
        except httpx.TransportError as error:
            return describe(error)
        return None if answer.status_code in ACKS else f"answered {answer.status_code}"

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            self._record(delivery, await self._push(delivery))
        except asyncio.CancelledError:
            with contextlib.suppress(SignalboxError):  # its lease will run out
                self._journal.hand_back(delivery, self._clock.now(), "the pump was stopped")
            raise
        except SignalboxError as error:
            log.warning("a delivery's outcome was not recorded, it will come again", reason=str(error))
        finally:
            self._under_way[delivery.subscription] -= 1

    def _record(self, delivery: Delivery, refusal: str | None) -> None:
        subscription = self._journal.subscriptions[delivery.subscription]
        now = self._clock.now()
        if refusal is None:
            self._journal.ack(delivery, now)
        elif subscription.dead_letter_topic is not None and delivery.attempt >= subscription.max_attempts:
            self._journal.bury(delivery, now, refusal)
        else:
            again = now + timedelta(seconds=subscription.backoff(delivery.attempt))
            self._journal.hand_back(delivery, again, refusal)

    def _envelope(self, delivery: Delivery) -> bytes:
        """Pub/Sub's wrapped push body; like there, only a subscription with a dead letter topic counts attempts."""
        message, subscription = delivery.message, self._journal.subscriptions[delivery.subscription]
        published = timestamp(message.published_at)
        body: dict[str, object] = {
            "message": {
                "data": base64.b64encode(message.data).decode(),
                "attributes": message.attributes,
                "messageId": message.id,
                "message_id": message.id,
                "publishTime": published,
                "publish_time": published,
            },
            "subscription": subscription.path,
        }
        if subscription.dead_letter_topic is not None:
            body["deliveryAttempt"] = delivery.attempt
        return msgspec.json.encode(body)
