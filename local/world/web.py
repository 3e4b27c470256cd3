"""HTTP for the simulated vendors: from a request to the handler of its path, and to what that answers.

There is no server in it: tests and the simulation hand requests over as they are sent, and `served_by` of
local/emulation/serving.py those that come through a socket.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import msgspec

from shared.clients import http

_PART = re.compile(r"\{(\w+)(?::(int|path))?\}")
_PATTERNS = {"": "[^/]+", "int": "[0-9]+", "path": ".*"}


class Request:
    """One that a vendor was sent. `path` is decoded, names of headers are in lower case."""

    __slots__ = ("_query", "body", "headers", "method", "parts", "path", "path_params", "url")

    def __init__(self, sent: http.Request) -> None:
        self.method = sent.method
        self.url = sent.url
        self.headers = sent.headers
        self.body = sent.body
        self.parts, self.path = _split(sent.url)
        self.path_params: Mapping[str, Any] = {}
        self._query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        if self._query is None:
            self._query = dict(parse_qsl(self.parts.query, keep_blank_values=True)) if self.parts.query else {}
        return self._query

    def json(self) -> Any:
        """Raises ValueError."""
        return msgspec.json.decode(self.body)

    def with_query(self, **changes: object) -> str:
        """The address with these in its query."""
        return str(self.parts._replace(query=urlencode({**self.query, **changes})).geturl())


class Response:
    """What a vendor answers. Names of headers are in lower case."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, msgspec.json.encode(content), {"content-type": "application/json", **(headers or {})})


def text(content: str, status: int = 200, headers: Mapping[str, str] | None = None, *, kind: str = "plain") -> Response:
    """`kind`: plain or html."""
    return Response(status, content.encode(), {"content-type": f"text/{kind}; charset=utf-8", **(headers or {})})


Handler = Callable[[Request], Awaitable[Response]]
Route = tuple[str, str, Handler]
"""A method, a path with its parameters as `{name}`, `{name:int}` or `{name:path}`, and who answers."""


class Router:
    """Finds the first route of a method and path; what its handler raises is answered by `refusals`, by its class."""

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        refusals: Mapping[type[Exception], Callable[[Any], Response]] | None = None,
        missing: Callable[[], Response] = lambda: text("Not Found", 404),
    ) -> None:
        self._routes = [(method, *_compiled(path), handler) for method, path, handler in routes]
        self._refusals = dict(refusals or {})
        self._raised = tuple(self._refusals)
        self._missing = missing

    async def __call__(self, request: Request) -> Response:
        for method, matches, numbers, handler in self._routes:
            if method == request.method and (found := matches(request.path)):
                named = found.groupdict()
                request.path_params = {**named, **{one: int(named[one]) for one in numbers}} if numbers else named
                try:
                    return await handler(request)
                except self._raised as error:
                    return next(answer for kind, answer in self._refusals.items() if isinstance(error, kind))(error)
        return self._unknown(request)

    def _unknown(self, request: Request) -> Response:
        """405 where another method is known."""
        known = {method for method, matches, *_ in self._routes if matches(request.path)}
        return text("Method Not Allowed", 405, {"allow": ", ".join(sorted(known))}) if known else self._missing()


@functools.cache
def _compiled(path: str) -> tuple[Callable[[str], re.Match[str] | None], tuple[str, ...]]:
    """What matches the path, and which of its parameters are numbers."""
    literal, pattern, numbers = 0, "", []
    for part in _PART.finditer(path):
        pattern += re.escape(path[literal : part.start()]) + f"(?P<{part[1]}>{_PATTERNS[part[2] or '']})"
        literal = part.end()
        numbers += [part[1]] * (part[2] == "int")
    return re.compile(pattern + re.escape(path[literal:])).fullmatch, tuple(numbers)


@functools.lru_cache(20_000)
def _split(url: str) -> tuple[Any, str]:
    parts = urlsplit(url)
    return parts, unquote(parts.path) or "/"


async def received(handler: Handler, sent: http.Request) -> http.Response:
    """The answer of a handler, as a client is given it."""
    answer = await handler(Request(sent))
    return http.Response(answer.status, answer.headers, answer.body, sent)
