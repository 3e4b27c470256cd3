"""What a backend provides: documents, messages, secrets and the time. Implementations: shared.cloud, local."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from msgspec import Struct

from shared.core.run import Run
from shared.core.target import Target

Document = Run | Target
D = TypeVar("D", Run, Target)
Comparison = Literal["==", "<", "<=", ">", ">="]
Condition = tuple[str, Comparison, Any]
"""A top-level or dotted field of the document, a comparison, and a value (str, int, bool, datetime or None)."""

LONGEST_ID = 1500
"""Bytes of UTF-8."""
_RESERVED = re.compile(r"\.|\.\.|__.*__", re.DOTALL)


def can_be_id(id: str) -> bool:
    """Whether Firestore can hold a document of that id; no other store holds one that Firestore cannot.

    Source: firebase.google.com/docs/firestore/quotas, "Constraints on document IDs".
    """
    try:
        size = len(id.encode())
    except UnicodeEncodeError:
        return False
    return 0 < size <= LONGEST_ID and "/" not in id and not _RESERVED.fullmatch(id)


class Found(Struct, Generic[D], frozen=True):
    """A document as it was read; `version` is opaque and belongs to the store that gave it."""

    document: D
    version: Any


class Create(Struct, frozen=True):
    """Write a document that must not exist yet."""

    document: Document


class Update(Struct, frozen=True):
    """Replace a document that must still be at `version`."""

    document: Document
    version: Any


class Query(Struct, Generic[D], frozen=True):
    """The documents that meet all conditions, ordered by a field and then by id, a page at a time.

    Documents whose `order_by` field is None are left out. `start_after` is the last document of the page before.
    """

    kind: type[D]
    where: tuple[Condition, ...] = ()
    order_by: str = "id"
    descending: bool = False
    limit: int = 100
    start_after: D | None = None


class Store(Protocol):
    async def get(self, kind: type[D], id: str) -> Found[D] | None:
        """None when there is no such document, and when there cannot be one (`can_be_id`).

        Raises Refused for one that cannot be read: another program wrote it, or a newer version of us.
        """
        ...

    async def commit(self, *writes: Create | Update) -> tuple[Any, ...]:
        """Write all or nothing and return the new versions, in order.

        Raises Conflict when a document to create exists, or one to update is missing or at another version;
        Unavailable when the store cannot be reached; UnknownOutcome when it is not known whether it was written.
        """
        ...

    async def query(self, query: Query[D]) -> Sequence[Found[D]]:
        """The documents that it asks for; fewer than `limit` are the last.

        Documents that cannot be read are left out, with an error in the log: one must not keep the sweep from all
        others.
        """
        ...

    async def close(self) -> None: ...


class Bus(Protocol):
    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        """Hand over a message and return its id; when this returns, the message is durable.

        Raises TransientError when it is not known to be.
        """
        ...

    async def close(self) -> None: ...


class SecretSource(Protocol):
    async def read(self, name: str) -> tuple[str, ...]:
        """The accepted values of a secret, newest first. Raises SecretMissing or TransientError."""
        ...


@runtime_checkable
class Dated(Protocol):
    """A source of secrets that knows their ages."""

    def made_at(self, name: str) -> datetime | None:
        """When the newest value was made, as of the last `read`; None where that did not show it."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, timezone-aware UTC."""
        ...


class Backend:
    """What `SIGNALBOX_BACKEND` names a factory of: `def open_backend(environ) -> Backend`.

    A subclass may open each part when it is first used.
    """

    store: Store
    bus: Bus
    secrets: SecretSource
    clock: Clock

    def __init__(self, store: Store, bus: Bus, secrets: SecretSource, clock: Clock) -> None:
        self.store, self.bus, self.secrets, self.clock = store, bus, secrets, clock

    async def close(self) -> None:
        """Close what was opened."""
        await self.bus.close()
        await self.store.close()
