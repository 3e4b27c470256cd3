"""Where a simulation takes place: the configuration, the vendors, and the instances that run the functions."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from datetime import timedelta
from functools import cache
from types import ModuleType
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from local import topology
from local.emulation.secrets import EnvironmentSecrets
from local.simulation.bus import Post, TroubledBus
from local.simulation.chance import Chance
from local.simulation.execution import START, LoopClock, current
from local.simulation.store import MemoryStore, TroubledStore
from local.simulation.wire import Watch, Wire, host_of
from local.world import vendors
from local.world.n8n.versions import OLDEST
from local.world.railway.deployment import CustomDomain
from local.world.vendors import APP_ID, PROJECT, REPOSITORY, Deliver, variable
from shared.clients.http import Network
from shared.clients.http import Request as HttpRequest
from shared.clients.http import Response as HttpResponse
from shared.core.target_config import RAILWAY_API, TargetConfig
from shared.runtime import config, secrets, services
from shared.runtime.ports import Backend
from shared.runtime.services import Services
from shared.runtime.settings import Settings

Function = Callable[[Request], Awaitable[Response]]
SECRETS_BEGIN = "simulated-"
OWN_TOKENS = {"production": "RAILWAY-PRODUCTION", "staging": "RAILWAY-STAGING"}
"""By environment, the secret that holds its own project token on some days."""
SECRETS = {
    variable(name): f"{SECRETS_BEGIN}{name.lower()}-0123456789" for name in (*secrets.NAMES, *OWN_TOKENS.values())
}
FIRST_COMMIT = "0" * 40
_INSTANCES = 3
_POISONED = ("merge", "deploy", "monitor", "verify", "rollback", "probe", "probe", *[None] * 45)
_REFUSING = ("deploy", "monitor", "verify", "rollback", *[None] * 46)
_NULLS = ("github", "railway", *[None] * 18)
_SKEW = 3.0
"""Seconds that an instance's clock may be off, either way."""
LABEL = "ship it"
PARALLEL_DAYS = 0.3
"""Of those with two environments, on which they have no order."""
LABEL_DAYS = 0.2
"""The share of days on which it asks for deployments."""
OWN_TOKEN_DAYS = 0.4
"""On which each environment has a token of its own, and nobody has an account token."""
CONFIG_FILE_DAYS = 0.2
"""On which the health check stands in railway.json alone, and Railway stops reading it at some time of the day."""
_CONFIG = """
[policy]
commit_field = "commit"
failure_threshold = 2
queue_deadline = 1800
merge_deadline = 900
monitor_deadline = 300
rollback_deadline = 600
adopt_wait = 20
{policy}
[n8n]
url = "https://n8n.test"
{services}
"""
_SERVICE = """
[repositories."{repository}".services.{service}]
project_id = "{project}"
service_id = "service-{service}"
"""
_ENVIRONMENT = """
[repositories."{repository}".services.{service}.environments.{environment}]
environment_id = "environment-{environment}"
{token}
{order}
"""


class Weather(Struct, frozen=True):
    """How bad it is, as factors on the odds, for each of the parts that may fail."""

    store: float
    bus: float
    vendors: float
    delivery: float
    webhooks: float
    poisoned: str | None
    """A function, or the health probe, that cannot do its work all day."""
    refusing: str | None
    """A function that Railway refuses everything all day."""
    nulls: str | None = None
    """A vendor in whose lists there is a null all day, and in the evening."""


def weather_of(chance: Chance) -> Weather:
    """Each part by itself is fine, ordinary or awful: failures of one kind are found best among few of the others."""
    factors = (0.0, 0.5, 1.0, 1.0, 3.0)
    special = ("poisoned", "refusing", "nulls")
    parts = {name: chance.pick("weather", factors) for name in Weather.__struct_fields__ if name not in special}
    poisoned = chance.pick("poisoned", _POISONED)
    if poisoned is not None and not chance.occurs("poisoned", poisoned):
        poisoned = None
    refusing = chance.pick("refusing", _REFUSING)
    if refusing is not None and not chance.occurs("refusing", refusing):
        refusing = None
    nulls = chance.pick("nulls", _NULLS)
    if nulls is not None and not chance.occurs("nulls", nulls):
        nulls = None
    return Weather(**parts, poisoned=poisoned, refusing=refusing, nulls=nulls)


def configuration(chance: Chance) -> config.Config:
    rules: dict[str, Any] = {
        "bake": chance.pick("policy bake", (0, 30, 60)),
        "poll": chance.pick("policy poll", (20, 30)),
        "verify_deadline": chance.pick("policy verify", (90, 300)),
        "hold_after_rollbacks": chance.pick("policy hold", (0, 1, 1)),
        "max_attempts": chance.pick("policy attempts", (2, 3, 5, 10)),
        "auto_deploy": chance.pick("policy auto-deploy", ('"off"', '"off"', '"adopt"')),
        "rollback": chance.pick("policy rollback", ('"automatic"',) * 5 + ('"off"',)),
        "probation": chance.pick("policy probation", (0, 0, 900)),
        "refusal_patience": chance.pick("policy refusals", (60, 60, 120)),
        "automatic": chance.pick("policy automatic", ("true",) * 5 + ("false",)),
    }
    rules["settle"] = chance.pick("policy settle", (30, 60, 60))
    rules["update_branch"] = chance.pick("policy update", ("true", "false"))
    if chance.number("policy required", 0, 1) < 0.1:
        rules["required_checks"] = '["test"]'
    if chance.number("policy label", 0, 1) < LABEL_DAYS:
        rules["deploy_label"] = f'"{LABEL}"'
    places = {"web": ["production"]}
    if chance.number("places staging", 0, 1) < 0.25:
        places["web"].append("staging")
    if chance.number("places service", 0, 1) < 0.25:
        places["api"] = ["production"]
    names_paths = chance.number("places paths", 0, 1) < 0.15
    own_tokens = chance.number("own tokens", 0, 1) < OWN_TOKEN_DAYS
    tables, in_order = [], _order(chance) if "staging" in places["web"] else {}
    for service, environments in places.items():
        tables.append(_SERVICE.format(repository=REPOSITORY, service=service, project=PROJECT))
        if names_paths:
            tables.append(f'paths = ["{service}/**", "common/**"]\n')
        named = {"repository": REPOSITORY, "service": service}
        for environment in environments:
            token = f'railway_token_secret = "{OWN_TOKENS[environment]}"' if own_tokens else ""
            order = in_order.get(environment, "") if len(environments) > 1 else ""
            tables.append(_ENVIRONMENT.format(environment=environment, token=token, order=order, **named))
    policy = "\n".join(f"{name} = {value}" for name, value in rules.items())
    return config.parse(_CONFIG.format(policy=policy, services="".join(tables)), "simulated signalbox.toml")


def _order(chance: Chance) -> dict[str, str]:
    """On most days production comes after staging, by itself or by command; on the others both are deployed at once."""
    if chance.number("places order", 0, 1) < PARALLEL_DAYS:
        return dict.fromkeys(("staging", "production"), "parallel = true")
    promotion = chance.pick("policy promotion", ("automatic", "automatic", "command"))
    wait = chance.pick("policy promote after", (0, 0, 120))
    rules = ('after = "staging"', 'policy.auto_deploy = "off"', f'policy.promotion = "{promotion}"')
    return {"production": "\n".join((*rules, f"policy.promote_after = {wait}"))}


class Vendors(vendors.Vendors):
    """The simulated vendors, on the loop's time. The witness passes on to Railway what is merged on GitHub."""

    def __init__(self, configured: config.Config, deliver: Deliver) -> None:
        super().__init__(configured, SECRETS, clock=LoopClock(), deliver=deliver, pace=8.0, n8n=OLDEST)
        if RAILWAY_API not in configured.secrets:
            self.railway.token_kind = "project"
        self.add_services(serving_commit=FIRST_COMMIT, domain=_domain)
        self.repository = self.github.repository(REPOSITORY)
        """The one that is deployed from, whatever it is called by now."""
        self._by_host = {_domain(target): self.applications[target.id] for target in configured.targets}

    def add_domain(self, place: TargetConfig, custom: CustomDomain) -> None:
        """Also answered by the service's application, which knows what answers there when it leads elsewhere."""
        service = self.railway.service(place.service_id, place.environment_id)
        service.custom_domains.append(custom)
        self._by_host[custom.domain] = self.applications[place.id]

    def is_application(self, host: str) -> bool:
        """Whether one of the services answers there."""
        return host in self._by_host

    def stop_reading_config_files(self, seconds: float) -> None:
        """After so long. Until then the health check of every service stands in such a file, and nowhere else."""
        self.railway.config_files_until = START + timedelta(seconds=seconds)
        for service in self.railway.services:
            service.config_file, service.file_healthcheck_path = "/railway.json", service.healthcheck_path
            service.healthcheck_path = None

    async def edge(self, sent: HttpRequest) -> HttpResponse:
        """All the applications, by their hosts."""
        return await self._by_host[host_of(sent)](sent)


def _domain(target: TargetConfig) -> str:
    return f"{target.service}-{target.environment}.up.railway.app"


_here: ContextVar[Services] = ContextVar("simulated_instance")


class _Here:
    """Stands for the services of whichever instance runs the present execution."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_here.get(), name)


class Instances:
    """A few processes, each with its own clock and memory; one that died starts anew with neither."""

    def __init__(
        self,
        configured: config.Config,
        there: Vendors,
        store: MemoryStore,
        post: Post,
        chance: Chance,
        weather: Weather,
        watch: Watch,
    ) -> None:
        self._configured = configured
        self._store = TroubledStore(store, chance, weather.store)
        self._bus = TroubledBus(post, chance, weather.bus)
        vendor_apps = {"github": there.github.app, "railway": there.railway.app, "n8n": there.n8n.app}
        self._networks: dict[str, Network] = {
            name: Wire(
                name,
                app.undisturbed,
                chance,
                watch,
                weather.vendors,
                weather.poisoned,
                weather.refusing,
                nulls=weather.nulls == name,
            )
            for name, app in vendor_apps.items()
        }
        self._networks["probe"] = Wire("application", there.edge, chance, watch, weather.vendors, weather.poisoned)
        self._chance = chance
        self._names = itertools.count(1)
        self._running = [self._start() for _ in range(_INSTANCES)]

    def any(self) -> int:
        return self._chance.pick("instance", range(_INSTANCES))

    def die(self, instance: int) -> None:
        self._running[instance] = self._start()

    async def call(self, instance: int, function: str, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """One HTTP request to a function on the instance; its status. Raises Crash."""
        token = _here.set(self._running[instance])
        try:
            return (await _function(function)(_request(path, headers, body))).status_code
        finally:
            _here.reset(token)

    def _start(self) -> Services:
        clock = LoopClock(self._chance.number("skew", -_SKEW, _SKEW))
        return Services(
            Settings(github_app_id=APP_ID, signalbox_console_url="https://console.test"),
            self._configured,
            Backend(store=self._store, bus=self._bus, secrets=EnvironmentSecrets(SECRETS), clock=clock),
            networks=self._networks,
            token=self._token,
        )

    def _token(self) -> str:
        current.get().token = f"worker-{next(self._names)}"
        return current.get().token


def _function(name: str) -> Function:
    """As deployed, without the framework's server around it."""
    return getattr(module(name), name)  # type: ignore[no-any-return]


@cache
def module(name: str) -> ModuleType:
    """A function's main.py; it is loaded with the services in place."""
    before = services._current  # noqa: SLF001 - put back
    install()
    try:
        return importlib.import_module(f"functions.{name}.main")
    finally:
        services.install(before)


def install() -> None:
    """The functions find the present instance by this."""
    services.install(_Here())  # type: ignore[arg-type]


@cache
def subscribers() -> dict[str, str]:
    """The function that subscribes to a topic."""
    return {one.subscribes: one.name for one in read_topology().functions if one.subscribes}


@cache
def read_topology() -> topology.Topology:
    return topology.load()


def _request(path: str, headers: Mapping[str, str], body: bytes) -> Request:
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    request = Request(scope)
    request._body = body  # noqa: SLF001 - it need not be waited for
    return request
