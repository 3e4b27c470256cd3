"""Faults on demand, and a record of every call, around any simulated vendor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
from msgspec import Struct
from msgspec.structs import replace

from local.world.web import Handler, received
from local.world.web import Request as Sent
from shared.clients.http import Request, Response


class Fault(Struct, kw_only=True):
    """What goes wrong with the next `times` calls whose method, path or body contains `when`.

    `body` is sent as JSON, bytes as they are. `after_effect`: the vendor does its work first and the caller still sees
    the fault. `lost`: no answer at all. `slow`: seconds that it takes. `hides`: the vendor answers, with null in the
    place of each entry of the lists of this name, as GraphQL's schemas allow.
    """

    when: str = ""
    times: int = 1
    status: int = 502
    headers: dict[str, str] = {}
    body: Any = None
    after_effect: bool = False
    lost: bool = False
    slow: float = 0.0
    hides: str = ""


class Call(Struct, frozen=True):
    """One request that reached the vendor, and the status it got (0: no answer)."""

    method: str
    path: str
    body: bytes
    status: int


class Faulty:
    """The way to a vendor, whose calls are recorded and meet the faults it is given, first match first."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.faults: list[Fault] = []
        self.interruptions: list[tuple[str, Callable[[], object]]] = []
        """What happens at the vendor just before the next call that contains the text: somebody else comes first."""
        self.calls: list[Call] = []

    async def __call__(self, sent: Request) -> Response:
        path = Sent(sent).path
        request = f"{sent.method} {path}\n{sent.body.decode(errors='replace')}"
        self.interrupt(request)
        fault = self._next(request)
        if fault is None:
            answer = await received(self.handler, sent)
        else:
            answer = await self._disturbed(sent, fault)
        lost = fault is not None and fault.lost
        self.calls.append(Call(sent.method, path, sent.body, 0 if lost else answer.status_code))
        if lost:
            raise httpx.ReadTimeout(f"the answer to {sent.method} {path} was lost")
        return answer

    async def undisturbed(self, sent: Request) -> Response:
        """Without faults or a record: of all this, only what people do in between."""
        if self.interruptions:
            self.interrupt(f"{sent.method} {Sent(sent).path}\n{sent.body.decode(errors='replace')}")
        return await received(self.handler, sent)

    async def _disturbed(self, sent: Request, fault: Fault) -> Response:
        if fault.slow:
            await asyncio.sleep(fault.slow)
        if fault.hides:
            answer = await received(self.handler, sent)
            return replace(answer, content=json.dumps(hidden(json.loads(answer.content), fault.hides)).encode())
        if fault.after_effect:
            await received(self.handler, sent)
        body = (
            fault.body
            if isinstance(fault.body, bytes)
            else b""
            if fault.body is None
            else json.dumps(fault.body).encode()
        )
        headers = {"content-type": "application/json", **fault.headers}
        return Response(
            fault.status,
            {name.lower(): value for name, value in headers.items()},
            body,
            sent,
        )

    def interrupt(self, request: str) -> None:
        """Let happen what waited for such a request."""
        for when, happen in list(self.interruptions):
            if when in request:
                self.interruptions.remove((when, happen))
                happen()

    def _next(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.when in request:
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None


def hidden(document: Any, name: str) -> Any:
    """With null in the place of each entry of the lists of this name."""
    if isinstance(document, list):
        return [hidden(one, name) for one in document]
    if not isinstance(document, dict):
        return document
    return {
        key: [None for _ in value] if key == name and isinstance(value, list) else hidden(value, name)
        for key, value in document.items()
    }
