"""/retry: attempt the pull request's last run on a target again, from where it failed.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

from msgspec import Struct

from functions.dispatch.commands.given import Asked
from functions.dispatch.commands.target import choose_on
from functions.dispatch.commands.words import named, names_a_target
from shared.core.outcome import Fail
from shared.core.reasons import Reason
from shared.core.replay import Request, replay
from shared.core.run import Run, Status
from shared.core.target import Target
from shared.errors import Conflict, Unavailable
from shared.runs.replying import Declined
from shared.runs.start import runs_of
from shared.runtime.escaping import markdown
from shared.runtime.ports import Create, Update
from shared.runtime.services import Services
from shared.runtime.update import COLLISIONS, pause

NAME = "retry"
USAGE = "/retry [service/][environment]"
SUMMARY = "Attempt the pull request's last run again, from where it failed."
EXAMPLES = ("/retry", "/retry web/production")


class Retry(Struct, frozen=True):
    target: str | None = None


def parse(words: list[str]) -> Retry | Declined:
    found = named(words)
    if len(found) > 1 or not names_a_target(found):
        return Declined(Reason.COMMAND_INVALID, "at most a target is expected", USAGE)
    return Retry(*found)


async def handle(services: Services, asked: Asked, command: Retry) -> Declined | None:
    target_config = choose_on(asked.pull.base, command.target, asked.target_configs)
    if isinstance(target_config, Declined):
        return target_config
    runs = await runs_of(services, target_config, asked.pull.number)
    if not runs:
        message = f"this pull request has no run on `{target_config.name}`"
        return Declined(Reason.NOT_REPLAYABLE, message, f"/deploy {target_config.name}")
    begun = await _attempt(services, runs[0].id, asked)
    if isinstance(begun, Declined):
        return begun
    text = f"🔁 **{target_config.name}**: attempt {begun.attempt} of `{begun.id}` begins at {begun.stage}."
    await asked.reply(services, text)
    return None


async def _attempt(services: Services, id: str, asked: Asked) -> Run | Declined:
    """Saved, and its first message published; the sweep sends that if this process dies in between."""
    comment = asked.comment
    for collision in range(COLLISIONS):
        await pause(collision)
        found = await services.store.get(Run, id)
        if found is None:
            return Declined(Reason.NOT_REPLAYABLE, f"there is no run `{id}`")
        run = found.document
        if run.retried_by == comment.comment_id:
            return run
        if run.status is Status.SUCCEEDED:
            return Declined(Reason.NOT_REPLAYABLE, f"`{id}` succeeded: there is nothing to retry")
        held = await services.store.get(Target, run.target)
        target = held.document if held else Target(id=run.target)
        request = Request(by=comment.author, comment=comment.comment_id)
        begun = replay(run, target, request, services.terms(run.target))
        if isinstance(begun, Fail):
            return Declined(begun.code, markdown(begun.message))
        writes: list[Create | Update] = [Update(begun.run, found.version)]
        if begun.target is not None and begun.target != target:
            writes.append(Update(begun.target, held.version) if held else Create(begun.target))
        try:
            await services.store.commit(*writes)
        except Conflict:
            continue
        await services.publish(begun.messages)
        return begun.run
    raise Unavailable(f"{id} changed {COLLISIONS} times while it was to be attempted again")
