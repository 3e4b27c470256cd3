"""Apps registered from a manifest at the simulated GitHub: somebody presses the button, and a code is converted once.

Source: docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.world.github.access import Problem
from local.world.github.model import Ids
from local.world.github.payloads import JSON, app, stamp
from shared.runtime.ports import Clock

LIFETIME = timedelta(hours=1)
_NOT_PUBLIC = {"localhost", "127.0.0.1", "::1", None}


class Manifests:
    def __init__(self, *, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._waiting: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
        self.converted: list[JSON] = []
        """What was answered, which GitHub tells once."""

    def register(self, manifest: Mapping[str, Any]) -> str:
        """What GitHub's page does with the form: the code that it sends the browser back with. Raises Problem."""
        hook = manifest.get("hook_attributes")
        if not manifest.get("url") or (hook is not None and not hook.get("url")):
            raise Problem(422, 'Invalid GitHub App configuration. Error: "url" wasn\'t supplied.')
        if hook is not None and urlsplit(hook["url"]).hostname in _NOT_PUBLIC:
            raise Problem(422, "Hook url is not supported because it isn't reachable over the public Internet")
        code = self._ids.sha()
        self._waiting[code] = (self._clock.now(), manifest)
        return code

    def convert(self, code: str) -> JSON:
        """The App with its credentials. Raises Problem for a code that is unknown, used or an hour old."""
        at, manifest = self._waiting.pop(code, (None, {}))
        if at is None or self._clock.now() - at >= LIFETIME:
            raise Problem(404, "Not Found")
        self.converted.append(self._made(manifest))
        return self.converted[-1]

    def _made(self, manifest: Mapping[str, Any]) -> JSON:
        now = stamp(self._clock.now())
        return {
            **app(self._ids.number(), manifest["name"].lower().replace(" ", "-"), "ada"),
            "name": manifest["name"],
            "external_url": manifest["url"],
            "created_at": now,
            "updated_at": now,
            "permissions": manifest["default_permissions"],
            "events": manifest["default_events"],
            "client_secret": self._ids.sha(),
            "webhook_secret": self._ids.sha() if "hook_attributes" in manifest else None,
            "pem": _private_key(),
        }


def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
