"""The commands that people write on a pull request, a module each: what it looks like, and what it does.

A module has NAME, USAGE, SUMMARY, EXAMPLES, a struct of what was given, `parse`, and `handle`, which drives to the
desired state by acting on the difference, and returns why it was not carried out. To add one is to add a file, to
COMMANDS and Command, and to `shared.core.commands.NAMES`.
"""

from __future__ import annotations

from typing import Any

from functions.dispatch.commands import deploy, help, lock, promote, resume, retry, rollback, status, unlock  # noqa: A004 - as the command is called
from functions.dispatch.commands.deploy import Deploy
from functions.dispatch.commands.help import Help
from functions.dispatch.commands.lock import Lock
from functions.dispatch.commands.promote import Promote
from functions.dispatch.commands.resume import Resume
from functions.dispatch.commands.retry import Retry
from functions.dispatch.commands.rollback import Rollback
from functions.dispatch.commands.status import Status
from functions.dispatch.commands.unlock import Unlock
from shared.core.commands import WORD, plain
from shared.core.reasons import Reason
from shared.runs.replying import Declined

COMMANDS: dict[str, Any] = {
    module.NAME: module for module in (deploy, promote, retry, rollback, lock, unlock, resume, status, help)
}
USAGE = {name: str(module.USAGE) for name, module in COMMANDS.items()}
SUMMARIES = {str(module.USAGE): str(module.SUMMARY) for module in COMMANDS.values()}
"""What each does, by its usage."""
Command = Deploy | Promote | Retry | Rollback | Lock | Unlock | Resume | Status | Help


def parse(line: str) -> Command | Declined:
    """The command in a line. What could mean two things is answered with the usage."""
    line = plain(line)
    found = WORD.match(line)
    if found is None or found[1].lower() not in COMMANDS:
        return Declined(Reason.COMMAND_INVALID, "not a command")
    parsed: Command | Declined = COMMANDS[found[1].lower()].parse(line[found.end() :].split())
    return parsed
