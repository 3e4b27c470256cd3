"""merge: judge the pull request as GitHub shows it, take the target, merge at the judged commit."""

from __future__ import annotations

import contextlib

import functions_framework.aio
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from functions.merge import gate, touched_files
from functions.merge.gate import Behind, Look
from functions.merge.touched_files import WatchPatterns
from shared.clients.github.client import BaseMoved, GitHub, HeadMoved, NotMergeable
from shared.core import pipeline, targets
from shared.core.observed import PullRequestState, asked_by_label, is_same_head
from shared.core.outcome import Advance, Fail, NotDeployed, Outcome, Retry, Wait
from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import PullRequest, Stage
from shared.errors import Refused, Unauthorized
from shared.runs.promotion import unverified_before
from shared.runtime import stage
from shared.runtime.services import Services, prepare
from shared.runtime.stage import Claim, Overtaken

prepare(called=True)


@functions_framework.aio.http
async def merge(request: Request) -> Response:
    return await stage.serve(request, Stage.MERGE, handle)


async def handle(claim: Claim, services: Services) -> Outcome:
    """Railway is asked, and its client loaded, only where signalbox.toml does not say which files a service watches."""
    target_config = claim.target_config

    async def watch_patterns() -> tuple[str, ...]:
        if target_config.paths is not None:
            return target_config.paths
        railway = services.railway_for(target_config)
        return (
            await railway.service(environment_id=target_config.environment_id, service_id=target_config.service_id)
        ).watch_patterns

    return await merge_when_ready(claim, services.github, watch_patterns)


async def merge_when_ready(claim: Claim, github: GitHub, watch_patterns: WatchPatterns) -> Outcome:
    """Merged at the commit the run is about, by us or by anybody, is success."""
    run = claim.run
    if run.pull_request is None:
        return Fail(Reason.TARGET_UNKNOWN, f"{run.target} has no pull request to merge")
    pull = await github.pull_request(run.repository, run.pull_request.number)
    if pull.base != run.pull_request.base:  # which its author may change, without any right in the repository
        return Fail(Reason.BASE_CHANGED, f"the pull request is for {pull.base} now, not for {run.pull_request.base}")
    if pull.merged:
        return await _merged(claim, github, watch_patterns, pull)
    unverified = await unverified_before(claim, None)
    if unverified is not None:
        return unverified
    if pull.head_sha != run.pull_request.head_sha:
        return _follow(run.pull_request, pull, claim.terms.policy)
    refused = await _judge(claim, github, pull)
    return refused or await claim.take_target() or await _merge(claim, github, watch_patterns, pull)


async def _judge(claim: Claim, github: GitHub, pull: PullRequestState) -> Outcome | None:
    """None when it may be merged now."""
    run, policy = claim.run, claim.terms.policy
    by_label = run.trigger.source == "label"
    if by_label and not asked_by_label(pull, policy):
        return Fail(Reason.LABEL_REMOVED, f"the label that {run.trigger.actor} set is no longer on the pull request")
    required = await github.required_checks(run.repository, pull.base)
    now = claim.terms.now
    look = Look(now, first=run.head_seen_at or now)
    verdict = gate.judge(pull, required, policy, look, patient=by_label)
    if isinstance(verdict, Behind):
        return await _bring_up_to_date(claim, github, pull)
    if isinstance(verdict, Wait):
        return replace(verdict, changes={"head_seen_at": look.first})
    return verdict


def _follow(known: PullRequest, pull: PullRequestState, policy: Policy) -> Outcome:
    """The run goes on with the head that GitHub made of the judged one at our request, and with no other."""
    if not is_same_head(known.head_sha, pull):
        return Fail(Reason.HEAD_MOVED, _moved(pull.head_sha))
    return Wait(
        message=f"GitHub updated the branch from {pull.base}: it is at {pull.head_sha[:7]} now",
        wake_in=policy.poll,
        otherwise=Reason.CHECKS_TIMEOUT,
        changes={"pull_request": replace(known, head_sha=pull.head_sha), "head_seen_at": None},
    )


async def _bring_up_to_date(claim: Claim, github: GitHub, pull: PullRequestState) -> Outcome:
    """GitHub takes the request once for each head; it does it a little later, or shows that it cannot by a conflict."""
    waiting = pipeline.paused(await claim.target(), claim.terms)
    if waiting is not None:
        return waiting
    message, changes = f"requested GitHub to update the branch from {pull.base}", {"updated_head": pull.head_sha}
    if claim.run.updated_head != pull.head_sha:
        try:
            await github.update_branch(claim.run.repository, pull.number, head_sha=pull.head_sha)
        except HeadMoved as error:
            return Retry(str(error))
        except (Refused, Unauthorized) as error:  # a fork's branch, or workflow files that the App may not change
            message = f"the branch is behind {pull.base}, and GitHub refused to update it: {error}"
            changes = {}
    poll = claim.terms.policy.poll
    return Wait(message=message, wake_in=poll, otherwise=Reason.MERGE_REFUSED, changes=changes)


async def _merged(claim: Claim, github: GitHub, watch_patterns: WatchPatterns, pull: PullRequestState) -> Outcome:
    """Take the target for a pull request that is merged already, as long as it was merged at our commit.

    Not when a newer merge, which waits too or serves already, contains it. People merge when they like; the run says
    when what they merged had not passed its checks.
    """
    run = claim.run
    if pull.merge_sha is None:
        return Wait(
            message="merged; GitHub does not name the merge commit yet", wake_in=5, otherwise=Reason.VENDOR_UNAVAILABLE
        )
    asked = run.pull_request if run.trigger.source in ("command", "label") else None
    if asked is not None and not is_same_head(asked.head_sha, pull):
        return Fail(Reason.HEAD_MOVED, _moved(pull.head_sha))
    if run.commit_sha is None:
        await claim.checkpoint(commit_sha=pull.merge_sha)
    unverified = await unverified_before(claim, pull.merge_sha)
    if unverified is not None:
        return unverified
    # Before the target is taken or queued for: what is not deployed brings no other merge along.
    untouched = await _untouched(claim, github, watch_patterns, pull.merge_sha)
    if untouched is not None:
        return untouched
    refused = await _take_unless_contained(claim, github, pull.merge_sha)
    if refused is not None:
        return refused
    amiss = gate.shortfall(pull, claim.terms.policy)
    said = f"; its checks had not passed: {amiss}" if amiss else ""
    return Advance(f"merged as {pull.merge_sha[:7]}{said}", {"unchecked": amiss})


async def _untouched(claim: Claim, github: GitHub, watch_patterns: WatchPatterns, merged: str) -> NotDeployed | None:
    """Nothing to deploy, where no one requested this target by name and the merge changes nothing for its service.

    Where Railway deploys by itself it has the last word: what it deploys anyway is followed.
    """
    run, target_config = claim.run, claim.target_config
    automatic = run.trigger.source in targets.AUTOMATIC and run.trigger.source != "promotion"
    if not automatic or run.pull_request is None:
        return None
    if run.touches is None and target_config.paths != ():
        refused_long = pipeline.lasted(run, claim.terms) is not None
        touches = await touched_files.touches(github, watch_patterns, run, refused_long=refused_long)
        await claim.checkpoint(commit_sha=merged, touches=touches)
    if claim.run.touches is not False or claim.terms.policy.auto_deploy == "adopt":
        return None
    return NotDeployed(
        Reason.NOTHING_TO_DEPLOY, f"{merged[:7]} changes nothing that {target_config.name} is deployed for"
    )


async def _take_unless_contained(claim: Claim, github: GitHub, merged: str) -> Outcome | None:
    """What comes to the target while GitHub is asked is asked about too."""
    cleared: list[str] = []
    while True:
        for newer in targets.newer(claim.run, await claim.target()):
            if newer in cleared:
                continue
            if await github.contains(claim.run.repository, merged, within=newer):
                return Fail(Reason.NEWER_MERGE, f"{newer[:7]}, merged later, contains it")
            cleared.append(newer)
        with contextlib.suppress(Overtaken):
            return await claim.take_target(cleared)


async def _merge(claim: Claim, github: GitHub, watch_patterns: WatchPatterns, pull: PullRequestState) -> Outcome:
    policy = claim.terms.policy
    try:
        sha = await github.merge(claim.run.repository, pull.number, head_sha=pull.head_sha, method=policy.merge_method)
    except HeadMoved as error:
        if policy.update_branch:  # another target's run may have had it brought up to date: look again
            return Retry(str(error))
        return Fail(Reason.HEAD_MOVED, _moved(None))
    except BaseMoved as error:
        if claim.run.attempts == 1:  # it seldom happens twice in a row
            raise
        return _not_yet(error, policy)
    except NotMergeable as error:
        patient = claim.run.trigger.source == "label"
        if error.passes == "by itself" or (error.passes == "by people" and patient):
            return _not_yet(error, policy)
        return Fail(Reason.MERGE_REFUSED, error.said)
    untouched = await _untouched(claim, github, watch_patterns, sha)
    if untouched is not None:
        return replace(untouched, changes={"commit_sha": sha})
    return Advance(f"merged as {sha[:7]}", {"commit_sha": sha})


def _not_yet(refusal: BaseMoved | NotMergeable, policy: Policy) -> Wait:
    """Others may have the target meanwhile; the pull request is judged again before the next attempt."""
    message = f"GitHub does not merge it yet: {refusal.said}"
    return Wait(message=message, wake_in=policy.poll, otherwise=Reason.MERGE_REFUSED)


def _moved(head: str | None) -> str:
    newer = f", {head[:7]}" if head else ""
    return f"the pull request has a newer commit{newer}; it was not checked, so nothing was merged"
