"""A label that asks for a deployment: what it starts, whom it counts for, and what takes it back."""

from typing import Any

import pytest
from unit.functions.scene import OLD, STAGING, TARGET, Scene

from local.world.faults import Fault
from local.world.vendors import REPOSITORY
from shared.core.events import PullRequestChanged, PullRequestLabelled
from shared.core.reasons import Reason
from shared.core.run import Run, Stage, Status
from shared.core.target import Hold, Target

LABEL = "ship it"


@pytest.fixture(autouse=True)
def configured(scene: Scene) -> None:
    scene.configure(deploy_label=LABEL)


def opened(scene: Scene, **what: Any) -> int:
    number = scene.github.open_pull_request(REPOSITORY, title="Faster cart", author="grace", **what)
    scene.github.pull(REPOSITORY, number).mergeable_known = True
    return number


async def heard(scene: Scene) -> None:
    """GitHub's webhooks arrive, and what they cause is done."""
    await scene.github.tick()
    await scene.deliver()


async def label(scene: Scene, number: int, by: str = "grace", name: str = LABEL) -> None:
    scene.github.label(REPOSITORY, number, name, by)
    await heard(scene)


async def waiting(scene: Scene, **what: Any) -> tuple[int, Run]:
    """A pull request whose label has started a run, which waits for a check."""
    number = opened(scene, **what)
    scene.github.report_check(REPOSITORY, number, "tests", None)
    await label(scene, number)
    run = await scene.the_run()
    assert (run.stage, run.status) == (Stage.MERGE, Status.WAITING)
    return number, run


async def other_than(scene: Scene, first: Run) -> Run:
    (other,) = [run for run in await scene.runs() if run.id != first.id]
    return other


async def test_a_label_merges_when_ready_and_deploys(scene: Scene) -> None:
    number, run = await waiting(scene)
    assert (run.trigger.source, run.trigger.actor, run.target) == ("label", "grace", TARGET)
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    await scene.settle()
    run = await scene.the_run()
    assert (run.status, run.commit_sha) == (Status.SUCCEEDED, scene.github.merges[0][2])
    assert "requested by @grace, who set the label." in scene.comments(number)[0]


async def test_the_name_of_a_label_has_no_case(scene: Scene) -> None:
    await label(scene, opened(scene), name="Ship It")
    assert len(await scene.runs()) == 1


async def test_another_label_asks_for_nothing(scene: Scene) -> None:
    await label(scene, opened(scene), name="ship")
    assert await scene.runs() == []


async def test_without_the_setting_no_label_is_even_looked_at(scene: Scene) -> None:
    scene.configure()
    await label(scene, opened(scene))
    assert await scene.runs() == []
    assert scene.calls(scene.github.app, "/graphql") == 0


async def test_a_label_that_is_told_of_again_starts_nothing_anew(scene: Scene) -> None:
    number, run = await waiting(scene)
    scene.github.delivery_copies = 3
    scene.github.label(REPOSITORY, number, "other", "ada")
    await heard(scene)
    await scene.happen(PullRequestChanged(repository=REPOSITORY, number=number))
    assert [one.id for one in await scene.runs()] == [run.id]


async def test_each_target_whose_label_it_is_gets_a_run(scene: Scene) -> None:
    scene.configure(deploy_label=LABEL, more=STAGING.format(branch="main"))
    await label(scene, opened(scene))
    assert {run.target for run in await scene.runs()} == {TARGET, TARGET.replace("production", "staging")}


async def test_a_pull_request_into_another_branch_is_not_for_this_target(scene: Scene) -> None:
    scene.github.repository(REPOSITORY).branches["next"] = OLD
    await label(scene, opened(scene, base="next"))
    assert await scene.runs() == []


# Whose label it is


@pytest.mark.parametrize("who", ["mallory", "stranger"])
async def test_who_may_not_write_is_answered_once_and_deploys_nothing(scene: Scene, who: str) -> None:
    number = opened(scene)
    await label(scene, number, who)
    await scene.happen(PullRequestChanged(repository=REPOSITORY, number=number))
    assert await scene.runs() == []
    [reply] = scene.comments(number)
    assert f"**`{Reason.NOT_AUTHORIZED}`** {who}, who set the label" in reply


async def test_who_may_not_write_is_refused_once_in_a_locked_conversation(scene: Scene) -> None:
    # Given two targets that the label is for, and a conversation in which nobody can reply
    scene.configure(deploy_label=LABEL, more=STAGING.format(branch="main"))
    number = opened(scene)
    scene.github.lock_conversation(REPOSITORY, number)

    # When somebody who may not write sets it, and it is told of again
    await label(scene, number, "mallory")
    await scene.happen(PullRequestChanged(repository=REPOSITORY, number=number))
    await scene.settle()

    # Then the refusal is done with, after one attempt to say it
    assert (await scene.runs(), scene.comments(number), scene.dead) == ([], [], [])
    refused = [call for call in scene.github.app.calls if call.method == "POST" and call.path.endswith("/comments")]
    assert len(refused) == 1


async def test_an_answer_that_failed_is_given_by_the_next(scene: Scene) -> None:
    number = opened(scene)
    scene.github.app.faults.append(Fault(when=f"POST /repos/{REPOSITORY}/issues/{number}/comments", status=502))
    await label(scene, number, "mallory")
    await scene.settle()
    assert len(scene.comments(number)) == 1


async def test_who_set_it_last_counts(scene: Scene) -> None:
    number = opened(scene, draft=True)
    await label(scene, number, "mallory")
    scene.github.unlabel(REPOSITORY, number, LABEL, "grace")
    await label(scene, number, "grace")
    scene.github.mark_ready(REPOSITORY, number)
    await heard(scene)
    assert (await scene.the_run()).trigger.actor == "grace"


async def test_a_bots_label_asks_for_nothing(scene: Scene) -> None:
    scene.github.repository(REPOSITORY).collaborators["labeler[bot]"] = "write"
    number = opened(scene)
    await label(scene, number, "labeler[bot]")
    assert (await scene.runs(), scene.comments(number)) == ([], [])


# When it is ready


async def test_a_draft_is_begun_when_it_is_one_no_more(scene: Scene) -> None:
    number = opened(scene, draft=True)
    await label(scene, number)
    assert await scene.runs() == []
    scene.github.mark_ready(REPOSITORY, number)
    await heard(scene)
    assert len(await scene.runs()) == 1


async def test_a_review_is_waited_for_without_a_run(scene: Scene) -> None:
    scene.github.require_review(REPOSITORY, "main")
    number = opened(scene)
    await label(scene, number)
    assert await scene.runs() == []
    scene.github.review(REPOSITORY, number, "approved", "ada")
    await scene.settle()
    assert (await scene.the_run()).status is Status.SUCCEEDED


async def test_changes_that_are_requested_while_it_waits_are_waited_for(scene: Scene) -> None:
    scene.github.require_review(REPOSITORY, "main")
    number = opened(scene)
    scene.github.report_check(REPOSITORY, number, "tests", None)
    scene.github.review(REPOSITORY, number, "approved", "ada")
    await label(scene, number)
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    scene.github.review(REPOSITORY, number, "changes_requested", "ada")
    await heard(scene)
    assert (await scene.the_run()).history[-1].message == "a reviewer has requested changes"
    scene.github.review(REPOSITORY, number, "approved", "ada")
    await scene.settle()
    assert (await scene.the_run()).status is Status.SUCCEEDED


async def test_a_closed_pull_request_is_not_begun(scene: Scene) -> None:
    number = opened(scene)
    scene.github.close(REPOSITORY, number)
    await label(scene, number)
    assert await scene.runs() == []


# What takes it back


async def test_without_its_label_the_run_is_cancelled_and_nothing_merged(scene: Scene) -> None:
    number, run = await waiting(scene)
    scene.github.unlabel(REPOSITORY, number, LABEL, "ada")
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    await scene.settle()
    run = await scene.run(run.id)
    assert (run.status, run.error.code, run.stage) == (Status.CANCELLED, Reason.LABEL_REMOVED, Stage.DONE)
    assert (scene.github.merges, scene.told()) == ([], ["cancelled"])
    assert f"**`{Reason.LABEL_REMOVED}`**" in scene.comments(number)[0]
    assert "⏹️ cancelled on" in scene.comments(number)[0]


async def test_a_label_that_is_set_anew_starts_anew(scene: Scene) -> None:
    number, first = await waiting(scene)
    scene.github.unlabel(REPOSITORY, number, LABEL, "ada")
    await heard(scene)
    await label(scene, number, "ada")
    second = await other_than(scene, first)
    assert (second.trigger.actor, second.status) == ("ada", Status.WAITING)
    assert (await scene.run(first.id)).status is Status.CANCELLED


async def test_a_run_that_a_command_started_needs_no_label(scene: Scene) -> None:
    number = opened(scene)
    await scene.happen(scene.say(number, "/deploy"))
    await scene.settle()
    assert (await scene.the_run()).status is Status.SUCCEEDED


async def test_a_label_beside_a_command_for_the_same_head_starts_no_second_run(scene: Scene) -> None:
    number = opened(scene)
    scene.github.report_check(REPOSITORY, number, "tests", None)
    await scene.happen(scene.say(number, "/deploy"))
    await label(scene, number)
    assert (await scene.the_run()).trigger.source == "command"


async def test_what_failed_by_a_command_is_not_tried_again_for_a_label_set_meanwhile(scene: Scene) -> None:
    number = opened(scene)
    scene.github.report_check(REPOSITORY, number, "tests", None)
    await scene.happen(scene.say(number, "/deploy"))
    await label(scene, number)
    scene.github.report_check(REPOSITORY, number, "tests", "failure")
    await scene.settle()
    await scene.happen(PullRequestChanged(repository=REPOSITORY, number=number))
    assert (await scene.the_run()).status is Status.FAILED
    scene.pass_time(60)
    scene.github.unlabel(REPOSITORY, number, LABEL, "ada")
    await label(scene, number)
    assert len(await scene.runs()) == 2


async def test_a_label_does_not_lift_a_hold(scene: Scene) -> None:
    await scene.save(Target(id=TARGET, hold=Hold(reason="it was rolled back", at=scene.clock.now(), run_id="r")))
    await label(scene, opened(scene))
    run = await scene.the_run()
    assert (run.status, run.reason, run.error) == (Status.NOT_DEPLOYED, Reason.TARGET_HELD, None)
    assert scene.github.merges == []


# New commits


async def test_a_push_to_a_branch_of_the_repository_is_deployed_in_its_turn(scene: Scene) -> None:
    number, first = await waiting(scene)
    head = scene.github.push(REPOSITORY, number)
    await scene.settle()
    second = await other_than(scene, first)
    assert (second.pull_request.head_sha, second.status) == (head, Status.SUCCEEDED)
    ended = await scene.run(first.id)
    assert ended.error.code is Reason.HEAD_MOVED


@pytest.mark.parametrize("pushed", [False, True])
async def test_on_a_fork_a_label_is_answered_with_the_head_to_confirm(scene: Scene, pushed: bool) -> None:
    number = opened(scene, from_fork=True)
    scene.github.label(REPOSITORY, number, LABEL, "ada")
    if pushed:
        scene.github.push(REPOSITORY, number)
    await heard(scene)
    await heard(scene)

    [reply] = scene.comments(number)
    assert f"/deploy web/production {scene.github.pull(REPOSITORY, number).head_sha}" in reply
    assert f"**`{Reason.HEAD_UNCONFIRMED}`**" in reply
    assert await scene.runs() == []


async def test_a_forged_webhook_of_a_label_deploys_no_fork(scene: Scene) -> None:
    number = opened(scene, from_fork=True)
    scene.github.label(REPOSITORY, number, LABEL, "ada")
    head = scene.github.push(REPOSITORY, number)
    await scene.happen(PullRequestLabelled(repository=REPOSITORY, number=number, label=LABEL, head_sha=head))
    await heard(scene)
    assert await scene.runs() == []
