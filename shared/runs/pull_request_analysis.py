"""Pull requests that are to be analysed by a workflow of n8n: owed once for each head that is open and no draft."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from shared.core import notices
from shared.core.outcome import Message
from shared.core.pipeline import NOTIFY
from shared.core.target import Target
from shared.runtime import log
from shared.runtime.services import Services
from shared.runtime.update import amend

EVENT = "pull_request"
FORKS_A_DAY = 10
"""Heads of forks that are analysed of a repository in any 24 hours: anybody can push to one, and each costs a call to
Claude and a comment."""
DAY = timedelta(days=1)


async def owe_analysis(services: Services, repository: str, number: int) -> None:
    """Where signalbox.toml names a workflow. No run is about it, so the repository's first target owes it."""
    n8n, target_configs = services.config.n8n, services.config.in_repository(repository)
    if n8n is None or n8n.pull_request_analysis is None or not target_configs:
        return
    pull = await services.github.pull_request(target_configs[0].repository, number)
    if pull.state != "open" or pull.draft:
        return
    head, now = f"{number}-{pull.head_sha}", services.clock.now()
    from_fork = pull.from_fork
    target = await amend(
        services.store,
        Target,
        target_configs[0].id,
        lambda target: _owe_within_rate(target, head, now) if from_fork else notices.owe(target, EVENT, now, head),
        missing=Target(id=target_configs[0].id),
    )
    if target is None:
        return
    key = str(notices.Notice(EVENT, head, notices.ANALYSIS))
    if key in target.owed:
        await services.publish([Message(NOTIFY, target_id=target.id)])
    elif key not in target.notified:
        log.info("not analysed: too many heads of forks today", repository=repository, number=number, most=FORKS_A_DAY)


def _owe_within_rate(target: Target, head: str, now: datetime) -> Target:
    owing = notices.owe(target, EVENT, now, head)
    lately = tuple(at for at in target.analysed_forks if now - at < DAY)
    if owing == target or len(lately) >= FORKS_A_DAY:
        return target
    return replace(owing, analysed_forks=(*lately, now))


def analysed(occurrence: str) -> tuple[int, str]:
    """The number and the head that the event is about."""
    number, _, head = occurrence.partition("-")
    return int(number), head
