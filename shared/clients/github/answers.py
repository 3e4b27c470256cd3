"""What GitHub's answers mean: which of our errors a refusal is, and the typed content of the rest."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Generic, Self, TypeVar

import httpx
import msgspec
from msgspec import Struct

from shared.clients import tolerant
from shared.clients.answers import GITHUB, Said, error_of
from shared.clients.http import LONGEST_WAIT, Response, retry_after
from shared.errors import NotFound, PullRequestUnknown, Unavailable, UnknownOutcome
from shared.runtime.redaction import redact
from shared.runtime.unreadable import UNREADABLE

T = TypeVar("T")

MOST_PAGES = 100
"""Of a hundred entries each. GitHub's longest list that is read here, a pull request's files, ends at 30."""
_LONGEST_DETAIL = 500
_NEXT = re.compile(r'<([^>]*)>;[^,]*\brel="?next"?')
_NO_PULL_REQUEST = "Could not resolve to a PullRequest"
"""GitHub's words where the repository is there and the number is not."""


_LIMITS = frozenset({"RATE_LIMITED", "RATE_LIMIT"})


class _Refusal(Struct):
    """The body of a 4xx; `errors` says more for a 422, in shapes that differ by endpoint."""

    message: str = ""
    errors: msgspec.Raw = msgspec.Raw(b"")


class _GraphQLError(Struct):
    message: str = ""
    type: str = ""
    path: list[str | int] | None = None

    @property
    def about_an_entry(self) -> bool:
        """Of a list, which is null there then: it is left out, or counted, like any other that cannot be read.

        Source: spec.graphql.org, "Handling Execution Errors": the path names the field or the index that is null.
        """
        last = self.path[-1] if self.path else None
        return isinstance(last, int) and self.type not in _LIMITS


_UNREADABLE_ERROR = _GraphQLError("Something went wrong, and GitHub's error cannot be read")


class _GraphQLErrors(Struct):
    errors: list[_GraphQLError | None] | None = None
    message: str = ""
    """In the place of all else, as REST has it."""


def raise_refusal(response: Response, now: datetime, *, changes: bool, fresh: bool = False) -> None:
    """Return for a 2xx. Raises what GITHUB in answers.py makes of the rest, with GitHub's own words.

    Redirects are refusals too: those that lead anywhere have been followed.
    `changes`: as in `send`. `fresh`: GitHub itself made the token a moment ago.
    """
    if response.is_success:
        return
    message, foreign = _said(response)
    wait = named_wait(response, now)
    said = Said(status=response.status_code, message=message, foreign=foreign, names_wait=wait is not None, fresh=fresh)
    shown = "an answer that is not GitHub's own" if foreign else message
    text = redact(f"{response.about}: {response.status_code} {shown}".strip())
    raise error_of(said, GITHUB, text, changes=changes, wait=wait)


def raise_graphql_errors(response: Response, now: datetime) -> None:
    """Raise what the `errors` of a GraphQL answer mean; GitHub sends them with HTTP 200.

    Any error counts, even beside usable data: half an answer about checks must not pass for a whole one. We send GitHub
    no mutation this way. The secondary limit is told by its words alone (docs: "Rate limits and query limits for the
    GraphQL API").
    """
    found = decode(response, _GraphQLErrors, changes=False)
    given = found.errors or ([_GraphQLError(found.message)] if found.message else [])
    errors = [error or _UNREADABLE_ERROR for error in given if error is None or not error.about_an_entry]
    if not errors:
        return
    message = redact("; ".join(error.message for error in errors), _LONGEST_DETAIL)
    said = Said(status=200, message=message, kinds=frozenset(error.type for error in errors))
    text = redact(f"graphql: {message}")
    error = error_of(said, GITHUB, text, changes=False, wait=named_wait(response, now))
    raise PullRequestUnknown(text, status=200) if isinstance(error, NotFound) and _NO_PULL_REQUEST in text else error


def decode(response: Response, type: type[T], *, changes: bool) -> T:
    """The body as `type`, unknown fields ignored, and so what cannot be read in a list (shared/clients/tolerant.py).

    Raises Unavailable when it cannot be read, UnknownOutcome when the request it answers was a change.
    """
    try:
        content = tolerant.decode(response.content, type, about=response.about)
    except UNREADABLE as error:
        lost = UnknownOutcome if changes else Unavailable
        raise lost(redact(f"{response.about}: unreadable answer: {error}")) from error
    return content


class Pages(Generic[T]):
    """Every page of a list, each requested when the one before it was taken.

    Iterating raises what asking raises, and Unavailable for a list without an end: after MOST_PAGES, and where a page
    leads to one that came before.
    """

    def __init__(self, ask: Callable[[str], Awaitable[Response]], url: str, type: type[T]) -> None:
        self._ask = ask
        self._next: str | None = url
        self._type = type
        self._seen: set[str] = set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        url = self._next
        if url is None:
            raise StopAsyncIteration
        if url in self._seen or len(self._seen) >= MOST_PAGES:
            raise Unavailable(redact(f"GET {url.partition('?')[0]}: a list without an end: {len(self._seen)} pages"))
        self._seen.add(url)
        response = await self._ask(url)
        self._next = next_page(response)
        return decode(response, self._type, changes=False)


def next_page(response: Response) -> str | None:
    """The address in `Link: rel="next"` (docs: "Using pagination in the REST API").

    Raises Unavailable when it is none, or leads to another origin, because it would be called with our token.
    """
    found = _NEXT.search(response.headers.get("link", ""))
    if found is None:
        return None
    here, address = httpx.URL(response.request.url), found[1]
    try:
        there = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise Unavailable(f"GET {here.path}: unreadable answer: the next page's address: {error}") from error
    if not _same_origin(here, there):
        raise Unavailable(f"GET {here.path}: unreadable answer: the next page is at {there.raw_host.decode()}")
    return address


def moved_to(response: Response) -> str | None:
    """Where a redirect leads; None when that is nowhere, or another origin, which would be called with our token."""
    here = httpx.URL(response.request.url)
    try:
        there = here.join(response.headers.get("location", ""))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        return None
    return str(there) if _same_origin(here, there) and there != here else None


def _same_origin(here: httpx.URL, there: httpx.URL) -> bool:
    return (here.scheme, here.raw_host, here.port) == (there.scheme, there.raw_host, there.port)


def _said(response: Response) -> tuple[str, bool]:
    """GitHub's words, and whether they are another user's: GitHub refuses with JSON, or with nothing at all."""
    try:
        refusal = msgspec.json.decode(response.content, type=_Refusal)
    except UNREADABLE:
        return "", bool(response.content.strip())
    said = f"{refusal.message} {bytes(refusal.errors).decode(errors='replace')}".strip()
    return redact(said, _LONGEST_DETAIL), False


def named_wait(response: Response, now: datetime) -> float | None:
    """Seconds to wait as the headers name them (docs: "Rate limits for the REST API", exceeding the rate limit)."""
    named = retry_after(response)
    if named is not None:
        return named
    reset = response.headers.get("x-ratelimit-reset", "")
    if response.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return min(max(1.0, float(reset) - now.timestamp()), LONGEST_WAIT)
    return None
