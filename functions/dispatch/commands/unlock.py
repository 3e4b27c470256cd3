"""/unlock: lift a target's lock and hold, and let the next run of its queue go on.

Whoever has write access to the repository may give it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from functions.dispatch.commands.given import Asked
from functions.dispatch.commands.in_order import amend_in_order
from functions.dispatch.commands.target import choose
from functions.dispatch.commands.words import named, names_a_target
from shared.core import targets
from shared.core.outcome import Message
from shared.core.reasons import Reason
from shared.core.target import Target
from shared.runs import texts
from shared.runs.replying import Declined
from shared.runtime.services import Services

NAME = "unlock"
USAGE = "/unlock [service/][environment]"
EXAMPLES = ("/unlock", "/unlock web/production")


class Unlock(Struct, frozen=True):
    target: str | None = None


def parse(words: list[str]) -> Unlock | Declined:
    found = named(words)
    if len(found) > 1 or not names_a_target(found):
        return Declined(Reason.COMMAND_INVALID, "at most a target is expected", USAGE)
    return Unlock(*found)


async def handle(services: Services, asked: Asked, command: Unlock) -> Declined | None:
    """Lifts a lock and a hold, and calls the next run of the queue."""
    target_config = choose(command.target, asked.target_configs)
    if isinstance(target_config, Declined):
        return target_config
    called: tuple[Message, ...] = ()
    waiting = ""

    def open_up(target: Target) -> Target:
        nonlocal called, waiting
        waiting = texts.held_back(target)
        opened, called = targets.call_next(replace(target, lock=None, hold=None))
        return opened

    await amend_in_order(services, asked, target_config, open_up)
    await services.publish(called)
    text = f"🔓 **{target_config.name}** is unlocked: deployments go on.\n\n{waiting}".rstrip()
    await asked.reply(services, text)
    return None
