"""A function as a subscription sees it: an address that takes pushes, and answers as it is told."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Endpoint:
    """A function as Pub/Sub sees it: records what it is pushed, and answers what it is told to."""

    def __init__(self) -> None:
        self.pushed: list[dict] = []
        self.paths: list[str] = []
        self.answers: list[int | Exception] = []
        """Taken from the front; 204 once there are none."""
        self.answers_to: dict[bytes, list[int]] = {}
        """As `answers`, for messages with such data; the last one stays."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrivals: asyncio.Queue[str] = asyncio.Queue()
        self.at_once = 0
        self.most_at_once = 0
        self.app = Starlette(routes=[Route("/{path:path}", self._receive, methods=["POST"])])

    async def _receive(self, request: Request) -> Response:
        body = await request.json()
        self.pushed.append(body)
        self.paths.append(request.url.path)
        self.arrivals.put_nowait(request.url.path)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        own = self.answers_to.get(base64.b64decode(body["message"]["data"]))
        if own:
            return Response(status_code=own.pop(0) if len(own) > 1 else own[0])
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, Exception):
            raise answer
        return Response(status_code=answer)

    async def until(self, reached: Callable[[], bool], seconds: float = 300.0) -> None:
        """Wait for pushes until that holds. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not reached():
                await self.arrivals.get()

    @property
    def data(self) -> list[bytes]:
        return [base64.b64decode(body["message"]["data"]) for body in self.pushed]

    @property
    def attempts(self) -> list[int]:
        return [body["deliveryAttempt"] for body in self.pushed]


@asynccontextmanager
async def listening(app: Starlette, port: int = 0) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off", ws="none"))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
