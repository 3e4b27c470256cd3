"""What happens on a laptop: files that are damaged, locked or full, a clock set back, a page that calls in."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse

from local.emulation import sqlite
from local.emulation.backend import DOCUMENTS, MESSAGES
from local.emulation.folder import make_folder, write
from local.emulation.journal import Journal, Subscription
from local.emulation.serving import bind, served
from local.emulation.store import SqliteStore
from local.operating.workplace import Left, leave_behind
from shared.core.target import Target
from shared.errors import ConfigError, Refused, SignalboxError, Unavailable
from shared.runtime.ports import Create, Query

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
CONFIG = """
[repositories."acme/shop".services.web]
project_id = "p"
service_id = "s"
environments.production.environment_id = "e"
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As `signalbox up` leaves it, with a document and a message."""
    made = tmp_path / "signalbox"
    leave_behind(made, Left(backend="embedded"), CONFIG)
    return made


async def fill(folder: Path) -> None:
    store = SqliteStore(folder / DOCUMENTS)
    for number in range(300):
        await store.commit(Create(Target(id=f"acme:shop:web:{number}")))
    await store.close()


def spoil(path: Path) -> None:
    path.write_bytes(b"this is no database, but a note to myself" * 200)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:1000])


def scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 3] = os.urandom(4096 * 2)
    path.write_bytes(content)


COMMANDS = [("runs",), ("show", "x"), ("dead-letters", "list"), ("replay", "x"), ("pause", "--reason", "y")]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("damage", [spoil, cut, scribble])
async def test_a_damaged_file_ends_a_command_in_a_sentence(
    folder: Path, command: tuple[str, ...], damage: Callable[[Path], None]
) -> None:
    await fill(folder)
    for name in (DOCUMENTS, MESSAGES):
        if (folder / name).exists():
            damage(folder / name)
        else:
            spoil(folder / name)
    said = signalbox(*command, folder=folder)
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert "is damaged" in said.stderr
    assert f"move the folder {folder} away, and start again" in said.stderr


def signalbox(*command: str, folder: Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """`limit`: bytes that a file may have. It is set inside: nothing of ours may run between fork and exec."""
    confine = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    confine += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
    environ = {name: value for name, value in os.environ.items() if name != "GOOGLE_CLOUD_PROJECT"}
    return subprocess.run(
        [sys.executable, "-c", f"{confine if limit else ''}from local.cli import main; main()", *command],
        env=environ | {"SIGNALBOX_LOCAL_DIR": str(folder), "PYTHONPATH": str(ROOT)},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_what_is_damaged_while_it_is_used_is_refused_and_not_thrown(folder: Path) -> None:
    await fill(folder)
    store = SqliteStore(folder / DOCUMENTS)
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    scribble(folder / DOCUMENTS)
    store._connection.execute("PRAGMA cache_size = 0")

    async def read() -> None:
        for number in range(300):
            await store.get(Target, f"acme:shop:web:{number}")
            await store.query(Query(Target, order_by="id", limit=300))

    with pytest.raises(SignalboxError):
        await read()
    await store.close()


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (sqlite3.OperationalError("database is locked"), Unavailable, "another process holds it"),
        (sqlite3.OperationalError("database or disk is full"), Unavailable, "free some space"),
        (sqlite3.OperationalError("disk I/O error"), Unavailable, "see whether its disk"),
        (sqlite3.OperationalError("attempt to write a readonly database"), Unavailable, "see who owns the file"),
        (sqlite3.OperationalError("unable to open database file"), Unavailable, "see who owns the folder"),
        (sqlite3.DatabaseError("database disk image is malformed"), Refused, "start again"),
        (sqlite3.DatabaseError("file is not a database"), Refused, "start again"),
    ],
)
def test_each_trouble_of_a_file_has_a_next_step(error: sqlite3.Error, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says), sqlite._reaching("/x/documents.sqlite"):
        raise error


async def test_a_file_that_another_process_holds_is_waited_for_and_then_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE", 0.1)
    store = SqliteStore(folder / DOCUMENTS)
    other = sqlite3.connect(folder / DOCUMENTS, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="another process holds it"):
        await store.commit(Create(Target(id="x")))
    other.execute("ROLLBACK")
    await store.commit(Create(Target(id="x")))
    other.close()
    await store.close()


async def test_a_full_disk_is_said_and_keeps_what_was_there(folder: Path) -> None:
    await fill(folder)
    said = signalbox("pause", "--reason", "full", folder=folder, limit=1024)
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert "SQLite" in said.stderr
    store = SqliteStore(folder / DOCUMENTS)
    assert await store.get(Target, "acme:shop:web:299") is not None
    await store.close()


@pytest.mark.parametrize("wait", [0.0, 0.02, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_broken_off_shows_no_traceback(folder: Path, wait: float, number: int) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "GOOGLE_CLOUD_PROJECT"}
    begun = subprocess.Popen(
        [sys.executable, ROOT / "tests/unit/as_signalbox.py", "simulate", "--seeds", "2000"],
        env=environ | {"PYTHONPATH": str(ROOT)},
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert begun.stdout.readline() == "begun\n"
    time.sleep(wait)
    os.killpg(begun.pid, number)
    _, said = begun.communicate(timeout=60)
    assert begun.returncode != 0
    assert "Traceback" not in said, said


# A clock that is set back


def test_messages_are_delivered_after_the_clock_was_set_back() -> None:
    journal = Journal(":memory:", ["merge"], [Subscription("merge", "merge", "http://x", max_backoff=600.0)])
    journal.append("merge", b"1", {}, NOW)
    [first] = journal.claim({"merge": 5}, NOW)
    journal.hand_back(first, NOW + timedelta(seconds=600), "busy")
    journal.append("merge", b"2", {}, NOW)

    hour_ago = NOW - timedelta(hours=1)
    assert {one.message.data for one in journal.claim({"merge": 5}, hour_ago)} == {b"1", b"2"}
    journal.close()


def test_what_is_put_off_is_not_delivered_sooner_on_a_clock_that_goes_right() -> None:
    journal = Journal(":memory:", ["merge"], [Subscription("merge", "merge", "http://x", max_backoff=600.0)])
    journal.append("merge", b"1", {}, NOW)
    [first] = journal.claim({"merge": 5}, NOW)
    assert journal.claim({"merge": 5}, NOW) == []
    journal.hand_back(first, NOW + timedelta(seconds=600), "busy")
    assert journal.claim({"merge": 5}, NOW + timedelta(seconds=599)) == []
    assert len(journal.claim({"merge": 5}, NOW + timedelta(seconds=600))) == 1
    journal.close()


# A page on the web that calls in


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        ("evil.test", 421),
        ("evil.test:{port}", 421),
        ("127.0.0.1", 421),
        ("127.0.0.1:1", 421),
        ("127.0.0.1.evil.test:{port}", 421),
        ("localhost:{port}@evil.test", 421),
        ("", 421),
    ],
)
async def test_only_who_asks_for_this_machine_is_answered(host: str, status: int) -> None:
    listening = bind()
    port = listening.getsockname()[1]
    async with served((PlainTextResponse("hello"), listening)), httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/", headers={"Host": host.format(port=port)})
    assert answer.status_code == status
    assert ("hello" in answer.text) == (status == 200)


# Files that others may not read


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def rights_in(folder: Path) -> dict[str, int]:
    return {path.name: rights(path) for path in folder.iterdir() if path.is_file()}


async def test_documents_and_what_is_left_behind_are_their_owners_alone(folder: Path) -> None:
    before = os.umask(0)
    try:
        (folder / DOCUMENTS).touch(mode=0o666)
        store = SqliteStore(folder / DOCUMENTS)
        await store.commit(Create(Target(id="x")))
        write(folder / "secrets.env", "TOKEN=x")
        made = make_folder(folder / "inner")
    finally:
        os.umask(before)
    files = rights_in(folder)
    assert set(files) >= {DOCUMENTS, f"{DOCUMENTS}-wal", "backend.json", "signalbox.toml", "secrets.env"}
    assert set(files.values()) == {0o600}
    assert rights(made) == 0o700
    await store.close()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        write(tmp_path, "x")
