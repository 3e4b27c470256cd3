"""n8n, as 2.8.4 or 2.41.1 answers (docs/n8n.md): workflows that its API was given, and the notification workflow.

Like the real one it has no idempotency: the same call twice is two executions. The notification workflow of this
project remembers the keys of what it told, and does not tell it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import warnings
from typing import Any, Literal

import httpx
import jwt

from local.world import web
from local.world.faults import Faulty
from local.world.n8n.api import Executed, PublicApi
from local.world.n8n.versions import NEWEST, Version
from local.world.telegram import TelegramWorld
from local.world.web import Request, Response, Router
from shared.clients.http import HttpClient

State = Literal["down", "migrating", "starting", "active", "inactive", "failing"]
CHAT = "-1001234"
_TRIES = 2  # the workflow's Telegram node
_REMEMBERED = 200  # keys, by the workflow
_CUTS = {"text": 2500, "next_step": 700, "url": 500}


class N8nWorld:
    """`app` is the server, `notifications` the payloads that its workflow accepted, `headers` what came with each.

    `state`: "down" takes no connection, "migrating" and "starting" are the two traps of n8n's start-up, "inactive" has
    the workflow switched off, and in "failing" it fails before it answers. `restart` goes through the others.
    `path` is where a notification workflow is from the beginning; with None there is what `api` is given. `other` is
    the path of a workflow that takes anything and says `ok`; `asked` is what it was given.
    """

    def __init__(
        self,
        *,
        token: str,
        path: str | None = "signalbox-notification",
        telegram: TelegramWorld | None = None,
        api_key: str = "local-n8n-api-key",
        chat: str = CHAT,
        version: Version = NEWEST,
    ) -> None:
        self.token = token
        self.path = path
        self._state: State = "active"
        self._starting: list[tuple[float, State]] = []
        """Until when, by the loop's time, it is in which state."""
        self.api = PublicApi(api_key, version)
        self.other: str | None = None
        self.asked: list[Any] = []
        self.notifications: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._telegram = telegram
        self._chat = chat
        self._told: list[str] = []
        any_path = [(method, "/{path:path}", self._any) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")]
        self.app = Faulty(Router([("GET", "/healthz", _healthy), *any_path]))

    @property
    def state(self) -> State:
        if self._starting:
            now = asyncio.get_running_loop().time()
            self._starting = [one for one in self._starting if one[0] > now]
        return self._starting[0][1] if self._starting else self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state, self._starting = state, []

    def restart(
        self, version: Version, *, down: float, migrating: float, starting: float, activating: float = 0.0
    ) -> None:
        """Come up as that version, with all that it has, after so many seconds in each state. In the last one there are
        routes, and no webhooks yet."""
        self.api.version = version
        ends = asyncio.get_running_loop().time()
        phases: list[tuple[State, float]] = [
            ("down", down),
            ("migrating", migrating),
            ("starting", starting),
            ("inactive", activating),
        ]
        self._starting = [(ends := ends + seconds, state) for state, seconds in phases]

    async def _any(self, request: Request) -> Response:
        state = self.state
        if state == "down":
            raise httpx.ConnectError("connection refused")
        if state == "migrating":
            return web.text("n8n is starting up. Please wait", kind="html")
        path: str = request.path_params["path"]
        if state != "starting" and path.startswith("webhook/"):
            return await self._webhook(path.removeprefix("webhook/"), request)
        if state != "starting" and path.startswith("api/v1/"):
            return self.api.answer(path.removeprefix("api/v1/"), request)
        return web.text(f"<pre>Cannot {request.method} /{html.escape(path)}</pre>", 404, kind="html")

    async def _webhook(self, path: str, request: Request) -> Response:
        found = self.api.active_at(path)
        if (found is None and path not in (self.path, self.other)) or self.state == "inactive":
            return _not_registered(f'The requested webhook "{request.method} {path}" is not registered.')
        if request.method != "POST":
            question = "Did you mean to make a POST request?"
            return _not_registered(f"This webhook is not registered for {request.method} requests. {question}")
        body = request.body
        try:
            payload = json.loads(body) if body else {}
        except ValueError:
            return web.json({"code": 422, "message": "Failed to parse request body"}, 422)
        if found is not None and self.api.lacks_credentials(found):
            return web.text("No authentication data defined on node!", 500)
        claims = self._claims(request.headers.get("authorization"))
        if isinstance(claims, Response):
            return claims
        execution = self.api.run(found["id"] if found else "", request.headers, payload)
        signed = claims.get("sha256") == hashlib.sha256(body).hexdigest() and isinstance(claims.get("key"), str)
        if self.state == "failing":
            execution.end("error", at="Valid?", error="something in it cannot be evaluated")
            status, said = self.api.rules.failed_before_answer
            return web.json(said, status) if said else Response(status)
        if path == self.other:
            self.asked.append(payload)
            return web.json({"ok": True, "execution_id": execution.id})
        return await self._play(execution, claims["key"] if signed else None)

    def _claims(self, authorization: str | None) -> dict[str, Any] | Response:
        """As n8n's JWT authentication reads them, or its answer."""
        refused = {"www-authenticate": 'Basic realm="Webhook"'}
        token = (authorization or "").split(" ")[1:2]
        if not token:
            return web.text("No token provided", 401, refused)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
                claims: dict[str, Any] = jwt.decode(token[0], self.token, algorithms=["HS256"])
        except jwt.ExpiredSignatureError:
            return web.text("jwt expired", 403, refused)
        except jwt.InvalidSignatureError:
            return web.text("invalid signature", 403, refused)
        except jwt.PyJWTError:
            return web.text("jwt malformed", 403, refused)
        return claims

    async def _play(self, execution: Executed, key: str | None) -> Response:
        """The notification workflow, whichever was called: no other is played. `key` is the signed one."""
        payload = execution.body
        if key is None or not _is_notification(payload):
            execution.end("error", at="Refuse", error="The notification has no key, event or text")
            return web.json({"ok": False, "error": "invalid_notification", "execution_id": execution.id}, 400)
        self.notifications.append(payload)
        self.headers.append(execution.headers)
        if key in self._told:
            execution.end("success", at="Respond Told Before")
            return web.json({"ok": True, "execution_id": execution.id, "duplicate": True})
        refusal = await self._tell_telegram(payload)
        if refusal is not None:
            execution.end("error", at="Fail", error=f"Telegram did not take the message: {refusal}")
            failed = {"ok": False, "error": "telegram_send_failed", "detail": refusal, "execution_id": execution.id}
            return web.json(failed, 502)
        self._told = [*self._told, key][-_REMEMBERED:]
        execution.end("success", at="Respond Told")
        return web.json({"ok": True, "execution_id": execution.id})

    async def _tell_telegram(self, payload: dict[str, Any]) -> str | None:
        """Send it, as the workflow does; None when sent, otherwise Telegram's last words."""
        if self._telegram is None:
            return None
        message = {"chat_id": self._chat, "text": _text(payload), "parse_mode": "HTML"}
        description = "no answer"
        async with HttpClient("https://api.telegram.org", network=self._telegram.app) as client:
            for _ in range(_TRIES):
                try:
                    answer = await client.exchange("POST", f"/bot{self._telegram.token}/sendMessage", json=message)
                except httpx.TransportError:
                    continue
                if answer.is_success:
                    return None
                description = (
                    str(json.loads(answer.content)["description"]) if answer.content else f"status {answer.status_code}"
                )
        return description


def _is_notification(payload: Any) -> bool:
    wanted = ("key", "event", "text")
    return isinstance(payload, dict) and all(
        isinstance(payload.get(field), str) and payload[field].strip() for field in wanted
    )


def _text(payload: dict[str, Any]) -> str:
    """What people read, each part cut, as Telegram's HTML."""
    text, next_step, url = (_cut(payload.get(field), most) for field, most in _CUTS.items())
    parts = [text, f"→ {next_step}" if next_step else "", url]
    return "\n".join(html.escape(part, quote=False) for part in parts if part)


def _cut(text: Any, most: int) -> str:
    whole = str(text or "")
    return whole if len(whole) <= most else whole[: most - 1] + "…"


def _not_registered(message: str) -> Response:
    hint = "The workflow must be active for a production URL to run successfully."
    return web.json({"code": 404, "message": message, "hint": hint}, 404)


async def _healthy(_request: Request) -> Response:
    """Healthy from the first moment, routes or not."""
    return web.json({"status": "ok"})
