"""Whether GitHub's webhooks arrive at all: silence is an alarm where GitHub shows that there was something to tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from msgspec.structs import replace

from functions.sweep.each import each
from functions.sweep.snapshot import LOOK_BACK, Snapshot
from shared.clients.github.activity import Activity
from shared.clients.github.registration import Attempt
from shared.core.notices import at_time, owe
from shared.core.target import Deaf, Target
from shared.runtime.services import Services
from shared.runtime.update import amend

LONGER_THAN_USUAL = timedelta(minutes=10)
"""Webhooks take seconds."""
STREAK = 3
"""Failed deliveries in a row that are no accident any more."""
EARLY = timedelta(minutes=1)
"""How far a delivery may lie before what it is about, by clocks that differ."""


async def listen(services: Services, snapshot: Snapshot) -> int:
    """Record on each repository's targets whether its webhooks arrive, and owe people the news; how many do not.

    One that GitHub does not tell of keeps no other from being looked at; see `each` for what that raises.
    """
    repositories = sorted({target_config.repository for target_config in services.config.targets})
    return await each(repositories, partial(_listen_to, services, snapshot))


async def _listen_to(services: Services, snapshot: Snapshot, repository: str) -> int:
    """The first target of a repository tells for all of them. What happened before it was first seen does not count."""
    target_configs = services.config.in_repository(repository)
    activity, attempts = await snapshot.activity(repository), await snapshot.deliveries()
    teller, now = await snapshot.target(target_configs[0].id), services.clock.now()
    if teller is None or teller.listened_since is None:
        first = Target(id=target_configs[0].id)
        await amend(services.store, Target, first.id, partial(_begun, now), missing=first)
        return 0
    before = teller.deaf
    after = judge(before, activity, attempts, teller.listened_since, now)
    if (after is None) != (before is None):
        # The first one last: if this is cut short, the next sweep sees it as it was.
        for target_config in reversed(target_configs):
            await amend(
                services.store, Target, target_config.id, partial(_told, after, target_config is target_configs[0], now)
            )
    return int(after is not None)


def _begun(now: datetime, target: Target) -> Target:
    return target if target.listened_since else replace(target, listened_since=now)


def judge(
    before: Deaf | None, activity: Activity, attempts: Sequence[Attempt], since: datetime, now: datetime
) -> Deaf | None:
    """What is wrong, if anything. `attempts` are the App's of the last LOOK_BACK, newest first.

    Wrong is a streak of failed deliveries, or that something happened after `since` of which GitHub should have told
    and did not even try to. It is over when something arrives again, of whatever it was that did not.
    """
    wrong = _failing(attempts, now) or _silent(activity, attempts, since, now)
    if wrong is not None:
        return replace(wrong, since=before.since) if before else wrong
    return None if before is None or _arrived(before, activity, attempts) else before


def _arrived(before: Deaf, activity: Activity, attempts: Sequence[Attempt]) -> bool:
    """What is about another repository says nothing about a silence, but everything about deliveries that all fail."""
    later = (attempt for attempt in attempts if attempt.delivered and attempt.delivered_at > before.since)
    return any(before.failing or _may_be_about(attempt, activity) for attempt in later)


def _may_be_about(attempt: Attempt, activity: Activity) -> bool:
    return attempt.repository_id in (activity.repository_id, None)


def _failing(attempts: Sequence[Attempt], now: datetime) -> Deaf | None:
    streak = []
    for attempt in attempts:
        if attempt.delivered:
            break
        streak.append(attempt)
    if len(streak) < STREAK or now - streak[-1].delivered_at < LONGER_THAN_USUAL:
        return None
    reason = f"the last {len(streak)} deliveries failed: {streak[0].status}"
    return Deaf(since=streak[-1].delivered_at, reason=reason, failing=True)


def _silent(activity: Activity, attempts: Sequence[Attempt], since: datetime, now: datetime) -> Deaf | None:
    happened = activity.latest(now - LONGER_THAN_USUAL)  # in a busy repository, something newer is always too young
    if happened is None or happened <= since or now - happened > LOOK_BACK - EARLY:
        return None
    if any(_may_be_about(one, activity) and one.delivered_at >= happened - EARLY for one in attempts):
        return None
    what = f"a pull request was opened or merged at {happened:%H:%M} UTC"
    return Deaf(since=happened, reason=f"{what}, and GitHub has sent nothing since")


def _told(deaf: Deaf | None, teller: bool, now: datetime, target: Target) -> Target | None:
    """None when another instance has recorded it already."""
    if (target.deaf is None) == (deaf is None):
        return None
    after = replace(target, deaf=deaf, updated_at=now)
    event = "webhooks_regained" if deaf is None else "webhooks_lost"
    return owe(after, event, now, at_time(now)) if teller else after
