"""Why a deployment failed, as far as Railway tells: its status, and the end of its log."""

from __future__ import annotations

from shared import log
from shared.clients.railway import DeploymentState
from shared.errors import Code, TransientError, VendorError
from shared.outcome import Fail, NotDeployed
from shared.services import Services

LINES = 30


async def failure_of(
    services: Services, deployment: DeploymentState, *, restoring: bool = False
) -> Fail | NotDeployed | None:
    """What a final status other than live means; None for a deployment that is live or on its way.

    A deployment that Railway skipped because nothing for it has changed is no failure, unless it was to restore another
    version.

    A failed build never started a container, so it has no deployment log.
    """
    id = deployment.id
    match deployment.status:
        case "CRASHED":
            tail = await log_tail(services, id)
            return Fail(Code.DEPLOY_CRASHED, f"deployment {id[:8]} crashed", tail)
        case "FAILED":
            started = await log_tail(services, id)
            if started:
                return Fail(Code.DEPLOY_FAILED, f"deployment {id[:8]} started but never became healthy", started)
            return Fail(Code.BUILD_FAILED, f"the build of {id[:8]} failed", await _tail(services, id, "build_logs"))
        case "SKIPPED":
            skipped = why_skipped(deployment)
            return Fail(Code.DEPLOY_SKIPPED, skipped.message) if restoring else skipped
        case "REMOVED" | "REMOVING":
            return Fail(Code.DEPLOYMENT_REPLACED, f"deployment {id[:8]} was cancelled, or replaced by another")
    return None


def why_skipped(deployment: DeploymentState) -> Fail | NotDeployed:
    """What it means that Railway skipped it: nothing to deploy, or, as far as is known, a commit whose CI failed."""
    reason = deployment.skipped_reason or "Railway does not say why"
    if deployment.untouched:
        return NotDeployed(Code.NOTHING_TO_DEPLOY, f"Railway skipped {deployment.id[:8]}: {reason}")
    return Fail(Code.DEPLOY_SKIPPED, f"Railway skipped {deployment.id[:8]}: {reason}")


async def log_tail(services: Services, id: str) -> tuple[str, ...]:
    """The end of what the application wrote."""
    return await _tail(services, id, "deployment_logs")


async def _tail(services: Services, id: str, kind: str) -> tuple[str, ...]:
    """A log that cannot be read must not hide that the deployment failed."""
    read = services.railway.build_logs if kind == "build_logs" else services.railway.deployment_logs
    try:
        return await read(id, limit=LINES)
    except (TransientError, VendorError) as error:
        log.warning("the log could not be read", deployment_id=id, reason=str(error))
        return ()
