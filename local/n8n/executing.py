"""Run a workflow through its webhook and follow the execution to its end, whatever the webhook answered.

n8n's API runs nothing, and a failed answer may name no execution. So the call carries an Idempotency-Key of its own,
and the execution is the one to whose webhook that key came.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from local.n8n.api import Api, Execution
from local.n8n.files import WEBHOOK, Document, webhook_path
from shared.clients.n8n import N8n
from shared.errors import ConfigError, NotFound, SignalboxError, TransientError, Unauthorized, Unavailable

LOOK_AGAIN = 0.25
SHOWN_WITHIN = 10.0
"""By then n8n lists an execution that it began."""
RECOVERED_WITHIN = 60.0
"""By then n8n, back again, lists what died with it."""
ENDED_WITHIN = 600.0


class Executed(Struct, frozen=True):
    """How it went: n8n's status of the execution, and what the webhook answered when it was no success."""

    execution: str
    status: str
    error: str
    last_node: str | None
    answer: str

    @property
    def succeeded(self) -> bool:
        return self.status == "success" and not self.answer


async def execute(
    api: Api, webhooks: N8n, document: Document, payload: Mapping[str, Any], *, within: float = ENDED_WITHIN
) -> Executed:
    """The workflow is as the server has it. Raises ConfigError when it has no webhook; what the call raised, when it
    began no execution; Unavailable when the execution does not end within that many seconds."""
    path = webhook_path(document)
    if path is None:
        raise ConfigError(f"{document['name']}: has no webhook to call")
    workflow, key = str(document["id"]), f"execute:{uuid.uuid4().hex}"
    before = max((one.number for one in await api.executions(workflow, newest=1)), default=0)
    patient_until = time.monotonic() + within
    try:
        id, answer = await webhooks.call(path, payload, idempotency_key=key), ""
    except (NotFound, Unauthorized):
        raise
    except SignalboxError as error:
        found = await _search(api, workflow, _trigger(document), key, before, patient_until)
        if found is None:
            error.add_note(f"n8n lists no execution of {document['name']} that this call began")
            raise
        id, answer = str(found.id), str(error)
    ended = await _until_ended(api, id, patient_until)
    return Executed(str(ended.id), ended.status, ended.error, ended.last_node, answer)


async def _search(
    api: Api, workflow: str, trigger: str, key: str, before: int, patient_until: float
) -> Execution | None:
    """The execution begun by our call. One that still runs shows no data, so it is waited for.

    What died with n8n shows none either, ever: the only such one since our call is taken for ours.
    """
    shown_until = time.monotonic() + SHOWN_WITHIN
    while True:
        try:
            since = [one for one in await api.executions(workflow) if one.number > before]
            found = [await api.execution(one.id, data=True) for one in since]
        except TransientError:
            found, pending = [], True  # down, or coming back: it lists what died with it a moment after
            shown_until = time.monotonic() + RECOVERED_WITHIN
        else:
            pending = not all(one.ended for one in found)
        ours = [one for one in found if one.headers(trigger).get("idempotency-key") == key]
        nobodys = [one for one in found if one.ended and not one.headers(trigger)]
        if ours:
            return ours[0]
        if found and not pending and len(nobodys) == 1:
            return nobodys[0]
        if time.monotonic() > (patient_until if pending else min(shown_until, patient_until)):
            return None
        await asyncio.sleep(LOOK_AGAIN)


async def _until_ended(api: Api, id: str, patient_until: float) -> Execution:
    while True:
        try:
            execution = await api.execution(id, data=True)
        except TransientError:
            if time.monotonic() > patient_until:
                raise
        else:
            if execution.ended:
                return execution
        if time.monotonic() > patient_until:
            raise Unavailable(f"execution {id} has not ended; look at it in n8n")
        await asyncio.sleep(LOOK_AGAIN)


def _trigger(document: Document) -> str:
    return next(str(node["name"]) for node in document["nodes"] if node["type"] == WEBHOOK)
