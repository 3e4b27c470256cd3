"""GitHub's webhooks: is it GitHub, and what is it about. Nothing of the payload but names and numbers is kept.

Sources: docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries, /webhooks/webhook-events-and-payloads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypedDict
from urllib.parse import parse_qs

from msgspec import Struct

from functions.webhooks.payload import parse
from shared.core.commands import command_line
from shared.core.events import (
    ChecksReported,
    CommentWritten,
    Event,
    Number,
    PullRequestChanged,
    PullRequestLabelled,
    PullRequestMerged,
    PullRequestOpened,
    RepositoryMoved,
)
from shared.errors import BadInput

FORM = "application/x-www-form-urlencoded"
FIELDS = 10
"""More than GitHub sends, which is one."""
_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}", re.ASCII)
_ACTION_FIRST = re.compile(rb'\s*\{\s*"action"\s*:\s*"([a-z_]{1,40})"')
_LISTENED: Mapping[str, frozenset[str] | None] = {
    "pull_request": frozenset(
        {"opened", "closed", "synchronize", "reopened", "ready_for_review", "labeled", "unlabeled"}
    ),
    "pull_request_review": frozenset({"submitted", "dismissed"}),
    "check_suite": frozenset({"completed"}),
    "status": None,
    "issue_comment": frozenset({"created"}),
    "repository": frozenset({"renamed", "transferred"}),
}
"""The events listened to, with their actions; None for an event that has none."""


def is_signature(header: str) -> bool:
    """Whether X-Hub-Signature-256 has the form of one, so that it is worth reading the body."""
    return _SIGNATURE.fullmatch(header) is not None


def may_matter(event: str) -> bool:
    """Whether an event of this name is looked at: those that are listened to, and the one that tries the secret."""
    return event in _LISTENED or event == "ping"


def content(body: bytes, content_type: str) -> bytes:
    """The JSON in a body of either content type; what is signed is the body as it came. Raises BadInput.

    `application/x-www-form-urlencoded`, which GitHub presets for a repository's own webhooks, has it as `payload`
    (docs: "Creating webhooks", content type).
    """
    if content_type.partition(";")[0].strip().lower() != FORM:
        return body
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, errors="strict", max_num_fields=FIELDS)
    except ValueError as error:
        raise BadInput("the body is not a form", "payload") from error
    if "payload" not in fields:
        raise BadInput("the form has no field payload", "payload")
    return fields["payload"][0].encode(errors="surrogatepass")


def listened_to(event: str, body: bytes) -> bool:
    """Whether anybody cares for this event and action, told without parsing: GitHub writes the action first."""
    if event not in _LISTENED:
        return False
    actions = _LISTENED[event]
    found = _ACTION_FIRST.match(body)
    return actions is None or found is None or found[1].decode() in actions


def normalise(event: str, body: bytes) -> Event | None:
    """The event in our words, or None when no one cares after all. Raises BadInput that names the field."""
    return _READERS[event](body)


class _Repository(Struct):
    full_name: str
    id: Number | None = None

    @property
    def named(self) -> _Named:
        return {"repository": self.full_name, "repository_id": self.id}


class _Named(TypedDict):
    """What every event about a repository says of it."""

    repository: str
    repository_id: int | None


class _Head(Struct, frozen=True):
    sha: str = ""


class _Pull(Struct):
    number: Number
    merged: bool = False
    head: _Head = _Head()


class _Label(Struct):
    name: str


class _PullRequestPayload(Struct):
    action: str
    pull_request: _Pull
    repository: _Repository
    label: _Label | None = None


class _Suite(Struct):
    head_sha: str


class _SuitePayload(Struct):
    action: str
    check_suite: _Suite
    repository: _Repository


class _StatusPayload(Struct):
    sha: str
    state: str
    repository: _Repository


class _RepositoryPayload(Struct):
    action: str
    repository: _Repository


class _User(Struct):
    login: str
    type: str = "User"


class _Link(Struct):
    url: str = ""


class _Issue(Struct):
    number: Number
    pull_request: _Link | None = None


class _Comment(Struct):
    id: Number
    body: str | None = None
    user: _User | None = None
    """None for an account that is deleted: no one whose permission could be asked about."""
    html_url: str = ""


class _CommentPayload(Struct):
    action: str
    issue: _Issue
    comment: _Comment
    repository: _Repository
    sender: _User | None = None


def _pull_request(body: bytes) -> Event | None:
    payload = parse(body, _PullRequestPayload)
    if payload.action not in (_LISTENED["pull_request"] or ()):
        return None
    named, pull = payload.repository.named, payload.pull_request
    if payload.action == "labeled":
        label = payload.label.name if payload.label else ""
        return PullRequestLabelled(**named, number=pull.number, label=label, head_sha=pull.head.sha)
    return _kind(payload)(**named, number=pull.number)


def _kind(payload: _PullRequestPayload) -> type[PullRequestMerged | PullRequestOpened | PullRequestChanged]:
    if payload.action == "closed" and payload.pull_request.merged:
        return PullRequestMerged
    return PullRequestOpened if payload.action == "opened" else PullRequestChanged


def _review(body: bytes) -> Event | None:
    payload = parse(body, _PullRequestPayload)
    if payload.action not in (_LISTENED["pull_request_review"] or ()):
        return None
    return PullRequestChanged(**payload.repository.named, number=payload.pull_request.number)


def _suite(body: bytes) -> Event | None:
    payload = parse(body, _SuitePayload)
    if payload.action != "completed":
        return None
    return ChecksReported(**payload.repository.named, head_sha=payload.check_suite.head_sha)


def _status(body: bytes) -> Event | None:
    payload = parse(body, _StatusPayload)
    if payload.state == "pending":
        return None
    return ChecksReported(**payload.repository.named, head_sha=payload.sha)


def _comment(body: bytes) -> Event | None:
    """A command by a person on a pull request; of the comment only the line with the command is kept."""
    payload = parse(body, _CommentPayload)
    author, sender = payload.comment.user, payload.sender
    if payload.action != "created" or payload.issue.pull_request is None or author is None:
        return None
    line = command_line(payload.comment.body or "")
    by_bot = "Bot" in (author.type, sender.type if sender else "")
    if by_bot or line is None:
        return None
    return CommentWritten(
        **payload.repository.named,
        number=payload.issue.number,
        comment_id=payload.comment.id,
        author=author.login,
        body=line[:500],
        url=payload.comment.html_url,
    )


def _moved(body: bytes) -> Event | None:
    payload = parse(body, _RepositoryPayload)
    if payload.action not in (_LISTENED["repository"] or ()):
        return None
    return RepositoryMoved(**payload.repository.named)


_READERS: Mapping[str, Callable[[bytes], Event | None]] = {
    "pull_request": _pull_request,
    "pull_request_review": _review,
    "check_suite": _suite,
    "status": _status,
    "issue_comment": _comment,
    "repository": _moved,
}
