"""/status: where the pull request's change is, on each target, what it waits for, and what comes next.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from functions.dispatch.commands.given import Asked
from functions.dispatch.commands.target import choose_on, names
from functions.dispatch.commands.words import named, names_a_target
from shared.core.observed import PullRequestState
from shared.core.reasons import Reason
from shared.core.run import Run
from shared.core.run import Status as RunStatus
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.runs import texts
from shared.runs.replying import Declined
from shared.runs.start import runs_of
from shared.runtime.escaping import markdown
from shared.runtime.services import Services

NAME = "status"
USAGE = "/status [service/][environment]"
SUMMARY = "Show where the pull request's change is on each target, what it waits for, and what comes next."
EXAMPLES = ("/status", "/status web/production")


class Status(Struct, frozen=True):
    target: str | None = None


def parse(words: list[str]) -> Status | Declined:
    found = named(words)
    if len(found) > 1 or not names_a_target(found):
        return Declined(Reason.COMMAND_INVALID, "at most a target is expected", USAGE)
    return Status(*found)


async def handle(services: Services, asked: Asked, command: Status) -> Declined | None:
    pull = asked.pull
    here = [one for one in asked.target_configs if one.branch == pull.base]
    wanted = [one for one in here if command.target is None or names(command.target, one)]
    if not wanted:
        refused = choose_on(pull.base, command.target, asked.target_configs)
        return refused if isinstance(refused, Declined) else None
    parts = [await _about(services, pull, one) for one in wanted]
    await asked.reply(services, "\n\n".join(parts))
    return None


async def _about(services: Services, pull: PullRequestState, target_config: TargetConfig) -> str:
    runs = await runs_of(services, target_config, pull.number)
    found = await services.store.get(Target, target_config.id)
    target = found.document if found else Target(id=target_config.id)
    live = await _is_live(services, pull, target_config, target)
    run = runs[0] if runs else None
    said = [*_of_run(run, target), live, *_of_target(target), *_next(run, target_config)]
    title = texts.headline(run) if run else f"No run of this pull request on **{target_config.name}**"
    return "\n".join([title, *(f"- {one}" for one in said)])


def _of_run(run: Run | None, target: Target) -> Iterator[str]:
    if run is None:
        return
    last = run.history[-1]
    yield f"`{run.id}` since {last.at:%Y-%m-%d %H:%M:%S} UTC: {markdown(last.message)}"
    if run.status is RunStatus.QUEUED:
        place = [entry.run_id for entry in target.queue].index(run.id) + 1 if _is_queued(run, target) else 1
        yield f"place {place} of {max(place, len(target.queue))} in the queue, behind `{target.active or 'nothing'}`"
    if not run.status.terminal and run.deadline is not None:
        yield f"it waits until {run.deadline:%Y-%m-%d %H:%M:%S} UTC at the latest"
    if run.error is not None:
        yield f"**`{run.error.code}`** {run.error.code.advice}"


def _is_queued(run: Run, target: Target) -> bool:
    return any(entry.run_id == run.id for entry in target.queue)


async def _is_live(services: Services, pull: PullRequestState, target_config: TargetConfig, target: Target) -> str:
    """By what was verified last; GitHub says whether that contains the pull request's commit."""
    current, merged = target.current, pull.merge_sha if pull.merged else None
    if merged is None:
        return "live: no, the pull request is not merged"
    if current is None:
        return "live: not known, nothing was verified here yet"
    shown = f"`{current.commit_sha[:7]}` was verified at {current.at:%Y-%m-%d %H:%M:%S} UTC"
    same = current.commit_sha == merged
    if same or await services.github.contains(target_config.repository, merged, within=current.commit_sha):
        return f"live: yes, {shown}" + ("" if same else f" and contains `{merged[:7]}`")
    return f"live: no, {shown}, without `{merged[:7]}`"


def _of_target(target: Target) -> Iterator[str]:
    if target.pause is not None:
        yield f"paused by {markdown(target.pause.by)}: {markdown(target.pause.reason)}"
    if target.lock is not None:
        yield f"locked by {markdown(target.lock.by)}: {markdown(target.lock.reason)}; `/unlock` ends it"
    if target.hold is not None:
        yield f"held: {markdown(target.hold.reason)}; `/resume` or a `/deploy` ends it"
    drift = texts.drift(target)
    if drift is not None:
        yield markdown(drift)


def _next(run: Run | None, target_config: TargetConfig) -> Iterator[str]:
    if run is not None and run.next_up:
        yield f"next: {run.next_up}"
    elif run is None and target_config.before:
        yield f"next: deployed here once it was verified in `{target_config.before}`"
