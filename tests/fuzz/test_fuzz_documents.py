"""Documents that somebody else wrote, or another version of us: read, or refused in so many words."""

import json
import sqlite3
from datetime import datetime
from typing import Any

import msgspec
import pytest
from fuzz.calling import Server, enveloped
from fuzz.inputs import bodies, fuzzed, mutated
from google.cloud.firestore_v1.types import Value
from hypothesis import example, given, reject
from hypothesis import strategies as st
from unit.building import a_run, a_target, a_version, a_way_back, at
from unit.functions.scene import TARGET, Stage

from local.emulation.store import SqliteStore
from shared.cloud import documents
from shared.core.outcome import Message
from shared.core.reasons import Reason
from shared.core.run import Failure, Notified, Run, Verification
from shared.core.target import Health, Lock, Quarantine, QueueEntry, Target
from shared.errors import Refused
from shared.runtime import envelope
from shared.runtime.ports import Query

RUN = a_run(
    Stage.VERIFY,
    rollback=a_way_back(),
    verification=Verification(healthy_since=at(1)),
    error=Failure(code=Reason.UNHEALTHY, message="503", stage=Stage.VERIFY, log_tail=("x",)),
    notified={"failed:n8n": Notified(at(2), "sent")},
)
PLACE = a_target(
    id=TARGET,
    queue=(QueueEntry("x", Stage.MERGE),),
    lock=Lock(by="mona", reason="audit", at=at(0)),
    quarantined=(Quarantine(commit_sha="a" * 40, run_id="x", reason=Reason.UNHEALTHY, at=at(0)),),
    verified=(a_version(), a_version("d-older")),
    health=Health(state="healthy", checked_at=at(3)),
    heard={"github": at(4)},
    wake_at=at(5),
)
STORED: dict[type[Run | Target], Any] = {
    kind: json.loads(msgspec.json.encode(one)) for kind, one in ((Run, RUN), (Target, PLACE))
}
kinds = st.sampled_from([Run, Target])


@st.composite
def stored(draw: st.DrawFn) -> tuple[type[Run | Target], bytes]:
    kind = draw(kinds)
    return kind, draw(bodies(STORED[kind]))


@fuzzed(300)
@given(one=stored())
@example(one=(Target, b'{"id": "x", "schema": 2}'))
def test_what_is_in_sqlite_is_read_or_refused(server, one):
    kind, body = one
    store = SqliteStore(":memory:")
    try:
        write(store, kind, body)
        server.run(store.get(kind, "x"))
    except Refused:
        assert server.run(store.query(Query(kind, order_by="id"))) == []
    finally:
        server.run(store.close())


def write(store: SqliteStore, kind: type[Run | Target], body: bytes) -> None:
    """Behind the store's back, where there is no JSON that SQLite would refuse."""
    try:
        put(store, kind, "x", body.decode(errors="replace"))
    except sqlite3.OperationalError:
        reject()


def put(store: SqliteStore, kind: type[Run | Target], id: str, body: str) -> None:
    row = (f"{kind.__name__.lower()}s", id, body)
    store._connection.execute("INSERT INTO documents (collection, id, version, body) VALUES (?, ?, 1, ?)", row)


class Odd(msgspec.Struct, frozen=True):
    """A value that only Firestore has."""

    fill: Any


odd_values = st.sampled_from(
    [
        Odd(lambda value: value.timestamp_value.FromSeconds(253402300799)),
        Odd(lambda value: setattr(value.timestamp_value, "seconds", 253402300800)),
        Odd(lambda value: setattr(value.timestamp_value, "seconds", -(2**62))),
        Odd(lambda value: setattr(value.timestamp_value, "nanos", 2**31 - 1)),
        Odd(lambda value: setattr(value, "bytes_value", b"\xff")),
        Odd(lambda value: setattr(value, "reference_value", "projects/x")),
        Odd(lambda value: setattr(value.geo_point_value, "latitude", 91)),
        Odd(lambda value: setattr(value, "double_value", float("nan"))),
        Odd(lambda value: None),
    ]
)


@fuzzed(300)
@given(kind=kinds, data=st.data())
def test_what_is_in_firestore_is_read_or_refused(kind, data):
    plain = data.draw(mutated(native(RUN if kind is Run else PLACE)))
    fields = {name: Value.pb(Value()) for name in plain} if isinstance(plain, dict) else {}
    odd = data.draw(st.none() | st.sampled_from(sorted(fields))) if fields else None
    for name, field in fields.items():
        if name == odd:
            data.draw(odd_values).fill(field)
        else:
            fill(field, plain[name])

    try:
        documents.decode(kind, fields, "x")
    except Refused as error:
        assert "cannot be read" in str(error)


def native(document: Run | Target) -> Any:
    """With times that are texts, as the fuzz's mutations know them."""
    return json.loads(msgspec.json.encode(document))


def fill(target: Any, value: Any) -> None:
    """As Firestore would hold it: no larger numbers, no lone surrogates, and times where texts are times."""
    match value:
        case str():
            try:
                target.timestamp_value.FromDatetime(datetime.fromisoformat(value))
            except (ValueError, OverflowError):
                target.string_value = value.encode(errors="ignore").decode()
        case int() if not -(2**63) <= value < 2**63:
            target.double_value = min(float(value), 1e300)
        case dict():
            target.map_value.SetInParent()
            for name, inner in value.items():
                fill(target.map_value.fields[name.encode(errors="ignore").decode()], inner)
        case list():
            target.array_value.SetInParent()
            for inner in value:
                fill(target.array_value.values.add(), inner)
        case _:
            documents._put(target, value)


@pytest.mark.parametrize("path", ["/health", "/runs", f"/runs/{RUN.id}", "/metrics/summary", "/metrics/system"])
def test_the_console_shows_the_others(server: Server, path: str) -> None:
    from_the_future(server)
    answer = server.call(path, method="GET")
    assert answer.status == (503 if path in (f"/runs/{RUN.id}", "/metrics/summary") else 200)


@pytest.mark.parametrize("function", ["merge", "deploy", "monitor", "verify", "rollback", "notify"])
def test_a_stage_is_asked_again_later(server: Server, function: str) -> None:
    from_the_future(server)
    message = envelope.encode(Message(function, RUN.id))
    assert server.call(f"/functions/{function}", enveloped(message)).status == 503
    assert "cannot be read" in server.scene.log.getvalue()


def test_the_sweep_wakes_the_others(server: Server) -> None:
    from_the_future(server)
    put(server.scene.store.real, Run, "other", json.dumps(STORED[Run] | {"id": "other"}))

    assert server.call("/functions/sweep").status == 200

    assert [message.about for message in server.scene.bus.take()] == [("verify", "other")]


def from_the_future(server: Server) -> None:
    """A run and its target as a newer version might have written them."""
    store = server.scene.store.real
    store._connection.execute("DELETE FROM documents")
    put(store, Run, RUN.id, json.dumps(STORED[Run] | {"schema": 2}))
    put(store, Target, PLACE.id, json.dumps(STORED[Target] | {"schema": 2}))
