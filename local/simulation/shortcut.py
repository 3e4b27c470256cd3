"""The short way from a client to a simulated vendor and back: httpx, ASGI and Starlette for just what is used here.

Requests carry JSON or bytes, an answer comes at once and whole, and there are no cookies, redirects, hooks or
middleware.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.world.faults import Faulty

_call_starlette = Starlette.__call__
_open_client = httpx.AsyncClient.__init__


class _Url(httpx.URL):
    """Its parts are worked out once."""

    host = functools.cached_property(httpx.URL.host.fget)  # type: ignore[attr-defined]
    path = functools.cached_property(httpx.URL.path.fget)  # type: ignore[attr-defined]
    query = functools.cached_property(httpx.URL.query.fget)  # type: ignore[attr-defined]
    raw_path = functools.cached_property(httpx.URL.raw_path.fget)  # type: ignore[attr-defined]


class _Request(httpx.Request):
    def __init__(self, method: str, url: httpx.URL, headers: httpx.Headers, content: bytes) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.extensions = {}
        self.stream = httpx.ByteStream(content)
        self._content = content


class _Response(httpx.Response):
    def __init__(self, status_code: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
        self.status_code = status_code
        self.headers = _headers([(name, name, value) for name, value in headers])
        self.next_request = None
        self.extensions = {}
        self.history = []
        self.is_closed = self.is_stream_consumed = True
        self.default_encoding = "utf-8"
        self.stream = httpx.ByteStream(content)
        self._request = None
        self._content = content
        self._num_bytes_downloaded = 0


# In place of httpx.AsyncClient's


def open_client(
    client: httpx.AsyncClient,
    *,
    transport: httpx.AsyncBaseTransport,
    base_url: str = "",
    headers: Mapping[str, str] | None = None,
    **_: Any,
) -> None:
    """Its `__init__`: like another one for the same address."""
    client.__dict__.update(_client(base_url, *(headers or {}).items()).__dict__)
    client._transport = transport  # noqa: SLF001


@functools.cache
def _client(base_url: str, *headers: tuple[str, str]) -> httpx.AsyncClient:
    client: httpx.AsyncClient = httpx.AsyncClient.__new__(httpx.AsyncClient)
    _open_client(client, base_url=base_url, headers=dict(headers), transport=httpx.AsyncBaseTransport())
    return client


async def request(client: httpx.AsyncClient, method: str, url: str, **what: Any) -> httpx.Response:
    asked = _build(client, method, url, **what)
    response = await client._transport.handle_async_request(asked)  # noqa: SLF001
    response.request = asked
    return response


@contextlib.asynccontextmanager
async def stream(client: httpx.AsyncClient, method: str, url: str, **what: Any) -> AsyncIterator[httpx.Response]:
    yield await request(client, method, url, **what)


def _build(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    content: bytes | None = None,
    **more: Any,
) -> httpx.Request:
    unsent = [name for name in ("data", "files", "params") if more.get(name)]
    if unsent:
        raise TypeError(f"{', '.join(unsent)} of {method} {url} would be left out")
    content = content or b""
    absolute = _absolute(client._base_url._uri_reference, url)  # noqa: SLF001
    sent = [(b"Host", b"host", absolute.netloc)]
    if json is not None:
        content = msgspec.json.encode(json)
        sent += [
            (b"Content-Length", b"content-length", b"%d" % len(content)),
            (b"Content-Type", b"content-type", b"application/json"),
        ]
    for name, value in (headers or {}).items():
        raw = name.encode()
        sent.append((raw, raw.lower(), value.encode()))
    own = {name for _, name, _ in sent}
    sent += [header for header in client.headers._list if header[1] not in own]  # noqa: SLF001
    return _Request(method, absolute, _headers(sent), content)


def _headers(entries: list[tuple[bytes, bytes, bytes]]) -> httpx.Headers:
    """`entries`: name, name in lower case, value."""
    headers = httpx.Headers.__new__(httpx.Headers)
    headers._list = entries  # noqa: SLF001
    headers._encoding = "utf-8"  # noqa: SLF001
    return headers


@functools.lru_cache(20_000)
def _absolute(base: Any, url: str) -> httpx.URL:
    """By the client's rule; `base` is what a URL is inside, which is quicker to compare."""
    base_url, wanted = httpx.URL(""), httpx.URL(url)
    if not wanted.is_relative_url:
        return _Url(wanted)
    base_url._uri_reference = base  # noqa: SLF001
    return _Url(base_url.copy_with(raw_path=base_url.raw_path + wanted.raw_path.lstrip(b"/")))


# In place of httpx.ASGITransport's and Starlette's


async def answer(app: ASGIApp, request: httpx.Request) -> httpx.Response:
    url = request.url
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name, value) for _, name, value in request.headers._list],  # noqa: SLF001
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 123),
        "root_path": "",
    }
    start: Message = {}
    body = b""

    async def receive() -> Message:
        return {"type": "http.request", "body": request.content, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            start = message
        else:
            body += message.get("body", b"")

    await app(scope, receive, send)
    return _Response(start["status"], start["headers"], body)


async def undisturbed(app: Faulty, scope: Scope, receive: Receive, send: Send) -> None:
    """Of the faults on demand, only what people do in between."""
    if app.interruptions:
        body = (await receive())["body"].decode(errors="replace")
        app.interrupt(f"{scope['method']} {scope['path']}\n{body}")
    await app.app(scope, receive, send)


async def call(app: Starlette, scope: Scope, receive: Receive, send: Send) -> None:
    """Straight to the route, and from what it raises to the handler; the long way where there is no route."""
    route, parameters = _find(app, scope["method"], scope["path"])
    if route is None:
        await _call_starlette(app, scope, receive, send)
        return
    scope["path_params"] = parameters
    request = whole(Request(scope), (await receive())["body"])
    try:
        response = await route.endpoint(request)
    except _handled(app) as error:
        handlers: Mapping[Any, Any] = app.exception_handlers
        handler = next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)
        response = await handler(request, error)
    await response(scope, receive, send)


@functools.lru_cache(64)
def _handled(app: Starlette) -> tuple[type[Exception], ...]:
    """What the application has a handler for, and turns into an answer."""
    return tuple(kind for kind in app.exception_handlers if isinstance(kind, type))


def _find(app: Starlette, method: str, path: str) -> tuple[Route | None, dict[str, Any]]:
    for matches, route in _routes(app, method):
        found = matches(path)
        if found is not None:
            return route, {name: route.param_convertors[name].convert(text) for name, text in found.groupdict().items()}
    return None, {}


@functools.lru_cache(64)
def _routes(app: Starlette, method: str) -> list[tuple[Callable[[str], re.Match[str] | None], Route]]:
    routes = [route for route in app.routes if isinstance(route, Route) and method in (route.methods or ())]
    return [(route.path_regex.match, route) for route in routes]


def whole(request: Request, body: bytes) -> Request:
    """The request with its body, which need not be waited for."""
    request._body = body  # noqa: SLF001
    return request


def answer_json(
    response: Response, content: Any, status_code: int = 200, headers: Mapping[str, str] | None = None, **_: Any
) -> None:
    """JSONResponse's `__init__`."""
    response.status_code = status_code
    response.background = None
    response.body = msgspec.json.encode(content)
    response.raw_headers = [
        (b"content-length", b"%d" % len(response.body)),
        (b"content-type", b"application/json"),
        *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()),
    ]


async def read_json(request: Request) -> Any:
    return msgspec.json.decode(await request.body())
