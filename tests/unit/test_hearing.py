"""That a vendor's webhook arrived is noted on its targets, seldom enough to cost nothing, and never in the way."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec.structs import replace
from unit.functions.scene import IMPATIENT, STAGING, START, TARGET, Scene, opened

from functions.dispatch.arrivals import EVERY, hear
from local.world.vendors import ENVIRONMENT, REPOSITORY, SERVICE
from shared.core.events import DeploymentChanged, PullRequestChanged
from shared.core.target import Target
from shared.errors import Conflict

RAILWAY = DeploymentChanged(
    environment_id=ENVIRONMENT, service_id=SERVICE, deployment_id="d1", event="deployment.failed"
)
GITHUB = PullRequestChanged(repository=REPOSITORY, number=1)


@pytest.fixture
def anyio_backend() -> object:
    return IMPATIENT


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with opened() as scene:
        await scene.save(Target(id=TARGET))
        yield scene


async def test_each_vendor_is_noted(scene: Scene) -> None:
    assert (await scene.happen(RAILWAY)).status_code == 200
    scene.pass_time(1)
    assert (await scene.happen(GITHUB)).status_code == 200

    assert (await scene.target()).heard == {"railway": START, "github": START + timedelta(seconds=1)}


async def test_at_most_every_five_minutes(scene: Scene) -> None:
    await scene.happen(RAILWAY)
    scene.pass_time(299)
    await scene.happen(RAILWAY)
    assert ((await scene.target()).heard, scene.store.commits) == ({"railway": START}, 1)

    scene.pass_time(1)
    await scene.happen(RAILWAY)
    assert ((await scene.target()).heard, scene.store.commits) == ({"railway": START + EVERY}, 2)


async def test_another_instance_has_just_noted_it(scene: Scene) -> None:
    await scene.save(Target(id=TARGET, heard={"railway": START}))
    scene.pass_time(60)

    await scene.happen(RAILWAY)

    assert ((await scene.target()).heard, scene.store.commits) == ({"railway": START}, 0)


async def test_an_event_that_is_replayed_is_an_old_one(scene: Scene) -> None:
    await scene.save(Target(id=TARGET, heard={"railway": START}))

    await hear(scene.services, RAILWAY, START - timedelta(hours=2))

    assert (await scene.target()).heard == {"railway": START}


async def test_a_repository_has_several_targets_and_some_never_ran(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))

    await hear(scene.services, GITHUB, START)

    staging = await scene.store.get(Target, f"{TARGET.rpartition(':')[0]}:staging")
    assert ((await scene.target()).heard, staging) == ({"github": START}, None)


async def test_what_is_about_no_target_is_noted_nowhere(scene: Scene) -> None:
    await hear(scene.services, replace(RAILWAY, service_id="other"), START)
    await hear(scene.services, replace(GITHUB, repository="acme/other"), START)

    assert (await scene.target()).heard == {}


async def test_a_note_that_cannot_be_written_does_not_bring_the_event_again(scene: Scene) -> None:
    for nth in range(1, 9):
        scene.store.incidents.before(nth, Conflict("somebody else"))

    assert (await scene.happen(RAILWAY)).status_code == 200

    assert (await scene.target()).heard == {}
    assert scene.logged("not noted that a webhook arrived")
