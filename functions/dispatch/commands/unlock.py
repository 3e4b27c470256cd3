"""/unlock: lift a target's lock and hold, and let the next run of its queue go on.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from functions.dispatch.commands.given import Asked
from functions.dispatch.commands.in_order import amend_in_order, since
from functions.dispatch.commands.target import choose
from functions.dispatch.commands.words import named, names_a_target
from shared.core import targets
from shared.core.outcome import Message
from shared.core.reasons import Reason
from shared.core.target import Target
from shared.runs import texts
from shared.runs.replying import Declined
from shared.runtime.escaping import markdown
from shared.runtime.services import Services

NAME = "unlock"
USAGE = "/unlock [service/][environment]"
SUMMARY = "Lift a lock and a hold; the next run of the queue starts."
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
    waiting, left = "", Target(id=target_config.id)

    def open_up(target: Target) -> Target:
        nonlocal called, waiting, left
        waiting = texts.held_back(target)
        left = replace(target, lock=since(asked, target.lock), hold=since(asked, target.hold))
        left, called = targets.call_next(left)
        return left

    await amend_in_order(services, asked, target_config, open_up)
    await services.publish(called)
    stop = left.lock or left.hold
    if stop is not None:
        what, why = "locked" if left.lock else "held", markdown(stop.reason)
        text = f"**{target_config.name}** came to be {what} after this was written, and stays so: {why}."
    else:
        text = f"🔓 **{target_config.name}** is unlocked: deployments go on.\n\n{waiting}".rstrip()
    await asked.reply(services, text)
    return None
