"""Whether what serves is what was verified last: recorded and told where it is not, and left as it is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec.structs import replace

from functions.sweep.snapshot import Snapshot
from shared.core.notices import at_time, owe
from shared.core.observed import DeploymentState, ServiceState
from shared.core.run import Run, Verified
from shared.core.target import Serving, Target
from shared.core.target_config import TargetConfig
from shared.errors import RateLimited, SecretMissing, TransientError, VendorError
from shared.runs.health_check import address_of
from shared.runtime import log
from shared.runtime.services import Services
from shared.runtime.update import amend

EVERY = timedelta(minutes=10)
"""Railway may allow no more than 1,000 requests an hour, for all that ask: docs.railway.com/reference/public-api."""


async def look_for_drift(services: Services, snapshot: Snapshot) -> int:
    """Ask Railway what serves each target, one request each, and record the answer; how many were looked at.

    One that Railway cannot or will not tell of keeps no other from being asked about, nor does one whose token is
    missing. Raises RateLimited at the first refusal of that kind, SecretMissing once all the others have been asked
    about, and what the store raises.
    """
    now, target_configs = services.clock.now(), services.config.targets
    targets = await asyncio.gather(*(snapshot.target(target_config.id) for target_config in target_configs))
    due = [
        target_config
        for target_config, target in zip(target_configs, targets, strict=True)
        if target is not None and is_due(target, now)
    ]
    random.shuffle(due)
    done, missing = 0, list[SecretMissing]()
    for target_config in due:
        try:
            done += await _look(services, snapshot, target_config)
        except SecretMissing as error:
            log.error("no token to ask Railway with", target=target_config.id, reason=str(error))
            missing.append(error)
    if missing:
        raise missing[0]
    return done


async def _look(services: Services, snapshot: Snapshot, target_config: TargetConfig) -> bool:
    began = services.clock.now()
    service: ServiceState | None = None
    try:
        railway = services.railway_for(target_config)
        service = await railway.service(
            environment_id=target_config.environment_id, service_id=target_config.service_id
        )
    except VendorError as error:  # asked again no sooner than if it had told
        log.error("Railway refuses to say which version is live", target=target_config.id, reason=str(error))
    except RateLimited:
        raise
    except TransientError as error:
        log.warning("Railway could not be asked which version is live", target=target_config.id, reason=str(error))
        return False
    known = await _known(services, await snapshot.target(target_config.id))

    def see(target: Target) -> Target:
        after = note(target, service, began, known)
        return (
            after
            if service is None or after is target
            else _at(after, address_of(services.probe, target_config.policy, service))
        )

    await amend(services.store, Target, target_config.id, see)
    return service is not None


def _at(target: Target, address: str | None) -> Target:
    """A domain may have been moved since the last deployment: its health is looked at where it answers now."""
    return target if target.address == address else replace(target, address=address)


async def _known(services: Services, target: Target | None) -> frozenset[str]:
    """The deployments of the runs that locked the target, or hold it for what may be live: those were reported."""
    if target is None:
        return frozenset()
    locked = target.lock.run_id if target.lock is not None else None
    held = target.hold.run_id if target.hold is not None and target.hold.unverified else None
    found = [await services.store.get(Run, id) for id in dict.fromkeys((locked, held)) if id]
    runs = [one.document for one in found if one is not None]
    made = [run.deployment.id for run in runs if run.deployment is not None]
    restored = [run.rollback.deployment_id for run in runs if run.rollback is not None]
    return frozenset(id for id in (*made, *restored) if id)


def is_due(target: Target, now: datetime) -> bool:
    """After EVERY, and at once after a verification: what serves may have been another version before."""
    if target.current is None or target.active:
        return False
    looked_at = target.serving.looked_at
    return looked_at is None or now - looked_at >= EVERY or target.current.at >= looked_at


def note(target: Target, service: ServiceState | None, now: datetime, known: Collection[str] = frozenset()) -> Target:
    """The target after Railway's answer of `now`; None: it gave none. People are owed what has changed.

    A drift to one of the `known` deployments is recorded and not owed: the run that ended so has reported it.

    While a deployment is on its way, by whomever, and when a run came meanwhile or another sweep has looked since,
    nothing is concluded.
    """
    current, before = target.current, target.serving
    if current is None or target.active or (before.looked_at is not None and before.looked_at >= now):
        return target
    if service is None or service.on_its_way or current.at >= now:
        return replace(target, serving=replace(before, looked_at=now))
    target = replace(target, left_alone=service.left_alone)
    serving = max((one for one in service.active if service.stands(one)), key=lambda one: one.created_at, default=None)
    seen = Serving(
        looked_at=now,
        deployment_id=serving.id if serving else None,
        commit_sha=serving.commit_sha if serving else None,
        drifting_since=None if _is(serving, current) else before.drifting_since or now,
    )
    after = replace(target, serving=seen, updated_at=now)
    if seen.drifting_since is None and before.drifting_since is None:
        return after
    if seen.drifting_since is not None and before.drifting_since is not None and seen.version == before.version:
        return after
    if seen.drifting_since is not None and seen.deployment_id in known:
        return after
    return owe(after, "drifted" if seen.drifting_since else "drift_ended", now, at_time(now))


def _is(serving: DeploymentState | None, current: Verified) -> bool:
    """Railway redeploys a commit by itself now and then, under a new id: that is the same version."""
    if serving is None:
        return False
    return serving.id == current.deployment_id or (
        bool(serving.commit_sha) and serving.commit_sha == current.commit_sha
    )
