"""Does what was deployed work: the console reads the store, and the webhooks refuse whoever has not signed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from shared.clients.http import NOT_SENT, UNANSWERED, HttpClient, Network, describe
from shared.runtime.unreadable import UNREADABLE

BETWEEN = 5.0
"""Seconds from one look to the next."""


class _Health(Struct):
    status: str
    targets: list[str]


async def console_problem(client: HttpClient, console: str, token: str) -> str | None:
    """What keeps `/health` from being well; None when nothing does."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = await client.exchange("GET", f"{console.rstrip('/')}/health", headers=headers)
        health = msgspec.json.decode(answer.content, type=_Health) if answer.is_success else None
    except (*NOT_SENT, *UNANSWERED, *UNREADABLE) as error:
        return f"the console: {describe(error)}"
    if answer.status_code in (401, 403, 404):
        return f"the console: {answer.status_code}; is your account one of console_members?"
    if health is None or health.status != "ok":
        return f"the console: {answer.status_code} {answer.reason_phrase}"
    return None


async def webhook_problem(client: HttpClient, webhook: str) -> str | None:
    """What a webhook that nobody signed gets is 401, and nothing else; None when it does."""
    try:
        answer = await client.exchange("POST", webhook, json={})
    except (*NOT_SENT, *UNANSWERED) as error:
        return f"the webhooks: {describe(error)}"
    if answer.status_code != 401:
        return f"the webhooks: an unsigned one gets {answer.status_code} {answer.reason_phrase}, not 401"
    return None


async def problems(
    console: str,
    webhook: str,
    *,
    token: str,
    within: float,
    network: Network | None = None,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[str]:
    """What is still wrong after so many seconds; looked at again and again, as grants take a minute to be known."""
    async with HttpClient("", network=network) as client:
        for left in range(int(within // BETWEEN), -1, -1):
            looked = (await console_problem(client, console, token), await webhook_problem(client, webhook))
            found = [problem for problem in looked if problem]
            if not found or not left:
                break
            await pause(BETWEEN)
    return found
