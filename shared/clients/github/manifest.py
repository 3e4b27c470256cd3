"""The end of GitHub's manifest flow: what a new App is called and signs with, had once for the code of its making.

Sources: docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest,
docs.github.com/rest/apps/apps.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from msgspec import Meta, Struct

from shared.clients.github.answers import decode, raise_refusal
from shared.clients.github.app import HEADERS
from shared.clients.http import HttpClient, Network
from shared.runtime.redaction import remember

Words = Annotated[str, Meta(min_length=1)]


class NewApp(Struct, frozen=True):
    """An App that was registered just now. GitHub tells `pem` and `webhook_secret` this once."""

    client_id: Words
    slug: Words
    html_url: Words
    pem: Words
    webhook_secret: str | None

    def __repr__(self) -> str:
        return f"NewApp({self.slug!r})"


async def convert(code: str, *, base_url: str, network: Network | None = None) -> NewApp:
    """Give the code in for the App; needs no credential (REST: "Create a GitHub App from a manifest").

    Raises NotFound for a code that is wrong, used, or older than an hour, and what `send` and `raise_refusal` raise.
    After UnknownOutcome the code may be used up.
    """
    async with HttpClient(base_url, headers=HEADERS, network=network) as client:
        url = f"/app-manifests/{quote(code, safe='')}/conversions"
        response = await client.send("POST", url, changes=True)
    raise_refusal(response, datetime.now(UTC), changes=True)
    made = decode(response, NewApp, changes=True)
    remember(made.pem, made.webhook_secret or "")
    return made
