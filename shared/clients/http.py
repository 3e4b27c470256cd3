"""How every client speaks HTTP: one place that turns failures of the network and of servers into our errors."""

from __future__ import annotations

import email.utils
import functools
import http.cookiejar
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Struct

from shared.clients.answers import EVERYWHERE, LIMIT_WAIT, Meaning, Said, meaning
from shared.errors import ConfigError, RateLimited, Unavailable, UnknownOutcome
from shared.runtime.forgiving import is_loopback
from shared.runtime.redaction import redact

USER_AGENT = "signalbox (+https://github.com/signalbox)"
TIMEOUT = httpx.Timeout(20.0, connect=5.0)

LONGEST_WAIT = 86400.0
"""Seconds: a vendor that names a later time is not believed."""

LARGEST_ANSWER = 8 * 1024 * 1024
"""Bytes of an answer, unpacked. The largest that we ask for is a hundred files of a pull request with their patches."""
PACKINGS = {"gzip", "x-gzip", "deflate"}
GZIP_OR_DEFLATE = zlib.MAX_WBITS | 32
"""Either, by its header."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
UNANSWERED = (httpx.RequestError, httpx.InvalidURL, UnicodeError)
"""No answer, or none that can be decoded; the latter two for a redirect to no address, though none is followed."""


class NoCookies(http.cookiejar.CookieJar):
    """Keeps none, and reads none: no vendor's API needs them."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """There is nothing to do."""


@functools.cache
def tls() -> ssl.SSLContext:
    """One for all clients of this process: to read the certificates takes longer than to import most of our modules."""
    return httpx.create_ssl_context()


class Request(Struct, frozen=True):
    """What is sent. `url` is absolute, names of headers are in lower case, `within` is in seconds (None: TIMEOUT).

    `on_sent` is called when the connection stands and the request is going out.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    within: float | None = None
    on_sent: Callable[[], None] | None = None


class Response(Struct, frozen=True):
    """What came back, whole and unpacked; its parts are called as httpx calls them. `headers`: names in lower case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes
    request: Request
    said: str | None = None
    """The reason phrase, where it may be another than the usual one."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def reason_phrase(self) -> str:
        known = self.status_code in HTTPStatus._value2member_map_
        return self.said if self.said is not None else HTTPStatus(self.status_code).phrase if known else ""

    @property
    def about(self) -> str:
        """The request's method and path."""
        return f"{self.request.method} {httpx.URL(self.request.url).path}"


Network = Callable[[Request], Awaitable[Response]]
"""The way to a vendor, which tests replace. Raises what httpx raises: one of NOT_SENT, or of UNANSWERED."""


class Internet:
    """The network by httpx: connections are kept alive, redirects are not followed, answers are bounded.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY are honoured, except for an address of this machine, which no proxy
    could reach. Raises ConfigError for a proxy that httpx cannot use. Tests give a transport.
    """

    def __init__(self, host: str = "", transport: httpx.AsyncBaseTransport | None = None) -> None:
        try:
            self._client = httpx.AsyncClient(
                timeout=TIMEOUT,
                transport=transport,
                verify=tls() if transport is None else True,
                follow_redirects=False,
                cookies=NoCookies(),
                event_hooks={"response": [_bound]},
                trust_env=not is_loopback(host),
            )
        except (ImportError, ValueError) as error:  # a SOCKS proxy, or a scheme that httpx does not know
            raise ConfigError(
                f"HTTPS_PROXY, HTTP_PROXY or ALL_PROXY in the environment: {redact(str(error))} "
                "Name an http:// proxy there, or put the hosts that need none into NO_PROXY."
            ) from error

    async def __call__(self, request: Request) -> Response:
        limits = TIMEOUT if request.within is None else httpx.Timeout(request.within, connect=TIMEOUT.connect)
        body = request.body or None
        answer = await self._client.request(
            request.method, request.url, headers=dict(request.headers), content=body, timeout=limits
        )
        return Response(answer.status_code, answer.headers, answer.content, request, answer.reason_phrase)

    async def close(self) -> None:
        await self._client.aclose()


class HttpClient:
    """Speaks to one vendor, below `base_url`, with the same headers each time. An asynchronous context manager."""

    def __init__(
        self, base_url: str, *, headers: Mapping[str, str] | None = None, network: Network | None = None
    ) -> None:
        self.base_url = base_url
        given = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip", **(headers or {})}
        self._headers = {name.lower(): value for name, value in given.items()}
        self._internet = None if network else Internet(urlsplit(base_url).hostname or "")
        self._network: Network = network or self._internet  # type: ignore[assignment]

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes = b"",
        within: float | None = None,
    ) -> Response:
        """Send `json` or `content`, and return whatever is answered. Raises what the network does."""
        sent = dict(self._headers)
        if json is not None:
            content = msgspec.json.encode(json)
            sent["content-type"] = "application/json"
        for name, value in (headers or {}).items():
            sent[name.lower()] = value
        return await self._network(Request(method, self._absolute(url), sent, content, within))

    async def send(
        self,
        method: str,
        url: str,
        *,
        changes: bool,
        limit_wait: Callable[[Response], float | None] | None = None,
        **request: Any,
    ) -> Response:
        """Send, as `exchange` does, and return the answer, whatever its status below 500 other than 429.

        `changes`: the request has an effect at the vendor, so that a lost answer means UnknownOutcome; otherwise, and
        when nothing was sent, Unavailable. 429 raises RateLimited. A 5xx raises UnknownOutcome for a change (a gateway
        may have passed it on) and Unavailable for a read; either carries `retry_after` when the answer named one.
        `limit_wait`: how the vendor names the seconds to wait in a 429, where that is not by Retry-After alone.
        """
        lost: type[Unavailable | UnknownOutcome] = UnknownOutcome if changes else Unavailable
        try:
            response = await self.exchange(method, url, **request)
        except NOT_SENT as error:
            raise Unavailable(f"{method} {self._where(url)}: not reached: {describe(error)}") from error
        except UNANSWERED as error:
            raise lost(f"{method} {self._where(url)}: no answer: {describe(error)}") from error
        means = meaning(Said(status=response.status_code), EVERYWHERE)
        if means is Meaning.LIMITED:
            wait = (limit_wait or retry_after)(response) or LIMIT_WAIT
            raise RateLimited(f"{method} {self._where(url)}: {response.status_code}", retry_after=wait)
        if means is Meaning.PASSING:
            raise lost(f"{method} {self._where(url)}: {response.status_code}", retry_after=retry_after(response))
        return response

    async def close(self) -> None:
        if self._internet is not None:
            await self._internet.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _absolute(self, url: str) -> str:
        if url.startswith(("https://", "http://")):
            return url
        return f"{self.base_url.rstrip('/')}/{url.lstrip('/')}" if url else self.base_url

    def _where(self, url: str) -> str:
        try:
            asked = httpx.URL(self._absolute(url))
        except (httpx.InvalidURL, UnicodeError):
            return redact(self.base_url)
        return redact(f"{asked.host}{asked.path}")


class TooLarge(httpx.RequestError):
    """An answer of more than LARGEST_ANSWER bytes: the rest is not read."""


async def _bound(response: httpx.Response) -> None:
    """An event hook: the answer is unpacked here, because httpx would take a kilobyte to a gigabyte."""
    stream = response.stream
    if isinstance(stream, httpx.AsyncByteStream) and not response.is_stream_consumed:
        packing = response.headers.pop("content-encoding", "identity").strip().lower()
        response.stream = _Bounded(stream, packing, response.request)


class _Bounded(httpx.AsyncByteStream):
    """A body, unpacked. Raises TooLarge, and httpx.DecodingError for what is packed otherwise than it says."""

    def __init__(self, stream: httpx.AsyncByteStream, packing: str, request: httpx.Request) -> None:
        self._stream = stream
        self._packing = packing
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        unpack = zlib.decompressobj(GZIP_OR_DEFLATE) if self._packing in PACKINGS else None
        if unpack is None and self._packing not in ("", "identity"):
            said = f"packed by {self._packing[:20]!r}, which was not requested"
            raise httpx.DecodingError(said, request=self._request)
        async for packed in self._stream:
            try:
                chunk = unpack.decompress(packed, LARGEST_ANSWER + 1 - read) if unpack else packed
            except zlib.error as error:
                raise httpx.DecodingError(str(error), request=self._request) from error
            read += len(chunk)
            if read > LARGEST_ANSWER:
                raise TooLarge(f"more than {LARGEST_ANSWER // 1024**2} MiB", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def describe(error: Exception) -> str:
    """The kind of failure and its text, which httpx leaves empty for timeouts."""
    return redact(f"{type(error).__name__} {error}".strip())


def retry_after(response: Response) -> float | None:
    """Seconds named by Retry-After, in either of its forms (RFC 9110 §10.2.3); None when absent or unreadable."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return min(float(value), LONGEST_WAIT)
    try:
        at = email.utils.parsedate_to_datetime(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), LONGEST_WAIT)
