"""/promote: deploy the pull request's commit, which one environment has verified, to the environment after it.

Users with write permission on the repository may give it.
"""

from __future__ import annotations

from msgspec import Struct

from functions.dispatch.commands.given import Asked, trigger
from functions.dispatch.commands.order import unverified_before
from functions.dispatch.commands.target import choose
from functions.dispatch.commands.words import named, names_a_target, word
from shared.core.reasons import Reason
from shared.core.target_config import TargetConfig
from shared.runs.replying import Declined
from shared.runs.start import new_run, runs_of, start
from shared.runtime.escaping import code
from shared.runtime.services import Services

NAME = "promote"
USAGE = "/promote [service/]<environment> <next environment>"
SUMMARY = "Deploy what an environment has verified to the environment after it."
EXAMPLES = ("/promote staging production", "/promote web/staging production", "/promote staging to production")


class Promote(Struct, frozen=True):
    before: str
    target: str


def parse(words: list[str]) -> Promote | Declined:
    given = [word(one) for one in words if word(one) not in ("to", "from")]
    if len(given) != 2 or not names_a_target(given):
        return Declined(Reason.COMMAND_INVALID, f"not understood: {code(' '.join(named(words)))}", USAGE)
    return Promote(*given)


async def handle(services: Services, asked: Asked, command: Promote) -> Declined | None:
    target_config = _chosen(command, asked.target_configs)
    if isinstance(target_config, Declined):
        return target_config
    unverified = await unverified_before(services, target_config, asked.pull)
    if unverified is not None:
        return unverified
    runs = await runs_of(services, target_config, asked.pull.number)
    run = new_run(services, target_config, asked.pull, trigger(asked.comment))
    active = next((one for one in runs if not one.status.terminal), None)
    if active is not None and all(one.id != run.id for one in runs):
        return Declined(Reason.ALREADY_RUNNING, f"`{active.id}` is at {active.stage} ({active.status})")
    await start(services, run)
    return None


def _chosen(command: Promote, target_configs: list[TargetConfig]) -> TargetConfig | Declined:
    """The target that comes after the one that is named first; a service named with it is meant for both."""
    before = choose(command.before, target_configs)
    if isinstance(before, Declined):
        return before
    followers = [one for one in target_configs if one.after == before.id]
    found = [one for one in followers if command.target in (one.environment, one.name)]
    if found:
        return found[0]
    known = ", ".join(f"`{one.name}`" for one in followers) or "nothing"
    message = f"{code(command.target)} does not come after `{before.name}`; what does: {known}"
    return Declined(Reason.COMMAND_INVALID, message, USAGE)
