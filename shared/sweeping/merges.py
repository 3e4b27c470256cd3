"""Pull requests that were merged and of which no webhook told, or too late: GitHub has delivered hours late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from shared import log
from shared.amend import amend
from shared.clients.github_activity import Merge
from shared.config import TargetConfig
from shared.run import Target
from shared.services import Services
from shared.starting import deploy_merged
from shared.sweeping.glance import LOOK_BACK, Glance

WEBHOOK_MAY_TAKE = timedelta(minutes=2)


async def start_unnoticed(services: Services, glance: Glance) -> int:
    """Give each recent merge the runs that its webhook should have started; how many runs that were.

    One merge of each branch at a time, the newest first: it brings the older ones along. Merges from before a target
    was first seen are not deployed: whoever installs Signalbox has seen to them.
    """
    started = 0
    automatic = [place for place in services.config.targets if place.policy.automatic]
    for repository, branch in sorted({(place.repository, place.branch) for place in automatic}):
        places = [place for place in automatic if (place.repository, place.branch) == (repository, branch)]
        watched = {place.id: await _watched_since(services, place) for place in places}
        due = _due(services, (await glance.activity(repository)).merges, branch)
        for merge in due:
            concerned = [place for place in places if watched[place.id] < merge.at]
            if concerned and (repository, merge.number) not in services.settled:
                started += await _start(services, concerned, merge)
                break
    return started


def _due(services: Services, merges: Iterable[Merge], branch: str) -> list[Merge]:
    now = services.clock.now()
    return [merge for merge in merges if merge.base == branch and WEBHOOK_MAY_TAKE <= now - merge.at <= LOOK_BACK]


async def _start(services: Services, places: list[TargetConfig], merge: Merge) -> int:
    repository = places[0].repository
    pull = await services.github.pull_request(repository, merge.number)
    if pull.merge_sha is None:
        return 0
    found = [await deploy_merged(services, place, pull, pull.merge_sha) for place in places]
    if "under way" not in found:
        services.settled.add((repository, merge.number))
    started = found.count("started")
    if started:
        log.warning("a merge of which no webhook told", repository=repository, number=merge.number, runs=started)
    return started


async def _watched_since(services: Services, place: TargetConfig) -> datetime:
    """Since when the sweep knows the target, which gets its document here."""
    now = services.clock.now()
    since = services.watched.get(place.id)
    if since is None:
        target = await amend(services.store, Target, place.id, lambda one: _seen(one, now), missing=Target(id=place.id))
        since = services.watched[place.id] = (target and target.watched_since) or now
    return since


def _seen(target: Target, now: datetime) -> Target:
    return target if target.watched_since else replace(target, watched_since=now)
