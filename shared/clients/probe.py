"""Looks at the user's application from outside: does it answer, is it healthy, and which commit answers."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import zlib
from typing import Any
from urllib.parse import urlsplit

import httpx

from shared.clients import health_body
from shared.clients.health_body import HealthRule
from shared.clients.http import GZIP_OR_DEFLATE, PACKINGS, USER_AGENT, Network, NoCookies, Request, Response, describe
from shared.core.observed import Answer
from shared.runtime.forgiving import is_loopback
from shared.runtime.redaction import redact, shown_url

LARGEST_BODY = 64 * 1024
CONNECT_TIMEOUT = 5.0
LONGEST_COMMIT = 100
LONGEST_STATUS = 100
LONGEST_REDIRECT = 200

_HEADERS = {
    "user-agent": USER_AGENT,
    "accept": "application/json, */*",
    "accept-encoding": "identity",
    "cache-control": "no-cache",
    "connection": "close",
}
_REDIRECTS = (301, 302, 303, 307, 308)
_NOT_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that is assigned for public use (RFC 4291 §2.4); `is_global` takes site-local addresses for public, too."""
_EDGE_HEADER = "x-railway-fallback"
_EDGE_ANSWERS = {404: "Application not found", 502: "Application failed to respond"}
"""How Railway's edge answers by itself: with this header set to `true`, and this message in a JSON body.

404 while it has no route to the service (nothing is live yet, or the service is paused or waking), 502 when nothing
accepts the connection at the service's port (not listening yet, crashed, or another port). Railway documents the words
(docs.railway.com, Errors, "Application Failed to Respond") but not the header; that both come with it, and that an
application's own answer does not, is what many public captures of 2025 and 2026 show (confidence B). Without the header
the body counts when it is exactly the edge's: `status` "error", `code`, `message` and `request_id` (also B).
"""


class Probe:
    """One instance's prober. Its connections are never reused, so that each look sees what a new visitor would."""

    def __init__(self, *, allow_loopback: bool = False, network: Network | None = None) -> None:
        self._allow_loopback = allow_loopback
        self._visitor = None if network else Visitor(_PublicTransport(allow_loopback))
        self._network: Network = network or self._visitor  # type: ignore[assignment]

    def address(self, host: str, path: str) -> str:
        """Where the health of a host is: by https, by http only for a host of this machine where those are allowed."""
        scheme = "http" if self._allow_loopback and _names_loopback(host) else "https"
        return f"{scheme}://{host}/{path.lstrip('/')}"

    async def look(
        self,
        url: str,
        *,
        timeout: float,  # noqa: ASYNC109 - it bounds the whole look, and running out is an answer, not an error
        commit_field: str | None = None,
        commit_header: str | None = None,
        health: HealthRule | None = None,
    ) -> Answer:
        """GET once, within `timeout` seconds in all. Whatever the network or the server does is in the answer."""
        sent: list[bool] = []
        request = Request("GET", url, _HEADERS, within=timeout, on_sent=lambda: sent.append(True))
        try:
            async with asyncio.timeout(timeout):
                response = await self._network(request)
            return _judge(response, commit_field, commit_header, health)
        except TimeoutError:
            return Answer(reached=bool(sent), detail=f"no complete answer within {timeout:g} s")
        except _Private:
            return Answer(reached=False, detail="refused: private address")
        except (httpx.InvalidURL, UnicodeError) as error:  # the latter also when httpx decodes a redirect's xn-- name
            return Answer(reached=bool(sent), detail=redact(f"not an address: {error}"))
        except _NOT_REACHED as error:
            return Answer(reached=False, detail=f"not reached: {describe(error)}")
        except (httpx.TransportError, httpx.DecodingError) as error:
            return Answer(reached=True, detail=redact(f"no proper answer: {type(error).__name__} {error}".strip()))

    async def close(self) -> None:
        if self._visitor is not None:
            await self._visitor.close()


class Visitor:
    """The network by httpx, for one look: the first 64 KiB of a body are enough, and no connection is used again."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._client = httpx.AsyncClient(transport=transport, follow_redirects=False, cookies=NoCookies())

    async def __call__(self, request: Request) -> Response:
        """Unpacks the body itself: httpx would take a kilobyte to a gigabyte if the server wants it to."""

        async def trace(event: str, _: dict[str, Any]) -> None:
            if request.on_sent and event.endswith("send_request_headers.started"):
                request.on_sent()

        # TCP and TLS have a third of the time each: httpcore 1.0 leaks a connection that is cancelled in its handshake.
        within = request.within or CONNECT_TIMEOUT
        limits = httpx.Timeout(within, connect=min(within / 3, CONNECT_TIMEOUT))
        headers, more = dict(request.headers), {"trace": trace}
        body = b""
        async with self._client.stream(
            request.method, request.url, headers=headers, timeout=limits, extensions=more
        ) as answer:
            packing = answer.headers.pop("content-encoding", "identity")
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_BODY:
                    break
        return Response(answer.status_code, answer.headers, _unpacked(body, packing), request, answer.reason_phrase)

    async def close(self) -> None:
        await self._client.aclose()


class _Private(Exception):
    """The host is, or resolves to, an address that is not on the public internet."""


class _PublicTransport(httpx.AsyncHTTPTransport):
    """Connects to the very addresses it has checked, so that a name cannot resolve to another one in between.

    Without kept-alive connections: two hosts behind one edge address would share them, and so their certificates.
    """

    def __init__(self, allow_loopback: bool) -> None:
        super().__init__(limits=httpx.Limits(max_keepalive_connections=0))
        self._allow_loopback = allow_loopback

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.raw_host
        addresses = await self._resolve(host, request)
        request.extensions = {**request.extensions, "sni_hostname": host.decode("ascii")}
        for address in addresses[:-1]:
            request.url = request.url.copy_with(host=address)
            try:
                return await super().handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        request.url = request.url.copy_with(host=addresses[-1])
        return await super().handle_async_request(request)

    async def _resolve(self, host: bytes, request: httpx.Request) -> list[str]:
        """The host's addresses, IPv4 first since a function may have no IPv6. Raises _Private and ConnectError."""
        if not host or (request.url.port or 0) > 65535:
            raise httpx.UnsupportedProtocol("the address names no host, or no port that exists", request=request)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpx.ConnectError(str(error), request=request) from error
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        addresses = [str(entry[4][0]) for entry in found]
        if not all(self._allowed(address) for address in addresses):
            raise _Private(host)
        return addresses

    def _allowed(self, address: str) -> bool:
        ip = _meant(ipaddress.ip_address(address))
        if ip.is_loopback:
            return self._allow_loopback
        if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_UNICAST:
            return False
        return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _meant(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), or itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    translated = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
    return ip.ipv4_mapped or ip.sixtofour or translated or ip


def _names_loopback(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _unpacked(body: bytes, packing: str) -> bytes:
    """The beginning of a body that the server packed though it was asked not to. Raises httpx.DecodingError."""
    if packing.strip().lower() not in PACKINGS:
        return body
    try:
        return zlib.decompressobj(GZIP_OR_DEFLATE).decompress(body, LARGEST_BODY + 1)
    except zlib.error as error:
        raise httpx.DecodingError(str(error)) from error


def _judge(response: Response, field: str | None, header: str | None, health: HealthRule | None) -> Answer:
    said = redact(f"{response.status_code} {response.reason_phrase}".strip(), LONGEST_STATUS)
    status = response.status_code
    body, location = response.content, response.headers.get("location")
    if status in _REDIRECTS and location is not None:
        led = shown_url(str(httpx.URL(response.request.url).join(location)))[:LONGEST_REDIRECT]
        return Answer(reached=True, status=status, detail=f"{said}, redirects to {led}")
    value = health_body.decode(body) if len(body) <= LARGEST_BODY else None
    if _by_edge(response, value):
        said = f"{said}, from Railway's edge and not from the application"
        return Answer(reached=True, status=status, by_edge=True, detail=said)
    opinion = health_body.judge(value, health, response.headers.get("content-type", ""))
    commit, remark = _commit(response, body, value, field, header)
    opined = f", {opinion.said}" if opinion.said and response.is_success else ""
    return Answer(
        reached=True,
        status=status,
        healthy=response.is_success and opinion.healthy,
        commit=commit,
        detail=f"{said}{opined}{remark}",
    )


def _by_edge(response: Response, value: Any) -> bool:
    message = _EDGE_ANSWERS.get(response.status_code)
    if response.headers.get(_EDGE_HEADER, "").strip().lower() == "true":
        return not response.is_success
    if message is None or not isinstance(value, dict):
        return False
    said = (value.get("status"), value.get("code"), value.get("message"))
    return said == ("error", response.status_code, message) and "request_id" in value


def _commit(
    response: Response, body: bytes, value: Any, field: str | None, header: str | None
) -> tuple[str | None, str]:
    """The commit that the answer names, and, when it should and does not, a remark that says so."""
    if header is not None:
        commit = _readable(response.headers.get(header.lower()))
        return commit, "" if commit else f", without a header {header}"
    if field is None:
        return None, ""
    if len(body) > LARGEST_BODY:
        return None, ", body larger than 64 KiB"
    if value is None:
        return None, ", body is not JSON"
    commit = _readable(health_body.at_path(value, field))
    return commit, "" if commit else f", without a field {field}"


def _readable(value: Any) -> str | None:
    return value.strip()[:LONGEST_COMMIT] or None if isinstance(value, str) else None
