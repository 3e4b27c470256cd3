"""Which line of a comment is one of our commands. What it says is read by the function that carries it out.

They are read as people type them: on a phone, in bold, in backticks, with a full stop at the end.
"""

from __future__ import annotations

import re

NAMES = ("deploy", "promote", "retry", "rollback", "lock", "unlock", "resume", "status", "help")
"""One module each in functions/dispatch/commands."""
WORD = re.compile(r"/([A-Za-z]+)(?:[.,;:!?]*)(?=\s|$)")
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\ufe0e\ufe0f"
"""Characters without a width, which some keyboards and web pages leave in what is copied."""
_EMPHASIS = ("***", "**", "__", "*", "_")
"""What GitHub's Markdown puts around bold and italic. A command in backticks is spoken about, not given."""


def command_line(body: str) -> str | None:
    """The line of a comment that is a command: its first, but for blank lines and what is quoted from another user."""
    lines = (plain(line) for line in body.splitlines())
    first = next((line for line in lines if line and not line.startswith((">", "\u2039"))), "")
    return first if is_command(first) else None


def is_command(line: str) -> bool:
    """Whether the line starts with one of our commands; other words after a slash are another user's."""
    found = WORD.match(plain(line))
    return found is not None and found[1].lower() in NAMES


def plain(line: str) -> str:
    """Without what surrounds it and is not seen, or shows only how it looks: spaces, bold."""
    text = line.strip().strip(INVISIBLE).strip()
    for mark in _EMPHASIS * 2:
        if text.startswith(f"{mark}/"):
            text = text.removeprefix(mark)
            head, closed, rest = text.partition(mark)
            text = f"{head}{rest}" if closed else text
    return text.strip()
