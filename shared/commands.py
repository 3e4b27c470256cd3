"""The commands people write on a pull request: their forms, and which target is meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from shared.config import TargetConfig
from shared.errors import Code

USAGE = {
    "deploy": "/deploy [service/][environment] [--force <reason>]",
    "rollback": "/rollback [service/][environment] [to <sha>]",
    "lock": "/lock [service/][environment] <reason>",
    "unlock": "/unlock [service/][environment]",
}
_WORD = re.compile(r"/([A-Za-z]+)(?:\s|$)")
_TARGET = re.compile(r"(?:[a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9-]*")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")


class Deploy(Struct, frozen=True):
    target: str | None = None
    force: str | None = None


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
    """A command that cannot be carried out as written."""

    code: Code
    message: str
    usage: str = ""


def is_command(line: str) -> bool:
    """Whether the line starts with one of our commands; other words after a slash are somebody else's."""
    found = _WORD.match(line)
    return found is not None and found[1].lower() in USAGE


def parse(line: str) -> Command | Unusable:
    """The command in a line."""
    if not is_command(line):
        return Unusable(Code.COMMAND_INVALID, "not a command")
    first, *words = line[1:].split()
    name = first.lower()
    match name:
        case "deploy":
            return _deploy(words)
        case "rollback":
            return _rollback(words)
        case "lock":
            return Lock(tuple(words)) if words else _usage(name, "a lock needs a reason")
    return Unlock(*words) if len(words) <= 1 and _is_target(words) else _usage(name, "at most a target is expected")


def _deploy(words: list[str]) -> Deploy | Unusable:
    before, force = words, None
    if "--force" in words:
        at = words.index("--force")
        before, force = words[:at], " ".join(words[at + 1 :])
        if not force:
            return _usage("deploy", "--force needs a reason")
    if len(before) > 1 or not _is_target(before):
        return _usage("deploy", f"not understood: {' '.join(before)}")
    return Deploy(before[0] if before else None, force)


def _rollback(words: list[str]) -> Rollback | Unusable:
    to = None
    if "to" in words:
        at = words.index("to")
        words, rest = words[:at], words[at + 1 :]
        if len(rest) != 1 or not _COMMIT.fullmatch(rest[0].lower()):
            return _usage("rollback", "`to` needs a commit of at least seven hexadecimal digits")
        to = rest[0].lower()
    if len(words) > 1 or not _is_target(words):
        return _usage("rollback", f"not understood: {' '.join(words)}")
    return Rollback(words[0] if words else None, to)


def choose(name: str | None, candidates: Sequence[TargetConfig]) -> TargetConfig | Unusable:
    """The target that is meant: the one named, else the only one, else the only production."""
    named = [
        target for target in candidates if name is None or name in (target.name, target.environment, target.service)
    ]
    if name is None and len(named) > 1:
        named = [target for target in named if target.environment == "production"] or named
    if len(named) == 1:
        return named[0]
    known = ", ".join(f"`{target.name}`" for target in candidates) or "none"
    if named:
        what = "several targets are possible"
    else:
        what = f"`{name}` is no target here" if name else "no target is deployed from this branch"
    return Unusable(Code.TARGET_AMBIGUOUS, f"{what}; there are: {known}")


def split_reason(lock: Lock, candidates: Sequence[TargetConfig]) -> tuple[str | None, str] | Unusable:
    """The target named by a lock's first word, if it is one, and the reason; a target alone is none."""
    first, *rest = lock.words
    is_name = any(first in (target.name, target.environment, target.service) for target in candidates)
    if is_name and not rest:
        return _usage("lock", "a lock needs a reason")
    return (first, " ".join(rest)) if is_name else (None, " ".join(lock.words))


def _is_target(words: list[str]) -> bool:
    return all(_TARGET.fullmatch(word) for word in words)


def _usage(name: str, message: str) -> Unusable:
    return Unusable(Code.COMMAND_INVALID, message, USAGE[name])
