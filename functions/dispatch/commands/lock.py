"""/lock: deploy nothing to a target until it is unlocked; runs wait in its queue.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from functions.dispatch.commands.given import Asked
from functions.dispatch.commands.in_order import amend_in_order
from functions.dispatch.commands.target import choose, names
from functions.dispatch.commands.words import reason, word
from shared.core.reasons import Reason
from shared.core.target import Lock as TargetLock
from shared.core.target_config import TargetConfig
from shared.runs.replying import Declined
from shared.runtime import escaping
from shared.runtime.services import Services

NAME = "lock"
USAGE = "/lock [service/][environment] <reason>"
SUMMARY = "Deploy nothing to the target until it is unlocked; runs wait in its queue."
EXAMPLES = ("/lock month end", "/lock web/production the database is being moved")


class Lock(Struct, frozen=True):
    words: tuple[str, ...]
    """What follows the command: the target, if the first word names one, and the reason."""


def parse(words: list[str]) -> Lock | Declined:
    return Lock(tuple(words)) if words else _usage("a lock needs a reason")


def split_reason(lock: Lock, candidates: Sequence[TargetConfig]) -> tuple[str | None, str] | Declined:
    """The target named by a lock's first word, if it is one, and the reason; a target alone is none."""
    first, *rest = lock.words
    name = word(first)
    is_name = any(names(name, target) for target in candidates)
    if is_name and not rest:
        return _usage("a lock needs a reason")
    return (name, reason(" ".join(rest))) if is_name else (None, reason(" ".join(lock.words)))


async def handle(services: Services, asked: Asked, command: Lock) -> Declined | None:
    split = split_reason(command, asked.target_configs)
    if isinstance(split, Declined):
        return split
    name, why = split
    target_config = choose(name, asked.target_configs)
    if isinstance(target_config, Declined):
        return target_config
    lock = TargetLock(by=asked.comment.author, reason=why, at=asked.comment.written_at)
    await amend_in_order(services, asked, target_config, lambda target: replace(target, lock=lock))
    said = escaping.markdown(why)
    text = f"🔒 **{target_config.name}** is locked: {said}. Deployments wait until a user comments `/unlock`."
    await asked.reply(services, text)
    return None


def _usage(message: str) -> Declined:
    return Declined(Reason.COMMAND_INVALID, message, USAGE)
