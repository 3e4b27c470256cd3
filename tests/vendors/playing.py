"""The scenarios, each played once: what the vendors were asked and answered, and the webhooks they sent."""

import asyncio
import functools

from golden.telling import Stage, Story
from msgspec import Struct
from unit.functions.scene import ImpatientLoop, opened
from vendors.recorder import Exchange, Recorder

from local.demo.scenarios import SCENARIOS
from local.world.github.hooks import Webhook


class Played(Struct, frozen=True):
    github: list[Exchange]
    railway: list[Exchange]
    n8n: list[Exchange]
    webhooks: list[Webhook]
    """GitHub's."""


@functools.cache
def played(name: str) -> Played:
    with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
        return runner.run(_play(name))


async def _play(name: str) -> Played:
    scenario = SCENARIOS[name]
    async with opened(functools.partial(Stage, scenario)) as stage:
        github, railway, n8n = (Recorder(vendor.app) for vendor in (stage.github, stage.railway, stage.n8n))
        await scenario.play(Story(stage))
        webhooks = [attempt.webhook for attempt in stage.github.webhooks.attempts()]
    return Played(github.exchanges, railway.exchanges, n8n.exchanges, webhooks)
