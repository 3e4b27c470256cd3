"""Why a deployment failed, as far as Railway tells: its status, and the end of its log.

Whatever the reason is, people and the failure analysis get the log: a version that answers 503 has written why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from shared.clients.railway.client import Railway
from shared.core import pipeline
from shared.core.observed import DeploymentState
from shared.core.outcome import Fail, NotDeployed, Outcome
from shared.core.reasons import Reason
from shared.errors import TransientError, VendorError
from shared.runtime import log

if TYPE_CHECKING:  # the sweep has no stages
    from shared.runtime.stage import Claim

LINES = 30
_WITHOUT_LOG = frozenset(
    {
        Reason.DEPLOYMENT_REPLACED,
        Reason.DEPLOY_SKIPPED,
        Reason.TARGET_UNKNOWN,
        Reason.VERIFY_INCONCLUSIVE,
        Reason.NEWER_MERGE,
    }
)
"""Reasons that say nothing against the deployment."""


async def with_log(claim: Claim, railway: Railway, outcome: Outcome) -> Outcome:
    """The outcome; where it is a failure of the deployment, also because its time is up, with the end of its log."""
    judged = pipeline.judge(claim.run, outcome, claim.terms)
    watched = claim.run.watched_deployment
    if not isinstance(judged, Fail) or judged.log_tail or judged.code in _WITHOUT_LOG or watched is None:
        return outcome
    return replace(judged, log_tail=await tail_of(railway, watched))


async def tail_of(railway: Railway, id: str) -> tuple[str, ...]:
    """The end of what the application wrote, or of the build's log where it has not started; masked, oldest first."""
    return await _tail(railway, id, "deployment_logs") or await _tail(railway, id, "build_logs")


async def failure_of(
    railway: Railway, deployment: DeploymentState, *, restoring: bool = False
) -> Fail | NotDeployed | None:
    """What a final status other than live means; None for a deployment that is live or on its way.

    A deployment that Railway skipped because nothing for it has changed is no failure, unless it was to restore another
    version.

    A failed build never started a container, so it has no deployment log.
    """
    id = deployment.id
    match deployment.status:
        case "CRASHED":
            tail = await _tail(railway, id, "deployment_logs")
            return Fail(Reason.DEPLOY_CRASHED, f"deployment {id[:8]} crashed", tail)
        case "FAILED":
            started = await _tail(railway, id, "deployment_logs")
            if started:
                return Fail(Reason.DEPLOY_FAILED, f"deployment {id[:8]} started but never became healthy", started)
            return Fail(Reason.BUILD_FAILED, f"the build of {id[:8]} failed", await _tail(railway, id, "build_logs"))
        case "SKIPPED":
            skipped = why_skipped(deployment)
            return Fail(Reason.DEPLOY_SKIPPED, skipped.message) if restoring else skipped
        case "REMOVED" | "REMOVING":
            return Fail(Reason.DEPLOYMENT_REPLACED, f"deployment {id[:8]} was cancelled, or replaced by another")
    return None


def why_skipped(deployment: DeploymentState) -> Fail | NotDeployed:
    """What it means that Railway skipped it: nothing to deploy, or, as far as is known, a commit whose CI failed."""
    reason = deployment.skipped_reason or "Railway does not say why"
    if deployment.untouched:
        return NotDeployed(Reason.NOTHING_TO_DEPLOY, f"Railway skipped {deployment.id[:8]}: {reason}")
    return Fail(Reason.DEPLOY_SKIPPED, f"Railway skipped {deployment.id[:8]}: {reason}")


async def _tail(railway: Railway, id: str, kind: str) -> tuple[str, ...]:
    """A log that cannot be read must not hide that the deployment failed."""
    read = railway.build_logs if kind == "build_logs" else railway.deployment_logs
    try:
        return await read(id, limit=LINES)
    except (TransientError, VendorError) as error:
        log.warning("the log could not be read", deployment_id=id, reason=str(error))
        return ()
