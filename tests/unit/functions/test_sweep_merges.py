"""sweep: merges of which no webhook told are deployed all the same, each once, and none from before its time."""

from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import STAGING, START, TARGET, Scene

from functions.sweep.memory import Memory
from local.world.faults import Fault
from local.world.vendors import REPOSITORY
from shared.core.reasons import Reason
from shared.core.run import Failure, Stage, Status
from shared.core.target import Target


async def unheard(scene: Scene, count: int = 1) -> list[str]:
    """Merge commits of pull requests that GitHub tells nobody about, a second apart."""
    await scene.sweep()
    merged = []
    for _ in range(count):
        scene.pass_time(1)
        merged.append(scene.merge(scene.open_pull_request()))
    scene.github.webhooks.queue.clear()
    return merged


async def started(scene: Scene) -> int:
    return int((await scene.sweep()).json()["unnoticed"])


async def test_a_merge_that_no_webhook_told_of_is_deployed(scene: Scene) -> None:
    (sha,) = await unheard(scene)
    scene.pass_time(119)
    assert await started(scene) == 0
    scene.pass_time(1)
    assert await started(scene) == 1
    assert scene.logged("found a merge without a webhook; starting its run")[0]["number"] == 1
    await scene.settle()
    run = await scene.the_run()
    assert (run.status, run.commit_sha, run.trigger.source) == (Status.SUCCEEDED, sha, "merge")
    assert await started(scene) == 0


async def test_a_webhook_that_comes_hours_late_finds_it_deployed(scene: Scene) -> None:
    await scene.sweep()
    scene.pass_time(1)
    scene.merge(scene.open_pull_request())
    late, scene.github.webhooks.queue = scene.github.webhooks.queue, []
    await scene.sweep(after=120)
    await scene.settle()
    scene.github.webhooks.queue = late
    await scene.github.tick()
    await scene.settle()
    assert (await scene.the_run()).status is Status.SUCCEEDED
    assert len(scene.railway.created) == 1


async def test_once_a_merge_has_its_run_it_is_not_looked_at_again(scene: Scene) -> None:
    await unheard(scene)
    await scene.sweep(after=120)
    asked = scene.calls(scene.github.app, "pullRequest(number")
    scene.pass_time(60)
    assert await started(scene) == 0
    assert scene.calls(scene.github.app, "pullRequest(number") == asked


async def test_of_several_the_newest_is_deployed_and_brings_the_others_along(scene: Scene) -> None:
    merged = await unheard(scene, 3)
    scene.pass_time(120)
    for _ in range(4):
        await scene.sweep()
        await scene.settle()
    assert [one.commit_sha for one in scene.railway.created] == [merged[2]]
    assert sorted(run.status for run in await scene.runs()) == ["succeeded", "superseded", "superseded"]


async def test_one_that_github_does_not_show_keeps_no_older_one_from_its_run(scene: Scene) -> None:
    merged = await unheard(scene, 2)
    scene.pass_time(120)
    scene.github.app.faults.append(Fault(when="pullRequest(number", status=404, body={"message": "Not Found"}))
    assert await started(scene) == 1
    await scene.settle()
    assert [one.commit_sha for one in scene.railway.created] == merged  # the newer one by a later sweep
    [line] = scene.logged("a merge cannot be read")
    assert line["number"] == 2


async def test_what_was_merged_before_the_target_was_first_seen_is_left_alone(scene: Scene) -> None:
    scene.merge(scene.open_pull_request())
    scene.github.webhooks.queue.clear()
    scene.pass_time(120)
    assert await started(scene) == 0
    scene.pass_time(120)
    assert (await started(scene), await scene.runs()) == (0, [])
    assert (await scene.target()).watched_since == START.replace(minute=START.minute + 2)


async def test_what_was_merged_long_ago_is_left_alone(scene: Scene) -> None:
    await unheard(scene)
    scene.pass_time(6 * 3600 + 1)
    assert await started(scene) == 0


async def test_other_branches_and_targets_that_are_deployed_by_command_are_left_alone(scene: Scene) -> None:
    scene.configure(automatic=False, more=STAGING.format(branch="staging"))
    await unheard(scene)
    scene.pass_time(120)
    assert (await started(scene), await scene.runs()) == (0, [])


async def test_each_target_of_the_branch_gets_its_run(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))
    await unheard(scene)
    scene.pass_time(120)
    assert await started(scene) == 2
    assert len({run.target for run in await scene.runs()}) == 2


async def test_a_run_that_failed_over_a_merge_it_knew_nothing_of_is_followed_by_one_that_deploys_it(
    scene: Scene,
) -> None:
    (sha,) = await unheard(scene)
    pull = scene.github.pull(REPOSITORY, 1)
    gave_up = scene.new_run(Stage.MERGE, commit_sha=None)
    assert gave_up.pull_request is not None
    await scene.save(
        replace(
            gave_up,
            stage=Stage.DONE,
            status=Status.FAILED,
            stage_due=None,
            wake_at=None,
            pull_request=replace(gave_up.pull_request, head_sha=pull.head_sha),
            error=Failure(code=Reason.VENDOR_UNAVAILABLE, message="", stage=Stage.MERGE),
        )
    )
    scene.pass_time(120)
    assert await started(scene) == 1
    await scene.settle()
    assert [one.commit_sha for one in scene.railway.created] == [sha]


async def test_a_run_that_is_about_to_find_out_is_woken_and_looked_for_again(scene: Scene) -> None:
    await unheard(scene)
    pull = scene.github.pull(REPOSITORY, 1)
    under_way = scene.new_run(Stage.MERGE, commit_sha=None)
    assert under_way.pull_request is not None
    under_way = replace(under_way, pull_request=replace(under_way.pull_request, head_sha=pull.head_sha))
    await scene.save(under_way)
    scene.pass_time(120)
    asked = scene.calls(scene.github.app, "pullRequest(number")
    for _ in range(2):
        assert await started(scene) == 0
    assert scene.calls(scene.github.app, "pullRequest(number") == asked + 2
    assert ("merge", under_way.id) in {message.about for message in scene.bus.take()}


async def test_another_instance_finds_what_the_first_one_did(scene: Scene) -> None:
    await unheard(scene)
    await scene.sweep(after=120)
    scene.services.kept(Memory).settled.clear()
    scene.services.kept(Memory).watched.clear()
    assert await started(scene) == 0
    assert len(await scene.runs()) == 1


async def test_the_targets_document_is_made_once_and_nothing_of_it_changed(scene: Scene) -> None:
    await scene.save(Target(id=TARGET, active="a-run"))
    await scene.sweep()
    target = await scene.target()
    assert (target.active, target.watched_since) == ("a-run", scene.clock.now())
    commits = scene.store.commits
    scene.services.kept(Memory).watched.clear()
    await scene.sweep(after=60)
    assert scene.store.commits == commits


async def test_github_without_an_answer_is_asked_again_a_minute_later(scene: Scene) -> None:
    await unheard(scene)
    scene.pass_time(120)
    scene.github.app.faults.append(Fault(when="pullRequests(", status=502))
    assert (await scene.sweep()).json()["unnoticed"] is None
    scene.pass_time(60)
    assert await started(scene) == 1


@pytest.mark.parametrize("fault", [{"status": 404, "body": {"message": "Not Found"}}, {"status": 200, "body": {}}])
async def test_of_a_merge_that_stays_unread_people_are_notified_once(scene: Scene, fault: dict[str, Any]) -> None:
    # given a merge about which GitHub never answers
    await unheard(scene)
    scene.github.app.faults.append(Fault(when="pullRequest(number", times=100, **fault))

    # when a quarter of an hour has passed
    for seconds in (120, 700, 120, 60):
        await scene.sweep(after=seconds)
        await scene.deliver()

    # then people know, once, and what to do
    (told,) = [sent for sent in scene.n8n.notifications if sent["event"] == "merge_unread"]
    assert told["severity"] == "error"
    assert "pull request #1, which was merged" in told["text"]
    assert "comment `/deploy` on #1" in told["text"]
