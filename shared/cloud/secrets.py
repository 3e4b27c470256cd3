"""The secrets in Secret Manager. During a rotation every enabled version is accepted: add one, then disable the old.

A pinned secret has one accepted version. Listing versions needs `roles/secretmanager.viewer` on the secret besides
`roles/secretmanager.secretAccessor`; a pinned one needs only the latter.
Source: cloud.google.com/secret-manager/docs/access-control and .../reference/rest/v1/projects.secrets.versions/list
("sorted in reverse by createTime (newest first)").
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from google.api_core.exceptions import FailedPrecondition, GoogleAPICallError, NotFound, RetryError
from google.cloud.secretmanager_v1.services.secret_manager_service import SecretManagerServiceAsyncClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)
from google.cloud.secretmanager_v1.types import AccessSecretVersionRequest, ListSecretVersionsRequest

from shared.cloud.channel import FAILURES, RETRY, connect, explain
from shared.errors import SecretMissing, SignalboxError, TransientError

AT_MOST = 3
"""Accepted versions of one secret."""
TIMEOUT = 5.0
ACCESSOR = "roles/secretmanager.secretAccessor on the secret"
VIEWER = f"roles/secretmanager.viewer beside {ACCESSOR}, or a version pinned in SIGNALBOX_SECRET_VERSIONS"


class SecretManager:
    """To be made in the event loop that uses it. `pinned` is the one accepted version of some secrets.

    Raises ConfigError without credentials.
    """

    def __init__(self, project: str, pinned: Mapping[str, str], *, endpoint: str | None = None) -> None:
        transport = SecretManagerServiceGrpcAsyncIOTransport
        self._channel = connect(transport, endpoint)
        self._client = SecretManagerServiceAsyncClient(transport=transport(channel=self._channel))
        self._project = project
        self._pinned = pinned
        self._made: dict[str, datetime] = {}

    async def read(self, name: str) -> tuple[str, ...]:
        """Raises SecretMissing that says what to do, or Unavailable."""
        secret = f"projects/{self._project}/secrets/{name}"
        if name in self._pinned:
            versions = [f"{secret}/versions/{self._pinned[name]}"]
        else:
            versions = await self._enabled(name, secret)
        read = await asyncio.gather(*(self._access(name, version) for version in versions))
        values = tuple(value for value in read if value is not None)
        if not values:
            raise SecretMissing(f"secret {name}: no enabled version in {secret}")
        return values

    def made_at(self, name: str) -> datetime | None:
        """None for a pinned secret, whose versions are not listed."""
        return self._made.get(name)

    async def close(self) -> None:
        await self._channel.close()

    async def _enabled(self, name: str, secret: str) -> list[str]:
        """The newest enabled versions, newest first as they are listed."""
        request = ListSecretVersionsRequest(parent=secret, filter="state:ENABLED", page_size=AT_MOST)
        try:
            versions: list[str] = []
            async for version in await self._client.list_secret_versions(request, retry=RETRY, timeout=TIMEOUT):
                if not versions and version.create_time:
                    self._made[name] = datetime.fromisoformat(version.create_time.isoformat())
                versions.append(version.name)
                if len(versions) == AT_MOST:
                    break
        except FAILURES as error:
            raise _missing(name, error, VIEWER) from error
        return versions

    async def _access(self, name: str, version: str) -> str | None:
        """Its value; None for one that was disabled or destroyed since it was listed."""
        request = AccessSecretVersionRequest(name=version)
        try:
            answer = await self._client.access_secret_version(request, retry=RETRY, timeout=TIMEOUT)
        except FailedPrecondition:
            return None
        except FAILURES as error:
            raise _missing(name, error, ACCESSOR) from error
        try:
            return answer.payload.data.decode()
        except UnicodeDecodeError as error:
            raise SecretMissing(f"secret {name}: {version} is not text") from error


def _missing(name: str, error: GoogleAPICallError | RetryError, needs: str) -> SignalboxError:
    if isinstance(error, NotFound):
        return SecretMissing(f"secret {name}: {error.message}")
    explained = explain(error, f"secret {name}", needs)
    return explained if isinstance(explained, TransientError) else SecretMissing(str(explained))
