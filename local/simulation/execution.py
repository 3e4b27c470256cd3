"""One execution of a function: it can be slow, be frozen, and die at any call it makes."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

from msgspec import Struct

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Crash(BaseException):
    """The process dies here: nothing of ours may catch it."""


class Execution(Struct, eq=False):
    """`token` names the worker as it signs leases; `disturbed` counts what went wrong in it so far."""

    function: str
    about: str
    token: str = ""
    dead: bool = False
    disturbed: int = 0
    started: float = 0.0
    claimed: float | None = None
    """When it last took the right to tell people, so that it knows what had been told by then."""

    @property
    def name(self) -> str:
        return f"{self.function}({self.about})"


NOBODY = Execution("world", "")
current: ContextVar[Execution] = ContextVar("simulated_execution", default=NOBODY)


def check_alive() -> Execution:
    """The running execution. Raises Crash when its process has died meanwhile: no part of it may go on."""
    execution = current.get()
    if execution.dead:
        raise Crash
    return execution


def die(execution: Execution) -> Crash:
    execution.dead = True
    execution.disturbed += 1
    return Crash()


async def freeze(seconds: float) -> None:
    """The instance gets no CPU: a cancellation (a timeout) is noticed only when it goes on."""
    loop = asyncio.get_running_loop()
    until, cancelled = loop.time() + seconds, False
    while (left := until - loop.time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


class LoopClock:
    """The time of the running loop; `skew` seconds off."""

    def __init__(self, skew: float = 0.0) -> None:
        self._skew = skew
        self._read = 0.0, START
        """What it showed last: it is often read several times at once."""

    def now(self) -> datetime:
        at = asyncio.get_running_loop().time() + self._skew
        if at != self._read[0]:
            self._read = at, START + timedelta(seconds=at)
        return self._read[1]
