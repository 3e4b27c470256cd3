"""Everything in one process: the ten functions, the embedded bus and store, the scheduler, the simulated vendors."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import httpx
from msgspec import Struct

from local import topology
from local.demo.duplicator import Storm
from local.emulation import played_config
from local.emulation.backends import Engine, Kind, embedded, emulated
from local.emulation.functions import PREFIX, Router
from local.emulation.serving import bind, served, url_of
from local.emulation.vendors import ServedVendors
from local.operating.workplace import Left, leave_behind
from local.world.vendors import (
    APP_ID,
    ENVIRONMENT,
    PROJECT,
    REPOSITORY,
    SERVICE,
    TOKEN_SECRET,
    made_up_secrets,
    make_keys,
    variable,
)
from shared.runtime import config, secrets, services
from shared.runtime.clock import SystemClock
from shared.runtime.ports import Store
from shared.runtime.settings import Settings

SWEEP_EVERY = 0.25
"""Seconds; a minute in the cloud."""
NOWHERE = "http://127.0.0.1:1"

SOURCE = "the emulation's signalbox.toml"
CONFIG = f"""
[policy]
health_path = "/health"
commit_field = "commit"
health_timeout = 2
bake = {{bake}}
poll = 0.5
settle = {{settle}}
verify_deadline = {{verify_deadline}}
monitor_deadline = 120
rollback_deadline = 90
merge_deadline = 120
auto_deploy = "{{auto_deploy}}"
deploy_label = "ship it"
adopt_wait = 2
refusal_patience = 2

[n8n]
url = "{{n8n}}"

[repositories."{REPOSITORY}".services.web]
project_id = "{PROJECT}"
service_id = "{SERVICE}"
{{of_web}}

[repositories."{REPOSITORY}".services.web.environments.production]
environment_id = "{ENVIRONMENT}"
railway_token_secret = "{TOKEN_SECRET}"
branch = "main"
{{of_production}}

{{more}}
"""
Layout = Literal["one target", "in order", "two services"]
LAYOUTS: Mapping[Layout, Mapping[str, str]] = {
    "one target": {"of_web": "", "of_production": "", "more": ""},
    "in order": {
        "of_web": "",
        "of_production": 'after = "staging"',
        "more": f"""
[repositories."{REPOSITORY}".services.web.environments.staging]
environment_id = "environment-staging"
railway_token_secret = "RAILWAY-STAGING"
""",
    },
    "two services": {
        "of_web": 'paths = ["web/**", "common/**"]',
        "of_production": "",
        "more": f"""
[repositories."{REPOSITORY}".services.api]
project_id = "{PROJECT}"
service_id = "service-api"
paths = ["api/**", "common/**"]

[repositories."{REPOSITORY}".services.api.environments.production]
environment_id = "{ENVIRONMENT}"
railway_token_secret = "{TOKEN_SECRET}"
""",
    },
}
"""What there is to deploy to, beside production of `web`."""


class Played(Struct, frozen=True):
    """Somebody's own signalbox.toml: its text and where it is from. `real_time`: its times are kept."""

    text: str
    source: str
    real_time: bool = False


class Options(Struct, frozen=True, kw_only=True):
    """How a host is to be set up. Durations in seconds."""

    port: int = 0
    """Of the functions; the vendors take the next six, and one more for each target after the first. 0: free ones."""
    played: Played | None = None
    """None: the settings of the scenarios, with the other options here."""
    folder: Path
    """For the store, the journal and logs."""
    backend: Kind = "embedded"
    emulators: Mapping[str, str] | None = None
    """Where emulators run already, by Google's environment variables; they are started otherwise."""
    bake: float = 1.0
    settle: float = 0.0
    """In the simulated world a check is there as soon as it begins, but where a scenario has it otherwise."""
    verify_deadline: float = 90.0
    railway_pace: float = 0.25
    auto_deploy: bool = False
    layout: Layout = "one target"
    copies: int = 1
    """How many times each webhook and message is delivered, shuffled when more than once."""


class Host:
    """A running emulation; `urls` has an address for everything."""

    def __init__(
        self,
        options: Options,
        engine: Engine,
        vendors: ServedVendors,
        urls: Mapping[str, str],
        secrets: Mapping[str, str],
    ) -> None:
        self.options = options
        self.engine = engine
        self.vendors = vendors
        self.urls = urls
        self.secrets = secrets

    @property
    def store(self) -> Store:
        return self.engine.backend.store


@contextlib.asynccontextmanager
async def running(options: Options, environ: Mapping[str, str] = os.environ) -> AsyncIterator[Host]:
    """Start everything, and stop it at the end. Secrets come from `environ` or are made up.

    Raises OSError when a port is taken, ConfigError when the emulators are not to be had.
    """
    keys, configured = make_keys(), configuration(options)
    made = {**made_up_secrets(*configured.secrets), variable(secrets.GITHUB_APP_PRIVATE_KEY): keys.private}
    values = {name: environ.get(name) or value for name, value in made.items()}
    vendors = ServedVendors(SystemClock(), values, keys.public, configured, pace=options.railway_pace)
    async with AsyncExitStack() as stack:
        ports = {name: options.port + 1 + at if options.port else 0 for at, name in enumerate(vendors.port_names)}
        listening = bind(options.port)
        stack.callback(listening.close)
        base = vendors.webhooks_url = url_of(listening)
        await stack.enter_async_context(vendors.running(ports))
        storm = Storm(options.copies)
        engine = await stack.enter_async_context(_engine(options, base, values, storm))
        opened = _services(options, vendors, engine, base)
        services.install(opened)
        stack.push_async_callback(opened.close)
        stack.callback(services.install, None)
        storm.app = Router(topology.load())
        await stack.enter_async_context(served((storm, listening)))
        await stack.enter_async_context(_schedule(base))
        yield Host(options, engine, vendors, {"functions": base, **vendors.urls}, values)


@contextlib.asynccontextmanager
async def _engine(options: Options, base: str, values: Mapping[str, str], storm: Storm) -> AsyncIterator[Engine]:
    if options.backend == "embedded":
        async with embedded(options.folder, base, values) as engine:
            yield engine
    else:
        async with emulated(options.folder, base, values, lambda: storm.last_call, options.emulators) as emulation:
            yield emulation


def _services(options: Options, vendors: ServedVendors, engine: Engine, base: str) -> services.Services:
    text = _configuration(options, vendors.urls["n8n"])
    settings = Settings(
        signalbox_backend=options.backend,
        signalbox_console_url=base,
        signalbox_allow_loopback=True,
        github_app_id=APP_ID,
        github_api_url=vendors.urls["github"],
        railway_api_url=f"{vendors.urls['railway']}/graphql/v2",
    )
    left = Left(backend=options.backend, environ=dict(engine.environ), pace=engine.pace, people=vendors.urls["people"])
    leave_behind(options.folder, left, text)
    return services.Services(settings, config.parse(text, SOURCE), engine.backend, pace=engine.pace)


def configuration(options: Options) -> config.Config:
    """What is to be played, before anything has an address. Raises ConfigError."""
    return config.parse(_configuration(options, NOWHERE), SOURCE)


def _configuration(options: Options, n8n: str) -> str:
    """Raises ConfigError."""
    if options.played is not None:
        own = options.played
        config.parse(own.text, own.source)  # so that a problem names the file and the values that are in it
        return played_config.emulated(own.text, own.source, n8n=n8n, real_time=own.real_time)
    return CONFIG.format(
        bake=options.bake,
        settle=options.settle,
        verify_deadline=options.verify_deadline,
        auto_deploy="adopt" if options.auto_deploy else "off",
        n8n=n8n,
        **LAYOUTS[options.layout],
    )


@contextlib.asynccontextmanager
async def _schedule(base: str) -> AsyncIterator[None]:
    """Cloud Scheduler's part."""

    async def sweep_along(client: httpx.AsyncClient) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError):
                await client.post(f"{base}{PREFIX}sweep", headers={"X-CloudScheduler": "true"})
            await asyncio.sleep(SWEEP_EVERY)

    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        sweeping = asyncio.create_task(sweep_along(client))
        try:
            yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
