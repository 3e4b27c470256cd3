"""An n8n, real or simulated, with the clients that are tested against it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from msgspec import Struct
from networks import straight_to
from real_n8n import RealN8n
from upstream import ANTHROPIC_KEY, BOT, GITHUB_TOKEN, Upstream

from local.emulation.secrets import EnvironmentSecrets
from local.n8n import files
from local.n8n.api import Api
from local.n8n.delivery import Server
from local.n8n.files import Document, Filling
from local.world.n8n.server import N8nWorld
from local.world.n8n.versions import Version
from local.world.telegram import TelegramWorld
from shared.clients.http import Network
from shared.clients.n8n import N8n
from shared.runtime.clock import SystemClock
from shared.runtime.secrets import Secrets

TOKEN = "the-token-of-the-webhooks-of-n8n"
CHAT = "-1001234567890"


class Bench(Struct):
    """`raw` speaks HTTP below the server's address, with the API key. `version` is n8n's."""

    version: str
    url: str
    api_key: str
    telegram: TelegramWorld
    settings: dict[str, str]
    network: Network | None
    raw: httpx.AsyncClient
    api: Api
    webhooks: N8n
    server: Server
    token: dict[str, str]

    def watch(self, watched: Callable[[Any], Any]) -> None:
        """From now on every call goes through it."""
        self.api, self.webhooks = watched(self.api), watched(self.webhooks)
        self.server = Server(self.api, self.webhooks, self.server._filling)

    @property
    def old(self) -> bool:
        """Whether it does everything before it answers, and more or less as n8n 1 did."""
        return self.version.startswith("2.8.")

    async def until_called(self, path: str, *, there: bool = True) -> None:
        """Until a call is taken at the path, or none is any more: n8n 2.41 sees to it in the background."""
        async with asyncio.timeout(120):
            while ((await self.raw.post(f"/webhook/{path}", json={})).status_code != 404) != there:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def create(self, document: Document) -> str:
        return await self.api.create(document)

    async def until_ended(self, workflow: str) -> None:
        """Its last execution: n8n answers before it has written down how it went."""
        async with asyncio.timeout(120):
            while not (found := await self.api.executions(workflow)) or not found[0].ended:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def workflow(self, stem: str) -> Document:
        """As the server has it."""
        [file] = [one for one in files.load() if one.stem == stem]
        return await self.server.find(file)


def settings_for(upstream: str) -> dict[str, str]:
    return {
        "telegram_chat_id": CHAT,
        "anthropic_model": "claude-of-the-tests",
        "anthropic_url": f"{upstream}/anthropic",
        "github_url": f"{upstream}/github",
        "repositories": "acme/shop,acme/other",
    }


def credentials_for(upstream: str) -> list[dict[str, Any]]:
    def header(name: str, field: str, value: str) -> dict[str, Any]:
        return {"name": name, "type": "httpHeaderAuth", "data": {"name": field, "value": value}}

    bot = {"accessToken": BOT, "baseUrl": f"{upstream}/telegram"}
    return [
        {
            "name": "Signalbox webhook",
            "type": "jwtAuth",
            "data": {"keyType": "passphrase", "secret": TOKEN, "algorithm": "HS256"},
        },
        header("Signalbox Anthropic", "x-api-key", ANTHROPIC_KEY),
        header("Signalbox GitHub", "Authorization", GITHUB_TOKEN),
        {"name": "Signalbox Telegram", "type": "telegramApi", "data": bot},
    ]


@asynccontextmanager
async def open_bench(
    version: str,
    url: str,
    api_key: str,
    telegram: TelegramWorld,
    upstream: str,
    network: Network | None = None,
) -> AsyncIterator[Bench]:
    """With the credentials made that are missing."""
    token = {"N8N_API": TOKEN}
    api = Api(url=url, key=api_key, network=network)
    webhooks = N8n(url=url, secrets=Secrets(EnvironmentSecrets(token), SystemClock()), network=network)
    transport = straight_to(network) if network else None
    headers = {"X-N8N-API-KEY": api_key}
    async with httpx.AsyncClient(base_url=url, headers=headers, transport=transport, timeout=30.0) as raw:
        known = {credential.name for credential in await api.credentials()}
        for credential in credentials_for(upstream):
            if credential["name"] not in known:
                (await raw.post("/api/v1/credentials", json=credential)).raise_for_status()
        settings = settings_for(upstream)
        filling = Filling(settings=settings, credentials=await api.credentials())
        server = Server(api, webhooks, filling)
        yield Bench(version, url, api_key, telegram, settings, network, raw, api, webhooks, server, token)
    await api.close()
    await webhooks.close()


@asynccontextmanager
async def simulated(version: Version) -> AsyncIterator[Bench]:
    telegram, key = TelegramWorld(token=BOT), "an-api-key"
    world = N8nWorld(token=TOKEN, path=None, telegram=telegram, api_key=key, chat=CHAT, version=version)
    async with open_bench(version, "http://n8n.test", key, telegram, "http://nowhere.test", world.app) as bench:
        await bench.server.push(files.load())
        yield bench


@asynccontextmanager
async def real(server: RealN8n, upstream: Upstream) -> AsyncIterator[Bench]:
    """The workflows are pushed once: a test that changes one puts it back."""
    async with open_bench(server.release.version, server.url, server.api_key, upstream.telegram, upstream.url) as bench:
        if not server.furnished:
            await bench.server.push(files.load())
            server.furnished = True
        yield bench
