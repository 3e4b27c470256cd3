"""Documents that an earlier version wrote are read and continued: tests/earlier_documents.json.

They come from simulated days of the version in which the simulation was first complete (71c5a01), one run for each
kind, stage and status, as the store held them then.
"""

import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from local.emulation.store import SqliteStore
from shared.core import attempts, notices, pipeline, replay
from shared.core.notices import SENT
from shared.core.outcome import Advance, Fail, Outcome, Retry, Wait
from shared.core.pipeline import Pace, Refusal, Terms
from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import Run, Stage
from shared.core.target import Target
from shared.runs import texts
from shared.runtime.ports import Query, Update

EARLIER: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "earlier_documents.json").read_text()
)
RUNS = [pytest.param(one, id=f"{one['kind']}-{one['stage']}-{one['status']}") for one in EARLIER["runs"]]
OUTCOMES: list[Outcome] = [
    Advance("done"),
    Wait(message="not yet", wake_in=5, otherwise=Reason.UNHEALTHY),
    Fail(Reason.UNHEALTHY, "503"),
    Retry("GitHub: 502"),
]


def as_run(body: dict[str, Any]) -> Run:
    return msgspec.convert(body, Run)


def terms(run: Run) -> Terms:
    return Terms(run.updated_at + timedelta(minutes=2), Policy(), Pace())


def kept(before: Any, after: Any) -> bool:
    """Whether everything that was written is in what is written now, under the same names."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(kept(value, after.get(name)) for name, value in before.items())
    if isinstance(before, list):
        return len(before) == len(after) and all(map(kept, before, after))
    return bool(before == after)


@pytest.mark.parametrize("kind", ["runs", "targets"])
def test_nothing_of_a_document_is_lost(kind: str) -> None:
    for body in EARLIER[kind]:
        read = msgspec.convert(body, Run if kind == "runs" else Target)
        assert kept(body, json.loads(msgspec.json.encode(read)))


@pytest.mark.parametrize("body", RUNS)
def test_a_run_is_told_of_and_its_notifications_are_delivered(body: dict[str, Any]) -> None:
    run = as_run(body)
    assert run.id in texts.comment(run, "https://console.example")
    assert len(attempts.of(run)) == run.status.terminal
    for notice in notices.owed_by(run):
        assert texts.notification(run, notice, "")["event"] == notice.event
    settled = notices.settle(run, dict.fromkeys(notices.owed_by(run), SENT), terms(run).now)
    assert settled.owed == ()
    assert set(settled.notified) == {*run.owed, *run.notified}


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("body", [one for one in RUNS if one.values[0]["stage"] != "done"])  # type: ignore[index]
def test_a_run_under_way_goes_on(body: dict[str, Any], outcome: Outcome) -> None:
    run = as_run(body)
    claimed = pipeline.claim(run, run.stage, "worker", terms(run))
    assert not isinstance(claimed, Refusal)
    after = pipeline.apply(claimed, Target(id=run.target, active=run.id), outcome, terms(run))
    assert after.run.history[: len(run.history)] == run.history
    assert (after.run.stage, after.run.status, after.again) != (run.stage, run.status, False) or isinstance(
        outcome, Wait | Retry | Fail
    )


@pytest.mark.parametrize("body", [one for one in RUNS if one.values[0]["stage"] == "done"])  # type: ignore[index]
def test_a_run_that_has_ended_is_replayed_where_a_stage_can_be(body: dict[str, Any]) -> None:
    run = as_run(body)
    again = replay.replay(run, Target(id=run.target), replay.Request(by="ada"), terms(run))
    assert isinstance(again, Fail) or (again.run.attempt, again.run.stage is Stage.DONE) == (2, False)


async def test_the_store_reads_and_changes_what_an_earlier_one_wrote(tmp_path: Path) -> None:
    file = tmp_path / "documents.sqlite"
    await SqliteStore(file).close()
    with sqlite3.connect(file) as connection:
        connection.executemany(
            "INSERT INTO documents (collection, id, version, body) VALUES ('runs', ?, 1, ?)",
            [(one["id"], json.dumps(one)) for one in {each["id"]: each for each in EARLIER["runs"]}.values()],
        )
    store = SqliteStore(file)
    found = await store.query(Query(Run, order_by="created_at"))
    assert len(found) == len({one["id"] for one in EARLIER["runs"]})
    for one in found:
        await store.commit(Update(msgspec.structs.replace(one.document, attempts=7), one.version))
    assert {one.document.attempts for one in await store.query(Query(Run, order_by="created_at"))} == {7}
    await store.close()
