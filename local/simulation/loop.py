"""An event loop whose time is virtual: waiting costs nothing, and nothing outside of the process can be waited for."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import signal
import sys
import threading
import traceback
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, copy_context
from types import FrameType
from typing import Any, TypeVar

from msgspec import Struct

T = TypeVar("T")
_SAME_TIME = 1e-9
_sleep = asyncio.sleep
AGAIN = 1.0
"""Seconds of CPU time until Endless is raised once more: the first may have come where Python drops what is raised."""
_abandoned: list[VirtualLoop] = []
"""They stay, with their tasks, which nobody could end in an orderly way."""


class Stalled(Exception):
    """Everything waits for something that nobody will ever do."""


class Endless(KeyboardInterrupt):
    """The CPU time that it was given is used up. Like a Ctrl-C, so that nothing takes it for an error and goes on."""


class _Handle(Struct, eq=False):
    """A callback to be called at once or later: what is used of asyncio's handles, without their debugging."""

    callback: Callable[..., object] | None
    args: tuple[Any, ...]
    context: Context

    def cancel(self) -> None:
        self.callback = None

    def cancelled(self) -> bool:
        return self.callback is None


class VirtualLoop(BaseEventLoop):
    """Callbacks run in the order they were asked for, timers in the order of their times; hence always the same way.

    Both are asyncio's own rules (`BaseEventLoop._run_once`), without what a network, other threads and debugging need.
    """

    def __init__(self) -> None:
        super().__init__()
        self._virtual = 0.0
        self._timers: list[tuple[float, int, _Handle | asyncio.Future[None]]] = []
        self._count = itertools.count()
        self.set_exception_handler(lambda _loop, _context: None)  # of a process that died nobody asks for the result

    def __del__(self) -> None:
        """There is nothing of the system in it that would have to be closed."""

    def time(self) -> float:
        return self._virtual

    def call_soon(  # type: ignore[override] # typeshed's ties the arguments to the callback
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        handle = _Handle(callback, args, copy_context() if context is None else context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_later(  # type: ignore[override] # typeshed's ties the arguments to the callback
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self._virtual + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override] # typeshed's ties the arguments to the callback
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        handle = _Handle(callback, args, copy_context() if context is None else context)
        heapq.heappush(self._timers, (when, next(self._count), handle))
        return handle

    def wait_until(self, when: float) -> asyncio.Future[None]:
        """Is done then: a timer without a callback."""
        future = self.create_future()
        heapq.heappush(self._timers, (when, next(self._count), future))
        return future

    def _run_once(self) -> None:
        """What is ready now, then what that made ready, …, until somebody stops the loop."""
        ready = self._ready  # type: ignore[attr-defined]
        while True:
            self._wake()
            for _ in range(len(ready)):
                handle = ready.popleft()
                callback = handle.callback
                if callback is None:
                    continue
                try:
                    handle.context.run(callback, *handle.args)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - as asyncio does
                    self.call_exception_handler({"message": "a callback failed", "exception": error})
            if self._stopping:  # type: ignore[attr-defined]
                return

    def _wake(self) -> None:
        """The timers whose time has come. Where a real loop would wait, this one goes on to the next of them."""
        timers, ready = self._timers, self._ready  # type: ignore[attr-defined]
        while timers:
            when, _, due = timers[0]
            if not due.cancelled():
                if when >= self._virtual + _SAME_TIME and (ready or self._stopping):  # type: ignore[attr-defined]
                    return
                self._virtual = max(self._virtual, when)  # or whoever waits for what is left of a wait never gets there
            heapq.heappop(timers)
            if isinstance(due, _Handle):
                ready.append(due)
            elif not due.done():
                due.set_result(None)
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            raise Stalled("no timer is set and nothing is ready")


async def sleep(seconds: float) -> None:
    """asyncio.sleep, with less to do on waking up."""
    loop = asyncio.get_running_loop()
    if seconds > 0 and isinstance(loop, VirtualLoop):
        await loop.wait_until(loop.time() + seconds)
    else:
        await _sleep(seconds)


async def done_within(task: asyncio.Task[Any], seconds: float) -> bool:
    """asyncio.wait, for one task."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise TypeError("this is about virtual time")
    over = loop.wait_until(loop.time() + seconds)

    def finished(_: asyncio.Task[Any]) -> None:
        if not over.done():
            over.set_result(None)

    task.add_done_callback(finished)
    await over
    return task.done()


@contextlib.contextmanager
def limited(cpu_seconds: float) -> Iterator[None]:
    """Raises Endless, with the place, when more CPU time is taken; where the system has such signals."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(_: int, frame: FrameType | None) -> None:
        if _is_measured(frame):
            return
        at = traceback.extract_stack(frame)[:-5:-1]
        places = " < ".join(f"{each.filename}:{each.lineno}" for each in at)
        raise Endless(f"no end after {cpu_seconds:g} s of CPU time, at {places}")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _is_measured(frame: FrameType | None) -> bool:
    """Whether coverage notes something just now: it would never give its lock back. The signal comes again."""
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("coverage."):
            return True
        frame = frame.f_back
    return False


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, and drop whatever is still waiting then."""
    loop = VirtualLoop()
    try:
        try:
            return loop.run_until_complete(main)
        finally:
            if not isinstance(sys.exc_info()[1], Endless):
                _drop_what_waits(loop)
    except Endless:  # what did not end might not end when it is cancelled, either
        _abandoned.append(loop)
        raise


def _drop_what_waits(loop: VirtualLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
