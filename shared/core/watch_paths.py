"""Which files a service is deployed for: patterns in the form of .gitignore, as Railway's watch paths. Pure.

Sources: docs.railway.com/builds/build-configuration ("Configure watch paths": gitignore-style, from the root of the
repository whatever the root directory, the last pattern that matches decides) and git-scm.com/docs/gitignore. Where the
two differ, as in `/app/**.js`, a pattern counts for more files, and one that takes files out again for fewer: a
deployment too many is a smaller fault than one that is missing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

_CLASS = re.compile(r"\[(!|\^)?(\]?[^]]*)\]")


def touched(patterns: Sequence[str], files: Iterable[str]) -> bool:
    """Whether one of the files, by their paths from the root of the repository, is what the patterns ask for."""
    return any(matches(patterns, file) for file in files)


def matches(patterns: Sequence[str], file: str) -> bool:
    """What the last pattern says that fits the file or a folder that it is in; False where none does."""
    wanted = False
    for pattern in patterns:
        text = pattern.strip()
        if not text or text.startswith("#"):
            continue
        leaves_out = text.startswith("!")
        fits = _compiled(text.removeprefix("!"), leaves_out).fullmatch(file)
        wanted = not leaves_out if fits else wanted
    return wanted


def problem(patterns: Sequence[str]) -> str | None:
    """What is wrong with patterns that a user wrote; None when they can match something."""
    texts = [pattern.strip() for pattern in patterns]
    for text in texts:
        if not text.strip("!/"):
            return f"{text!r} matches nothing; name files or folders, such as apps/web/**"
        try:
            re.compile(_regex(text.removeprefix("!"), leaves_out=False))
        except re.error as error:
            return f"{text!r} is no pattern in the form of .gitignore: {error}"
    if texts and all(text.startswith(("!", "#")) for text in texts):
        return "leaves files out of nothing: begin with what is in, such as **"
    return None


@functools.lru_cache(1000)
def _compiled(pattern: str, leaves_out: bool) -> re.Pattern[str]:
    try:
        return re.compile(_regex(pattern, leaves_out=leaves_out), re.DOTALL)
    except re.error:  # of Railway's making: it takes everything in, and leaves nothing out
        return re.compile("(?!)" if leaves_out else ".*", re.DOTALL)


def _regex(pattern: str, *, leaves_out: bool) -> str:
    """Anchored by a slash at its beginning or within; otherwise it fits at any depth. A folder stands for all in it."""
    body = pattern.rstrip("/")
    anchored = "/" in body
    body = body.removeprefix("/")
    below = "/.*" if pattern.endswith("/") else "(?:/.*)?"
    return ("" if anchored else "(?:.*/)?") + _translated(body, leaves_out) + below


def _translated(body: str, leaves_out: bool) -> str:
    made, at = "", 0
    while at < len(body):
        rest = body[at:]
        if rest.startswith("**/") and (at == 0 or body[at - 1] == "/"):
            made, at = made + "(?:.*/)?", at + 3
        elif rest.startswith("**"):
            whole = at == 0 or body[at - 1] == "/"
            stars = len(rest) - len(rest.lstrip("*"))
            made, at = made + ("[^/]*" if leaves_out and not (whole and stars == len(rest)) else ".*"), at + stars
        elif rest[0] in "*?":
            made, at = made + ("[^/]*" if rest[0] == "*" else "[^/]"), at + 1
        elif found := _CLASS.match(rest):
            made, at = made + f"[{'^/' if found[1] else ''}{_escaped(found[2])}]", at + found.end()
        elif rest[0] == "\\" and len(rest) > 1:
            made, at = made + re.escape(rest[1]), at + 2
        else:
            made, at = made + re.escape(rest[0]), at + 1
    return made


def _escaped(members: str) -> str:
    """The members of a class, of which only the hyphen keeps its meaning."""
    return "".join(one if one == "-" else re.escape(one) for one in members)
