"""Keeps secrets out of logs, exceptions' texts, comments and documents: known values and known shapes are masked."""

from __future__ import annotations

import re

MASK = "[redacted]"

_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:gh[opsur]_|github_pat_)[A-Za-z0-9_.\-]+"  # GitHub tokens, old and new (docs: token formats)
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*)?"  # JSON web tokens
    r"|(?<=/bot)\d+:[A-Za-z0-9_\-]+"  # a Telegram bot token inside a URL
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9+/=._~\-]{8,}"
    r"|(?<=://)[^/@\s:]+:[^/@\s]+(?=@)"  # user and password in a URL
    r"|(?i:(?<=password=)|(?<=secret=)|(?<=token=)|(?<=api_key=)|(?<=apikey=))[^\s&\"']{4,}",
    re.DOTALL,
)
_known: set[str] = set()
_SHORTEST = 6  # shorter values would mask ordinary words


def remember(*values: str) -> None:
    """Mask these values from now on, and each line of those that have several (a private key)."""
    for value in values:
        lines = [line.strip() for line in value.splitlines() if len(line.strip()) > 20]
        _known.update(text for text in (value.strip(), *lines) if len(text) >= _SHORTEST)


def redact(text: str) -> str:
    """The text with every known secret and everything that looks like one masked."""
    for value in sorted(_known, key=len, reverse=True):
        if value in text:
            text = text.replace(value, MASK)
    return _SHAPES.sub(MASK, text)
