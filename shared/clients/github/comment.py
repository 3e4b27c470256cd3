"""A comment on a pull request, as GitHub's API shows it: what a webhook says of one is only a hint.

Source: docs.github.com/rest/issues/comments, "Get an issue comment".
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class _User(Struct):
    login: str
    type: str = "User"


class _Reactions(Struct):
    confused: int = 0


class ReactionAnswer(Struct):
    content: str
    user: _User | None = None


class CommentAnswer(Struct):
    id: int
    issue_url: str
    html_url: str
    created_at: datetime
    updated_at: datetime
    body: str | None = None
    user: _User | None = None
    reactions: _Reactions | None = None


class WrittenComment(Struct, frozen=True, kw_only=True):
    """`number` None: it is not on a pull request. `author` None: the account is deleted, or no person wrote it."""

    id: int
    number: int | None
    author: str | None
    body: str
    url: str
    created_at: datetime
    edited: bool
    """Changed since it was written. GitHub moves `updated_at` when the text is edited."""
    confused: int
    """How many 😕 it has, of anybody."""


def read(answer: CommentAnswer) -> WrittenComment:
    on_pull_request = "/pull/" in answer.html_url
    number = answer.issue_url.rpartition("/")[2]
    person = answer.user is not None and answer.user.type != "Bot"
    return WrittenComment(
        id=answer.id,
        number=int(number) if on_pull_request and number.isdecimal() else None,
        author=answer.user.login if answer.user is not None and person else None,
        body=answer.body or "",
        url=answer.html_url,
        created_at=answer.created_at,
        edited=answer.updated_at > answer.created_at,
        confused=answer.reactions.confused if answer.reactions is not None else 0,
    )
