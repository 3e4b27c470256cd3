"""What an answer that is no success means: one table for each vendor, so that one more answer is one more line.

- *passing*: the vendor's own failure, or the word of a gateway before it. It says nothing about the request.
- *limited*: a rate limit. The request had no effect, and may be sent again later.
- *denied*, *unknown*, *refused*: the vendor understood and said no: the credentials, the thing requested, the rest.
  Each may be said at a bad moment too, so it counts only once it has lasted (`refusal_patience`).
- *final*: certain, whenever it is asked again. Nothing else ends a run at once.

A table is read from the top; the first rule that fits decides. What no rule fits is *refused*.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from shared.errors import (
    Final,
    NotFound,
    RateLimited,
    Refused,
    SignalboxError,
    Unauthorized,
    Unavailable,
    UnknownOutcome,
)

LIMIT_WAIT = 60.0
"""Seconds to wait where the vendor names no time. GitHub wants at least a minute (docs: "Rate limits for the REST API",
exceeding the rate limit)."""


class Meaning(enum.Enum):
    PASSING = "passing"
    LIMITED = "limited"
    DENIED = "denied"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    FINAL = "final"


class Said(Struct, frozen=True, kw_only=True):
    """What an answer says, as far as it matters here. `status` is 200 for an error inside a GraphQL answer."""

    status: int
    message: str = ""
    kinds: frozenset[str] = frozenset()
    """The `type` (GitHub) or `extensions.code` (Railway) of its GraphQL errors."""
    foreign: bool = False
    """Its body is not of the vendor's own form, such as the HTML page of a gateway, a proxy or Cloudflare."""
    names_wait: bool = False
    """Its headers name a time to wait."""
    fresh: bool = False
    """It was given to a credential that was made a moment ago."""


class Rule(Struct, frozen=True, kw_only=True):
    """Fits an answer when each of the given conditions does; of `words`, in lower case, one is enough."""

    means: Meaning
    status: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    foreign: bool = False
    names_wait: bool = False
    fresh: bool = False

    def fits(self, said: Said) -> bool:
        message = said.message.lower()
        return (
            (not self.status or said.status in self.status)
            and (not self.kinds or bool(self.kinds & said.kinds))
            and (not self.words or any(word in message for word in self.words))
            and said.foreign >= self.foreign
            and said.names_wait >= self.names_wait
            and said.fresh >= self.fresh
        )


Table = tuple[Rule, ...]

EVERYWHERE: Table = (
    Rule(means=Meaning.LIMITED, status=frozenset({429})),
    Rule(means=Meaning.PASSING, status=frozenset(range(500, 600))),
)
"""By HTTP's status alone, whoever answers (RFC 6585 §4, RFC 9110 §15.6); `send` in http.py sees to these."""

GITHUB: Table = (
    # Docs: "Rate limits for the REST API"; "too quickly" is what creating many things in a row is answered, with 403 or
    # 422, or as a GraphQL error.
    Rule(means=Meaning.LIMITED, kinds=frozenset({"RATE_LIMITED", "RATE_LIMIT"})),
    Rule(means=Meaning.LIMITED, words=("secondary rate limit", "abuse detection", "too quickly")),
    Rule(means=Meaning.LIMITED, status=frozenset({403}), names_wait=True),
    Rule(means=Meaning.PASSING, foreign=True),
    # GitHub does not know a new token everywhere at once: octokit/auth-app.js, issue 65. That it does not know its
    # permissions (403, issue 589) cannot be told from not having them.
    Rule(means=Meaning.PASSING, status=frozenset({401}), fresh=True),
    Rule(means=Meaning.PASSING, kinds=frozenset({"INTERNAL", "TIMEOUT", "SERVICE_UNAVAILABLE"})),
    Rule(
        means=Meaning.PASSING,
        words=("something went wrong", "request in time", "timed out", "temporarily unavailable", "try again later"),
    ),
    Rule(
        means=Meaning.FINAL,
        status=frozenset({405}),
        words=("pull request is closed", "are not allowed on this repository"),
    ),
    Rule(means=Meaning.DENIED, status=frozenset({401, 403})),
    Rule(means=Meaning.DENIED, kinds=frozenset({"FORBIDDEN", "INSUFFICIENT_SCOPES"})),
    Rule(means=Meaning.UNKNOWN, status=frozenset({404, 410})),
    Rule(means=Meaning.UNKNOWN, kinds=frozenset({"NOT_FOUND"})),
)

RAILWAY: Table = (
    # docs.railway.com/integrations/api: refusals come with HTTP 200 and `errors`. Its code INTERNAL_SERVER_ERROR stands
    # for failures and for plain refusals alike, so that the message has to tell them apart.
    Rule(means=Meaning.LIMITED, words=("too quickly", "too many requests", "rate limit", "ratelimit")),
    Rule(means=Meaning.PASSING, foreign=True),
    Rule(
        means=Meaning.PASSING,
        words=("problem processing request", "try again", "timed out", "timeout", "temporarily unavailable"),
    ),
    Rule(means=Meaning.FINAL, words=("commit not found",)),
    # "Not Authorized" is said of a dead token and of a thing that is out of its reach alike.
    Rule(means=Meaning.DENIED, status=frozenset({401, 403})),
    Rule(means=Meaning.DENIED, kinds=frozenset({"UNAUTHENTICATED", "FORBIDDEN"})),
    Rule(
        means=Meaning.DENIED, words=("not authorized", "project token not found", "two factor authentication required")
    ),
    Rule(means=Meaning.UNKNOWN, words=("not found",)),
)

N8N: Table = (
    Rule(means=Meaning.PASSING, status=frozenset({401, 403, 404}), foreign=True),
    Rule(means=Meaning.DENIED, status=frozenset({401, 403})),
    Rule(means=Meaning.UNKNOWN, status=frozenset({404})),
)


def meaning(said: Said, table: Table) -> Meaning:
    return next((rule.means for rule in (*EVERYWHERE, *table) if rule.fits(said)), Meaning.REFUSED)


def error_of(said: Said, table: Table, text: str, *, changes: bool, wait: float | None = None) -> SignalboxError:
    """The error for an answer; `wait` are the seconds that it names, `changes` as in `send`.

    A change that was answered in passing may have had its effect: whoever spoke may have passed it on before. A fresh
    credential that is refused was refused before any.
    """
    match meaning(said, table):
        case Meaning.PASSING if changes and not said.fresh:
            return UnknownOutcome(text, retry_after=wait)
        case Meaning.PASSING:
            return Unavailable(text, retry_after=wait)
        case Meaning.LIMITED:
            return RateLimited(text, retry_after=wait or LIMIT_WAIT)
        case Meaning.DENIED:
            return Unauthorized(text, status=said.status)
        case Meaning.UNKNOWN:
            return NotFound(text, status=said.status)
        case Meaning.FINAL:
            return Final(text, status=said.status)
        case _:
            return Refused(text, status=said.status)


def is_page(content: bytes, content_type: str) -> bool:
    """Whether a body is a gateway's: a web page, or Cloudflare's short form of one (`error code: 1010`)."""
    start = content.lstrip()[:11].lower()
    return "text/html" in content_type.lower() or start.startswith(b"<") or start == b"error code:"
