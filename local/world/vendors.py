"""The simulated vendors together, knowing each other: a merge on GitHub is a push to Railway, n8n tells Telegram."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from types import MappingProxyType

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Struct
from starlette.types import ASGIApp

from local.emulation.serving import bind, served, url_of
from local.world.application import COMMIT_FIELD, COMMIT_HEADER, Application
from local.world.github.server import GitHubWorld
from local.world.n8n.server import N8nWorld
from local.world.people import People
from local.world.railway.server import RailwayWorld
from local.world.telegram import TelegramWorld
from shared.core.target_config import RAILWAY_API, RailwayToken, TargetConfig
from shared.runtime import secrets
from shared.runtime.config import Config
from shared.runtime.ports import Clock

REPOSITORY = "acme/shop"
PROJECT, SERVICE, ENVIRONMENT = "project-acme", "service-web", "environment-production"
APP_ID = "123456"
TOKEN_SECRET = "RAILWAY-PRODUCTION"
"""Holds the project token of that environment."""
PEOPLE: Mapping[str, str] = MappingProxyType({"ada": "admin", "grace": "write", "mallory": "read"})
"""What each may do in a simulated repository, until a test or a scenario says otherwise there."""
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


def made_up_secrets(*names: str) -> dict[str, str]:
    """Values for these secrets, or all of Signalbox's own, as environment variables; no two processes make the same."""
    names = names or secrets.NAMES
    made = {name: f"local-{name.lower()}-{random.SystemRandom().getrandbits(96):024x}" for name in names}
    return {variable(name): value for name, value in made.items()}


def _account_token(values: Mapping[str, str], configured: Config) -> str:
    """Where no target uses one, nobody knows it."""
    used = RailwayToken() in configured.railway_tokens
    return values[variable(RAILWAY_API)] if used else made_up_secrets(RAILWAY_API).popitem()[1]


def _names(targets: Sequence[TargetConfig]) -> list[str]:
    """What the applications are called: `application` and, from the second on, by their targets."""
    several = len({target.repository for target in targets}) > 1
    others = [f"{target.repository} {target.name}" if several else target.name for target in targets[1:]]
    return ["application", *(f"application {other}" for other in others)][: len(targets)]


def variable(name: str) -> str:
    """The environment variable that holds a secret locally."""
    return name.upper().replace("-", "_")


class Vendors:
    """GitHub, Railway, n8n, Telegram and the user's applications, each on a loopback port of its own.

    `urls` names the first target's application `application`, and others `application SERVICE/ENVIRONMENT`, with the
    repository before it where there is more than one.
    """

    def __init__(
        self, clock: Clock, values: Mapping[str, str], public_key: str, configured: Config, *, pace: float
    ) -> None:
        """`values`: the secrets by environment variable; `pace`: seconds per phase of a Railway deployment.

        `configured` has the targets that there is a service for.
        """
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
            token=_account_token(values, configured),
            webhook_secret=values[variable(secrets.RAILWAY_WEBHOOK_SECRET)],
            deliver=self._to_railway_webhook,
            pace=pace,
        )
        for token, (first, *_) in configured.railway_tokens.items():
            if token.kind == "project":
                self.railway.project_tokens[values[variable(token.secret)]] = (first.project_id, first.environment_id)
        self.telegram = TelegramWorld(token="12345:local-telegram-token")  # noqa: S106 - no real one
        self.n8n = N8nWorld(token=values[variable(secrets.N8N_API)], telegram=self.telegram)
        self.configured = configured
        self._applications = dict(zip(_names(configured.targets), configured.targets, strict=True))
        self.github.on_merge.append(self._pushed)
        self.urls: dict[str, str] = {}

    @property
    def port_names(self) -> list[str]:
        """In the order in which they take ports that follow each other."""
        return ["github", "railway", "n8n", "telegram", "application", "people", *list(self._applications)[1:]]

    @contextlib.asynccontextmanager
    async def running(self, ports: Mapping[str, int]) -> AsyncIterator[None]:
        """Serve them, on the given or on free ports, and let time pass for them."""
        apps: dict[str, ASGIApp] = {
            "github": self.github.app,
            "railway": self.railway.app,
            "n8n": self.n8n.app,
            "telegram": self.telegram.app,
            "people": People(self.github, self.railway, self.configured.targets).app,
            **{name: self._application(target) for name, target in self._applications.items()},
        }
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._client)
            listening = {name: self._bound(stack, ports.get(name, 0)) for name in apps}
            self.urls = {name: url_of(bound) for name, bound in listening.items()}
            await stack.enter_async_context(served(*((apps[name], bound) for name, bound in listening.items())))
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
        for name, target in self._applications.items():
            if target.repository.lower() not in self.github.repositories:
                self.github.add_repository(target.repository, default_branch=target.branch, collaborators=PEOPLE)
            if target.branch not in self.github.repository(target.repository).branches:
                self.github.commit(target.repository, target.branch, "ada")
            self.railway.add_service(
                project_id=target.project_id,
                environment_id=target.environment_id,
                environment_name=target.environment,
                service_id=target.service_id,
                name=target.service,
                repository=target.repository,
                branch=target.branch,
                domain=domain or self.urls[name].removeprefix("http://"),
                auto_deploy=target.policy.auto_deploy == "adopt",
                serving_commit=serving_commit,
            )

    def _application(self, target: TargetConfig) -> Application:
        policy = target.policy
        return Application(
            self.railway,
            service_id=target.service_id,
            environment_id=target.environment_id,
            health_path=policy.health_path,
            commit_field=policy.commit_field or COMMIT_FIELD,
            commit_header=policy.commit_header or COMMIT_HEADER,
            health_field=policy.health_field,
            health_value=policy.health_value,
        )

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

    async def _to_github_webhook(self, headers: Mapping[str, str], body: bytes) -> int:
        return await self._post("/github-webhook", headers, body)

    async def _to_railway_webhook(self, headers: Mapping[str, str], body: bytes) -> int:
        return await self._post("/railway-webhook", headers, body)

    async def _post(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        answer = await self._client.post(self.webhooks_url + path, headers=headers, content=body)
        return answer.status_code

    def _pushed(self, repository: str, sha: str, branch: str) -> None:
        self.railway.push(repository, branch, sha, self.github.merged_files(repository, sha))
