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

from shared.errors import Refused, SignalboxError, Unavailable

MEMORY = ":memory:"
OWNER_ALONE = 0o600
PATIENCE = 5.0
"""Seconds to wait for another process's transaction."""

_DAMAGED = ("malformed", "not a database", "unsupported file format")
_ADVICE = {
    "full": ": free some space on its disk",
    "locked": ": another process holds it; if that goes on, stop the other Signalbox",
    "readonly": ": see who owns the file, and its folder",
    "unable to open": ": see who owns the folder",
    "disk I/O error": ": see whether its disk is full, or fails",
}


class Connection(sqlite3.Connection):
    """Knows its file."""

    path: str | Path = MEMORY


def connect(path: str | Path, schema: str) -> Connection:
    """Open the file, made when missing and for its owner alone, and apply the schema.

    Raises Unavailable for what may pass, and Refused for a file that is damaged, with what to do.
    """
    with _reaching(path):
        if path != MEMORY:
            _keep_private(Path(path))
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, factory=Connection)
        connection.path = path
        try:
            _write_ahead(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(f"BEGIN IMMEDIATE; {schema}; COMMIT;")
        except sqlite3.Error:
            connection.close()
            raise
    return connection


@contextmanager
def reading(connection: Connection) -> Iterator[None]:
    """Raises what `connect` raises."""
    with _reaching(connection.path):
        yield


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Everything inside is written, or nothing. Raises what `connect` raises."""
    with _reaching(connection.path), connection:
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


def _keep_private(path: Path) -> None:
    """SQLite gives the files beside it (-wal, -shm) the rights of the file itself."""
    try:
        path.touch(mode=OWNER_ALONE)
        path.chmod(OWNER_ALONE)
    except OSError as error:
        raise Unavailable(f"{path} cannot be opened: {error.strerror}") from error


@contextmanager
def _reaching(path: str | Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise _explained(path, error) from error


def _explained(path: str | Path, error: sqlite3.DatabaseError) -> SignalboxError:
    said = str(error)
    if any(words in said for words in _DAMAGED):
        folder = Path(path).parent
        return Refused(f"{path} is damaged ({said}): stop Signalbox, move the folder {folder} away, and start again")
    advice = next((advice for words, advice in _ADVICE.items() if words in said), "")
    return Unavailable(f"SQLite {path}: {said}{advice}")
