"""Pub/Sub in memory: every message is pushed until it is acknowledged, with backoff, and some more often than that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from msgspec import Struct

from local.simulation.chance import Chance
from local.simulation.execution import Crash, Execution, check_alive, die
from local.simulation.loop import done_within
from local.topology import Delivery
from shared.errors import TransientError

_PUBLISH = {
    "crash before": 0.008,
    "crash after": 0.008,
    "not published, answer lost": 0.006,
    "published, answer lost": 0.004,
}
_DELIVER = {"twice": 0.04, "late": 0.03, "acknowledgement lost": 0.03, "seconds late": 0.2}


class Published(Struct, frozen=True):
    """A message that is durable."""

    id: int
    topic: str
    data: bytes
    at: float


Push = Callable[[Published], Coroutine[Any, Any, bool]]
"""Brings a message to the topic's subscriber, and returns whether it was acknowledged. Raises Crash when it died."""
Watch = Callable[[Execution, Published], None]


class Post:
    """Every message ever published, and what is still on its way."""

    def __init__(self, chance: Chance, delivery: Delivery, push: Push, watch: Watch, weather: float) -> None:
        self._chance = chance
        self._delivery = delivery
        self._push = push
        self._watch = watch
        self._odds = {what: odds * min(2.0, weather) for what, odds in _DELIVER.items()}
        self._tasks: set[asyncio.Task[None]] = set()
        self.messages: list[Published] = []
        self.dead: list[Published] = []
        self.open = 0
        """Deliveries that nobody has acknowledged yet."""

    def publish(self, execution: Execution, topic: str, data: bytes) -> str:
        message = Published(len(self.messages) + 1, topic, data, asyncio.get_running_loop().time())
        self.messages.append(message)
        self._watch(execution, message)
        what, value = self._chance.incident(f"delivery to {topic}", self._odds)
        pause = {"late": 600 * value, "seconds late": 5 + 20 * value}.get(what or "", 0.02 + 0.3 * value)
        self.bring(message, pause, again=what == "acknowledgement lost")
        if what == "twice":
            self.bring(message, 30 * value * value, again=False)
        return str(message.id)

    def bring(self, message: Published, pause: float, *, again: bool) -> None:
        """Deliver until it is acknowledged; `again`: and once more after that."""
        self.open += 1
        task = asyncio.get_running_loop().create_task(self._bring(message, pause, again))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bring(self, message: Published, pause: float, again: bool) -> None:
        for attempt in range(self._delivery.max_attempts):
            await asyncio.sleep(pause)
            if await self._acknowledged(message):
                if not again:
                    break
                again = False
            backoff = self._delivery.min_backoff * 2.0 ** min(attempt, 20)
            pause = min(self._delivery.max_backoff, backoff)
        else:
            self.dead.append(message)
        self.open -= 1

    async def _acknowledged(self, message: Published) -> bool:
        """The push goes on after the deadline, but nobody waits for its answer any more."""
        pushed = asyncio.get_running_loop().create_task(self._push(message))
        if not await done_within(pushed, self._delivery.ack_deadline):
            return False
        try:
            return pushed.result()
        except Crash:
            return False


class TroubledBus:
    """What one instance has of the bus."""

    def __init__(self, post: Post, chance: Chance, weather: float) -> None:
        self._post = post
        self._chance = chance
        self._odds = {what: odds * weather for what, odds in _PUBLISH.items()}

    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:  # noqa: ARG002
        execution = check_alive()
        what, value = self._chance.incident(f"publish in {execution.function}", self._odds)
        if value < 0.5:
            await asyncio.sleep(0.005 + 0.04 * value)
            check_alive()
        execution.disturbed += what is not None
        if what == "crash before":
            raise die(execution)
        if what == "not published, answer lost":
            raise TransientError("the bus did not answer")
        id = self._post.publish(execution, topic, data)
        if what == "published, answer lost":
            raise TransientError("the bus did not answer")
        if what == "crash after":
            raise die(execution)
        if value >= 0.5:
            await asyncio.sleep(0.04 * value - 0.015)
            check_alive()
        return id

    async def close(self) -> None:
        """Nothing is open."""
