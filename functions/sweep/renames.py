"""What each repository of signalbox.toml is called on GitHub now: seen here where no webhook has told."""

from __future__ import annotations

from functools import partial

from functions.sweep.each import each
from functions.sweep.snapshot import Snapshot
from shared.errors import NotFound
from shared.runs.repositories import follow, see
from shared.runtime.services import Services


async def follow_names(services: Services, snapshot: Snapshot) -> int:
    """Remember which repository each name means, and follow those that are called otherwise; how many are.

    One that GitHub does not tell of keeps no other from being looked at; see `each` for what that raises.
    """
    repositories = sorted({target_config.repository for target_config in services.config.targets})
    return await each(repositories, partial(_follow, services, snapshot))


async def _follow(services: Services, snapshot: Snapshot, repository: str) -> int:
    """Where the name leads nowhere, or to another repository, the id leads to the one that is meant."""
    try:
        activity = await snapshot.activity(repository)
    except NotFound:
        known = await services.repositories.of(repository)
        if known is None:
            raise
        known = await follow(services, repository, known)
    else:
        await see(services, repository, activity.repository_id, activity.name)
        known = await services.repositories.of(repository)
    return int(known is not None and known.name.lower() != repository.lower())
