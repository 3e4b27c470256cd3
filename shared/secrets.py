"""Secrets by the names users know, cached for five minutes; every value read is masked from then on."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from shared import forgiving
from shared.errors import SecretMissing
from shared.ports import Clock, SecretSource
from shared.redaction import remember

RAILWAY_API = "RAILWAY-API"
N8N_API = "N8N-API"
GITHUB_APP_PRIVATE_KEY = "github-app-private-key"
GITHUB_WEBHOOK_SECRET = "GITHUB-WEBHOOK-SECRET"
RAILWAY_WEBHOOK_SECRET = "RAILWAY-WEBHOOK-SECRET"
NAMES = (RAILWAY_API, N8N_API, GITHUB_APP_PRIVATE_KEY, GITHUB_WEBHOOK_SECRET, RAILWAY_WEBHOOK_SECRET)

LIFETIME = timedelta(minutes=5)
_HEADER = re.compile("[ -~]+")


class Secrets:
    """One instance's view of the secrets.

    During a rotation a secret has several accepted values: check what comes in against all `values`, send `value`.
    """

    def __init__(self, source: SecretSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._cache: dict[str, tuple[datetime, tuple[str, ...]]] = {}

    async def values(self, name: str) -> tuple[str, ...]:
        """All accepted values, newest first. Raises SecretMissing or TransientError."""
        now = self._clock.now()
        read_at, values = self._cache.get(name, (None, ()))
        if read_at is None or now - read_at >= LIFETIME:
            # A value that was pasted or piped in tends to end in a newline, which no header may hold.
            values = tuple(forgiving.bare(value) for value in await self._source.read(name) if forgiving.bare(value))
            if not values:
                raise SecretMissing(f"secret {name}: its value is empty")
            remember(*values)
            self._cache[name] = (now, values)
        return values

    async def value(self, name: str) -> str:
        """The newest value. Raises SecretMissing or TransientError."""
        return (await self.values(name))[0]

    async def token(self, name: str) -> str:
        """The newest value, to be sent in a header. Raises SecretMissing, also when no header can hold it."""
        value = forgiving.token(await self.value(name))
        remember(value)
        if not _HEADER.fullmatch(value):
            raise SecretMissing(f"secret {name}: its value has characters that no header can hold")
        return value

    def clear(self) -> None:
        """Forget what was read, so that the next use reads anew: after a vendor refused a credential."""
        self._cache.clear()
