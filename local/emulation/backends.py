"""What carries the functions on a laptop: the embedded bus and store, or Google's emulators."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal, Protocol

import httpx
from msgspec import Struct

from local import topology
from local.emulation.backend import DOCUMENTS, open_journal
from local.emulation.bus import EmbeddedBus, Pump
from local.emulation.journal import Journal
from local.emulation.secrets import EnvironmentSecrets
from local.emulation.store import SqliteStore
from shared.core.pipeline import Pace
from shared.runtime.clock import SystemClock
from shared.runtime.ports import Backend

Kind = Literal["embedded", "emulators"]
KINDS: tuple[Kind, ...] = ("embedded", "emulators")
PROJECT = "signalbox-local"
QUIET_FOR = 3.0
"""Seconds without a push after which the Pub/Sub emulator has nothing left: it tells no backlog."""
PATIENCE = 240.0


class Engine(Protocol):
    """A backend at the pace of somebody who watches."""

    @property
    def backend(self) -> Backend: ...

    @property
    def pace(self) -> Pace: ...

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables by which another process finds Google's emulators."""
        ...

    async def quiet(self) -> None:
        """Until no message is on its way; what could still happen has happened."""
        ...


class Embedded(Struct):
    """SQLite, and a pump that pushes."""

    backend: Backend
    journal: Journal
    environ: Mapping[str, str] = {}
    pace: Pace = Pace(redelivery=3.0, unclaimed=1.5, limit=10.0, lease=12.0, visible=1.0)

    async def quiet(self) -> None:
        await _until(lambda: not any(self.journal.backlog().values()))


class Emulated(Struct):
    """Firestore and Pub/Sub as Google emulates them: a redelivery takes a second, whatever is asked for."""

    backend: Backend
    last_push: Callable[[], float]
    """When a function was last called, by the monotonic clock."""
    environ: Mapping[str, str] = {}
    pace: Pace = Pace(redelivery=8.0, unclaimed=3.0, limit=15.0, lease=18.0, visible=2.0)

    async def quiet(self) -> None:
        await _until(lambda: time.monotonic() - self.last_push() > QUIET_FOR)


@contextlib.asynccontextmanager
async def embedded(folder: Path, base_url: str, secrets: Mapping[str, str]) -> AsyncIterator[Embedded]:
    """In two files of the folder. Raises Unavailable when they cannot be opened."""
    clock = SystemClock()
    quick = topology.Delivery(ack_deadline=15.0, min_backoff=0.2, max_backoff=1.0, max_attempts=12)
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything else runs
    journal = open_journal(folder, base_url, quick)
    backend = Backend(SqliteStore(folder / DOCUMENTS), EmbeddedBus(journal, clock), EnvironmentSecrets(secrets), clock)
    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        pumping = asyncio.create_task(Pump(journal, clock, client).run())
        try:
            yield Embedded(backend, journal)
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)


@contextlib.asynccontextmanager
async def emulated(
    folder: Path,
    base_url: str,
    secrets: Mapping[str, str],
    last_push: Callable[[], float],
    hosts: Mapping[str, str] | None,
) -> AsyncIterator[Emulated]:
    """On emulators that run already at `hosts` (their environment variables), or that are started, and stopped at the
    end. Raises ConfigError when they are not installed or do not come up."""
    from local.emulation import emulators  # noqa: PLC0415 - Google's clients are loaded only where they are used
    from local.emulation.topics import create_topics_and_subscriptions  # noqa: PLC0415
    from shared.cloud import open_backend  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        if hosts is None:
            running = stack.enter_context(emulators.running(emulators.find(), folder / "logs"))
            hosts = running.environ
        project = f"{PROJECT}-{time.time_ns() // 1_000_000}"
        environ = {**hosts, "GOOGLE_CLOUD_PROJECT": project}
        quick = topology.Delivery(ack_deadline=20.0, min_backoff=1.0, max_backoff=1.0, max_attempts=60)
        await create_topics_and_subscriptions(
            topology.load(), base_url, quick, project, host=hosts["PUBSUB_EMULATOR_HOST"]
        )
        opened = open_backend(environ)
        opened.secrets = EnvironmentSecrets(secrets)  # type: ignore[assignment]
        yield Emulated(opened, last_push, environ)


async def _until(reached: Callable[[], bool]) -> None:
    patient_until = time.monotonic() + PATIENCE
    while not reached() and time.monotonic() < patient_until:  # noqa: ASYNC110 - other processes tell no event
        await asyncio.sleep(0.05)
