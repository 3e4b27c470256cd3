"""rollback: see what serves; when it is not the last verified version, return to that one."""

from __future__ import annotations

from datetime import timedelta

import functions_framework.aio
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from functions.rollback.plan import NothingToDo, Return, plan
from shared.clients.railway.client import Railway
from shared.core import pipeline
from shared.core.observed import DeploymentState
from shared.core.outcome import Advance, Fail, Outcome, Rejected, Wait
from shared.core.reasons import Reason
from shared.core.run import Kind, Rollback, Run, Stage
from shared.errors import Final, RateLimited, Unavailable, VendorError
from shared.runs.deployment_failure import tail_of
from shared.runtime import stage
from shared.runtime.services import Services, prepare
from shared.runtime.stage import Claim

prepare(called=True)

CLOCKS_DIFFER = timedelta(minutes=2)
"""By which Railway's clock and ours may disagree, and more."""


@functions_framework.aio.http
async def rollback(request: Request) -> Response:
    return await stage.serve(request, Stage.ROLLBACK, handle)


async def handle(claim: Claim, services: Services) -> Outcome:
    return await go_back(claim, services.railway_for(claim.target_config))


async def go_back(claim: Claim, railway: Railway) -> Outcome:
    """Decide on what Railway shows now, record the intent, ask, and find the new deployment by the difference."""
    if claim.run.kind is Kind.ROLLBACK:
        refused = await claim.take_target()
        if refused is not None:
            # A deployment that Railway does not build yet gives way, once it finds the rollback in the queue. This may
            # come before the rollback is saved there; then the next look repeats it.
            await claim.wake_suspended()
            return refused
    run = claim.run
    if run.rollback is None:
        return Fail(Reason.TARGET_UNKNOWN, f"{run.target} has nothing to return to")
    known = await _deployments(claim, railway)
    if run.rollback.requested_at is not None:
        found = _find(claim, run.rollback, known)
        if found is not None:
            return found
    return await _decide(claim, railway, known)


async def _decide(claim: Claim, railway: Railway, known: list[DeploymentState]) -> Outcome:
    awaited = await _recognise(claim, known)
    if awaited is not None:
        return awaited
    run, target = claim.run, await claim.target()
    waiting = pipeline.paused(target, claim.terms)
    if waiting is not None:
        return waiting
    target_config = claim.target_config
    service = await railway.service(environment_id=target_config.environment_id, service_id=target_config.service_id)
    unfinished = _unfinished(run, known)
    if unfinished is not None:
        return await _cancel(claim, railway, unfinished)
    standing = [deployment for deployment in service.active if service.stands(deployment)]
    decision = plan(run, target, standing, known)
    if isinstance(decision, Fail | Wait):
        return decision
    if isinstance(decision, NothingToDo):
        there = replace(claim.run.rollback or Rollback(reason=Reason.DEPLOY_FAILED), needed=False, to=decision.serving)
        there = replace(there, deployment_id=decision.serving.deployment_id)
        return Advance(f"{decision.serving.commit_sha[:7]} is live", {"rollback": there})
    return await _return(claim, railway, decision, known)


async def _recognise(claim: Claim, known: list[DeploymentState]) -> Wait | None:
    """A deployment that was requested, whose answer was lost, and that shows only now, or may show yet."""
    run, deployment = claim.run, claim.run.deployment
    if deployment is None or deployment.id is not None or deployment.requested_at is None:
        return None
    new = (one for one in known if one.id not in deployment.baseline and one.commit_sha == run.commit_sha)
    found = next(new, None)
    if found is not None:
        await claim.checkpoint(deployment=replace(deployment, id=found.id, migrates=found.migrates))
        return None
    if claim.terms.now >= deployment.requested_at + timedelta(seconds=claim.terms.pace.visible):
        return None
    return Wait(
        message="the deploy request timed out; checking whether Railway started it, before the rollback",
        wake_in=min(5.0, claim.terms.policy.poll),
        otherwise=Reason.ROLLBACK_TIMEOUT,
    )


async def _cancel(claim: Claim, railway: Railway, unfinished: DeploymentState) -> Wait:
    """Refused when it went live, or failed, since it was listed: then the next look finds it so."""
    message = f"cancelled deployment {unfinished.id[:8]}, which was still in progress"
    try:
        await railway.cancel(unfinished.id)
    except VendorError as error:
        message = f"deployment {unfinished.id[:8]} could not be cancelled: {error}"
    return Wait(message=message, wake_in=claim.terms.policy.poll, otherwise=Reason.ROLLBACK_TIMEOUT)


async def _return(claim: Claim, railway: Railway, decision: Return, known: list[DeploymentState]) -> Outcome:
    before = claim.run.rollback or Rollback(reason=Reason.DEPLOY_FAILED)
    intent = replace(
        before,
        to=decision.to,
        needed=True,
        method="image" if decision.image else "rebuild",
        baseline=tuple(deployment.id for deployment in known),
        requested_at=claim.terms.now,
    )
    unasked = replace(intent, baseline=before.baseline, requested_at=before.requested_at)
    """Where this call makes nothing: what an earlier one made, of a lost answer, is still to be recognised."""
    failure = claim.run.error
    if decision.error is not None:  # what lost its health on probation; no one has read its log yet
        failure = decision.error
        if claim.terms.policy.show_log != "off":
            failure = replace(failure, log_tail=await tail_of(railway, claim.run.trigger.id))
    await claim.checkpoint(rollback=intent, commit_sha=decision.replaces, error=failure)
    try:
        id = await _ask(claim, railway, decision)
    except (Unavailable, RateLimited):
        await claim.checkpoint(rollback=unasked)
        raise
    except Final as error:
        await claim.checkpoint(rollback=unasked)
        return Fail(Reason.ROLLBACK_REFUSED, str(error))
    except VendorError as error:
        await claim.checkpoint(rollback=unasked)
        return Rejected(str(error), Reason.ROLLBACK_REFUSED)
    if id is not None:
        return _advance(intent, id)
    return _find(claim, intent, await _deployments(claim, railway)) or _not_yet(claim)


async def _ask(claim: Claim, railway: Railway, decision: Return) -> str | None:
    """The new deployment's id where Railway names it: a rollback answers no more than true."""
    if decision.image:
        await railway.rollback(decision.to.deployment_id)
        return None
    target_config = claim.target_config
    return await railway.deploy(
        service_id=target_config.service_id,
        environment_id=target_config.environment_id,
        commit_sha=decision.to.commit_sha,
    )


def _find(claim: Claim, intent: Rollback, known: list[DeploymentState]) -> Outcome | None:
    """The deployment that our call made; None when it must be taken that the call never arrived."""
    commit = intent.to.commit_sha if intent.to else None
    new = [d for d in known if d.id not in intent.baseline and d.commit_sha in (commit, None)]
    if intent.requested_at is not None:  # an older one may have been hidden when the baseline was read
        new = [d for d in new if d.created_at >= intent.requested_at - CLOCKS_DIFFER]
    if len(new) > 1:
        ids = ", ".join(deployment.id[:8] for deployment in new)
        return Fail(Reason.ROLLBACK_AMBIGUOUS, f"several deployments appeared since the rollback was requested: {ids}")
    if new:
        return _advance(intent, new[0].id)
    asked = intent.requested_at or claim.terms.now
    if claim.terms.now < asked + timedelta(seconds=claim.terms.pace.visible):
        return _not_yet(claim)
    return None


def _not_yet(claim: Claim) -> Wait:
    return Wait(
        message="requested a rollback from Railway; its deployment has not appeared yet",
        wake_in=min(5.0, claim.terms.policy.poll),
        otherwise=Reason.ROLLBACK_TIMEOUT,
    )


def _advance(intent: Rollback, id: str) -> Advance:
    commit = intent.to.commit_sha[:7] if intent.to else ""
    return Advance(f"rolling back to {commit} as deployment {id[:8]}", {"rollback": replace(intent, deployment_id=id)})


def _unfinished(run: Run, known: list[DeploymentState]) -> DeploymentState | None:
    """Our own deployment, when its time ran out before it was live: it must not go live behind our back."""
    ours = run.deployment.id if run.deployment else None
    return next((deployment for deployment in known if deployment.id == ours and deployment.in_progress), None)


async def _deployments(claim: Claim, railway: Railway) -> list[DeploymentState]:
    target_config = claim.target_config
    return await railway.deployments(
        project_id=target_config.project_id,
        environment_id=target_config.environment_id,
        service_id=target_config.service_id,
    )
