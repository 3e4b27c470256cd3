"""What every Store promises. Another implementation joins by adding a bench to `BENCHES`.

Where Google's emulator differs from production: it needs no composite index (tests/unit/cloud/test_indexes.py derives
them from the code), and it takes no notice of the TTL. A transaction on a contended document costs it two seconds each,
which is one of the reasons why the store uses none.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from local.emulation.emulators import Emulators
from local.emulation.sqlite import connect
from local.emulation.store import SqliteStore
from shared.cloud.firestore import FirestoreStore
from shared.core.run import HistoryEntry, Kind, Notified, PullRequest, Run, Stage, Status, Trigger, Verified
from shared.core.target import Target
from shared.errors import Conflict, Unavailable
from shared.runtime.ports import Create, Found, Query, Store, Update

T = TypeVar("T")
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class FileBench:
    """One file; each client has its own connection and, in a race, its own thread."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "signalbox.db"
        self._opened: list[Store] = []

    def open(self) -> Store:
        self._opened.append(SqliteStore(self._path))
        return self._opened[-1]

    async def race(self, *work: Callable[[Store], Awaitable[T]]) -> list[T]:
        return await asyncio.gather(*(asyncio.to_thread(self._alone, each) for each in work))

    def _alone(self, work: Callable[[Store], Awaitable[T]]) -> T:
        async def run() -> T:
            store = SqliteStore(self._path)
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(run())

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


class MemoryBench:
    """One connection, which every client shares."""

    def __init__(self) -> None:
        self._store = SqliteStore(":memory:")

    def open(self) -> Store:
        return self._store

    async def race(self, *work: Callable[[Store], Awaitable[T]]) -> list[T]:
        return await asyncio.gather(*(each(self._store) for each in work))

    async def close(self) -> None:
        await self._store.close()


class FirestoreBench:
    """Google's emulator, a project of its own; each client has its own connection."""

    def __init__(self, google: Emulators, project: str) -> None:
        self._google = google
        self._project = project
        self._opened: list[Store] = []

    def open(self) -> Store:
        self._opened.append(FirestoreStore(self._project, emulator=self._google.firestore.host))
        return self._opened[-1]

    async def race(self, *work: Callable[[Store], Awaitable[T]]) -> list[T]:
        return await asyncio.gather(*(each(self.open()) for each in work))

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


Bench = FileBench | MemoryBench | FirestoreBench
BENCHES = ("sqlite-file", "sqlite-memory", "firestore")


@pytest.fixture(params=BENCHES)
async def bench(request, tmp_path, new_project):
    bench: Bench
    match request.param:
        case "sqlite-file":
            bench = FileBench(tmp_path)
        case "sqlite-memory":
            bench = MemoryBench()
        case _:
            bench = FirestoreBench(request.getfixturevalue("google"), new_project())
    yield bench
    await bench.close()


@pytest.fixture
def store(bench) -> Store:
    return bench.open()


def a_run(id: str = "production-pr42-0f3a9c21be", **changes: Any) -> Run:
    run = Run(
        id=id,
        kind=Kind.DEPLOY,
        target="acme:shop:api:production",
        repository="acme/shop",
        service="api",
        environment="production",
        pull_request=PullRequest(
            number=42,
            title="Grüße, 世界 \u2028 'q' \"d\"",
            author="ada",
            head_sha="a" * 40,
            base="main",
            url="https://x",
        ),
        commit_sha="c" * 40,
        trigger=Trigger(source="merge", actor="ada", id="c" * 40, url="https://x"),
        stage=Stage.MERGE,
        status=Status.QUEUED,
        created_at=NOON,
        updated_at=NOON,
        expire_at=NOON + timedelta(days=90),
    )
    return replace(run, **changes)


def a_target(**changes: Any) -> Target:
    return replace(Target(id="acme:shop:api:production"), **changes)


def ids(page: Any) -> list[str]:
    return [found.document.id for found in page]


async def fill(store: Store, *runs: Run) -> None:
    for run in runs:
        await store.commit(Create(run))


# Reading and writing


async def test_what_was_created_is_read_back_equal(store):
    run = a_run(
        history=(HistoryEntry(NOON, Stage.MERGE, Status.WAITING, "checks are running"),),
        owed=("started:n8n",),
        notified={"started:comment": Notified(NOON, "sent")},
        wake_at=NOON + timedelta(microseconds=1),
    )
    target = a_target(verified=(Verified(deployment_id="d1", commit_sha="c" * 40, run_id=run.id, at=NOON),))

    versions = await store.commit(Create(run), Create(target))

    assert await store.get(Run, run.id) == Found(run, versions[0])
    assert await store.get(Target, target.id) == Found(target, versions[1])


async def test_a_missing_document_is_none(store):
    await store.commit(Create(a_run()))

    assert await store.get(Run, "nobody") is None
    assert await store.get(Target, a_run().id) is None, "a run is no target"


async def test_update_replaces_the_document_and_its_version(store):
    (first,) = await store.commit(Create(a_run(error=None)))

    (second,) = await store.commit(Update(a_run(status=Status.RUNNING, commit_sha=None), first))

    found = await store.get(Run, a_run().id)
    assert found == Found(a_run(status=Status.RUNNING, commit_sha=None), second)
    assert second != first


async def test_an_update_removes_what_is_no_longer_there(store):
    full = a_run(
        history=(HistoryEntry(NOON, Stage.MERGE, Status.WAITING, "checks are running"),),
        owed=("started:n8n", "started:comment"),
        notified={"started:comment": Notified(NOON, "sent"), "a.b/`c`": Notified(NOON, "gone")},
    )
    (version,) = await store.commit(Create(full))

    await store.commit(Update(a_run(pull_request=None), version))

    assert (await store.get(Run, full.id)).document == a_run(pull_request=None)


async def test_times_in_other_zones_come_back_as_the_same_moment(store):
    there = NOON.astimezone(datetime.strptime("+0530", "%z").tzinfo)

    await store.commit(Create(a_run(wake_at=there)))

    found = await store.get(Run, a_run().id)
    assert found.document.wake_at == NOON


async def test_a_document_near_the_limit_of_a_mebibyte(store):
    tail = tuple(HistoryEntry(NOON, Stage.MONITOR, Status.WAITING, "x" * 1000) for _ in range(900))

    await store.commit(Create(a_run(history=tail)))

    found = await store.get(Run, a_run().id)
    assert found.document.history == tail


@pytest.mark.parametrize(
    "id",
    ["", "/", "a/b", "a/b/c", "../targets/x", ".", "..", "__x__", "____", "__a\nb__", "x" * 1501, "é" * 751, "\udcff"],
)
async def test_an_id_that_firestore_cannot_hold_is_no_document(store, id):
    assert await store.get(Run, id) is None


@pytest.mark.parametrize("id", ["...", ".a", "__x_", "_x__", "a b", "a%2Fb", "\x00", "x" * 1500, "日本"])
async def test_an_unusual_id_is_a_document_like_others(store, id):
    assert await store.get(Run, id) is None
    await store.commit(Create(a_run(id)))
    assert (await store.get(Run, id)).document.id == id


# Conflicts


async def test_of_racing_creates_one_wins(bench, store):
    async def create(store: Store) -> bool:
        try:
            await store.commit(Create(a_run()))
        except Conflict:
            return False
        return True

    won = await bench.race(*[create] * 20)

    assert won.count(True) == 1


async def test_a_stale_version_is_refused(store):
    (first,) = await store.commit(Create(a_run()))
    await store.commit(Update(a_run(status=Status.RUNNING), first))

    with pytest.raises(Conflict):
        await store.commit(Update(a_run(status=Status.FAILED), first))

    found = await store.get(Run, a_run().id)
    assert found.document.status is Status.RUNNING


async def test_updating_what_does_not_exist_is_a_conflict(store):
    (version,) = await store.commit(Create(a_run("another")))

    with pytest.raises(Conflict):
        await store.commit(Update(a_run(), version))

    assert await store.get(Run, a_run().id) is None


async def test_one_stale_document_and_nothing_is_written(store):
    run_version, target_version = await store.commit(Create(a_run()), Create(a_target()))
    await store.commit(Update(a_target(active="another"), target_version))

    with pytest.raises(Conflict):
        await store.commit(
            Create(a_run("new")),
            Update(a_run(status=Status.RUNNING), run_version),
            Update(a_target(active=a_run().id), target_version),
        )

    assert await store.get(Run, "new") is None
    assert await store.get(Run, a_run().id) == Found(a_run(), run_version)
    assert (await store.get(Target, a_target().id)).document.active == "another"


async def test_the_store_is_usable_after_a_conflict(store):
    (version,) = await store.commit(Create(a_run()))
    with pytest.raises(Conflict):
        await store.commit(Create(a_run()))

    await store.commit(Update(a_run(status=Status.RUNNING), version))

    assert (await store.get(Run, a_run().id)).document.status is Status.RUNNING


async def test_contended_compare_and_set_with_retry_loses_nothing(bench, store):
    await store.commit(Create(a_target()))

    async def count_to_twenty(store: Store) -> int:
        conflicts = 0
        for _ in range(20):
            while True:
                found = await store.get(Target, a_target().id)
                one_more = replace(found.document, rollbacks_in_a_row=found.document.rollbacks_in_a_row + 1)
                try:
                    await store.commit(Update(one_more, found.version))
                except Conflict:
                    conflicts += 1
                    await asyncio.sleep(0)
                else:
                    break
        return conflicts

    await bench.race(*[count_to_twenty] * 8)

    found = await store.get(Target, a_target().id)
    assert found.document.rollbacks_in_a_row == 160


async def test_two_clients_see_each_others_writes(bench):
    one, other = bench.open(), bench.open()

    (version,) = await one.commit(Create(a_run()))
    found = await other.get(Run, a_run().id)
    await other.commit(Update(a_run(status=Status.RUNNING), found.version))

    assert found.version == version
    assert ids(await one.query(Query(Run, (("status", "==", Status.RUNNING),), order_by="created_at"))) == [a_run().id]
    with pytest.raises(Conflict):
        await one.commit(Update(a_run(status=Status.FAILED), version))


# Queries


async def test_the_sweep_finds_what_is_due_oldest_first(store):
    await fill(
        store,
        a_run("later", wake_at=NOON + timedelta(seconds=1)),
        a_run("second", wake_at=NOON),
        a_run("first", wake_at=NOON - timedelta(hours=1)),
        a_run("ended", wake_at=None),
    )
    await store.commit(Create(a_target(wake_at=NOON)))

    due = await store.query(Query(Run, (("wake_at", "<=", NOON),), order_by="wake_at"))

    assert ids(due) == ["first", "second"]
    assert due[1] == await store.get(Run, "second")


async def test_a_time_without_microseconds_orders_among_those_with(store):
    await fill(
        store,
        a_run("c", wake_at=NOON + timedelta(microseconds=5)),
        a_run("d", wake_at=NOON + timedelta(seconds=1)),
        a_run("b", wake_at=NOON),
        a_run("a", wake_at=NOON - timedelta(microseconds=1)),
    )

    assert ids(await store.query(Query(Run, order_by="wake_at"))) == ["a", "b", "c", "d"]
    assert ids(await store.query(Query(Run, (("wake_at", ">", NOON),), order_by="wake_at"))) == ["c", "d"]
    assert ids(await store.query(Query(Run, (("wake_at", "==", NOON),), order_by="wake_at"))) == ["b"]


async def test_the_console_pages_newest_first(store):
    await fill(store, *(a_run(f"run-{n}", created_at=NOON + timedelta(minutes=n // 2)) for n in range(7)))
    pages, last = [], None

    while len(pages) < 7 and (
        page := await store.query(Query(Run, order_by="created_at", descending=True, limit=3, start_after=last))
    ):
        pages.append(ids(page))
        last = page[-1].document

    assert pages == [["run-6", "run-5", "run-4"], ["run-3", "run-2", "run-1"], ["run-0"]]


async def test_paging_forward_breaks_ties_by_id(store):
    await fill(store, *(a_run(f"run-{n}") for n in (2, 0, 3, 1)))

    first = await store.query(Query(Run, order_by="created_at", limit=2))
    second = await store.query(Query(Run, order_by="created_at", limit=2, start_after=first[-1].document))

    assert (ids(first), ids(second)) == (["run-0", "run-1"], ["run-2", "run-3"])


async def test_what_has_no_value_in_the_order_is_left_out_whichever_way(store):
    await fill(
        store,
        a_run("none", wake_at=None, stage=Stage.DONE),
        a_run("early", wake_at=NOON, stage=Stage.DONE),
        a_run("late", wake_at=NOON + timedelta(days=1), stage=Stage.DONE),
        a_run("other", wake_at=NOON),
    )
    done = ("stage", "==", Stage.DONE)

    up = await store.query(Query(Run, (done,), order_by="wake_at"))
    down = await store.query(Query(Run, (done,), order_by="wake_at", descending=True))
    rest = await store.query(Query(Run, (done,), order_by="wake_at", descending=True, start_after=down[0].document))

    assert (ids(up), ids(down), ids(rest)) == (["early", "late"], ["late", "early"], ["early"])


async def test_the_order_may_be_by_a_field_of_a_field(store):
    pull = a_run().pull_request
    await fill(store, *(a_run(f"run-{n}", pull_request=replace(pull, number=n)) for n in (10, 9, 11)))
    await fill(store, a_run("command", pull_request=None))

    first = await store.query(Query(Run, order_by="pull_request.number", limit=2))
    second = await store.query(Query(Run, order_by="pull_request.number", limit=2, start_after=first[-1].document))

    assert (ids(first), ids(second)) == (["run-9", "run-10"], ["run-11"])


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", ["wake_at", "pull_request.number"])
async def test_what_cannot_be_read_leaves_its_place_to_what_can(store, order, descending, caplog):
    pull = a_run().pull_request
    for n in range(9):
        times = {"wake_at": NOON + timedelta(minutes=n), "pull_request": replace(pull, number=n)}
        await fill(store, a_run(f"run-{n}", kind="of old" if n in (0, 2, 3, 4, 8) else Kind.DEPLOY, **times))
    readable = ["run-1", "run-5", "run-6", "run-7"]

    first = await store.query(Query(Run, order_by=order, descending=descending, limit=2))
    second = await store.query(
        Query(Run, order_by=order, descending=descending, limit=2, start_after=first[-1].document)
    )
    everything = await store.query(Query(Run, order_by=order, descending=descending, limit=5))

    expected = readable[::-1] if descending else readable
    assert (ids(first), ids(second), ids(everything)) == (expected[:2], expected[2:], expected)
    assert "a document is left out" in caplog.text


async def test_conditions_are_combined(store):
    await fill(
        store,
        a_run("mine", status=Status.WAITING, target="t1"),
        a_run("done", status=Status.SUCCEEDED, target="t1"),
        a_run("elsewhere", status=Status.WAITING, target="t2"),
    )

    found = await store.query(
        Query(
            Run,
            (
                ("target", "==", "t1"),
                ("status", "==", Status.WAITING),
            ),
            order_by="created_at",
        )
    )

    assert ids(found) == ["mine"]


async def test_dotted_fields_and_none(store):
    await fill(
        store,
        a_run("pr42"),
        a_run("pr43", pull_request=replace(a_run().pull_request, number=43)),
        a_run("command", pull_request=None, commit_sha=None),
    )

    by_number = await store.query(Query(Run, (("pull_request.number", "==", 42),), order_by="created_at"))
    without = await store.query(Query(Run, (("pull_request", "==", None),), order_by="created_at"))
    no_commit = await store.query(Query(Run, (("commit_sha", "==", None),), order_by="created_at"))

    assert (ids(by_number), ids(without), ids(no_commit)) == (["pr42"], ["command"], ["command"])


async def test_a_value_cannot_reach_into_the_query(store):
    await fill(store, a_run("one"))

    assert ids(await store.query(Query(Run, (("target", "==", "' OR 1=1 --"),), order_by="created_at"))) == []


async def test_a_field_that_the_document_has_not_is_refused(store):
    for field in ("wake_up", "status') OR ('1'='1", "Status"):
        with pytest.raises(ValueError, match="has no field"):
            await store.query(Query(Run, ((field, "==", 1),), order_by="created_at"))
    with pytest.raises(ValueError, match="cannot compare"):
        await store.query(Query(Run, (("wake_at", "<=", None),), order_by="created_at"))
    with pytest.raises(ValueError, match="no time zone"):
        await store.commit(Create(a_run(wake_at=datetime(2026, 7, 1))))  # noqa: DTZ001 - that is the point


# SQLite alone


async def test_the_sweeps_query_uses_an_index(tmp_path):
    store = SqliteStore(tmp_path / "signalbox.db")
    reader = connect(tmp_path / "signalbox.db", "SELECT 1")

    (plan,) = reader.execute(
        "EXPLAIN QUERY PLAN SELECT body FROM documents WHERE collection = ? AND json_extract(body, '$.wake_at') <= ?"
        " ORDER BY json_extract(body, '$.wake_at'), id",
        ("runs", "2026"),
    ).fetchall()

    assert "documents_by_wake_at" in plan[3]
    reader.close()
    await store.close()


async def test_a_database_that_is_locked_or_out_of_reach_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr("local.emulation.sqlite.PATIENCE", 0.01)
    store = SqliteStore(tmp_path / "signalbox.db")
    other = connect(tmp_path / "signalbox.db", "SELECT 1")
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(Unavailable, match="locked"):
        await store.commit(Create(a_run()))
    other.execute("ROLLBACK")
    await store.commit(Create(a_run()))

    with pytest.raises(Unavailable):
        SqliteStore(tmp_path / "missing" / "signalbox.db")

    new = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
    new.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable, match="locked"):
        SqliteStore(tmp_path / "new.db")
    new.close()
    other.close()
    await store.close()


async def test_many_clients_may_open_a_new_file_at_once(tmp_path):
    bench = FileBench(tmp_path)

    def create(id: str) -> Callable[[Store], Awaitable[Any]]:
        return lambda store: store.commit(Create(a_run(id)))

    await bench.race(*(create(f"run-{n:02}") for n in range(16)))

    assert len(await bench.open().query(Query(Run, order_by="created_at"))) == 16
    await bench.close()
