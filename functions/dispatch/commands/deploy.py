"""/deploy: merge the pull request where it is not merged, and deploy its commit.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from functions.dispatch.commands.given import Asked, trigger
from functions.dispatch.commands.order import unverified_before
from functions.dispatch.commands.target import choose_on
from functions.dispatch.commands.words import AROUND, COMMIT, commit, named, names_a_target, reason, word
from shared.core.commands import INVISIBLE
from shared.core.observed import PullRequestState
from shared.core.reasons import Reason
from shared.core.run import run_id
from shared.core.target_config import TargetConfig
from shared.runs.replying import Declined
from shared.runs.start import new_run, runs_of, start
from shared.runtime.escaping import code
from shared.runtime.services import Services

NAME = "deploy"
USAGE = "/deploy [service/][environment] [<sha>] [--force <reason>]"
SUMMARY = "Merge the pull request when it is ready, and deploy it."
EXAMPLES = ("/deploy", "/deploy staging", "/deploy web/production 3cc4ad1", "/deploy --force the fix cannot wait")
_FORCE = re.compile(r"(?i)(?:[\u2010-\u2015\u2212]{1,2}|--?)force(?:[=:](.*))?", re.DOTALL)
"""Phones turn `--` into one long dash: U+2010 to U+2015 are Unicode's hyphens and dashes, U+2212 its minus sign."""


class Deploy(Struct, frozen=True):
    target: str | None = None
    force: str | None = None
    head: str | None = None
    """The head that is meant, or how it begins."""


def parse(words: list[str]) -> Deploy | Declined:
    before, force = words, None
    for at, one in enumerate(words):
        found = _FORCE.fullmatch(one.strip(AROUND + INVISIBLE))
        if found is not None:
            given = " ".join(part for part in (found[1], *words[at + 1 :]) if part)
            before, force = words[:at], reason(given)
            if not force:
                return _usage("--force needs a reason")
            break
    heads = [head for one in before if (head := _head(one)) is not None]
    before = named([one for one in before if _head(one) is None])
    if len(before) > 1 or len(heads) > 1 or not names_a_target(before):
        return _usage(f"not understood: {code(' '.join((*before, *heads)))}")
    return Deploy(before[0] if before else None, force, heads[0] if heads else None)


def _head(text: str) -> str | None:
    """A commit, or how one begins; a word without a digit is rather a name."""
    found = commit(text) or word(text)
    return found if COMMIT.fullmatch(found) and any(map(str.isdigit, found)) else None


async def handle(services: Services, asked: Asked, command: Deploy) -> Declined | None:
    pull = asked.pull
    target_config = choose_on(pull.base, command.target, asked.target_configs)
    if isinstance(target_config, Declined):
        return target_config
    if pull.state == "closed" and not pull.merged:
        return Declined(Reason.PULL_REQUEST_CLOSED, "the pull request was closed without a merge")
    unconfirmed = _unconfirmed(pull, target_config, command)
    if unconfirmed is not None:
        return unconfirmed
    unverified = await unverified_before(services, target_config, pull)
    if unverified is not None and command.force is None:
        return unverified
    if unverified is not None and asked.comment.permission != "admin":
        message = f"{unverified.message}, and only an administrator of the repository may go past that with `--force`"
        return replace(unverified, message=message)
    by = trigger(asked.comment, command.force, out_of_order=unverified is not None)
    own = run_id(target_config.id, pull.number, f"{by.source} {by.id}")
    runs = await runs_of(services, target_config, pull.number)
    active = next((run for run in runs if not run.status.terminal), None)
    if active is not None and all(run.id != own for run in runs):
        return Declined(Reason.ALREADY_RUNNING, f"`{active.id}` is at {active.stage} ({active.status})")
    await start(services, new_run(services, target_config, pull, by))
    return None


def _unconfirmed(pull: PullRequestState, target_config: TargetConfig, command: Deploy) -> Declined | None:
    """Why it is not certain that the head is the one that the person means.

    Whoever may push to a branch of the repository may deploy. To a fork its author pushes at any time, and GitHub has
    no time of a push that the author cannot choose; so there the whole commit is to be named, since a commit can be
    made that begins like another.
    """
    if pull.merged:
        return None
    if command.head is not None and not pull.head_sha.startswith(command.head):
        return Declined(Reason.HEAD_MOVED, f"the head of the pull request is {pull.head_sha}, not {command.head}")
    if pull.from_fork and command.head != pull.head_sha:
        name = f"{target_config.service}/{target_config.environment}"
        message = f"its author can push to a fork at any time, and the head is {pull.head_sha} now"
        return Declined(Reason.HEAD_UNCONFIRMED, message, f"/deploy {name} {pull.head_sha}")
    return None


def _usage(message: str) -> Declined:
    return Declined(Reason.COMMAND_INVALID, message, USAGE)
