"""A version that loses its health soon after it was verified is rolled back, where the policy says so."""

from __future__ import annotations

from datetime import timedelta

from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import Rollback, Run, Trigger, Verified
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.runs.start import new_run, start
from shared.runtime import log
from shared.runtime.services import Services

SIGNALBOX = "signalbox"


async def take_back_if_due(services: Services, target_config: TargetConfig, target: Target) -> None:
    """Start the rollback of a version that failed its probation, if there is not one yet.

    Its id is made of the deployment's, so there is at most one for each verified deployment, however often this is
    asked and whatever became of it. Asked at each look, so that a crash in between delays it by a minute.
    """
    failed = failed_probation(target, target_config.policy)
    found = await services.store.get(Run, failed.run_id) if failed and failed.run_id else None
    pull = found.document.pull_request if found else None
    if failed is None or pull is None:
        return
    trigger = Trigger(source="health", actor=SIGNALBOX, id=failed.deployment_id, url=pull.url)
    run = new_run(services, target_config, pull, trigger, back=Rollback(reason=Reason.UNHEALTHY))
    if await services.store.get(Run, run.id) is None:
        log.warning("health was lost on probation", target=target_config.id, run_id=run.id, commit=failed.commit_sha)
        await start(services, run)


def failed_probation(target: Target, policy: Policy) -> Verified | None:
    """The current version, if it is to be rolled back: a run deployed it, and it lost its health within its probation.

    Later it is more likely a late failure of something else. A rollback is not rolled back, and nothing is while
    a user keeps the target locked or paused.
    """
    current, health = target.current, target.health
    if target.active or target.lock or target.pause or policy.rollback != "automatic" or policy.probation == 0.0:
        return None
    if current is None or current.run_id is None or target.rollbacks_in_a_row:
        return None
    if all(verified.commit_sha == current.commit_sha for verified in target.verified):
        return None
    if health.state != "unhealthy" or health.changed_at is None:
        return None
    after = health.changed_at - current.at
    return current if timedelta(0) <= after <= timedelta(seconds=policy.probation) else None
