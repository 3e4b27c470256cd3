"""The words of a command, as people type them: quotes, emphasis, full stops and pasted addresses."""

from __future__ import annotations

import re

from shared.core.commands import INVISIBLE

TARGET = re.compile(r"(?:[a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9-]*")
COMMIT = re.compile(r"[0-9a-f]{7,40}")
_COMMIT_PAGE = re.compile(r"https?://[^/\s]+/[^/\s]+/[^/\s]+/commit/([0-9A-Fa-f]{7,40})")
_QUOTES = "\"'`\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb"
AROUND = _QUOTES + "*_~"
_BEHIND = ".,;:!?"
TOWARDS = ("to", "on", "onto", "in", "into")


def word(text: str) -> str:
    """A name or a commit without quotes, emphasis and the end of the sentence; in lower case, as all of ours are."""
    before = ""
    while before != text:
        before, text = text, text.strip(AROUND + INVISIBLE).rstrip(_BEHIND)
    return text.lower()


def named(words: list[str]) -> list[str]:
    """The words that name a target; `to production` is as good as `production`."""
    found = [one for one in (word(text) or text for text in words) if one]
    return found[1:] if len(found) > 1 and found[0] in TOWARDS else found


def reason(text: str) -> str:
    """People's own words, as they are, but for quotes around the whole."""
    quoted = len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES
    return text[1:-1].strip() if quoted else text


def commit(text: str) -> str | None:
    """The commit of an address of its page, which GitHub copies."""
    found = _COMMIT_PAGE.fullmatch(text.strip(AROUND).rstrip(_BEHIND))
    return found[1].lower() if found else None


def names_a_target(words: list[str]) -> bool:
    return all(TARGET.fullmatch(one) for one in words)
