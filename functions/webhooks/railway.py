"""Railway's webhooks: unsigned and unordered, so a shared secret in a header is all the proof there is, and a hint all
they are.

Source: docs.railway.com/observability/webhooks.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from functions.webhooks.payload import parse
from shared.core.events import DeploymentChanged

_LISTENED = frozenset(
    {
        "deployment.deployed",
        "deployment.redeployed",
        "deployment.failed",
        "deployment.crashed",
        "deployment.oomkilled",
        "deployment.removed",
        "deployment.needsapproval",
    }
)
"""What can end a wait. Compared in lower case without `_`: the casing differs between Railway's own texts."""


class _Id(Struct, frozen=True):
    id: str


class _Resource(Struct, frozen=True):
    environment: _Id
    service: _Id
    deployment: _Id


class _Payload(Struct):
    type: str
    resource: msgspec.Raw = msgspec.Raw(b"{}")
    """Read only for an event that is listened to: Railway pauses an address that refuses what it did not expect."""


def sent_with(secrets: Iterable[str], header: str, authorization: str) -> bool:
    """Whether a secret came as X-Webhook-Secret or as a bearer token. Constant-time; False without secrets."""
    given = header or authorization.removeprefix("Bearer ")
    valid = False
    for secret in secrets:
        valid |= bool(secret) and hmac.compare_digest(secret.encode(), given.encode())
    return valid


def normalise(body: bytes) -> DeploymentChanged | None:
    """The event in our words, or None when no one cares. Raises BadInput that names the field."""
    payload = parse(body, _Payload)
    event = payload.type.lower().replace("_", "")
    if event not in _LISTENED:
        return None
    resource = parse(bytes(payload.resource), _Resource, "resource")
    return DeploymentChanged(
        environment_id=resource.environment.id,
        service_id=resource.service.id,
        deployment_id=resource.deployment.id,
        event=event,
    )
