"""The backend on Google Cloud: Firestore, Pub/Sub and Secret Manager, each loaded when it is first used.

A function that never touches a service never pays for importing its client (250-400 ms of a cold start). Clients live
as long as the instance; they are made inside the event loop that uses them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigError
from shared.runtime.clock import SystemClock
from shared.runtime.ports import Backend, Bus, Condition, Create, D, Found, Store, Update
from shared.runtime.secrets import NAMES
from shared.runtime.settings import given

if TYPE_CHECKING:
    from shared.cloud.secrets import SecretManager

PROJECT = "GOOGLE_CLOUD_PROJECT"
FIRESTORE_EMULATOR = "FIRESTORE_EMULATOR_HOST"
PUBSUB_EMULATOR = "PUBSUB_EMULATOR_HOST"
DATABASE = "SIGNALBOX_DATABASE"
"""Environment variable: the Firestore database, when it is not the project's default one."""
SECRET_VERSIONS = "SIGNALBOX_SECRET_VERSIONS"
"""Environment variable: secrets of which one version alone is accepted, as `RAILWAY-API=3,N8N-API=latest`."""


def open_backend(environ: Mapping[str, str]) -> Backend:
    """Nothing is contacted yet. Raises ConfigError when the project or the pinned versions cannot be read."""
    project = given(environ, PROJECT).removeprefix("projects/").strip("/")
    if not project:
        raise ConfigError(f"environment variable {PROJECT}: name the project of topics, documents and secrets")
    pinned = pinned_versions(given(environ, SECRET_VERSIONS))

    def open_store() -> Store:
        from shared.cloud.firestore import FirestoreStore  # noqa: PLC0415 - only functions that use it pay for it

        database = given(environ, DATABASE).rpartition("/")[2] or "(default)"
        return FirestoreStore(project, database, emulator=_emulator(environ, FIRESTORE_EMULATOR))

    def open_bus() -> Bus:
        from shared.cloud.pubsub import PubSubBus  # noqa: PLC0415 - as above

        return PubSubBus(project, emulator=_emulator(environ, PUBSUB_EMULATOR))

    def open_secrets() -> SecretManager:
        from shared.cloud.secrets import SecretManager  # noqa: PLC0415 - as above

        return SecretManager(project, pinned)

    secrets = LazySecrets(open_secrets)
    return Backend(LazyStore(open_store), LazyBus(open_bus, secrets), secrets, SystemClock())


class LazySecrets:
    def __init__(self, open: Callable[[], SecretManager]) -> None:
        self._open = open
        self._opened: SecretManager | None = None

    async def read(self, name: str) -> tuple[str, ...]:
        if self._opened is None:
            self._opened = self._open()
        return await self._opened.read(name)

    def made_at(self, name: str) -> datetime | None:
        return self._opened.made_at(name) if self._opened is not None else None

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()


class LazyBus:
    """Closes the secrets too, for which the ports know no closing."""

    def __init__(self, open: Callable[[], Bus], secrets: LazySecrets) -> None:
        self._open = open
        self._opened: Bus | None = None
        self._secrets = secrets

    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        if self._opened is None:
            self._opened = self._open()
        return await self._opened.publish(topic, data, attributes)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()
        await self._secrets.close()


class LazyStore:
    def __init__(self, open: Callable[[], Store]) -> None:
        self._open = open
        self._opened: Store | None = None

    async def get(self, kind: type[D], id: str) -> Found[D] | None:
        return await self._store.get(kind, id)

    async def commit(self, *writes: Create | Update) -> tuple[Any, ...]:
        return await self._store.commit(*writes)

    async def query(
        self,
        kind: type[D],
        *conditions: Condition,
        order_by: str,
        descending: bool = False,
        limit: int = 100,
        start_after: D | None = None,
    ) -> Sequence[Found[D]]:
        return await self._store.query(
            kind, *conditions, order_by=order_by, descending=descending, limit=limit, start_after=start_after
        )

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    @property
    def _store(self) -> Store:
        if self._opened is None:
            self._opened = self._open()
        return self._opened


_SECRET = re.compile(r"[A-Za-z0-9_-]{1,255}")
"""Source: cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create."""


def pinned_versions(text: str) -> dict[str, str]:
    """Raises ConfigError for what is not NAME=VERSION, with a number or an alias such as `latest`.

    Our own secrets are known however they are written; any other name is that of a token in signalbox.toml.
    """
    pinned = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, version = (piece.strip() for piece in part.partition("="))
        if not (name and equals and version):
            raise ConfigError(f"environment variable {SECRET_VERSIONS}: {part!r} is not NAME=VERSION")
        known = {one.upper().replace("-", "_"): one for one in NAMES}
        if not _SECRET.fullmatch(name):
            raise ConfigError(f"environment variable {SECRET_VERSIONS}: {name!r} is no name of a secret")
        pinned[known.get(name.upper().replace("-", "_"), name)] = version
    return pinned


def _emulator(environ: Mapping[str, str], name: str) -> str | None:
    """`host:port`, also out of an address."""
    return given(environ, name).rpartition("://")[2].strip("/") or None
