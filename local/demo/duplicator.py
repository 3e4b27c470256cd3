"""A storm in front of an app: every POST is delivered several times at once, each copy after a random moment."""

from __future__ import annotations

import asyncio
import random
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_DELAY = 0.05


class Storm:
    """Answers with the worst of the copies' answers, so that a sender that repeats until all is well does so."""

    app: ASGIApp
    """To be set before the first call."""

    def __init__(self, copies: int = 1) -> None:
        self._copies = copies
        self._random = random.Random(copies)
        self.last_call = time.monotonic()
        """When the app was last called, by the monotonic clock."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].endswith("/sweep"):
            await self.app(scope, receive, send)
            return
        self.last_call = time.monotonic()
        body = await _read(receive)
        answers = await asyncio.gather(*(self._deliver(scope, body) for _ in range(self._copies)))
        self.last_call = time.monotonic()
        for message in max(answers, key=lambda answer: int(answer[0]["status"])):
            await send(message)

    async def _deliver(self, scope: Scope, body: bytes) -> list[Message]:
        if self._copies > 1:
            await asyncio.sleep(self._random.uniform(0, LONGEST_DELAY))
        answer: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            answer.append(message)

        await self.app(dict(scope), receive, send)
        return answer


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body
