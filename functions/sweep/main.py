"""sweep: once a minute, wake what is due, look at the health of what serves, make up for webhooks missed."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared import log
from shared.errors import SecretMissing, TransientError, VendorError
from shared.services import current, prepare
from shared.sweeping.deafness import listen
from shared.sweeping.due import wake_due
from shared.sweeping.glance import Glance
from shared.sweeping.health import probe_all
from shared.sweeping.merges import start_unnoticed
from shared.sweeping.redelivery import redeliver_missed

prepare()


@functions_framework.aio.http
async def sweep(request: Request) -> Response:
    if request.method != "POST":
        return JSONResponse({"error": "POST only"}, status_code=405, headers={"Allow": "POST"})
    services = current()
    with log.context(stage="sweep"):
        glance = Glance(services)
        parts = {
            "woken": partial(wake_due, services),
            "probed": partial(probe_all, services),
            "redelivered": partial(redeliver_missed, services, glance),
            "unnoticed": partial(start_unnoticed, services, glance),
            "deaf": partial(listen, services, glance),
        }
        try:
            done = {name: await _part(name, part()) for name, part in parts.items()}
        finally:
            glance.close()
        log.info("swept", **done)
    return JSONResponse(done, status_code=503 if done["woken"] is None else 200)


async def _part(name: str, work: Awaitable[int]) -> int | None:
    """How many it did; None when it could not, which must not keep the other parts from their work."""
    try:
        return await work
    except (TransientError, VendorError, SecretMissing) as error:
        log.error("a part of the sweep failed", part=name, reason=str(error))
        return None
