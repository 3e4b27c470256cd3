"""The webhooks of the simulated Railway: unsigned, repeated and unordered on demand, tried four times.

Source: docs.railway.com/guides/webhooks.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from local.world.railway.deployment import Deployment

Deliver = Callable[[Mapping[str, str], bytes], Awaitable[int]]
"""Posts headers and body to Signalbox and returns the HTTP status."""

ATTEMPTS = 4
_EVENTS = {
    "NEEDS_APPROVAL": ("needs_approval", "NOTICE"),
    "WAITING": ("waiting", "INFO"),
    "QUEUED": ("queued", "INFO"),
    "BUILDING": ("building", "INFO"),
    "DEPLOYING": ("deploying", "INFO"),
    "SUCCESS": ("deployed", "INFO"),
    "SLEEPING": ("slept", "INFO"),
    "FAILED": ("failed", "WARNING"),
    "CRASHED": ("crashed", "CRITICAL"),
    "REMOVED": ("removed", "INFO"),
}


class _Delivery(Struct, eq=False):
    body: bytes
    attempts: int = 0


class Webhooks:
    """What is still to be delivered, and in `given_up` what never could be."""

    def __init__(self, secret: str) -> None:
        self.given_up: list[bytes] = []
        self._headers = {"content-type": "application/json", "x-webhook-secret": secret}
        self._pending: list[_Delivery] = []
        self._random = random.Random(0)

    @property
    def pending(self) -> bool:
        """Whether there is something to deliver."""
        return bool(self._pending)

    def announce(self, deployment: Deployment, at: datetime, *, copies: int, event: str | None = None) -> None:
        """Queue the webhook of the deployment's present status; statuses without one are passed over."""
        if event is None and deployment.status not in _EVENTS:
            return
        name, severity = (event, "INFO") if event else _EVENTS[deployment.status]
        body = msgspec.json.encode(_payload(deployment, at, f"Deployment.{name}", severity))
        self._pending += [_Delivery(body) for _ in range(copies)]

    async def deliver(self, deliver: Deliver, *, shuffle: bool) -> None:
        """Try each pending one once; what fails is tried again at the next call, and given up after four attempts."""
        pending, self._pending = self._pending, []
        if shuffle:
            self._random.shuffle(pending)
        for delivery in pending:
            if await self._accepted(deliver, delivery):
                continue
            delivery.attempts += 1
            if delivery.attempts < ATTEMPTS:
                self._pending.append(delivery)
            else:
                self.given_up.append(delivery.body)

    async def _accepted(self, deliver: Deliver, delivery: _Delivery) -> bool:
        try:
            status = await deliver(self._headers, delivery.body)
        except httpx.TransportError:
            return False
        return 200 <= status < 400


def _payload(deployment: Deployment, at: datetime, type: str, severity: str) -> dict[str, Any]:
    service = deployment.service
    return {
        "type": type,
        "details": {
            "id": deployment.id,
            "source": deployment.source,
            "status": deployment.status,
            "branch": service.branch,
            "commitHash": deployment.commit_sha,
            "commitAuthor": "someone",
            "commitMessage": f"commit {deployment.commit_sha[:7]}",
        },
        "resource": {
            "workspace": {"id": "workspace-1", "name": "Workspace"},
            "project": {"id": service.project_id, "name": "Project"},
            "environment": {
                "id": service.environment_id,
                "name": service.environment_name,
                "isEphemeral": False,
            },
            "service": {"id": service.service_id, "name": service.name},
            "deployment": {"id": deployment.id},
        },
        "severity": severity,
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
