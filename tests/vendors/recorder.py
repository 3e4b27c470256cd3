"""Stands before a simulated vendor and keeps what it was asked and what it answered; made-up faults do not get here."""

import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from local.world.faults import Faulty
from local.world.web import Handler, Request, Response


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
        vendor.handler = functools.partial(self._pass, vendor.handler)

    async def _pass(self, handler: Handler, request: Request) -> Response:
        answer = await handler(request)
        self.exchanges.append(
            Exchange(
                method=request.method,
                path=request.parts.path,
                query=tuple(parse_qsl(request.parts.query, keep_blank_values=True)),
                headers=request.headers,
                body=request.body,
                status=answer.status,
                answer_headers=answer.headers,
                answer=answer.body,
            )
        )
        return answer
