"""The weekly report is owed when a week is over, once, by the first target of signalbox.toml for all of them."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from functions.sweep.snapshot import Snapshot
from shared.core import weeks
from shared.core.notices import at_time, owe
from shared.core.target import Target
from shared.runtime.services import Services
from shared.runtime.update import amend


async def owe_report(services: Services, snapshot: Snapshot) -> int:
    """Where signalbox.toml names a workflow for it; how many were owed.

    The week in which that was begun is the first to be reported.
    """
    n8n = services.config.n8n
    if n8n is None or n8n.weekly_report is None or not services.config.targets:
        return 0
    first, now = services.config.targets[0].id, services.clock.now()
    until = weeks.latest_end(now)
    seen = await snapshot.target(first)
    before = seen.reported_until if seen else None
    if before is not None and before >= until:
        return 0
    await amend(services.store, Target, first, lambda one: _owed(one, until, now), missing=Target(id=first))
    return int(before is not None)


def _owed(target: Target, until: datetime, now: datetime) -> Target:
    before = target.reported_until
    if before is not None and before >= until:
        return target
    after = replace(target, reported_until=until, updated_at=now)
    return after if before is None else owe(after, weeks.EVENT, now, at_time(until))
