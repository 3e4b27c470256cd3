"""An event loop whose time is virtual: waiting costs nothing, and nothing outside of the process can be waited for."""

from __future__ import annotations

import asyncio
from asyncio.base_events import BaseEventLoop
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stalled(Exception):
    """Everything waits for something that nobody will ever do."""


class VirtualLoop(BaseEventLoop):
    """Callbacks run in the order they were asked for, timers in the order of their times; hence always the same way."""

    def __init__(self) -> None:
        super().__init__()
        self._virtual = 0.0
        self._selector = self
        self._clock_resolution = 1e-9
        self.set_exception_handler(lambda _loop, _context: None)  # of a process that died nobody asks for the result

    def time(self) -> float:
        return self._virtual

    def select(self, timeout: float | None) -> list[Any]:
        """Where a real loop would wait for the network, this one goes on to the next timer."""
        if timeout is None:
            raise Stalled("no timer is set and nothing is ready")
        if timeout > 0:
            self._virtual = max(self._virtual, self._scheduled[0].when())  # type: ignore[attr-defined]
        return []

    def _process_events(self, _: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """No other thread wakes this loop."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, and drop whatever is still waiting then."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
