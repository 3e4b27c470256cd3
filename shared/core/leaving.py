"""What a run that gives up leaves behind: nothing, something to roll back, or something that may be live. Pure."""

from __future__ import annotations

from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import Kind, Run, Stage

BAD_DEPLOYMENT = frozenset(
    {
        Reason.BUILD_FAILED,
        Reason.DEPLOY_FAILED,
        Reason.DEPLOY_SKIPPED,
        Reason.DEPLOY_CRASHED,
        Reason.DEPLOY_TIMEOUT,
        Reason.UNHEALTHY,
        Reason.WRONG_VERSION,
    }
)
"""Reasons to look at what serves and, if it is not the last good version, to go back. Apart from a deployment that was
requested and never seen, nothing else rolls back."""
_NEVER_LIVE = frozenset({Reason.BUILD_FAILED, Reason.DEPLOY_FAILED, Reason.DEPLOY_SKIPPED})
"""Of those, the ones of a deployment that never went live, by Railway's word."""
_BLIND = frozenset(
    {
        Reason.VENDOR_REFUSED,
        Reason.VENDOR_UNAVAILABLE,
        Reason.ATTEMPTS_EXHAUSTED,
        Reason.TARGET_UNKNOWN,
        Reason.DEPLOY_TIMEOUT,
        Reason.QUEUE_TIMEOUT,
    }
)
"""Reasons that say nothing of what is live: the run could not look, or its time was up."""


def may_be_live(run: Run, code: Reason, policy: Policy) -> bool:
    """Whether a run that gives up may leave a version of its own behind that is live, or will be, and is not good.

    That is so from the moment that a deployment was requested until it is known never to go live. Where Railway itself
    deploys each push (`auto_deploy`), it is so from the merge on, unless the run has looked.
    """
    if run.kind is Kind.ROLLBACK or code in _NEVER_LIVE:
        return False
    if run.stage in (Stage.MONITOR, Stage.VERIFY):
        return True
    merged = run.commit_sha is not None or run.trigger.source == "merge"
    return unseen(run) or (policy.auto_deploy == "adopt" and merged and code in _BLIND)


def unseen(run: Run) -> bool:
    """Giving up after a deployment was requested and before it was seen: it may go live anyway."""
    deployment = run.deployment
    asked = deployment is not None and (deployment.id is not None or deployment.requested_at is not None)
    return run.stage is Stage.DEPLOY and asked
