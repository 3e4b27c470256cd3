"""Workflows to a server and back: push, pull, and what differs."""

from __future__ import annotations

import asyncio
import difflib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from local.workflows import files
from local.workflows.api import Api, Listed
from local.workflows.files import Document, Filling, WorkflowFile
from shared.clients.n8n import N8n
from shared.errors import ConfigError, Unavailable

REGISTERED_WITHIN = 20.0
REPLACED_WITHIN = 2.0
"""Seconds by which n8n has begun to put a new webhook in the place of the old: at most half a second was seen."""
ACTIVATED_AGAIN_AFTER = 5.0
_LOOK_AGAIN = 0.05

Done = Literal["created", "updated", "unchanged"]


class Pushed(Struct, frozen=True):
    """What became of one workflow; `path` is where its webhook answers."""

    workflow: str
    id: str
    done: Done
    path: str | None


class _Changed(Struct, frozen=True):
    """`replaced`: whether a webhook may still be there for a moment that is of before the push."""

    pushed: Pushed
    replaced: bool


class State(Struct, frozen=True):
    """A workflow of the folder on the server: `differs` is a unified diff from the server's to the file's."""

    workflow: str
    name: str
    id: str | None
    active: bool
    path: str | None
    differs: str


class Server:
    """One n8n server, and what its workflows are filled in with."""

    def __init__(self, api: Api, webhooks: N8n, filling: Filling) -> None:
        self.api = api
        self.webhooks = webhooks
        self._filling = filling

    async def push(self, wanted: Sequence[WorkflowFile]) -> list[Pushed]:
        """Create or replace each by its name, activate it, and wait until its webhook is there.

        Everything is checked before anything is changed. Pushing again changes nothing, so it may be repeated after
        any error. Raises ConfigError, Refused with n8n's reason, Unavailable.
        """
        filled = [(file, files.fill_in(file, self._filling)) for file in wanted]
        there = await self.api.workflows()
        known = [_only(file.name, there) for file in wanted]
        pushed = [await self._push(*one, listed) for one, listed in zip(filled, known, strict=True)]
        waiting = [self._until_registered(one) for one in pushed]
        for failed in await asyncio.gather(*waiting, return_exceptions=True):
            if failed is not None:
                raise failed
        return [one.pushed for one in pushed]

    async def pull(self, wanted: Sequence[WorkflowFile], folder: Path) -> list[WorkflowFile]:
        """Write what the server has of each into its file, and say which files changed."""
        documents = [files.take_back(await self.find(file), self._filling.paths) for file in wanted]
        changed = [
            WorkflowFile(file.stem, document)
            for file, document in zip(wanted, documents, strict=True)
            if document != file.document
        ]
        for file in changed:
            (folder / f"{file.stem}.json").write_text(files.text_of(file.document), encoding="utf-8")
        return changed

    async def find(self, file: WorkflowFile) -> Document:
        """All that the server has of it. Raises ConfigError when there is none, or more than one."""
        listed = _only(file.name, await self.api.workflows())
        if listed is None:
            raise ConfigError(f"n8n has no workflow {file.name!r}: push it first")
        return await self.api.workflow(listed.id)

    async def compare(self, wanted: Sequence[WorkflowFile]) -> list[State]:
        there = await self.api.workflows()
        return [await self._compare(file, _only(file.name, there)) for file in wanted]

    async def _push(self, file: WorkflowFile, document: Document, listed: Listed | None) -> _Changed:
        done: Done = "unchanged"
        if listed is None:
            id, done = await self.api.create(document), "created"
        else:
            id = listed.id
            if files.strip(await self.api.workflow(id)) != document:
                await self.api.replace(id, document)
                done = "updated"
        if listed is None or not listed.active:
            await self.api.activate(id)
        pushed = Pushed(file.stem, id, done, files.webhook_path(document))
        return _Changed(pushed, replaced=listed is not None and (done == "updated" or not listed.active))

    async def _until_registered(self, changed: _Changed) -> None:
        """Until the webhook is there that is of what was pushed. A call with a wrong token tells, and runs nothing.

        Newer versions of n8n do it in the background: for a moment the old webhook still answers, then none, then the
        new one. So one that may be the old one has to be seen gone first, or to stay. What does not come is activated
        again, which n8n answers with the reason when it knows one.
        """
        pushed, path = changed.pushed, changed.pushed.path
        if path is None:
            return
        began, gone, again = time.monotonic(), not changed.replaced, False
        while True:
            there = await self.webhooks.registered(path)
            waited = time.monotonic() - began
            if there and (gone or waited > REPLACED_WITHIN):
                return
            gone = gone or not there
            if waited > REGISTERED_WITHIN:
                raise Unavailable(f"{pushed.workflow}: activated, but its webhook {path} is not there; see n8n's log")
            if not there and not again and waited > ACTIVATED_AGAIN_AFTER:
                again = True
                await self.api.activate(pushed.id)
            await asyncio.sleep(_LOOK_AGAIN)

    async def _compare(self, file: WorkflowFile, listed: Listed | None) -> State:
        wanted = files.fill_in(file, self._filling)
        there = None if listed is None else files.strip(await self.api.workflow(listed.id))
        return State(
            workflow=file.stem,
            name=file.name,
            id=listed.id if listed else None,
            active=bool(listed and listed.active),
            path=files.webhook_path(wanted),
            differs="" if there is None else _difference(file.stem, there, wanted),
        )


def _only(name: str, there: Sequence[Listed]) -> Listed | None:
    found = [listed for listed in there if listed.name == name]
    if len(found) > 1:
        ids = ", ".join(listed.id for listed in found)
        raise ConfigError(f"n8n has {len(found)} workflows {name!r} ({ids}): archive or rename all but one")
    return found[0] if found else None


def _difference(stem: str, there: Document, wanted: Document) -> str:
    if there == wanted:
        return ""
    before, after = (files.text_of(one).splitlines() for one in (there, wanted))
    return "\n".join(difflib.unified_diff(before, after, f"n8n/{stem}", f"file/{stem}", lineterm=""))
