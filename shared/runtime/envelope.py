"""What a push subscription POSTs to a function, and the events and stage messages inside.

Source: cloud.google.com/pubsub/docs/push#receive_push (wrapped messages).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request

from shared.core.events import Event
from shared.core.outcome import Message
from shared.errors import BadInput
from shared.runtime.unreadable import UNREADABLE


class PubsubMessage(Struct, frozen=True, rename="camel"):
    """`data` is base64 on the wire."""

    data: bytes
    message_id: str = ""
    publish_time: Annotated[datetime, Meta(tz=True)] | None = None
    attributes: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Raises OverflowError for a time that UTC does not have: in the year 1, east of Greenwich."""
        if self.publish_time is not None:
            self.publish_time.astimezone(UTC)


class Envelope(Struct, frozen=True, rename="camel"):
    message: PubsubMessage
    subscription: str = ""
    delivery_attempt: int | None = None


_envelopes: msgspec.json.Decoder[Envelope] = msgspec.json.Decoder(Envelope)
_events: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_messages: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


async def receive(request: Request) -> Envelope:
    """Raises BadInput for a body that is not a push envelope."""
    try:
        return _envelopes.decode(await request.body())
    except (*UNREADABLE, OverflowError) as error:
        raise BadInput(f"not a push envelope: {error}") from error


def stage_message(envelope: Envelope) -> Message:
    """Raises BadInput."""
    try:
        message = _messages.decode(envelope.message.data)
    except UNREADABLE as error:
        raise BadInput(f"not a stage message: {error}") from error
    if not message.run_id and not message.target_id:
        raise BadInput("a stage message about no run and no target")
    return message


def encode(message: Message) -> bytes:
    return msgspec.json.encode(message)


def encode_event(event: Event) -> bytes:
    return msgspec.json.encode(event)


def decode_event(data: bytes) -> Event:
    """Raises BadInput."""
    try:
        return _events.decode(data)
    except UNREADABLE as error:
        raise BadInput(f"not an event: {error}") from error
