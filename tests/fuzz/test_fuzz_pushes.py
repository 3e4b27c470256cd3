"""Whatever a subscription pushes: it is done, refused, or asked for again; nothing falls over."""

import msgspec
import pytest
from fuzz.calling import Server, enveloped
from fuzz.inputs import bodies, command_lines, fuzzed, mutated, spoilings, text_of, values, whole_texts
from hypothesis import example, given
from hypothesis import strategies as st
from unit.functions.scene import ENVIRONMENT, REPOSITORY, SERVICE, TARGET

from functions.dispatch.arrivals import Arrivals
from shared.core.events import (
    ChecksReported,
    CommentWritten,
    DeploymentChanged,
    PullRequestChanged,
    PullRequestMerged,
    PullRequestOpened,
)
from shared.core.run import Stage
from shared.core.target import Target

STAGES = [stage.value for stage in Stage if stage is not Stage.DONE]
ID = "production-pr1-0123456789"
ENVELOPE = {
    "message": {
        "data": "",
        "messageId": "1",
        "publishTime": "2026-11-22T12:00:00Z",
        "attributes": {"stage": "merge", "run_id": ID},
    },
    "subscription": "projects/local/subscriptions/merge",
    "deliveryAttempt": 1,
}
EVENTS = [
    PullRequestMerged(repository=REPOSITORY, number=1),
    PullRequestChanged(repository=REPOSITORY, number=1),
    PullRequestOpened(repository=REPOSITORY, number=1),
    ChecksReported(repository=REPOSITORY, head_sha="a" * 40),
    CommentWritten(repository=REPOSITORY, number=1, comment_id=7, author="grace", body="/deploy", url="https://x.test"),
    CommentWritten(repository=REPOSITORY, number=1, comment_id=8, author="grace", body="/unlock", url="https://x.test"),
    DeploymentChanged(environment_id=ENVIRONMENT, service_id=SERVICE, deployment_id="d-1", event="deployment.failed"),
]
DEPLOYED = msgspec.json.encode(EVENTS[-1])
ABOUT_RUNS = [
    {"stage": "merge", "run_id": ID},
    {"stage": "notify", "run_id": ID, "target_id": None},
    {"stage": "notify", "run_id": None, "target_id": "acme:shop:web:production"},
]
EVENT_TIMES = st.sampled_from(
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-11-22T12:00:00.1234567891Z",
    ]
)


def push(server: Server, function: str, body: bytes) -> None:
    answer = server.call(f"/functions/{function}", body)
    assert answer.status in {200, 400, 503}
    if answer.status == 503:
        assert answer.content == {"again": True}
        assert "unexpected" not in server.scene.log.getvalue()


@pytest.fixture(autouse=True, scope="module")
def _something_to_ask_about(server: Server) -> None:
    """A pull request with a comment, and a target that has its document."""
    scene = server.scene
    scene.say(scene.merge(scene.open_pull_request()) and 1, "/deploy")
    server.run(scene.save(Target(id=TARGET)))


def forget_replies(server: Server) -> None:
    """A command that was replied to is not looked at again."""
    comments = server.scene.github.repository(REPOSITORY).comments
    for id in [id for id, comment in comments.items() if comment.by_app]:
        del comments[id]


def a_comment(server: Server) -> int:
    return min(server.scene.github.repository(REPOSITORY).comments)


anything = values.map(text_of) | st.binary(max_size=60) | bodies(ENVELOPE)


@fuzzed(100)
@given(function=st.sampled_from([*STAGES, "notify", "dispatch"]), body=anything)
@example(function="merge", body=b'{"message":{"data":""},"x":' + b"[" * 200_000)
def test_what_is_no_envelope_is_refused(server, function, body):
    push(server, function, body)


@fuzzed(150)
@given(
    function=st.sampled_from([*STAGES, "notify"]),
    data=st.sampled_from(ABOUT_RUNS).flatmap(bodies) | values.map(text_of) | st.binary(max_size=60),
)
@example(function="deploy", data=b'{"run_id":"x","stage":"deploy","y":' + b"[" * 200_000)
def test_a_stage_takes_any_message(server, function, data):
    push(server, function, enveloped(data))


@fuzzed(30)
@given(function=st.sampled_from([*STAGES, "notify"]), id=whole_texts)
def test_a_stage_takes_any_id(server, function, id):
    push(server, function, enveloped(text_of({"stage": function, "run_id": id})))
    push(server, function, enveloped(text_of({"stage": function, "target_id": id})))


@st.composite
def event_bodies(draw: st.DrawFn) -> bytes:
    document = msgspec.to_builtins(draw(st.sampled_from(EVENTS)))
    return draw(spoilings).apply(text_of(draw(mutated(document, [(name,) for name in document if name != "type"]))))


@fuzzed(400)
@given(data=event_bodies() | values.map(text_of) | st.binary(max_size=60), at=st.none() | EVENT_TIMES)
@example(data=b'{"type":"pull_request_changed","repository":"acme/shop","number":%d}' % 2**63, at=None)
@example(data=DEPLOYED, at="0001-01-01T00:00:00+23:59")
@example(data=DEPLOYED, at="9999-12-31T23:59:59-23:59")
def test_dispatch_takes_any_event(server, data, at):
    server.scene.services.kept(Arrivals).clear()
    server.run(server.scene.save(Target(id=TARGET)))
    push(server, "dispatch", enveloped(data, **({} if at is None else {"publishTime": at})))


@fuzzed(150)
@given(body=whole_texts | command_lines)
@example(body="")
@example(body="x")
def test_dispatch_takes_any_comment(server, body):
    forget_replies(server)
    id = a_comment(server)
    comment = CommentWritten(repository=REPOSITORY, number=1, comment_id=id, author="grace", body=body, url="")
    push(server, "dispatch", enveloped(msgspec.json.encode(comment)))
