"""n8n's public API, as far as workflows need it: list, read, create, replace, activate; credentials; executions.

Observed on 2.8.4 and 2.41.1: success is 200 everywhere; names are not unique and a POST not idempotent; running
executions are hidden from the list unless asked for; there is no call that runs a workflow. 2.41 says that a workflow
is active, or is not any more, before its webhooks are, and deletes none until they are gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct, field

from local.n8n.files import KEPT, Credential, Document
from shared.clients import tolerant
from shared.clients.http import HttpClient, Network
from shared.errors import NotFound, Refused, Unauthorized, Unavailable
from shared.runtime.redaction import redact
from shared.runtime.unreadable import UNREADABLE

PAGE = 250
MOST_PAGES = 100
"""After so many a list is taken for endless."""
"""The most that n8n gives at once; 2.8 refuses to give more."""
DELETED_WITHIN = 60.0
_LOOK_AGAIN = 0.1
CONFLICT = 409
RUNNING = ("new", "running", "waiting", "unknown")
T = TypeVar("T")


class Listed(Struct, frozen=True, rename="camel"):
    """A workflow as the list shows it."""

    id: str
    name: str
    active: bool = False
    updated_at: str = ""
    is_archived: bool = False


class _Error(Struct, frozen=True):
    message: str = ""


class _Result(Struct, frozen=True, rename="camel"):
    error: _Error | None = None
    last_node_executed: str | None = None
    run_data: dict[str, Any] = {}


class _Data(Struct, frozen=True, rename="camel"):
    result_data: _Result = _Result()


class Execution(Struct, frozen=True, rename="camel"):
    """One run of a workflow. `data` is there when asked for, once it has ended."""

    id: str | int
    status: str
    workflow_id: str = ""
    started_at: str | None = None
    stopped_at: str | None = None
    data: _Data | None = None

    @property
    def number(self) -> int:
        """Ids count up."""
        return int(self.id)

    @property
    def ended(self) -> bool:
        return self.status not in RUNNING

    @property
    def error(self) -> str:
        result = self.data.result_data if self.data else _Result()
        return redact(result.error.message) if result.error else ""

    @property
    def last_node(self) -> str | None:
        return self.data.result_data.last_node_executed if self.data else None

    def headers(self, node: str) -> Mapping[str, str]:
        """What came to a webhook node; nothing when the execution did not begin there."""
        try:
            return dict(self.data.result_data.run_data[node][0]["data"]["main"][0][0]["json"]["headers"])  # type: ignore[union-attr]
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            return {}


class _Page(Struct, frozen=True, rename="camel"):
    data: msgspec.Raw
    next_cursor: str | None = None


class _Created(Struct, frozen=True):
    id: str


class _Message(Struct, frozen=True):
    message: str = field(default="")


class Api:
    """One n8n server, asked with an API key of somebody who may edit workflows."""

    def __init__(self, *, url: str, key: str, network: Network | None = None) -> None:
        self._client = HttpClient(f"{url.rstrip('/')}/api/v1/", headers={"X-N8N-API-KEY": key}, network=network)

    async def workflows(self) -> list[Listed]:
        """Those that are not archived."""
        return [listed async for listed in self._pages("workflows", Listed) if not listed.is_archived]

    async def workflow(self, id: str) -> Document:
        return _read(await self._ask("GET", f"workflows/{id}", changes=False), Document)

    async def create(self, document: Document) -> str:
        """Its id. Names are not unique: look for one of this name first, also after UnknownOutcome."""
        return _read(await self._ask("POST", "workflows", changes=True, json=_sent(document)), _Created).id

    async def replace(self, id: str, document: Document) -> None:
        """An active workflow stays active, with the new version."""
        await self._ask("PUT", f"workflows/{id}", changes=True, json=_sent(document))

    async def activate(self, id: str) -> None:
        """Its webhooks may take a moment more to be there. Repeating it changes nothing. Raises Refused when another
        workflow has a path of its: 409, and 400 by 2.8."""
        await self._ask("POST", f"workflows/{id}/activate", changes=True)

    async def deactivate(self, id: str) -> None:
        await self._ask("POST", f"workflows/{id}/deactivate", changes=True)

    async def delete(self, id: str) -> None:
        """Active or not. 2.41 answers 409 until it has switched it off, which it does in the background."""
        patient_until = time.monotonic() + DELETED_WITHIN
        while True:
            try:
                await self._ask("DELETE", f"workflows/{id}", changes=True)
            except Refused as error:
                if error.status != CONFLICT or time.monotonic() > patient_until:
                    raise
            else:
                return
            await self.deactivate(id)
            await asyncio.sleep(_LOOK_AGAIN)

    async def credentials(self) -> tuple[Credential, ...]:
        return tuple([credential async for credential in self._pages("credentials", Credential)])

    async def execution(self, id: str | int, *, data: bool = False) -> Execution:
        params = {"includeData": "true"} if data else {}
        return _read(await self._ask("GET", f"executions/{id}", changes=False, params=params), Execution)

    async def executions(self, workflow: str, *, newest: int = 20) -> list[Execution]:
        """The newest, also of those that still run."""
        found: dict[int, Execution] = {}
        for status in ({"status": "running"}, {}):
            params = {"workflowId": workflow, "limit": str(newest), **status}
            page = _read(await self._ask("GET", "executions", changes=False, params=params), _Page)
            found |= {one.number: one for one in _read(page.data, list[Execution])}
        return sorted(found.values(), key=lambda one: one.number, reverse=True)

    async def close(self) -> None:
        await self._client.close()

    async def _pages(self, what: str, type: type[T]) -> AsyncIterator[T]:
        params = {"limit": str(PAGE)}
        for _ in range(MOST_PAGES):
            page = _read(await self._ask("GET", what, changes=False, params=params), _Page)
            for one in _read(page.data, list[type]):  # type: ignore[valid-type]
                yield one
            if not page.next_cursor:
                return
            params = {"limit": str(PAGE), "cursor": page.next_cursor}
        raise Unavailable(f"GET {what}: n8n's list has no end: {MOST_PAGES} pages")

    async def _ask(
        self, method: str, what: str, *, changes: bool, params: Mapping[str, str] | None = None, **request: Any
    ) -> bytes:
        """Raises Unauthorized, NotFound, Refused with n8n's reason, and what `send` raises."""
        asked = f"{what}?{urlencode(params)}" if params else what
        response = await self._client.send(method, asked, changes=changes, **request)
        if response.is_success and response.headers.get("content-type", "").startswith("application/json"):
            return response.content
        where, status = f"n8n: {method} {what}", response.status_code
        if response.is_success or (status == 404 and b"<pre>" in response.content):
            raise Unavailable(f"{where}: n8n is still starting")
        try:
            said = redact(_read(response.content, _Message).message)
        except Refused:
            said = ""
        refused = {401: Unauthorized, 403: Unauthorized, 404: NotFound}.get(status, Refused)
        raise refused(f"{where}: {status} {said}".rstrip(), status=status)


def _sent(document: Document) -> Document:
    return {key: document[key] for key in KEPT}


def _read(content: bytes | msgspec.Raw, type: type[T]) -> T:
    try:
        return tolerant.decode(content, type, about="n8n")
    except UNREADABLE as error:
        raise Refused(f"n8n: an answer of another form: {error}", status=200) from error
