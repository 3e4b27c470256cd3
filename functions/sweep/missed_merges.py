"""Pull requests that were merged and of which no webhook told, or too late: GitHub has delivered hours late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from msgspec.structs import replace

from functions.sweep.each import each
from functions.sweep.memory import Memory
from functions.sweep.snapshot import LOOK_BACK, Snapshot
from shared.clients.github.activity import Merge
from shared.core.notices import owe
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.errors import TransientError, Unavailable, VendorError
from shared.runs.start import deploy_merged
from shared.runtime import log
from shared.runtime.services import Services
from shared.runtime.update import amend

PATIENCE = timedelta(minutes=15)
"""How long a merge may stay unread before people are notified."""
WEBHOOK_MAY_TAKE = timedelta(minutes=2)


async def start_unnoticed(services: Services, snapshot: Snapshot) -> int:
    """Give each recent merge the runs that its webhook should have started; how many runs that were.

    A branch that GitHub does not tell of keeps no other from its runs; see `each` for what that raises. Merges from
    before a target was first seen are not deployed: whoever installs Signalbox has seen to them.
    """
    automatic = [target_config for target_config in services.config.targets if target_config.follows_merges]
    branches = sorted({(target_config.repository, target_config.branch) for target_config in automatic})
    return await each(branches, partial(_start_newest, services, snapshot, automatic))


async def _start_newest(
    services: Services, snapshot: Snapshot, automatic: list[TargetConfig], where: tuple[str, str]
) -> int:
    """One merge of a branch at a time, the newest first: it brings the older ones along.

    One that GitHub cannot or will not show keeps no older one from its runs.
    """
    repository, branch = where
    target_configs = [
        target_config for target_config in automatic if (target_config.repository, target_config.branch) == where
    ]
    watched = {target_config.id: await _watched_since(services, target_config) for target_config in target_configs}
    for merge in _due(services, (await snapshot.activity(repository)).merges, branch):
        concerned = [target_config for target_config in target_configs if watched[target_config.id] < merge.at]
        if not concerned or (repository, merge.number) in services.kept(Memory).settled:
            continue
        try:
            runs = await _start(services, concerned, merge)
        except TransientError as error:
            await _report_unread(services, concerned[0], merge, error)
            raise
        if runs is not None:
            return runs
    return 0


async def _report_unread(services: Services, target_config: TargetConfig, merge: Merge, error: Exception) -> None:
    """Once for each merge: what fails for so long may never be deployed, and a user waits for it."""
    now = services.clock.now()
    if now - merge.at < PATIENCE:
        return
    log.error("a merge cannot be read for long", target=target_config.id, number=merge.number, reason=str(error))
    first = Target(id=target_config.id)
    await amend(
        services.store,
        Target,
        target_config.id,
        lambda target: owe(target, "merge_unread", now, str(merge.number)),
        missing=first,
    )


def _due(services: Services, merges: Iterable[Merge], branch: str) -> list[Merge]:
    now = services.clock.now()
    return [merge for merge in merges if merge.base == branch and WEBHOOK_MAY_TAKE <= now - merge.at <= LOOK_BACK]


async def _start(services: Services, target_configs: list[TargetConfig], merge: Merge) -> int | None:
    """How many runs were started; None when GitHub does not tell what was merged."""
    repository = target_configs[0].repository
    try:
        pull = await services.github.pull_request(repository, merge.number)
    except VendorError as error:
        log.error("a merge cannot be read", repository=repository, number=merge.number, reason=str(error))
        await _report_unread(services, target_configs[0], merge, error)
        return None
    if pull.merge_sha is None:
        raise Unavailable(f"pull request {merge.number} is merged, and GitHub does not say as which commit")
    found = [await deploy_merged(services, target_config, pull, pull.merge_sha) for target_config in target_configs]
    if "under way" not in found:
        services.kept(Memory).settled.add((repository, merge.number))
    started = found.count("started")
    if started:
        log.warning(
            "found a merge without a webhook; starting its run",
            repository=repository,
            number=merge.number,
            runs=started,
        )
    return started


async def _watched_since(services: Services, target_config: TargetConfig) -> datetime:
    """Since when the sweep knows the target, which gets its document here."""
    now = services.clock.now()
    watched = services.kept(Memory).watched
    since = watched.get(target_config.id)
    if since is None:
        target = await amend(
            services.store, Target, target_config.id, lambda one: _seen(one, now), missing=Target(id=target_config.id)
        )
        since = watched[target_config.id] = (target and target.watched_since) or now
    return since


def _seen(target: Target, now: datetime) -> Target:
    return target if target.watched_since else replace(target, watched_since=now)
