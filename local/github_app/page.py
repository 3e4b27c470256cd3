"""A page on loopback with one button: it takes the manifest to GitHub, and takes in the code that GitHub sends back."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shared.runtime.escaping import html

GITHUB = "https://github.com"
BACK = "/created"
_CODE = re.compile(r"[A-Za-z0-9_-]{1,200}")
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Signalbox</title>
<body style="font: 16px sans-serif; max-width: 40em; margin: 4em auto">
{content}
</body></html>
"""
_FORM = """<h1>Register the GitHub App {name}</h1>
<p>GitHub shows it once more, and asks for its name.</p>
<form method="post" action="{action}">
<input type="hidden" name="manifest" value="{manifest}">
<button>Take it to GitHub</button>
</form>
"""
DONE = "GitHub has registered the App. The terminal says how to go on; this window can be closed."
NOT_OURS = "This is not the answer to this page's button. Start again at the address that the terminal shows."


def address(organization: str | None, state: str) -> str:
    """Where GitHub takes the form: an organization's App, or that of whoever is signed in."""
    owner = f"/organizations/{organization}" if organization else ""
    return f"{GITHUB}{owner}/settings/apps/new?state={state}"


class Page:
    """An ASGI app; `code` is there once GitHub has sent the browser back with the state that went out."""

    def __init__(self, manifest: dict[str, Any], *, organization: str | None, origin: str) -> None:
        self.code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._state = secrets.token_urlsafe(32)
        self._manifest = {**manifest, "redirect_url": f"{origin}{BACK}"}
        self._organization = organization
        self._app = Starlette(routes=[Route("/", self._form), Route(BACK, self._back)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _form(self, _request: Request) -> HTMLResponse:
        return _page(
            _FORM.format(
                name=html(self._manifest["name"]),
                action=html(address(self._organization, self._state)),
                manifest=html(msgspec.json.encode(self._manifest).decode()),
            )
        )

    async def _back(self, request: Request) -> HTMLResponse:
        given, code = request.query_params.get("state", ""), request.query_params.get("code", "")
        if not hmac.compare_digest(given.encode(), self._state.encode()) or not _CODE.fullmatch(code):
            return _page(f"<p>{NOT_OURS}</p>", status=400)
        if not self.code.done():
            self.code.set_result(code)
        return _page(f"<p>{DONE}</p>")


def _page(content: str, *, status: int = 200) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(content=content), status)
