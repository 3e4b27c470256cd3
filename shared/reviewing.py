"""Pull requests that are to be analysed by a workflow of n8n: owed once for each head that is open and no draft."""

from __future__ import annotations

from shared import outbox
from shared.amend import amend
from shared.outcome import Message
from shared.pipeline import NOTIFY
from shared.run import Target
from shared.services import Services

EVENT = "pull_request"


async def owe_analysis(services: Services, repository: str, number: int) -> None:
    """Where signalbox.toml names a workflow. No run is about it, so the repository's first target owes it."""
    n8n, places = services.config.n8n, services.config.in_repository(repository)
    if n8n is None or n8n.pull_request_analysis is None or not places:
        return
    pull = await services.github.pull_request(places[0].repository, number)
    if pull.state != "open" or pull.draft:
        return
    event, now = f"{EVENT}@{number}-{pull.head_sha}", services.clock.now()
    target = await amend(
        services.store,
        Target,
        places[0].id,
        lambda target: outbox.owe(target, event, now),
        missing=Target(id=places[0].id),
    )
    if target is not None and f"{event}:{outbox.ANALYSIS}" in target.owed:
        await services.publish([Message(NOTIFY, target_id=target.id)])


def analysed(event: str) -> tuple[int, str]:
    """The number and the head that the event is about."""
    number, _, head = event.partition("@")[2].partition("-")
    return int(number), head
