"""The Store on SQLite: one table of JSON documents, compared and swapped by version."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from local.emulation.sqlite import connect, reading, timestamp, transaction
from shared.core.run import Run
from shared.core.target import Target
from shared.errors import Conflict, Refused
from shared.runtime import log
from shared.runtime.ports import Condition, Create, Document, Found, Query, Update, can_be_id
from shared.runtime.unreadable import UNREADABLE

D = TypeVar("D", Run, Target)

_COLLECTIONS: dict[type[Document], str] = {Run: "runs", Target: "targets"}
_INDEXED = ("wake_at", "created_at", "status", "target")
_COMPARISONS = ("==", "<", "<=", ">", ">=")
_FIELD = re.compile(r"[a-z_]+(\.[a-z_]+)*")

_SCHEMA = "; ".join(
    [
        "CREATE TABLE IF NOT EXISTS documents (collection TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,"
        " body TEXT NOT NULL, PRIMARY KEY (collection, id))",
        *(
            f"CREATE INDEX IF NOT EXISTS documents_by_{field}"
            f" ON documents (collection, json_extract(body, '$.{field}'), id)"
            for field in _INDEXED
        ),
    ]
)


class SqliteStore:
    """Documents in one file, for several processes at once, or in ":memory:"; versions are counted from 1."""

    def __init__(self, path: str | Path) -> None:
        self._connection = connect(path, _SCHEMA)

    async def get(self, kind: type[D], id: str) -> Found[D] | None:
        if not can_be_id(id):
            return None
        with reading(self._connection):
            row = self._connection.execute(
                "SELECT version, body FROM documents WHERE collection = ? AND id = ?", (_COLLECTIONS[kind], id)
            ).fetchone()
        return _found(kind, row) if row else None

    async def commit(self, *writes: Create | Update) -> tuple[int, ...]:
        with transaction(self._connection):
            return tuple(self._create(w) if isinstance(w, Create) else self._update(w) for w in writes)

    async def query(self, query: Query[D]) -> Sequence[Found[D]]:
        order_by, last = query.order_by, query.start_after
        kind: type[D] = query.kind
        order = _column(kind, order_by)
        clauses = [f"{order} IS NOT NULL", *(_clause(kind, condition) for condition in query.where)]
        values: list[Any] = [_plain(value) for _, _, value in query.where if value is not None]
        if last is not None:
            clauses.append(f"({order}, id) {'<' if query.descending else '>'} (?, ?)")
            values += [_plain(_value(last, order_by)), last.id]
        direction = "DESC" if query.descending else "ASC"
        sql = (
            f"SELECT version, body FROM documents WHERE collection = ? AND {' AND '.join(clauses)}"  # noqa: S608 - only checked names
            f" ORDER BY {order} {direction}, id {direction}"
        )
        asked = (_COLLECTIONS[kind], *values)
        with reading(self._connection), contextlib.closing(self._connection.execute(sql, asked)) as rows:
            found = (_readable(kind, row) for row in rows)
            return list(itertools.islice((one for one in found if one is not None), query.limit))

    async def close(self) -> None:
        self._connection.close()

    def _create(self, write: Create) -> int:
        document = write.document
        try:
            self._connection.execute(
                "INSERT INTO documents (collection, id, version, body) VALUES (?, ?, 1, ?)",
                (_COLLECTIONS[type(document)], document.id, _body(document)),
            )
        except sqlite3.IntegrityError as error:
            raise Conflict(f"{document.id} exists already") from error
        return 1

    def _update(self, write: Update) -> int:
        document = write.document
        changed = self._connection.execute(
            "UPDATE documents SET version = version + 1, body = ? WHERE collection = ? AND id = ? AND version = ?",
            (_body(document), _COLLECTIONS[type(document)], document.id, write.version),
        )
        if changed.rowcount == 0:
            raise Conflict(f"{document.id} is no longer at version {write.version}")
        return int(write.version) + 1


def _body(document: Document) -> str:
    plain = msgspec.to_builtins(document, builtin_types=(datetime,))
    return json.dumps(plain, default=timestamp, ensure_ascii=False, separators=(",", ":"))


def _readable(kind: type[D], row: tuple[int, str]) -> Found[D] | None:
    try:
        return _found(kind, row)
    except Refused as error:
        log.error("a document is left out", reason=str(error))
        return None


def _found(kind: type[D], row: tuple[int, str]) -> Found[D]:
    version, body = row
    try:
        return Found(msgspec.json.decode(body, type=kind), version)
    except UNREADABLE as error:
        raise Refused(f"{kind.__name__} cannot be read: {error}: {body[:80]}") from error


def _column(kind: type[D], field: str) -> str:
    """The SQL of a field, in the very words of the indexes. Raises ValueError for what the document has not."""
    if not _FIELD.fullmatch(field) or field.partition(".")[0] not in kind.__struct_fields__:
        raise ValueError(f"{kind.__name__} has no field {field!r}")
    return f"json_extract(body, '$.{field}')"


def _clause(kind: type[D], condition: Condition) -> str:
    field, comparison, value = condition
    if comparison not in _COMPARISONS or (value is None and comparison != "=="):
        raise ValueError(f"cannot compare {field} {comparison} {value!r}")
    return f"{_column(kind, field)} IS NULL" if value is None else f"{_column(kind, field)} {comparison} ?"


def _plain(value: Any) -> Any:
    return timestamp(value) if isinstance(value, datetime) else msgspec.to_builtins(value)


def _value(document: Document, field: str) -> Any:
    value: Any = document
    for name in field.split("."):
        value = getattr(value, name)
    return value
