"""The simulated vendors together, knowing each other: a merge on GitHub is a push to Railway, n8n tells Telegram."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Struct

from local.world.application import COMMIT_FIELD, COMMIT_HEADER, Application
from local.world.github.server import GitHubWorld
from local.world.n8n.server import N8nWorld
from local.world.n8n.versions import NEWEST, Version
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
Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
"""Sends a webhook to this path of the functions; the status of the answer."""


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


def variable(name: str) -> str:
    """The environment variable that holds a secret locally."""
    return name.upper().replace("-", "_")


class Vendors:
    """GitHub, Railway, n8n, Telegram and the user's applications, with all that the targets of a configuration need.

    `applications`: by the ids of their targets.
    """

    def __init__(
        self,
        configured: Config,
        values: Mapping[str, str],
        *,
        clock: Clock,
        deliver: Deliver,
        pace: float,
        public_key: str | None = None,
        n8n: Version = NEWEST,
    ) -> None:
        """`values`: the secrets by environment variable; `pace`: seconds per phase of a Railway deployment.

        `configured` has the targets that there is a service for. Without a `public_key` GitHub believes every token.
        """
        self.configured = configured
        self.github = GitHubWorld(
            clock=clock,
            webhook_secret=values[variable(secrets.GITHUB_WEBHOOK_SECRET)],
            app_id=APP_ID,
            public_key_pem=public_key,
            deliver=lambda headers, body: deliver("/github-webhook", headers, body),
        )
        self.railway = RailwayWorld(
            clock=clock,
            token=_account_token(values, configured),
            webhook_secret=values[variable(secrets.RAILWAY_WEBHOOK_SECRET)],
            deliver=lambda headers, body: deliver("/railway-webhook", headers, body),
            pace=pace,
        )
        for token, (first, *_) in configured.railway_tokens.items():
            if token.kind == "project":
                self.railway.project_tokens[values[variable(token.secret)]] = (first.project_id, first.environment_id)
        self.telegram = TelegramWorld(token="12345:local-telegram-token")  # noqa: S106 - no real one
        self.n8n = N8nWorld(token=values[variable(secrets.N8N_API)], telegram=self.telegram, version=n8n)
        self.applications = {target.id: self._application(target) for target in configured.targets}

    def add_services(self, *, serving_commit: str | None, domain: Callable[[TargetConfig], str | None]) -> None:
        """The repositories, their people, and the services at their domains."""
        for target in self.configured.targets:
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
                domain=domain(target),
                auto_deploy=target.policy.auto_deploy == "adopt",
                serving_commit=serving_commit,
            )

    def push_what_is_merged(self) -> None:
        """From now on a merge on GitHub is a push to Railway at once."""
        self.github.on_merge.append(self._pushed)

    def _pushed(self, repository: str, sha: str, branch: str) -> None:
        self.railway.push(repository, branch, sha, self.github.merged_files(repository, sha))

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
