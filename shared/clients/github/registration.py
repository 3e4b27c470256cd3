"""What GitHub knows about the App itself: who it is, what it was granted, where its webhooks go and how they fared.

Source: docs.github.com/rest/apps (apps, webhooks). All of it is asked as the App, with its signed token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from shared.clients.github.answers import Pages, T, decode
from shared.clients.github.app import GitHubApp
from shared.clients.http import Response

Level = Literal["read", "write", "admin"]


class App(Struct, frozen=True):
    """The App as it is registered. `permissions` and `events` are what it asks for, not what anybody granted."""

    slug: str
    permissions: dict[str, Level] = {}
    events: tuple[str, ...] = ()


class Installation(Struct, frozen=True):
    """What the owner of a repository granted, as accepted last."""

    id: int
    permissions: dict[str, Level] = {}
    events: tuple[str, ...] = ()
    suspended_at: datetime | None = None


class HookConfig(Struct, frozen=True):
    """Where the App's webhooks go. GitHub shows of the `secret` no more than that there is one."""

    url: str = ""
    content_type: str = "form"
    secret: str = ""
    insecure_ssl: Any = "0"
    """`"0"` or `0` when the certificate is checked."""


class Attempt(Struct, frozen=True):
    """One attempt to deliver a webhook; `guid` is the same over all attempts, `id` is of this one."""

    id: int
    guid: str
    event: str
    delivered_at: Annotated[datetime, Meta(tz=True)]
    status: str
    repository_id: int | None = None
    redelivery: bool = False
    """A user requested it: GitHub itself tries once."""
    status_code: int = 0
    """What was answered; 0 for nothing."""

    @property
    def delivered(self) -> bool:
        """`OK` is GitHub's word for it; where a 202 has another one, its number tells."""
        return self.status == "OK" or 200 <= self.status_code < 300


class Delivery(Struct, frozen=True):
    """A webhook that did not get through; `guid` is the same over all attempts, `id` is of the newest one."""

    id: int
    guid: str
    event: str
    delivered_at: datetime
    attempts: int = 1
    """How often it has been tried since the moment asked about."""


def undelivered(attempts: Sequence[Attempt]) -> list[Delivery]:
    """Webhooks of which none of these attempts got through, oldest first; those that were first sent before are not.

    GitHub never repeats a delivery by itself and remembers them for three days
    (docs: "Handling failed webhook deliveries", "List deliveries for an app webhook").
    """
    delivered = {attempt.guid for attempt in attempts if attempt.delivered}
    begun = {attempt.guid for attempt in attempts if not attempt.redelivery}
    newest: dict[str, Attempt] = {}
    for attempt in sorted(attempts, key=lambda attempt: (attempt.delivered_at, attempt.id)):
        newest[attempt.guid] = attempt
    kept = sorted(newest.values(), key=lambda attempt: (attempt.delivered_at, attempt.id))
    tries = Counter(attempt.guid for attempt in attempts)
    return [
        Delivery(one.id, one.guid, one.event, one.delivered_at, tries[one.guid])
        for one in kept
        if one.guid in begun - delivered
    ]


class Registration:
    """Raises what `GitHubApp.request` raises; nothing here changes anything."""

    def __init__(self, app: GitHubApp) -> None:
        self._app = app

    async def app(self) -> App:
        """Raises Unauthorized when GitHub does not accept the token that the private key signs."""
        return await self._read("/app", App)

    async def installation(self, repository: str) -> Installation:
        """Raises NotFound when the App is not installed on the repository, or the repository does not exist."""
        repository = await self._app.name(repository)
        return await self._read(f"/repos/{repository}/installation", Installation)

    async def hook_config(self) -> HookConfig:
        """Raises NotFound when the App has no webhook."""
        return await self._read("/app/hook/config", HookConfig)

    async def recent_deliveries(self, since: datetime) -> list[Attempt]:
        """Every attempt since then, newest first. GitHub remembers them for three days."""
        found: list[Attempt] = []
        async for page in self._pages("/app/hook/deliveries?per_page=100", list[Attempt]):
            found += [attempt for attempt in page if attempt.delivered_at >= since]
            if any(attempt.delivered_at < since for attempt in page):
                break
        return sorted(found, key=lambda attempt: (attempt.delivered_at, attempt.id), reverse=True)

    async def _read(self, url: str, type: type[T]) -> T:
        return decode(await self._ask(url), type, changes=False)

    def _pages(self, url: str, type: type[T]) -> Pages[T]:
        return Pages(self._ask, url, type)

    def _ask(self, url: str) -> Awaitable[Response]:
        return self._app.request("GET", url, repository=None, changes=False)
