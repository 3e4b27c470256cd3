"""What the code of each function uses, by watching it at work: topics it publishes to, secrets, the store.

Looks that together see everything: simulated days, with all that goes wrong in them; what is seldom there, for each
function: a message for a run that is elsewhere by now, and a run that ends while others wait for its target; and the
pages of the console, which no simulated day asks for.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from unit.functions.scene import Scene, ScriptedStore

from local import topology
from local.simulation.bus import TroubledBus
from local.simulation.execution import current
from local.simulation.lean import replaced
from local.simulation.simulation import simulate
from local.simulation.store import TroubledStore
from shared.clients.github.app import GitHubApp
from shared.core.policy import Policy
from shared.core.run import Stage, Status
from shared.core.target import QueueEntry, Target
from shared.core.target_config import RAILWAY_API
from shared.runtime.secrets import GITHUB_APP_PRIVATE_KEY, NAMES, Secrets

SEEDS = range(40)
STAGES = [stage for stage in Stage if stage is not Stage.DONE]


class Use(Struct, frozen=True, order=True):
    """`what` is `publish` with a topic, `secret` with its name, or `store` with `read` or `write`.

    RAILWAY-API stands for whichever secret holds a token of Railway, as in topology.yaml.
    """

    function: str
    what: str
    name: str


Watched = tuple[type, str, Callable[..., tuple[str, str]]]
_SECRETS: list[Watched] = [
    (Secrets, "values", lambda name: ("secret", name if name in NAMES else RAILWAY_API)),
    # Before anything that is kept: the instance that another function warmed needs the key as well.
    (GitHubApp, "request", lambda *_, **__: ("secret", GITHUB_APP_PRIVATE_KEY)),
]


def _store(of: type) -> list[Watched]:
    reads: list[Watched] = [(of, name, lambda *_, **__: ("store", "read")) for name in ("get", "query")]
    return [*reads, (of, "commit", lambda *_, **__: ("store", "write"))]


@contextlib.contextmanager
def _watching(watched: list[Watched], function: Callable[[], str]) -> Iterator[set[Use]]:
    seen: set[Use] = set()

    def noted(owner: type, name: str, use: Callable[..., tuple[str, str]]) -> Any:
        real = getattr(owner, name)

        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            seen.add(Use(function(), *map(str, use(*args, **kwargs))))
            return await real(self, *args, **kwargs)

        return call

    with replaced([(owner, name, noted(owner, name, use)) for owner, name, use in watched]):
        yield seen


def simulated() -> set[Use]:
    """By every function but the console."""
    publishing: Watched = (TroubledBus, "publish", lambda topic, *_: ("publish", topic))
    with _watching([publishing, *_store(TroubledStore), *_SECRETS], lambda: current.get().function) as seen:
        for seed in SEEDS:
            assert simulate(seed).violations == ()
    return seen


async def passed_on(scene: Scene) -> set[Use]:
    """A message of long ago finds its run at another stage, and overdue there: then it is sent on."""
    seen: set[Use] = set()
    long_ago = scene.clock.now() - timedelta(minutes=10)
    for function in [one.name for one in topology.load().functions if one.subscribes in STAGES]:
        for stage in STAGES:
            run = replace(scene.new_run(stage), id=f"{function}-{stage}", stage_due=long_ago)
            if stage != function:
                await scene.save(run)
                await scene.wake(function, run.id)
                seen |= {Use(function, "publish", one.topic) for one in scene.bus.take()}
    return seen


async def called(scene: Scene) -> set[Use]:
    """A run that is given up leaves its target to the next of the queue, which stands there at one of two stages."""
    seen: set[Use] = set()
    for stage, waiting in itertools.product(STAGES, (Stage.MERGE, Stage.ROLLBACK)):
        begun = replace(scene.new_run(stage), id=f"{stage}-before-{waiting}", attempts=Policy().max_attempts)
        queue = (QueueEntry("next", waiting),)
        await scene.save(begun, Target(id=begun.target, active=begun.id, queue=queue))
        await scene.wake(stage, begun.id)
        assert (await scene.run(begun.id)).status is Status.FAILED
        seen |= {Use(stage, "publish", one.topic) for one in scene.bus.take()}
    return seen


async def shown(scene: Scene) -> set[Use]:
    """By the console, on every page."""
    await scene.save(scene.new_run(Stage.MERGE))
    paths = {path for function in topology.load().functions if function.name == "console" for path in function.paths}
    with _watching([*_store(ScriptedStore), *_SECRETS], lambda: "console") as seen:
        for path in [*sorted(paths), "/runs/production-pr1-0123456789"]:
            assert (await scene.web.get(path)).status_code == 200
    return seen | {Use("console", "publish", one.topic) for one in scene.bus.take()}
