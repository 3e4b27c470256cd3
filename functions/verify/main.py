"""verify: the new commit answers, healthily, and keeps doing so through the bake."""

from __future__ import annotations

import functions_framework.aio
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from shared import stage
from shared.address import address_of, look
from shared.errors import Code
from shared.failed import failure_of
from shared.outcome import Advance, Fail, Outcome, Wait
from shared.run import Stage
from shared.services import Services, prepare
from shared.stage import Claim
from shared.verification import Sight, assess, conclude

prepare()


@functions_framework.aio.http
async def verify(request: Request) -> Response:
    return await stage.serve(request, Stage.VERIFY, look_and_judge)


async def look_and_judge(claim: Claim, services: Services) -> Outcome:
    """One look: Railway's word on the deployment first, then the service's own."""
    run, terms = claim.run, claim.terms
    place = services.config.target(run.target)
    id = run.watched_deployment
    if place is None or id is None:
        return Fail(Code.DEPLOYMENT_REPLACED, "the run has no deployment to verify")
    service = await services.railway.service(environment_id=place.environment_id, service_id=place.service_id)
    deployment = next((active for active in service.active if active.id == id), None)
    if deployment is None:
        deployment = await services.railway.deployment(id)
    failure = await failure_of(services, deployment)
    if failure is not None:
        return failure
    base = address_of(services, place, service)
    answer = await look(services, place, base) if base else None
    checks = assess(run, place.policy, Sight(deployment=deployment, answer=answer))
    outcome = conclude(run, checks, terms)
    return _with_address(outcome, claim, base)


def _with_address(outcome: Outcome, claim: Claim, base: str | None) -> Outcome:
    """Keep where it answered: people get a link, and the sweep knows where to look."""
    run = claim.run
    if isinstance(outcome, Advance | Wait) and run.deployment is not None and run.deployment.url != base:
        return replace(outcome, changes={**outcome.changes, "deployment": replace(run.deployment, url=base)})
    return outcome
