"""What is past its `wake_at` is sent again: the repair of every message that was lost or never published."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from msgspec.structs import replace

from shared.core import notices
from shared.core.outcome import Message
from shared.core.pipeline import NOTIFY
from shared.core.run import Run
from shared.core.target import Target
from shared.errors import Conflict, TransientError, VendorError
from shared.runtime import log
from shared.runtime.ports import D, Found, Query, Update
from shared.runtime.services import Services

AT_ONCE = 50
PAGE = 200
ENOUGH = 60.0
"""Seconds after which no further page is begun: so much less than a part of the sweep gets that a slow page ends."""


async def wake_due(services: Services) -> int:
    """Send again what is past its `wake_at`, and then push that back, so that the next sweep leaves it alone.

    Page by page, oldest first, until nothing is due or ENOUGH is used up; what is left then is the next sweep's.
    """
    gate = asyncio.Semaphore(AT_ONCE)
    woken = await asyncio.gather(
        _wake_all(services, Run, lambda found: _wake_run(services, found, gate)),
        _wake_all(services, Target, lambda found: _wake_target(services, found, gate)),
    )
    return sum(woken)


async def _wake_all(services: Services, kind: type[D], wake: Callable[[Found[D]], Awaitable[bool]]) -> int:
    """A page begins after the last one, so that what cannot be sent holds no one up."""
    now, loop = services.clock.now(), asyncio.get_running_loop()
    woken, last, until = 0, None, loop.time() + ENOUGH
    while loop.time() < until:
        page = await services.store.query(
            Query(kind, (("wake_at", "<=", now),), order_by="wake_at", limit=PAGE, start_after=last)
        )
        woken += sum(await asyncio.gather(*map(wake, page)))
        if len(page) < PAGE:
            return woken
        last = page[-1].document
    log.warning("more is due than there was time for; the next sweep goes on", woken=woken)
    return woken


async def _wake_run(services: Services, found: Found[Run], gate: asyncio.Semaphore) -> bool:
    run, now = found.document, services.clock.now()
    later = now + timedelta(seconds=services.pace.redelivery)
    messages = []
    if run.stage_due is not None and run.stage_due <= now:
        messages.append(Message(run.stage, run.id))
        run = replace(run, stage_due=later)
    if run.notify_due is not None and run.notify_due <= now:
        messages.append(Message(NOTIFY, run.id))
        run = replace(run, notify_due=later)
    return await _send_then_save(services, messages, Update(notices.scheduled(run), found.version), gate)


async def _wake_target(services: Services, found: Found[Target], gate: asyncio.Semaphore) -> bool:
    later = services.clock.now() + timedelta(seconds=services.pace.redelivery)
    target = notices.scheduled(replace(found.document, notify_due=later))
    message = Message(NOTIFY, target_id=target.id)
    return await _send_then_save(services, [message], Update(target, found.version), gate)


async def _send_then_save(services: Services, messages: list[Message], save: Update, gate: asyncio.Semaphore) -> bool:
    """In this order: a crash in between sends twice, which costs a look, rather than not at all."""
    async with gate:
        if not await services.publish(messages):
            return False
        try:
            await services.store.commit(save)
        except Conflict:
            log.debug("another sweep woke it at the same time", id=save.document.id)
        except (TransientError, VendorError) as error:  # no reason to leave the others asleep
            log.error("woken, and it could not be noted", id=save.document.id, reason=str(error))
    return True
