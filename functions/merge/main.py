"""merge: judge the pull request as GitHub shows it, take the target, merge at the judged commit."""

from __future__ import annotations

import contextlib

import functions_framework.aio
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from shared import gate, stage, targets, touching
from shared.clients.github import HeadMoved, NotMergeable, PullRequestState
from shared.config import TargetConfig
from shared.errors import Code
from shared.outcome import Advance, Fail, NotDeployed, Outcome, Wait
from shared.run import Stage
from shared.services import Services, prepare
from shared.stage import Claim, Overtaken

prepare()


@functions_framework.aio.http
async def merge(request: Request) -> Response:
    return await stage.serve(request, Stage.MERGE, merge_when_ready)


async def merge_when_ready(claim: Claim, services: Services) -> Outcome:
    """Merged at the commit the run is about, by us or by anybody, is success."""
    run = claim.run
    place = services.config.target(run.target)
    if place is None or run.pull_request is None:
        return Fail(Code.TARGET_UNKNOWN, f"{run.target} has no pull request to merge")
    pull = await services.github.pull_request(run.repository, run.pull_request.number)
    if pull.base != run.pull_request.base:  # which its author may change, without any right in the repository
        return Fail(Code.BASE_CHANGED, f"the pull request is for {pull.base} now, not for {run.pull_request.base}")
    if pull.merged:
        return await _merged(claim, services, place, pull)
    if pull.head_sha != run.pull_request.head_sha:
        return Fail(Code.HEAD_MOVED, _moved(pull.head_sha))
    by_label = run.trigger.source == "label"
    if by_label and not gate.asked_by_label(pull, place.policy):
        return Fail(Code.LABEL_REMOVED, f"the label that {run.trigger.actor} set is not on the pull request any more")
    required = await services.github.required_checks(run.repository, pull.base)
    verdict = gate.judge(pull, required, place.policy, patient=by_label)
    if verdict is not None:
        return verdict
    return await claim.take_target() or await _merge(claim, services, place, pull)


async def _merged(claim: Claim, services: Services, place: TargetConfig, pull: PullRequestState) -> Outcome:
    """Take the target for a pull request that is merged already, as long as it was merged at our commit.

    Not when a newer merge, which waits too or serves already, contains it.
    """
    run = claim.run
    if pull.merge_sha is None:
        return Wait(
            message="merged; GitHub does not name the merge commit yet", wake_in=5, otherwise=Code.VENDOR_UNAVAILABLE
        )
    if run.trigger.source in ("command", "label") and run.pull_request and pull.head_sha != run.pull_request.head_sha:
        return Fail(Code.HEAD_MOVED, _moved(pull.head_sha))
    if run.commit_sha is None:
        await claim.checkpoint(commit_sha=pull.merge_sha)
    # Before the target is taken or queued for: what is not deployed brings no other merge along.
    untouched = await _untouched(claim, services, place, pull.merge_sha)
    if untouched is not None:
        return untouched
    return await _take_unless_contained(claim, services, pull.merge_sha) or Advance(f"merged as {pull.merge_sha[:7]}")


async def _untouched(claim: Claim, services: Services, place: TargetConfig, merged: str) -> NotDeployed | None:
    """Nothing to deploy, where nobody asked for this target by name and the merge changes nothing for its service.

    Where Railway deploys by itself it has the last word: what it deploys all the same is followed.
    """
    run = claim.run
    if run.trigger.source not in targets.AUTOMATIC or run.pull_request is None:
        return None
    if run.touches is None and services.config.is_selective(place):
        touches = await touching.touches(services, place, run.pull_request.number)
        await claim.checkpoint(commit_sha=merged, touches=touches)
    if claim.run.touches is not False or place.policy.auto_deploy == "adopt":
        return None
    return NotDeployed(Code.NOTHING_TO_DEPLOY, f"{merged[:7]} changes nothing that {place.name} is deployed for")


async def _take_unless_contained(claim: Claim, services: Services, merged: str) -> Outcome | None:
    """What comes to the target while GitHub is asked is asked about too."""
    cleared: list[str] = []
    while True:
        for newer in targets.newer(claim.run, await claim.target()):
            if newer in cleared:
                continue
            if await services.github.contains(claim.run.repository, merged, within=newer):
                return Fail(Code.NEWER_MERGE, f"{newer[:7]}, merged later, contains it")
            cleared.append(newer)
        with contextlib.suppress(Overtaken):
            return await claim.take_target(cleared)


async def _merge(claim: Claim, services: Services, place: TargetConfig, pull: PullRequestState) -> Outcome:
    try:
        sha = await services.github.merge(
            place.repository, pull.number, head_sha=pull.head_sha, method=place.policy.merge_method
        )
    except HeadMoved:
        return Fail(Code.HEAD_MOVED, _moved(None))
    except NotMergeable as error:
        return Fail(Code.MERGE_REFUSED, str(error))
    untouched = await _untouched(claim, services, place, sha)
    if untouched is not None:
        return replace(untouched, changes={"commit_sha": sha})
    return Advance(f"merged as {sha[:7]}", {"commit_sha": sha})


def _moved(head: str | None) -> str:
    return (
        f"the pull request has a newer commit{f', {head[:7]}' if head else ''}; it was not judged, so nothing is merged"
    )
