"""verify: the new commit answers, healthily, and keeps doing so through the bake."""

from __future__ import annotations

from collections.abc import Sequence

import functions_framework.aio
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from functions.verify.checks import Sight, assess, conclude
from shared.clients.probe import Probe
from shared.clients.railway.client import Railway
from shared.core.observed import DeploymentState, ServiceState
from shared.core.outcome import Fail, Outcome
from shared.core.reasons import Reason
from shared.core.run import Deployment, Rollback, Run, Stage
from shared.runs.deployment_failure import failure_of, with_log
from shared.runs.health_check import address_of, look
from shared.runs.railway_health_check import noted
from shared.runtime import stage
from shared.runtime.services import Services, prepare
from shared.runtime.stage import Claim

prepare(called=True)


@functions_framework.aio.http
async def verify(request: Request) -> Response:
    return await stage.serve(request, Stage.VERIFY, handle)


async def handle(claim: Claim, services: Services) -> Outcome:
    return await look_and_judge(claim, services.railway_for(claim.target_config), services.probe)


async def look_and_judge(claim: Claim, railway: Railway, probe: Probe) -> Outcome:
    """One look: Railway's word on the deployment first, then the service's own."""
    run, terms = claim.run, claim.terms
    target_config, id = claim.target_config, run.watched_deployment
    if id is None:
        return Fail(Reason.DEPLOYMENT_REPLACED, "the run has no deployment to verify")
    service = await railway.service(environment_id=target_config.environment_id, service_id=target_config.service_id)
    deployment = _in_place(run, service.active) or await railway.deployment(id)
    failure = await failure_of(railway, deployment, restoring=run.rollback is not None)
    if failure is not None:
        return failure
    base = address_of(probe, terms.policy, service)
    answer = await look(probe, terms.policy, base) if base and not service.cron_schedule else None
    sight = Sight(
        deployment=deployment,
        answer=answer,
        unused=tuple(service.unused_domains),
        cron_schedule=service.cron_schedule,
    )
    checks = assess(run, terms.policy, sight)
    outcome = conclude(run, checks, terms, answer)
    run = replace(run, **noted(run, deployment))
    changes = {**outcome.changes, **_seen(run, deployment.id, base, service)}
    return replace(await with_log(claim, railway, outcome), changes=changes)


def _in_place(run: Run, active: Sequence[DeploymentState]) -> DeploymentState | None:
    """The run's deployment, or the live one of the same commit that Railway itself put in its place.

    Railway redeploys for its own reasons (maintenance, a changed variable): docs.railway.com/reference/deployments.
    """
    own = next((deployment for deployment in active if deployment.id == run.watched_deployment), None)
    alike = (d for d in active if d.live and d.commit_sha is not None and d.commit_sha == run.watched_commit)
    return own if own is not None and not own.gone else next(alike, own)


def _seen(run: Run, id: str, base: str | None, service: ServiceState) -> dict[str, Deployment | Rollback | str | None]:
    """Which deployment it was, and where it answered: people get a link, and the sweep knows where to look."""
    changes: dict[str, Deployment | Rollback | str | None] = {"address": base}
    if run.deployment is not None:
        own = run.deployment.id if run.rollback else id
        newer = service.latest_id if service.may_go_live and service.latest_id != id else None
        changes["deployment"] = replace(
            run.deployment, id=own, url=base, left_alone=service.left_alone, followed_by=newer
        )
    if run.rollback is not None:
        changes["rollback"] = replace(run.rollback, deployment_id=id)
    return changes
