"""The simulated vendors together, knowing each other: a merge on GitHub is a push to Railway, n8n tells Telegram."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Struct
from starlette.types import ASGIApp

from local.serving import bind, served, url_of
from local.world.application import Application
from local.world.github import GitHubWorld
from local.world.n8n import N8nWorld
from local.world.people import People
from local.world.railway import RailwayWorld
from local.world.telegram import TelegramWorld
from shared import secrets
from shared.ports import Clock

REPOSITORY = "acme/shop"
PROJECT, SERVICE, ENVIRONMENT = "project-acme", "service-web", "environment-production"
APP_ID = "123456"
PEOPLE = {"ada": "admin", "grace": "write", "mallory": "read"}
TICK = 0.02


class Keys(Struct, frozen=True):
    """A GitHub App's key pair, as PEM."""

    private: str
    public: str


def make_keys() -> Keys:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return Keys(
        private=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ).decode(),
        public=key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


def made_up_secrets() -> dict[str, str]:
    """Values for every secret, as environment variables; no two processes make the same."""
    made = {name: f"local-{name.lower()}-{random.SystemRandom().getrandbits(96):024x}" for name in secrets.NAMES}
    return {variable(name): value for name, value in made.items()}


def variable(name: str) -> str:
    """The environment variable that holds a secret locally."""
    return name.upper().replace("-", "_")


class Vendors:
    """GitHub, Railway, n8n, Telegram and the user's application, each on a loopback port of its own."""

    def __init__(self, clock: Clock, values: Mapping[str, str], public_key: str, *, pace: float) -> None:
        """`values`: the secrets by environment variable; `pace`: seconds per phase of a Railway deployment."""
        self.webhooks_url = ""
        """Where GitHub and Railway send their webhooks; to be set before any is due."""
        self._client = httpx.AsyncClient(timeout=10.0, trust_env=False)
        self.github = GitHubWorld(
            clock=clock,
            webhook_secret=values[variable(secrets.GITHUB_WEBHOOK_SECRET)],
            app_id=APP_ID,
            public_key_pem=public_key,
            deliver=self._to_github_webhook,
        )
        self.railway = RailwayWorld(
            clock=clock,
            token=values[variable(secrets.RAILWAY_API)],
            webhook_secret=values[variable(secrets.RAILWAY_WEBHOOK_SECRET)],
            deliver=self._to_railway_webhook,
            pace=pace,
        )
        self.telegram = TelegramWorld(token="12345:local-telegram-token")  # noqa: S106 - no real one
        self.n8n = N8nWorld(token=values[variable(secrets.N8N_API)], telegram=self.telegram)
        self.application = Application(self.railway, service_id=SERVICE, environment_id=ENVIRONMENT)
        self.github.on_merge.append(self._pushed)
        self.urls: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def running(self, ports: Mapping[str, int]) -> AsyncIterator[None]:
        """Serve them, on the given or on free ports, and let time pass for them."""
        apps: dict[str, ASGIApp] = {
            "github": self.github.app,
            "railway": self.railway.app,
            "n8n": self.n8n.app,
            "telegram": self.telegram.app,
            "application": self.application,
            "people": People(self.github, REPOSITORY).app,
        }
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            listening = {name: bind(ports.get(name, 0)) for name in apps}
            self.urls = {name: url_of(bound) for name, bound in listening.items()}
            await stack.enter_async_context(served(*((apps[name], bound) for name, bound in listening.items())))
            ticking = asyncio.create_task(self._tick_along())
            try:
                yield
            finally:
                ticking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await ticking

    def furnish(self, *, serving_commit: str | None, auto_deploy: bool = False, domain: str | None = None) -> None:
        """The repository, its people, and the service that it is deployed to; `domain` where not the application's."""
        self.github.webhooks.url = f"{self.webhooks_url}/github-webhook"
        self.github.add_repository(REPOSITORY, collaborators=PEOPLE)
        self.railway.add_service(
            project_id=PROJECT,
            environment_id=ENVIRONMENT,
            service_id=SERVICE,
            name="web",
            repository=REPOSITORY,
            domain=domain or self.urls["application"].removeprefix("http://"),
            auto_deploy=auto_deploy,
            serving_commit=serving_commit,
        )

    async def _tick_along(self) -> None:
        while True:
            await self.github.tick()
            await self.railway.tick()
            await asyncio.sleep(TICK)

    async def _to_github_webhook(self, headers: Mapping[str, str], body: bytes) -> int:
        return await self._post("/github-webhook", headers, body)

    async def _to_railway_webhook(self, headers: Mapping[str, str], body: bytes) -> int:
        return await self._post("/railway-webhook", headers, body)

    async def _post(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        answer = await self._client.post(self.webhooks_url + path, headers=headers, content=body)
        return answer.status_code

    def _pushed(self, repository: str, sha: str, branch: str) -> None:
        self.railway.push(repository, branch, sha)
