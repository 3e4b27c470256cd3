"""Figures: how the deployments of the last days went, and how this instance and its backlog are."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from starlette.requests import Request

from shared.core import attempts
from shared.core.run import AttemptOutcome, Kind, Run, Stage, Status
from shared.core.target import Target
from shared.core.watching import shown_health
from shared.errors import BadInput
from shared.runtime.ports import Query
from shared.runtime.services import Services

LONGEST = 90
MOST_RUNS = 1000
LONGEST_NUMBER = 9
"""Digits of a query parameter: Python refuses to read thousands of them, with an error that is not BadInput."""
_STARTED = time.monotonic()


async def summary(request: Request, services: Services) -> object:
    """`?days=` (1 to 90, default 7). Durations are in seconds; rates and medians are None where there is nothing."""
    days = request.query_params.get("days", "7")
    if not days.isdecimal() or len(days) > LONGEST_NUMBER or not 1 <= int(days) <= LONGEST:
        raise BadInput(f"days: a number from 1 to {LONGEST}", "days")
    now = services.clock.now()
    return await between(services, now - timedelta(days=int(days)), now)


async def between(services: Services, since: datetime, until: datetime) -> dict[str, object]:
    """Of the attempts of runs that began in that time, and the targets as they are now.

    A run has one attempt, and one more each time that it is replayed. `runs` are those that began in that time.
    """
    begun = await _begun(services, "created_at", since, until)
    replayed = await _begun(services, "replayed_at", since, None)
    runs = {run.id: run for run in (*begun, *replayed)}.values()
    ended = [(run, one) for run in runs for one in attempts.of(run) if since <= one.began_at <= until]
    under_way = [run for run in runs if not run.status.terminal and since <= attempts.began_at(run) <= until]
    return {
        "since": since,
        "runs": len(begun),
        "attempts": len(ended) + len(under_way),
        "complete": max(len(begun), len(replayed)) < MOST_RUNS,
        "by_status": Counter([*(run.status.value for run in under_way), *(one.status.value for _, one in ended)]),
        "by_reason": Counter(one.reason.value for _, one in ended if one.reason),
        "deployments": _deployments([one for run, one in ended if run.kind is Kind.DEPLOY]),
        "stage_seconds": _stage_seconds([one for _, one in ended]),
        "targets": [await _target(services, target.id) for target in services.config.targets],
    }


async def _begun(services: Services, field: str, since: datetime, until: datetime | None) -> list[Run]:
    """Runs by the time in that field, the latest first, at most MOST_RUNS."""
    before = () if until is None else ((field, "<=", until),)
    found = await services.store.query(
        Query(
            Run,
            (
                (field, ">=", since),
                *before,
            ),
            order_by=field,
            descending=True,
            limit=MOST_RUNS,
        )
    )
    return [one.document for one in found]


async def system(_: Request, services: Services) -> object:
    """This instance's age and memory, and how far behind the sweep is."""
    asked = time.perf_counter()
    now = services.clock.now()
    due = await services.store.query(Query(Run, (("wake_at", "<=", now),), order_by="wake_at", limit=100))
    oldest = due[0].document.wake_at if due else None
    return {
        "at": now,
        "uptime_seconds": round(time.monotonic() - _STARTED, 1),
        "python": sys.version.split()[0],
        "pid": os.getpid(),
        "memory_mib": _memory(),
        "store_seconds": round(time.perf_counter() - asked, 4),
        "due_runs": len(due),
        "oldest_due_seconds": (now - oldest).total_seconds() if oldest else 0.0,
        "project": services.settings.google_cloud_project or None,
        "backend": services.settings.signalbox_backend,
    }


def _deployments(of_deploy_runs: Sequence[AttemptOutcome]) -> dict[str, object]:
    """Of the attempts that had got as far as a deployment: how many held, and how long they took.

    Where nothing was to be deployed there is neither a success nor a failure.
    """
    ended = [one for one in of_deploy_runs if one.deployed and one.status is not Status.NOT_DEPLOYED]
    held = [one for one in ended if one.status is Status.SUCCEEDED]
    took = [(one.ended_at - one.began_at).total_seconds() for one in held]
    return {
        "ended": len(ended),
        "succeeded": len(held),
        "success_rate": round(len(held) / len(ended), 4) if ended else None,
        "rolled_back": sum(one.status is Status.ROLLED_BACK for one in ended),
        "median_seconds": statistics.median(took) if took else None,
    }


def _stage_seconds(ended: Sequence[AttemptOutcome]) -> dict[str, float]:
    """The median time that attempts spent in each stage, apart from those in which there was nothing to do."""
    spent: dict[str, list[float]] = {stage: [] for stage in Stage if stage is not Stage.DONE}
    for one in ended:
        if one.status is not Status.NOT_DEPLOYED:
            for stage, seconds in one.stage_seconds.items():
                spent[stage].append(seconds)
    return {stage: round(statistics.median(seconds), 3) for stage, seconds in spent.items() if seconds}


async def _target(services: Services, id: str) -> dict[str, object]:
    found = await services.store.get(Target, id)
    target = found.document if found else Target(id=id)
    return {
        "id": id,
        "active": target.active,
        "queued": [entry.run_id for entry in target.queue],
        "current": target.current,
        "lock": target.lock,
        "hold": target.hold,
        "held_back": target.held_back,
        "health": shown_health(target, services.terms(id).policy),
        "serving": target.serving,
    }


def _memory() -> float | None:
    """Resident memory in MiB; None where the system does not show it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
