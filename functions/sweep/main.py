"""sweep: once a minute, wake what is due, look at the health of what serves, and fetch webhooks that were missed."""

from __future__ import annotations

from collections.abc import Awaitable

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared import log
from shared.errors import SecretMissing, TransientError, VendorError
from shared.services import current, prepare
from shared.sweeping.due import wake_due
from shared.sweeping.health import probe_all
from shared.sweeping.redelivery import redeliver_missed

prepare()


@functions_framework.aio.http
async def sweep(request: Request) -> Response:
    if request.method != "POST":
        return JSONResponse({"error": "POST only"}, status_code=405, headers={"Allow": "POST"})
    services = current()
    with log.context(stage="sweep"):
        parts = {"woken": wake_due, "probed": probe_all, "redelivered": redeliver_missed}
        done = {name: await _part(name, part(services)) for name, part in parts.items()}
        log.info("swept", **done)
    return JSONResponse(done, status_code=503 if done["woken"] is None else 200)


async def _part(name: str, work: Awaitable[int]) -> int | None:
    """How many it did; None when it could not, which must not keep the other parts from their work."""
    try:
        return await work
    except (TransientError, VendorError, SecretMissing) as error:
        log.error("a part of the sweep failed", part=name, reason=str(error))
        return None
