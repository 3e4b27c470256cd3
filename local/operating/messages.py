"""What an operator does with messages: send them again from a moment on, and see to those that nobody could take."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from local.emulation import journal
from local.emulation.journal import Journal
from shared.errors import BadInput
from shared.runtime.ports import Clock


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A message that its subscription gave up. `reason` is the last refusal, where the backend knows it."""

    id: str
    subscription: str
    topic: str
    attempts: int
    dead_at: datetime
    data: str
    attributes: dict[str, str]
    reason: str = ""


class Messages(Protocol):
    """The operator's side of a bus. Raises Unavailable, and BadInput for a subscription that does not exist."""

    async def replay(self, subscription: str, since: datetime) -> int | None:
        """Deliver again what was published since then, delivered before or not; how many, where that is known."""
        ...

    async def dead_letters(self) -> list[DeadLetter]: ...

    async def redrive(self, id: str) -> bool:
        """Deliver a dead letter again, with all its attempts; False when there is no such."""
        ...

    async def drop(self, id: str) -> bool:
        """Forget a dead letter; False when there is no such."""
        ...

    async def close(self) -> None: ...


class JournalMessages:
    """On the embedded bus. A dead letter's id is `MESSAGE@SUBSCRIPTION`."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def replay(self, subscription: str, since: datetime) -> int | None:
        if subscription not in self._journal.subscriptions:
            raise BadInput(f"no subscription {subscription}; there are: {', '.join(self._journal.subscriptions)}")
        return self._journal.replay(subscription, since, self._clock.now())

    async def dead_letters(self) -> list[DeadLetter]:
        return [_shown(letter) for letter in self._journal.dead_letters()]

    async def redrive(self, id: str) -> bool:
        message, _, subscription = id.partition("@")
        return self._journal.redrive(message, subscription, self._clock.now())

    async def drop(self, id: str) -> bool:
        message, _, subscription = id.partition("@")
        return self._journal.drop(message, subscription, self._clock.now())

    async def close(self) -> None:
        self._journal.close()


def _shown(letter: journal.DeadLetter) -> DeadLetter:
    return DeadLetter(
        id=f"{letter.message.id}@{letter.subscription}",
        subscription=letter.subscription,
        topic=letter.message.topic,
        attempts=letter.attempts,
        dead_at=letter.dead_at,
        data=letter.message.data.decode(errors="replace"),
        attributes=letter.message.attributes,
        reason=letter.reason,
    )
