"""Faults on demand, and a record of every call, around any simulated vendor."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from msgspec import Struct, field
from starlette.types import ASGIApp, Message, Receive, Scope, Send


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
    """An ASGI app around another that records calls and applies the faults it is given, first match first."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.faults: list[Fault] = []
        self.interruptions: list[tuple[str, Callable[[], object]]] = []
        """What happens at the vendor just before the next call that contains the text: somebody else comes first."""
        self.calls: list[Call] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = await _read(receive)
        request = f"{scope['method']} {scope['path']}\n{body.decode(errors='replace')}"
        self.interrupt(request)
        fault = self._next(request)
        if fault is not None and fault.slow:
            await asyncio.sleep(fault.slow)
        answer = _Answer()
        if fault is None or fault.after_effect or fault.hides:
            await self.app(scope, _replay(body), answer)
        if fault is not None and fault.hides:
            answer.rewrite(lambda document: hidden(document, fault.hides))
        elif fault is not None:
            answer = _fault_answer(fault)
        status = 0 if fault is not None and fault.lost else answer.status
        self.calls.append(Call(scope["method"], scope["path"], body, status))
        if fault is not None and fault.lost:
            await _break_off(send, scope)
        for message in answer.messages:
            await send(message)

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


class _Answer(Struct):
    """Collects an answer instead of sending it."""

    messages: list[Message] = field(default_factory=list)

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    def rewrite(self, change: Callable[[Any], Any]) -> None:
        """Change the JSON that is in it."""
        start, *parts = self.messages
        body = json.dumps(change(json.loads(b"".join(part.get("body", b"") for part in parts)))).encode()
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        start = {**start, "headers": [*headers, (b"content-length", b"%d" % len(body))]}
        self.messages = [start, {"type": "http.response.body", "body": body}]

    @property
    def status(self) -> int:
        return next((int(m["status"]) for m in self.messages if m["type"] == "http.response.start"), 500)


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


def _fault_answer(fault: Fault) -> _Answer:
    body = (
        fault.body if isinstance(fault.body, bytes) else b"" if fault.body is None else json.dumps(fault.body).encode()
    )
    headers: Mapping[str, str] = {"content-type": "application/json", **fault.headers}
    start: Message = {
        "type": "http.response.start",
        "status": fault.status,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    return _Answer([start, {"type": "http.response.body", "body": body}])


async def _break_off(send: Send, scope: Scope) -> None:
    """Begin an answer and die: a server then closes the connection, an in-process transport passes the error on."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    raise httpx.ReadTimeout(f"the answer to {scope['method']} {scope['path']} was lost")


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
