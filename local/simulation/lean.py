"""What the simulation leaves out for speed: the signature of the App's token, which its GitHub has no key to check."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import shared.clients.github.app
import shared.runtime.redaction
from local.simulation import loop


async def _unsigned(app: Any) -> str:
    now = int(app._clock.now().timestamp())  # noqa: SLF001 - it stands in for a method
    claims = {"iat": now - 60, "exp": now + 540, "iss": app.app_id}
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def _forget(*_: str) -> None:
    """Tokens are masked by their shape anyway; remembering each would make the pattern of known secrets anew."""


@contextlib.contextmanager
def lean() -> Iterator[None]:
    """Within this, clients sign nothing, and know only the secrets they meet here."""
    known = type(shared.runtime.redaction._known)()  # noqa: SLF001 - to begin without any
    with replaced(
        [
            (shared.runtime.redaction, "_known", known),
            (shared.clients.github.app.GitHubApp, "_sign", _unsigned),
            (shared.clients.github.app, "remember", _forget),
            (asyncio, "sleep", loop.sleep),
        ]
    ):
        yield


@contextlib.contextmanager
def replaced(instead: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """Other attributes for a while: of a module or class, by name."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in instead]
    try:
        for owner, name, value in instead:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)
