"""How the store and the bus use SQLite: a file that several processes work on at once, or ":memory:".

Write-ahead logging with `synchronous = NORMAL`: what was committed survives the death of the process, and loses at
most its last moments to a power cut. Calls take well under a millisecond, so they run in the event loop.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from shared.errors import Unavailable

PATIENCE = 5.0
"""Seconds to wait for another process's transaction."""


def connect(path: str | Path, schema: str) -> sqlite3.Connection:
    """Open the file, made when missing, and apply the schema. Raises Unavailable."""
    with _reaching(path):
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(f"BEGIN IMMEDIATE; {schema}; COMMIT;")
        except sqlite3.Error:
            connection.close()
            raise
    return connection


@contextmanager
def reading() -> Iterator[None]:
    """Turns "locked" and "disk I/O error" into Unavailable."""
    with _reaching("database"):
        yield


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything inside is written, or nothing. Raises Unavailable."""
    with _reaching("database"), connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def timestamp(moment: datetime) -> str:
    """UTC in ISO 8601 of fixed width, so that the order of the texts is the order of the times."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. When processes do so at once, SQLite refuses some without waiting its timeout."""
    patient_until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= patient_until:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def _reaching(what: str | Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(f"SQLite {what}: {error}") from error
