"""deploy: start the Railway deployment of the run's commit, or adopt one that exists; never two."""

from __future__ import annotations

from datetime import timedelta

import functions_framework.aio
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from shared.clients.probe import Probe
from shared.clients.railway.client import Railway
from shared.core import pipeline, targets
from shared.core.observed import DeploymentState
from shared.core.outcome import Advance, Fail, NotDeployed, Outcome, Rejected, Wait
from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import Deployment, Run, Stage, Verdict, Verified
from shared.core.target import Target
from shared.errors import Final, RateLimited, Unavailable, UnknownOutcome, VendorError
from shared.runs.deployment_failure import why_skipped
from shared.runs.health_check import address_of, look
from shared.runs.promotion import unverified_before
from shared.runs.railway_health_check import checked_before
from shared.runtime import stage
from shared.runtime.services import Services, prepare
from shared.runtime.stage import Claim

prepare(called=True)


@functions_framework.aio.http
async def deploy(request: Request) -> Response:
    return await stage.serve(request, Stage.DEPLOY, handle)


async def handle(claim: Claim, services: Services) -> Outcome:
    return await start_or_adopt(claim, services.railway_for(claim.target_config), services.probe)


async def start_or_adopt(claim: Claim, railway: Railway, probe: Probe) -> Outcome:
    """Look for a deployment of the commit before making one: ours of an attempt that crashed, or Railway's own."""
    run = claim.run
    target_config = claim.target_config
    if run.commit_sha is None:
        return Fail(Reason.TARGET_UNKNOWN, f"{run.target} has no commit to deploy")
    known = await railway.deployments(
        project_id=target_config.project_id,
        environment_id=target_config.environment_id,
        service_id=target_config.service_id,
    )
    target = await claim.target()
    checked = checked_before(run, target, known)
    if target.current is None:
        await _remember_what_serves(claim, railway, probe)
        target = await claim.target()  # that took a while, in which an operator may have paused it
    existing = find(run, known)
    if existing is not None:
        return _with_address(_adopt(run, existing, known, checked), target)
    skipped = next((one for one in known if one.skipped and one.commit_sha == run.commit_sha), None)
    if skipped is not None and run.trigger.source in targets.AUTOMATIC:
        return _left_to_railway(run, skipped, known)
    waiting = await _wait_for_another(claim, adopting=skipped is None)
    if waiting is not None:
        return waiting
    if run.touches is False and run.trigger.source in targets.AUTOMATIC:
        return NotDeployed(Reason.NOTHING_TO_DEPLOY, f"{run.commit_sha[:7]} changes nothing for {target_config.name}")
    # A hold does not keep Railway from deploying by itself, which is adopted above; but us it does.
    refused = pipeline.paused(target, claim.terms) or targets.refusal(run, target)
    refused = refused or await unverified_before(claim, run.commit_sha)
    if (
        isinstance(refused, Wait) and refused.otherwise is Reason.NOT_VERIFIED_BEFORE
    ):  # others want the target meanwhile
        return Fail(refused.otherwise, refused.message)
    if refused is not None:
        return refused
    return _with_address(await _create(claim, railway, known, checked), target)


def _with_address(outcome: Outcome, target: Target) -> Outcome:
    """People are notified where the service answers; verification looks whether that is still so."""
    if not isinstance(outcome, Advance) or target.address is None:
        return outcome
    return replace(outcome, changes={**outcome.changes, "address": target.address})


def find(run: Run, known: list[DeploymentState]) -> DeploymentState | None:
    """The newest deployment of the run's commit that is on its way or live, or has appeared since we requested one.

    A commit is no key (Railway makes several deployments of one), so an older one that failed or was removed says
    nothing about the one to come. Neither does one whose process has ended, for who asks for the commit by command; but
    what Railway deployed by itself is judged as it is, since a service with a schedule ends after each tick.
    """
    by_itself = run.trigger.source in targets.AUTOMATIC
    asked = run.deployment is not None and run.deployment.requested_at is not None
    baseline = run.deployment.baseline if run.deployment else ()
    for deployment in known:
        if deployment.commit_sha != run.commit_sha:
            continue
        up = deployment.serves or (deployment.live and by_itself)
        if deployment.in_progress or up or (asked and deployment.id not in baseline):
            return deployment
    return None


def _adopt(run: Run, existing: DeploymentState, known: list[DeploymentState], checked: str | None) -> Advance:
    intent = run.deployment or Deployment()
    ours = intent.requested_at is not None and existing.id not in intent.baseline
    others = tuple(deployment.id for deployment in known if deployment.id != existing.id)
    deployment = replace(
        intent,
        id=existing.id,
        adopted=not ours,
        migrates=existing.migrates,
        baseline=intent.baseline if ours else others,
        health_check_before=checked or intent.health_check_before,
    )
    verb = "found our" if ours else "adopted"
    return Advance(f"{verb} deployment {existing.id[:8]}", {"deployment": deployment})


def _left_to_railway(run: Run, skipped: DeploymentState, known: list[DeploymentState]) -> Fail | NotDeployed:
    """Railway saw the commit and does not deploy it; neither do we, unless a user asks for it.

    Its CI failed, or nothing that the service watches has changed (Wait for CI, and watch paths).
    """
    adopted = _adopt(run, skipped, known, None).changes
    return replace(why_skipped(skipped), changes=adopted)


async def _wait_for_another(claim: Claim, *, adopting: bool) -> Wait | None:
    """Time for a deployment to show that may have been requested: by a call whose answer was lost, or by Railway.

    `adopting`: Railway's own may come yet; it does not where Railway has skipped the commit.
    """
    run, terms = claim.run, claim.terms
    now, pace, policy = terms.now, terms.pace, terms.policy
    deployment = run.deployment or Deployment()
    if deployment.requested_at is not None:
        left = deployment.requested_at + timedelta(seconds=pace.visible) - now
        return _lost(min(left.total_seconds(), policy.poll)) if left > timedelta(0) else None
    if adopting and policy.auto_deploy == "adopt":
        since = deployment.awaited_since or now
        left = since + timedelta(seconds=policy.adopt_wait) - now
        deployment = replace(deployment, awaited_since=since)
        if left > timedelta(0):
            return Wait(
                message="waiting for Railway's own deployment of the commit",
                wake_in=min(left.total_seconds(), policy.poll),
                otherwise=Reason.DEPLOY_TIMEOUT,
                changes={"deployment": deployment},
            )
    return None


def _lost(wake_in: float) -> Wait:
    """A wait and no failed attempt: however many there were before, what was requested must be looked for."""
    message = "the deploy request timed out; checking whether Railway started it"
    return Wait(message=message, wake_in=wake_in, otherwise=Reason.DEPLOY_TIMEOUT)


async def _remember_what_serves(claim: Claim, railway: Railway, probe: Probe) -> None:
    """Before the first deployment to a target: what serves now is what to come back to, unless it is seen to be bad.

    Where no one can look, at a private service or when one look gets no answer, Railway's word that it is live counts.
    """
    target_config = claim.target_config
    service = await railway.service(environment_id=target_config.environment_id, service_id=target_config.service_id)
    serving = next((deployment for deployment in service.active if deployment.live), None)
    if serving is None or serving.commit_sha in (None, claim.run.commit_sha) or not service.stands(serving):
        return
    base = address_of(probe, claim.terms.policy, service)
    if (
        base
        and not service.cron_schedule
        and await _is_bad(probe, claim.terms.policy, base, asleep=serving.status == "SLEEPING")
    ):
        return
    verified = Verified(
        deployment_id=serving.id,
        commit_sha=serving.commit_sha,
        run_id=None,
        at=claim.terms.now,
        migrates=serving.migrates,
    )

    def remember(target: Target) -> Target:
        if target.current:
            return target
        return replace(target, verified=(verified,), address=base, left_alone=service.left_alone)

    await claim.amend_target(remember)


async def _is_bad(probe: Probe, policy: Policy, base: str, *, asleep: bool) -> bool:
    """Whether it answers, and unhealthily; the first request to one that sleeps only wakes it."""
    answer = await look(probe, policy, base)
    if asleep and not answer.healthy:
        answer = await look(probe, policy, base)
    return answer.status is not None and answer.verdict(answered_before=True) is Verdict.FAIL


async def _create(claim: Claim, railway: Railway, known: list[DeploymentState], checked: str | None) -> Outcome:
    """Record what exists and that we ask, then ask: whoever comes after a crash finds the new one by the difference."""
    before, target_config = claim.run.deployment, claim.target_config
    intent = replace(
        before or Deployment(),
        baseline=tuple(deployment.id for deployment in known),
        requested_at=claim.terms.now,
        health_check_before=checked or (before.health_check_before if before else None),
    )
    await claim.checkpoint(deployment=intent)
    try:
        id = await railway.deploy(
            service_id=target_config.service_id,
            environment_id=target_config.environment_id,
            commit_sha=claim.run.commit_sha or "",
        )
    except (Unavailable, RateLimited):
        await claim.checkpoint(deployment=before)
        raise
    except UnknownOutcome:
        return _lost(min(5.0, claim.terms.policy.poll))
    except Final as error:
        await claim.checkpoint(deployment=before)
        return Fail(Reason.DEPLOY_REFUSED, str(error))
    except VendorError as error:
        # Nothing was made by this call; an earlier one, whose answer was lost, is still to be looked for.
        await claim.checkpoint(deployment=before)
        return Rejected(str(error), Reason.DEPLOY_REFUSED)
    return Advance(f"Railway started deployment {id[:8]}", {"deployment": replace(intent, id=id)})
