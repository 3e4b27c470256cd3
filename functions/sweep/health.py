"""The health of what serves, looked at once a minute while nothing is being deployed, and what follows from it."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime, timedelta

from functions.sweep.probation import failed_probation, take_back_if_due
from functions.sweep.snapshot import Snapshot
from shared.core import targets
from shared.core.observed import Answer
from shared.core.run import Verdict
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.core.watching import unwatched
from shared.runs.health_check import look
from shared.runtime.services import Services
from shared.runtime.update import amend

AT_ONCE = 25
RECORD_AT_LEAST = timedelta(minutes=10)
"""How old `health.checked_at` may become while nothing changes: each look need not cost a write."""


async def probe_all(services: Services, snapshot: Snapshot) -> int:
    """Look at each target that has a verified version and an address; those under deployment are watched already.

    A service that sleeps when idle would be kept awake by it, so it is left alone, as is one that runs by a schedule,
    and whatever the policy says not to watch.

    In another order each time, so that where many hang, and time runs out, it is not always the same that are left out.
    Raises what went wrong with one of them, as when it cannot be saved, once all the others have been looked at.
    """
    gate = asyncio.Semaphore(AT_ONCE)
    target_configs = random.sample(services.config.targets, len(services.config.targets))
    looks = (_probe(services, snapshot, target_config, gate) for target_config in target_configs)
    probed = 0
    for look_or_error in await asyncio.gather(*looks, return_exceptions=True):
        if isinstance(look_or_error, BaseException):
            raise look_or_error
        probed += look_or_error
    return probed


async def _probe(services: Services, snapshot: Snapshot, target_config: TargetConfig, gate: asyncio.Semaphore) -> bool:
    async with gate:
        looked_at = await snapshot.target(target_config.id)
        if looked_at is None or looked_at.active or not looked_at.current or not looked_at.address:
            return False
        if unwatched(looked_at, target_config.policy):
            return False
        began = services.clock.now()
        answer = await look(services.probe, target_config.policy, looked_at.address)
        if _seen(services, target_config, looked_at, answer) == looked_at and not failed_probation(
            looked_at, target_config.policy
        ):
            return True  # the usual minute, which costs no more than that one read

        def see(target: Target) -> Target:
            return _seen(services, target_config, target, answer) if _is_news(target, looked_at, began) else target

        target = await amend(services.store, Target, target_config.id, see)
    if target is not None:
        await take_back_if_due(services, target_config, target)
    return True


def _is_news(target: Target, looked_at: Target, began: datetime) -> bool:
    """Not when a run has come meanwhile, and not when another sweep has looked since: it would count twice."""
    checked_at = target.health.checked_at
    seen_since = checked_at is not None and checked_at >= began
    return target.active is None and target.current == looked_at.current and not seen_since


def _seen(services: Services, target_config: TargetConfig, target: Target, answer: Answer) -> Target:
    """The target after the look, or as it was when nothing is worth a write."""
    now = services.clock.now()
    verdict = answer.verdict(answered_before=True)
    healthy = None if verdict is Verdict.INCONCLUSIVE else verdict is Verdict.PASS
    after = targets.observe(target, healthy, answer.said, now, target_config.policy.failure_threshold)
    before, new = target.health, after.health
    fresh = before.checked_at is not None and now - before.checked_at < RECORD_AT_LEAST
    same = (before.state, before.failures, before.detail) == (new.state, new.failures, new.detail)
    return target if fresh and same else after
