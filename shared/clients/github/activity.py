"""What has happened in a repository lately, as GitHub itself shows it: the query, and what its answer means."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from shared.errors import NotFound

QUERY = """
query ($owner: String!, $name: String!) {
  repository(owner: $owner, name: $name) {
    databaseId nameWithOwner
    merged: pullRequests(states: MERGED, first: 50, orderBy: {field: UPDATED_AT, direction: DESC}) {
      nodes { number baseRefName mergedAt }
    }
    opened: pullRequests(first: 1, orderBy: {field: CREATED_AT, direction: DESC}) { nodes { createdAt } }
    open: pullRequests(states: OPEN, first: 50, orderBy: {field: UPDATED_AT, direction: DESC}) {
      nodes { number updatedAt labels(first: 100) { nodes { name } } }
    }
  }
}
"""


class Merge(Struct, frozen=True):
    """A pull request that is merged, the branch it went to, and when."""

    number: int
    base: str
    at: datetime


class Open(Struct, frozen=True):
    """A pull request that is open, its labels, and when it was last pushed to, labelled, reviewed or spoken about."""

    number: int
    updated_at: datetime
    labels: frozenset[str]


class Activity(Struct, frozen=True):
    """`merges` and `open` are the newest, newest first; fifty at most of each."""

    repository_id: int | None
    merges: tuple[Merge, ...]
    opened_at: datetime | None
    """When the newest pull request was opened."""
    open: tuple[Open, ...] = ()
    name: str = ""
    """What GitHub calls the repository."""

    def latest(self, until: datetime) -> datetime | None:
        """When something was last done, until then, of which a webhook tells: a pull request opened or merged."""
        known = (self.opened_at, *(merge.at for merge in self.merges))
        return max((at for at in known if at is not None and at <= until), default=None)


class _Merged(Struct, rename="camel"):
    number: int
    base_ref_name: str
    merged_at: Annotated[datetime, Meta(tz=True)]


class _Opened(Struct, rename="camel"):
    created_at: Annotated[datetime, Meta(tz=True)]


class _Label(Struct):
    name: str


class _Labels(Struct):
    nodes: list[_Label]


class _Open(Struct, rename="camel"):
    number: int
    updated_at: Annotated[datetime, Meta(tz=True)]
    labels: _Labels | None = None

    def shown(self) -> Open:
        names = (label.name for label in self.labels.nodes) if self.labels else ()
        return Open(self.number, self.updated_at, frozenset(names))


class _OpenNodes(Struct):
    nodes: list[_Open]


class _MergedNodes(Struct):
    nodes: list[_Merged]


class _OpenedNodes(Struct):
    nodes: list[_Opened]


class _Repository(Struct, rename="camel"):
    merged: _MergedNodes
    opened: _OpenedNodes
    open: _OpenNodes
    database_id: int | None = None
    name_with_owner: str = ""


class _Data(Struct):
    repository: _Repository | None = None


class ActivityAnswer(Struct):
    data: _Data | None = None

    @property
    def repository_id(self) -> int | None:
        """Which repository has answered."""
        return self.data.repository.database_id if self.data and self.data.repository else None

    def activity(self) -> Activity:
        """Raises NotFound when there is no such repository."""
        repository = self.data.repository if self.data else None
        if repository is None:
            raise NotFound("graphql: no such repository", status=200)
        merges = (Merge(node.number, node.base_ref_name, node.merged_at) for node in repository.merged.nodes)
        opened = repository.opened.nodes
        return Activity(
            repository.database_id,
            tuple(sorted(merges, key=lambda merge: (merge.at, merge.number), reverse=True)),
            opened[0].created_at if opened else None,
            tuple(node.shown() for node in repository.open.nodes),
            repository.name_with_owner,
        )
