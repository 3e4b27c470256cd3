"""Stands before a simulated vendor and keeps what it was asked and what it answered; made-up faults do not get here."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.world.faults import Faulty


class Exchange(Struct, frozen=True, kw_only=True):
    """A request and its answer; the path is still quoted, the names of headers are in lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}
    body: bytes = b""
    status: int
    answer_headers: Mapping[str, str] = {}
    answer: bytes = b""

    @property
    def content(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def answered(self) -> Any:
        return msgspec.json.decode(self.answer)


class Recorder:
    def __init__(self, *vendors: Faulty) -> None:
        self.exchanges: list[Exchange] = []
        for vendor in vendors:
            self.listen(vendor)

    def listen(self, vendor: Faulty) -> None:
        vendor.app = functools.partial(self._pass, vendor.app)

    async def _pass(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        asked, answered = bytearray(), bytearray()
        start: dict[str, Any] = {}
        read = False

        async def listen() -> Message:
            nonlocal read
            read = True
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            answered.extend(message.get("body", b""))
            await send(message)

        await app(scope, listen, answer)
        if not read:  # refused by its path alone
            await listen()
        self.exchanges.append(
            Exchange(
                method=scope["method"],
                path=scope["raw_path"].decode(),
                query=tuple(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
                headers=_headers(scope["headers"]),
                body=bytes(asked),
                status=start["status"],
                answer_headers=_headers(start["headers"]),
                answer=bytes(answered),
            )
        )


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
