"""What one function instance has: settings, configuration, backend and clients, each made when first used."""

from __future__ import annotations

import asyncio
import importlib
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from shared.core.outcome import Message
from shared.core.pipeline import Pace, Terms
from shared.core.policy import Policy
from shared.core.target_config import RailwayToken, TargetConfig
from shared.errors import ConfigError, TransientError
from shared.runtime import config, envelope, log, settings
from shared.runtime.ports import Backend, Bus, Store
from shared.runtime.secrets import Secrets

if TYPE_CHECKING:
    from shared.clients.github.client import GitHub
    from shared.clients.google_keys import GoogleKeys
    from shared.clients.http import Network
    from shared.clients.n8n import N8n
    from shared.clients.probe import Probe
    from shared.clients.railway.client import Railway
    from shared.runs.repositories import Repositories


T = TypeVar("T")
LEASE_PER_LIMIT = 1.2
"""Whoever is stopped at the limit has that much time to save what became of it, before others may come."""


class Services:
    """Per instance, shared by its requests. `networks` replace the network in tests, by client name."""

    def __init__(
        self,
        settings: settings.Settings,
        config: config.Config,
        backend: Backend,
        *,
        networks: Mapping[str, Network] | None = None,
        token: Callable[[], str] = lambda: uuid.uuid4().hex,
        pace: Pace | None = None,
    ) -> None:
        self.settings = settings
        self.config = config
        self.clock = backend.clock
        self.token = token
        """Makes names of workers, no two alike."""
        self.pace = pace or Pace(
            redelivery=settings.signalbox_redelivery,
            unclaimed=settings.signalbox_unclaimed,
            limit=settings.signalbox_limit,
            lease=settings.signalbox_limit * LEASE_PER_LIMIT,
            visible=settings.signalbox_visible,
        )
        self._kept: dict[type, object] = {}
        self._backend = backend
        self._networks = dict(networks or {})

    @property
    def store(self) -> Store:
        return self._backend.store

    @property
    def bus(self) -> Bus:
        return self._backend.bus

    @cached_property
    def secrets(self) -> Secrets:
        return Secrets(self._backend.secrets, self.clock)

    def kept(self, kind: type[T]) -> T:
        """What a function remembers for as long as the instance lives, made at first use: its own affair."""
        return cast(T, self._kept.setdefault(kind, kind()))

    @cached_property
    def github(self) -> GitHub:
        from shared.clients.github.client import GitHub  # noqa: PLC0415 - only functions that call GitHub pay for it

        return GitHub(
            base_url=self.settings.github_api_url,
            app_id=self.settings.github_app_id,
            secrets=self.secrets,
            clock=self.clock,
            identify=self.repositories.of,
            network=self._networks.get("github"),
        )

    def railway_for(self, target_config: TargetConfig) -> Railway:
        """Railway, asked with the token of the target's own environment: there is no other way to ask it."""
        return self.railway_with(target_config.railway_token)

    def railway_with(self, token: RailwayToken) -> Railway:
        return self._railway.using(token.secret, token.kind)

    @cached_property
    def repositories(self) -> Repositories:
        from shared.runs.repositories import Repositories  # noqa: PLC0415 - as above

        return Repositories(self)

    @cached_property
    def _railway(self) -> Railway:
        from shared.clients.railway.client import Railway  # noqa: PLC0415 - as above

        return Railway(
            url=self.settings.railway_api_url,
            token_kind=RailwayToken().kind,
            secrets=self.secrets,
            network=self._networks.get("railway"),
        )

    @cached_property
    def n8n(self) -> N8n | None:
        """None when signalbox.toml names no n8n."""
        from shared.clients.n8n import N8n  # noqa: PLC0415 - as above

        if self.config.n8n is None:
            return None
        return N8n(url=self.config.n8n.url, secrets=self.secrets, network=self._networks.get("n8n"))

    @cached_property
    def probe(self) -> Probe:
        from shared.clients.probe import Probe  # noqa: PLC0415 - as above

        return Probe(allow_loopback=self.settings.signalbox_allow_loopback, network=self._networks.get("probe"))

    @cached_property
    def google_keys(self) -> GoogleKeys:
        from shared.clients.google_keys import GoogleKeys  # noqa: PLC0415 - as above

        return GoogleKeys(clock=self.clock, network=self._networks.get("google"))

    def terms(self, target: str) -> Terms:
        """What a run of the target is judged by now; the default policy for a target that is no longer configured."""
        configured = self.config.target(target)
        policy = configured.policy if configured else Policy()
        return Terms(self.clock.now(), policy, self.pace, self.config.followers(target))

    async def publish(self, messages: Iterable[Message]) -> bool:
        """Send stage messages; False when the bus could not take one, which the sweep repairs by `wake_at`."""
        try:
            await asyncio.gather(*(self._publish(message) for message in messages))
        except TransientError as error:
            log.warning("a stage message could not be published; the sweep will", reason=str(error))
            return False
        return True

    async def _publish(self, message: Message) -> None:
        about = {"run_id": message.run_id} if message.run_id else {"target_id": message.target_id or ""}
        await self.bus.publish(message.stage, envelope.encode(message), {"stage": message.stage, **about})

    async def close(self) -> None:
        """Close what was opened, and forget what opens anything else."""
        if "secrets" in self.__dict__:
            self.secrets.clear()
        for name in ("github", "_railway", "n8n", "probe", "google_keys"):
            client = self.__dict__.get(name)
            if client is not None:
                await client.close()
        await self._backend.close()


def open_services(environ: Mapping[str, str]) -> Services:
    """Raises ConfigError that says what is wrong with the environment or signalbox.toml."""
    read = settings.read(environ)
    return Services(read, config.load(Path(read.signalbox_config)), open_backend(read, environ))


FORMER_BACKENDS = {"local.backend": "local.emulation.backend"}
"""What SIGNALBOX_BACKEND may still call them."""


def open_backend(read: settings.Settings, environ: Mapping[str, str]) -> Backend:
    """The backend that SIGNALBOX_BACKEND names. Raises ConfigError."""
    module, _, name = read.signalbox_backend.partition(":")
    if module in FORMER_BACKENDS:
        log.warning("a backend has another name now", former=module, name=FORMER_BACKENDS[module])
        module = FORMER_BACKENDS[module]
    try:
        factory: Callable[[Mapping[str, str]], Backend] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"SIGNALBOX_BACKEND {read.signalbox_backend!r}: {error}") from error
    return factory(environ)


_current: Services | None = None


def current() -> Services:
    """This instance's services, opened at first use. Raises ConfigError."""
    global _current  # noqa: PLW0603 - the one per-instance state
    if _current is None:
        _current = open_services(os.environ)
    return _current


def install(services: Services | None) -> None:
    """Make these the instance's services; None opens them again at next use."""
    global _current  # noqa: PLW0603 - the one per-instance state
    _current = services


DEPLOYED = "K_SERVICE"
"""Environment variable that Cloud Run sets (cloud.google.com/run/docs/container-contract#services-env-vars)."""


def prepare(*, called: bool = False) -> None:
    """Called when a function's module is loaded: set up logging, and refuse to start on a wrong configuration.

    `called`: by a subscription or a schedule, which a deployed function has to be told the account of. Where services
    are installed already, whoever did so has seen to all this. Raises ConfigError.
    """
    if _current is not None:
        return
    read = settings.read(os.environ)
    log.configure(read)
    config.load(Path(read.signalbox_config))
    if called and not (read.signalbox_caller and read.signalbox_audience):
        if os.environ.get(DEPLOYED):
            raise ConfigError(
                "environment variables SIGNALBOX_CALLER and SIGNALBOX_AUDIENCE: name who calls this function, and for"
                " which address; `terraform apply` sets both"
            )
        log.warning("every caller is served: no SIGNALBOX_CALLER is set, as in the local emulation")
