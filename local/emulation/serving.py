"""ASGI apps on loopback ports, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import httpx
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.clients.http import Network, Request

HOST = "127.0.0.1"


class _OnLoopback:
    """Answers only who asks for this machine by name: a page on the web may lead a browser here under its own."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}".encode() for name in (HOST, "localhost", "[::1]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = [value for name, value in scope.get("headers", []) if name == b"host"]
        if scope["type"] == "http" and (len(asked) != 1 or asked[0].lower() not in self._hosts):
            refusal = PlainTextResponse("This answers on this machine alone, by its own address.\n", 421)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the program's, not each server's."""
        yield


def bind(port: int = 0) -> socket.socket:
    """A listening socket on loopback; port 0 takes a free one. Raises OSError when the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError:
        listening.close()
        raise
    listening.listen(256)
    return listening


def url_of(listening: socket.socket) -> str:
    return f"http://{HOST}:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def served(*apps: tuple[ASGIApp, socket.socket]) -> AsyncIterator[None]:
    """Serve each app on its socket; the sockets are closed at the end."""
    servers = [_server(_OnLoopback(app, listening.getsockname()[1])) for app, listening in apps]
    tasks = [
        asyncio.create_task(server.serve(sockets=[listening]))
        for server, (_, listening) in zip(servers, apps, strict=True)
    ]
    try:
        while not all(  # noqa: ASYNC110 - uvicorn has no event to wait for
            server.started or task.done() for server, task in zip(servers, tasks, strict=True)
        ):
            await asyncio.sleep(0)
        yield
    finally:
        for server in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)
        for _, listening in apps:
            listening.close()


def served_by(network: Network) -> ASGIApp:
    """For a socket: what a client sends there is sent over the network. A lost answer breaks the connection off."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        path = scope["raw_path"].decode("latin-1").partition("?")[0]
        url = f"{scope['scheme']}://{headers.get('host', '')}{path}{query}"
        try:
            answer = await network(Request(scope["method"], url, headers, body))
        except httpx.TransportError:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            raise
        length = {} if answer.status_code == 204 else {"content-length": str(len(answer.content))}
        given = {**answer.headers, **length}
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": encoded})
        await send({"type": "http.response.body", "body": answer.content})

    return app


def _server(app: ASGIApp) -> _Server:
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    return _Server(config)
