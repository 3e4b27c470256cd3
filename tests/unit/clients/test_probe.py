"""The probe against prepared answers, and against real servers on this machine that behave badly."""

import asyncio
import gzip
import ipaddress
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.world.application import Application
from local.world.clock import VirtualClock
from local.world.railway.server import RailwayWorld
from shared.clients.health_body import HealthRule
from shared.clients.probe import Probe, Visitor
from shared.core.observed import Answer
from shared.core.run import Verdict

NEW = "a" * 40
URL = "https://shop.example/health"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def look_at(response: httpx.Response | httpx.TransportError, url: str = URL, **how: Any) -> Answer:
    """One look at a server that gives this answer, or fails so."""

    def handle(_: httpx.Request) -> httpx.Response:
        if isinstance(response, httpx.TransportError):
            raise response
        return response

    probe = Probe(network=Visitor(httpx.MockTransport(handle)))
    try:
        return await probe.look(url, **{"timeout": 5, "commit_field": None, "commit_header": None, **how})
    finally:
        await probe.close()


@asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free port of this machine, given away when it starts and closed with its connections."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def probe() -> AsyncIterator[Probe]:
    """One that may look at this machine."""
    probe = Probe(allow_loopback=True)
    yield probe
    await probe.close()


async def look(probe: Probe, url: str, *, timeout: float = 5, field: str | None = None) -> Answer:  # noqa: ASYNC109
    return await probe.look(url, timeout=timeout, commit_field=field, commit_header=None)


# What answers mean


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (204, True), (304, False), (404, False), (503, False)])
async def test_only_a_2xx_is_healthy(status: int, healthy: bool) -> None:
    answer = await look_at(httpx.Response(status))

    assert (answer.reached, answer.status, answer.healthy) == (True, status, healthy)
    assert str(status) in answer.detail


async def test_a_reason_phrase_made_to_be_slow_to_mask_is_a_failure_like_another() -> None:
    endless = b"x-token-" * 8000
    begun = process_time()

    answer = await look_at(httpx.Response(503, extensions={"reason_phrase": endless}))

    assert answer.verdict(answered_before=False) is Verdict.FAIL
    assert len(answer.detail) < 250
    assert process_time() - begun < 2


async def test_a_redirect_is_not_followed_and_says_where_it_led() -> None:
    answer = await look_at(httpx.Response(302, headers={"location": "https://login.example/x?token=abc"}))

    assert (answer.reached, answer.status, answer.healthy) == (True, 302, False)
    assert answer.detail == "302 Found, redirects to https://login.example/x", "a query may hold a secret"


@pytest.mark.parametrize(
    ("location", "led"),
    [
        ("/sign-in", "https://shop.example/sign-in"),
        ("https://me:word@login.example:8443/x#fragment", "https://login.example:8443/x"),
        ("https://login.example/" + "x" * 500, "https://login.example/" + "x" * 178),
    ],
    ids=["on the same host", "with a password", "a long one"],
)
async def test_where_a_redirect_led_is_shown_without_secrets(location: str, led: str) -> None:
    answer = await look_at(httpx.Response(302, headers={"location": location}), "https://shop.example/health")

    assert answer.detail == f"302 Found, redirects to {led}"


EDGE_HEADER = {"server": "railway-edge", "x-railway-fallback": "true"}
EDGE_BODY = {"status": "error", "code": 404, "message": "Application not found", "request_id": "abc"}


class TestEdge:
    """Railway's edge answers by itself: 404 without a route, 502 when nothing listens."""

    @pytest.mark.parametrize(
        "response",
        [
            httpx.Response(404, headers=EDGE_HEADER, json=EDGE_BODY),
            httpx.Response(404, headers=EDGE_HEADER, text="<html>Not Found</html>"),
            httpx.Response(502, headers=EDGE_HEADER),
            httpx.Response(404, json=EDGE_BODY),
            httpx.Response(502, json=EDGE_BODY | {"code": 502, "message": "Application failed to respond"}),
        ],
        ids=["404", "as a page", "502", "404 without the header", "502 without the header"],
    )
    async def test_its_own_answers_are_told_from_the_applications(self, response: httpx.Response) -> None:
        answer = await look_at(response)

        assert (answer.reached, answer.by_edge, answer.by_application, answer.healthy) == (True, True, False, False)
        assert answer.detail.endswith(", from Railway's edge and not from the application")

    @pytest.mark.parametrize(
        "response",
        [
            httpx.Response(404, headers={"server": "railway-edge"}),
            httpx.Response(404, headers={"x-railway-fallback": "false"}, json={"status": "error"}),
            httpx.Response(404, json={k: v for k, v in EDGE_BODY.items() if k != "request_id"}),
            httpx.Response(502, json=EDGE_BODY),
            httpx.Response(503, json=EDGE_BODY | {"code": 503}),
            httpx.Response(200, headers=EDGE_HEADER),
        ],
        ids=["behind the edge", "not its fallback", "a body like it", "another status", "a 503", "a success"],
    )
    async def test_an_application_behind_it_answers_for_itself(self, response: httpx.Response) -> None:
        answer = await look_at(response)

        assert (answer.by_edge, answer.by_application) == (False, True)

    async def test_before_the_version_answered_it_says_nothing_and_then_that_it_is_gone(self) -> None:
        answer = await look_at(httpx.Response(404, headers=EDGE_HEADER))

        assert answer.verdict(answered_before=False) is Verdict.INCONCLUSIVE
        assert answer.verdict(answered_before=True) is Verdict.FAIL


@pytest.mark.parametrize(
    ("body", "healthy", "detail"),
    [
        ({"status": "unhealthy"}, False, "200 OK, status unhealthy"),
        ({"status": "degraded"}, True, "200 OK, status degraded"),
        ({"status": "pass", "checks": {"db": [{"status": "fail"}]}}, False, "200 OK, check db is fail"),
        ({"status": "ok"}, True, "200 OK"),
    ],
)
async def test_the_body_of_a_200_counts(body: dict[str, Any], healthy: bool, detail: str) -> None:
    answer = await look_at(httpx.Response(200, json=body))

    assert (answer.healthy, answer.detail) == (healthy, detail)


async def test_a_body_cannot_make_a_503_healthy() -> None:
    answer = await look_at(httpx.Response(503, json={"status": "ok"}), health=HealthRule("status", "ok"))

    assert (answer.healthy, answer.detail) == (False, "503 Service Unavailable")


async def test_the_named_field_decides_over_the_status_word() -> None:
    answer = await look_at(httpx.Response(200, json={"status": "fail", "up": True}), health=HealthRule("up", True))

    assert answer.healthy


async def test_a_page_that_speaks_of_failure_is_judged_by_its_status() -> None:
    assert (await look_at(httpx.Response(200, text="unhealthy"))).healthy


@pytest.mark.parametrize("location", ["https://host:port/", "https://xn--/"])
async def test_a_redirect_to_nowhere_is_a_broken_answer(probe: Probe, location: str) -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    async with serving(redirect) as port:
        answer = await look(probe, f"http://127.0.0.1:{port}/health")

    assert (answer.reached, answer.status, answer.healthy) == (True, None, False)


async def test_a_body_that_does_not_decompress_is_a_broken_answer(probe: Probe) -> None:
    async def compressed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\noops")
        await writer.drain()

    async with serving(compressed) as port:
        answer = await look(probe, f"http://127.0.0.1:{port}/health")

    assert (answer.reached, answer.healthy) == (True, False)
    assert "DecodingError" in answer.detail


def packed(encoding: str, body: bytes) -> Handler:
    """A server that compresses what it was asked to send plainly."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
async def test_a_body_that_is_packed_all_the_same_is_read(
    probe: Probe, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    async with serving(packed(encoding, pack(b'{"commit": "abc1234"}'))) as port:
        answer = await look(probe, f"http://127.0.0.1:{port}/health", field="commit")

    assert (answer.healthy, answer.commit) == (True, "abc1234")


@pytest.mark.parametrize(
    ("encoding", "layers", "detail"),
    [("gzip", 1, "200 OK, body larger than 64 KiB"), ("gzip, gzip", 2, "200 OK, body is not JSON")],
)
async def test_a_small_body_cannot_grow_into_a_huge_one(probe: Probe, encoding: str, layers: int, detail: str) -> None:
    # Given a few kilobytes that hold 32 MiB
    bomb = b" " * 32 * 1024 * 1024
    for _ in range(layers):
        bomb = gzip.compress(bomb)

    # When they are what the health answer has for a body
    async with serving(packed(encoding, bomb)) as port:
        tracemalloc.start()
        answer = await look(probe, f"http://127.0.0.1:{port}/health", field="commit")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    # Then they stay small
    assert answer.detail == detail
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("response", "commit", "detail"),
    [
        (httpx.Response(200, json={"build": {"commit": f" {NEW}\n"}}), NEW, "200 OK"),
        (httpx.Response(503, json={"build": {"commit": NEW}}), NEW, "503 Service Unavailable"),
        (httpx.Response(200, json={"build": {"commit": "x" * 1000}}), "x" * 100, "200 OK"),
        (httpx.Response(200, json={"build": {"commit": 7}}), None, "200 OK, without a field build.commit"),
        (httpx.Response(200, json={"build": "x"}), None, "200 OK, without a field build.commit"),
        (httpx.Response(200, json=[1]), None, "200 OK, without a field build.commit"),
        (httpx.Response(200, text="ok"), None, "200 OK, body is not JSON"),
        (httpx.Response(200, content=b'{"a": "\xff"}'), None, "200 OK, body is not JSON"),
        (httpx.Response(200, content=b"[" * 60_000), None, "200 OK, body is not JSON"),
    ],
)
async def test_the_commit_is_read_from_a_field_of_the_body(
    response: httpx.Response, commit: str | None, detail: str
) -> None:
    answer = await look_at(response, commit_field="build.commit")

    assert (answer.commit, answer.detail) == (commit, detail)
    assert answer.healthy is response.is_success


async def test_the_commit_is_read_from_a_header() -> None:
    found = await look_at(httpx.Response(200, headers={"X-Commit": NEW}), commit_header="x-COMMIT")
    missed = await look_at(httpx.Response(200), commit_header="x-commit")

    assert (found.commit, found.detail) == (NEW, "200 OK")
    assert (missed.commit, missed.detail) == (None, "200 OK, without a header x-commit")


async def test_a_large_body_is_read_in_part_only() -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        while read < 10_000_000:
            read += 16_384
            yield b" " * 16_384

    answer = await look_at(httpx.Response(200, content=body()), commit_field="commit")

    assert (answer.healthy, answer.commit) == (True, None)
    assert answer.detail == "200 OK, body larger than 64 KiB"
    assert read < 100_000


# What failures mean


@pytest.mark.parametrize("error", [httpx.ConnectError("no route"), httpx.ConnectTimeout(""), httpx.PoolTimeout("")])
async def test_no_connection_says_nothing_about_the_application(error: httpx.TransportError) -> None:
    answer = await look_at(error)

    assert (answer.reached, answer.status, answer.healthy) == (False, None, False)
    assert type(error).__name__ in answer.detail


@pytest.mark.parametrize("error", [httpx.ReadTimeout(""), httpx.ReadError(""), httpx.RemoteProtocolError("bad")])
async def test_a_connection_without_an_answer_is_unhealthy(error: httpx.TransportError) -> None:
    answer = await look_at(error)

    assert (answer.reached, answer.status, answer.healthy) == (True, None, False)
    assert type(error).__name__ in answer.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "https://xn--/",
        f"https://{'a' * 300}.example/",
        "health",
        "ftp://127.0.0.1/",
        "https:///health",
    ],
)
async def test_what_is_no_address_is_not_reached(probe: Probe, url: str) -> None:
    answer = await look(probe, url)

    assert (answer.reached, answer.healthy) == (False, False)


async def test_a_name_that_does_not_resolve_is_not_reached(probe: Probe) -> None:
    answer = await look(probe, "https://nobody.invalid/health")

    assert not answer.reached
    assert answer.detail.startswith("not reached: ConnectError")


async def test_cookies_do_not_reach_the_next_look() -> None:
    sent: list[str | None] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"set-cookie": "instance=1"})

    probe = Probe(network=Visitor(httpx.MockTransport(handle)))
    await look(probe, URL)
    await look(probe, URL)
    await probe.close()

    assert sent == [None, None]


# Real connections


async def test_a_refused_connection_is_not_reached(probe: Probe) -> None:
    async with serving(nothing) as port:
        pass  # closed again: nobody listens there now

    answer = await look(probe, f"http://127.0.0.1:{port}/health")

    assert not answer.reached


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accepts, and never answers."""
    await asyncio.Event().wait()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, each within any timeout for one read."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(100_000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer that never comes to its body."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        writer.write(b"X-%d: x\r\n" % number)
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One header of megabytes."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(1_000):
        writer.write(b"x" * 65_536)
        await writer.drain()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await writer.drain()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with the Host it was asked for, as the commit."""
    request = await reader.readuntil(b"\r\n\r\n")
    host = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"host:"))[6:]
    body = b'{"commit": "' + host + b'"}'
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()


@pytest.mark.parametrize("handler", [nothing, drip, drip_headers])
async def test_silence_and_a_slow_drip_end_with_the_time_given(probe: Probe, handler: Handler) -> None:
    loop = asyncio.get_running_loop()
    async with serving(handler) as port:
        started = loop.time()
        answer = await look(probe, f"http://127.0.0.1:{port}/health", timeout=2.0)
        took = loop.time() - started

    assert (answer.reached, answer.healthy) == (True, False)
    assert answer.detail == "no complete answer within 2 s"
    assert took < 10


@pytest.mark.parametrize("handler", [hang_up, babble, endless_headers])
async def test_a_broken_answer_is_reached_and_unhealthy(probe: Probe, handler: Handler) -> None:
    async with serving(handler) as port:
        answer = await look(probe, f"http://127.0.0.1:{port}/health")

    assert (answer.reached, answer.status, answer.healthy) == (True, None, False)
    assert answer.detail.startswith("no proper answer: RemoteProtocolError")


async def test_a_handshake_that_hangs_is_not_reached(probe: Probe) -> None:
    async with serving(nothing) as port:
        answer = await look(probe, f"https://127.0.0.1:{port}/health", timeout=0.3)

    assert not answer.reached


async def test_a_server_without_tls_is_not_reached_by_https(probe: Probe) -> None:
    async with serving(babble) as port:
        answer = await look(probe, f"https://127.0.0.1:{port}/health")

    assert (answer.reached, answer.healthy) == (False, False)


async def test_each_look_has_a_connection_of_its_own_and_the_hosts_name(probe: Probe) -> None:
    connections = 0

    async def greet_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await greet(reader, writer)
        await greet(reader, writer)

    async with serving(greet_twice) as port:
        answers = [await look(probe, f"http://localhost:{port}/health", field="commit") for _ in range(2)]

    assert connections == 2
    assert [answer.commit for answer in answers] == [f"localhost:{port}"] * 2
    assert all(answer.healthy for answer in answers)


async def test_the_certificate_is_checked_for_the_name_though_the_address_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a server with a certificate for "localhost", of an authority that the probe trusts
    context = self_signed(tmp_path / "server.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    probe = Probe(allow_loopback=True)

    async with serving(greet, tls=context) as port:
        by_name = await look(probe, f"https://localhost:{port}/health", field="commit")
        by_address = await look(probe, f"https://127.0.0.1:{port}/health")
    await probe.close()

    assert (by_name.healthy, by_name.commit) == (True, f"localhost:{port}")
    assert not by_address.reached
    assert "certificate" in by_address.detail


def self_signed(path: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


# Addresses that are nobody's business


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "240.0.0.1",
        "[::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b::6440:1]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[2001::a9fe:a9fe]",
        "[::a9fe:a9fe]",
        "[::ffff:0:a9fe:a9fe]",
        "[fec0::1]",
        "[fd12:3456:789a::1]",
        "[4000::1]",
        "0xa9fea9fe",
        "169.254.43518",
        "192.0.2.1",
        "198.18.0.1",
        "255.255.255.255",
    ],
)
async def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    probe = Probe()

    answer = await look(probe, f"http://{host}/health", timeout=3)
    await probe.close()

    assert answer == Answer(reached=False, detail="refused: private address")


async def test_this_machine_is_allowed_on_request_and_no_other_private_address(probe: Probe) -> None:
    answer = await look(probe, "http://169.254.169.254/computeMetadata/v1/")

    assert answer.detail == "refused: private address"


class Resolving(asyncio.SelectorEventLoop):
    """An event loop whose resolver gives names the addresses that a test wants."""

    names: dict[str, list[str]]

    async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:  # type: ignore[override]
        found = self.names.get(host.decode() if isinstance(host, bytes) else host)
        if found is None:
            return await super().getaddrinfo(host, port, **how)
        families = [10 if ipaddress.ip_address(address).version == 6 else 2 for address in found]
        return [(family, 1, 6, "", (address, port)) for family, address in zip(families, found, strict=True)]


def resolving(
    names: dict[str, list[str]], look: Callable[[], Awaitable[Answer]], loop: Resolving | None = None
) -> Answer:
    """The answer of a look for which names resolve like this."""
    loop = loop or Resolving()
    loop.names = names

    async def run() -> Answer:
        return await look()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(run())


def test_a_name_is_refused_when_any_of_its_addresses_is_private() -> None:
    async def visit() -> Answer:
        probe = Probe()
        try:
            return await look(probe, "http://rebound.example/", timeout=3)
        finally:
            await probe.close()

    answer = resolving({"rebound.example": ["93.184.215.14", "10.0.0.1"]}, visit)

    assert answer.detail == "refused: private address"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("metadata.google.internal", "169.254.169.254"),
        ("web.railway.internal", "fd12:7363:9a3b::1"),
        ("nat64.example", "64:ff9b::a9fe:a9fe"),
        ("mapped.example", "::ffff:10.0.0.1"),
        ("carrier.example", "100.64.0.1"),
    ],
)
def test_a_name_of_something_inside_is_refused(name: str, address: str) -> None:
    async def visit() -> Answer:
        probe = Probe()
        try:
            return await look(probe, f"http://{name}/", timeout=3)
        finally:
            await probe.close()

    assert resolving({name: [address]}, visit) == Answer(reached=False, detail="refused: private address")


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    # Given a name that leads to this machine when it is looked up first, and nowhere after that
    class Rebinding(Resolving):
        asked = 0

        async def getaddrinfo(self, host: Any, port: Any, **how: Any) -> Any:  # type: ignore[override]
            if host == b"rebound.example":
                self.asked += 1
                self.names = {"rebound.example": ["127.0.0.1" if self.asked == 1 else "127.9.9.9"]}
            return await super().getaddrinfo(host, port, **how)

    async def visit() -> Answer:
        probe = Probe(allow_loopback=True)
        try:
            async with serving(greet) as port:
                return await look(probe, f"http://rebound.example:{port}/", field="commit")
        finally:
            await probe.close()

    # When it is looked at
    loop = Rebinding()
    answer = resolving({}, visit, loop)

    # Then the one look-up was all there was
    assert answer.healthy
    assert loop.asked == 1


async def test_a_redirect_to_something_inside_is_not_followed(probe: Probe) -> None:
    # Given a server that redirects to another one on this machine
    visited = 0

    async def inside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visited
        visited += 1
        await greet(reader, writer)

    async with serving(inside) as secret_port:

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            where = f"http://127.0.0.1:{secret_port}/computeMetadata/v1/"
            writer.write(f"HTTP/1.1 307 Moved\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()

        # When it is looked at
        async with serving(redirect) as port:
            answer = await look(probe, f"http://127.0.0.1:{port}/health")

    # Then nobody went there
    assert (answer.status, answer.healthy, visited) == (307, False, 0)


def test_the_next_address_is_tried_when_one_does_not_connect() -> None:
    async def visit() -> Answer:
        probe = Probe(allow_loopback=True)
        try:
            async with serving(greet) as port:
                return await look(probe, f"http://two.example:{port}/", field="commit")
        finally:
            await probe.close()

    answer = resolving({"two.example": ["127.0.0.2", "127.0.0.1"]}, visit)

    assert answer.healthy
    assert answer.commit.startswith("two.example:")


# Addresses to look at


@pytest.mark.parametrize(
    ("host", "path", "allowed", "address"),
    [
        ("shop.up.railway.app", "/health", True, "https://shop.up.railway.app/health"),
        ("shop.up.railway.app", "health", False, "https://shop.up.railway.app/health"),
        ("127.0.0.1:8080", "/health", True, "http://127.0.0.1:8080/health"),
        ("127.0.0.1:8080", "/health", False, "https://127.0.0.1:8080/health"),
        ("localhost", "/", True, "http://localhost/"),
        ("[::1]:8080", "/health", True, "http://[::1]:8080/health"),
        ("10.0.0.1", "/health", True, "https://10.0.0.1/health"),
        ("[broken", "/health", True, "https://[broken/health"),
        ("", "/health", True, "https:///health"),
    ],
)
async def test_an_address_is_https_but_for_this_machine(host: str, path: str, allowed: bool, address: str) -> None:
    probe = Probe(allow_loopback=allowed)

    assert probe.address(host, path) == address
    await probe.close()


# The simulated application


async def test_the_simulated_application_shows_its_commit() -> None:
    # Given a service that an old deployment serves
    world = RailwayWorld(clock=VirtualClock(datetime(2026, 11, 22, tzinfo=UTC)), token="t", webhook_secret="s")
    world.add_service(
        project_id="p", environment_id="e", service_id="s", name="web", repository="a/b", serving_commit=NEW
    )
    application = Application(world, service_id="s", environment_id="e")
    probe = Probe(network=application)

    # When it is looked at
    answer = await look(probe, "https://shop.up.railway.app/health", field="commit")
    await probe.close()

    # Then it is healthy and shows its commit
    assert answer == Answer(reached=True, status=200, healthy=True, commit=NEW, detail="200 OK")
