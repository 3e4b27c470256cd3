"""Who put a label on a pull request: the GraphQL query, and what its answer means."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

from shared.core.observed import Labelling
from shared.errors import NotFound, PullRequestUnknown, Unavailable

QUERY = """
query ($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) { databaseId pullRequest(number: $number) {
    timelineItems(last: 100, itemTypes: [LABELED_EVENT]) { nodes {
      __typename
      ... on LabeledEvent { id createdAt actor { __typename login } label { name } }
    } }
  } }
}
"""


class _Actor(Struct, rename={"kind": "__typename"}):
    login: str
    kind: str = ""


class _Label(Struct):
    name: str


class _Event(Struct, rename="camel"):
    id: str
    created_at: datetime
    label: _Label
    actor: _Actor | None = None


class _Timeline(Struct):
    nodes: list[_Event | None]


class _PullRequest(Struct, rename="camel"):
    timeline_items: _Timeline


class _Repository(Struct, rename="camel"):
    pull_request: _PullRequest | None = None
    database_id: int | None = None


class _Data(Struct):
    repository: _Repository | None = None


class LabellingAnswer(Struct):
    data: _Data = field(default_factory=_Data)

    @property
    def repository_id(self) -> int | None:
        """Which repository has answered."""
        return self.data.repository.database_id if self.data.repository else None

    def latest(self, label: str) -> Labelling | None:
        """None where it was not set among the last hundred labels. Raises NotFound without the pull request.

        Raises Unavailable when a later event cannot be read, which may be that another user set it.
        """
        if self.data.repository is None:
            raise NotFound("graphql: no such repository", status=200)
        if self.data.repository.pull_request is None:
            raise PullRequestUnknown("graphql: no such pull request", status=200)
        for event in reversed(self.data.repository.pull_request.timeline_items.nodes):
            if event is None:
                raise Unavailable("graphql: who set the label last cannot be read")
            if event.label.name.casefold() == label.casefold():
                return _labelling(event)
        return None


def _labelling(event: _Event) -> Labelling:
    actor = event.actor or _Actor("ghost")  # GitHub's stand-in for a deleted account
    return Labelling(event.id, actor.login, actor.kind == "User", event.created_at)
