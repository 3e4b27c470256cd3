"""Whatever a vendor answers, its client returns or raises what it documents, and nothing else.

The answers are the simulated vendors' own, with something wrong in them.
"""

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fuzz.calling import Server
from fuzz.inputs import fuzzed, mutated, spoilings, text_of, values, whole_texts
from hypothesis import given
from hypothesis import strategies as st
from networks import replying
from unit.functions.scene import START

from local.emulation.secrets import EnvironmentSecrets
from local.emulation.serving import served_by
from local.simulation.lean import replaced
from local.world.vendors import APP_ID, ENVIRONMENT, PROJECT, REPOSITORY, SERVICE
from shared.clients.github.app import GitHubApp
from shared.clients.github.client import GitHub
from shared.clients.github.operator import GitHubOperator
from shared.clients.http import Internet, Network
from shared.clients.n8n import N8n
from shared.clients.probe import Probe, Visitor
from shared.clients.railway.client import Railway
from shared.core.observed import Answer
from shared.errors import TransientError, VendorError
from shared.runtime.secrets import Secrets

Call = Callable[[Any], Awaitable[object]]
SPOILED = 5
"""Answers that are spoiled at most, in one call of a client: then it must come to its end."""
DAY = 86400.0

statuses = st.sampled_from(
    [
        *(200, 200, 200, 201, 204, 206, 299, 300, 301, 302, 304, 307),
        *(400, 401, 403, 404, 405, 409, 410, 418, 422, 429, 451, 500, 502, 503, 504, 520, 599, 999),
    ]
)
times = st.sampled_from(
    [
        *(b"0", b"1", b"-1", b"1.5", b" 7 ", b"1e3", b"inf", b"nan", b"", b"\xb2", "٣".encode(), b"\xff\xfe", b","),
        *(b"9" * 400, b"9" * 5000, b"253402300800", b"99999999999999", b"1 Jan", b"1 Jan 2026 1:1:1 -0000"),
        *(b"Wed, 21 Oct 2026 07:28:00 GMT", b"Fri, 31 Dec 9999 23:59:59 -2359", b"Mon, 01 Jan 0001 00:00:00 +2359"),
        *(
            b"Mon, 99 Jan 2026 99:00:00 +0000",
            b"1 Jan 99999999999999999999 00:00:00 GMT",
            b"1 Jan 2026 00:00 +99999999999",
        ),
    ]
)
addresses = st.sampled_from(
    [
        *(b"", b"/", b"//", b"?page=2", b"\x7f", b"javascript:alert(1)", b"mailto:x", b"https://evil.test/x"),
        *(b"https://[::1", b"http://x:99999999/", b"http://xn--\xff/", b"https://xn--a.test/", b"http://a b/"),
        *(b"https://user:pw@x.test/", b"http:///x", b"https://" + b"x" * 3000),
    ]
)
links = addresses.map(lambda address: b"<" + address + b'>; rel="next"') | st.sampled_from(
    [b"<", b'rel="next"', b'<x>; rel="next', b"<x>;;;=", b"<>; rel", b'<a>; rel="next", <b>; rel="next"', b"x" * 3000]
)
types = st.sampled_from(
    [
        *("undefined", "hex", "utf-7", "idna", "punycode", "utf-16", "zlib", '"', "unicode_escape", "mbcs", "rot13"),
        *("", "utf-8; charset=hex", "x" * 300),
    ]
).map(lambda charset: f"text/html; charset={charset}".encode())
encodings = st.sampled_from([b"gzip", b"deflate", b"gzip, deflate", b"br", b"zstd", b"x"])
cookies = st.sampled_from([b"=", b";", b"a=b; expires=\xff", b"a=b; max-age=" + b"9" * 400])
header = st.one_of(
    st.tuples(st.just(b"retry-after"), times),
    st.tuples(st.just(b"x-ratelimit-reset"), times),
    st.tuples(st.just(b"x-ratelimit-remaining"), st.sampled_from([b"0", b"-0", b"", b"00"])),
    st.tuples(st.just(b"link"), links),
    st.tuples(st.just(b"location"), addresses),
    st.tuples(st.just(b"content-type"), types),
    st.tuples(st.just(b"content-encoding"), encodings),
    st.tuples(st.just(b"set-cookie"), cookies),
    st.tuples(st.just(b"www-authenticate"), st.sampled_from([b"", b"Digest", b"Basic realm=\xff"])),
)
refusals = st.sampled_from(
    [
        {"message": "You have exceeded a secondary rate limit", "errors": [{"code": "x"}]},
        {"message": "Base branch was modified. Review and try the merge again."},
        {"message": None, "errors": "x"},
        {"data": None, "errors": [{"message": "Not Authorized", "extensions": {"code": "UNAUTHENTICATED"}}]},
        {"data": None, "errors": [{"message": "Problem processing request", "traceId": {"x": [1]}}]},
        {"data": None, "errors": [{"message": "Deployment not found"}]},
        {"data": None, "errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]},
        {"data": None, "errors": [{"type": "NOT_FOUND", "message": "Could not resolve to a Repository"}]},
        {"data": None, "errors": [None]},
        {"data": None, "errors": []},
        {"data": None},
        {"ok": False, "error": "telegram_send_failed", "detail": "x", "execution_id": {}},
        {"message": "n8n is starting up"},
    ]
)
other_bodies = st.sampled_from(
    [b"", b"n8n is starting up", b"<html>", b"\xff\xfe", b'"\\ud800"', gzip.compress(b"{}"), b"null"]
)


class Spoiled(httpx.AsyncBaseTransport):
    """The vendor, whose first answers are drawn; `sent` tells them, for a failure's text."""

    def __init__(self, network: Network, draw: Callable[..., Any]) -> None:
        self._real = httpx.ASGITransport(app=served_by(network), raise_app_exceptions=False)
        self._draw = draw
        self._left = SPOILED

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.host:
            raise httpx.UnsupportedProtocol("no host", request=request)
        response = await self._real.handle_async_request(request)
        body, headers = await response.aread(), response.headers.raw
        if not self._left:
            return httpx.Response(response.status_code, headers=headers, content=body)
        self._left -= 1
        status = self._draw(st.just(response.status_code) | st.just(response.status_code) | statuses, label="status")
        added = self._draw(st.just([]) | st.lists(header, max_size=3), label="headers")
        content = self._draw(_contents(body), label="body")
        return httpx.Response(status, headers=[*added, *headers], stream=_Stream(content))


class _Stream(httpx.AsyncByteStream):
    """As from a network: decoded only when it is read."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


@st.composite
def _contents(draw: st.DrawFn, body: bytes) -> bytes:
    if draw(st.booleans()):
        try:
            document = json.loads(body)
        except ValueError:
            return draw(other_bodies)
        return draw(spoilings).apply(text_of(draw(mutated(document))))
    return draw(st.just(body) | refusals.map(text_of) | other_bodies | values.map(text_of))


GITHUB: Mapping[str, Call] = {
    "pull_request": lambda github: github.pull_request(REPOSITORY, 1),
    "activity": lambda github: github.activity(REPOSITORY),
    "labelled": lambda github: github.labelled(REPOSITORY, 1, "enhancement"),
    "contains": lambda github: github.contains(REPOSITORY, "a" * 40, within="b" * 40),
    "required_checks": lambda github: github.required_checks(REPOSITORY, "main"),
    "merge": lambda github: github.merge(REPOSITORY, 2, head_sha="a" * 40, method="squash"),
    "permission": lambda github: github.permission(REPOSITORY, "grace"),
    "react": lambda github: github.react(REPOSITORY, 1),
    "upsert_comment": lambda github: github.upsert_comment(REPOSITORY, 1, marker="<!-- x -->", body="x"),
    "has_comment": lambda github: github.has_comment(REPOSITORY, 1, marker="<!-- x -->"),
    "find_deployment": lambda github: github.find_deployment(REPOSITORY, sha="a" * 40, task="x", environment="y"),
    "create_deployment": lambda github: github.create_deployment(
        REPOSITORY, sha="a" * 40, task="x", environment="y", description="", payload={}
    ),
    "set_deployment_status": lambda github: github.set_deployment_status(REPOSITORY, 1, state="success"),
    "deployment_state": lambda github: github.deployment_state(REPOSITORY, 1),
    "recent_deliveries": lambda github: github.registration.recent_deliveries(START - timedelta(days=1)),
    "redeliver": lambda github: github.redeliver(1),
    "app": lambda github: github.registration.app(),
    "installation": lambda github: github.registration.installation(REPOSITORY),
    "hook_config": lambda github: github.registration.hook_config(),
    "start_workflow": lambda github: GitHubOperator(github.app).start_workflow(REPOSITORY, "release.yml", ref="main"),
    "open_pull_request": lambda github: GitHubOperator(github.app).open_pull_request(
        REPOSITORY, title="t", head="main", base="main"
    ),
    "rate_limits": lambda github: GitHubOperator(github.app).rate_limits(REPOSITORY),
}
PLACE = {"environment_id": ENVIRONMENT, "service_id": SERVICE}
RAILWAY: Mapping[str, Call] = {
    "deploy": lambda railway: railway.deploy(**PLACE, commit_sha="a" * 40),
    "deployment": lambda railway: railway.deployment("de910001-0000-4000-8000-000000000000"),
    "deployments": lambda railway: railway.deployments(**PLACE, project_id=PROJECT),
    "service": lambda railway: railway.service(**PLACE),
    "rollback": lambda railway: railway.rollback("x"),
    "redeploy": lambda railway: railway.redeploy("x", use_previous_image=True),
    "cancel": lambda railway: railway.cancel("x"),
    "build_logs": lambda railway: railway.build_logs("de910001-0000-4000-8000-000000000000", limit=5),
    "deployment_logs": lambda railway: railway.deployment_logs("de910001-0000-4000-8000-000000000000", limit=5),
    "token": lambda railway: railway.setup.token("account"),
    "project_token": lambda railway: railway.setup.token("project"),
    "project": lambda railway: railway.setup.project(PROJECT),
    "auto_deploy": lambda railway: railway.setup.auto_deploy(**PLACE, project_id=PROJECT),
    "triggers": lambda railway: railway.setup.triggers(**PLACE, project_id=PROJECT),
}
N8N: Mapping[str, Call] = {
    "call": lambda n8n: n8n.call("signalbox-notification", {"event": "x"}, idempotency_key="x"),
    "registered": lambda n8n: n8n.registered("signalbox-notification"),
}


async def attempt(client: Any, call: Call) -> None:
    try:
        await call(client)
    except TransientError as error:
        assert error.retry_after is None or 0 <= error.retry_after <= DAY
    except VendorError:
        pass
    finally:
        await client.close()


def secrets_of(server: Server) -> Secrets:
    return Secrets(EnvironmentSecrets(server.scene.secrets), server.scene.clock)


def a_github(server: Server, network: Network) -> GitHub:
    clock = server.scene.clock
    url = "https://api.github.com"
    return GitHub(base_url=url, app_id=APP_ID, secrets=secrets_of(server), clock=clock, network=network)


def a_railway(server: Server, network: Network) -> Railway:
    url = "https://backboard.railway.com/graphql/v2"
    return Railway(url=url, token_kind="account", secrets=secrets_of(server), network=network)


def an_n8n(server: Server, network: Network) -> N8n:
    return N8n(url="https://n8n.test", secrets=secrets_of(server), network=network)


@pytest.fixture(autouse=True, scope="module")
def _signed_once(server: Server) -> Iterator[None]:
    """By far the slowest part, and on a clock that stands still always the same."""
    signed = server.run(server.scene.services.github.app._sign())

    async def sign(_: GitHubApp) -> str:
        return signed

    with replaced([(GitHubApp, "_sign", sign)]):
        yield


@pytest.fixture(autouse=True, scope="module")
def _something_to_ask_for(server: Server) -> None:
    number = server.scene.open_pull_request(tests="success", lint=None)
    server.scene.github.comment(REPOSITORY, number, "hello", "ada")
    server.run(server.scene.github.tick())


FOUND: list[tuple[int, list[tuple[bytes, bytes]], bytes]] = [
    (200, [(b"content-encoding", b"gzip")], b"{}"),
    (200, [(b"set-cookie", b"a=b; max-age=" + b"9" * 400)], b"{}"),
    (200, [(b"content-type", b"text/html; charset=undefined")], b"n8n is starting up"),
    (404, [(b"content-type", b"text/html; charset=hex")], b"Not found"),
    (200, [], b'{"x":' + b"[" * 200_000),
    (403, [], b'{"message":"no","errors":"' + b"\xff" + b'"}'),
    (200, [], '{"id":1,"token":"é","expires_at":"2026-11-22T13:00:00Z"}'.encode()),
    (200, [], b'{"id":1,"token":"x","expires_at":"2026-11-22T13:00:00"}'),
    (200, [], b'{"errors":[{"message":"no","extensions":{"code":[]}}]}'),
    (301, [(b"location", b"https://xn--a.test/")], b""),
    (301, [(b"location", b"javascript:alert(1)")], b""),
    (200, [(b"link", b'<https://[::1>; rel="next"')], b'{"slug":"x"}'),
    (200, [(b"link", b'<https://xn--a.test/>; rel="next"')], b'{"slug":"x"}'),
    (403, [(b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", b"9" * 5000)], b"{}"),
    (429, [(b"retry-after", b"9" * 400)], b"{}"),
    (503, [(b"retry-after", b"\xb2")], b"{}"),
    (503, [(b"retry-after", b"Fri, 31 Dec 9999 23:59:59 -2359")], b"{}"),
]
"""Answers that once made something else come out of a client."""


@pytest.mark.parametrize("found", FOUND, ids=lambda found: str(found)[:60])
def test_what_was_found(server, found):
    status, headers, body = found

    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, stream=_Stream(body))

    network = replying(answer)
    for make, calls in ((a_github, GITHUB), (a_railway, RAILWAY), (an_n8n, N8N)):
        for call in calls.values():
            server.run(attempt(make(server, network), call))


@fuzzed(250)
@given(name=st.sampled_from(sorted(GITHUB)), data=st.data())
def test_github(server, name, data):
    client = a_github(server, Internet(transport=Spoiled(server.scene.github.app, data.draw)))
    server.run(attempt(client, GITHUB[name]))


@fuzzed(200)
@given(name=st.sampled_from(sorted(RAILWAY)), data=st.data())
def test_railway(server, name, data):
    client = a_railway(server, Internet(transport=Spoiled(server.scene.railway.app, data.draw)))
    server.run(attempt(client, RAILWAY[name]))


@fuzzed(120)
@given(name=st.sampled_from(sorted(N8N)), data=st.data())
def test_n8n(server, name, data):
    client = an_n8n(server, Internet(transport=Spoiled(server.scene.n8n.app, data.draw)))
    server.run(attempt(client, N8N[name]))


@fuzzed(150)
@given(
    data=st.data(),
    url=st.just("https://shop.test/health") | whole_texts | whole_texts.map(lambda text: f"https://shop.test/{text}"),
    field=st.none() | st.sampled_from(["commit", "a.b", "", "."]) | whole_texts,
    name=st.none() | st.sampled_from(["x-commit-sha", "retry-after", "set-cookie"]),
)
def test_the_health_probe(server, data, url, field, name):
    async def look() -> Answer:
        probe = Probe(network=Visitor(Spoiled(server.scene.application, data.draw)))
        try:
            return await probe.look(url, timeout=5, commit_field=field, commit_header=name)
        finally:
            await probe.close()

    answer = server.run(look())
    assert answer.reached or not answer.healthy
    answer.detail.encode()
