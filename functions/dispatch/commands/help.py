"""/help: what there is to say, made of the commands' own files.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

from msgspec import Struct

from functions.dispatch.commands.given import Asked
from shared.runs.replying import Declined
from shared.runtime.services import Services

NAME = "help"
USAGE = "/help"
SUMMARY = "List the commands."
EXAMPLES = ("/help",)


class Help(Struct, frozen=True):
    pass


def parse(_: list[str]) -> Help | Declined:
    """Whatever else is in the line: who asks for help is given it."""
    return Help()


async def handle(services: Services, asked: Asked, _: Help) -> Declined | None:
    names = ", ".join(f"`{one.name}`" for one in asked.target_configs)
    rows = "\n".join(f"| `{usage}` | {summary} |" for usage, summary in asked.commands.items())
    text = f"| command | what it does |\n|---|---|\n{rows}\n\nTargets here: {names}. Commands need write permission."
    await asked.reply(services, text)
    return None
