"""Push envelopes as Pub/Sub sends them, and the stage messages inside."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from shared.core.outcome import Message
from shared.errors import BadInput
from shared.runtime import envelope
from shared.runtime.envelope import Envelope, PubsubMessage

WRAPPED = {
    "message": {
        "attributes": {"stage": "deploy"},
        "data": base64.b64encode(b'{"stage":"deploy","run_id":"production-pr42"}').decode(),
        "messageId": "2070443601311540",
        "message_id": "2070443601311540",
        "orderingKey": "key",
        "publishTime": "2026-07-01T12:00:00.12Z",
    },
    "subscription": "projects/p/subscriptions/deploy",
    "deliveryAttempt": 3,
}


def a_push(body: bytes) -> Request:
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


def around(data: bytes) -> Envelope:
    return Envelope(PubsubMessage(data))


async def test_what_pubsub_documents_is_read():
    received = await envelope.receive(a_push(json.dumps(WRAPPED).encode()))

    assert received == Envelope(
        message=PubsubMessage(
            data=b'{"stage":"deploy","run_id":"production-pr42"}',
            message_id="2070443601311540",
            publish_time=datetime(2026, 7, 1, 12, 0, 0, 120_000, UTC),
            attributes={"stage": "deploy"},
        ),
        subscription="projects/p/subscriptions/deploy",
        delivery_attempt=3,
    )
    assert envelope.stage_message(received) == Message("deploy", "production-pr42")


async def test_the_least_is_enough():
    received = await envelope.receive(a_push(b'{"message":{"data":""}}'))

    assert received == around(b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"message":{}}',
        b'{"message":{"data":"not base64!"}}',
        b'{"message":{"data":7}}',
        b'{"message":{"data":"\xff"}}',
        b'{"message":{"data":""},"deliveryAttempt":"3"}',
    ],
)
async def test_what_is_no_envelope_is_bad_input(body):
    with pytest.raises(BadInput, match="not a push envelope"):
        await envelope.receive(a_push(body))


@given(stage=st.text(), about=st.sampled_from(["run_id", "target_id"]), id=st.text(min_size=1))
def test_a_stage_message_arrives_as_it_was_sent(stage, about, id):
    message = Message(stage, **{about: id})

    assert envelope.stage_message(around(envelope.encode(message))) == message


@given(st.binary())
def test_junk_is_bad_input(data):
    with pytest.raises(BadInput, match="not a stage message"):
        envelope.stage_message(around(data))


@pytest.mark.parametrize("data", [b"{}", b'{"run_id":"r"}', b'{"stage":1}', b'{"stage":"deploy","run_id":1}'])
def test_what_is_no_stage_message_is_bad_input(data):
    with pytest.raises(BadInput, match="not a stage message"):
        envelope.stage_message(around(data))


@pytest.mark.parametrize("data", [b'{"stage":"deploy"}', b'{"stage":"deploy","run_id":"","target_id":null}'])
def test_a_message_about_nothing_is_bad_input(data):
    with pytest.raises(BadInput, match="no run and no target"):
        envelope.stage_message(around(data))
