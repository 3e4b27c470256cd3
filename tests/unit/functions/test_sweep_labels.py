"""sweep: labels of which no webhook told, or that had to wait, are answered all the same, each once."""

import pytest
from unit.functions.scene import Scene

from functions.sweep.memory import Memory
from local.world.faults import Fault
from local.world.vendors import REPOSITORY
from shared.core.reasons import Reason
from shared.core.run import Status

LABEL = "ship it"


@pytest.fixture(autouse=True)
def configured(scene: Scene) -> None:
    scene.configure(deploy_label=LABEL)


def unheard(scene: Scene, by: str = "grace", **checks: str | None) -> int:
    """A pull request whose label GitHub tells nobody about."""
    number = scene.open_pull_request(**checks)
    scene.github.label(REPOSITORY, number, LABEL, by)
    scene.github.webhooks.queue.clear()
    return number


async def looked_at(scene: Scene) -> int | None:
    answer: int | None = (await scene.sweep()).json()["labelled"]
    await scene.deliver()
    return answer


async def test_a_label_that_no_webhook_told_of_merges_and_deploys(scene: Scene) -> None:
    unheard(scene)
    scene.pass_time(119)
    assert await looked_at(scene) == 0
    assert await scene.runs() == []
    scene.pass_time(1)
    assert await looked_at(scene) == 1
    await scene.settle()
    run = await scene.the_run()
    assert (run.status, run.trigger.source, run.trigger.actor) == (Status.SUCCEEDED, "label", "grace")


async def test_one_that_was_answered_is_left_alone_until_the_pull_request_changes(scene: Scene) -> None:
    number = unheard(scene, tests="failure")
    scene.pass_time(120)
    assert await looked_at(scene) == 1
    await scene.settle()
    assert (await scene.the_run()).status is Status.FAILED
    scene.pass_time(120)
    assert await looked_at(scene) == 0
    assert list(scene.services.kept(Memory).answered[REPOSITORY]) == [number]

    scene.github.push(REPOSITORY, number)
    scene.github.webhooks.queue.clear()
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    scene.pass_time(120)
    assert await looked_at(scene) == 1
    await scene.settle()
    assert sorted(run.status for run in await scene.runs()) == [Status.FAILED, Status.SUCCEEDED]

    # and what is no longer open is not kept in mind
    scene.pass_time(120)
    assert await looked_at(scene) == 0
    assert scene.services.kept(Memory).answered[REPOSITORY] == {}


async def test_a_label_set_anew_while_its_run_was_under_way_has_its_turn(scene: Scene) -> None:
    # Given a run that waits for a check, and the label set again meanwhile, by somebody who may not deploy
    number = unheard(scene, tests=None)
    scene.pass_time(120)
    await looked_at(scene)
    scene.github.unlabel(REPOSITORY, number, LABEL, "grace")
    scene.github.label(REPOSITORY, number, LABEL, "mallory")
    scene.github.webhooks.queue.clear()
    scene.pass_time(120)
    assert await looked_at(scene) == 1
    assert len(await scene.runs()) == 1

    # When the run has ended
    scene.github.report_check(REPOSITORY, number, "tests", "failure")
    await scene.settle()
    assert (await scene.the_run()).status is Status.FAILED
    scene.pass_time(120)
    assert await looked_at(scene) == 1

    # Then the later label is answered, once
    scene.pass_time(120)
    assert await looked_at(scene) == 0
    assert [Reason.NOT_AUTHORIZED in said for said in scene.comments(number)].count(True) == 1


async def test_other_labels_closed_ones_and_forks_are_not_looked_at_for_a_run(scene: Scene) -> None:
    scene.github.label(REPOSITORY, scene.open_pull_request(), "bug", "grace")
    closed, forked = unheard(scene), unheard(scene)
    scene.github.close(REPOSITORY, closed)
    scene.github.pull(REPOSITORY, forked).from_fork = True
    scene.github.webhooks.queue.clear()
    scene.pass_time(120)
    assert await looked_at(scene) == 1
    assert await scene.runs() == []


async def test_one_that_github_does_not_show_keeps_no_other_from_its_run(scene: Scene) -> None:
    unheard(scene)
    unheard(scene)
    scene.pass_time(120)
    scene.github.app.faults.append(Fault(when="pullRequest(number", status=404, body={"message": "Not Found"}))
    assert await looked_at(scene) is None
    assert len(await scene.runs()) == 1
    scene.pass_time(60)
    await looked_at(scene)
    assert len(await scene.runs()) == 2


async def test_where_no_label_deploys_nothing_is_looked_at(scene: Scene) -> None:
    scene.configure()
    unheard(scene)
    scene.pass_time(120)
    assert await looked_at(scene) == 0
    assert await scene.runs() == []
