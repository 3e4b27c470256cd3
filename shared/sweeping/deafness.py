"""Whether GitHub's webhooks arrive at all: silence is an alarm where GitHub shows that there was something to tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from msgspec.structs import replace

from shared.amend import amend
from shared.clients.github_activity import Activity
from shared.clients.github_registration import Attempt
from shared.outbox import owe
from shared.run import Deaf, Target
from shared.services import Services
from shared.sweeping.glance import LOOK_BACK, Glance

LONGER_THAN_USUAL = timedelta(minutes=10)
"""Webhooks take seconds."""
STREAK = 3
"""Failed deliveries in a row that are no accident any more."""
EARLY = timedelta(minutes=1)
"""How far a delivery may lie before what it is about, by clocks that differ."""


async def listen(services: Services, glance: Glance) -> int:
    """Record on each repository's targets whether its webhooks arrive, and owe people the news; how many do not.

    The first target of a repository tells for all of them. One from before the sweep first saw it counts for nothing.
    """
    deaf = 0
    for repository in sorted({place.repository for place in services.config.targets}):
        places = services.config.in_repository(repository)
        teller = await glance.target(places[0].id)
        if teller is None or teller.watched_since is None:
            continue
        activity, attempts = await glance.activity(repository), await glance.deliveries()
        now, before = services.clock.now(), teller.deaf
        after = judge(before, activity, attempts, teller.watched_since, now)
        deaf += after is not None
        if (after is None) != (before is None):
            # The first one last: if this is cut short, the next sweep sees it as it was.
            for place in reversed(places):
                await amend(services.store, Target, place.id, partial(_told, after, place is places[0], now))
    return deaf


def judge(
    before: Deaf | None, activity: Activity, attempts: Sequence[Attempt], watched_since: datetime, now: datetime
) -> Deaf | None:
    """What is wrong, if anything. `attempts` are the App's of the last LOOK_BACK, newest first.

    Wrong is a streak of failed deliveries, or that something happened of which GitHub should have told and did not even
    try to. It is over when something arrives again.
    """
    wrong = _failing(attempts, now) or _silent(activity, attempts, watched_since, now)
    if wrong is not None:
        return replace(wrong, since=before.since) if before else wrong
    if before is None or any(attempt.delivered and attempt.delivered_at > before.since for attempt in attempts):
        return None
    return before


def _failing(attempts: Sequence[Attempt], now: datetime) -> Deaf | None:
    streak = []
    for attempt in attempts:
        if attempt.delivered:
            break
        streak.append(attempt)
    if len(streak) < STREAK or now - streak[-1].delivered_at < LONGER_THAN_USUAL:
        return None
    reason = f"the last {len(streak)} deliveries failed: {streak[0].status}"
    return Deaf(since=streak[-1].delivered_at, reason=reason)


def _silent(activity: Activity, attempts: Sequence[Attempt], watched_since: datetime, now: datetime) -> Deaf | None:
    happened = activity.latest
    if happened is None or happened <= watched_since or not LONGER_THAN_USUAL <= now - happened <= LOOK_BACK - EARLY:
        return None
    about = (activity.repository_id, None)
    if any(one.repository_id in about and one.delivered_at >= happened - EARLY for one in attempts):
        return None
    what = f"a pull request was opened or merged at {happened:%H:%M} UTC"
    return Deaf(since=happened, reason=f"{what}, and GitHub has sent nothing since")


def _told(deaf: Deaf | None, teller: bool, now: datetime, target: Target) -> Target | None:
    """None when another instance has recorded it already."""
    if (target.deaf is None) == (deaf is None):
        return None
    after = replace(target, deaf=deaf, updated_at=now)
    event = "webhooks_regained" if deaf is None else "webhooks_lost"
    return owe(after, f"{event}@{now:%Y-%m-%dT%H:%M:%SZ}", now) if teller else after
