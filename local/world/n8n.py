"""n8n with the notification workflow active: answers as 2.8.4 does (see docs/n8n.md), and records what it was told.

Like the real one it has no idempotency: the same notification twice is two executions and two messages.
"""

from __future__ import annotations

import html
import json
from typing import Any, Literal

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from local.world.faults import Faulty
from local.world.telegram import TelegramWorld

State = Literal["migrating", "starting", "active", "inactive"]
CHAT = "-1001234"
_TRIES = 2  # the workflow's Telegram node


class N8nWorld:
    """`app` is the server, `notifications` the payloads that its workflow accepted, `headers` what came with each.

    `state`: "migrating" and "starting" are the two traps of n8n's start-up, "inactive" has the workflow switched off.
    """

    def __init__(
        self, *, token: str, path: str = "signalbox-notification", telegram: TelegramWorld | None = None
    ) -> None:
        self.token = token
        self.path = path
        self.state: State = "active"
        self.notifications: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._telegram = telegram
        self._executions = 0
        routes = [
            Route("/healthz", _healthy, methods=["GET"]),
            Route("/{path:path}", self._any, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ]
        self.app = Faulty(Starlette(routes=routes))

    async def _any(self, request: Request) -> Response:
        if self.state == "migrating":
            return HTMLResponse("n8n is starting up. Please wait")
        path: str = request.path_params["path"]
        if self.state == "starting" or not path.startswith("webhook/"):
            return HTMLResponse(f"<pre>Cannot {request.method} /{html.escape(path)}</pre>", 404)
        return await self._webhook(path.removeprefix("webhook/"), request)

    async def _webhook(self, path: str, request: Request) -> Response:
        if path != self.path or self.state == "inactive":
            return _not_registered(f'The requested webhook "{request.method} {path}" is not registered.')
        if request.method != "POST":
            question = "Did you mean to make a POST request?"
            return _not_registered(f"This webhook is not registered for {request.method} requests. {question}")
        body = await request.body()
        try:
            payload = json.loads(body) if body else {}
        except ValueError:
            return JSONResponse({"code": 422, "message": "Failed to parse request body"}, 422)
        if request.headers.get("x-webhook-token") != self.token:
            refused = {"www-authenticate": 'Basic realm="Webhook"'}
            return PlainTextResponse("Authorization data is wrong!", 403, refused)
        return await self._workflow(payload, dict(request.headers))

    async def _workflow(self, payload: Any, headers: dict[str, str]) -> Response:
        self._executions += 1
        execution = str(self._executions)
        if not isinstance(payload, dict) or not payload.get("event"):
            return JSONResponse({"ok": False, "error": "invalid_notification", "execution_id": execution}, 400)
        self.notifications.append(payload)
        self.headers.append(headers)
        refusal = await self._tell_telegram(payload)
        if refusal is not None:
            failed = {"ok": False, "error": "telegram_send_failed", "detail": refusal, "execution_id": execution}
            return JSONResponse(failed, 502)
        return JSONResponse({"ok": True, "execution_id": execution})

    async def _tell_telegram(self, payload: dict[str, Any]) -> str | None:
        """Send it, as the workflow does; None when sent, otherwise Telegram's last words."""
        if self._telegram is None:
            return None
        transport = httpx.ASGITransport(app=self._telegram.app)
        message = {"chat_id": CHAT, "text": _text(payload), "parse_mode": "HTML"}
        description = "no answer"
        async with httpx.AsyncClient(transport=transport, base_url="https://api.telegram.org") as client:
            for _ in range(_TRIES):
                try:
                    answer = await client.post(f"/bot{self._telegram.token}/sendMessage", json=message)
                except httpx.TransportError:
                    continue
                if answer.is_success:
                    return None
                description = str(answer.json()["description"]) if answer.content else f"status {answer.status_code}"
        return description


def _text(payload: dict[str, Any]) -> str:
    """The payload's own text, which is plain, or one made of its plain fields."""
    if payload.get("text"):
        return html.escape(str(payload["text"]), quote=False)
    lines = [f"{name}: {value}" for name, value in payload.items() if name != "event" and isinstance(value, str | int)]
    return "\n".join([f"<b>{html.escape(str(payload['event']))}</b>", *(html.escape(line) for line in lines)])


def _not_registered(message: str) -> JSONResponse:
    hint = "The workflow must be active for a production URL to run successfully."
    return JSONResponse({"code": 404, "message": message, "hint": hint}, 404)


async def _healthy(_request: Request) -> Response:
    """Healthy from the first moment, routes or not."""
    return JSONResponse({"status": "ok"})
