"""The public keys with which Google signs identity tokens, kept as long as Google says.

Source: google.oauth2.id_token of google-auth, which asks the same address: certificates by the ids of their keys. The
answer names its lifetime in Cache-Control; the keys change about every week.
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta

import msgspec
from google.auth.crypt import RSAVerifier

from shared.clients.http import HttpClient, Network
from shared.errors import Unavailable
from shared.runtime.ports import Clock
from shared.runtime.unreadable import UNREADABLE

HOST = "https://www.googleapis.com"
PATH = "/oauth2/v1/certs"
LIFETIME = timedelta(hours=1)
"""Where the answer names none."""
LONGEST = timedelta(days=1)
LOOK_AGAIN = timedelta(minutes=1)
"""An unknown key makes us ask again no sooner: anybody can name a key that does not exist."""
_MAX_AGE = re.compile(r"\bmax-age=(\d{1,9})\b")


class GoogleKeys:
    def __init__(self, *, clock: Clock, network: Network | None = None) -> None:
        self._client = HttpClient(HOST, network=network)
        self._clock = clock
        self._keys: dict[str, RSAVerifier] = {}
        self._asked_at: datetime | None = None
        self._until: datetime | None = None
        self._asking = asyncio.Lock()

    async def key(self, id: str) -> RSAVerifier | None:
        """The key of that id; None where Google has none. Raises Unavailable when Google cannot be asked."""
        async with self._asking:
            if self._is_stale() or (id not in self._keys and self._may_ask_again()):
                await self._ask()
            return self._keys.get(id)

    async def close(self) -> None:
        await self._client.close()

    def _is_stale(self) -> bool:
        return self._until is None or self._clock.now() >= self._until

    def _may_ask_again(self) -> bool:
        return self._asked_at is None or self._clock.now() - self._asked_at >= LOOK_AGAIN

    async def _ask(self) -> None:
        response = await self._client.send("GET", PATH, changes=False)
        if response.status_code != 200:
            raise Unavailable(f"the keys of Google's tokens: {response.status_code}")
        try:
            certificates = msgspec.json.decode(response.content, type=dict[str, str])
            self._keys = {id: _verifier(certificate) for id, certificate in certificates.items()}
        except (*UNREADABLE, ValueError) as error:
            raise Unavailable(f"the keys of Google's tokens cannot be read: {type(error).__name__}") from error
        self._asked_at = self._clock.now()
        self._until = self._asked_at + _lifetime(response.headers.get("cache-control", ""))


def _verifier(certificate: str) -> RSAVerifier:
    """Raises ValueError for what is no certificate and no public key."""
    verifier: RSAVerifier = RSAVerifier.from_string(certificate)  # type: ignore[no-untyped-call]
    return verifier


def _lifetime(cache_control: str) -> timedelta:
    named = _MAX_AGE.search(cache_control)
    return min(timedelta(seconds=int(named[1])), LONGEST) if named else LIFETIME
