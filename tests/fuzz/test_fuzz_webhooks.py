"""The webhooks' function answers whatever is sent to it, and what it publishes can be read by whoever gets it."""

import hashlib
import hmac
import json

from fuzz.calling import Server
from fuzz.inputs import bodies, fuzzed, odd_texts
from fuzz.payloads import READ_OF_GITHUB, READ_OF_RAILWAY, github_payloads, railway_payloads
from hypothesis import example, given
from hypothesis import strategies as st

from shared.runtime import envelope

PUBSUB_ATTRIBUTE = 1024
STATUS = b'{"sha": "abc", "state": "success", "repository": {"full_name": "acme/shop"}}'

raw = st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
odd_values = raw | odd_texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
odd_headers = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(b"host", b"content-length", b"content-type", b"content-encoding", b"transfer-encoding", b"expect"),
                *(b"x-github-delivery", b"x-forwarded-for", b"function-execution-id", b"x-cloud-trace-context"),
                *(b"traceparent", b"authorization", b"cookie", b"", b"x"),
            ]
        ),
        odd_values,
    ),
    max_size=3,
)
queries = st.just(b"") | raw
methods = st.sampled_from(["POST"] * 9 + ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "x"])
event_names = st.sampled_from(["pull_request", "pull_request_review", "check_suite", "status", "issue_comment"])


@st.composite
def github_webhooks(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """An event's name and a body, nearly those of a real one."""
    payloads = github_payloads()
    event, action = draw(st.sampled_from(sorted(payloads)))
    body = draw(bodies(payloads[event, action], READ_OF_GITHUB) | st.binary(max_size=200))
    name = draw(st.just(event) | st.just(event) | event_names)
    return draw(st.just(name.encode()) | st.just(name.encode()) | odd_values), body


@st.composite
def railway_webhooks(draw: st.DrawFn) -> bytes:
    return draw(bodies(draw(st.sampled_from(railway_payloads())), READ_OF_RAILWAY) | st.binary(max_size=100))


def signed(server: Server, body: bytes) -> bytes:
    secret = server.scene.secrets["GITHUB_WEBHOOK_SECRET"].encode()
    return b"sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest().encode()


def expect_readable(server: Server) -> None:
    """What was published is an event, and within the limits of Pub/Sub."""
    for message in server.scene.bus.take():
        envelope.decode_event(message.data)
        assert message.topic == "events"
        assert all(len(value.encode()) <= PUBSUB_ATTRIBUTE for value in message.attributes.values())


@fuzzed(400)
@given(webhook=github_webhooks(), headers=odd_headers)
@example(webhook=(b"status", b"{}"), headers=[(b"content-length", "²".encode("latin-1"))])
@example(webhook=(b"status", STATUS), headers=[(b"x-github-delivery", b"x" * 3000)])
def test_what_github_signed_is_taken_or_refused(server, webhook, headers):
    event, body = webhook

    answer = server.call(
        "/github-webhook",
        body,
        headers=[(b"X-Hub-Signature-256", signed(server, body)), (b"X-GitHub-Event", event), *headers],
    )

    assert answer.status in {202, 400, 413}
    expect_readable(server)


@fuzzed(60)
@given(signature=odd_values, body=st.binary(max_size=50), also=odd_headers, query=queries)
def test_what_github_did_not_sign_is_refused(server, signature, body, also, query):
    answer = server.call(
        "/github-webhook",
        body,
        query=query,
        headers=[(b"X-Hub-Signature-256", signature), (b"X-GitHub-Event", b"pull_request"), *also],
    )

    assert answer.status in {401, 413}
    assert not server.scene.bus.published


@fuzzed(200)
@given(body=railway_webhooks(), headers=odd_headers)
@example(body=b"{}", headers=[(b"content-length", b"9" * 5000)])
def test_what_brings_railways_secret_is_taken_or_refused(server, body, headers):
    secret = server.scene.secrets["RAILWAY_WEBHOOK_SECRET"].encode()

    answer = server.call("/railway-webhook", body, headers=[(b"X-Webhook-Secret", secret), *headers])

    assert answer.status in {202, 400, 413}
    expect_readable(server)


@fuzzed(60)
@given(secret=odd_values, authorization=odd_values, query=queries)
def test_what_does_not_bring_railways_secret_is_refused(server, secret, authorization, query):
    body = json.dumps(railway_payloads()[0]).encode()

    answer = server.call(
        "/railway-webhook",
        body,
        query=query,
        headers=[(b"X-Webhook-Secret", secret), (b"Authorization", authorization)],
    )

    assert answer.status == 401
    assert not server.scene.bus.published


@fuzzed(100)
@given(
    path=st.sampled_from(["/github-webhook", "/railway-webhook", "/github-webhook/", "/railway-webhook/../x"]),
    method=methods,
    query=queries,
    headers=odd_headers,
    body=st.binary(max_size=20),
)
@example(path="/github-webhook", method="POST", query=b"\x80", headers=[], body=b"")
def test_strangers_get_no_further(server, path, method, query, headers, body):
    answer = server.call(path, body, method=method, query=query, headers=headers)
    assert 400 <= answer.status < 500 or (method, answer.status) == ("OPTIONS", 200)
    assert not server.scene.bus.published
