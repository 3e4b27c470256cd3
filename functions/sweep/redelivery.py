"""Webhooks that never arrived, requested again."""

from __future__ import annotations

from datetime import timedelta

from functions.sweep.snapshot import Snapshot
from shared.clients.github.registration import Delivery, undelivered
from shared.errors import VendorError
from shared.runtime import log
from shared.runtime.services import Services

REDELIVER_AFTER = timedelta(minutes=1)
MOST_ATTEMPTS = 8


async def redeliver_missed(services: Services, snapshot: Snapshot) -> int:
    """Ask GitHub to send again what never arrived: it does not do so by itself, and forgets after three days.

    What we refuse each time (a wrong secret, say) is requested at doubling intervals, and then no more.
    """
    now = services.clock.now()
    missed = undelivered(await snapshot.deliveries())
    due = [
        delivery
        for delivery in missed
        if delivery.attempts <= MOST_ATTEMPTS
        and now - delivery.delivered_at >= REDELIVER_AFTER * 2 ** (delivery.attempts - 1)
    ]
    return sum([await _redeliver(services, delivery) for delivery in due])


async def _redeliver(services: Services, delivery: Delivery) -> bool:
    """One that GitHub refuses to repeat must not keep it from repeating the later ones."""
    log.warning("a webhook had not arrived; asking for it again", delivery=delivery.guid, event=delivery.event)
    try:
        await services.github.redeliver(delivery.id)
    except VendorError as error:
        log.error("a webhook cannot be had again", delivery=delivery.guid, reason=str(error))
        return False
    return True
