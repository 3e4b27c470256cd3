"""The n8n that the operator's environment and signalbox.toml name."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from local.emulation.secrets import EnvironmentSecrets
from local.n8n import files
from local.n8n.api import Api
from local.n8n.delivery import Server
from local.n8n.files import Filling
from local.operating.workplace import PROJECT
from shared.clients.n8n import N8n
from shared.errors import ConfigError
from shared.runtime import config, forgiving
from shared.runtime.clock import SystemClock
from shared.runtime.redaction import remember
from shared.runtime.secrets import Secrets
from shared.runtime.services import open_backend
from shared.runtime.settings import Settings, read

if TYPE_CHECKING:
    from shared.clients.http import Network

API_KEY = "N8N_API_KEY"
"""Environment variable: an API key of n8n. No function needs one, so it is no secret of the project's."""
TOKEN = "N8N_API"


@contextlib.asynccontextmanager
async def opened(folder: Path, environ: Mapping[str, str], *, network: Network | None = None) -> AsyncIterator[Server]:
    """Raises ConfigError that says what is not set."""
    settings = read(environ)
    own = config.load(Path(settings.signalbox_config))
    configured = own.n8n
    if configured is None:
        raise ConfigError(f"{settings.signalbox_config}: has no table [n8n]: give it the url of your n8n")
    key = forgiving.token(environ.get(API_KEY, ""))
    if not key:
        raise ConfigError(
            f"environment variable {API_KEY}: set it to an API key of {configured.url} (Settings, n8n API)"
        )
    remember(key)
    async with contextlib.AsyncExitStack() as stack:
        api = Api(url=configured.url, key=key, network=network)
        stack.push_async_callback(api.close)
        secrets = await _secrets(settings, environ, stack)
        webhooks = N8n(url=configured.url, secrets=secrets, network=network)
        stack.push_async_callback(webhooks.close)
        filling = Filling(
            settings=files.load_settings(folder) | {"repositories": _repositories(own)},
            credentials=await api.credentials(),
            paths=files.paths_of(configured),
        )
        yield Server(api, webhooks, filling)


def _repositories(own: config.Config) -> str:
    """Those alone are written to by the workflows."""
    return ",".join(dict.fromkeys(target.repository for target in own.targets))


async def _secrets(settings: Settings, environ: Mapping[str, str], stack: contextlib.AsyncExitStack) -> Secrets:
    """Of the environment; of the project only where that names one and the variable is not set."""
    clock = SystemClock()
    if environ.get(TOKEN) or not environ.get(PROJECT):
        return Secrets(EnvironmentSecrets(environ), clock)
    backend = open_backend(settings, environ)
    stack.push_async_callback(backend.bus.close)
    stack.push_async_callback(backend.store.close)
    return Secrets(backend.secrets, clock)
