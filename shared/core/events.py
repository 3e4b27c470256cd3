"""Normalised events: what a webhook is reduced to before it is published. A hint to look, never a fact to act on."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]
"""Of a pull request or comment; neither store holds larger ones."""


class RepositoryEvent(Struct, frozen=True, kw_only=True):
    """About a repository, by the name that GitHub gives it now; `repository_id` stays when it is renamed.

    An event that was published before there was one has no id.
    """

    repository: str
    repository_id: int | None = None


class PullRequestMerged(RepositoryEvent, frozen=True, kw_only=True, tag="pull_request_merged"):
    number: Number


class PullRequestOpened(RepositoryEvent, frozen=True, kw_only=True, tag="pull_request_opened"):
    """Of interest only where pull requests are analysed: of each label it is opened with GitHub tells by itself."""

    number: Number


class PullRequestChanged(RepositoryEvent, frozen=True, kw_only=True, tag="pull_request_changed"):
    """New commits, a review, a label taken off, no draft any more, or closed without a merge."""

    number: Number


class PullRequestLabelled(RepositoryEvent, frozen=True, kw_only=True, tag="pull_request_labelled"):
    """A label was set. Which, and at which head, is only what the webhook says: nothing is decided by it."""

    number: Number
    label: str
    head_sha: str


class ChecksReported(RepositoryEvent, frozen=True, kw_only=True, tag="checks_reported"):
    head_sha: str


class CommentWritten(RepositoryEvent, frozen=True, kw_only=True, tag="comment_written"):
    """A comment on a pull request that starts with a slash, says the webhook; `body` is its first line.

    Only the id is relied on: who wrote what, and where, is read from GitHub.
    """

    number: Number
    comment_id: Number
    author: str
    body: str
    url: str


class RepositoryMoved(RepositoryEvent, frozen=True, kw_only=True, tag="repository_moved"):
    """Renamed, or transferred to another owner: `repository` is the new name."""


class DeploymentChanged(Struct, frozen=True, kw_only=True, tag="deployment_changed"):
    environment_id: str
    service_id: str
    deployment_id: str
    event: str


class SecretExpiring(Struct, frozen=True, kw_only=True, tag="secret_expiring"):
    """Of a function that reads a secret and writes no documents: it is about to be too old."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,255}$")]
    made_on: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


Event = (
    PullRequestMerged
    | PullRequestOpened
    | PullRequestChanged
    | PullRequestLabelled
    | ChecksReported
    | CommentWritten
    | RepositoryMoved
    | DeploymentChanged
    | SecretExpiring
)
