"""Merges that a hold kept from being deployed, and when they are no longer to come."""

from __future__ import annotations

from msgspec.structs import replace

from shared import log
from shared.errors import TransientError, VendorError
from shared.run import Target
from shared.services import Services
from shared.stage import Claim


async def forget_brought_along(claim: Claim, services: Services) -> None:
    """Strike off what the run's commit contains: it is live now. GitHub is asked which those are.

    Raises what the store raises. What GitHub cannot say stays on the list, and the run goes on.
    """
    run, target = claim.run, await claim.target()
    brought = set()
    for held in target.held_back:
        if run.commit_sha is None or held.commit_sha == run.commit_sha:
            continue
        try:
            if await services.github.contains(run.repository, held.commit_sha, within=run.commit_sha):
                brought.add(held.commit_sha)
        except (TransientError, VendorError) as error:
            log.warning("GitHub does not say what the deployment contains", commit=run.commit_sha, reason=str(error))
            break
    if brought:
        await claim.amend_target(lambda now: _without(now, brought))


def _without(target: Target, commits: set[str]) -> Target:
    return replace(target, held_back=tuple(one for one in target.held_back if one.commit_sha not in commits))
