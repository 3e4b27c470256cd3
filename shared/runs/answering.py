"""Commands on a pull request: who may give them, what each does, and a reply where nothing is done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.clients.github.comment import WrittenComment
from shared.core import targets
from shared.core.events import CommentWritten
from shared.core.observed import PullRequestState
from shared.core.outcome import Message
from shared.core.reasons import Reason
from shared.core.run import Kind, Run, Trigger, run_id
from shared.core.run import Rollback as RollbackState
from shared.core.target import Lock as TargetLock
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.errors import NotFound, TransientError, Unauthorized, VendorError, is_locked
from shared.runs import commands, texts
from shared.runs.commands import Deploy, Lock, Rollback, Unlock, Unusable
from shared.runs.reply_lease import alone
from shared.runs.start import latest_of, new_run, runs_of, start
from shared.runtime import escaping, log
from shared.runtime.services import Services
from shared.runtime.update import amend

KEPT_SILENT = 50
LONGEST_COMMAND = 500
COUNTS_FOR = timedelta(days=1)
"""A command older than that is not carried out: its run's document may have expired, and the world has moved on."""
REFUSED = "confused"
MAY_DEPLOY = frozenset({"admin", "write"})


class GivenCommand(Struct, frozen=True, kw_only=True):
    """A comment of a person that gives one, as GitHub shows it. `body` is the line with the command."""

    comment_id: int
    number: int
    author: str
    body: str
    url: str
    outdated: str | None
    """Why it no longer counts."""
    confused: int
    """How many 😕 it has: one of ours says that it was refused for want of permission."""


class Asked(Struct, frozen=True):
    """A command with what is known of where it was given."""

    comment: GivenCommand
    pull: PullRequestState
    places: list[TargetConfig]


async def answer(services: Services, event: CommentWritten) -> None:
    """Carry the command out, or reply why not.

    The event is a hint: who wrote what, where and when is what GitHub's API says. Who may not give commands is not
    replied to, whatever they write. Giving a command again, by the same comment, changes nothing: a run that it
    started exists, and to everything else there is a reply. So what was refused once stays refused, however late it
    comes again.
    """
    places = services.config.in_repository(event.repository)
    if not places:
        return
    comment = await _read(services, event, places)
    if comment is None or not await _may_command(services, comment, places):
        return
    marker = texts.reply_marker(comment.comment_id)
    if await services.github.has_comment(places[0].repository, comment.number, marker=marker):
        log.info("answered already", comment=comment.comment_id)
        return
    if await _started(services, comment, places):
        return
    async with alone(services, str(comment.comment_id), places[0]) as target:
        if comment.comment_id in target.silent:
            log.info("answered already, without a reply", comment=comment.comment_id)
            return
        await _answer_now(services, comment, places)


async def _read(services: Services, event: CommentWritten, places: list[TargetConfig]) -> GivenCommand | None:
    """The command that a person gave on a pull request; None where there is none (any more)."""
    written = await services.github.comment(places[0].repository, event.comment_id)
    if written is None:
        # In a repository that was transferred just now nothing is found either: there this raises NotFound.
        await services.github.pull_request(places[0].repository, event.number)
        written = await services.github.comment(places[0].repository, event.comment_id)
    line = commands.command_line(written.body) if written is not None else None
    if written is None or written.number is None or written.author is None or line is None:
        log.info("no command of a person on a pull request", comment=event.comment_id, deleted=written is None)
        return None
    return GivenCommand(
        comment_id=written.id,
        number=written.number,
        author=written.author,
        body=line[:LONGEST_COMMAND],
        url=written.url,
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


async def _may_command(services: Services, comment: GivenCommand, places: list[TargetConfig]) -> bool:
    """Others get a reaction at most: a reply to each would let anybody have us write on the pull request.

    The reaction is also what is remembered of it: who may later, may not have what was refused before.
    """
    repository = places[0].repository
    permission = await services.github.permission(repository, comment.author)
    if permission in MAY_DEPLOY:
        refused = comment.confused and await services.github.bot_reacted(repository, comment.comment_id, REFUSED)
        if refused:
            log.info("a command that was refused before", comment=comment.comment_id, actor=comment.author)
        return not refused
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
    return False


async def _answer_now(services: Services, comment: GivenCommand, places: list[TargetConfig]) -> None:
    if not await _react(services, comment, places):
        return
    refused = await _carry_out(services, comment, places)
    if refused is not None:
        log.info(
            "command refused",
            comment=comment.comment_id,
            code=refused.code,
            reason=refused.message,
            actor=comment.author,
        )
        await _reply(services, comment, places, texts.refusal(refused.code, refused.message, refused.usage))


async def _react(services: Services, comment: GivenCommand, places: list[TargetConfig]) -> bool:
    """False when the comment is there no more. A reaction that is refused keeps nothing from being done.

    In a locked conversation GitHub takes neither reactions nor comments of an App (docs: "Locking conversations").
    """
    try:
        await services.github.react(places[0].repository, comment.comment_id)
    except NotFound:
        log.info("the comment was deleted meanwhile", comment=comment.comment_id)
        return False
    except (VendorError, TransientError) as error:
        log.warning("no reaction to the command", comment=comment.comment_id, reason=str(error))
    return True


async def _started(services: Services, comment: GivenCommand, places: list[TargetConfig]) -> bool:
    """Whether the command has its run, which is woken then: what has changed since is no reason to refuse it now."""
    for place in places:
        found = await services.store.get(Run, run_id(place.id, comment.number, f"command {comment.comment_id}"))
        if found is not None:
            if not found.document.status.terminal:
                await services.publish([Message(found.document.stage, found.document.id)])
            return True
    return False


async def _carry_out(services: Services, comment: GivenCommand, places: list[TargetConfig]) -> Unusable | None:
    if comment.outdated is not None:
        return Unusable(Reason.COMMAND_OUTDATED, comment.outdated)
    command = commands.parse(comment.body)
    if isinstance(command, Unusable):
        return command
    pull = await services.github.pull_request(places[0].repository, comment.number)
    asked = Asked(comment, pull, places)
    match command:
        case Deploy():
            return await _deploy(services, asked, command)
        case Rollback():
            return await _rollback(services, asked, command)
        case Lock():
            return await _lock(services, asked, command)
        case Unlock():
            return await _unlock(services, asked, command)


async def _deploy(services: Services, asked: Asked, command: Deploy) -> Unusable | None:
    pull = asked.pull
    place = commands.choose_on(pull.base, command.target, asked.places)
    if isinstance(place, Unusable):
        return place
    if pull.state == "closed" and not pull.merged:
        return Unusable(Reason.PULL_REQUEST_CLOSED, "the pull request was closed without a merge")
    unconfirmed = _unconfirmed(pull, place, command)
    if unconfirmed is not None:
        return unconfirmed
    trigger = _trigger(asked.comment, command.force)
    own = run_id(place.id, pull.number, f"{trigger.source} {trigger.id}")
    runs = await runs_of(services, place, pull.number)
    active = next((run for run in runs if not run.status.terminal), None)
    if active is not None and all(run.id != own for run in runs):
        return Unusable(Reason.ALREADY_RUNNING, f"`{active.id}` is at {active.stage} ({active.status})")
    await start(services, new_run(services, place, pull, trigger))
    return None


def _unconfirmed(pull: PullRequestState, place: TargetConfig, command: Deploy) -> Unusable | None:
    """Why it is not certain that the head is the one that the person means.

    Whoever may push to a branch of the repository may deploy. To a fork its author pushes at any time, and GitHub has
    no time of a push that the author cannot choose; so there the whole commit is to be named, since a commit can be
    made that begins like another.
    """
    if pull.merged:
        return None
    if command.head is not None and not pull.head_sha.startswith(command.head):
        return Unusable(Reason.HEAD_MOVED, f"the head of the pull request is {pull.head_sha}, not {command.head}")
    if pull.from_fork and command.head != pull.head_sha:
        name = f"{place.service}/{place.environment}"
        message = f"its author can push to a fork at any time, and the head is {pull.head_sha} now"
        return Unusable(Reason.HEAD_UNCONFIRMED, message, f"/deploy {name} {pull.head_sha}")
    return None


async def _rollback(services: Services, asked: Asked, command: Rollback) -> Unusable | None:
    place = commands.choose(command.target, asked.places)
    if isinstance(place, Unusable):
        return place
    found = await services.store.get(Target, place.id)
    deploying = found is not None and found.document.active is not None
    current = found.document.current if found is not None and deploying else None
    back = RollbackState(
        reason=Reason.ROLLED_BACK_BY_COMMAND, to_commit=command.to, unless=current.commit_sha if current else None
    )
    run = new_run(services, place, asked.pull, _trigger(asked.comment), back=back)
    under_way = next((one for one in await latest_of(services, place) if _is_rollback_under_way(one)), None)
    if under_way is not None and under_way.id != run.id:
        return Unusable(Reason.ALREADY_RUNNING, f"`{under_way.id}` is at {under_way.stage} ({under_way.status})")
    await start(services, run)
    return None


def _is_rollback_under_way(run: Run) -> bool:
    """Two commands in a row would otherwise go back two versions."""
    return run.kind is Kind.ROLLBACK and not run.status.terminal


async def _lock(services: Services, asked: Asked, command: Lock) -> Unusable | None:
    split = commands.split_reason(command, asked.places)
    if isinstance(split, Unusable):
        return split
    name, reason = split
    place = commands.choose(name, asked.places)
    if isinstance(place, Unusable):
        return place
    lock = TargetLock(by=asked.comment.author, reason=reason, at=services.clock.now())
    await _amend_in_order(services, asked, place, lambda target: replace(target, lock=lock))
    said = escaping.markdown(reason)
    text = f"🔒 **{place.name}** is locked: {said}. Deployments wait until a user comments `/unlock`."
    await _reply(services, asked.comment, asked.places, text)
    return None


async def _unlock(services: Services, asked: Asked, command: Unlock) -> Unusable | None:
    """Lifts a lock and a hold, and calls the next run of the queue."""
    place = commands.choose(command.target, asked.places)
    if isinstance(place, Unusable):
        return place
    called: tuple[Message, ...] = ()
    waiting = ""

    def open_up(target: Target) -> Target:
        nonlocal called, waiting
        waiting = texts.held_back(target)
        opened, called = targets.call_next(replace(target, lock=None, hold=None))
        return opened

    await _amend_in_order(services, asked, place, open_up)
    await services.publish(called)
    await _reply(
        services,
        asked.comment,
        asked.places,
        f"🔓 **{place.name}** is unlocked: deployments go on.\n\n{waiting}".rstrip(),
    )
    return None


async def _amend_in_order(
    services: Services, asked: Asked, place: TargetConfig, change: Callable[[Target], Target]
) -> None:
    """Change the target, unless a later comment has done so: two written in quick succession may come in any order."""
    at = asked.comment.comment_id

    def unless_overtaken(target: Target) -> Target:
        return target if target.last_command > at else replace(change(target), last_command=at)

    await amend(services.store, Target, place.id, unless_overtaken, missing=Target(id=place.id))


async def _reply(services: Services, comment: GivenCommand, places: list[TargetConfig], text: str) -> None:
    """In a locked conversation there is none, and that the comment was answered is remembered on the target."""
    try:
        await services.github.upsert_comment(
            places[0].repository, comment.number, marker=texts.reply_marker(comment.comment_id), body=text
        )
    except Unauthorized as error:
        if not is_locked(error):
            raise
        log.warning("no reply to the command", comment=comment.comment_id, text=text, reason=str(error))

        def remember(target: Target) -> Target:
            return replace(target, silent=(*target.silent, comment.comment_id)[-KEPT_SILENT:])

        await amend(services.store, Target, places[0].id, remember, missing=Target(id=places[0].id))


def _trigger(comment: GivenCommand, force: str | None = None) -> Trigger:
    return Trigger(source="command", actor=comment.author, id=str(comment.comment_id), url=comment.url, force=force)
