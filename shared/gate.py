"""May this pull request be merged now? A pure judgement of what GitHub shows."""

from __future__ import annotations

from collections.abc import Collection

from shared.clients.github_pull_request import PullRequestState
from shared.errors import Code
from shared.outcome import Fail, Retry, Wait
from shared.policy import Policy

PEOPLE_MAY_CHANGE = frozenset({Code.PULL_REQUEST_DRAFT, Code.REVIEW_REQUIRED, Code.CHANGES_REQUESTED})


def asked_by_label(pull: PullRequestState, policy: Policy) -> bool:
    """Whether the pull request carries the label that asks for its deployment."""
    return policy.deploy_label is not None and pull.carries(policy.deploy_label)


def judge(
    pull: PullRequestState, required: Collection[str], policy: Policy, *, patient: bool = False
) -> Fail | Wait | Retry | None:
    """None when it may be merged; otherwise why not: for good, or not yet.

    `required` are the contexts that the branch's rules ask for; one that has not reported yet is pending, although
    GitHub lists it nowhere. GitHub computes `mergeable` when first asked, so its absence is a matter of seconds.
    `patient`: what people may still change is waited for.
    """
    refused = _refused(pull)
    if refused is not None and patient and refused.code in PEOPLE_MAY_CHANGE:
        return Wait(message=refused.message, wake_in=policy.poll, otherwise=refused.code)
    verdict = refused or _checks(pull, required, policy)
    if verdict is None and pull.mergeable is None:
        return Retry("GitHub is still computing whether the branch can be merged")
    return verdict


def _refused(pull: PullRequestState) -> Fail | None:
    if pull.state != "open":
        return Fail(Code.PULL_REQUEST_CLOSED, "the pull request was closed without a merge")
    if pull.draft:
        return Fail(Code.PULL_REQUEST_DRAFT, "the pull request is a draft")
    if pull.mergeable is False:
        return Fail(Code.NOT_MERGEABLE, f"the branch has conflicts with {pull.base}")
    if pull.merge_queue:
        return Fail(Code.MERGE_REFUSED, f"{pull.base} takes changes only through its merge queue")
    if pull.review == "changes_requested":
        return Fail(Code.CHANGES_REQUESTED, "a reviewer has requested changes")
    if pull.review == "review_required":
        return Fail(Code.REVIEW_REQUIRED, "an approving review is required")
    return None


def _checks(pull: PullRequestState, required: Collection[str], policy: Policy) -> Fail | Wait | None:
    checks = [check for check in pull.checks if check.name not in policy.ignored_checks]
    failed = sorted({check.name for check in checks if check.state == "failed"})
    if failed:
        return Fail(Code.CHECKS_FAILED, f"failed: {', '.join(failed)}")
    absent = set(required) - {check.name for check in checks} - set(policy.ignored_checks)
    pending = sorted({check.name for check in checks if check.state == "pending"} | absent)
    if pending:
        return Wait(message=f"waiting for {', '.join(pending)}", wake_in=policy.poll, otherwise=Code.CHECKS_TIMEOUT)
    return None
