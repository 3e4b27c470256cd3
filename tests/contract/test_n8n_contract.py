"""What Signalbox relies on of n8n, whichever: both that are simulated, and a real one with the same workflows."""

import asyncio
import contextlib
import copy
import itertools
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import install_n8n
import jwt
import pytest
from n8n_bench import CHAT, TOKEN, Bench, open_bench, real, simulated
from n8n_ledger import REAL, SIMULATED, Ledger
from vendors import report

from local.n8n import files
from local.n8n.api import Api
from local.n8n.executing import execute
from local.n8n.files import Document, Filling, WorkflowFile
from local.world.faults import Fault
from local.world.n8n.versions import NEWEST, RULES, Version
from shared.clients.n8n import N8n, signed
from shared.errors import ConfigError, NotFound, Refused, Unauthorized, Unavailable, UnknownOutcome

PATH = "signalbox-notification"
LEDGER = Ledger()
CLIENTS = (N8n, Api)
_numbers = itertools.count(1)


@pytest.fixture(params=[*RULES, "real"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "real":
        server = request.getfixturevalue("n8n_running")
        opened = real(server, request.getfixturevalue("upstream"))
    else:
        opened = simulated(request.param)
    test = request.node.name.replace(request.param, "*", 1)
    async with opened as bench:
        if request.param in ("real", played()):
            bench.watch(lambda client: LEDGER.watched(client, test, REAL if request.param == "real" else SIMULATED))
        yield bench


def played() -> Version:
    """The simulated n8n that is what the real one is: of this version, or of the last before it."""
    number = install_n8n.chosen().number
    return max((one for one in RULES if numbered(one) <= number), key=numbered)


def numbered(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def notification(**changes: Any) -> dict[str, Any]:
    """One that nobody sent before."""
    key = f"run-{os.getpid()}-{next(_numbers)}:failed"
    return {"key": key, "event": "failed", "severity": "error", "text": "❌ not deployed", **changes}


async def tell(bench: Bench, payload: dict[str, Any]) -> str:
    return await bench.webhooks.call(PATH, payload, idempotency_key=str(payload.get("key", "none")))


def small(name: str, **changes: Any) -> Document:
    """A workflow that answers at once, at a path of its own."""
    webhook = {
        "id": "webhook",
        "name": "Webhook",
        "type": files.WEBHOOK,
        "typeVersion": 2.1,
        "position": [0, 0],
        "parameters": {"httpMethod": "POST", "path": name, "responseMode": "onReceived", "options": {}},
        "webhookId": name,
        **changes,
    }
    return {"name": name, "nodes": [webhook], "connections": {}, "settings": {"executionOrder": "v1"}}


@pytest.fixture
def name() -> str:
    """Of a workflow that nobody had before."""
    return f"test-{os.getpid()}-{next(_numbers)}"


# The notification workflow


async def test_a_runs_notification_reaches_the_chat(bench: Bench) -> None:
    payload = notification(
        text="❌ not deployed to web/production: <b> & co",
        next_step="Merge a fix <now>.",
        url="https://c.test/?a=1&b=2",
    )

    execution = await tell(bench, payload)

    [sent] = bench.telegram.messages
    assert (sent.chat_id, sent.parse_mode) == (CHAT, "HTML")
    assert sent.text == (
        "❌ not deployed to web/production: &lt;b&gt; &amp; co\n→ Merge a fix &lt;now&gt;.\nhttps://c.test/?a=1&amp;b=2"
    ), "and no advertisement"
    await bench.until_ended((await bench.workflow("deployment-notification"))["id"])
    assert (await bench.api.execution(execution)).status == "success"


async def test_a_targets_notification_reaches_the_chat(bench: Bench) -> None:
    payload = notification(event="health_lost", text="acme:shop:web:production is unhealthy", target="x", url="")
    del payload["severity"]

    await tell(bench, payload)

    assert [sent.plain for sent in bench.telegram.messages] == ["acme:shop:web:production is unhealthy"]


async def test_the_longest_texts_still_fit_into_a_message(bench: Bench) -> None:
    await tell(bench, notification(text="<" * 5000, next_step="&" * 5000, url="u" * 5000))

    [sent] = bench.telegram.messages
    assert sent.plain == "<" * 2499 + "…\n→ " + "&" * 699 + "…\n" + "u" * 499 + "…"


@pytest.mark.parametrize(
    "payload",
    [{}, {"event": "x", "text": "y"}, {"key": "", "event": "x", "text": "y"}, {"key": "k", "event": "x", "text": 7}],
)
async def test_what_is_no_notification_is_refused_and_a_failed_execution(bench: Bench, payload: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"400 invalid_notification.*\(execution \d+\)") as caught:
        await tell(bench, payload)

    assert caught.value.status == 400
    assert bench.telegram.messages == []
    workflow = (await bench.workflow("deployment-notification"))["id"]
    await bench.until_ended(workflow)
    assert (await bench.api.executions(workflow))[0].status == "error"


async def test_what_telegram_refuses_twice_has_failed_and_may_be_sent_again(bench: Bench) -> None:
    payload = notification()
    bench.telegram.app.faults.append(
        Fault(times=2, status=400, body={"ok": False, "error_code": 400, "description": "Bad Request: chat not found"})
    )
    workflow = (await bench.workflow("deployment-notification"))["id"]

    with pytest.raises(UnknownOutcome, match=r"502 telegram_send_failed: .*chat not found.*\(execution \d+\)"):
        await tell(bench, payload)

    await bench.until_ended(workflow)
    failed = await bench.api.execution((await bench.api.executions(workflow))[0].id, data=True)
    assert (failed.status, failed.last_node) == ("error", "Fail")
    assert "Telegram did not take the message" in failed.error
    await tell(bench, payload)
    assert len(bench.telegram.messages) == 1


async def test_one_hiccup_of_telegram_is_tried_over(bench: Bench) -> None:
    bench.telegram.app.faults.append(Fault(status=500, body={"ok": False, "description": "Internal"}))

    await tell(bench, notification())

    assert len(bench.telegram.messages) == 1


async def test_the_same_key_again_is_not_told_again(bench: Bench) -> None:
    first, second = notification(), notification(text="another")
    workflow = (await bench.workflow("deployment-notification"))["id"]
    for payload in (first, second, first, second):
        await tell(bench, payload)
        await bench.until_ended(workflow)

    assert [sent.plain for sent in bench.telegram.messages] == ["❌ not deployed", "another"]


async def test_keys_are_remembered_through_a_push(bench: Bench) -> None:
    payload = notification()
    [file] = [one for one in files.load() if one.stem == "deployment-notification"]
    await tell(bench, payload)
    await bench.until_ended((await bench.server.find(file))["id"])

    [pushed] = await bench.server.push([with_timeout(file, 61)])
    await tell(bench, payload)
    await bench.server.push([file])

    assert pushed.done == "updated"
    assert len(bench.telegram.messages) == 1


# Calls that are refused before a workflow starts


async def test_a_wrong_token_is_refused_and_runs_nothing(bench: Bench) -> None:
    workflow = (await bench.workflow("deployment-notification"))["id"]
    before = len(await bench.api.executions(workflow))
    bench.token["N8N_API"] = "another"

    with pytest.raises(Unauthorized, match="403 invalid signature"):
        await tell(bench, notification())

    assert len(await bench.api.executions(workflow)) == before
    assert bench.telegram.messages == []


EXPIRED = jwt.encode({"exp": 1, "key": "k"}, TOKEN, algorithm="HS256")
UNSIGNED = jwt.encode({"key": "k"}, None, algorithm="none")


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({}, 401, "No token provided"),
        ({"X-Webhook-Token": TOKEN}, 401, "No token provided"),
        ({"Authorization": f"Bearer {TOKEN}"}, 403, "jwt malformed"),
        ({"Authorization": f"Bearer {EXPIRED}"}, 403, "jwt expired"),
        ({"Authorization": f"Bearer {UNSIGNED}"}, 403, None),
    ],
)
async def test_what_is_not_signed_is_refused(
    bench: Bench, headers: dict[str, str], status: int, text: str | None
) -> None:
    answer = await bench.raw.post(f"/webhook/{PATH}", json=notification(), headers=headers)

    assert answer.status_code == status
    assert text in (None, answer.text)
    assert "Basic" in answer.headers["www-authenticate"]


async def test_a_token_is_for_one_body_and_one_key(bench: Bench) -> None:
    """What n8n keeps of a call tells nothing else, and uses up no other key, also while it is good."""
    told, other = json.dumps(notification()).encode(), json.dumps(notification(key="alarm:1")).encode()
    headers = {"Authorization": f"Bearer {signed(TOKEN, 'k', told)}", "Content-Type": "application/json"}

    refused = await bench.raw.post(f"/webhook/{PATH}", content=other, headers=headers)
    taken = await bench.raw.post(f"/webhook/{PATH}", content=told, headers=headers | {"Idempotency-Key": "alarm:1"})
    await bench.until_ended((await bench.workflow("deployment-notification"))["id"])
    alarm = await bench.webhooks.call(PATH, notification(key="alarm:1"), idempotency_key="alarm:1")

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_notification")
    assert taken.status_code == 200, taken.text
    assert alarm
    assert len(bench.telegram.messages) == 2


async def test_an_unknown_path_and_another_method_are_not_registered(bench: Bench) -> None:
    with pytest.raises(NotFound, match=r"404.*not registered"):
        await bench.webhooks.call("nothing-there", {}, idempotency_key="k")
    answer = await bench.raw.get(f"/webhook/{PATH}")

    assert answer.status_code == 404
    assert "not registered for GET requests" in answer.json()["message"]


async def test_a_body_that_is_no_json(bench: Bench) -> None:
    headers = {"Authorization": f"Bearer {signed(TOKEN, 'k', b'{')}", "Content-Type": "application/json"}
    answer = await bench.raw.post(f"/webhook/{PATH}", content=b"{", headers=headers)

    assert (answer.status_code, answer.json()["message"]) == (422, "Failed to parse request body")


async def test_whether_a_workflow_is_there_is_told_without_running_it(bench: Bench) -> None:
    workflow = (await bench.workflow("deployment-notification"))["id"]
    before = len(await bench.api.executions(workflow))

    assert await bench.webhooks.registered(PATH)
    assert not await bench.webhooks.registered("nothing-there")
    assert len(await bench.api.executions(workflow)) == before


# Push, pull, diff


def with_timeout(file: WorkflowFile, seconds: int) -> WorkflowFile:
    changed = copy.deepcopy(file.document)
    changed["settings"]["executionTimeout"] = seconds
    return WorkflowFile(file.stem, changed)


async def test_every_workflow_is_pushed_active_and_the_same_when_it_comes_back(bench: Bench, tmp_path: Path) -> None:
    wanted = files.load()

    again = await bench.server.push(wanted)

    assert [one.done for one in again] == ["unchanged"] * 4
    assert await bench.server.pull(wanted, tmp_path) == []
    states = await bench.server.compare(wanted)
    assert [(one.active, one.differs) for one in states] == [(True, "")] * 4
    assert [one.name for one in await bench.api.workflows()].count("Signalbox: weekly delivery report") == 1


async def test_a_change_is_shown_pushed_live_and_pulled(bench: Bench, tmp_path: Path) -> None:
    [original] = [one for one in files.load() if one.stem == "deployment-notification"]
    changed = with_timeout(original, 59)

    [before] = await bench.server.compare([changed])
    [pushed] = await bench.server.push([changed])
    [pulled] = await bench.server.pull([original], tmp_path)
    await tell(bench, notification())
    [back] = await bench.server.push([original])

    assert '-    "executionTimeout": 60' in before.differs
    assert '+    "executionTimeout": 59' in before.differs
    assert (pushed.done, back.done, pushed.id) == ("updated", "updated", back.id)
    assert pulled == changed
    assert json.loads((tmp_path / "deployment-notification.json").read_text()) == changed.document
    assert len(bench.telegram.messages) == 1


async def test_what_is_pulled_holds_nothing_of_this_server(bench: Bench, tmp_path: Path) -> None:
    wanted = [with_timeout(file, 58) for file in files.load()]
    pulled = await bench.server.pull(wanted, tmp_path)

    text = "".join((tmp_path / f"{file.stem}.json").read_text() for file in wanted)
    ids = {credential.id for credential in await bench.api.credentials()}
    assert len(pulled) == 4
    assert not [id for id in ids if id in text]
    assert not [value for value in bench.settings.values() if value in text]


async def test_nothing_is_changed_when_a_credential_or_setting_is_missing(bench: Bench) -> None:
    known = await bench.api.credentials()
    bench.server._filling = Filling(settings={}, credentials=tuple(one for one in known if "GitHub" not in one.name))
    before = await bench.api.workflows()

    with pytest.raises(ConfigError) as caught:
        await bench.server.push([with_timeout(file, 57) for file in files.load() if file.stem == "failure-analysis"])

    told = str(caught.value).splitlines()
    assert len(told) == 5
    assert "failure-analysis: setting anthropic_model is empty" in told[0]
    assert "failure-analysis: n8n has no credential 'Signalbox GitHub' of type httpHeaderAuth" in told[4]
    assert await bench.api.workflows() == before


async def test_a_name_that_two_workflows_have_is_refused(bench: Bench, name: str) -> None:
    ids = [await bench.create(small(name)) for _ in range(2)]

    with pytest.raises(ConfigError, match=f"2 workflows '{name}'.*archive or rename"):
        await bench.server.push([WorkflowFile(name, small(name))])

    for id in ids:
        await bench.api.delete(id)


async def test_a_path_that_another_workflow_has_is_refused(bench: Bench, name: str) -> None:
    file = WorkflowFile(name, {**small(name), "nodes": small(PATH)["nodes"]})

    with pytest.raises(Refused, match="There is a conflict with one of the webhooks") as caught:
        await bench.server.push([file])

    assert caught.value.status == (400 if bench.old else 409)

    await bench.api.delete((await bench.server.find(file))["id"])


async def test_switched_off_it_is_not_registered_until_it_is_pushed(bench: Bench) -> None:
    [file] = [one for one in files.load() if one.stem == "deployment-notification"]
    await bench.api.deactivate((await bench.server.find(file))["id"])
    await bench.until_called(PATH, there=False)
    with pytest.raises(NotFound):
        await tell(bench, notification())
    [state] = await bench.server.compare([file])

    [pushed] = await bench.server.push([file])

    assert (state.active, pushed.done) == (False, "unchanged")
    await tell(bench, notification())


async def keeps_answering(bench: Bench) -> None:
    """Longer than it takes n8n to put one webhook in the place of another."""
    for _ in range(40):
        await tell(bench, notification())
        await asyncio.sleep(0.02)


async def test_pushed_at_once_after_it_was_switched_off_it_answers(bench: Bench) -> None:
    [file] = [one for one in files.load() if one.stem == "deployment-notification"]
    await bench.api.deactivate((await bench.server.find(file))["id"])

    await bench.server.push([file])

    await keeps_answering(bench)


async def test_what_is_changed_by_a_push_answers_from_then_on(bench: Bench) -> None:
    [file] = [one for one in files.load() if one.stem == "deployment-notification"]

    for seconds in (56, file.document["settings"]["executionTimeout"]):
        await bench.server.push([with_timeout(file, seconds)])
        await keeps_answering(bench)


# The public API


@pytest.mark.parametrize("key", ["", "another-key"])
async def test_a_wrong_api_key_is_refused(bench: Bench, key: str) -> None:
    api = Api(url=bench.url, key=key, network=bench.network)
    with pytest.raises(Unauthorized, match="401"):
        await api.workflows()
    await api.close()
    async with open_bench(bench.version, bench.url, bench.api_key, bench.telegram, "http://x", bench.network) as fine:
        assert await fine.api.workflows()


@pytest.mark.parametrize(
    ("change", "by_old", "by_new"),
    [
        ({"active": True}, "active is read-only", "active is read-only"),
        ({"id": "x"}, "id is read-only", "id is read-only"),
        ({"versionId": "x"}, "must NOT have additional properties", "versionId is read-only"),
        ({"isArchived": False}, "must NOT have additional properties", "isArchived is read-only"),
        ({"what": 1}, "must NOT have additional properties", "Unrecognized key(s) in object: 'what'"),
        ({"settings": None}, "settings", ""),
    ],
)
async def test_what_n8n_adds_is_refused_when_it_is_sent(
    bench: Bench, name: str, change: dict[str, Any], by_old: str, by_new: str
) -> None:
    body = {key: value for key, value in {**small(name), **change}.items() if value is not None}

    answer = await bench.raw.post("/api/v1/workflows", json=body)

    assert answer.status_code == 400
    assert (by_old if bench.old else by_new) in answer.json()["message"]


@pytest.mark.parametrize("field", ["pinData", "nodeGroups"])
async def test_more_may_be_sent_to_a_newer_n8n(bench: Bench, name: str, field: str) -> None:
    answer = await bench.raw.post("/api/v1/workflows", json={**small(name), field: {} if field == "pinData" else []})

    assert answer.status_code == (400 if bench.old else 200)
    if not bench.old:
        await bench.api.delete(answer.json()["id"])


async def test_a_link_without_an_index_is_noticed_by_a_newer_n8n(bench: Bench, name: str) -> None:
    document = small(name)
    document["nodes"].append({**document["nodes"][0], "id": "next", "name": "Next", "type": "n8n-nodes-base.noOp"})
    document["connections"] = {"Webhook": {"main": [[{"node": "Next", "type": "main"}]]}}

    answer = await bench.raw.post("/api/v1/workflows", json=document)

    if bench.old:
        assert answer.status_code == 200
        await bench.api.delete(answer.json()["id"])
    else:
        assert (answer.status_code, answer.json()["message"]) == (
            400,
            "Workflow structure is invalid. connections.Webhook.main[0][0].index (invalid_type): Required",
        )


async def test_creating_answers_200_with_what_n8n_adds(bench: Bench, name: str) -> None:
    answer = await bench.raw.post("/api/v1/workflows", json=small(name))
    made = answer.json()
    await bench.api.activate(made["id"])

    assert (answer.status_code, made["active"]) == (200, False)
    assert {"id", "createdAt", "updatedAt", "versionId", "isArchived", "staticData"} <= set(made)
    added = {"callerPolicy": "workflowsFromSameOwner", "availableInMCP": False} if bench.old else {}
    assert made["settings"] == {"executionOrder": "v1", **added}
    assert files.strip(made) == small(name)
    assert (await bench.raw.patch(f"/api/v1/workflows/{made['id']}", json={})).status_code == 405
    await bench.api.delete(made["id"])
    with pytest.raises(NotFound):
        await bench.api.workflow(made["id"])


async def test_an_active_workflow_is_deleted(bench: Bench, name: str) -> None:
    ids = [await bench.create(small(one)) for one in (name, f"{name}-too")]
    for id in ids:
        await bench.api.activate(id)

    answer = await bench.raw.delete(f"/api/v1/workflows/{ids[0]}")
    assert answer.status_code == (200 if bench.old else 409)
    if not bench.old:
        assert answer.json()["message"] == "Cannot delete a published workflow. Unpublish it before deleting."
        await bench.api.deactivate(ids[0])
        answer = await bench.raw.delete(f"/api/v1/workflows/{ids[0]}")
        # A real one may be quicker than the next request.
        assert answer.status_code in ((200, 409) if bench.network is None else (409,))
        if answer.status_code == 409:
            said = "Workflow is still being unpublished. Please try again in a few moments."
            assert answer.json()["message"] == said
            await bench.api.delete(ids[0])
    await bench.api.delete(ids[1])

    assert {one.id for one in await bench.api.workflows()}.isdisjoint(ids)


async def test_a_webhook_without_an_id_is_somewhere_else_with_an_old_n8n(bench: Bench, name: str) -> None:
    document = small(name)
    del document["nodes"][0]["webhookId"]
    id = await bench.create(document)
    await bench.api.activate(id)
    elsewhere = f"{id}/webhook/{name}"
    await bench.until_called(elsewhere if bench.old else name)

    said = (await bench.raw.get(f"/webhook/{elsewhere}")).json()["message"]
    assert said.startswith("This webhook is not" if bench.old else "The requested webhook")
    if bench.old:
        assert not await bench.webhooks.registered(name)
    await bench.api.delete(id)


async def test_what_cannot_run_cannot_be_activated(bench: Bench, name: str) -> None:
    asks = {**small(name)["nodes"][0]["parameters"], "authentication": "headerAuth"}
    no_trigger = small(name, type="n8n-nodes-base.noOp", typeVersion=1, parameters={})
    for document, said in ((no_trigger, "trigger"), (small(name, parameters=asks), "Missing required credential")):
        id = await bench.create(document)
        with pytest.raises(Refused, match=f"(?s)400.*{said}"):
            await bench.api.activate(id)
        await bench.api.delete(id)


async def test_a_credential_that_is_gone_shows_only_when_the_webhook_is_called(bench: Bench, name: str) -> None:
    asks = {**small(name)["nodes"][0]["parameters"], "authentication": "headerAuth"}
    gone = {"httpHeaderAuth": {"id": "unknown", "name": "a name that no credential has"}}
    id = await bench.create(small(name, parameters=asks, credentials=gone))
    await bench.api.activate(id)
    await bench.until_called(name)

    with pytest.raises(UnknownOutcome, match="500 No authentication data defined on node!"):
        await bench.webhooks.call(name, {}, idempotency_key="k")
    with pytest.raises(Unavailable, match="500"):
        await bench.webhooks.registered(name)
    await bench.api.delete(id)


async def test_lists_come_in_pages(bench: Bench) -> None:
    first = (await bench.raw.get("/api/v1/workflows", params={"limit": 3})).json()
    second = (await bench.raw.get("/api/v1/workflows", params={"limit": 3, "cursor": first["nextCursor"]})).json()

    assert len(first["data"]) == 3
    assert {one["id"] for one in first["data"]}.isdisjoint(one["id"] for one in second["data"])
    assert {one.name for one in await bench.api.workflows()} >= {file.name for file in files.load()}
    for odd in ({"limit": 251}, {"what": 1}):
        answer = await bench.raw.get("/api/v1/workflows", params=odd)
        assert answer.status_code == (400 if bench.old else 200), odd


async def test_nothing_runs_a_workflow_but_its_webhook(bench: Bench) -> None:
    id = (await bench.workflow("deployment-notification"))["id"]
    for path in (f"workflows/{id}/execute", f"workflows/{id}/run", "executions"):
        assert (await bench.raw.post(f"/api/v1/{path}", json={})).status_code == 405, path


# Execute and wait


async def test_an_execution_that_succeeds(bench: Bench) -> None:
    document = await bench.workflow("deployment-notification")

    done = await execute(bench.api, bench.webhooks, document, notification())

    assert (done.status, done.error, done.last_node, done.answer) == ("success", "", "Respond Told", "")
    assert done.succeeded


async def test_an_execution_that_fails_is_found_although_the_answer_is_an_error(bench: Bench) -> None:
    document = await bench.workflow("deployment-notification")
    bench.telegram.app.faults.append(Fault(times=2, status=403, body={"ok": False, "description": "bot was kicked"}))

    done = await execute(bench.api, bench.webhooks, document, notification())

    assert (done.status, done.last_node, done.succeeded) == ("error", "Fail", False)
    assert "bot was kicked" in done.error or "Forbidden" in done.error
    assert "502 telegram_send_failed" in done.answer


async def test_what_begins_no_execution_raises(bench: Bench) -> None:
    document = await bench.workflow("deployment-notification")
    bench.token["N8N_API"] = "another"

    with pytest.raises(Unauthorized):
        await execute(bench.api, bench.webhooks, document, notification())


# Nothing is left out


def test_every_call_was_made_to_both_and_came_to_the_same(request: pytest.FixtureRequest) -> None:
    played = {item.originalname for item in request.session.items if item.module is request.module}  # type: ignore[attr-defined]
    if not played >= {name for name in globals() if name.startswith("test_")} or not LEDGER.operations(REAL):
        pytest.skip("only a part of these tests is played, or there is no real n8n")
    differences = list(LEDGER.differences())
    for operation, times in LEDGER.same().items():
        report.record("n8n", operation, times, [said for of, said in differences if of == operation])

    assert differences == []
    assert LEDGER.uncovered(*CLIENTS) == []


# The check bites


async def told_once(ledger: Ledger, test: str, fault: Fault | None = None) -> None:
    """A call to both, of which the one that is to be taken for the real n8n has a fault."""
    for server in (SIMULATED, REAL):
        async with simulated(NEWEST) as bench:
            bench.watch(lambda client, server=server: ledger.watched(client, test, server))  # type: ignore[misc]
            if fault is not None and server == REAL:
                bench.telegram.app.faults.append(fault)
            with contextlib.suppress(UnknownOutcome):
                await tell(bench, notification())


async def test_what_comes_to_the_same_is_counted() -> None:
    ledger = Ledger()
    await told_once(ledger, "a test")

    assert list(ledger.differences()) == []
    assert ledger.same() == {"N8n.call": 1}


async def test_what_the_simulated_n8n_does_otherwise_is_a_violation() -> None:
    ledger = Ledger()
    await told_once(ledger, "a test", Fault(times=2, status=400, body={"description": "no"}))

    assert sorted(said for _, said in ledger.differences()) == [
        "a test: N8n.call comes to UnknownOutcome only at the real n8n",
        "a test: N8n.call comes to str only at the simulated n8n",
    ]
    assert not ledger.same()


async def test_a_call_that_is_not_made_to_both_is_noticed() -> None:
    class Newer(N8n):
        async def stop(self, execution: str) -> None:
            """A call that somebody adds."""

    ledger = Ledger()
    await told_once(ledger, "a test")

    assert ledger.uncovered(Newer) == ["Newer.call", "Newer.registered", "Newer.stop"]
    assert ledger.uncovered(N8n) == ["N8n.registered"]
