"""sweep: once a minute, wake what is due, look at what serves, make up for webhooks missed, report the week."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.sweep.drift import look_for_drift
from functions.sweep.due import wake_due
from functions.sweep.health import probe_all
from functions.sweep.held_back import strike_off_brought
from functions.sweep.missed_labels import answer_labels
from functions.sweep.missed_merges import start_unnoticed
from functions.sweep.redelivery import redeliver_missed
from functions.sweep.renames import follow_names
from functions.sweep.snapshot import Snapshot
from functions.sweep.webhook_silence import listen
from functions.sweep.weekly_report import owe_report
from shared.errors import SecretMissing, TransientError, VendorError
from shared.runs.expiring_secrets import owe_expiring
from shared.runtime import caller, log
from shared.runtime.services import current, prepare

prepare(called=True)

Part = Callable[[], Awaitable[int]]
LIMIT = 100.0
"""Seconds that each part gets, all of them at once: less than the function's `timeout` in topology.yaml."""


@functions_framework.aio.http
async def sweep(request: Request) -> Response:
    if request.method != "POST":
        return JSONResponse({"error": "POST only"}, status_code=405, headers={"Allow": "POST"})
    services = current()
    if refused := await caller.refuse(request, services):
        return refused
    with log.context(stage="sweep"):
        snapshot = Snapshot(services)
        parts: dict[str, Part] = {
            "woken": partial(wake_due, services),
            "probed": partial(probe_all, services, snapshot),
            "compared": partial(look_for_drift, services, snapshot),
            "brought": partial(strike_off_brought, services, snapshot),
            "redelivered": partial(redeliver_missed, services, snapshot),
            "unnoticed": partial(start_unnoticed, services, snapshot),
            "labelled": partial(answer_labels, services, snapshot),
            "deaf": partial(listen, services, snapshot),
            "renamed": partial(follow_names, services, snapshot),
            "reported": partial(owe_report, services, snapshot),
            "expiring": partial(owe_expiring, services),
        }
        try:
            counts = await asyncio.gather(*(_part(name, part) for name, part in parts.items()))
        finally:
            snapshot.close()
        done = dict(zip(parts, counts, strict=True))
        log.info("swept", **done)
    return JSONResponse(done, status_code=503 if done["woken"] is None else 200)


async def _part(name: str, part: Part) -> int | None:
    """How many it did; None when it could not, which must not keep the other parts from their work."""
    try:
        async with asyncio.timeout(LIMIT):
            return await part()
    except TimeoutError:
        log.error("a part of the sweep took too long", part=name, limit=LIMIT)
        return None
    except (TransientError, VendorError, SecretMissing) as error:
        log.error("a part of the sweep failed", part=name, reason=str(error))
        return None
