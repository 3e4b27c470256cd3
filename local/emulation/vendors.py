"""The simulated vendors on loopback ports: as vendors are, on the network, with time going by."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack

import httpx

from local.emulation.serving import bind, served, served_by, url_of
from local.world.people import People
from local.world.vendors import Vendors
from shared.clients.http import Network
from shared.core.target_config import TargetConfig
from shared.runtime.config import Config
from shared.runtime.ports import Clock

TICK = 0.02


class ServedVendors(Vendors):
    """Each vendor and application on a port of its own.

    `urls` names the first target's application `application`, and others `application SERVICE/ENVIRONMENT`, with the
    repository before it where there is more than one.
    """

    def __init__(
        self, clock: Clock, values: Mapping[str, str], public_key: str, configured: Config, *, pace: float
    ) -> None:
        super().__init__(configured, values, clock=clock, deliver=self._post, pace=pace, public_key=public_key)
        self.webhooks_url = ""
        """Where GitHub and Railway send their webhooks; to be set before any is due."""
        self._client = httpx.AsyncClient(timeout=10.0, trust_env=False)
        self._names = dict(zip(_names(configured.targets), configured.targets, strict=True))
        self.push_what_is_merged()
        self.urls: dict[str, str] = {}

    @property
    def port_names(self) -> list[str]:
        """In the order in which they take ports that follow each other."""
        return ["github", "railway", "n8n", "telegram", "application", "people", *list(self._names)[1:]]

    @contextlib.asynccontextmanager
    async def running(self, ports: Mapping[str, int]) -> AsyncIterator[None]:
        """Serve them, on the given or on free ports, and let time pass for them."""
        networks: dict[str, Network] = {
            "github": self.github.app,
            "railway": self.railway.app,
            "n8n": self.n8n.app,
            "telegram": self.telegram.app,
            "people": People(self.github, self.railway, self.configured.targets).app,
            **{name: self.applications[target.id] for name, target in self._names.items()},
        }
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            listening = {name: self._bound(stack, ports.get(name, 0)) for name in networks}
            self.urls = {name: url_of(bound) for name, bound in listening.items()}
            apps = [(served_by(networks[name]), bound) for name, bound in listening.items()]
            await stack.enter_async_context(served(*apps))
            ticking = asyncio.create_task(self._tick_along())
            try:
                yield
            finally:
                ticking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ticking

    def furnish(self, *, serving_commit: str | None, domain: str | None = None) -> None:
        """The repositories, their people, and the services; `domain` where it is not the application's own."""
        self.github.webhooks.url = f"{self.webhooks_url}/github-webhook"
        own = {target.id: self.urls[name].removeprefix("http://") for name, target in self._names.items()}
        self.add_services(serving_commit=serving_commit, domain=lambda target: domain or own[target.id])

    @staticmethod
    def _bound(stack: AsyncExitStack, port: int) -> socket.socket:
        """Closed at the end also when another one's port is taken."""
        listening = bind(port)
        stack.callback(listening.close)
        return listening

    async def _tick_along(self) -> None:
        while True:
            await self.github.tick()
            await self.railway.tick()
            await asyncio.sleep(TICK)

    async def _post(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        answer = await self._client.post(self.webhooks_url + path, headers=headers, content=body)
        return answer.status_code


def _names(targets: Sequence[TargetConfig]) -> list[str]:
    """What the applications are called: `application` and, from the second on, by their targets."""
    several = len({target.repository for target in targets}) > 1
    others = [f"{target.repository} {target.name}" if several else target.name for target in targets[1:]]
    return ["application", *(f"application {other}" for other in others)][: len(targets)]
