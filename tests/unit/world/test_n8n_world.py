"""The simulated n8n and Telegram answer as the real ones do: what was observed on them is what is asked here."""

import asyncio
import json
from typing import Any

import httpx
import jwt
import pytest
from networks import straight_to

from local.simulation import loop
from local.world.faults import Fault
from local.world.n8n.server import N8nWorld
from local.world.telegram import TelegramWorld, parse_html
from shared.clients.n8n import signed

SECRET = "the-token-of-the-webhooks-of-n8n"
HOOK = "/webhook/signalbox-notification"
TOLD = {"key": "run:succeeded", "event": "succeeded", "text": "deployed"}


@pytest.fixture
def telegram() -> TelegramWorld:
    return TelegramWorld(token="123:abc")


@pytest.fixture
def world(telegram) -> N8nWorld:
    return N8nWorld(token=SECRET, telegram=telegram)


@pytest.fixture
async def n8n(world):
    async with httpx.AsyncClient(transport=straight_to(world.app), base_url="http://n8n") as client:
        yield client


@pytest.fixture
async def bot(telegram):
    async with httpx.AsyncClient(transport=straight_to(telegram.app), base_url="http://telegram") as client:
        yield client


# n8n


def sent(content: Any = TOLD, key: str = "k", secret: str = SECRET) -> dict[str, Any]:
    """What a call has, signed."""
    body = json.dumps(content).encode()
    headers = {"Authorization": f"Bearer {signed(secret, key, body)}", "Content-Type": "application/json"}
    return {"content": body, "headers": headers | {"Idempotency-Key": key}}


async def test_a_notification_becomes_a_telegram_message(n8n, world, telegram):
    answer = await n8n.post(HOOK, **sent())

    assert (answer.status_code, answer.json()) == (200, {"ok": True, "execution_id": "1"})
    assert world.notifications == [TOLD]
    assert [m.plain for m in telegram.messages] == ["deployed"]


async def test_texts_are_plain_and_become_html(n8n, telegram):
    answer = await n8n.post(HOOK, **sent({**TOLD, "text": 'a < b & "<c>"', "next_step": "d > e"}))

    assert answer.status_code == 200
    assert [m.plain for m in telegram.messages] == ['a < b & "<c>"\n→ d > e']
    assert [(m.text, m.parse_mode) for m in telegram.messages] == [('a &lt; b &amp; "&lt;c&gt;"\n→ d &gt; e', "HTML")]


async def test_a_repeated_key_is_a_repeated_execution_and_one_message(n8n, world, telegram):
    for execution in ("1", "2"):
        answer = await n8n.post(HOOK, **sent())
        assert answer.json()["execution_id"] == execution

    assert len(world.notifications) == 2
    assert len(telegram.messages) == 1
    assert [headers["idempotency-key"] for headers in world.headers] == ["k", "k"]


@pytest.mark.parametrize(
    ("authorization", "status", "text"),
    [
        (None, 401, "No token provided"),
        (f"Bearer {SECRET}", 403, "jwt malformed"),
        (f"Bearer {signed('another', 'k', b'{}')}", 403, "invalid signature"),
        (f"Bearer {jwt.encode({'exp': 1}, SECRET)}", 403, "jwt expired"),
    ],
)
async def test_a_wrong_token(n8n, world, authorization, status, text):
    headers = {} if authorization is None else {"Authorization": authorization}

    answer = await n8n.post(HOOK, headers=headers, json=TOLD)

    assert (answer.status_code, answer.text) == (status, text)
    assert "Basic" in answer.headers["www-authenticate"]
    assert world.notifications == []


async def test_unknown_inactive_and_wrong_method(n8n, world):
    unknown = await n8n.post("/webhook/other", **sent())
    wrong = await n8n.get(HOOK, headers=sent()["headers"])
    world.state = "inactive"
    inactive = await n8n.post(HOOK, **sent())

    assert [a.status_code for a in (unknown, wrong, inactive)] == [404, 404, 404]
    assert unknown.json()["message"] == 'The requested webhook "POST other" is not registered.'
    assert "not registered for GET requests" in wrong.json()["message"]
    assert set(inactive.json()) == {"code", "message", "hint"}


async def test_start_up(n8n, world):
    world.state = "migrating"
    migrating = await n8n.post(HOOK, **sent())
    world.state = "starting"
    starting = await n8n.post(HOOK, **sent())

    assert (migrating.status_code, migrating.text) == (200, "n8n is starting up. Please wait")
    assert starting.status_code == 404
    assert starting.text == "<pre>Cannot POST /webhook/signalbox-notification</pre>"
    assert (await n8n.get("/healthz")).status_code == 200, "healthy before it can do anything"
    assert world.notifications == []


def test_an_upgrade_takes_its_time_and_keeps_what_there_is(world):
    async def answers() -> list[str]:
        """One every ten seconds."""
        world.restart("2.41.1", down=20, migrating=20, starting=20, activating=20)
        transport, seen = straight_to(world.app), []
        async with httpx.AsyncClient(transport=transport, base_url="http://n8n") as n8n:
            for _ in range(10):
                try:
                    answer = await n8n.post(HOOK, **sent())
                    seen.append(f"{answer.status_code} {answer.headers['content-type'].partition(';')[0]}")
                except httpx.ConnectError:
                    seen.append("down")
                await asyncio.sleep(10)
        return seen

    world.api.version = "2.8.4"
    states = ["down", "200 text/html", "404 text/html", "404 application/json", "200 application/json"]
    assert loop.run(answers()) == [state for state in states for _ in range(2)]
    assert world.api.version == "2.41.1"
    assert len(world.notifications) == 2, "none of those before"


async def test_put_into_a_state_it_stays_there(n8n, world):
    world.restart("2.41.1", down=60, migrating=60, starting=60)
    world.state = "active"

    assert (await n8n.post(HOOK, **sent())).status_code == 200


@pytest.mark.parametrize(("version", "status", "body"), [("2.8.4", 200, b""), ("2.41.1", 500, b"Error in workflow")])
async def test_a_workflow_that_fails_before_it_answers(n8n, world, version, status, body):
    world.api.version, world.state = version, "failing"

    answer = await n8n.post(HOOK, **sent())

    assert answer.status_code == status
    assert body in answer.content
    assert (bool(answer.content), world.notifications) == (bool(body), [])
    assert world.api.executions[-1].status == "error"


@pytest.mark.parametrize(("version", "status"), [("2.8.4", 400), ("2.41.1", 409)])
async def test_what_succeeded_cannot_be_run_again(n8n, world, version, status):
    world.api.version = version
    await n8n.post(HOOK, **sent())

    answer = await n8n.post("/api/v1/executions/1/retry", headers={"X-N8N-API-KEY": world.api.key})

    assert (answer.status_code, answer.json()["message"]) == (
        status,
        "The execution succeeded, so it cannot be retried.",
    )


def test_of_two_that_want_one_path_at_once_the_first_has_it(world):
    """Told that both are active, where that comes before the webhooks do."""

    async def activate_both() -> tuple[list[int], int]:
        key, ids = {"X-N8N-API-KEY": world.api.key}, []
        node = {"name": "Webhook", "type": "n8n-nodes-base.webhook", "webhookId": "x", "parameters": {"path": "x"}}
        transport = straight_to(world.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://n8n", headers=key) as n8n:
            for name in ("first", "second"):
                workflow = {"name": name, "nodes": [node], "connections": {}, "settings": {}}
                ids.append((await n8n.post("/api/v1/workflows", json=workflow)).json()["id"])
            at_once = [(await n8n.post(f"/api/v1/workflows/{id}/activate")).status_code for id in ids]
            await asyncio.sleep(1)
            has_it = world.api.active_at("x")
            assert has_it is not None
            assert has_it["name"] == "first"
            return at_once, (await n8n.post(f"/api/v1/workflows/{ids[1]}/activate")).status_code

    assert loop.run(activate_both()) == ([200, 200], 409)


async def test_bodies(n8n):
    malformed = await n8n.post(HOOK, **sent() | {"content": b"{"})
    empty = await n8n.post(HOOK, headers={"Authorization": f"Bearer {signed(SECRET, 'k', b'')}"})
    a_list = await n8n.post(HOOK, **sent(["event"]))

    assert (malformed.status_code, malformed.json()["message"]) == (422, "Failed to parse request body")
    assert (empty.status_code, empty.json()["error"]) == (400, "invalid_notification")
    assert (a_list.status_code, a_list.json()["ok"]) == (400, False)


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (
            Fault(times=2, status=400, body={"description": "Bad Request: chat not found"}),
            "Bad Request: chat not found",
        ),
        (Fault(times=2, status=502), "status 502"),
        (Fault(times=2, lost=True), "no answer"),
    ],
)
async def test_telegram_out_of_order_fails_the_execution(n8n, telegram, fault, detail):
    telegram.app.faults.append(fault)

    answer = await n8n.post(HOOK, **sent())

    assert answer.status_code == 502
    assert answer.json() == {"ok": False, "error": "telegram_send_failed", "detail": detail, "execution_id": "1"}
    assert len(telegram.app.calls) == 2


async def test_one_hiccup_of_telegram_is_tried_over(n8n, telegram):
    telegram.app.faults.append(Fault(status=500, body={"description": "Internal"}))

    assert (await n8n.post(HOOK, **sent())).status_code == 200
    assert len(telegram.messages) == 1


async def test_faults_and_calls(n8n, world):
    world.app.faults.append(Fault(when="run:succeeded", status=503))

    assert (await n8n.post(HOOK, **sent())).status_code == 503
    assert (await n8n.post(HOOK, **sent())).status_code == 200
    assert [call.status for call in world.app.calls] == [503, 200]


async def test_without_telegram_notifications_are_only_recorded():
    world = N8nWorld(token=SECRET, path="other")
    async with httpx.AsyncClient(transport=straight_to(world.app), base_url="http://n8n") as n8n:
        assert (await n8n.post("/webhook/other", **sent())).status_code == 200
    assert world.notifications == [TOLD]


# Telegram


async def send(bot: httpx.AsyncClient, **body) -> httpx.Response:
    return await bot.post("/bot123:abc/sendMessage", json={"chat_id": 1, "text": "x", **body})


async def test_a_message_is_delivered(bot, telegram):
    answer = await send(bot, text="a < b", chat_id="-1001")

    assert (answer.status_code, answer.json()["result"]["message_id"]) == (200, 1)
    assert [(m.chat_id, m.text, m.plain, m.parse_mode) for m in telegram.messages] == [
        ("-1001", "a < b", "a < b", None)
    ]


@pytest.mark.parametrize(
    ("body", "description"),
    [
        ({"chat_id": None}, "chat_id is empty"),
        ({"text": ""}, "message text is empty"),
        ({"text": "<b> </b>", "parse_mode": "HTML"}, "message text is empty"),
        ({"text": "x" * 4097}, "message is too long"),
        ({"text": "😀" * 2049}, "message is too long"),
        ({"text": "<b>x", "parse_mode": "HTML"}, "Can't find end tag"),
        ({"text": "<b><i>x</b></i>", "parse_mode": "HTML"}, "Unexpected end tag at byte offset 7"),
        ({"text": "x</b>", "parse_mode": "HTML"}, "Unexpected end tag at byte offset 1"),
        ({"text": "<div>x</div>", "parse_mode": "HTML"}, 'Unsupported start tag "div"'),
        ({"text": "ü < b", "parse_mode": "HTML"}, "at byte offset 3"),
        ({"text": "x", "parse_mode": "MarkdownV2"}, "unsupported parse_mode"),
    ],
)
async def test_what_telegram_refuses(bot, telegram, body, description):
    answer = await send(bot, **body)

    assert (answer.status_code, answer.json()["ok"], answer.json()["error_code"]) == (400, False, 400)
    assert description in answer.json()["description"]
    assert telegram.messages == []


async def test_the_limit_counts_what_people_read(bot):
    text = "<b>" + "&amp;" * 4096 + "</b>"

    assert (await send(bot, text=text, parse_mode="HTML")).status_code == 200
    assert (await send(bot, text="😀" * 2048)).status_code == 200


async def test_another_bot_and_another_method(bot):
    assert (await bot.post("/bot1:x/sendMessage")).status_code == 401
    assert (await bot.post("/bot123:abc/sendDocument")).status_code == 404
    assert (await bot.post("/bot123:abc/sendMessage")).status_code == 400


def test_markup():
    assert parse_html('<a href="https://x?a=1&amp;b=2">l</a> &lt;<code>c</code>&gt;') == "l <c>"
