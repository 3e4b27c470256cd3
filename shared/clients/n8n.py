"""n8n: calling a workflow by its production webhook, and telling what became of the call.

n8n answers 200 to things that were not done and 404 to things that soon will be; the rules below were observed on
2.8.4 and 2.41.1 and are laid down in docs/n8n.md. It knows no idempotency: the key is sent for the workflow's own use.

n8n keeps what a call brought with its execution. So the secret itself is never sent: a call is signed with it, for a
few minutes, for this key and this body.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
from msgspec import Struct

from shared.clients.answers import N8N, Said, error_of, is_page
from shared.clients.http import NOT_SENT, UNANSWERED, HttpClient, Network, Response, describe, retry_after
from shared.errors import Refused, SignalboxError, Unavailable, UnknownOutcome
from shared.runtime.redaction import redact
from shared.runtime.secrets import N8N_API, Secrets
from shared.runtime.unreadable import UNREADABLE

_STARTING = "n8n is starting up"
_LONGEST = 300  # characters of n8n's own words in an error
_WITHIN = 20.0
VALID_FOR = 300
"""Seconds for which a call's token is good: what n8n keeps of it opens nothing afterwards."""
ALGORITHM = "HS256"


class _Answer(Struct):
    """What the workflows answer, and n8n itself (`message`)."""

    ok: bool | None = None
    execution_id: str | int | None = None
    error: str = ""
    failed_node: str = ""
    detail: str = ""
    message: str = ""

    @property
    def text(self) -> str:
        said = ": ".join(part for part in (self.error, self.failed_node, self.detail, self.message) if part)
        execution = f" (execution {self.execution_id})" if self.execution_id is not None else ""
        return redact(said, _LONGEST) + redact(execution)


class N8n:
    """One n8n server, called with the secret N8N-API."""

    def __init__(self, *, url: str, secrets: Secrets, network: Network | None = None) -> None:
        self._secrets = secrets
        self._client = HttpClient(url, network=network)

    async def call(
        self, path: str, payload: Mapping[str, Any], *, idempotency_key: str, within: float = _WITHIN
    ) -> str:
        """Run the workflow behind the webhook `path` to its answer, for so many seconds; the id of its execution.

        Raises Unavailable when it was not run (down, or starting), UnknownOutcome when it may have been, in whole or
        in part, and RateLimited; NotFound when the workflow is missing or not active, Unauthorized when the token is
        refused, Refused when the workflow declines the payload or does not answer as agreed.
        """
        body = msgspec.json.encode(dict(payload))
        headers = {
            "Authorization": f"Bearer {signed(await self._secrets.value(N8N_API), idempotency_key, body)}",
            "Content-Type": "application/json",
            "Idempotency-Key": idempotency_key,
        }
        where = f"n8n workflow {path}"
        try:
            response = await self._client.exchange(
                "POST", f"/webhook/{path}", content=body, headers=headers, within=within
            )
        except NOT_SENT as error:
            raise Unavailable(f"{where}: not reached: {describe(error)}") from error
        except UNANSWERED as error:
            raise UnknownOutcome(f"{where}: no answer: {describe(error)}") from error
        answer = _read(response)
        if response.is_success and answer is not None and answer.ok and answer.execution_id is not None:
            return str(answer.execution_id)
        if response.status_code in (401, 403):
            self._secrets.clear()
        raise _failure(where, response, answer)

    async def registered(self, path: str) -> bool:
        """Whether a workflow is active behind the webhook `path`, told without running it.

        A call with a wrong token is refused before the workflow starts, and with 404 where there is none. Raises
        Unavailable when n8n is down or starting, Refused when the webhook does not ask for a token.
        """
        where = f"n8n workflow {path}"
        wrong = {"Authorization": "Bearer not-a-token"}
        response = await self._client.send("POST", f"/webhook/{path}", changes=False, headers=wrong, json={})
        answer = _read(response)
        if response.status_code == 403:
            return True
        if response.status_code == 404 and answer is not None:
            return False
        if response.status_code == 404 or _STARTING in _text(response):
            raise Unavailable(f"{where}: n8n is still starting")
        raise Refused(f"{where}: {response.status_code} to a call with a wrong token", status=response.status_code)

    async def close(self) -> None:
        await self._client.close()


def signed(secret: str, key: str, body: bytes) -> str:
    """What n8n's JWT authentication takes (RFC 7519), and the workflow compares with what it got."""
    now = int(time.time())
    claims = {
        "iss": "signalbox",
        "iat": now,
        "exp": now + VALID_FOR,
        "key": key,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    with warnings.catch_warnings():  # of a short secret the doctor warns
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)
        return jwt.encode(claims, secret, algorithm=ALGORITHM)


def _read(response: Response) -> _Answer | None:
    """The answer, None when it is not a JSON object of this form."""
    try:
        return msgspec.json.decode(response.content, type=_Answer)
    except UNREADABLE:
        return None


def _text(response: Response) -> str:
    """Not by the charset that the answer names: not all that Python knows are of texts."""
    return response.content.decode(errors="replace")


def _failure(where: str, response: Response, answer: _Answer | None) -> SignalboxError:
    status, page = response.status_code, is_page(response.content, response.headers.get("content-type", ""))
    said = f"{where}: {status} {answer.text if answer else redact(_text(response), _LONGEST)}".rstrip()
    if status == 404 and answer is None:  # JSON: no such workflow is active. Otherwise the routes are not there yet.
        return Unavailable(f"{where}: 404, n8n is still starting")
    if response.is_success and answer is None:
        return Unavailable(said) if _STARTING in _text(response) else UnknownOutcome(said)
    told = Said(status=status, message=answer.text if answer else "", foreign=page)
    return error_of(told, N8N, said, changes=True, wait=retry_after(response))
