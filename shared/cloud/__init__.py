"""The backend on Google Cloud: Firestore, Pub/Sub and Secret Manager, each loaded when it is first used.

A function that never touches a service never pays for importing its client (250-400 ms of a cold start). Clients live
as long as the instance; they are made inside the event loop that uses them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from shared.errors import ConfigError
from shared.runtime.clock import SystemClock
from shared.runtime.ports import Backend
from shared.runtime.secrets import NAMES
from shared.runtime.settings import given

if TYPE_CHECKING:
    from shared.cloud.firestore import FirestoreStore
    from shared.cloud.pubsub import PubSubBus
    from shared.cloud.secrets import SecretManager

PROJECT = "GOOGLE_CLOUD_PROJECT"
FIRESTORE_EMULATOR = "FIRESTORE_EMULATOR_HOST"
PUBSUB_EMULATOR = "PUBSUB_EMULATOR_HOST"
DATABASE = "SIGNALBOX_DATABASE"
"""Environment variable: the Firestore database, when it is not the project's default one."""
SECRET_VERSIONS = "SIGNALBOX_SECRET_VERSIONS"
"""Environment variable: secrets of which one version alone is accepted, as `RAILWAY-API=3,N8N-API=latest`."""


def open_backend(environ: Mapping[str, str]) -> GoogleBackend:
    """Nothing is contacted yet. Raises ConfigError when the project or the pinned versions cannot be read."""
    project = given(environ, PROJECT).removeprefix("projects/").strip("/")
    if not project:
        raise ConfigError(f"environment variable {PROJECT}: name the project of topics, documents and secrets")
    return GoogleBackend(project, environ, pinned_versions(given(environ, SECRET_VERSIONS)))


class GoogleBackend(Backend):
    """Each part is loaded and opened when it is first used: a function without it never pays for the import."""

    def __init__(self, project: str, environ: Mapping[str, str], pinned: Mapping[str, str]) -> None:
        self._project = project
        self._environ = environ
        self._pinned = pinned
        self.clock = SystemClock()

    @cached_property
    def store(self) -> FirestoreStore:  # type: ignore[override]
        from shared.cloud.firestore import FirestoreStore  # noqa: PLC0415 - as the class says

        database = given(self._environ, DATABASE).rpartition("/")[2] or "(default)"
        return FirestoreStore(self._project, database, emulator=_emulator(self._environ, FIRESTORE_EMULATOR))

    @cached_property
    def bus(self) -> PubSubBus:  # type: ignore[override]
        from shared.cloud.pubsub import PubSubBus  # noqa: PLC0415 - as the class says

        return PubSubBus(self._project, emulator=_emulator(self._environ, PUBSUB_EMULATOR))

    @cached_property
    def secrets(self) -> SecretManager:  # type: ignore[override]
        from shared.cloud.secrets import SecretManager  # noqa: PLC0415 - as the class says

        return SecretManager(self._project, self._pinned)

    async def close(self) -> None:
        for part in ("bus", "secrets", "store"):
            opened = self.__dict__.get(part)
            if opened is not None:
                await opened.close()


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
