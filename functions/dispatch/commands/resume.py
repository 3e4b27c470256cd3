"""/resume: lift a target's hold, so that merges are deployed to it automatically again.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from functions.dispatch.commands.given import Asked
from functions.dispatch.commands.in_order import amend_in_order, since
from functions.dispatch.commands.target import choose
from functions.dispatch.commands.words import named, names_a_target
from shared.core.reasons import Reason
from shared.core.target import Hold, Target
from shared.runs import texts
from shared.runs.replying import Declined
from shared.runtime.escaping import markdown
from shared.runtime.services import Services

NAME = "resume"
USAGE = "/resume [service/][environment]"
SUMMARY = "Lift a hold: merges are deployed automatically again. A lock stays."
EXAMPLES = ("/resume", "/resume web/production")


class Resume(Struct, frozen=True):
    target: str | None = None


def parse(words: list[str]) -> Resume | Declined:
    found = named(words)
    if len(found) > 1 or not names_a_target(found):
        return Declined(Reason.COMMAND_INVALID, "at most a target is expected", USAGE)
    return Resume(*found)


async def handle(services: Services, asked: Asked, command: Resume) -> Declined | None:
    target_config = choose(command.target, asked.target_configs)
    if isinstance(target_config, Declined):
        return target_config
    hold: Hold | None = None
    waiting = ""

    def resume(target: Target) -> Target:
        nonlocal hold, waiting
        hold, waiting = target.hold, texts.held_back(target)
        return replace(target, hold=since(asked, hold))

    await amend_in_order(services, asked, target_config, resume)
    name, was = target_config.name, markdown(hold.reason) if hold else ""
    if since(asked, hold) is not None:
        await asked.reply(services, f"**{name}** came to be held after this was written, and stays so: {was}.")
        return None
    lifted = f"▶️ **{name}** is held no longer: merges are deployed automatically again. It was held: {was}."
    text = f"{lifted}\n\n{waiting}".rstrip() if was else f"**{name}** is not held: nothing was changed."
    await asked.reply(services, text)
    return None
