"""webhooks: who may send what, what is refused and how, and that nothing is acknowledged before it is durable."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from msgspec.structs import replace
from unit.functions.scene import Scene

from functions.webhooks.main import BODIES
from functions.webhooks.signed_body import KEPT_AT_ONCE, LARGEST, LARGEST_FROM_RAILWAY
from local.world.vendors import ENVIRONMENT, REPOSITORY, SERVICE
from shared.core import events
from shared.core.events import (
    ChecksReported,
    CommentWritten,
    DeploymentChanged,
    PullRequestChanged,
    PullRequestMerged,
    PullRequestOpened,
)
from shared.errors import Unavailable
from shared.runtime import envelope
from shared.runtime.secrets import Secrets


def merged(**changes: Any) -> dict[str, Any]:
    pull = {"number": 7, "merged": True}
    return {"action": "closed", "pull_request": pull, "repository": {"full_name": REPOSITORY}} | changes


def signature(scene: Scene, body: bytes, algorithm: str = "sha256") -> str:
    secret = scene.secrets["GITHUB_WEBHOOK_SECRET"].encode()
    return f"{algorithm}={hmac.new(secret, body, algorithm).hexdigest()}"


async def github(scene: Scene, content: Any, event: str | None = "pull_request", **headers: str) -> httpx.Response:
    """Deliver as GitHub would; a keyword is a further header, empty to leave one out."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {"x-hub-signature-256": signature(scene, body), "x-github-delivery": "d-1"}
    sent |= {"x-github-event": event} if event else {}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    raw = {name.encode(): value.encode() for name, value in sent.items() if value}
    return await scene.web.post("/github-webhook", content=body, headers=raw)


async def railway(scene: Scene, content: Any, **headers: str) -> httpx.Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent = {"x-webhook-secret": scene.secrets["RAILWAY_WEBHOOK_SECRET"]}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await scene.web.post("/railway-webhook", content=body, headers={k: v for k, v in sent.items() if v})


def changed(type: str = "Deployment.deployed", **resource: Any) -> dict[str, Any]:
    known = {"environment": {"id": ENVIRONMENT}, "service": {"id": SERVICE}, "deployment": {"id": "d-9"}}
    return {"type": type, "resource": known | resource}


def published(scene: Scene) -> list[events.Event]:
    assert {message.topic for message in scene.bus.published} <= {"events"}
    return [without_id(envelope.decode_event(message.data)) for message in scene.bus.published]


def without_id(event: events.Event) -> events.Event:
    return event if isinstance(event, DeploymentChanged) else replace(event, repository_id=None)


# GitHub's


async def test_a_full_size_merged_pull_request_becomes_one_small_event(scene: Scene) -> None:
    number = scene.open_pull_request()
    await scene.github.tick()
    scene.bus.take()
    scene.merge(number)
    closed = scene.github.webhooks.queue[0]
    assert len(closed.body) > 10_000

    await scene.github.tick()

    (message,) = scene.bus.published
    assert (message.topic, without_id(envelope.decode_event(message.data))) == (
        "events",
        PullRequestMerged(repository=REPOSITORY, number=number),
    )
    assert len(message.data) < 200
    assert message.attributes == {"event": "pull_request_merged", "delivery": closed.guid}


async def test_every_event_listened_to_is_reduced_to_what_it_is_about(scene: Scene) -> None:
    number = scene.open_pull_request(tests=None)
    scene.github.push(REPOSITORY, number)
    head = scene.github.pull(REPOSITORY, number).head_sha
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    scene.github.report_status(REPOSITORY, number, "lint", "success")
    scene.github.review(REPOSITORY, number, "approved", "ada")
    comment = scene.github.comment(REPOSITORY, number, "/deploy\nplease", "grace")
    scene.github.close(REPOSITORY, number)
    await scene.github.tick()
    assert published(scene) == [
        PullRequestChanged(repository=REPOSITORY, number=number),
        ChecksReported(repository=REPOSITORY, head_sha=head),
        ChecksReported(repository=REPOSITORY, head_sha=head),
        PullRequestChanged(repository=REPOSITORY, number=number),
        CommentWritten(
            repository=REPOSITORY,
            number=number,
            comment_id=comment,
            author="grace",
            body="/deploy",
            url=published(scene)[4].url,
        ),
        PullRequestChanged(repository=REPOSITORY, number=number),
    ]


@pytest.mark.parametrize("wrong", ["", "sha256=", "sha256=" + "0" * 64, "0" * 64, "sha256=äöü"])
async def test_a_missing_or_wrong_signature_is_refused_with_one_line_that_does_not_show_the_body(
    scene: Scene, wrong: str
) -> None:
    answer = await github(scene, merged(note="do-not-log-me"), x_hub_signature_256=wrong)
    assert answer.status_code == 401
    (line,) = scene.logged()
    assert "do-not-log-me" not in json.dumps(line)
    assert (line["severity"], line["delivery"], line["signed"]) == ("WARNING", "d-1", bool(wrong))
    assert scene.bus.published == []


async def test_a_signature_of_another_body_is_refused(scene: Scene) -> None:
    answer = await github(scene, merged(), x_hub_signature_256=signature(scene, b"{}"))
    assert answer.status_code == 401


async def test_the_old_sha1_signature_alone_is_refused(scene: Scene) -> None:
    body = json.dumps(merged()).encode()
    given = signature(scene, body, "sha1")
    assert (await github(scene, body, x_hub_signature_256="", x_hub_signature=given)).status_code == 401
    assert (await github(scene, body, x_hub_signature_256=given)).status_code == 401
    assert hashlib.sha1(body).digest_size == 20
    assert scene.bus.published == []


async def test_a_webhook_without_its_event_is_refused_by_name(scene: Scene) -> None:
    answer = await github(scene, merged(), event=None)
    assert answer.status_code == 400
    assert "X-GitHub-Event" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"not json", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (merged(repository={}), "repository.full_name"),
        (merged(pull_request={"merged": True}), "pull_request.number"),
        (merged(pull_request={"number": "seven"}), "pull_request.number"),
        ({"action": "closed"}, "pull_request"),
        ([], "body"),
    ],
)
async def test_a_body_that_cannot_be_used_is_refused_by_the_field_that_is_wrong(
    scene: Scene, body: Any, field: str
) -> None:
    answer = await github(scene, body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]
    assert len(scene.logged()) == 1
    assert scene.bus.published == []


SIGNED = {"x-hub-signature-256": "sha256=" + "0" * 64, "x-github-event": "pull_request"}


async def test_a_body_announced_as_too_large_is_not_read(scene: Scene) -> None:
    read = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"x"

    sent = {**SIGNED, "content-length": str(LARGEST + 1)}
    answer = await scene.web.post("/github-webhook", content=body(), headers=sent)
    assert (answer.status_code, answer.json()["error"]) == (413, "larger than 2048 KiB")
    assert len(scene.logged("not read to its end")) == 1


@pytest.mark.parametrize(("path", "largest"), [("github", LARGEST), ("railway", LARGEST_FROM_RAILWAY)])
async def test_a_body_that_turns_out_too_large_is_not_read_to_its_end(scene: Scene, path: str, largest: int) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(largest // 1024 + 2):
            yield b"x" * 1024
        raise AssertionError("read on")

    sent = {**SIGNED, "x-webhook-secret": scene.secrets["RAILWAY_WEBHOOK_SECRET"]}
    assert (await scene.web.post(f"/{path}-webhook", content=body(), headers=sent)).status_code == 413


async def test_the_largest_body_is_read(scene: Scene) -> None:
    body = json.dumps(merged()).encode().ljust(LARGEST)
    assert (await github(scene, body)).status_code == 202
    assert (await github(scene, body + b" ")).status_code == 413
    assert published(scene) == [PullRequestMerged(repository=REPOSITORY, number=7)]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("github", {}, 401),
        ("github", {**SIGNED, "x-hub-signature-256": "sha256=0"}, 401),
        ("github", {**SIGNED, "x-github-event": "workflow_job"}, 202),
        ("railway", {}, 401),
        ("railway", {"x-webhook-secret": "wrong"}, 401),
    ],
)
async def test_of_what_is_not_wanted_nothing_is_read(
    scene: Scene, path: str, headers: dict[str, str], status: int
) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    answer = await scene.web.post(f"/{path}-webhook", content=body(), headers=headers)
    assert answer.status_code == status


async def test_a_body_that_does_not_arrive_is_not_waited_for(scene: Scene) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(3600)
        raise AssertionError("waited for")

    answer = await scene.web.post("/github-webhook", content=body(), headers=SIGNED)
    assert (answer.status_code, answer.json()["error"]) == (408, "it did not arrive within 20 s")


async def test_all_requests_together_keep_no_more_than_there_is_room_for(scene: Scene) -> None:
    most, arrived = KEPT_AT_ONCE // LARGEST, asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * (LARGEST - 1)
        await arrived.wait()
        yield b"x"

    sending = [
        asyncio.create_task(scene.web.post("/github-webhook", content=body(), headers=SIGNED)) for _ in range(most + 3)
    ]
    await asyncio.sleep(1)
    refused = [one.result().status_code for one in sending if one.done()]
    arrived.set()
    statuses = sorted([(await one).status_code for one in sending])

    assert refused == [503] * 3
    assert statuses == [401] * most + [503] * 3
    assert BODIES.kept == 0


async def test_a_content_length_that_is_no_number_is_not_believed(scene: Scene) -> None:
    assert (await github(scene, merged(), content_length="many")).status_code == 202


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("ping", b"{ not json"),
        ("workflow_run", b'{"action":"completed", not json'),
        ("pull_request", b'{"action":"assigned", not json'),
        ("pull_request_review", b'{"action":"edited", not json'),
        ("check_suite", b'{"action":"requested", not json'),
        ("issue_comment", b'{"action":"deleted", not json'),
    ],
)
async def test_what_nobody_listens_to_is_accepted_without_being_parsed(scene: Scene, event: str, body: bytes) -> None:
    assert (await github(scene, body, event=event)).status_code == 202
    assert scene.bus.published == []
    assert scene.logged() == []


async def test_an_action_that_is_not_written_first_is_found_all_the_same(scene: Scene) -> None:
    pull = {"number": 7, "merged": False}
    body = {"pull_request": pull, "repository": {"full_name": REPOSITORY}, "action": "assigned"}
    assert (await github(scene, body)).status_code == 202
    assert scene.bus.published == []


async def test_a_repository_that_is_not_configured_is_accepted_and_logged(scene: Scene) -> None:
    answer = await github(scene, merged(repository={"full_name": "acme/other"}))
    assert (answer.status_code, answer.json()) == (202, {"message": "not configured here"})
    assert scene.logged("not in signalbox.toml")[0]["delivery"] == "d-1"
    assert scene.bus.published == []


async def test_a_repository_is_known_whatever_its_case(scene: Scene) -> None:
    assert (await github(scene, merged(repository={"full_name": REPOSITORY.upper()}))).status_code == 202
    assert len(published(scene)) == 1


async def test_a_webhook_that_sends_forms_is_taken(scene: Scene) -> None:
    body = urlencode({"payload": json.dumps(merged())}).encode()
    answer = await github(scene, body, content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, published(scene)) == (202, [PullRequestMerged(repository=REPOSITORY, number=7)])


async def test_a_form_is_signed_as_it_comes(scene: Scene) -> None:
    payload = json.dumps(merged()).encode()
    body = urlencode({"payload": payload}).encode()
    form = "application/x-www-form-urlencoded"
    answer = await github(scene, body, content_type=form, x_hub_signature_256=signature(scene, payload))
    assert (answer.status_code, scene.bus.published) == (401, [])


async def test_a_form_without_a_payload_is_unusable(scene: Scene) -> None:
    answer = await github(scene, b"other=1", content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()) == (400, {"error": "the form has no field payload"})


# Railway's


async def test_a_deployment_of_ours_is_published(scene: Scene) -> None:
    answer = await railway(scene, changed())
    assert answer.status_code == 202
    assert published(scene) == [
        DeploymentChanged(
            environment_id=ENVIRONMENT, service_id=SERVICE, deployment_id="d-9", event="deployment.deployed"
        )
    ]


async def test_the_secret_may_come_as_a_bearer_token(scene: Scene) -> None:
    bearer = f"Bearer {scene.secrets['RAILWAY_WEBHOOK_SECRET']}"
    assert (await railway(scene, changed(), x_webhook_secret="", authorization=bearer)).status_code == 202
    assert len(scene.bus.published) == 1


@pytest.mark.parametrize("secret", ["", "guessed", "ä"])
async def test_railway_without_its_secret_is_refused(scene: Scene, secret: str) -> None:
    body = json.dumps(changed()).encode()
    headers = {b"x-webhook-secret": secret.encode()} if secret else {}
    answer = await scene.web.post("/railway-webhook", content=body, headers=headers)
    assert answer.status_code == 401
    assert len(scene.logged()) == 1
    assert scene.bus.published == []


@pytest.mark.parametrize("type", ["Deployment.building", "VolumeAlert.triggered", "Deployment.slept"])
async def test_an_event_of_railways_that_ends_no_wait_is_accepted_and_dropped(scene: Scene, type: str) -> None:
    assert (await railway(scene, {"type": type})).status_code == 202
    assert scene.bus.published == []


async def test_a_deployment_of_somebody_elses_service_is_accepted_and_dropped(scene: Scene) -> None:
    answer = await railway(scene, changed(service={"id": "another"}))
    assert (answer.status_code, answer.json()["message"]) == (202, "not configured here")
    assert scene.bus.published == []


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"{", "not JSON"), ({}, "type"), (changed(service=None), "resource.service"), ({"type": 5}, "type")],
)
async def test_an_unusable_railway_webhook_is_refused_by_field(scene: Scene, body: Any, field: str) -> None:
    answer = await railway(scene, body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]


# Either's


@pytest.mark.parametrize("path", ["/github-webhook", "/railway-webhook"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_another_method_is_refused_with_the_one_that_is_allowed(scene: Scene, path: str, method: str) -> None:
    answer = await scene.web.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_another_path_is_not_found(scene: Scene) -> None:
    assert (await scene.web.post("/functions/webhooks")).status_code == 404
    assert (await scene.web.post("/github-webhook/more")).status_code == 404


@pytest.mark.parametrize("value", [None, "", "  \n"])
async def test_without_a_configured_secret_every_webhook_is_refused(scene: Scene, value: str | None) -> None:
    given = dict(scene.secrets)
    for name in ("GITHUB_WEBHOOK_SECRET", "RAILWAY_WEBHOOK_SECRET"):
        scene.secrets.pop(name) if value is None else scene.secrets.update({name: value})
    body = json.dumps(merged()).encode()
    empty = "sha256=" + hmac.new(b"", body, "sha256").hexdigest()
    for signed in (empty, "sha256=" + hmac.new(given["GITHUB_WEBHOOK_SECRET"].encode(), body, "sha256").hexdigest()):
        headers = {"x-hub-signature-256": signed, "x-github-event": "pull_request"}
        assert (await scene.web.post("/github-webhook", content=body, headers=headers)).status_code == 401
    for secret in ({}, {"x-webhook-secret": ""}, {"x-webhook-secret": given["RAILWAY_WEBHOOK_SECRET"]}):
        assert (await scene.web.post("/railway-webhook", json=changed(), headers=secret)).status_code == 401
    assert scene.logged("is not configured")[0]["severity"] == "ERROR"
    assert scene.bus.published == []


async def test_during_a_rotation_both_secrets_count(scene: Scene) -> None:
    class Rotating:
        async def read(self, name: str) -> tuple[str, ...]:
            return ("the-new-secret", scene.secrets["GITHUB_WEBHOOK_SECRET"])

    scene.services.secrets = Secrets(Rotating(), scene.clock)
    body = json.dumps(merged()).encode()
    new = "sha256=" + hmac.new(b"the-new-secret", body, "sha256").hexdigest()
    assert (await github(scene, body, x_hub_signature_256=new)).status_code == 202
    assert (await github(scene, body)).status_code == 202


async def test_what_cannot_be_published_is_not_acknowledged(scene: Scene) -> None:
    scene.bus.down = True
    assert (await github(scene, merged())).status_code == 503
    assert (await railway(scene, changed())).status_code == 503
    assert len(scene.logged("could not be made durable")) == 2
    assert scene.logged("webhook accepted") == []


async def test_secrets_that_cannot_be_read_now_ask_for_the_webhook_again(scene: Scene) -> None:
    class Down:
        async def read(self, name: str) -> tuple[str, ...]:
            raise Unavailable("Secret Manager is down")

    scene.services.secrets = Secrets(Down(), scene.clock)
    assert (await github(scene, merged())).status_code == 503


async def test_a_sender_that_hangs_up_leaves_nothing_behind(scene: Scene) -> None:
    sent: list[dict[str, Any]] = []

    async def hang_up() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/github-webhook",
        "raw_path": b"/github-webhook",
        "query_string": b"",
        "headers": [(b"host", b"functions.test"), *((k.encode(), v.encode()) for k, v in SIGNED.items())],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("functions.test", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    await scene.functions(scope, hang_up, send)
    assert sent[0]["status"] == 400
    assert scene.bus.published == []


async def test_a_new_pull_request_interests_only_where_it_is_analysed(scene: Scene) -> None:
    opened = merged(action="opened", pull_request={"number": 7, "merged": False})
    ignored = await github(scene, opened)
    assert (ignored.status_code, ignored.json()["message"]) == (202, "event ignored")
    assert published(scene) == []

    scene.use_workflow(pull_request_analysis="review")
    assert (await github(scene, opened)).json()["message"] == "accepted"
    assert published(scene) == [PullRequestOpened(repository=REPOSITORY, number=7)]
