"""The Store in memory, with versions and Conflict as everywhere, and one worker's troubled way to it."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from local.simulation.chance import Chance
from local.simulation.execution import Execution, check_alive, die, freeze
from shared.core.run import Run
from shared.core.target import Target
from shared.errors import Conflict, Unavailable, UnknownOutcome
from shared.runtime.ports import Condition, Create, Document, Found, Query, Update

D = TypeVar("D", Run, Target)
Watch = Callable[[Execution, Sequence[tuple[Document | None, Document]]], None]
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_READ = {"crash before": 0.002, "unavailable": 0.004, "freeze": 0.001}
_COMMIT = {
    "crash before": 0.006,
    "crash after": 0.008,
    "unavailable": 0.005,
    "applied, answer lost": 0.005,
    "not applied, answer lost": 0.002,
    "freeze": 0.002,
}


class MemoryStore:
    """The documents themselves: they are immutable. Every commit is shown to `watch`, before and after."""

    def __init__(self, watch: Watch) -> None:
        self._documents: dict[tuple[type, str], tuple[int, Document]] = {}
        self._watch = watch

    def all(self, kind: type[D]) -> list[D]:
        return [document for _, document in self._documents.values() if isinstance(document, kind)]

    def peek(self, kind: type[D], id: str) -> D | None:
        found = self._documents.get((kind, id))
        return found[1] if found is not None and isinstance(found[1], kind) else None

    def get(self, kind: type[D], id: str) -> Found[D] | None:
        found = self._documents.get((kind, id))
        return None if found is None or not isinstance(found[1], kind) else Found(found[1], found[0])

    def commit(self, execution: Execution, writes: Sequence[Create | Update]) -> tuple[int, ...]:
        changes, versions = [], []
        for write in writes:
            version, before = self._documents.get((type(write.document), write.document.id), (0, None))
            if version != (write.version if isinstance(write, Update) else 0):
                raise Conflict(f"{write.document.id} is at version {version}")
            changes.append((before, write.document))
            versions.append(version + 1)
        for version, (_, after) in zip(versions, changes, strict=True):
            self._documents[type(after), after.id] = (version, after)
        self._watch(execution, changes)
        return tuple(versions)

    def query(self, query: Query[D]) -> list[Found[D]]:
        order = _reader(query.order_by)
        found = [
            Found(document, version)
            for version, document in self._documents.values()
            if isinstance(document, query.kind) and order(document) is not None and _meets(document, query.where)
        ]
        found.sort(key=lambda one: (order(one.document), one.document.id), reverse=query.descending)
        if query.start_after is not None:
            last = (order(query.start_after), query.start_after.id)
            beyond = operator.lt if query.descending else operator.gt
            found = [one for one in found if beyond((order(one.document), one.document.id), last)]
        return found[: query.limit]


class TroubledStore:
    """What one instance has of the store: slow, away at times, and the instance may die around each call."""

    def __init__(self, store: MemoryStore, chance: Chance, weather: float) -> None:
        self._store = store
        self._chance = chance
        self._read = {what: odds * weather for what, odds in _READ.items()}
        self._commit = {what: odds * weather for what, odds in _COMMIT.items()}

    async def get(self, kind: type[D], id: str) -> Found[D] | None:
        await self._reading()
        return self._store.get(kind, id)

    async def query(self, query: Query[D]) -> Sequence[Found[D]]:
        await self._reading()
        return self._store.query(query)

    async def commit(self, *writes: Create | Update) -> tuple[int, ...]:
        execution = check_alive()
        what, value = self._chance.incident(f"commit in {execution.function}", self._commit)
        if value < 0.5:
            await asyncio.sleep(0.005 + 0.06 * value)
            check_alive()
        execution.disturbed += what is not None
        if what == "crash before":
            raise die(execution)
        if what == "unavailable":
            raise Unavailable("the store is down")
        if what == "not applied, answer lost":
            raise UnknownOutcome("the store did not answer")
        if what == "freeze":
            await freeze(30 + 200 * value)
            check_alive()
        versions = self._store.commit(execution, writes)
        if what == "applied, answer lost":
            raise UnknownOutcome("the store did not answer")
        if what == "crash after":
            raise die(execution)
        if value >= 0.5:
            await asyncio.sleep(0.06 * value - 0.025)
            check_alive()
        return versions

    async def close(self) -> None:
        """Nothing is open."""

    async def _reading(self) -> None:
        execution = check_alive()
        what, value = self._chance.incident(f"read in {execution.function}", self._read)
        await asyncio.sleep(0.003 + 0.02 * value)
        check_alive()
        execution.disturbed += what is not None
        if what == "crash before":
            raise die(execution)
        if what == "unavailable":
            raise Unavailable("the store is down")
        if what == "freeze":
            await freeze(30 + 200 * value)
            check_alive()


@lru_cache
def _reader(field: str) -> Callable[[Document], Any]:
    """Of a field, or of one inside; None where there is nothing."""
    names = field.split(".")

    def read(document: Document) -> Any:
        value: Any = document
        for name in names:
            value = None if value is None else getattr(value, name)
        return value

    return read


def _meets(document: Document, conditions: Sequence[Condition]) -> bool:
    for field, comparison, wanted in conditions:
        value = _reader(field)(document)
        if comparison == "==" and value == wanted:
            continue
        if comparison == "==" or value is None or not _COMPARE[comparison](value, wanted):
            return False
    return True
