"""Secrets by the names users know, cached for five minutes; every value read is masked from then on."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from msgspec import Struct

from shared.core.target_config import RAILWAY_API
from shared.errors import SecretMissing
from shared.runtime import forgiving, log
from shared.runtime.ports import Clock, Dated, SecretSource
from shared.runtime.redaction import remember

N8N_API = "N8N-API"
GITHUB_APP_PRIVATE_KEY = "github-app-private-key"
GITHUB_WEBHOOK_SECRET = "GITHUB-WEBHOOK-SECRET"
RAILWAY_WEBHOOK_SECRET = "RAILWAY-WEBHOOK-SECRET"
NAMES = (RAILWAY_API, N8N_API, GITHUB_APP_PRIVATE_KEY, GITHUB_WEBHOOK_SECRET, RAILWAY_WEBHOOK_SECRET)

LIFETIME = timedelta(minutes=5)
MAX_AGE = timedelta(days=90)
"""After which a secret is to be rotated: docs/token-management.md."""
NOTICE = timedelta(days=14)
"""How long before that people are notified."""
_HEADER = re.compile("[ -~]+")


class Aged(Struct, frozen=True):
    """A secret that is about to be too old, as of that day."""

    name: str
    made_at: datetime
    seen_on: date

    @property
    def made_on(self) -> str:
        return f"{self.made_at:%Y-%m-%d}"


class Secrets:
    """One instance's view of the secrets.

    During a rotation a secret has several accepted values: check what comes in against all `values`, send `value`.
    """

    def __init__(self, source: SecretSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._expiring: dict[str, Aged] = {}
        self._told: set[Aged] = set()
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
            self._see_age(name, now)
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

    def expiring(self) -> list[Aged]:
        """Of what this instance has read: secrets about to be too old, of which it has not `told` today."""
        return [aged for aged in self._expiring.values() if aged not in self._told]

    def told(self, aged: Aged) -> None:
        self._told = {*self._told, aged} & set(self._expiring.values())

    def _see_age(self, name: str, now: datetime) -> None:
        made = self._source.made_at(name) if isinstance(self._source, Dated) else None
        if made is None or now < made + MAX_AGE - NOTICE:
            self._expiring.pop(name, None)
            return
        known = self._expiring.get(name)
        if known is None or known.made_at != made or known.seen_on != now.date():
            days, limit = (now - made).days, MAX_AGE.days
            log.warning("a secret is about to expire", secret=name, days=days, limit=limit)
        self._expiring[name] = Aged(name, made, now.date())

    def clear(self) -> None:
        """Forget what was read, so that the next use reads again: after a vendor refused a credential."""
        self._cache.clear()
