"""Where an operator's command works: on the real project when GOOGLE_CLOUD_PROJECT is set, else on `signalbox up`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from local import topology
from local.cli.called import command
from local.emulation.backend import DOCUMENTS, open_journal
from local.emulation.bus import EmbeddedBus
from local.emulation.folder import make_folder, write
from local.emulation.store import SqliteStore
from local.operating.messages import JournalMessages, Messages
from shared.core.pipeline import Pace
from shared.errors import ConfigError
from shared.runtime import config
from shared.runtime.clock import SystemClock
from shared.runtime.ports import Bus, Clock, Store
from shared.runtime.settings import read

LEFT_BEHIND = "backend.json"
"""In the folder of `signalbox up`: what another terminal needs to know to find its store and bus."""
CONFIGURATION = "signalbox.toml"
PROJECT = "GOOGLE_CLOUD_PROJECT"


class Left(Struct, frozen=True, kw_only=True):
    """What `signalbox up` leaves word of. `environ` are Google's variables when it runs on the emulators."""

    backend: str
    environ: dict[str, str] = {}
    pace: Pace = Pace()
    people: str = ""
    """Where somebody who tries it out can be one of the people (local/world/people.py)."""


class Place(Struct, frozen=True, kw_only=True):
    """An open store and bus, and by what rules they are used; `name` says to people which it is."""

    name: str
    store: Store
    bus: Bus
    messages: Messages
    config: config.Config
    pace: Pace
    clock: Clock

    async def close(self) -> None:
        await self.messages.close()
        await self.bus.close()
        await self.store.close()


def open_place(folder: Path, environ: Mapping[str, str] = os.environ) -> Place:
    """Raises ConfigError when there is neither a project nor a running `signalbox up`, or its settings are wrong."""
    if environ.get(PROJECT):
        settings = read(environ)
        pace = Pace(redelivery=settings.signalbox_redelivery, unclaimed=settings.signalbox_unclaimed)
        configured = config.load(Path(settings.signalbox_config))
        return _on_google(f"project {environ[PROJECT]}", environ, configured, pace)
    left = _read(folder)
    configured = config.load(folder / CONFIGURATION)
    if left.backend != "embedded":
        return _on_google(f"the emulators of {folder}", left.environ, configured, left.pace)
    clock = SystemClock()
    return Place(
        name=str(folder),
        store=SqliteStore(folder / DOCUMENTS),
        bus=EmbeddedBus(open_journal(folder, ""), clock),
        messages=JournalMessages(open_journal(folder, ""), clock),
        config=configured,
        pace=left.pace,
        clock=clock,
    )


def people_of(folder: Path) -> str:
    """Where the people of the `signalbox up` in that folder are. Raises ConfigError when there is none."""
    left = _read(folder)
    if not left.people:
        raise ConfigError(f"there are no people to play in {folder}: start `{command()} up` there")
    return left.people


def leave_behind(folder: Path, left: Left, configuration: str) -> None:
    """For `open_place` in another terminal."""
    make_folder(folder)
    write(folder / CONFIGURATION, configuration)
    write(folder / LEFT_BEHIND, msgspec.json.encode(left).decode())


def _read(folder: Path) -> Left:
    try:
        return msgspec.json.decode((folder / LEFT_BEHIND).read_bytes(), type=Left)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"there is no store in {folder}: start one with `{command()} up`, or name a project in {PROJECT}"
        ) from error


def _on_google(name: str, environ: Mapping[str, str], configured: config.Config, pace: Pace) -> Place:
    from local.operating.google_messages import GoogleMessages  # noqa: PLC0415 - Google's clients are loaded only where needed
    from shared.cloud import PUBSUB_EMULATOR, open_backend  # noqa: PLC0415

    backend = open_backend(environ)
    emulator = environ.get(PUBSUB_EMULATOR) or None
    return Place(
        name=name,
        store=backend.store,
        bus=backend.bus,
        messages=GoogleMessages(environ[PROJECT], topology.load(), backend.bus, emulator=emulator),
        config=configured,
        pace=pace,
        clock=backend.clock,
    )
