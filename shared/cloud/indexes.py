"""Which Firestore indexes the queries need: single fields are indexed by themselves, combinations must be declared.

For equalities with an order Firestore merges indexes of one equality and that order each, so one per field is enough
whatever the combination (firebase.google.com/docs/firestore/query-data/index-overview, index merging).
Google's emulator needs no index and so shows none that is missing; a test derives the list from the queries.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from shared.core.run import Run
from shared.core.target import Target
from shared.runtime.ports import D, Document, Query

COLLECTIONS: dict[type[Document], str] = {Run: "runs", Target: "targets"}
Direction = Literal["ASCENDING", "DESCENDING"]


class Index(Struct, frozen=True, order=True):
    """`fields` in their order, with directions; Firestore itself adds `__name__` in the last one's direction."""

    collection: str
    fields: tuple[tuple[str, Direction], ...]


def _newest_first(field: str) -> Index:
    return Index("runs", ((field, "ASCENDING"), ("created_at", "DESCENDING")))


COMPOSITE_INDEXES = (
    _newest_first("pull_request.head_sha"),
    _newest_first("pull_request.number"),
    _newest_first("repository"),
    _newest_first("stage"),
    _newest_first("status"),
    _newest_first("target"),
)


def needed(query: Query[D]) -> set[Index]:
    """The composite indexes without which Firestore refuses the query.

    Raises ValueError for a range over another field than the order's, which no query has needed so far.
    """
    order: tuple[str, Direction] = (query.order_by, "DESCENDING" if query.descending else "ASCENDING")
    indexes = set()
    for field, comparison, _ in query.where:
        if field == query.order_by:
            continue
        if comparison != "==":
            raise ValueError(f"{field} {comparison} with an order by {query.order_by}: think of its index first")
        indexes.add(Index(COLLECTIONS[query.kind], ((field, "ASCENDING"), order)))
    return indexes
