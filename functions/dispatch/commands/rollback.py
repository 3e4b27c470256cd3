"""/rollback: return to the last verified version, or to the one that is named.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

from msgspec import Struct

from functions.dispatch.commands.given import Asked, trigger
from functions.dispatch.commands.target import choose
from functions.dispatch.commands.words import COMMIT, TOWARDS, commit, names_a_target, word
from shared.core.reasons import Reason
from shared.core.run import Kind, Run
from shared.core.run import Rollback as RollbackState
from shared.core.target import Target
from shared.runs.replying import Declined
from shared.runs.start import latest_of, new_run, start
from shared.runtime.escaping import code
from shared.runtime.services import Services

NAME = "rollback"
USAGE = "/rollback [service/][environment] [to <sha>]"
SUMMARY = "Roll back to the last verified version that is not live, or to the one that is named."
EXAMPLES = ("/rollback", "/rollback staging", "/rollback web/production to 3cc4ad1")


class Rollback(Struct, frozen=True):
    target: str | None = None
    to: str | None = None


def parse(words: list[str]) -> Rollback | Declined:
    named = [commit(one) or word(one) or one for one in words]
    to = None
    if "to" in named:
        at = named.index("to")
        named, rest = named[:at], [one for one in named[at + 1 :] if one != "commit"]
        if len(rest) != 1 or not COMMIT.fullmatch(rest[0]):
            return _usage("`to` needs a commit of at least seven hexadecimal digits")
        to = rest[0]
    elif len(named) > 1 and named[0] in TOWARDS:
        named = named[1:]
    if len(named) > 1 or not names_a_target(named):
        return _usage(f"not understood: {code(' '.join(named))}")
    return Rollback(named[0] if named else None, to)


async def handle(services: Services, asked: Asked, command: Rollback) -> Declined | None:
    target_config = choose(command.target, asked.target_configs)
    if isinstance(target_config, Declined):
        return target_config
    found = await services.store.get(Target, target_config.id)
    deploying = found is not None and found.document.active is not None
    current = found.document.current if found is not None and deploying else None
    back = RollbackState(
        reason=Reason.ROLLED_BACK_BY_COMMAND, to_commit=command.to, unless=current.commit_sha if current else None
    )
    run = new_run(services, target_config, asked.pull, trigger(asked.comment), back=back)
    under_way = next((one for one in await latest_of(services, target_config) if _is_rollback_under_way(one)), None)
    if under_way is not None and under_way.id != run.id:
        return Declined(Reason.ALREADY_RUNNING, f"`{under_way.id}` is at {under_way.stage} ({under_way.status})")
    await start(services, run)
    return None


def _is_rollback_under_way(run: Run) -> bool:
    """Two commands in a row would otherwise go back two versions."""
    return run.kind is Kind.ROLLBACK and not run.status.terminal


def _usage(message: str) -> Declined:
    return Declined(Reason.COMMAND_INVALID, message, USAGE)
