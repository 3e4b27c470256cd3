"""What a run costs of the calls that Railway allows : a thousand an hour on its smallest paid plan."""

from datetime import timedelta
from typing import Any

import pytest
from unit.functions.scene import SERVICE, Scene

from shared.core.run import Run, Status

MOST = 15
MOST_WITH_ROLLBACK = 25


async def ended(scene: Scene, *, minutes: float, **plan: Any) -> Run:
    """A merge's run by the default policy, where Railway takes so long for a deployment."""
    scene.configure(bake=None, poll=None, failure_threshold=None)
    scene.railway.pace = timedelta(minutes=minutes) / 3
    scene.railway.plan(SERVICE, **plan)
    await scene.ship()
    return await scene.the_run()


@pytest.mark.parametrize("minutes", [1, 3, 5, 10, 14])
@pytest.mark.parametrize("webhooks", [True, False])
async def test_a_run_costs_few_calls_however_long_a_deployment_takes(
    scene: Scene, minutes: float, webhooks: bool
) -> None:
    if not webhooks:
        scene.railway.deliver = None

    run = await ended(scene, minutes=minutes)

    assert run.status is Status.SUCCEEDED
    assert len(scene.railway.app.calls) <= MOST


@pytest.mark.parametrize("minutes", [1, 3, 5, 10])
async def test_a_run_that_is_taken_back_costs_not_much_more(scene: Scene, minutes: float) -> None:
    run = await ended(scene, minutes=minutes, health="failing")

    assert run.status is Status.ROLLED_BACK
    assert len(scene.railway.app.calls) <= MOST_WITH_ROLLBACK


async def test_when_the_hour_is_used_up_a_run_goes_on_in_the_next(scene: Scene) -> None:
    # Given two minutes before the end of an hour in which three calls are left
    scene.pass_time(3600 - 120)
    scene.railway.limits.per_hour = 1000
    for _ in range(997):
        scene.railway.limits.take()

    # When a run needs more
    run = await ended(scene, minutes=1)

    # Then it asks no more than once for the stage and once for the webhook, and all goes well
    assert run.status is Status.SUCCEEDED
    refused = sum(call.status == 429 for call in scene.railway.app.calls)
    assert 1 <= refused <= 2
    assert len(scene.railway.app.calls) - refused <= MOST
