"""One worker at a time replies to something on a pull request: of two who saw no reply, both would write one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from shared.core.run import Lease
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.errors import SignalboxError, Unavailable
from shared.runtime.services import Services
from shared.runtime.update import amend


@asynccontextmanager
async def alone(services: Services, id: str, place: TargetConfig) -> AsyncIterator[Target]:
    """Nobody else answers what has this id meanwhile; `place` is the same for all who might. Its target is at hand.

    Once it is answered the lease is left to run out; after a fault it is given up, so that the next attempt need not
    wait. Raises Unavailable while somebody else has it.
    """
    owner = services.token()

    def take(target: Target) -> Target | None:
        terms = services.terms(place.id)
        kept = {key: lease for key, lease in target.answering.items() if lease.until > terms.now}
        if id in kept:
            return None
        return replace(target, answering={**kept, id: Lease(owner, terms.after(terms.pace.lease))})

    def give_up(target: Target) -> Target:
        kept = {key: lease for key, lease in target.answering.items() if lease.owner != owner}
        return replace(target, answering=kept)

    taken = await amend(services.store, Target, place.id, take, missing=Target(id=place.id))
    if taken is None:
        raise Unavailable(f"another worker is answering {id}")
    try:
        yield taken
    except SignalboxError:
        await amend(services.store, Target, place.id, give_up)
        raise
