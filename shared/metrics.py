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

from shared.errors import BadInput
from shared.run import Kind, Run, Stage, Status, Target
from shared.services import Services

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
    """Of the runs that began in that time, and the targets as they are now."""
    found = await services.store.query(
        Run,
        ("created_at", ">=", since),
        ("created_at", "<=", until),
        order_by="created_at",
        descending=True,
        limit=MOST_RUNS,
    )
    runs = [one.document for one in found]
    return {
        "since": since,
        "runs": len(runs),
        "complete": len(runs) < MOST_RUNS,
        "by_status": Counter(run.status.value for run in runs),
        "by_reason": Counter(run.error.code.value for run in runs if run.error),
        "deployments": _deployments(runs),
        "stage_seconds": _stage_seconds(runs),
        "targets": [await _target(services, target.id) for target in services.config.targets],
    }


async def system(_: Request, services: Services) -> object:
    """This instance's age and memory, and how far behind the sweep is."""
    asked = time.perf_counter()
    now = services.clock.now()
    due = await services.store.query(Run, ("wake_at", "<=", now), order_by="wake_at", limit=100)
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


def _deployments(runs: Sequence[Run]) -> dict[str, object]:
    """Of the runs that ended and had got as far as a deployment: how many held, and how long they took."""
    ended = [run for run in runs if run.kind is Kind.DEPLOY and run.status.terminal and run.deployment is not None]
    held = [run for run in ended if run.status is Status.SUCCEEDED]
    took = [(run.history[-1].at - run.created_at).total_seconds() for run in held]
    return {
        "ended": len(ended),
        "succeeded": len(held),
        "success_rate": round(len(held) / len(ended), 4) if ended else None,
        "rolled_back": sum(run.status is Status.ROLLED_BACK for run in ended),
        "median_seconds": statistics.median(took) if took else None,
    }


def _stage_seconds(runs: Sequence[Run]) -> dict[str, float]:
    """The median time that ended runs spent in each stage."""
    spent: dict[str, list[float]] = {stage: [] for stage in Stage if stage is not Stage.DONE}
    for run in runs:
        if run.status.terminal:
            for stage, seconds in _spent(run).items():
                spent[stage].append(seconds)
    return {stage: round(statistics.median(seconds), 3) for stage, seconds in spent.items() if seconds}


def _spent(run: Run) -> dict[str, float]:
    """An entry of the history notes what its stage came to, so the time before it belongs to that stage."""
    spent: dict[str, float] = {}
    before = run.created_at
    for entry in run.history:
        spent[entry.stage] = spent.get(entry.stage, 0.0) + (entry.at - before).total_seconds()
        before = entry.at
    return spent


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
        "health": target.health,
        "serving": target.serving,
    }


def _memory() -> float | None:
    """Resident memory in MiB; None where the system does not show it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
