"""monitor: follow the deployment to a final status; when it fails keep the end of its log."""

from __future__ import annotations

import functions_framework.aio
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from shared.clients.railway.client import Railway
from shared.core import targets
from shared.core.observed import DeploymentState
from shared.core.outcome import Advance, Fail, Outcome, Wait
from shared.core.reasons import Reason
from shared.core.run import Stage
from shared.errors import VendorError
from shared.runs.deployment_failure import failure_of, with_log
from shared.runs.railway_health_check import noted
from shared.runtime import stage
from shared.runtime.services import Services, prepare
from shared.runtime.stage import Claim

prepare(called=True)

LONGEST_BETWEEN_LOOKS = 600.0
"""Seconds: a deployment that waited for days and goes on without a webhook must not be live for days unseen."""
_WAITS_FOR = {
    "NEEDS_APPROVAL": "; a person has to approve the deployment there",
    "WAITING": "; it waits for CI",
    "QUEUED": "; it waits for a free builder, or for paused builds to go on",
}


@functions_framework.aio.http
async def monitor(request: Request) -> Response:
    return await stage.serve(request, Stage.MONITOR, handle)


async def handle(claim: Claim, services: Services) -> Outcome:
    return await follow(claim, services.railway_for(claim.target_config))


async def follow(claim: Claim, railway: Railway) -> Outcome:
    """One look at the deployment: live, failed, gone, or not yet."""
    id = claim.run.watched_deployment
    if id is None:
        return Fail(Reason.DEPLOYMENT_REPLACED, "the run has no deployment to follow")
    deployment = await railway.deployment(id)
    changes = noted(claim.run, deployment)
    if deployment.live:
        return Advance(f"deployment {id[:8]} is live", changes)
    ended = await failure_of(railway, deployment, restoring=claim.run.rollback is not None)
    if ended is not None:
        return replace(ended, changes=changes)
    if claim.run.rollback is None and deployment.paused and targets.rollback_waits(await claim.target()):
        return await _give_way(railway, deployment, claim.terms.policy.poll)
    return await with_log(claim, railway, _not_yet(claim, deployment))


async def _give_way(railway: Railway, deployment: DeploymentState, poll: float) -> Wait:
    """Cancel what Railway does not build yet, for the rollback that waits in the queue: the next look ends the run.

    Railway refuses to when the deployment has gone on since: then the rollback comes after it.
    """
    message = f"cancelled deployment {deployment.id[:8]}, which Railway had not built yet: a rollback was requested"
    try:
        await railway.cancel(deployment.id)
    except VendorError as error:
        message = f"a rollback was requested, and deployment {deployment.id[:8]} could not be cancelled: {error}"
    return Wait(message=message, wake_in=poll, otherwise=Reason.DEPLOY_TIMEOUT, suspends=True)


def _not_yet(claim: Claim, deployment: DeploymentState) -> Wait:
    """A webhook brings the news; should it be lost, there are looks, ever rarer: Railway allows few calls an hour.

    Where Railway itself waits, for a person, for CI or for builds to go on, the stage's time stands still. Not where a
    version is to be restored and no one was notified of the wait: meanwhile the bad one is live, so people must know.
    """
    taken = (claim.terms.now - deployment.created_at).total_seconds()
    status = deployment.status.lower().replace("_", " ")
    restoring, for_people = claim.run.rollback is not None, deployment.status == "NEEDS_APPROVAL"
    return Wait(
        message=f"Railway: {status}{_WAITS_FOR.get(deployment.status, '')}",
        wake_in=max(claim.terms.policy.poll, min(taken, LONGEST_BETWEEN_LOOKS)),
        otherwise=Reason.ROLLBACK_TIMEOUT if restoring else Reason.DEPLOY_TIMEOUT,
        tell="needs_approval" if for_people else None,
        suspends=deployment.paused and (for_people or not restoring),
    )
