"""The health of what serves, looked at once a minute while nothing is being deployed."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from shared import targets
from shared.address import look
from shared.amend import amend
from shared.config import TargetConfig
from shared.run import Target
from shared.services import Services

AT_ONCE = 25
RECORD_AT_LEAST = timedelta(minutes=10)
"""How old `health.checked_at` may become while nothing changes: each look need not cost a write."""


async def probe_all(services: Services) -> int:
    """Look at each target that has a verified version and an address; those under deployment are watched already.

    In another order each time, so that where many hang, and time runs out, it is not always the same that are left out.
    """
    gate = asyncio.Semaphore(AT_ONCE)
    places = random.sample(services.config.targets, len(services.config.targets))
    return sum(await asyncio.gather(*(_probe(services, place, gate) for place in places)))


async def _probe(services: Services, place: TargetConfig, gate: asyncio.Semaphore) -> bool:
    async with gate:
        found = await services.store.get(Target, place.id)
        if found is None or found.document.active or not found.document.current or not found.document.address:
            return False
        answer = await look(services, place, found.document.address)
        healthy = answer.healthy if answer.reached else None
        await amend(
            services.store, Target, place.id, lambda target: _seen(services, place, target, healthy, answer.detail)
        )
    return True


def _seen(services: Services, place: TargetConfig, target: Target, healthy: bool | None, detail: str) -> Target | None:
    """The target after the look, or None when nothing is worth a write."""
    now = services.clock.now()
    after = targets.observe(target, healthy, detail, now, place.policy.failure_threshold)
    before, new = target.health, after.health
    fresh = before.checked_at is not None and now - before.checked_at < RECORD_AT_LEAST
    same = (before.state, before.failures, before.detail) == (new.state, new.failures, new.detail)
    return None if fresh and same else after
