"""Everything in one process: the ten functions, the embedded bus and store, the scheduler, the simulated vendors."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
from msgspec import Struct

from local import topology
from local.backend import DOCUMENTS, open_journal
from local.bus import EmbeddedBus, Pump
from local.functions import PREFIX, Router
from local.journal import Journal
from local.secrets import EnvironmentSecrets
from local.serving import bind, served, url_of
from local.store import SqliteStore
from local.vendors import (
    APP_ID,
    ENVIRONMENT,
    PROJECT,
    REPOSITORY,
    SERVICE,
    Vendors,
    made_up_secrets,
    make_keys,
    variable,
)
from shared import config, secrets, services
from shared.clock import SystemClock
from shared.pipeline import Pace
from shared.ports import Backend
from shared.settings import Settings

QUICK = topology.Delivery(ack_deadline=15.0, min_backoff=0.2, max_backoff=1.0, max_attempts=20)
"""Deliveries as in the topology, but at the pace of somebody who watches."""
PACE = Pace(redelivery=3.0, unclaimed=1.5, limit=10.0, lease=12.0, visible=1.0)
SWEEP_EVERY = 0.25
"""Seconds; a minute in the cloud."""
VENDOR_PORTS = ("github", "railway", "n8n", "telegram", "application", "people")

CONFIG = f"""
[policy]
health_path = "/health"
commit_field = "commit"
health_timeout = 2
bake = {{bake}}
poll = 0.5
verify_deadline = {{verify_deadline}}
monitor_deadline = 20
rollback_deadline = 15
merge_deadline = 20
auto_deploy = "{{auto_deploy}}"
adopt_wait = 2

[n8n]
url = "{{n8n}}"

[repositories."{REPOSITORY}".services.web]
project_id = "{PROJECT}"
service_id = "{SERVICE}"

[repositories."{REPOSITORY}".services.web.environments.production]
environment_id = "{ENVIRONMENT}"
branch = "main"
"""


class Options(Struct, frozen=True, kw_only=True):
    """How a host is to be set up. Durations in seconds."""

    port: int = 0
    """Of the functions; the vendors take the next six. 0: free ones."""
    folder: Path
    """Where the store and the journal are."""
    bake: float = 1.0
    verify_deadline: float = 5.0
    railway_pace: float = 0.25
    auto_deploy: bool = False
    copies: int = 1
    """How many times each webhook and message is delivered, shuffled when more than once."""


class Host:
    """A running emulation; `urls` has an address for everything."""

    def __init__(self, options: Options, vendors: Vendors, store: SqliteStore, journal: Journal) -> None:
        self.options = options
        self.vendors = vendors
        self.store = store
        self.journal = journal
        self.urls: dict[str, str] = {}
        self.secrets: Mapping[str, str] = {}


@contextlib.asynccontextmanager
async def running(options: Options, environ: Mapping[str, str] = os.environ) -> AsyncIterator[Host]:
    """Start everything, and stop it at the end. Secrets come from `environ` or are made up."""
    clock = SystemClock()
    keys = make_keys()
    made = {**made_up_secrets(), variable(secrets.GITHUB_APP_PRIVATE_KEY): keys.private}
    values = {name: environ.get(name) or value for name, value in made.items()}
    vendors = Vendors(clock, values, keys.public, pace=options.railway_pace)
    options.folder.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        ports = {name: options.port + 1 + at if options.port else 0 for at, name in enumerate(VENDOR_PORTS)}
        listening = bind(options.port)
        base = url_of(listening)
        vendors.webhooks_url = base
        await stack.enter_async_context(vendors.running(ports))
        store = SqliteStore(options.folder / DOCUMENTS)
        journal = open_journal(options.folder, base, QUICK)
        backend = Backend(store=store, bus=EmbeddedBus(journal, clock), secrets=EnvironmentSecrets(values), clock=clock)
        opened = _services(options, vendors, backend, base)
        services.install(opened)
        stack.callback(services.install, None)
        stack.push_async_callback(opened.close)
        await stack.enter_async_context(served((Router(topology.load()), listening)))
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=30.0))
        pump = Pump(journal, clock, client, copies=options.copies)
        await stack.enter_async_context(_background(pump.run(), _schedule(client, base)))
        host = Host(options, vendors, store, journal)
        host.secrets = values
        host.urls = {"functions": base, **vendors.urls}
        yield host


def _services(options: Options, vendors: Vendors, backend: Backend, base: str) -> services.Services:
    text = CONFIG.format(
        bake=options.bake,
        verify_deadline=options.verify_deadline,
        auto_deploy="adopt" if options.auto_deploy else "off",
        n8n=vendors.urls["n8n"],
    )
    settings = Settings(
        signalbox_backend="local.backend:open_backend",
        signalbox_console_url=base,
        signalbox_allow_loopback=True,
        github_app_id=APP_ID,
        github_api_url=vendors.urls["github"],
        railway_api_url=f"{vendors.urls['railway']}/graphql/v2",
    )
    return services.Services(settings, config.parse(text, "the emulation's signalbox.toml"), backend, pace=PACE)


@contextlib.asynccontextmanager
async def _background(*work: object) -> AsyncIterator[None]:
    """Run coroutines beside what follows, and end them with it."""
    tasks = [asyncio.ensure_future(one) for one in work]  # type: ignore[call-overload]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _schedule(client: httpx.AsyncClient, base: str) -> None:
    """Cloud Scheduler's part."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            await client.post(f"{base}{PREFIX}sweep", headers={"X-CloudScheduler": "true"})
        await asyncio.sleep(SWEEP_EVERY)
