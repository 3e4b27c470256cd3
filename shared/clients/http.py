"""How every client speaks HTTP: one place that turns failures of the network and of servers into our errors."""

from __future__ import annotations

import email.utils
import functools
import http.cookiejar
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

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


def open_client(
    base_url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: httpx.Timeout = TIMEOUT,
    transport: httpx.AsyncBaseTransport | None = None,
) -> httpx.AsyncClient:
    """A kept-alive client for one vendor; redirects are not followed. Tests give a transport.

    HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY are honoured, except for an address of this machine, which no proxy
    could reach. Raises ConfigError for a proxy that httpx cannot use.
    """
    try:
        return httpx.AsyncClient(
            base_url=base_url,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip", **(headers or {})},
            timeout=timeout,
            transport=transport,
            verify=tls() if transport is None else True,
            follow_redirects=False,
            cookies=NoCookies(),
            event_hooks={"response": [_bound]},
            trust_env=not is_loopback(httpx.URL(base_url).host),
        )
    except (ImportError, ValueError) as error:  # a SOCKS proxy, or a scheme that httpx does not know
        raise ConfigError(
            f"HTTPS_PROXY, HTTP_PROXY or ALL_PROXY in the environment: {redact(str(error))} "
            "Name an http:// proxy there, or put the hosts that need none into NO_PROXY."
        ) from error


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


async def send(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    changes: bool,
    limit_wait: Callable[[httpx.Response], float | None] | None = None,
    **request: Any,
) -> httpx.Response:
    """Send and return the answer, whatever its status below 500 other than 429.

    `changes`: the request has an effect at the vendor, so that a lost answer means UnknownOutcome; otherwise, and when
    nothing was sent, Unavailable. 429 raises RateLimited. A 5xx raises UnknownOutcome for a change (a gateway may have
    passed it on) and Unavailable for a read; either carries `retry_after` when the answer named one. `limit_wait`: how
    the vendor names the seconds to wait in a 429, where that is not by Retry-After alone.
    """
    lost: type[Unavailable | UnknownOutcome] = UnknownOutcome if changes else Unavailable
    try:
        response = await client.request(method, url, **request)
    except NOT_SENT as error:
        raise Unavailable(f"{method} {_where(client, url)}: not reached: {describe(error)}") from error
    except UNANSWERED as error:
        raise lost(f"{method} {_where(client, url)}: no answer: {describe(error)}") from error
    means = meaning(Said(status=response.status_code), EVERYWHERE)
    if means is Meaning.LIMITED:
        wait = (limit_wait or retry_after)(response) or LIMIT_WAIT
        raise RateLimited(f"{method} {_where(client, url)}: {response.status_code}", retry_after=wait)
    if means is Meaning.PASSING:
        raise lost(f"{method} {_where(client, url)}: {response.status_code}", retry_after=retry_after(response))
    return response


def describe(error: Exception) -> str:
    """The kind of failure and its text, which httpx leaves empty for timeouts."""
    return redact(f"{type(error).__name__} {error}".strip())


def retry_after(response: httpx.Response) -> float | None:
    """Seconds named by Retry-After, in either of its forms (RFC 9110 §10.2.3); None when absent or unreadable."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return min(float(value), LONGEST_WAIT)
    try:
        at = email.utils.parsedate_to_datetime(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), LONGEST_WAIT)


def _where(client: httpx.AsyncClient, url: str) -> str:
    return redact(f"{client.base_url.host}{httpx.URL(url).path or client.base_url.path}")
