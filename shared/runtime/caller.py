"""Who calls a function: only its own Pub/Sub subscription, or its schedule, may.

Both send an OpenID Connect token of Google's in `Authorization`: for the function's address, as the account made for
this caller alone. IAM has checked it before; we check it again, so that a function which is opened by mistake still
obeys no one else.

Behind IAM, Cloud Run hands the token on with its signature replaced (cloud.google.com/run/docs/troubleshooting,
"signature removed"). Such a token is believed only where Cloud Run lets no one in without IAM (`SIGNALBOX_PRIVATE`,
which Terraform sets by `public` in functions/topology.yaml); elsewhere the signature is checked with Google's keys.

Claims: cloud.google.com/pubsub/docs/authenticate-push-subscriptions#jwt_format; the scheduler's are the same.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.errors import TransientError
from shared.runtime import log
from shared.runtime.services import Services
from shared.runtime.unreadable import UNREADABLE

ISSUERS = ("https://accounts.google.com", "accounts.google.com")
REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"
ALGORITHM = "RS256"
LEEWAY = 60
"""Seconds that the clocks of Google and of the instance may differ."""
DOTS = 2
LONGEST = 4096
"""Characters of a token; Google's have less than 1000."""
NEXT_STEP = (
    "If this is the function's own subscription or schedule, run `terraform apply`: it sets SIGNALBOX_CALLER and"
    " SIGNALBOX_AUDIENCE as it sets the token. Otherwise the caller is unknown: see docs/security.md."
)


class NotTheCaller(Exception):
    """A request without a valid token of the function's own caller."""


class _Header(Struct):
    alg: str
    kid: str = ""


class _Claims(Struct):
    iss: str
    aud: str
    exp: float
    email: str = ""
    email_verified: bool = False
    iat: float = 0


_headers: msgspec.json.Decoder[_Header] = msgspec.json.Decoder(_Header)
_claims: msgspec.json.Decoder[_Claims] = msgspec.json.Decoder(_Claims)


async def refuse(request: Request, services: Services) -> Response | None:
    """The answer to a request that is not the caller's; None for one that is to be served.

    Pub/Sub keeps what was refused and brings it again. Everything is served where no caller is set, which a deployed
    function does not start with (`prepare` in shared/runtime/services.py).
    """
    if not services.settings.signalbox_caller:
        return None
    try:
        await check(request.headers.get("authorization", ""), services)
    except NotTheCaller as error:
        log.error("a call that is not the caller's was refused", reason=str(error), next_step=NEXT_STEP)
        return JSONResponse({"error": "not authorized"}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
    except TransientError as error:
        log.warning("again later: the caller cannot be checked", reason=str(error))
        return JSONResponse({"again": True}, status_code=503)
    return None


async def check(authorization: str, services: Services) -> None:
    """Raises NotTheCaller that says why, and Unavailable when Google's keys cannot be had."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotTheCaller("the request has no bearer token")
    if len(token) > LONGEST or token.count(".") != DOTS:
        raise NotTheCaller("the token is no JSON Web Token")
    head, body, signature = token.split(".")
    header, claims = _decode(head, _headers), _decode(body, _claims)
    if header.alg != ALGORITHM:
        raise NotTheCaller(f"the token is signed by {header.alg[:20]!r}, not by {ALGORITHM}")
    if signature == REMOVED:
        if not services.settings.signalbox_private:
            raise NotTheCaller("the token has no signature, and anybody may reach this function")
    else:
        await _check_signature(token, header.kid, services)
    _check_claims(claims, services)


def _check_claims(claims: _Claims, services: Services) -> None:
    settings, now = services.settings, services.clock.now().timestamp()
    if claims.iss not in ISSUERS:
        raise NotTheCaller("the token is not Google's")
    if claims.aud != settings.signalbox_audience:
        raise NotTheCaller(f"the token is for {claims.aud[:200]}, not for {settings.signalbox_audience}")
    if claims.email != settings.signalbox_caller or not claims.email_verified:
        raise NotTheCaller(f"the token is of {claims.email[:200] or 'no account'}, not of {settings.signalbox_caller}")
    if claims.exp + LEEWAY < now:
        raise NotTheCaller(f"the token expired {now - claims.exp:.0f} s ago")
    if claims.iat - LEEWAY > now:
        raise NotTheCaller(f"the token is issued {claims.iat - now:.0f} s in the future")


async def _check_signature(token: str, key_id: str, services: Services) -> None:
    key = await services.google_keys.key(key_id)
    if key is None:
        raise NotTheCaller("the token is signed with a key that Google does not have")
    signed, _, signature = token.rpartition(".")
    if not key.verify(signed.encode(), _bytes(signature)):
        raise NotTheCaller("the token's signature is not valid")


def _decode(part: str, decoder: msgspec.json.Decoder[Any]) -> Any:
    try:
        return decoder.decode(_bytes(part))
    except UNREADABLE as error:
        raise NotTheCaller("the token cannot be read") from error


def _bytes(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars="-_", validate=True)
    except ValueError as error:
        raise NotTheCaller("the token cannot be read") from error
