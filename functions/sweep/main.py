"""sweep: once a minute, wake what is due, look at the health of what serves, and fetch webhooks that were missed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import functions_framework.aio
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared import log, outbox, targets
from shared.address import look
from shared.amend import amend
from shared.clients.github import Delivery
from shared.config import TargetConfig
from shared.errors import Conflict, SecretMissing, TransientError, VendorError
from shared.outcome import Message
from shared.pipeline import NOTIFY
from shared.ports import Condition, Found, Update
from shared.run import Run, Target
from shared.services import Services, current, prepare

prepare()

AT_ONCE = 25
DUE_AT_ONCE = 500
RECORD_AT_LEAST = timedelta(minutes=10)
"""How old `health.checked_at` may become while nothing changes: each look need not cost a write."""
LOOK_BACK = timedelta(hours=6)
REDELIVER_AFTER = timedelta(minutes=1)
MOST_ATTEMPTS = 8


@functions_framework.aio.http
async def sweep(request: Request) -> Response:
    if request.method != "POST":
        return JSONResponse({"error": "POST only"}, status_code=405, headers={"Allow": "POST"})
    services = current()
    with log.context(stage="sweep"):
        parts = {"woken": wake_due, "probed": probe_all, "redelivered": redeliver_missed}
        done = {name: await _part(name, part(services)) for name, part in parts.items()}
        log.info("swept", **done)
    return JSONResponse(done, status_code=503 if done["woken"] is None else 200)


async def _part(name: str, work: Awaitable[int]) -> int | None:
    """How many it did; None when it could not, which must not keep the other parts from their work."""
    try:
        return await work
    except (TransientError, VendorError, SecretMissing) as error:
        log.error("a part of the sweep failed", part=name, reason=str(error))
        return None


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


async def probe_all(services: Services) -> int:
    """Look at each target that has a verified version and an address; those under deployment are watched already."""
    gate = asyncio.Semaphore(AT_ONCE)
    return sum(await asyncio.gather(*(_probe(services, place, gate) for place in services.config.targets)))


async def _probe(services: Services, place: TargetConfig, gate: asyncio.Semaphore) -> bool:
    async with gate:
        found = await services.store.get(Target, place.id)
        if found is None or found.document.active or not found.document.current or not found.document.address:
            return False
        answer = await look(services, place, found.document.address)
        healthy = answer.healthy if answer.reached else None
        await amend(
            services.store, Target, place.id, lambda target: _seen(services, place, target, healthy, answer.detail)
        )
    return True


def _seen(services: Services, place: TargetConfig, target: Target, healthy: bool | None, detail: str) -> Target | None:
    """The target after the look, or None when nothing is worth a write."""
    now = services.clock.now()
    after = targets.observe(target, healthy, detail, now, place.policy.failure_threshold)
    before, new = target.health, after.health
    fresh = before.checked_at is not None and now - before.checked_at < RECORD_AT_LEAST
    same = (before.state, before.failures, before.detail) == (new.state, new.failures, new.detail)
    return None if fresh and same else after


async def redeliver_missed(services: Services) -> int:
    """Ask GitHub to send again what never arrived: it does not do so by itself, and forgets after three days.

    What we refuse each time (a wrong secret, say) is asked for at doubling intervals, and then no more.
    """
    now = services.clock.now()
    missed = await services.github.failed_deliveries(now - LOOK_BACK)
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
