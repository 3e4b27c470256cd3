"""What one sweep reads of GitHub and of the targets, at most once, whichever of its parts ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from datetime import timedelta
from typing import Any, TypeVar, cast

from shared.clients.github.activity import Activity
from shared.clients.github.registration import Attempt
from shared.core.target import Target
from shared.runtime.services import Services

LOOK_BACK = timedelta(hours=6)
T = TypeVar("T")


class Snapshot:
    """Each method raises what GitHub's client, or the store, raises, to every part that asks."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}

    async def deliveries(self) -> list[Attempt]:
        """Every attempt of the last LOOK_BACK to deliver a webhook, newest first."""
        since = self._services.clock.now() - LOOK_BACK
        return await self._once("deliveries", lambda: self._services.github.registration.recent_deliveries(since))

    async def activity(self, repository: str) -> Activity:
        return await self._once(("activity", repository), lambda: self._activity(repository))

    async def _activity(self, repository: str) -> Activity:
        """After the repository's first target, which tells what it is called now, and is read by other parts anyway."""
        for target_config in self._services.config.in_repository(repository)[:1]:
            await self.target(target_config.id)
        return await self._services.github.activity(repository)

    async def target(self, id: str) -> Target | None:
        """As it was when this sweep first asked: enough to see that there is nothing to do, not to write it."""
        return await self._once(("target", id), lambda: self._target(id))

    async def _target(self, id: str) -> Target | None:
        found = await self._services.store.get(Target, id)
        if found is not None:
            self._services.repositories.learn(found.document)
        return found.document if found is not None else None

    def close(self) -> None:
        """Stop what is still being asked and no one waits for any more."""
        for asked in self._asked.values():
            asked.cancel()

    async def _once(self, what: Hashable, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Whoever stops waiting, as when its time is up, leaves the answer to the others."""
        if what not in self._asked:
            self._asked[what] = asyncio.create_task(ask())
        return cast(T, await asyncio.shield(self._asked[what]))
