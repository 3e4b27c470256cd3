"""The versions of secrets in Secret Manager, as an operator lists, adds, disables and enables them.

Source: cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

from google.api_core.exceptions import NotFound as GoogleNotFound
from google.cloud.secretmanager_v1.services.secret_manager_service import SecretManagerServiceAsyncClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)
from google.cloud.secretmanager_v1.types import (
    AddSecretVersionRequest,
    DisableSecretVersionRequest,
    EnableSecretVersionRequest,
    ListSecretVersionsRequest,
    SecretPayload,
    SecretVersion,
)
from msgspec import Struct

from shared.cloud.channel import FAILURES, connect, explain
from shared.errors import SecretMissing, SignalboxError

TIMEOUT = 20.0
NEEDS = "roles/secretmanager.admin on the secret"
State = Literal["enabled", "disabled", "destroyed"]


class Version(Struct, frozen=True, kw_only=True):
    """`number` counts from 1, the newest has the highest."""

    number: int
    state: State
    created_at: datetime


class Versions(Protocol):
    """What rotating needs. Each raises what `shared.errors` has for Google's refusals."""

    async def list(self, name: str) -> tuple[Version, ...]:
        """Newest first. Raises SecretMissing where there is no such secret."""

    async def add(self, name: str, value: bytes) -> int:
        """The number of the new version."""

    async def disable(self, name: str, number: int) -> None: ...

    async def enable(self, name: str, number: int) -> None: ...

    async def close(self) -> None: ...


class GoogleVersions:
    """To be made in the event loop that uses it. Raises ConfigError without credentials."""

    def __init__(self, project: str, *, endpoint: str | None = None) -> None:
        transport = SecretManagerServiceGrpcAsyncIOTransport
        self._channel = connect(transport, endpoint)
        self._client = SecretManagerServiceAsyncClient(transport=transport(channel=self._channel))
        self._project = project

    async def list(self, name: str) -> tuple[Version, ...]:
        request = ListSecretVersionsRequest(parent=self._secret(name))
        try:
            pages = await self._client.list_secret_versions(request, timeout=TIMEOUT)
            found = [_version(version) async for version in pages]
        except GoogleNotFound as error:
            raise SecretMissing(f"secret {name}: {error.message}") from error
        except FAILURES as error:
            raise explain(error, f"list the versions of {name}", NEEDS) from error
        return tuple(sorted(found, key=lambda version: version.number, reverse=True))

    async def add(self, name: str, value: bytes) -> int:
        request = AddSecretVersionRequest(parent=self._secret(name), payload=SecretPayload(data=value))
        try:
            return _version(await self._client.add_secret_version(request, timeout=TIMEOUT)).number
        except FAILURES as error:
            raise explain(error, f"add a version to {name}", NEEDS, changes=True) from error

    async def disable(self, name: str, number: int) -> None:
        request = DisableSecretVersionRequest(name=f"{self._secret(name)}/versions/{number}")
        try:
            await self._client.disable_secret_version(request, timeout=TIMEOUT)
        except FAILURES as error:
            raise _refused(error, name, number) from error

    async def enable(self, name: str, number: int) -> None:
        request = EnableSecretVersionRequest(name=f"{self._secret(name)}/versions/{number}")
        try:
            await self._client.enable_secret_version(request, timeout=TIMEOUT)
        except FAILURES as error:
            raise _refused(error, name, number) from error

    async def close(self) -> None:
        await self._channel.close()

    def _secret(self, name: str) -> str:
        return f"projects/{self._project}/secrets/{name}"


def _refused(error: Exception, name: str, number: int) -> SignalboxError:
    return explain(error, f"version {number} of {name}", NEEDS, changes=True)  # type: ignore[arg-type]


def _version(version: SecretVersion) -> Version:
    state: State = "destroyed"
    if version.state == SecretVersion.State.ENABLED:
        state = "enabled"
    elif version.state == SecretVersion.State.DISABLED:
        state = "disabled"
    return Version(
        number=int(version.name.rpartition("/")[2]),
        state=state,
        created_at=datetime.fromisoformat(version.create_time.isoformat()),
    )
