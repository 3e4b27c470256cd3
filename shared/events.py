"""Normalised events: what a webhook is reduced to before it is published. A hint to look, never a fact to act on."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from shared.errors import BadInput


class PullRequestMerged(Struct, frozen=True, kw_only=True, tag="pull_request_merged"):
    repository: str
    number: int


class PullRequestChanged(Struct, frozen=True, kw_only=True, tag="pull_request_changed"):
    """New commits, a review, a label, or closed without a merge."""

    repository: str
    number: int


class ChecksReported(Struct, frozen=True, kw_only=True, tag="checks_reported"):
    repository: str
    head_sha: str


class CommentWritten(Struct, frozen=True, kw_only=True, tag="comment_written"):
    """A comment on a pull request that starts with a slash. `body` is only its first line."""

    repository: str
    number: int
    comment_id: int
    author: str
    body: str
    url: str


class DeploymentChanged(Struct, frozen=True, kw_only=True, tag="deployment_changed"):
    environment_id: str
    service_id: str
    deployment_id: str
    event: str


Event = PullRequestMerged | PullRequestChanged | ChecksReported | CommentWritten | DeploymentChanged

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    return msgspec.json.encode(event)


def decode(data: bytes) -> Event:
    """Raises BadInput."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"not an event: {error}") from error
