"""What is past its `wake_at` is sent again: the repair of every message that was lost or never published."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from msgspec.structs import replace

from shared import log, outbox
from shared.errors import Conflict
from shared.outcome import Message
from shared.pipeline import NOTIFY
from shared.ports import Condition, Found, Update
from shared.run import Run, Target
from shared.services import Services

AT_ONCE = 25
DUE_AT_ONCE = 500


async def wake_due(services: Services) -> int:
    """Send again what is past its `wake_at`, and then push that back, so that the next sweep leaves it alone."""
    now = services.clock.now()
    due: Condition = ("wake_at", "<=", now)
    runs = await services.store.query(Run, due, order_by="wake_at", limit=DUE_AT_ONCE)
    owing = await services.store.query(Target, due, order_by="wake_at", limit=DUE_AT_ONCE)
    gate = asyncio.Semaphore(AT_ONCE)
    woken = await asyncio.gather(
        *(_wake_run(services, found, gate) for found in runs), *(_wake_target(services, found, gate) for found in owing)
    )
    return sum(woken)


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
    return await _send_then_save(services, messages, Update(outbox.scheduled(run), found.version), gate)


async def _wake_target(services: Services, found: Found[Target], gate: asyncio.Semaphore) -> bool:
    later = services.clock.now() + timedelta(seconds=services.pace.redelivery)
    target = outbox.scheduled(replace(found.document, notify_due=later))
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
            log.debug("woken by somebody else at the same time", id=save.document.id)
    return True
