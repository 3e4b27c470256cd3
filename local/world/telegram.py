"""Telegram's Bot API as far as `sendMessage`: its limits, its refusals, and what was sent.

Source: core.telegram.org/bots/api (sendMessage, formatting options). Rate limits come as faults.
"""

from __future__ import annotations

import html
import re
from typing import Any

from msgspec import Struct

from local.world import web
from local.world.faults import Faulty
from local.world.web import Request, Response, Router

LONGEST = 4096
"""UTF-16 units of a text, after its markup was parsed."""

_TAGS = frozenset(
    {"a", "b", "blockquote", "code", "del", "em", "i", "ins", "pre", "s", "span", "strike", "strong", "tg-emoji"}
    | {"tg-spoiler", "u"}
)
_TAG = re.compile(r"<(/?)([a-zA-Z-]*)([^<>]*)>|<")


class Sent(Struct, frozen=True):
    """A message as it was sent, and as people read it."""

    id: int
    chat_id: str
    text: str
    plain: str
    parse_mode: str | None


class TelegramWorld:
    """One bot. `app` is the server; `messages` what it delivered, in order."""

    def __init__(self, *, token: str) -> None:
        self.token = token
        self.messages: list[Sent] = []
        self.app = Faulty(Router([(method, "/bot{token}/{method}", self._call) for method in ("GET", "POST")]))

    async def _call(self, request: Request) -> Response:
        if request.path_params["token"] != self.token:
            return _refuse(401, "Unauthorized")
        if request.path_params["method"] != "sendMessage":
            return _refuse(404, "Not Found")
        body = request.json() if request.body else {}
        return self._send(body)

    def _send(self, body: dict[str, Any]) -> Response:
        chat, text, mode = body.get("chat_id"), body.get("text") or "", body.get("parse_mode")
        if not chat:
            return _refuse(400, "Bad Request: chat_id is empty")
        if mode not in (None, "", "HTML"):
            return _refuse(400, "Bad Request: unsupported parse_mode")  # others exist, and this world has none of them
        try:
            plain = parse_html(text) if mode == "HTML" else text
        except ValueError as error:
            return _refuse(400, f"Bad Request: can't parse entities: {error}")
        if not plain.strip():
            return _refuse(400, "Bad Request: message text is empty")
        if len(plain.encode("utf-16-le")) // 2 > LONGEST:
            return _refuse(400, "Bad Request: message is too long")
        sent = Sent(len(self.messages) + 1, str(chat), text, plain, mode or None)
        self.messages.append(sent)
        return web.json({"ok": True, "result": {"message_id": sent.id, "chat": {"id": chat}, "text": plain}})


def parse_html(text: str) -> str:
    """The text without its markup. Raises ValueError, in Telegram's words, for what its HTML mode does not take."""
    open_tags: list[str] = []
    for match in _TAG.finditer(text):
        closing, name = match[1], (match[2] or "").lower()
        if name not in _TAGS:
            raise ValueError(f'Unsupported start tag "{name}" at byte offset {_offset(text, match)}')
        if not closing:
            open_tags.append(name)
        elif not open_tags or open_tags.pop() != name:
            raise ValueError(f"Unexpected end tag at byte offset {_offset(text, match)}")
    if open_tags:
        raise ValueError(f'Can\'t find end tag corresponding to start tag "{open_tags[-1]}"')
    return html.unescape(_TAG.sub("", text))


def _offset(text: str, match: re.Match[str]) -> int:
    return len(text[: match.start()].encode())


def _refuse(status: int, description: str) -> Response:
    return web.json({"ok": False, "error_code": status, "description": description}, status)
