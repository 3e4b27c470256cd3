"""The simulated GitHub's webhooks: signed, delivered once, recorded, and repeated only when somebody asks."""

from __future__ import annotations

import hmac
import random
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from local.world.github.model import Ids, Repository
from local.world.github.payloads import installation_id, repository, stamp, user
from shared.runtime.ports import Clock

Deliver = Callable[[dict[str, str], bytes], Awaitable[int]]
"""Takes headers and body to the webhook's address and returns the HTTP status; a lost connection raises."""

RETENTION = timedelta(days=3)


class Webhook(Struct, frozen=True):
    """An event on its way."""

    guid: str
    event: str
    action: str | None
    installation: int
    repository: int
    body: bytes
    redelivery: bool = False


class Attempt(Struct, frozen=True):
    """One delivery as GitHub lists it; the status is `OK` for any 2xx answer."""

    id: int
    webhook: Webhook
    delivered_at: datetime
    status: str
    status_code: int

    def listed(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "guid": self.webhook.guid,
            "delivered_at": stamp(self.delivered_at),
            "redelivery": self.webhook.redelivery,
            "duration": 0.12,
            "status": self.status,
            "status_code": self.status_code,
            "event": self.webhook.event,
            "action": self.webhook.action,
            "installation_id": self.webhook.installation,
            "repository_id": self.webhook.repository,
            "throttled_at": None,
        }


class Webhooks:
    """The App's one webhook: what waits to be delivered, and what was."""

    def __init__(self, *, clock: Clock, ids: Ids, secret: str, app_id: str, deliver: Deliver | None) -> None:
        self._clock = clock
        self._ids = ids
        self._app_id = app_id
        self.secret = secret
        self.url = "https://signalbox.test/github-webhook"
        """Where the App's settings send them, as GitHub shows it; `deliver` is what takes them there."""
        self.deliver = deliver
        self.queue: list[Webhook] = []
        self._under_way = 0
        self._attempts: list[Attempt] = []

    @property
    def idle(self) -> bool:
        """Whether none waits, and none is being delivered."""
        return not self.queue and not self._under_way

    def enqueue(self, event: str, content: dict[str, Any], repo: Repository, sender: str) -> None:
        """Freeze the event as it is now: what changes before the delivery is not in it."""
        installation = installation_id(repo.owner)
        body = {
            **content,
            "repository": repository(repo),
            "installation": {"id": installation, "node_id": f"IN_{installation:x}"},
            "sender": user(sender),
        }
        action, guid = content.get("action"), self._ids.guid()
        self.queue.append(Webhook(guid, event, action, installation, repo.id, msgspec.json.encode(body)))

    def attempts(self) -> list[Attempt]:
        """What GitHub still remembers, newest first."""
        oldest = self._clock.now() - RETENTION
        return [attempt for attempt in reversed(self._attempts) if attempt.delivered_at >= oldest]

    def repeat(self, attempt_id: int) -> bool:
        """Queue a redelivery with the same guid; False when the attempt is not remembered."""
        for attempt in self.attempts():
            if attempt.id == attempt_id:
                self.queue.append(msgspec.structs.replace(attempt.webhook, redelivery=True))
                return True
        return False

    async def tick(self, *, copies: int, shuffle: random.Random | None) -> None:
        """Deliver what is queued now; what the deliveries cause waits for the next tick."""
        waiting, self.queue = [webhook for webhook in self.queue for _ in range(copies)], []
        if shuffle is not None:
            shuffle.shuffle(waiting)
        self._under_way += len(waiting)
        for webhook in waiting:
            try:
                code, status = await self._attempt(webhook)
            finally:
                self._under_way -= 1
            self._attempts.append(Attempt(self._ids.number(), webhook, self._clock.now(), status, code))

    async def _attempt(self, webhook: Webhook) -> tuple[int, str]:
        if self.deliver is None:
            return 502, "failed to connect to host"
        try:
            code = await self.deliver(self._headers(webhook), webhook.body)
        except (httpx.TimeoutException, TimeoutError):
            return 504, "timed out"
        except (httpx.TransportError, OSError):
            return 502, "failed to connect to host"
        return code, "OK" if 200 <= code < 300 else f"Invalid HTTP Response: {code}"

    def _headers(self, webhook: Webhook) -> dict[str, str]:
        key = self.secret.encode()
        return {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/5b9ff1c",
            "X-GitHub-Delivery": webhook.guid,
            "X-GitHub-Event": webhook.event,
            "X-GitHub-Hook-ID": "510229981",
            "X-GitHub-Hook-Installation-Target-ID": self._app_id,
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature": f"sha1={hmac.digest(key, webhook.body, 'sha1').hex()}",
            "X-Hub-Signature-256": f"sha256={hmac.digest(key, webhook.body, 'sha256').hex()}",
        }
