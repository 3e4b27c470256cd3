"""What n8n is told of a week that is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from shared.core.notices import Notice
from shared.core.policy import Policy
from shared.core.target import Target
from shared.core.watching import shown_health
from shared.core.weeks import EVENT, WEEK
from shared.runs import metrics, texts
from shared.runtime.services import Services


async def weekly(services: Services, notice: Notice) -> dict[str, object]:
    """What n8n gets when a week is over; `key` is the same each time that this week is told of, by whichever target."""
    until = datetime.fromisoformat(notice.occurrence)
    figures = await metrics.between(services, until - WEEK, until)
    payload = {
        "key": notice.name,
        "event": EVENT,
        "since": until - WEEK,
        "until": until,
        **{name: figures[name] for name in ("runs", "attempts", "complete", "by_status", "by_reason", "deployments")},
        "attention": await _attention(services),
    }
    return dict(msgspec.to_builtins(payload))


async def _attention(services: Services) -> list[dict[str, object]]:
    """The targets that a person should look at, as they are now."""
    found = [await services.store.get(Target, target_config.id) for target_config in services.config.targets]
    targets = [one.document for one in found if one is not None]
    states = {target.id: list(_states(target, services.terms(target.id).policy)) for target in targets}
    return [{"target": target, "states": those} for target, those in states.items() if those]


def _states(target: Target, policy: Policy) -> Iterator[str]:
    if target.pause is not None:
        yield "paused"
    if target.lock is not None:
        yield "locked"
    if target.hold is not None:
        yield "held"
    if shown_health(target, policy).state == "unhealthy":
        yield "unhealthy"
    if texts.drift(target) is not None:
        yield "drifting"
