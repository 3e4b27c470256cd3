"""How the Google clients connect, and what their errors mean to us.

Codes: github.com/grpc/grpc/blob/master/doc/statuscodes.md. A code does not tell whether a change was applied: after
UNAVAILABLE or DEADLINE_EXCEEDED a commit may have been (firebase-admin-node #2854), which is why the libraries' own
retries are replaced by `RETRY` where repeating is safe, and switched off where it is not.
"""

from __future__ import annotations

from typing import Any, Protocol

import grpc.aio  # type: ignore[import-untyped]
from google.api_core.exceptions import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    GoogleAPICallError,
    PermissionDenied,
    ResourceExhausted,
    RetryError,
    ServerError,
    ServiceUnavailable,
    Unauthenticated,
)
from google.api_core.retry import if_exception_type
from google.api_core.retry_async import AsyncRetry
from google.auth.exceptions import DefaultCredentialsError

from shared.errors import ConfigError, RateLimited, Refused, SignalboxError, Unauthorized, Unavailable, UnknownOutcome
from shared.runtime.redaction import redact

OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)
"""As google-cloud-firestore sets them: a connection that died unseen is noticed, and a full document fits."""
EMULATOR_OPTIONS = (*OPTIONS, ("grpc.enable_http_proxy", 0))
"""gRPC would go through the environment's HTTP proxy even to this machine."""
RETRY = AsyncRetry(if_exception_type(ServiceUnavailable), initial=0.05, maximum=0.5, multiplier=2.0, timeout=2.0)
"""For calls that may be repeated: long enough to outlast a connection that the other side closed, and no longer."""

FAILURES = (GoogleAPICallError, RetryError)
"""What a call of a generated client raises."""
_NOT_SENT = ("failed to connect to all addresses", "Getting metadata from plugin failed", "DNS resolution failed")
"""What gRPC says when it had no connection or no credentials to send with."""


class Transport(Protocol):
    """The class method that every generated asynchronous transport has."""

    @classmethod
    def create_channel(cls, *, options: Any) -> Any: ...


def connect(transport: type[Transport], endpoint: str | None) -> grpc.aio.Channel:
    """To Google with Application Default Credentials, or to an emulator's `host:port`. Raises ConfigError."""
    if endpoint is not None:
        return grpc.aio.insecure_channel(endpoint, options=EMULATOR_OPTIONS)
    try:
        channel: grpc.aio.Channel = transport.create_channel(options=OPTIONS)
    except DefaultCredentialsError as error:
        raise ConfigError(f"no Application Default Credentials: {error}") from error
    return channel


def explain(
    failure: GoogleAPICallError | RetryError, doing: str, needs: str, *, changes: bool = False
) -> SignalboxError:
    """Our error for Google's. `needs`: the role without which PERMISSION_DENIED; `changes`: the call has an effect."""
    error = failure.cause if isinstance(failure, RetryError) else failure
    text = redact(f"{doing}: {error.grpc_status_code.name if error.grpc_status_code else error.code} {error.message}")
    if isinstance(error, PermissionDenied | Unauthenticated):
        return Unauthorized(f"{text} (needs {needs})", status=int(error.code or 0))
    if isinstance(error, ResourceExhausted):
        return RateLimited(text)
    if isinstance(error, ServerError | DeadlineExceeded | Cancelled | Aborted):
        sent = not (isinstance(error, ServiceUnavailable) and any(words in error.message for words in _NOT_SENT))
        return UnknownOutcome(text) if changes and sent else Unavailable(text)
    return Refused(text, status=int(error.code or 0))
