"""Which repository a name in signalbox.toml means: the one that had it at first, whatever it is called now.

GitHub's id of a repository stays when it is renamed or transferred. It is remembered on the targets, and with it what
GitHub calls the repository now: everything that is asked of GitHub is asked by that name. A different repository that
takes the old name over has another id, and is not mistaken for it.

Sources: docs.github.com/repositories/creating-and-managing-repositories/renaming-a-repository (a new repository under
the old name ends the redirect), docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from shared.core.events import RepositoryEvent
from shared.core.notices import owe
from shared.core.target import Repository, Target
from shared.runtime import log
from shared.runtime.update import amend

if TYPE_CHECKING:
    from shared.runtime.services import Services

E = TypeVar("E", bound=RepositoryEvent)
LIFETIME = timedelta(minutes=1)
"""How long an instance relies on what it knows. Until then a rename is followed by GitHub's redirects, and a transfer
by asking where the id has gone (`GitHubApp.has_moved`)."""


class Repositories:
    """What one instance knows; every method raises what the store raises. Names are those of signalbox.toml."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[str, tuple[datetime, Repository | None]] = {}

    async def of(self, repository: str) -> Repository | None:
        """None where it was never seen, or is not in signalbox.toml."""
        target_configs = self._services.config.in_repository(repository)
        if not target_configs:
            return None
        now, name = self._services.clock.now(), target_configs[0].repository
        read_at, known = self._known.get(name, (None, None))
        if read_at is None or now - read_at >= LIFETIME:
            found = await self._services.store.get(Target, target_configs[0].id)
            known = found.document.repository if found else None
            self._known[name] = (now, known)
        pinned = target_configs[0].repository_id
        if pinned is not None and (known is None or known.id != pinned):
            return Repository(id=pinned, name=name)
        return known

    def learn(self, target: Target) -> None:
        """Of a target that was read just now for something else."""
        target_config = self._services.config.target(target.id)
        first = self._services.config.in_repository(target_config.repository)[0] if target_config else None
        if first is not None and first is target_config:
            self._known[first.repository] = (self._services.clock.now(), target.repository)

    async def with_id(self, id: int) -> str | None:
        """The name in signalbox.toml of the repository with this id of GitHub's."""
        for name in dict.fromkeys(target_config.repository for target_config in self._services.config.targets):
            known = await self.of(name)
            if known is not None and known.id == id:
                return name
        return None

    async def record(self, repository: str, seen: Repository) -> None:
        """Remember it on the targets, and owe people the news of another name, once for each name."""
        target_configs, now = self._services.config.in_repository(repository), self._services.clock.now()
        for target_config in reversed(target_configs):  # the first one last: if this is cut short, it is seen as it was
            change = partial(_recorded, seen, repository, target_config is target_configs[0], now)
            await amend(self._services.store, Target, target_config.id, change, missing=Target(id=target_config.id))
        self._known[target_configs[0].repository] = (now, seen)


def _recorded(seen: Repository, configured: str, teller: bool, now: datetime, target: Target) -> Target:
    after = replace(target, repository=seen)
    known = target.repository.name if target.repository else configured
    moved = seen.name.lower() not in (configured.lower(), known.lower())
    return owe(after, "repository_renamed", now, seen.name) if teller and moved else after


async def follow(services: Services, repository: str, known: Repository) -> Repository:
    """Ask GitHub what the repository with this id is called now, and remember it. Raises NotFound where it is gone."""
    name = await services.github.name_of(known.id)
    if name == known.name and (await services.repositories.of(repository)) == known:
        return known
    now = Repository(id=known.id, name=name)
    log.warning("a repository is called otherwise now", configured=repository, repository=name, id=known.id)
    await services.repositories.record(repository, now)
    return now


async def meant(services: Services, event: E) -> E | None:
    """The event with the repository's name in signalbox.toml; None when it is about none that is in there."""
    target_configs = services.config.in_repository(event.repository)
    if target_configs:
        known = await services.repositories.of(target_configs[0].repository)
        if known is None or event.repository_id in (None, known.id):
            return event
        log.warning("another repository has the name now", repository=event.repository, id=event.repository_id)
        await _tell_of_another(services, target_configs[0].id, event.repository_id or 0)
        return None
    configured = await services.repositories.with_id(event.repository_id) if event.repository_id is not None else None
    if configured is None:
        log.info("an event about a repository that is not in signalbox.toml", repository=event.repository)
        return None
    known = await services.repositories.of(configured)
    if known is not None and known.name != event.repository:
        await follow(services, configured, known)
    return replace(event, repository=configured)


async def _tell_of_another(services: Services, target: str, id: int) -> None:
    def owing(target: Target) -> Target:
        return owe(target, "repository_replaced", services.clock.now(), str(id))

    await amend(services.store, Target, target, owing)


async def see(services: Services, repository: str, id: int | None, name: str) -> None:
    """GitHub shows this repository under that name: remember the first that has it."""
    known = await services.repositories.of(repository)
    seen = None if id is None else Repository(id=id, name=name)
    if seen is not None and seen != known and (known is None or known.id == id):
        await services.repositories.record(repository, seen)
