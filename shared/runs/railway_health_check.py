"""Whether a run's deployment has lost the health check by which Railway kept bad versions from going live. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from shared.core.observed import DeploymentState
from shared.core.run import Deployment, Run
from shared.core.target import Target


def checked_before(run: Run, target: Target, known: Iterable[DeploymentState]) -> str | None:
    """The path at which Railway checked the version that was verified last; before the first run, the one that served.

    `known` are newest first. None where Railway checked none, or does not say. A version of the run's own commit that
    was only found live, and that no run verified, is the one to be judged: it is compared with what served before it.
    """
    current = target.current
    found_live = current is not None and current.run_id is None and current.commit_sha == run.commit_sha
    if current is not None and not found_live:
        before = next((one for one in known if one.id == current.deployment_id), None)
    else:
        others = (one for one in known if one.commit_sha != run.commit_sha and one.health_check is not None)
        before = next((one for one in others if one.live or one.gone), None)
    return (before.health_check or None) if before else None


def noted(run: Run, deployment: DeploymentState) -> dict[str, Deployment]:
    """What to change of the run now that its deployment is seen; nothing while Railway does not say how it checks.

    A rollback restores what was before, with its settings: nothing is lost by that.
    """
    own = run.deployment
    if own is None or run.rollback is not None or own.health_check_before is None or deployment.health_check is None:
        return {}
    lost = not deployment.health_check
    return {} if lost == own.health_check_lost else {"deployment": replace(own, health_check_lost=lost)}
