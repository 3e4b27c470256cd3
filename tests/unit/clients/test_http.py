"""What a failure of the network or of a server means to the caller."""

import asyncio
import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from shared.clients.github.answers import MOST_PAGES, Pages
from shared.clients.http import LARGEST_ANSWER, USER_AGENT, HttpClient, Internet, Request, Response, retry_after
from shared.errors import ConfigError, RateLimited, Unavailable, UnknownOutcome
from shared.runtime.redaction import MASK


def a_client(answer: Callable[[httpx.Request], httpx.Response], **options) -> HttpClient:
    network = Internet(transport=httpx.MockTransport(answer))
    return HttpClient("https://api.example/v2", network=network, **options)


def failing(error: Exception) -> HttpClient:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise error

    return a_client(fail)


def answering(status: int, **headers: str) -> HttpClient:
    return a_client(lambda _: httpx.Response(status, headers=headers))


async def test_a_request_goes_to_the_vendor_as_ours():
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    client = a_client(answer, headers={"X-Extra": "1"})
    await client.send("POST", "/things?q=x", changes=True, json={"a": 1})

    (request,) = seen
    assert str(request.url) == "https://api.example/v2/things?q=x"
    assert request.content == b'{"a":1}'
    assert (request.headers["user-agent"], request.headers["x-extra"]) == (USER_AGENT, "1")


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
async def test_vendors_are_called_through_the_proxy_of_the_environment(no_proxies, name):
    # Given a proxy where nobody listens
    no_proxies.setenv(name, "http://127.0.0.1:1")

    # When a vendor is called, whose name cannot be resolved here
    async with HttpClient("https://vendor.invalid") as client:
        with pytest.raises(Unavailable) as caught:
            await client.send("GET", "/", changes=False)

    # Then it is the proxy that was not reached
    assert isinstance(caught.value.__cause__, httpx.ConnectError)
    assert "Name or service not known" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "[::1]"])
async def test_this_machine_is_called_through_no_proxy(no_proxies, host):
    # Given a proxy that no client can be made for
    no_proxies.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    no_proxies.setenv("HTTP_PROXY", "socks5://127.0.0.1:1")

    # Then a client for this machine is made all the same
    async with HttpClient(f"http://{host}:8080") as client:
        assert client.base_url.endswith(":8080")


@pytest.mark.parametrize("proxy", ["socks5://proxy.example:1080", "gopher://proxy.example"])
def test_a_proxy_that_cannot_be_used_is_named(no_proxies, proxy):
    no_proxies.setenv("ALL_PROXY", proxy)

    with pytest.raises(
        ConfigError, match=r"ALL_PROXY in the environment: .* Name an http:// proxy there, or .* NO_PROXY"
    ):
        HttpClient("https://api.github.com")


@pytest.mark.parametrize("status", [200, 201, 302, 404, 422])
@pytest.mark.parametrize("changes", [True, False])
async def test_answers_below_500_are_the_callers_to_judge(status, changes):
    response = await answering(status, location="/elsewhere").send("GET", "/", changes=changes)

    assert response.status_code == status


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
@pytest.mark.parametrize("changes", [True, False])
async def test_what_was_never_sent_may_be_sent_again(error, changes):
    with pytest.raises(Unavailable, match=rf"^POST api\.example/v2/things: not reached: {error.__name__}$"):
        await failing(error("")).send("POST", "/things", changes=changes)


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError])
@pytest.mark.parametrize(("changes", "meaning"), [(True, UnknownOutcome), (False, Unavailable)])
async def test_a_lost_answer(error, changes, meaning):
    with pytest.raises(meaning, match=f"no answer: {error.__name__}"):
        await failing(error("")).send("POST", "/things", changes=changes)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(("changes", "meaning"), [(True, UnknownOutcome), (False, Unavailable)])
async def test_a_failing_server(status, changes, meaning):
    with pytest.raises(meaning, match=rf"^GET api\.example/.*: {status}$") as caught:
        await answering(status, **{"retry-after": "7"}).send("GET", "", changes=changes)

    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize(("headers", "seconds"), [({"retry-after": "7"}, 7.0), ({}, 60.0)])
async def test_too_many_requests(headers, seconds):
    with pytest.raises(RateLimited) as caught:
        await answering(429, **headers).send("GET", "/", changes=True)

    assert caught.value.retry_after == seconds


async def test_no_secret_of_the_url_or_the_failure_is_told():
    with pytest.raises(Unavailable) as caught:
        await failing(httpx.ConnectError("proxy http://u:hunter2@proxy")).send(
            "POST",
            "/bot123456:AAFabcdef/sendMessage?token=hunter2",
            changes=True,
        )

    assert "hunter2" not in str(caught.value)
    assert "AAFabcdef" not in str(caught.value)
    assert MASK in str(caught.value)


def answered(value: str | None) -> Response:
    headers = {} if value is None else {"retry-after": value}
    return Response(503, headers, b"", Request("GET", "https://api.example", {}))


@pytest.mark.parametrize(
    ("value", "seconds"), [("0", 0.0), ("120", 120.0), (" 5 ", 5.0), ("", None), ("soon", None), ("-1", None)]
)
def test_retry_after_in_seconds(value, seconds):
    assert retry_after(answered(value)) == seconds


def test_retry_after_as_a_date():
    now = datetime.now(UTC)
    later = answered(format_datetime(now + timedelta(seconds=90), usegmt=True))
    past = answered(format_datetime(now - timedelta(days=1), usegmt=True))

    assert 60 < retry_after(later) <= 90
    assert retry_after(past) == 0.0
    assert retry_after(answered(None)) is None


# Answers without measure


@contextlib.asynccontextmanager
async def serving(*parts: bytes) -> AsyncIterator[HttpClient]:
    """A server whose every answer is these bytes, to the end of the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    client = HttpClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, client:
        yield client


def headed(*headers: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", "Connection: close", *headers, "", ""]).encode()


def bomb(size: int) -> bytes:
    """So many zeros, in a thousandth of the bytes."""
    pack = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    packed = [pack.compress(bytes(1024**2)) for _ in range(size // 1024**2)]
    return b"".join([*packed, pack.flush()])


@pytest.mark.parametrize("changes", [False, True])
async def test_a_small_answer_that_unpacks_to_a_large_one_takes_no_memory(changes):
    packed = bomb(300 * 1024**2)
    assert len(packed) < 320_000
    async with serving(headed("Content-Encoding: gzip", f"Content-Length: {len(packed)}"), packed) as client:
        await asyncio.sleep(0)
        tracemalloc.start()
        try:
            with pytest.raises(UnknownOutcome if changes else Unavailable, match="TooLarge more than 8 MiB"):
                await client.send("GET", "/", changes=changes)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 4 * LARGEST_ANSWER


@pytest.mark.parametrize("headers", [(), (f"Content-Length: {10**9}",)], ids=["to the end", "announced"])
async def test_an_answer_without_end_is_read_no_further(headers):
    async with serving(headed(*headers), *[bytes(1024**2)] * 64) as client:
        with pytest.raises(Unavailable, match="TooLarge"):
            await client.send("GET", "/", changes=False)


async def test_what_is_packed_as_asked_for_is_unpacked():
    packed = gzip.compress(b'{"a": 1}' * 100_000)
    async with serving(headed("Content-Encoding: gzip"), packed) as client:
        answer = await client.send("GET", "/", changes=False)
    assert answer.content == b'{"a": 1}' * 100_000
    assert answer.request.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("packing", "body"),
    [("gzip", b"not packed"), ("br", b"\x0b\x02\x80hello\x03"), ("zstd", b"x"), ("gzip, gzip", b"x")],
)
async def test_what_is_packed_otherwise_is_no_answer(packing, body):
    async with serving(headed(f"Content-Encoding: {packing}"), body) as client:
        with pytest.raises(Unavailable, match="DecodingError"):
            await client.send("GET", "/", changes=False)


async def test_an_answer_of_the_largest_size_is_read():
    async with serving(headed(), bytes(LARGEST_ANSWER)) as client:
        assert len((await client.send("GET", "/", changes=False)).content) == LARGEST_ANSWER


def endless(following: Callable[[int], int]) -> Pages[list[int]]:
    """A list whose every page names another one."""

    async def ask(url: str) -> Response:
        page = int(url.rpartition("=")[2])
        link = f'<https://api.example/things?page={following(page)}>; rel="next"'
        return Response(200, {"link": link}, b"[%d]" % page, Request("GET", url, {}))

    return Pages(ask, "https://api.example/things?page=1", list[int])


@pytest.mark.parametrize(
    ("following", "taken"), [(lambda page: page + 1, MOST_PAGES), (lambda page: page % 3 + 1, 3), (lambda _: 1, 1)]
)
async def test_a_list_without_end_is_given_up(following, taken):
    seen = []

    async def take() -> None:
        async for page in endless(following):
            seen.extend(page)

    with pytest.raises(Unavailable, match=f"GET https://api.example/things: a list without an end: {taken} pages"):
        await take()
    assert len(seen) == taken
