"""A loop for tests that speak gRPC, each in a loop of its own.

gRPC has one queue of completions for the whole process. What completes late, such as the end of a connection, is handed
to the loop that began it; when that one is closed already, the refusal raises in whichever loop reads the queue then,
which is another test's.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class Loop(asyncio.SelectorEventLoop):
    """Closed, it leaves alone what still comes for it: nobody waits for that any more."""

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.is_closed():
            return None
        return super().call_soon_threadsafe(callback, *args, **kwargs)


def new_loop() -> Loop:
    """Also the loop of what is made outside of any: gRPC binds a channel to it where none runs."""
    loop = Loop()
    asyncio.set_event_loop(loop)
    return loop
