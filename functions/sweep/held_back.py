"""Merges that a hold kept back are struck off a target's list once a version that contains them is live."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from functions.sweep.each import each
from functions.sweep.snapshot import Snapshot
from shared.core.target import HeldBack, Target
from shared.core.target_config import TargetConfig
from shared.runtime.services import Services
from shared.runtime.update import amend


async def strike_off_brought(services: Services, snapshot: Snapshot) -> int:
    """Ask GitHub, once for each verified version, which of the merges it contains; how many were struck off.

    Not while a version that was not verified may be live instead: what was verified last brings nothing then.

    Raises what GitHub's client, or the store, raises, once each target has had its turn.
    """
    return await each(services.config.targets, partial(_strike_off, services, snapshot))


async def _strike_off(services: Services, snapshot: Snapshot, target_config: TargetConfig) -> int:
    target = await snapshot.target(target_config.id)
    if target is None or target.current is None or _may_be_replaced(target):
        return 0
    live = target.current.commit_sha
    asked = [one.commit_sha for one in target.held_back if one.missing_in != live]
    if not asked:
        return 0
    brought = {
        commit: commit == live or await services.github.contains(target_config.repository, commit, within=live)
        for commit in asked
    }

    def note(now: Target) -> Target:
        if _may_be_replaced(now):
            return now
        kept = (_noted(one, live, brought.get(one.commit_sha)) for one in now.held_back)
        return replace(now, held_back=tuple(one for one in kept if one is not None))

    await amend(services.store, Target, target_config.id, note)
    return sum(brought.values())


def _may_be_replaced(target: Target) -> bool:
    return target.hold is not None and target.hold.unverified


def _noted(held: HeldBack, live: str, brought: bool | None) -> HeldBack | None:
    """As it is to be kept; None where it is live. What was not asked about, as it came meanwhile, stays as it is."""
    if brought:
        return None
    return held if brought is None else replace(held, missing_in=live)
