"""May this pull request be merged now? A pure judgement of what GitHub shows.

A head is green when what is to come has come: no check has failed, none is pending, none that has to be there is
absent, no check suite is unfinished, and GitHub has known the head for long enough that CI would have announced itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from shared.core.observed import HIDDEN_RULE, CheckState, PullRequestState, RequiredCheck, SuiteState
from shared.core.outcome import Fail, Retry, Wait
from shared.core.policy import Policy
from shared.core.reasons import Reason

PEOPLE_MAY_CHANGE = frozenset({Reason.PULL_REQUEST_DRAFT, Reason.REVIEW_REQUIRED, Reason.CHANGES_REQUESTED})

REPORTS_WITHIN = 300.0
"""Seconds in which an App that has a check suite reports its first check, if it ever does; and in which what was
cancelled begins again, if it ever does."""
ACTIONS = "github-actions"
"""The slug of GitHub Actions, whose suites are workflow runs: GitHub opens none that does not end by itself."""
RED = frozenset({"failure", "timed_out", "action_required", "startup_failure"})


class Look(Struct, frozen=True):
    """When the pull request was looked at: now, and the first time that the run saw this head."""

    now: datetime
    first: datetime


class Behind(Struct, frozen=True):
    """Nothing has failed, and the branch is to be brought up to date with its base."""


def judge(
    pull: PullRequestState,
    required: Collection[RequiredCheck],
    policy: Policy,
    look: Look,
    *,
    patient: bool = False,
) -> Fail | Wait | Retry | Behind | None:
    """None when it may be merged; otherwise why not: for good, or not yet.

    `required` are the checks that the branch's rules ask for; one that has not reported yet is pending, although
    GitHub lists it nowhere. GitHub computes `mergeable` when first asked, so its absence is a matter of seconds.
    `patient`: what people may still change is waited for.
    """
    refused = _refused(pull)
    if refused is not None and patient and refused.code in PEOPLE_MAY_CHANGE:
        return Wait(message=refused.message, wake_in=policy.poll, otherwise=refused.code)
    verdict = refused or _failed(pull, policy, look)
    if verdict is not None:
        return verdict
    if pull.merge_state == "behind" and policy.update_branch:
        return Behind()
    waiting = _unfinished(pull, required, policy, look) or _settling(pull, policy, look) or _behind(pull, policy)
    if waiting is None and pull.mergeable is None:
        return Retry("GitHub is still computing whether the branch can be merged")
    return waiting


def shortfall(pull: PullRequestState, policy: Policy) -> str | None:
    """What had not passed at the head when people merged it, in words; None when nothing is known to have been amiss.

    What began only after the merge, such as a workflow that cleans up, does not count.
    """
    checks = [check for check in _counted(pull, policy) if check.state == "passed" or _was_there(pull, check.known_at)]
    amiss = {_ended(check) for check in checks if check.state == "failed"}
    amiss |= {f"{check.name} (not finished)" for check in checks if check.state == "pending"}
    absent = _absent([RequiredCheck(name) for name in policy.required_checks], checks, policy)
    amiss |= {f"{name} (not reported)" for name in absent}
    suites = [suite for suite in _suites(pull, policy) if _was_there(pull, suite.created_at)]
    amiss |= {f"{suite.app} ({suite.conclusion})" for suite in suites if _is_red(suite, pull)}
    reporting = [
        suite for suite in suites if suite.status != "completed" and (suite.check_runs or suite.slug == ACTIONS)
    ]
    if not any(check.state == "pending" for check in checks):
        amiss |= {f"{suite.app} (not finished)" for suite in reporting}
    return ", ".join(sorted(amiss)) or None


def _refused(pull: PullRequestState) -> Fail | None:
    if pull.state != "open":
        return Fail(Reason.PULL_REQUEST_CLOSED, "the pull request was closed without a merge")
    if pull.draft:
        return Fail(Reason.PULL_REQUEST_DRAFT, "the pull request is a draft")
    if pull.mergeable is False:
        return Fail(Reason.NOT_MERGEABLE, f"the branch has conflicts with {pull.base}")
    if pull.merge_queue:
        return Fail(Reason.MERGE_REFUSED, f"{pull.base} takes changes only through its merge queue")
    if pull.review == "changes_requested":
        return Fail(Reason.CHANGES_REQUESTED, "a reviewer has requested changes")
    if pull.review == "review_required":
        return Fail(Reason.REVIEW_REQUIRED, "an approving review is required")
    return None


def _failed(pull: PullRequestState, policy: Policy, look: Look) -> Fail | None:
    checks = [check for check in _counted(pull, policy) if check.state == "failed" and not _starts_again(check, look)]
    suites = [suite for suite in _suites(pull, policy) if _is_red(suite, pull) and not _is_awaited(suite, policy, look)]
    failed = {*map(_ended, checks), *(f"{suite.app} ({suite.conclusion})" for suite in suites)}
    return Fail(Reason.CHECKS_FAILED, f"failed: {', '.join(sorted(failed))}") if failed else None


def _unfinished(pull: PullRequestState, required: Collection[RequiredCheck], policy: Policy, look: Look) -> Wait | None:
    checks = _counted(pull, policy)
    demanded = [*required, *(RequiredCheck(name) for name in policy.required_checks)]
    waiting = {check.name for check in checks if check.state == "pending"}
    absent = _absent(demanded, checks, policy)
    waiting |= {name if name == HIDDEN_RULE else f"{name} (not reported yet)" for name in absent}
    waiting |= {f"{check.name} (cancelled, not started again yet)" for check in checks if _starts_again(check, look)}
    unfinished = [suite for suite in _suites(pull, policy) if _is_awaited(suite, policy, look)]
    if not any(check.state == "pending" for check in checks):  # of which they are, as far as can be seen
        waiting |= {_announced(suite) for suite in unfinished}
    if not waiting and not unfinished:
        return None
    names = ", ".join(sorted(waiting))
    return Wait(message=f"waiting for {names}", wake_in=policy.poll, otherwise=Reason.CHECKS_TIMEOUT)


def _settling(pull: PullRequestState, policy: Policy, look: Look) -> Wait | None:
    """CI lists its checks some seconds after a push, and a quick one before a slow one."""
    if policy.required_checks:
        return None
    since = pull.recorded_at or look.first
    left = (since + timedelta(seconds=policy.settle) - look.now).total_seconds()
    if left <= 0:
        return None
    known = "GitHub first recorded it" if pull.recorded_at else "it was first seen"
    message = f"commit {pull.head_sha[:7]} is new: waiting until {policy.settle:g} s after {known}, for checks to begin"
    return Wait(message=message, wake_in=min(left, policy.poll), otherwise=Reason.CHECKS_TIMEOUT)


def _behind(pull: PullRequestState, policy: Policy) -> Wait | None:
    if pull.merge_state != "behind":
        return None
    message = f"the rules of {pull.base} ask for a branch that is up to date with it, and this one is behind"
    return Wait(message=message, wake_in=policy.poll, otherwise=Reason.MERGE_REFUSED)


def _counted(pull: PullRequestState, policy: Policy) -> list[CheckState]:
    return [check for check in pull.checks if check.name not in policy.ignored_checks]


def _suites(pull: PullRequestState, policy: Policy) -> Iterator[SuiteState]:
    ignored = policy.ignored_checks
    return (suite for suite in pull.suites if suite.app not in ignored and suite.slug not in ignored)


def _absent(demanded: Collection[RequiredCheck], checks: Collection[CheckState], policy: Policy) -> Iterator[str]:
    """Another App's check of the same name does not count, nor does a status that GitHub does not take for it."""
    for wanted in demanded:
        reported = [check for check in checks if check.name == wanted.context]
        counts = any(
            wanted.app_id in (None, check.app_id) or (check.app_id is None and check.required) for check in reported
        )
        if not counts and wanted.context not in policy.ignored_checks:
            yield f"{wanted.context} of the App {wanted.app_id}" if reported else wanted.context


def _ended(check: CheckState) -> str:
    return f"{check.name} ({check.conclusion})" if check.conclusion else check.name


def _starts_again(check: CheckState, look: Look) -> bool:
    """A workflow is cancelled because a newer run of it comes, which GitHub may not list yet; or by a person."""
    recent = check.ended_at is not None and look.now - check.ended_at < timedelta(seconds=REPORTS_WITHIN)
    return check.conclusion == "cancelled" and recent


def _is_red(suite: SuiteState, pull: PullRequestState) -> bool:
    """Red without any check that says so: a workflow that cannot start, that waits for a person's approval, or that
    was cancelled before it began, with nothing of its App after it."""
    if suite.status != "completed" or suite.check_runs:
        return False
    return suite.conclusion in RED or (suite.conclusion == "cancelled" and not _has_successor(suite, pull))


def _has_successor(suite: SuiteState, pull: PullRequestState) -> bool:
    later = (one.created_at for one in pull.suites if one.slug == suite.slug and one.created_at is not None)
    return suite.created_at is not None and any(at > suite.created_at for at in later)


def _is_awaited(suite: SuiteState, policy: Policy, look: Look) -> bool:
    """Whether something may still come of it: GitHub opens suites for Apps, too, that never report anything."""
    young = suite.created_at is None or look.now - suite.created_at < timedelta(seconds=REPORTS_WITHIN)
    if suite.status == "completed":
        return young and suite.conclusion == "cancelled" and suite.check_runs == 0
    if suite.status == "unknown" or suite.check_runs or suite.slug == ACTIONS:
        return True
    return young and not policy.required_checks


def _announced(suite: SuiteState) -> str:
    if suite.status == "unknown":
        return suite.app
    if suite.status == "completed":
        return f"{suite.app} (cancelled, not started again yet)"
    return f"{suite.app} (not finished)" if suite.check_runs else f"{suite.app} (announced, no check listed yet)"


def _was_there(pull: PullRequestState, known_at: datetime | None) -> bool:
    """When it was merged, as far as GitHub says."""
    return known_at is None or pull.merged_at is None or known_at <= pull.merged_at
