"""What the simulation leaves out for speed: cryptography, and what libraries do in general and nobody asks for here.

The App's token is unsigned (the simulated GitHub has no key to check it with, and checks the rest of it). All the rest
changes nothing: `tests/simulation/test_lean.py` plays days without it, and they are the same in every step.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import jwt
import starlette.applications
import starlette.requests
import starlette.responses
import starlette.routing

import shared.clients.github.app
import shared.runtime.redaction
from local.simulation import loop, shortcut, wire
from local.world.faults import Faulty


async def _unsigned(app: Any) -> str:
    now = int(app._clock.now().timestamp())  # noqa: SLF001 - it stands in for a method
    claims = {"iat": now - 60, "exp": now + 540, "iss": app.app_id}
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def _claims(token: str, *_: Any, **__: Any) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def _forget(*_: str) -> None:
    """Tokens are masked by their shape anyway; remembering each would make the pattern of known secrets anew."""


Replacement = tuple[Any, str, Any]
_UNSIGNED: list[Replacement] = [
    (shared.clients.github.app.GitHubApp, "_sign", _unsigned),
    (shared.clients.github.app, "remember", _forget),
]
_FAST: list[Replacement] = [
    (asyncio, "sleep", loop.sleep),
    (jwt, "decode", _claims),
    (httpx._urls, "urlparse", functools.lru_cache(20_000)(httpx._urls.urlparse)),  # type: ignore[attr-defined] # noqa: SLF001
    (httpx.AsyncClient, "__init__", shortcut.open_client),
    (httpx.AsyncClient, "request", shortcut.request),
    (httpx.AsyncClient, "stream", shortcut.stream),
    (wire, "answer", shortcut.answer),
    (Faulty, "__call__", shortcut.undisturbed),
    (starlette.applications.Starlette, "__call__", shortcut.call),
    (starlette.requests.Request, "json", shortcut.read_json),
    (starlette.responses.JSONResponse, "__init__", shortcut.answer_json),
    (starlette.routing, "compile_path", functools.cache(starlette.routing.compile_path)),
]


@contextlib.contextmanager
def lean(*, plain: bool = False) -> Iterator[None]:
    """Within this, the worlds and clients work fast (unless `plain`), and know only the secrets they meet here."""
    known = (shared.runtime.redaction, "_known", type(shared.runtime.redaction._known)())  # noqa: SLF001 - to begin without any
    with replaced([known, *_UNSIGNED, *([] if plain else _FAST)]):
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
