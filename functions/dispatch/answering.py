"""Commands on a pull request: who may give them, that each is carried out once, and a reply where it is not."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from functions.dispatch.commands import COMMANDS, SUMMARIES, parse
from functions.dispatch.commands.given import Asked, GivenCommand
from shared.clients.github.comment import WrittenComment
from shared.core.commands import command_line
from shared.core.events import CommentWritten
from shared.core.outcome import Message
from shared.core.reasons import Reason
from shared.core.run import Run, run_id
from shared.core.target_config import TargetConfig
from shared.errors import NotFound, TransientError, VendorError
from shared.runs import texts
from shared.runs.replying import MAY_DEPLOY, Declined, alone, reply
from shared.runtime import log
from shared.runtime.services import Services

LONGEST_COMMAND = 500
COUNTS_FOR = timedelta(days=1)
"""A command older than that is not carried out: its run's document may have expired, and the world has moved on."""
REFUSED = "confused"


async def answer(services: Services, event: CommentWritten) -> None:
    """Carry the command out, or reply why not.

    The event is a hint: who wrote what, where and when is what GitHub's API says. Who may not give commands is not
    replied to, whatever they write. Giving a command again, by the same comment, changes nothing: a run that it
    started exists, and to everything else there is a reply. So what was refused once stays refused, however late it
    comes again.
    """
    target_configs = services.config.in_repository(event.repository)
    if not target_configs:
        return
    comment = await _read(services, event, target_configs)
    permission = await _permission(services, comment, target_configs) if comment is not None else None
    if comment is None or permission is None:
        return
    comment = replace(comment, permission=permission)
    marker = texts.reply_marker(comment.comment_id)
    if await services.github.has_comment(target_configs[0].repository, comment.number, marker=marker):
        log.info("answered already", comment=comment.comment_id)
        return
    if await _started(services, comment, target_configs):
        return
    async with alone(services, str(comment.comment_id), target_configs[0]) as target:
        if comment.comment_id in target.silent:
            log.info("answered already, without a reply", comment=comment.comment_id)
            return
        await _answer_now(services, comment, target_configs)


async def _read(services: Services, event: CommentWritten, target_configs: list[TargetConfig]) -> GivenCommand | None:
    """The command that a person gave on a pull request; None where there is none (any more)."""
    written = await services.github.comment(target_configs[0].repository, event.comment_id)
    if written is None:
        # In a repository that was transferred just now nothing is found either: there this raises NotFound.
        await services.github.pull_request(target_configs[0].repository, event.number)
        written = await services.github.comment(target_configs[0].repository, event.comment_id)
    line = command_line(written.body) if written is not None else None
    if written is None or written.number is None or written.author is None or line is None:
        log.info("no command of a person on a pull request", comment=event.comment_id, deleted=written is None)
        return None
    return GivenCommand(
        comment_id=written.id,
        number=written.number,
        author=written.author,
        body=line[:LONGEST_COMMAND],
        url=written.url,
        written_at=written.created_at,
        outdated=_outdated(written, services.clock.now()),
        confused=written.confused,
    )


def _outdated(written: WrittenComment, now: datetime) -> str | None:
    """Why it does not count as what its author wants now."""
    if written.edited:
        return "the comment was edited after it was written"
    if now - written.created_at > COUNTS_FOR:
        return f"the comment was written on {written.created_at:%Y-%m-%d at %H:%M} UTC, more than a day ago"
    return None


async def _permission(services: Services, comment: GivenCommand, target_configs: list[TargetConfig]) -> str | None:
    """The author's; None for one who may give no commands.

    Others get a reaction at most: a reply to each would let anybody have us write on the pull request.

    The reaction is also what is remembered of it: who may later, may not have what was refused before.
    """
    repository = target_configs[0].repository
    permission = await services.github.permission(repository, comment.author)
    if permission in MAY_DEPLOY:
        refused = comment.confused and await services.github.bot_reacted(repository, comment.comment_id, REFUSED)
        if refused:
            log.info("a command that was refused before", comment=comment.comment_id, actor=comment.author)
        return None if refused else permission
    log.info(
        "command refused",
        comment=comment.comment_id,
        code=Reason.NOT_AUTHORIZED,
        reason=f"permission {permission}; write is needed",
        actor=comment.author,
    )
    try:
        await services.github.react(repository, comment.comment_id, REFUSED)
    except VendorError as error:  # deleted meanwhile, or in a locked conversation
        log.warning("no reaction to the command", comment=comment.comment_id, reason=str(error))
    return None


async def _answer_now(services: Services, comment: GivenCommand, target_configs: list[TargetConfig]) -> None:
    if not await _react(services, comment, target_configs):
        return
    refused = await _carry_out(services, comment, target_configs)
    if refused is not None:
        log.info(
            "command refused",
            comment=comment.comment_id,
            code=refused.code,
            reason=refused.message,
            actor=comment.author,
        )
        text = texts.refusal(refused.code, refused.message, refused.usage)
        await reply(services, target_configs[0], comment.number, to=comment.comment_id, text=text)


async def _react(services: Services, comment: GivenCommand, target_configs: list[TargetConfig]) -> bool:
    """False when the comment is there no more. A reaction that is refused keeps nothing from being done.

    In a locked conversation GitHub takes neither reactions nor comments of an App (docs: "Locking conversations").
    """
    try:
        await services.github.react(target_configs[0].repository, comment.comment_id)
    except NotFound:
        log.info("the comment was deleted meanwhile", comment=comment.comment_id)
        return False
    except (VendorError, TransientError) as error:
        log.warning("no reaction to the command", comment=comment.comment_id, reason=str(error))
    return True


async def _started(services: Services, comment: GivenCommand, target_configs: list[TargetConfig]) -> bool:
    """Whether the command has its run, which is woken then: what has changed since is no reason to refuse it now."""
    for target_config in target_configs:
        found = await services.store.get(Run, run_id(target_config.id, comment.number, f"command {comment.comment_id}"))
        if found is not None:
            if not found.document.status.terminal:
                await services.publish([Message(found.document.stage, found.document.id)])
            return True
    return False


async def _carry_out(services: Services, comment: GivenCommand, target_configs: list[TargetConfig]) -> Declined | None:
    if comment.outdated is not None:
        return Declined(Reason.COMMAND_OUTDATED, comment.outdated)
    command = parse(comment.body)
    if isinstance(command, Declined):
        return command
    pull = await services.github.pull_request(target_configs[0].repository, comment.number)
    module = COMMANDS[type(command).__name__.lower()]
    refused: Declined | None = await module.handle(services, Asked(comment, pull, target_configs, SUMMARIES), command)
    return refused
