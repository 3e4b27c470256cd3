"""/cancel: end the pull request's run on a target before its version goes live.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from functions.dispatch.commands.given import Asked
from functions.dispatch.commands.target import choose_on
from functions.dispatch.commands.words import named, names_a_target
from shared.core.outcome import Message
from shared.core.reasons import Reason
from shared.core.run import Kind, Run, Stage
from shared.runs.replying import Declined
from shared.runs.start import runs_of
from shared.runtime.services import Services
from shared.runtime.update import amend

NAME = "cancel"
USAGE = "/cancel [service/][environment]"
SUMMARY = "End the pull request's run before its version goes live."
EXAMPLES = ("/cancel", "/cancel web/production")
STAGES = (Stage.MERGE, Stage.DEPLOY, Stage.MONITOR)
"""In which a run can be cancelled. In later ones its version is live: `/rollback` goes back from there."""


class Cancel(Struct, frozen=True):
    target: str | None = None


def parse(words: list[str]) -> Cancel | Declined:
    found = named(words)
    if len(found) > 1 or not names_a_target(found):
        return Declined(Reason.COMMAND_INVALID, "at most a target is expected", USAGE)
    return Cancel(*found)


async def handle(services: Services, asked: Asked, command: Cancel) -> Declined | None:
    """The run itself ends at its next step, which this wakes: only that knows how far it has come."""
    target_config = choose_on(asked.pull.base, command.target, asked.target_configs)
    if isinstance(target_config, Declined):
        return target_config
    runs = [one for one in await runs_of(services, target_config, asked.pull.number) if not one.status.terminal]
    if not runs:
        message = f"no run of this pull request is under way on `{target_config.name}`"
        return Declined(Reason.NOT_CANCELLABLE, message)
    refused = ""

    def cancel(run: Run) -> Run:
        nonlocal refused
        refused = _refusal(run)
        return run if refused else replace(run, cancelled_by=asked.comment.author)

    run = await amend(services.store, Run, runs[0].id, cancel)
    if run is None or refused:
        return Declined(Reason.NOT_CANCELLABLE, refused or f"there is no run `{runs[0].id}`")
    await services.publish([Message(run.stage, run.id)])
    await asked.reply(services, f"⏹️ `{run.id}` is to be cancelled on **{target_config.name}**; it is at {run.stage}.")
    return None


def _refusal(run: Run) -> str:
    if run.status.terminal:
        return f"`{run.id}` has ended: {run.status}"
    if run.kind is Kind.ROLLBACK or run.rollback is not None:
        return f"`{run.id}` is rolling back, which is not cancelled"
    return "" if run.stage in STAGES else f"the version of `{run.id}` is live and being verified"
