"""Secrets that are about to be too old: people are notified of each once a day, from whichever function reads it."""

from __future__ import annotations

from shared.core.notices import owe, owed_by
from shared.core.outcome import Message
from shared.core.pipeline import NOTIFY
from shared.core.target import Target
from shared.runtime.services import Services
from shared.runtime.update import amend

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
    about = f"{name} {made_on} {now:%Y-%m-%d}"
    target = await amend(
        services.store, Target, first, lambda one: owe(one, EVENT, now, about), missing=Target(id=first)
    )
    if target is not None and any(notice.occurrence == about for notice in owed_by(target)):
        await services.publish([Message(NOTIFY, target_id=first)])
