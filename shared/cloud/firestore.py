"""The Store on Firestore: one commit with preconditions, never a transaction.

Built on the generated asynchronous client, as the hand-written one cannot replace a whole document under a precondition
in a batch, and encodes eight times slower. A document's version is its `update_time`; an update that changes nothing
keeps it (WriteResult.update_time).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from google.api_core.exceptions import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    NotFound,
)
from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcAsyncIOTransport
from google.cloud.firestore_v1.types import (
    CommitRequest,
    CommitResponse,
    Document,
    GetDocumentRequest,
    RunQueryRequest,
    StructuredQuery,
)

from shared.cloud import documents, queries
from shared.cloud.channel import FAILURES, RETRY, connect, explain
from shared.cloud.indexes import COLLECTIONS
from shared.core.run import Run
from shared.core.target import Target
from shared.errors import ConfigError, Conflict, Refused, SignalboxError
from shared.runtime import log
from shared.runtime.ports import Create, Found, Query, Update, can_be_id

D = TypeVar("D", Run, Target)

READ_TIMEOUT = 5.0
COMMIT_TIMEOUT = 10.0
NEXT_PAGE = 50
"""Documents requested at least when some of a page cannot be read: there may be many, and each round takes its time."""
READS = "roles/datastore.viewer on the database"
WRITES = "roles/datastore.user on the database"


class FirestoreStore:
    """To be made in the event loop that uses it. Raises ConfigError without credentials."""

    def __init__(self, project: str, database: str = "(default)", *, emulator: str | None = None) -> None:
        self._database = f"projects/{project}/databases/{database}"
        self._channel = connect(FirestoreGrpcAsyncIOTransport, emulator)
        self._client = FirestoreAsyncClient(transport=FirestoreGrpcAsyncIOTransport(channel=self._channel))
        self._metadata = [("google-cloud-resource-prefix", self._database)]
        if emulator is not None:
            self._metadata.append(("authorization", "Bearer owner"))

    async def get(self, kind: type[D], id: str) -> Found[D] | None:
        """Raises Unavailable, or a VendorError that says what is missing."""
        if not can_be_id(id):
            return None
        request = GetDocumentRequest(name=self._name(kind, id))
        try:
            document = await self._client.get_document(
                request, retry=RETRY, timeout=READ_TIMEOUT, metadata=self._metadata
            )
        except NotFound as error:
            if _no_database(error):
                raise self._no_database_error(error) from error
            return None
        except FAILURES as error:
            raise explain(error, f"Firestore get {id}", READS) from error
        return _found(kind, document)

    async def commit(self, *writes: Create | Update) -> tuple[Any, ...]:
        """Sent once: the library would repeat it after UNAVAILABLE, and take our own success for another user's."""
        request = CommitRequest(database=self._database)
        for write in writes:
            self._put(CommitRequest.pb(request).writes.add(), write)
        ids = ", ".join(write.document.id for write in writes)
        try:
            answer = await self._client.commit(request, retry=None, timeout=COMMIT_TIMEOUT, metadata=self._metadata)
        except (AlreadyExists, FailedPrecondition, NotFound, Aborted) as error:
            if _no_database(error):
                raise self._no_database_error(error) from error
            raise Conflict(f"{ids}: {error.message}") from error
        except FAILURES as error:
            raise explain(error, f"Firestore commit of {ids}", WRITES, changes=True) from error
        return tuple(result.update_time for result in CommitResponse.pb(answer).write_results)

    async def query(self, query: Query[D]) -> Sequence[Found[D]]:
        """Raises Unavailable, or Refused when an index is missing (the text has the link that makes it)."""
        kind, limit, last = query.kind, query.limit, query.start_after
        after = queries.behind(query.order_by, last, self._name(kind, last.id)) if last else None
        found: list[Found[D]] = []
        asked = limit
        while True:
            page = await self._page(kind, queries.build(query, limit=asked, after=after))
            found += [one for one in (_readable(kind, document) for document in page) if one is not None]
            if len(page) < asked or len(found) >= limit:
                return found[:limit]
            asked = max(limit - len(found), NEXT_PAGE)
            after = queries.behind_stored(query.order_by, Document.pb(page[-1]))

    async def _page(self, kind: type[Run | Target], query: StructuredQuery) -> list[Document]:
        request = RunQueryRequest(parent=f"{self._database}/documents", structured_query=query)
        try:
            answers = await self._client.run_query(request, retry=RETRY, timeout=READ_TIMEOUT, metadata=self._metadata)
            return [answer.document async for answer in answers if "document" in answer]
        except NotFound as error:
            raise self._no_database_error(error) from error
        except FAILURES as error:
            raise explain(error, f"Firestore query of {COLLECTIONS[kind]}", READS) from error

    async def close(self) -> None:
        await self._channel.close()

    def _name(self, kind: type[Run | Target], id: str) -> str:
        return f"{self._database}/documents/{COLLECTIONS[kind]}/{id}"

    def _put(self, target: Any, write: Create | Update) -> None:
        """Without a mask the whole document is replaced."""
        document = write.document
        target.update.name = self._name(type(document), document.id)
        documents.encode(document, target.update.fields)
        if isinstance(write, Create):
            target.current_document.exists = False
        else:
            target.current_document.update_time.CopyFrom(write.version)

    def _no_database_error(self, error: GoogleAPICallError) -> SignalboxError:
        return ConfigError(f"{self._database}: {error.message}: make it with `gcloud firestore databases create`")


def _no_database(error: GoogleAPICallError) -> bool:
    """Google answers NOT_FOUND for a missing document and for a missing database."""
    return isinstance(error, NotFound) and error.message.startswith("The database")


def _readable(kind: type[D], document: Document) -> Found[D] | None:
    try:
        return _found(kind, document)
    except Refused as error:
        log.error("a document is left out", reason=str(error))
        return None


def _found(kind: type[D], document: Document) -> Found[D]:
    raw = Document.pb(document)
    return Found(documents.decode(kind, raw.fields, raw.name.rpartition("/")[2]), raw.update_time)
