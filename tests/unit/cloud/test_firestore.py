"""What Firestore's answers mean, told by a server that gives the ones an emulator cannot be made to give."""

import asyncio
import socket
from datetime import UTC, datetime

import pytest
from google.cloud.firestore_v1.types import (
    CommitRequest,
    CommitResponse,
    Document,
    GetDocumentRequest,
    RunQueryRequest,
    RunQueryResponse,
    Value,
    WriteResult,
)
from grpc import StatusCode
from rpc import Refusal, serving

from shared.cloud import channel, firestore
from shared.cloud.documents import decode, value_of
from shared.cloud.firestore import FirestoreStore
from shared.core.target import Target
from shared.errors import ConfigError, Conflict, RateLimited, Refused, Unauthorized, Unavailable, UnknownOutcome
from shared.runtime.ports import Create, Query, Update

SERVICE = "/google.firestore.v1.Firestore/"
GET, COMMIT, QUERY = f"{SERVICE}GetDocument", f"{SERVICE}Commit", f"{SERVICE}RunQuery"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
TARGET = Target(id="acme:shop:api:production")
NO_DATABASE = "The database (default) does not exist for project acme"


@pytest.fixture
async def server():
    async with serving() as server:
        yield server


@pytest.fixture
async def store(server, monkeypatch):
    monkeypatch.setattr(channel.RETRY, "_timeout", 0.2)
    store = FirestoreStore("acme", emulator=server.address)
    yield store
    await store.close()


def refuse(server, code: StatusCode, details: str = "why") -> None:
    async def answer(_request):
        raise Refusal(code, details)

    server.on(GET, GetDocumentRequest, answer)
    server.on(COMMIT, CommitRequest, answer)
    server.on(QUERY, RunQueryRequest, answer, stream=True)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (StatusCode.ALREADY_EXISTS, Conflict),
        (StatusCode.FAILED_PRECONDITION, Conflict),
        (StatusCode.NOT_FOUND, Conflict),
        (StatusCode.ABORTED, Conflict),
        (StatusCode.UNAVAILABLE, UnknownOutcome),
        (StatusCode.DEADLINE_EXCEEDED, UnknownOutcome),
        (StatusCode.INTERNAL, UnknownOutcome),
        (StatusCode.UNKNOWN, UnknownOutcome),
        (StatusCode.CANCELLED, UnknownOutcome),
        (StatusCode.RESOURCE_EXHAUSTED, RateLimited),
        (StatusCode.INVALID_ARGUMENT, Refused),
        (StatusCode.PERMISSION_DENIED, Unauthorized),
        (StatusCode.UNAUTHENTICATED, Unauthorized),
    ],
)
async def test_a_commit_is_sent_once_whatever_the_answer(server, store, code, expected):
    refuse(server, code)

    with pytest.raises(expected, match="why"):
        await store.commit(Create(TARGET))

    assert server.count(COMMIT) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (StatusCode.UNAVAILABLE, Unavailable),
        (StatusCode.DEADLINE_EXCEEDED, Unavailable),
        (StatusCode.INTERNAL, Unavailable),
        (StatusCode.ABORTED, Unavailable),
        (StatusCode.RESOURCE_EXHAUSTED, RateLimited),
        (StatusCode.FAILED_PRECONDITION, Refused),
        (StatusCode.PERMISSION_DENIED, Unauthorized),
    ],
)
async def test_a_failed_read_has_no_unknown_outcome(server, store, code, expected):
    refuse(server, code)

    with pytest.raises(expected, match="why"):
        await store.get(Target, TARGET.id)
    with pytest.raises(expected, match="why"):
        await store.query(Query(Target, order_by="wake_at"))


async def test_a_denied_permission_names_the_role(server, store):
    refuse(server, StatusCode.PERMISSION_DENIED)

    with pytest.raises(Unauthorized, match=r"roles/datastore\.viewer"):
        await store.get(Target, TARGET.id)
    with pytest.raises(Unauthorized, match=r"roles/datastore\.user"):
        await store.commit(Create(TARGET))


async def test_a_missing_database_is_no_missing_document(server, store):
    refuse(server, StatusCode.NOT_FOUND, NO_DATABASE)

    with pytest.raises(ConfigError, match="gcloud firestore databases create"):
        await store.get(Target, TARGET.id)
    with pytest.raises(ConfigError, match="gcloud firestore databases create"):
        await store.commit(Create(TARGET))
    with pytest.raises(ConfigError, match="gcloud firestore databases create"):
        await store.query(Query(Target, order_by="wake_at"))


async def test_a_read_is_repeated_when_the_connection_was_closed(server, store):
    answers = [Refusal(StatusCode.UNAVAILABLE, "Socket closed"), Refusal(StatusCode.NOT_FOUND, "no such document")]

    async def answer(_request):
        raise answers.pop(0)

    server.on(GET, GetDocumentRequest, answer)

    assert await store.get(Target, TARGET.id) is None
    assert server.count(GET) == 2


async def test_an_update_replaces_the_whole_document_at_its_version(server, store):
    async def commit(_request):
        return CommitResponse(write_results=[WriteResult(update_time=NOW)])

    server.on(COMMIT, CommitRequest, commit)
    (version,) = await store.commit(Create(TARGET))
    await store.commit(Update(TARGET, version))

    (_, create), (_, update) = server.requests
    assert create.database == "projects/acme/databases/(default)"
    assert create.writes[0].current_document.exists is False
    assert update.writes[0].current_document.update_time == NOW
    assert "update_mask" not in update.writes[0]
    assert update.writes[0].update.name == f"projects/acme/databases/(default)/documents/targets/{TARGET.id}"
    assert server.metadata[0]["google-cloud-resource-prefix"] == "projects/acme/databases/(default)"


async def test_what_was_never_sent_is_unavailable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        store = FirestoreStore("acme", emulator=f"127.0.0.1:{free.getsockname()[1]}")

        with pytest.raises(Unavailable, match="failed to connect"):
            await store.commit(Create(TARGET))
        await store.close()


async def test_a_connection_that_breaks_during_a_commit_leaves_the_outcome_unknown(server, store):
    arrived = asyncio.Event()

    async def hang(_request):
        arrived.set()
        await asyncio.Event().wait()

    server.on(COMMIT, CommitRequest, hang)
    commit = asyncio.create_task(store.commit(Create(TARGET)))
    await arrived.wait()
    await server.grpc.stop(None)

    with pytest.raises(UnknownOutcome):
        await commit


async def test_a_silent_server_is_given_up(server, store, monkeypatch):
    monkeypatch.setattr(firestore, "COMMIT_TIMEOUT", 0.05)
    monkeypatch.setattr(firestore, "READ_TIMEOUT", 0.05)

    async def hang(_request):
        await asyncio.Event().wait()

    server.on(COMMIT, CommitRequest, hang)
    server.on(GET, GetDocumentRequest, hang)
    with pytest.raises(UnknownOutcome, match="DEADLINE_EXCEEDED"):
        await store.commit(Create(TARGET))
    with pytest.raises(Unavailable, match="DEADLINE_EXCEEDED"):
        await store.get(Target, TARGET.id)


async def test_a_document_of_another_shape_is_refused_by_name(server, store):
    async def answer(_request):
        return Document(
            name=f"projects/acme/databases/(default)/documents/targets/{TARGET.id}",
            fields={"id": Value(string_value="x"), "schema": Value(string_value="one")},
        )

    server.on(GET, GetDocumentRequest, answer)

    with pytest.raises(Refused, match=r"acme:shop:api:production cannot be read: .*schema"):
        await store.get(Target, TARGET.id)


async def test_many_that_cannot_be_read_cost_few_requests(server, store):
    name = "projects/acme/databases/(default)/documents/targets/"
    due = {"wake_at": value_of(NOW)}
    stored = [Document(name=f"{name}{n:03}", fields={**due, "schema": value_of("one")}) for n in range(120)]
    stored.append(Document(name=f"{name}120", fields={**due, "id": value_of("120")}))
    asked = []

    async def answer(request):
        query = request.structured_query
        after = query.start_at.values[1].reference_value if query.start_at.values else ""
        asked.append(query.limit)
        page = [one for one in stored if one.name > after][: query.limit]
        return [RunQueryResponse(document=one, read_time=NOW) for one in page]

    server.on(QUERY, RunQueryRequest, answer, stream=True)

    assert [found.document.id for found in await store.query(Query(Target, order_by="wake_at", limit=1))] == ["120"]
    assert asked == [1, 50, 50, 50]


async def test_a_document_that_cannot_be_read_is_left_out_of_a_query(server, store, caplog):
    async def answer(_request):
        fields = {"id": Value(string_value="x"), "schema": Value(integer_value=2)}
        strange = Document(name=f"projects/acme/databases/(default)/documents/targets/{TARGET.id}", fields=fields)
        return [RunQueryResponse(document=one, read_time=NOW) for one in (strange, strange)]

    server.on(QUERY, RunQueryRequest, answer, stream=True)

    assert await store.query(Query(Target, order_by="wake_at")) == []
    assert "left out" in caplog.text


def test_every_kind_of_value_has_its_native_type():
    kinds = {None: "null_value", True: "boolean_value", 7: "integer_value", 0.5: "double_value", "x": "string_value"}

    for plain, kind in kinds.items():
        assert value_of(plain).WhichOneof("value_type") == kind
    assert value_of(NOW).timestamp_value.ToDatetime(tzinfo=UTC) == NOW


def test_times_keep_their_microseconds_and_lose_their_nanoseconds():
    moment = value_of(NOW)
    moment.timestamp_value.nanos = 123_456_789

    read = decode(Target, {"id": value_of("t"), "wake_at": moment}, "t")

    assert read.wake_at == NOW.replace(microsecond=123_456)
