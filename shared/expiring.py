"""Secrets that are about to be too old: people hear of each once a day, from whichever function reads it."""

from __future__ import annotations

from shared.amend import amend
from shared.outbox import owe
from shared.outcome import Message
from shared.pipeline import NOTIFY
from shared.run import Target
from shared.services import Services

EVENT = "secret_expiring"


async def owe_expiring(services: Services) -> int:
    """Owed by the first target of signalbox.toml, for what this instance has read; how many there were."""
    found = services.secrets.expiring()
    for aged in found:
        await owe_one(services, aged.name, aged.made_on)
        services.secrets.told(aged)
    return len(found)


async def owe_one(services: Services, name: str, made_on: str) -> None:
    """What signalbox.toml does not use is not spoken of."""
    if name not in services.config.secrets or not services.config.targets:
        return
    first, now = services.config.targets[0].id, services.clock.now()
    event = f"{EVENT}@{name} {made_on} {now:%Y-%m-%d}"
    target = await amend(services.store, Target, first, lambda one: owe(one, event, now), missing=Target(id=first))
    if target is not None and any(key.startswith(event) for key in target.owed):
        await services.publish([Message(NOTIFY, target_id=first)])
