"""The n8n client: what each of n8n's answers means, against the simulated n8n and against raw answers."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from networks import replying

from local.emulation.secrets import EnvironmentSecrets
from local.simulation import loop
from local.world.faults import Fault
from local.world.n8n.server import N8nWorld
from local.world.n8n.versions import RULES
from local.world.telegram import TelegramWorld
from shared.clients.n8n import N8n
from shared.errors import NotFound, RateLimited, Refused, Unauthorized, Unavailable, UnknownOutcome
from shared.runtime.clock import SystemClock
from shared.runtime.secrets import Secrets

TOKEN = "the-secret-that-signs-calls-to-n8n"
PATH = "signalbox-notification"
EVENT = {"key": "r1:succeeded", "event": "succeeded", "text": "deployed", "run_id": "r1"}


@pytest.fixture
def environ() -> dict[str, str]:
    return {"N8N_API": TOKEN}


@pytest.fixture
def world() -> N8nWorld:
    return N8nWorld(token=TOKEN, telegram=TelegramWorld(token="1:abc"))


@pytest.fixture
async def n8n(world, environ):
    secrets = Secrets(EnvironmentSecrets(environ), SystemClock())
    client = N8n(url="https://n8n.example/", secrets=secrets, network=world.app)
    yield client
    await client.close()


async def call(n8n: N8n, path: str = PATH, payload: dict[str, Any] = EVENT) -> str:
    return await n8n.call(path, payload, idempotency_key="r1:succeeded:n8n")


def answering(answer: httpx.Response | Exception) -> N8n:
    def reply(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    secrets = Secrets(EnvironmentSecrets({"N8N_API": TOKEN}), SystemClock())
    return N8n(url="https://n8n.example/n8n", secrets=secrets, network=replying(reply))


async def test_success_is_the_id_of_the_execution(n8n, world):
    assert await call(n8n) == "1"
    assert await call(n8n) == "2"

    assert world.notifications == [EVENT, EVENT]
    assert world.headers[0]["idempotency-key"] == "r1:succeeded:n8n"
    scheme, token = world.headers[0]["authorization"].split()
    body = world.app.calls[0].body
    claims = jwt.decode(token, TOKEN, algorithms=["HS256"])
    assert (scheme, claims["key"], claims["iss"]) == ("Bearer", "r1:succeeded:n8n", "signalbox")
    assert claims["sha256"] == hashlib.sha256(body).hexdigest()
    assert claims["exp"] - claims["iat"] == 300
    assert not any(TOKEN in value for headers in world.headers for value in headers.values())
    assert [c.path for c in world.app.calls] == [f"/webhook/{PATH}"] * 2


async def test_a_number_is_an_execution_id_too():
    assert await call(answering(httpx.Response(202, json={"ok": True, "execution_id": 7, "more": [1]}))) == "7"


async def test_a_server_below_a_path():
    seen: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, json={"ok": True, "execution_id": "1"})

    secrets = Secrets(EnvironmentSecrets({"N8N_API": TOKEN}), SystemClock())
    await call(N8n(url="https://example/n8n/", secrets=secrets, network=replying(reply)))

    assert seen == [f"https://example/n8n/webhook/{PATH}"]


@pytest.mark.parametrize("state", ["migrating", "starting"])
async def test_while_n8n_starts_it_is_unavailable(n8n, world, state):
    world.state = state

    with pytest.raises(Unavailable, match="start"):
        await call(n8n)

    assert world.notifications == []


async def test_a_workflow_that_is_missing_or_inactive(n8n, world):
    with pytest.raises(NotFound, match=r"n8n workflow other: 404.*not registered"):
        await call(n8n, "other")
    world.state = "inactive"
    with pytest.raises(NotFound):
        await call(n8n)


async def test_a_refused_token_is_read_anew_for_the_next_call(n8n, world, environ):
    environ["N8N_API"] = "the-old-token"
    with pytest.raises(Unauthorized, match="403 invalid signature"):
        await call(n8n)

    environ["N8N_API"] = TOKEN

    assert await call(n8n) == "1"


async def test_a_payload_that_the_workflow_declines(n8n):
    with pytest.raises(Refused, match=r"400 invalid_notification \(execution 1\)") as caught:
        await call(n8n, payload={})

    assert caught.value.status == 400


async def test_a_workflow_that_failed_on_its_way(n8n, world):
    world._telegram.app.faults.append(Fault(times=2, status=400, body={"ok": False, "description": "chat not found"}))

    with pytest.raises(UnknownOutcome, match=r"502 telegram_send_failed: chat not found \(execution 1\)"):
        await call(n8n)


@pytest.mark.parametrize("version", RULES)
async def test_a_workflow_that_failed_before_it_answered_may_have_done_something(n8n, world, version):
    world.api.version, world.state = version, "failing"

    with pytest.raises(UnknownOutcome):
        await call(n8n)


def test_an_n8n_that_is_being_upgraded_is_unavailable_until_it_takes_the_call(world):
    async def calls() -> list[str]:
        """What a call every ten seconds comes to."""
        secrets = Secrets(EnvironmentSecrets({"N8N_API": TOKEN}), SystemClock())
        client = N8n(url="https://n8n.example/", secrets=secrets, network=world.app)
        world.restart("2.41.1", down=30, migrating=30, starting=30)
        said = []
        for _ in range(10):
            try:
                said.append(await call(client))
            except Unavailable as error:
                said.append(str(error).partition(f"{PATH}: ")[2])
            await asyncio.sleep(10)
        return said

    assert loop.run(calls()) == [
        *["not reached: ConnectError connection refused"] * 3,
        *["200 n8n is starting up. Please wait"] * 3,
        *["404, n8n is still starting"] * 3,
        "1",
    ]


@pytest.mark.parametrize("lost", [True, False])
async def test_an_answer_that_does_not_come(n8n, world, lost):
    world.app.faults.append(Fault(lost=lost, status=500, after_effect=True, body={"message": "Error in workflow"}))

    with pytest.raises(UnknownOutcome):
        await call(n8n)

    assert world.notifications == [EVENT], "it was done all the same"


HTML = "<!DOCTYPE html><pre>Cannot POST /webhook/x</pre>"
ANSWERS: dict[str, tuple[httpx.Response | Exception, Callable[..., Exception]]] = {
    "connection refused": (httpx.ConnectError("refused"), Unavailable),
    "connect timeout": (httpx.ConnectTimeout(""), Unavailable),
    "read timeout": (httpx.ReadTimeout(""), UnknownOutcome),
    "connection lost": (httpx.RemoteProtocolError("disconnected"), UnknownOutcome),
    "migrations": (httpx.Response(200, text="n8n is starting up. Please wait"), Unavailable),
    "routes not there yet": (httpx.Response(404, html=HTML), Unavailable),
    "no published version": (
        httpx.Response(404, json={"code": 404, "message": "Published version not found"}),
        NotFound,
    ),
    "not registered": (httpx.Response(404, json={"code": 404, "message": "not registered", "hint": "x"}), NotFound),
    "wrong token": (httpx.Response(403, text="jwt malformed"), Unauthorized),
    "no token": (httpx.Response(401), Unauthorized),
    "failed before the answer, 2.8": (httpx.Response(200), UnknownOutcome),
    "failed before the answer, 2.41": (httpx.Response(500, json={"message": "Error in workflow"}), UnknownOutcome),
    "timed out": (httpx.Response(500, json={"code": 0, "message": "a problem executing"}), UnknownOutcome),
    "no credential": (httpx.Response(500, text="No authentication data defined on node!"), UnknownOutcome),
    "its own failure": (httpx.Response(502, json={"ok": False, "execution_id": "9", "error": "x"}), UnknownOutcome),
    "gateway": (httpx.Response(504, html=HTML), UnknownOutcome),
    "unreadable body": (httpx.Response(422, json={"code": 422, "message": "Failed to parse"}), Refused),
    "declined": (httpx.Response(400, json={"ok": False, "error": "no event"}), Refused),
    "declined with 200": (httpx.Response(200, json={"ok": False, "execution_id": "9"}), Refused),
    "answers on receipt": (httpx.Response(200, json={"message": "Workflow was started"}), Refused),
    "no execution id": (httpx.Response(200, json={"ok": True}), Refused),
    "another form": (httpx.Response(200, json={"ok": "yes", "execution_id": "9"}), UnknownOutcome),
    "a list": (httpx.Response(200, json=[{"ok": True, "execution_id": "9"}]), UnknownOutcome),
    "not text": (httpx.Response(200, content=b'{"ok": "\xff"}'), UnknownOutcome),
    "elsewhere": (httpx.Response(302, headers={"location": "https://login"}), Refused),
    "too many": (httpx.Response(429, headers={"retry-after": "7"}), RateLimited),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_what_an_answer_means(case):
    answer, meaning = ANSWERS[case]

    with pytest.raises(meaning) as caught:
        await call(answering(answer))

    assert type(caught.value) is meaning
    assert str(caught.value).startswith(f"n8n workflow {PATH}: ")


@pytest.mark.parametrize(("headers", "seconds"), [({"retry-after": "7"}, 7.0), ({}, 60.0)])
async def test_the_time_that_n8n_names(headers, seconds):
    with pytest.raises(RateLimited) as caught:
        await call(answering(httpx.Response(429, headers=headers)))

    assert caught.value.retry_after == seconds


async def test_no_token_gets_into_an_error():
    said = {"ok": False, "error": f"refused {TOKEN}", "detail": "x" * 10_000}

    with pytest.raises(UnknownOutcome) as caught:
        await call(answering(httpx.Response(502, json=said)))
    with pytest.raises(Unauthorized) as refused:
        await call(answering(httpx.Response(403, text=f"wrong: {TOKEN}")))

    assert TOKEN not in f"{caught.value}{refused.value}"
    assert len(str(caught.value)) < 500


# Whether a workflow is there, without running it


async def test_an_active_workflow_is_registered_and_not_run(n8n, world):
    assert await n8n.registered(PATH)
    assert world.notifications == []
    assert TOKEN.encode() not in b"".join(call.body for call in world.app.calls)


async def test_a_workflow_that_is_missing_or_switched_off_is_not(n8n, world):
    assert not await n8n.registered("another")
    world.state = "inactive"
    assert not await n8n.registered(PATH)


@pytest.mark.parametrize("state", ["migrating", "starting"])
async def test_a_starting_n8n_does_not_know_yet(n8n, world, state):
    world.state = state
    with pytest.raises(Unavailable, match="still starting"):
        await n8n.registered(PATH)


@pytest.mark.parametrize("answer", [httpx.Response(200, json={"ok": True}), httpx.Response(401)])
async def test_a_webhook_that_does_not_ask_for_our_token_is_refused(answer):
    with pytest.raises(Refused, match="to a call with a wrong token"):
        await answering(answer).registered(PATH)
