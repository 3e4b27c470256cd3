"""console: what is going on, as JSON: the runs, their history, and figures about them and about this instance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import functions_framework.aio
import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.core.run import Run, Status
from shared.errors import BadInput, TransientError, VendorError
from shared.runs import metrics
from shared.runs.metrics import LONGEST_NUMBER
from shared.runtime import log
from shared.runtime.ports import Condition, Found, Query
from shared.runtime.services import Services, current, prepare

prepare()

LARGEST_PAGE = 200
Page = Callable[[Request, Services], Awaitable[object]]


@functions_framework.aio.http
async def console(request: Request) -> Response:
    if request.method not in ("GET", "HEAD"):
        return JSONResponse({"error": "GET only"}, status_code=405, headers={"Allow": "GET, HEAD"})
    page = _page(_path(request).rstrip("/") or "/")
    if page is None:
        return JSONResponse({"error": "there is no such page"}, status_code=404)
    try:
        content = await page(request, current())
    except BadInput as error:
        return JSONResponse({"error": str(error), "field": error.field}, status_code=400)
    except (TransientError, VendorError) as error:
        log.error("the console cannot read the store", reason=str(error))
        return JSONResponse({"error": "the store cannot be read now"}, status_code=503)
    if content is None:
        return JSONResponse({"error": "there is no such run"}, status_code=404)
    return Response(msgspec.json.encode(content), media_type="application/json")


def _path(request: Request) -> str:
    """As decoded by the server. That of `request.url` cannot be had when the query is not UTF-8."""
    return str(request.scope["path"])


def _page(path: str) -> Page | None:
    if path.startswith("/runs/"):
        return _run
    return {
        "/health": _health,
        "/runs": _runs,
        "/metrics/summary": metrics.summary,
        "/metrics/system": metrics.system,
    }.get(path)


async def _health(_: Request, services: Services) -> object:
    """Up, and able to read the store."""
    await services.store.query(Query(Run, order_by="wake_at", limit=1))
    return {"status": "ok", "targets": [target.id for target in services.config.targets]}


async def _run(request: Request, services: Services) -> object:
    found = await services.store.get(Run, _path(request).removeprefix("/runs/").strip("/"))
    return found.document if found else None


async def _runs(request: Request, services: Services) -> object:
    """Newest first. `?target=`, `?status=`, `?limit=`; `?after=` is the `next` of the page before."""
    query = request.query_params
    conditions: list[Condition] = []
    if "target" in query:
        conditions.append(("target", "==", query["target"]))
    if "status" in query:
        conditions.append(("status", "==", _status(query["status"])))
    limit = _limit(query.get("limit", "50"))
    after = await _after(services, query.get("after"))
    found = await services.store.query(
        Query(Run, tuple(conditions), order_by="created_at", descending=True, limit=limit, start_after=after)
    )
    return {"runs": [_row(one) for one in found], "next": found[-1].document.id if len(found) == limit else None}


def _row(found: Found[Run]) -> dict[str, object]:
    run = found.document
    return {
        "id": run.id,
        "kind": run.kind,
        "target": run.target,
        "stage": run.stage,
        "status": run.status,
        "pull_request": run.pull_request.number if run.pull_request else None,
        "commit_sha": run.commit_sha,
        "reason": run.error.code if run.error else run.reason,
        "message": run.history[-1].message if run.history else "",
        "created_at": run.created_at,
        "updated_at": run.updated_at,
    }


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError as error:
        raise BadInput(f"status: one of {', '.join(Status)}", "status") from error


def _limit(text: str) -> int:
    if not text.isdecimal() or len(text) > LONGEST_NUMBER or not 1 <= int(text) <= LARGEST_PAGE:
        raise BadInput(f"limit: a number from 1 to {LARGEST_PAGE}", "limit")
    return int(text)


async def _after(services: Services, id: str | None) -> Run | None:
    if id is None:
        return None
    found = await services.store.get(Run, id)
    if found is None:
        raise BadInput("after: there is no such run", "after")
    return found.document
