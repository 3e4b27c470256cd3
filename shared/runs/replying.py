"""Replies on a pull request: who may have one, by one worker at a time, and once.

Of two workers who saw no reply, both would write one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct
from msgspec.structs import replace

from shared.core.reasons import Reason
from shared.core.run import Lease
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.errors import SignalboxError, Unauthorized, Unavailable, is_locked
from shared.runs.texts import reply_marker
from shared.runtime import log
from shared.runtime.services import Services
from shared.runtime.update import amend

KEPT_SILENT = 50
MAY_DEPLOY = frozenset({"admin", "write"})
"""Permissions on the repository that are enough for a command, or a label, to count."""


class Declined(Struct, frozen=True):
    """What is not carried out, and why; `message` is Markdown, in which what is foreign is escaped."""

    code: Reason
    message: str
    usage: str = ""


async def reply(services: Services, target_config: TargetConfig, number: int, *, to: int | str, text: str) -> None:
    """Write the reply to a comment, or to a label's setting, by its id; the target is the repository's first.

    In a locked conversation there is none, and that it was answered is remembered on the target.
    """
    try:
        await services.github.upsert_comment(target_config.repository, number, marker=reply_marker(to), body=text)
    except Unauthorized as error:
        if not is_locked(error):
            raise
        log.warning("no reply: the conversation is locked", number=number, to=to, text=text, reason=str(error))

        def remember(target: Target) -> Target:
            return replace(target, silent=(*target.silent, to)[-KEPT_SILENT:])

        await amend(services.store, Target, target_config.id, remember, missing=Target(id=target_config.id))


@asynccontextmanager
async def alone(services: Services, id: str, target_config: TargetConfig) -> AsyncIterator[Target]:
    """No other worker answers what has this id meanwhile; the target is the repository's first, and is yielded.

    Once it is answered the lease is left to run out; after a fault it is given up, so that the next attempt need not
    wait. Raises Unavailable while another user has it.
    """
    owner = services.token()

    def take(target: Target) -> Target | None:
        terms = services.terms(target_config.id)
        kept = {key: lease for key, lease in target.answering.items() if lease.until > terms.now}
        if id in kept:
            return None
        return replace(target, answering={**kept, id: Lease(owner, terms.after(terms.pace.lease))})

    def give_up(target: Target) -> Target:
        kept = {key: lease for key, lease in target.answering.items() if lease.owner != owner}
        return replace(target, answering=kept)

    taken = await amend(services.store, Target, target_config.id, take, missing=Target(id=target_config.id))
    if taken is None:
        raise Unavailable(f"another worker is answering {id}")
    try:
        yield taken
    except SignalboxError:
        await amend(services.store, Target, target_config.id, give_up)
        raise
