"""Why a deployment failed, as far as Railway tells: its status, and the end of its log."""

from __future__ import annotations

from shared import log
from shared.clients.railway import DeploymentState, Railway
from shared.errors import Code, TransientError, VendorError
from shared.outcome import Fail

LINES = 30


async def failure_of(railway: Railway, deployment: DeploymentState) -> Fail | None:
    """What a final status other than live means; None for a deployment that is live or on its way.

    A failed build never started a container, so it has no deployment log.
    """
    id = deployment.id
    match deployment.status:
        case "CRASHED":
            tail = await _tail(railway, id, "deployment_logs")
            return Fail(Code.DEPLOY_CRASHED, f"deployment {id[:8]} crashed", tail)
        case "FAILED":
            started = await _tail(railway, id, "deployment_logs")
            if started:
                return Fail(Code.DEPLOY_FAILED, f"deployment {id[:8]} started but never became healthy", started)
            return Fail(Code.BUILD_FAILED, f"the build of {id[:8]} failed", await _tail(railway, id, "build_logs"))
        case "SKIPPED":
            return Fail(Code.DEPLOY_SKIPPED, f"Railway skipped {id[:8]}: its checks failed, or no watched path changed")
        case "REMOVED" | "REMOVING":
            return Fail(Code.DEPLOYMENT_REPLACED, f"deployment {id[:8]} was cancelled, or replaced by another")
    return None


async def _tail(railway: Railway, id: str, kind: str) -> tuple[str, ...]:
    """A log that cannot be read must not hide that the deployment failed."""
    read = railway.build_logs if kind == "build_logs" else railway.deployment_logs
    try:
        return await read(id, limit=LINES)
    except (TransientError, VendorError) as error:
        log.warning("the log could not be read", deployment_id=id, reason=str(error))
        return ()
