"""The functions as a server calls them, with whatever bytes came in: no client library in between makes them proper."""

import asyncio
import base64
import json
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct
from unit.functions.scene import Scene

T = TypeVar("T")
Headers = Iterable[tuple[bytes, bytes]]


class Answer(Struct, frozen=True):
    status: int
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


class Server:
    """A scene, its loop, and calls into it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, scene: Scene) -> None:
        self._loop = loop
        self.scene = scene

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(coroutine)

    def call(
        self, path: str, body: bytes = b"", *, method: str = "POST", query: bytes = b"", headers: Headers = ()
    ) -> Answer:
        """Fails with the function's own log when an exception got out of it."""
        self.scene.bus.take()
        self.scene.log.seek(0)
        self.scene.log.truncate()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "query_string": query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in headers],
            "client": ("127.0.0.1", 1),
            "server": ("functions.test", 80),
        }
        answer = self.run(_answer(self.scene.functions, scope, body))
        assert answer.status != 500, self.scene.log.getvalue()
        return answer


async def _answer(app: Any, scope: Mapping[str, Any], body: bytes) -> Answer:
    coming = [{"type": "http.request", "body": body, "more_body": False}]
    status, content = 0, b""

    async def receive() -> Mapping[str, Any]:
        return coming.pop() if coming else {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status, content
        status = message.get("status", status)
        content += message.get("body", b"")

    await app(scope, receive, send)
    return Answer(status, content)


def enveloped(data: bytes, **message: Any) -> bytes:
    """As a subscription pushes it."""
    content = {"data": base64.b64encode(data).decode(), "messageId": "1", **message}
    return json.dumps({"message": content, "subscription": "projects/local/subscriptions/x"}).encode()
