"""The operator's side of Pub/Sub: seek, and the dead letters in their pull subscription.

Sources: cloud.google.com/pubsub/docs/replay-overview, /handling-failures#dead_letter_topic.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from google.api_core.exceptions import DeadlineExceeded, GoogleAPICallError, NotFound
from google.pubsub_v1 import SubscriberAsyncClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import ReceivedMessage, SeekRequest

from local.operating.messages import DeadLetter
from local.topology import Topology
from shared.cloud.channel import connect, explain
from shared.errors import BadInput
from shared.runtime.ports import Bus

TIMEOUT = 20.0
AT_ONCE = 100
PATIENCE = 3.0
"""Seconds to wait for more: a pull answers when it has messages, and an empty subscription never does."""
HOLD = 60
"""Seconds for which a letter that was pulled is nobody else's."""
_SOURCE = "CloudPubSubDeadLetterSource"
NEEDS = "roles/pubsub.editor on the subscription"


class GoogleMessages:
    """To be made in the event loop that uses it. A dead letter's id is its message id."""

    def __init__(self, project: str, topology: Topology, bus: Bus, *, emulator: str | None = None) -> None:
        self._channel = connect(SubscriberGrpcAsyncIOTransport, emulator)
        self._client = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=self._channel))
        self._project = project
        self._bus = bus
        self._dead_letters = self._path(topology.dead_letters.subscription)
        self._topics: Mapping[str, str] = {f.name: f.subscribes for f in topology.functions if f.subscribes is not None}

    async def replay(self, subscription: str, since: datetime) -> int | None:
        """A seek tells no number; it takes up to a minute to have effect."""
        if subscription not in self._topics:
            raise BadInput(f"no subscription {subscription}; there are: {', '.join(self._topics)}")
        request = SeekRequest(subscription=self._path(subscription), time=since)
        try:
            await self._client.seek(request, timeout=TIMEOUT)
        except NotFound as error:
            raise BadInput(f"Pub/Sub has no subscription {subscription}: {error.message}") from error
        except GoogleAPICallError as error:
            raise explain(error, f"seek {subscription}", NEEDS) from error
        return None

    async def dead_letters(self) -> list[DeadLetter]:
        """Those that nobody else holds just now; each is given back."""
        letters = []
        held = []
        async for received in self._pull():
            letters.append(self._shown(received))
            held.append(received.ack_id)
        await self._give_back(held)
        return sorted(letters, key=lambda letter: letter.dead_at)

    async def redrive(self, id: str) -> bool:
        """Published anew to its topic first, acknowledged then: a crash in between delivers it twice, not never."""
        received = await self._take(id)
        if received is None:
            return False
        letter = self._shown(received)
        attributes = {name: text for name, text in letter.attributes.items() if not name.startswith(_SOURCE)}
        await self._bus.publish(letter.topic, received.message.data, attributes)
        await self._acknowledge(received)
        return True

    async def drop(self, id: str) -> bool:
        received = await self._take(id)
        if received is None:
            return False
        await self._acknowledge(received)
        return True

    async def close(self) -> None:
        await self._channel.close()

    async def _take(self, id: str) -> ReceivedMessage | None:
        """Hold this letter; the others are given back."""
        found, others = None, []
        async for received in self._pull():
            if received.message.message_id == id:
                found = received
            else:
                others.append(received.ack_id)
        await self._give_back(others)
        return found

    async def _pull(self) -> AsyncIterator[ReceivedMessage]:
        """Each letter once, held for HOLD seconds, until no more come."""
        seen: set[str] = set()
        while True:
            try:
                pulled = await self._client.pull(
                    subscription=self._dead_letters, max_messages=AT_ONCE, timeout=PATIENCE
                )
                new = [one for one in pulled.received_messages if one.message.message_id not in seen]
                await self._hold([one.ack_id for one in new], HOLD)
            except DeadlineExceeded:
                return
            except GoogleAPICallError as error:
                raise explain(error, "pull the dead letters", NEEDS) from error
            if not new:
                return
            for one in new:
                seen.add(one.message.message_id)
                yield one

    async def _hold(self, ack_ids: list[str], seconds: int) -> None:
        if ack_ids:
            await self._client.modify_ack_deadline(
                subscription=self._dead_letters, ack_ids=ack_ids, ack_deadline_seconds=seconds, timeout=TIMEOUT
            )

    async def _give_back(self, ack_ids: list[str]) -> None:
        try:
            await self._hold(ack_ids, 0)
        except GoogleAPICallError as error:
            raise explain(error, "give back the dead letters", NEEDS) from error

    async def _acknowledge(self, received: ReceivedMessage) -> None:
        try:
            await self._client.acknowledge(subscription=self._dead_letters, ack_ids=[received.ack_id], timeout=TIMEOUT)
        except GoogleAPICallError as error:
            raise explain(error, "acknowledge a dead letter", NEEDS) from error

    def _shown(self, received: ReceivedMessage) -> DeadLetter:
        message = received.message
        attributes = dict(message.attributes)
        subscription = attributes.get(f"{_SOURCE}Subscription", "").rsplit("/", 1)[-1]
        return DeadLetter(
            id=message.message_id,
            subscription=subscription,
            topic=self._topics.get(subscription, ""),
            attempts=int(attributes.get(f"{_SOURCE}DeliveryCount", "0")),
            dead_at=datetime.fromtimestamp(message.publish_time.timestamp(), message.publish_time.tzinfo),
            data=message.data.decode(errors="replace"),
            attributes=attributes,
        )

    def _path(self, subscription: str) -> str:
        return f"projects/{self._project}/subscriptions/{subscription}"
