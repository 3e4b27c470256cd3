"""An ASGI app on loopback in a thread of its own, for what cannot share the test's event loop."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from starlette.types import ASGIApp

from local.emulation.serving import bind, served, url_of


@contextlib.contextmanager
def in_a_thread(app: ASGIApp) -> Iterator[str]:
    """Its address."""
    listening = bind()
    up, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with served((app, listening)):
            up.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert up.wait(20)
        yield url_of(listening)
    finally:
        done.set()
        thread.join(20)
