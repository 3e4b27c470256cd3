"""The body of a webhook, read with bounds: anybody may send one, so none is kept before it is known to be wanted.

What an instance keeps of all its requests together has a bound too: more is refused, and failed deliveries are
requested again from GitHub.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable
from typing import Any

from starlette.requests import ClientDisconnect, Request

from shared.errors import BadInput

LARGEST = 2 * 1024 * 1024
"""Bytes. GitHub sends up to 25 MB, but not of the events that we listen to: the largest of their published examples has
30 kB. Two texts of people (a comment's, and its pull request's) come on top, each at most 65,536 characters, which take
up to 12 bytes each in a form (an emoji does): 1.5 MiB."""
LARGEST_FROM_RAILWAY = 256 * 1024
"""Railway's have some kilobytes; a commit's message is in them."""
KEPT_AT_ONCE = 32 * 1024 * 1024
"""Of all requests that an instance reads at the same time, in an instance of 256 MiB."""
WITHIN = 20.0
"""Seconds for a body to arrive; GitHub itself waits 10 s for an answer."""
_LONGEST_NUMBER = 18
"""Digits: Python refuses to read thousands of them."""


class NotRead(Exception):
    """What the sender is answered instead of being read any further."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Signatures:
    """The HMAC-SHA256 of a body by each of the secrets, computed while it arrives."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._made = [hmac.new(secret.encode(), digestmod="sha256") for secret in secrets if secret]

    def update(self, chunk: bytes) -> None:
        for one in self._made:
            one.update(chunk)

    def include(self, given: str) -> bool:
        """Whether one of them is `given`, as in X-Hub-Signature-256. Constant-time; False without secrets."""
        made = [hmac.compare_digest(f"sha256={one.hexdigest()}".encode(), given.encode()) for one in self._made]
        return any(made)


class Bodies:
    """What an instance has read of its requests and still keeps, in bytes."""

    def __init__(self) -> None:
        self.kept = 0

    async def read(self, request: Request, largest: int, signatures: Signatures | None = None) -> bytes:
        """The whole body. Raises NotRead as soon as it is too large or too slow, BadInput when the sender hung up."""
        length = request.headers.get("content-length", "")
        if length.isdecimal() and (len(length) > _LONGEST_NUMBER or int(length) > largest):
            raise _too_large(largest)
        body = bytearray()
        try:
            async with asyncio.timeout(WITHIN):
                async for chunk in request.stream():
                    self._keep(body, chunk, largest)
                    if signatures is not None:
                        signatures.update(chunk)
        except TimeoutError as error:
            raise NotRead(408, f"it did not arrive within {WITHIN:g} s") from error
        except ClientDisconnect as error:
            raise BadInput("the sender hung up") from error
        finally:
            self.kept -= len(body)
        return bytes(body)

    def _keep(self, body: bytearray, chunk: Any, largest: int) -> None:
        if len(body) + len(chunk) > largest:
            raise _too_large(largest)
        if self.kept + len(chunk) > KEPT_AT_ONCE:
            raise NotRead(503, "too many webhooks at the same time; send it again")
        body += chunk
        self.kept += len(chunk)


def _too_large(largest: int) -> NotRead:
    return NotRead(413, f"larger than {largest // 1024} KiB")
