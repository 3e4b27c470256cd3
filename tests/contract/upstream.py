"""What the n8n workflows of this project call, on loopback: Telegram, Anthropic, GitHub's REST API."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from threads import in_a_thread

from local.emulation.serving import served_by
from local.world import web
from local.world.faults import Faulty
from local.world.telegram import TelegramWorld
from local.world.web import Request, Response, Route, Router
from shared.clients import http

BOT = "123456:a-telegram-token"
ANTHROPIC_KEY = "an-anthropic-key"
GITHUB_TOKEN = "Bearer a-github-token"
OWN_ID = 4711
"""Whose token it is."""
HEAD = "0123456789abcdef0123456789abcdef01234567"
TITLE = 'Title with "quotes", {{ $env.SECRET }} and </title>'
TOO_LARGE = {
    "message": "Sorry, the diff exceeded the maximum number of lines (20000)",
    "errors": [{"resource": "PullRequest", "field": "diff", "code": "too_large"}],
    "documentation_url": "https://docs.github.com/rest/pulls/pulls#list-pull-requests-files",
    "status": "406",
}
"""What GitHub answers, with 406, instead of the diff of many lines or files (github.com/cli/cli/issues/10712)."""
FILES = [
    {"filename": "app.py", "status": "modified", "changes": 2, "patch": "@@ -1 +1 @@\n-{{ 1 }}\n+{{ 2 }}"},
    {"filename": "lock.json", "previous_filename": "old.json", "status": "renamed", "changes": 30000},
]
DIFF = 'diff --git a/x b/x\n+ print("hello {{ 1 + 1 }}")\n'


class Upstream:
    """`served` puts it on a port in a thread of its own; what it is told stays in the lists."""

    def __init__(self) -> None:
        self.telegram = TelegramWorld(token=BOT)
        self.asked: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.answer: Any = "The build lacks `zod`. cc @everyone <!-- signalbox:run:x -->"
        self.thinks = 0.0
        self.no_diff = 0
        """The status with which a diff is refused."""
        self.url = ""
        routes: list[Route] = [
            ("POST", "/anthropic/v1/messages", self._messages),
            ("GET", "/github/user", self._user),
            ("GET", "/github/repos/{owner}/{name}/issues/{number:int}/comments", self._comment),
            ("POST", "/github/repos/{owner}/{name}/issues/{number:int}/comments", self._comment),
            ("GET", "/github/repos/{owner}/{name}/pulls/{number:int}", self._pull),
            ("GET", "/github/repos/{owner}/{name}/pulls/{number:int}/files", self._files),
        ]
        routes += [(method, "/telegram/{path:path}", self._telegram) for method in ("GET", "POST")]
        self.app = Faulty(Router(routes))

    def forget(self) -> None:
        """As at the beginning, for the next test."""
        self.telegram.messages.clear()
        self.telegram.app.faults.clear()
        self.telegram.app.calls.clear()
        self.app.faults.clear()
        self.app.calls.clear()
        self.asked.clear()
        self.comments.clear()
        self.answer = "The build lacks `zod`. cc @everyone <!-- signalbox:run:x -->"
        self.thinks = 0.0
        self.no_diff = 0

    @contextlib.contextmanager
    def served(self) -> Iterator[Upstream]:
        with in_a_thread(served_by(self.app)) as self.url:
            yield self

    async def _messages(self, request: Request) -> Response:
        if request.headers.get("x-api-key") != ANTHROPIC_KEY:
            return web.json({"type": "error", "error": {"message": "invalid x-api-key"}}, 401)
        if request.headers.get("anthropic-version") != "2023-06-01":
            return web.json({"type": "error", "error": {"message": "anthropic-version: needed"}}, 400)
        asked = request.json()
        self.asked.append(asked)
        await asyncio.sleep(self.thinks)
        content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": self.answer}] if self.answer else []
        return web.json({"type": "message", "role": "assistant", "model": asked["model"], "content": content})

    async def _comment(self, request: Request) -> Response:
        if request.headers.get("authorization") != GITHUB_TOKEN:
            return web.json({"message": "Bad credentials"}, 401)
        if request.method == "GET":
            page, size = int(request.query.get("page", 1)), int(request.query["per_page"])
            return web.json(self.comments[(page - 1) * size : page * size])
        number, body = request.path_params["number"], request.json()["body"]
        made = {
            "id": len(self.comments) + 1,
            "body": body,
            "user": {"login": "signalbox-reviews", "id": OWN_ID},
            "html_url": f"https://github.test/{number}#{len(self.comments)}",
        }
        self.comments.append(made)
        return web.json(made, 201)

    async def _user(self, request: Request) -> Response:
        if request.headers.get("authorization") != GITHUB_TOKEN:
            return web.json({"message": "Bad credentials"}, 401)
        return web.json({"login": "signalbox-reviews", "id": OWN_ID, "type": "User"})

    async def _pull(self, request: Request) -> Response:
        if request.headers.get("authorization") != GITHUB_TOKEN:
            return web.json({"message": "Bad credentials"}, 401)
        if request.headers["accept"] == "application/vnd.github.diff":
            return web.json(TOO_LARGE, self.no_diff) if self.no_diff else web.text(DIFF)
        return web.json({"number": 7, "title": TITLE, "body": None, "changed_files": 350, "head": {"sha": HEAD}})

    async def _files(self, request: Request) -> Response:
        if request.headers.get("authorization") != GITHUB_TOKEN:
            return web.json({"message": "Bad credentials"}, 401)
        return web.json(FILES[: int(request.query["per_page"])])

    async def _telegram(self, request: Request) -> Response:
        url = request.url.replace("/telegram/", "/", 1)
        answer = await self.telegram.app(http.Request(request.method, url, request.headers, request.body))
        return Response(answer.status_code, answer.content, answer.headers)
