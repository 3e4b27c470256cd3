"""Workflows to a server and back: push, pull, and what differs."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from local.n8n import files
from local.n8n.api import Api, Listed
from local.n8n.files import Document, Filling, WorkflowFile
from shared.clients.n8n import N8n
from shared.errors import ConfigError, Refused, Unavailable

REGISTERED_WITHIN = 60.0
GONE_WITHIN = 10.0
"""Seconds by which the webhook of a workflow that was switched off is gone, unless another workflow has it, too."""
ACTIVATED_AGAIN_AFTER = 5.0
_LOOK_AGAIN = 0.05
CONFLICT = "conflict with one of the webhooks"

Done = Literal["created", "updated", "unchanged"]


class Pushed(Struct, frozen=True):
    """What became of one workflow; `path` is where its webhook answers."""

    workflow: str
    id: str
    done: Done
    path: str | None


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
        return pushed

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

    async def _push(self, file: WorkflowFile, document: Document, listed: Listed | None) -> Pushed:
        done: Done = "unchanged"
        path = files.webhook_path(document)
        with _conflict_at(path):
            if listed is None:
                id, done = await self.api.create(document), "created"
                await self.api.activate(id)
            else:
                id, there = listed.id, await self.api.workflow(listed.id)
                if files.strip(there) != document:
                    done = "updated"
                if done == "updated" or not listed.active:
                    await self._replace(listed, there, document)
        return Pushed(file.stem, id, done, path)

    async def _replace(self, listed: Listed, there: Document, document: Document) -> None:
        """Switched off first: newer versions of n8n replace a webhook in the background, and nothing tells the old one
        from the new. What n8n refuses leaves what was there before."""
        if listed.active:
            await self.api.deactivate(listed.id)
        await self._until_gone(files.webhook_path(there))
        try:
            if files.strip(there) != document:
                await self.api.replace(listed.id, document)
            await self.api.activate(listed.id)
        except Refused:
            if listed.active:
                await self.api.replace(listed.id, files.strip(there))
                await self.api.activate(listed.id)
            raise

    async def _until_gone(self, path: str | None) -> None:
        """Or until it is clear that it does not go: then n8n says why when the workflow is activated."""
        patient_until = time.monotonic() + GONE_WITHIN
        while path is not None and time.monotonic() < patient_until:
            with contextlib.suppress(Refused, Unavailable):  # it is there, and asks for no token or for a lost one
                if not await self.webhooks.registered(path):
                    return
            await asyncio.sleep(_LOOK_AGAIN)

    async def _until_registered(self, pushed: Pushed) -> None:
        """Newer versions of n8n activate in the background. Told by a call with a wrong token, which runs nothing.

        What does not come is activated again, which n8n answers with the reason when it knows one.
        """
        if pushed.path is None:
            return
        began, again = time.monotonic(), False
        while not await self.webhooks.registered(pushed.path):
            waited = time.monotonic() - began
            if waited > REGISTERED_WITHIN:
                raise Unavailable(
                    f"{pushed.workflow}: activated, but its webhook {pushed.path} is not there; see n8n's log"
                )
            if not again and waited > ACTIVATED_AGAIN_AFTER:
                again = True
                with _conflict_at(pushed.path):
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


@contextlib.contextmanager
def _conflict_at(path: str | None) -> Iterator[None]:
    """Say what to do about a conflict: n8n names no path. Its status is 400 or, since 2.41, 409."""
    try:
        yield
    except Refused as error:
        if CONFLICT not in str(error):
            raise
        advice = f"Another workflow of this n8n has {path}: change it there, or in [n8n] of signalbox.toml."
        raise Refused(f"{error}\n{advice}", status=error.status) from error


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
