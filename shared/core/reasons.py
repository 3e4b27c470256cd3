"""The closed list of reasons a run or a command can end with: the same word in the run, comment, log and docs.

Each stands here with its word, what it means and the next step; a test holds docs/reasons.md against this list.
"""

from __future__ import annotations

import enum
from typing import Self


class Reason(enum.StrEnum):
    """`sentence` says what happened, `advice` what to do next; both are Markdown for people."""

    sentence: str
    advice: str

    def __new__(cls, word: str, sentence: str, advice: str) -> Self:
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.sentence = sentence
        reason.advice = advice
        return reason

    # Before the merge
    CHECKS_FAILED = (
        "checks_failed",
        "A check failed on the head of the pull request.",
        "Fix the failing checks, then comment `/deploy` again.",
    )
    CHECKS_TIMEOUT = (
        "checks_timeout",
        "The checks did not finish before `merge_deadline`.",
        "Find out why the checks have not finished, then comment `/deploy` again.",
    )
    REVIEW_REQUIRED = (
        "review_required",
        "The branch's rules require an approving review.",
        "Get an approving review, then comment `/deploy` again.",
    )
    CHANGES_REQUESTED = (
        "changes_requested",
        "A reviewer requested changes.",
        "Settle the requested changes, then comment `/deploy` again.",
    )
    PULL_REQUEST_CLOSED = (
        "pull_request_closed",
        "The pull request was closed without a merge.",
        "Reopen the pull request to deploy it.",
    )
    PULL_REQUEST_DRAFT = (
        "pull_request_draft",
        "The pull request is a draft.",
        "Mark the pull request as ready for review, then comment `/deploy` again.",
    )
    NOT_MERGEABLE = (
        "not_mergeable",
        "The branch has conflicts with its base branch.",
        "Resolve the conflicts with the base branch, then comment `/deploy` again.",
    )
    HEAD_MOVED = (
        "head_moved",
        "New commits were pushed after the deployment was requested.",
        "Review the new commits, then comment `/deploy` again to deploy them.",
    )
    BASE_CHANGED = (
        "base_changed",
        "The pull request was pointed at another base branch.",
        "Check which branch the pull request targets now, then comment `/deploy` to deploy it from there.",
    )
    NOT_VERIFIED_BEFORE = (
        "not_verified_before",
        "The commit was not verified in the environment that comes before this one.",
        "Comment `/deploy` with that environment first. Once the commit is verified there, it may follow here.",
    )
    LABEL_REMOVED = (
        "label_removed",
        "The label that requested the deployment was removed before the merge.",
        "Set the label again, or comment `/deploy`, to deploy the pull request.",
    )
    MERGE_REFUSED = (
        "merge_refused",
        "GitHub refused the merge.",
        "Read GitHub's reason; change the branch's rules or `merge_method`, or merge by hand.",
    )
    TARGET_LOCKED = (
        "target_locked",
        "The target is locked, so nothing is deployed to it.",
        "Check who locked it and why; comment `/unlock` when it may be deployed to again.",
    )
    TARGET_PAUSED = (
        "target_paused",
        "An operator paused the target, and the run waited as long as it may.",
        "Check who paused it and why; once `signalbox resume` has been run, comment `/deploy` again.",
    )
    TARGET_HELD = (
        "target_held",
        "The target is held after a rollback, so merges are not deployed automatically.",
        "Comment `/deploy` here or on a later pull request: that lifts the hold and deploys this merge too.",
    )
    QUARANTINED = (
        "quarantined",
        "This commit was rolled back on this target before.",
        "Merge a fix, or comment `/deploy --force <reason>` to deploy this commit anyway.",
    )
    QUEUE_TIMEOUT = (
        "queue_timeout",
        "The run waited in the target's queue for longer than `queue_deadline`.",
        "Check what occupies the target, then comment `/deploy` again.",
    )
    NEWER_MERGE = (
        "newer_merge",
        "A newer merge contains this one, and is deployed instead.",
        "Nothing to do: the newer merge includes this one. Follow its run.",
    )
    NOTHING_TO_DEPLOY = (
        "nothing_to_deploy",
        "The merge changes no file that this service is deployed for.",
        "Nothing to do. Comment `/deploy` to deploy it here anyway.",
    )
    # The deployment
    DEPLOY_REFUSED = (
        "deploy_refused",
        "Railway refused to deploy the commit.",
        "Read Railway's reason: is the repository connected, and does it have the commit?",
    )
    BUILD_FAILED = (
        "build_failed",
        "Railway could not build the commit.",
        "Read the end of the build log, fix the build, and merge the fix.",
    )
    DEPLOY_FAILED = (
        "deploy_failed",
        "The service started, but never passed Railway's health check.",
        "Read the end of the log: the service started, but its health check never passed.",
    )
    DEPLOY_SKIPPED = (
        "deploy_skipped",
        "Railway skipped the commit, because its checks failed.",
        "Fix the failing checks and merge the fix; `/deploy` deploys this commit anyway.",
    )
    DEPLOY_CRASHED = (
        "deploy_crashed",
        "The service crashed.",
        "Read the end of the log, fix the crash, and merge the fix.",
    )
    DEPLOY_TIMEOUT = (
        "deploy_timeout",
        "The deployment was not live before `monitor_deadline`.",
        "Check the deployment on Railway; raise `monitor_deadline` if builds take this long.",
    )
    DEPLOYMENT_REPLACED = (
        "deployment_replaced",
        "Another deployment replaced this one.",
        "Nothing to do if the other deployment was intended. Comment `/deploy` to deploy this one.",
    )
    # The verification
    UNHEALTHY = (
        "unhealthy",
        "The service failed its health checks.",
        "Check what the health path answers and the service's log, fix the service, and merge the fix.",
    )
    WRONG_VERSION = (
        "wrong_version",
        "The service answers with another commit than the deployed one.",
        "Check whether the service reports its commit where `commit_field` or `commit_header` says.",
    )
    VERIFY_INCONCLUSIVE = (
        "verify_inconclusive",
        "The service's health could not be checked before `verify_deadline`.",
        "Nothing was rolled back. Find out why the service could not be checked.",
    )
    # The rollback
    ROLLED_BACK_BY_COMMAND = (
        "rolled_back_by_command",
        "A command rolled the deployment back.",
        "Merge a fix, or comment `/deploy --force <reason>` to deploy the commit again.",
    )
    ROLLBACK_TARGET_MISSING = (
        "rollback_target_missing",
        "There is no verified version to roll back to.",
        "Name a verified commit, or deploy a good one; comment `/unlock` if the target is locked.",
    )
    ROLLBACK_REFUSED = (
        "rollback_refused",
        "Railway refused the rollback.",
        "Roll back in Railway's dashboard, then comment `/unlock`.",
    )
    ROLLBACK_AMBIGUOUS = (
        "rollback_ambiguous",
        "Several deployments appeared at once, so ours cannot be identified.",
        "Another user deployed at the same moment. Check which version is live, then comment `/unlock`.",
    )
    ROLLBACK_TIMEOUT = (
        "rollback_timeout",
        "The old version was not live again before `rollback_deadline`.",
        "Check on Railway whether the old version is live, then comment `/unlock`.",
    )
    ROLLBACK_UNVERIFIED = (
        "rollback_unverified",
        "The old version was deployed, but its health could not be checked.",
        "Check the old version's health yourself, then comment `/unlock`.",
    )
    # Anywhere
    VENDOR_REFUSED = (
        "vendor_refused",
        "GitHub or Railway kept refusing a request.",
        "Read the vendor's reason: usually a missing permission of the token or the GitHub App.",
    )
    VENDOR_UNAVAILABLE = (
        "vendor_unavailable",
        "GitHub or Railway could not be reached until the stage's time was up.",
        "Check the vendor's status page and which version is live, then try again.",
    )
    ATTEMPTS_EXHAUSTED = (
        "attempts_exhausted",
        "A stage was tried `max_attempts` times without a result.",
        "Read the log of this run, then try again. If it repeats, it is a defect: report it.",
    )
    TARGET_UNKNOWN = (
        "target_unknown",
        "The run's target is no longer in signalbox.toml.",
        "Check signalbox.toml: a target must stay in it while runs are under way.",
    )
    # Commands
    NOT_AUTHORIZED = (
        "not_authorized",
        "The user has no write access to the repository.",
        "Ask a user with write access to the repository.",
    )
    COMMAND_INVALID = (
        "command_invalid",
        "The command could not be understood.",
        "See the usage above.",
    )
    COMMAND_OUTDATED = (
        "command_outdated",
        "The comment was edited, or is older than a day.",
        "Write the command again, in a new comment.",
    )
    HEAD_UNCONFIRMED = (
        "head_unconfirmed",
        "The pull request is from a fork, and the command does not name its head commit.",
        "Review that commit, then comment the command above.",
    )
    TARGET_AMBIGUOUS = (
        "target_ambiguous",
        "The command could mean several targets, or none.",
        "Name the target, as `service/environment`.",
    )
    BRANCH_NOT_DEPLOYED = (
        "branch_not_deployed",
        "The pull request's base branch is not deployed to that target.",
        "Give the pull request a base that is deployed, or set `branch` in signalbox.toml.",
    )
    ALREADY_RUNNING = (
        "already_running",
        "A run for this pull request and target is already under way.",
        "Wait for it to end.",
    )
    NOT_REPLAYABLE = (
        "not_replayable",
        "The run cannot be replayed from that stage.",
        "Choose another stage, or request a new run.",
    )


def stated(reason: Reason, message: str) -> str:
    """The reason and what it was about, each once."""
    return message if message.startswith(f"{reason}:") else f"{reason}: {message}"
