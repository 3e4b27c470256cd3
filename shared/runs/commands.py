"""The commands people write on a pull request: their forms, and which target is meant. Pure.

They are read as people type them: on a phone, in bold, in backticks, with a full stop at the end. What could mean two
things is answered with the usage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from shared.core.reasons import Reason
from shared.core.target_config import TargetConfig
from shared.runtime.escaping import code

USAGE = {
    "deploy": "/deploy [service/][environment] [<sha>] [--force <reason>]",
    "rollback": "/rollback [service/][environment] [to <sha>]",
    "lock": "/lock [service/][environment] <reason>",
    "unlock": "/unlock [service/][environment]",
}
_WORD = re.compile(r"/([A-Za-z]+)(?:[.,;:!?]*)(?=\s|$)")
_TARGET = re.compile(r"(?:[a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9-]*")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_COMMIT_PAGE = re.compile(r"https?://[^/\s]+/[^/\s]+/[^/\s]+/commit/([0-9A-Fa-f]{7,40})")
_FORCE = re.compile(r"(?i)(?:[\u2010-\u2015\u2212]{1,2}|--?)force(?:[=:](.*))?", re.DOTALL)
"""Phones turn `--` into one long dash: U+2010 to U+2015 are Unicode's hyphens and dashes, U+2212 its minus sign."""
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\ufe0e\ufe0f"
"""Characters without a width, which some keyboards and web pages leave in what is copied."""
_EMPHASIS = ("***", "**", "__", "*", "_")
"""What GitHub's Markdown puts around bold and italic. A command in backticks is spoken about, not given."""
_QUOTES = "\"'`\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb"
_AROUND = _QUOTES + "*_~"
_BEHIND = ".,;:!?"
_TOWARDS = ("to", "on", "onto", "in", "into")


class Deploy(Struct, frozen=True):
    target: str | None = None
    force: str | None = None
    head: str | None = None
    """The head that is meant, or how it begins."""


class Rollback(Struct, frozen=True):
    target: str | None = None
    to: str | None = None


class Lock(Struct, frozen=True):
    words: tuple[str, ...]
    """What follows the command: the target, if the first word names one, and the reason."""


class Unlock(Struct, frozen=True):
    target: str | None = None


Command = Deploy | Rollback | Lock | Unlock


class Unusable(Struct, frozen=True):
    """A command that cannot be carried out as written; `message` is Markdown, in which what is foreign is escaped."""

    code: Reason
    message: str
    usage: str = ""


def command_line(body: str) -> str | None:
    """The line of a comment that is a command: its first, but for blank lines and what is quoted from somebody else."""
    lines = (_plain(line) for line in body.splitlines())
    first = next((line for line in lines if line and not line.startswith((">", "\u2039"))), "")
    return first if is_command(first) else None


def is_command(line: str) -> bool:
    """Whether the line starts with one of our commands; other words after a slash are somebody else's."""
    found = _WORD.match(_plain(line))
    return found is not None and found[1].lower() in USAGE


def parse(line: str) -> Command | Unusable:
    """The command in a line."""
    line = _plain(line)
    found = _WORD.match(line)
    if found is None or found[1].lower() not in USAGE:
        return Unusable(Reason.COMMAND_INVALID, "not a command")
    name, words = found[1].lower(), line[found.end() :].split()
    match name:
        case "deploy":
            return _deploy(words)
        case "rollback":
            return _rollback(words)
        case "lock":
            return Lock(tuple(words)) if words else _usage(name, "a lock needs a reason")
    words = _named(words)
    return Unlock(*words) if len(words) <= 1 and _is_target(words) else _usage(name, "at most a target is expected")


def _plain(line: str) -> str:
    """Without what surrounds it and is not seen, or shows only how it looks: spaces, bold."""
    text = line.strip().strip(_INVISIBLE).strip()
    for mark in _EMPHASIS * 2:
        if text.startswith(f"{mark}/"):
            text = text.removeprefix(mark)
            head, closed, rest = text.partition(mark)
            text = f"{head}{rest}" if closed else text
    return text.strip()


def _word(text: str) -> str:
    """A name or a commit without quotes, emphasis and the end of the sentence; in lower case, as all of ours are."""
    before = ""
    while before != text:
        before, text = text, text.strip(_AROUND + _INVISIBLE).rstrip(_BEHIND)
    return text.lower()


def _named(words: list[str]) -> list[str]:
    """The words that name a target; `to production` is as good as `production`."""
    named = [word for word in (_word(text) or text for text in words) if word]
    return named[1:] if len(named) > 1 and named[0] in _TOWARDS else named


def _deploy(words: list[str]) -> Deploy | Unusable:
    before, force = words, None
    for at, word in enumerate(words):
        found = _FORCE.fullmatch(word.strip(_AROUND + _INVISIBLE))
        if found is not None:
            given = " ".join(part for part in (found[1], *words[at + 1 :]) if part)
            before, force = words[:at], _reason(given)
            if not force:
                return _usage("deploy", "--force needs a reason")
            break
    heads = [head for word in before if (head := _head(word)) is not None]
    before = _named([word for word in before if _head(word) is None])
    if len(before) > 1 or len(heads) > 1 or not _is_target(before):
        return _usage("deploy", f"not understood: {code(' '.join((*before, *heads)))}")
    return Deploy(before[0] if before else None, force, heads[0] if heads else None)


def _reason(text: str) -> str:
    """People's own words, as they are, but for quotes around the whole."""
    quoted = len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES
    return text[1:-1].strip() if quoted else text


def _rollback(words: list[str]) -> Rollback | Unusable:
    named = [_commit(word) or _word(word) or word for word in words]
    to = None
    if "to" in named:
        at = named.index("to")
        named, rest = named[:at], [word for word in named[at + 1 :] if word != "commit"]
        if len(rest) != 1 or not _COMMIT.fullmatch(rest[0]):
            return _usage("rollback", "`to` needs a commit of at least seven hexadecimal digits")
        to = rest[0]
    elif len(named) > 1 and named[0] in _TOWARDS:
        named = named[1:]
    if len(named) > 1 or not _is_target(named):
        return _usage("rollback", f"not understood: {code(' '.join(named))}")
    return Rollback(named[0] if named else None, to)


def _commit(word: str) -> str | None:
    """The commit of an address of its page, which GitHub copies."""
    found = _COMMIT_PAGE.fullmatch(word.strip(_AROUND).rstrip(_BEHIND))
    return found[1].lower() if found else None


def _head(word: str) -> str | None:
    """A commit, or how one begins; a word without a digit is rather a name."""
    text = _commit(word) or _word(word)
    return text if _COMMIT.fullmatch(text) and any(map(str.isdigit, text)) else None


def choose(name: str | None, candidates: Sequence[TargetConfig]) -> TargetConfig | Unusable:
    """The target that is meant: the one named, else the only one, else the only production."""
    named = [target for target in candidates if name is None or _is(name, target)]
    if name is None and len(named) > 1:
        named = [target for target in named if target.environment == "production"] or named
    if len(named) == 1:
        return named[0]
    if named:
        known = ", ".join(f"`{target.name}`" for target in named)
        return Unusable(Reason.TARGET_AMBIGUOUS, f"several targets are possible; there are: {known}")
    known = ", ".join(f"`{target.name}`" for target in candidates) or "none"
    what = f"{code(name)} is no target here" if name else "no target is named"
    return Unusable(Reason.TARGET_AMBIGUOUS, f"{what}; there are: {known}")


def choose_on(branch: str, name: str | None, candidates: Sequence[TargetConfig]) -> TargetConfig | Unusable:
    """As `choose`, of those that are deployed from the branch; of others the reply names the branch."""
    here = [target for target in candidates if target.branch == branch]
    if any(name is None or _is(name, target) for target in here):
        return choose(name, here)
    elsewhere = [target for target in candidates if name is None or _is(name, target)]
    if not elsewhere:
        return choose(name, candidates)
    branches = dict.fromkeys(target.branch for target in elsewhere)
    shown = "; ".join(
        f"from `{one}`: {', '.join(f'`{target.name}`' for target in elsewhere if target.branch == one)}"
        for one in branches
    )
    return Unusable(
        Reason.BRANCH_NOT_DEPLOYED, f"this pull request goes into {code(branch)}, and what is deployed is {shown}"
    )


def _is(name: str, target: TargetConfig) -> bool:
    return name in (target.name, target.environment, target.service)


def split_reason(lock: Lock, candidates: Sequence[TargetConfig]) -> tuple[str | None, str] | Unusable:
    """The target named by a lock's first word, if it is one, and the reason; a target alone is none."""
    first, *rest = lock.words
    name = _word(first)
    is_name = any(_is(name, target) for target in candidates)
    if is_name and not rest:
        return _usage("lock", "a lock needs a reason")
    return (name, _reason(" ".join(rest))) if is_name else (None, _reason(" ".join(lock.words)))


def _is_target(words: list[str]) -> bool:
    return all(_TARGET.fullmatch(word) for word in words)


def _usage(name: str, message: str) -> Unusable:
    return Unusable(Reason.COMMAND_INVALID, message, USAGE[name])
