"""When a vendor's webhooks arrived last, noted on the targets they are about: for people who look for missing ones.

A note every five minutes is enough for that, and then costs almost nothing; nothing else depends on it. A target has
its document, and so its notes, from the first sweep on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from shared.core.events import DeploymentChanged, Event, SecretExpiring
from shared.core.target import Target
from shared.errors import TransientError, VendorError
from shared.runtime import log
from shared.runtime.services import Services
from shared.runtime.update import amend

Vendor = Literal["github", "railway"]


class Arrivals(dict[tuple[str, Vendor], datetime]):
    """When this instance last noted that a vendor's webhook about a target arrived."""


EVERY = timedelta(minutes=5)
"""How often at most the arrival of webhooks is noted."""


async def hear(services: Services, event: Event, at: datetime) -> None:
    """A webhook arrived at that time. A store that cannot take the note is no reason to handle the event again."""
    vendor, targets = _about(services, event)
    for target in targets:
        heard = services.kept(Arrivals)
        noted = heard.get((target, vendor))
        if noted is not None and at - noted < EVERY:
            continue
        heard[target, vendor] = at
        try:
            await amend(services.store, Target, target, lambda before: _note(before, vendor, at))
        except (TransientError, VendorError) as error:
            log.info("not noted that a webhook arrived", target=target, vendor=vendor, reason=str(error))


def _about(services: Services, event: Event) -> tuple[Vendor, Iterable[str]]:
    if isinstance(event, SecretExpiring):
        return "github", ()
    if isinstance(event, DeploymentChanged):
        target_config = services.config.on_railway(event.environment_id, event.service_id)
        return "railway", () if target_config is None else (target_config.id,)
    return "github", (target_config.id for target_config in services.config.in_repository(event.repository))


def _note(target: Target, vendor: Vendor, at: datetime) -> Target | None:
    """None when another instance noted a later one, or one not long before: a replayed event is an old one."""
    noted = target.heard.get(vendor)
    if noted is not None and at - noted < EVERY:
        return None
    return replace(target, heard={**target.heard, vendor: at})
