"""merge: only what was judged is merged, once, and only by the run that has the target."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import NEW, TARGET, Scene

from local.world.faults import Fault
from local.world.vendors import REPOSITORY
from shared.core.reasons import Reason
from shared.core.run import Kind, Run, Stage, Status, Trigger
from shared.core.target import Hold, Lock, Quarantine, Target
from shared.runtime.ports import Update


def asked(scene: Scene, number: int, *, source: Any = "command", force: str | None = None, **changes: Any) -> Run:
    """A run as a /deploy, or a merge, makes it."""
    pull = scene.github.pull(REPOSITORY, number)
    run = scene.new_run(Stage.MERGE)
    assert run.pull_request is not None
    about = replace(run.pull_request, number=number, head_sha=pull.head_sha)
    trigger = Trigger(source=source, actor="grace", id="1", url="", force=force)
    return replace(run, pull_request=about, commit_sha=pull.merge_sha, trigger=trigger, **changes)


def code(run: Run) -> Reason | None:
    return run.error.code if run.error else None


async def test_what_may_be_merged_is_merged_at_the_judged_commit_under_the_target(scene: Scene) -> None:
    number = scene.open_pull_request()
    head = scene.github.pull(REPOSITORY, number).head_sha
    run = await scene.execute(asked(scene, number))
    ((_, _, sha),) = scene.github.merges
    assert (run.stage, run.commit_sha) == (Stage.DEPLOY, sha)
    assert (await scene.target()).active == run.id
    merge = next(call for call in scene.github.app.calls if call.method == "PUT")
    assert head.encode() in merge.body
    assert b"squash" in merge.body


async def test_the_merge_method_is_the_configured_one(scene: Scene) -> None:
    scene.configure(merge_method="rebase")
    await scene.execute(asked(scene, scene.open_pull_request()))
    assert scene.calls(scene.github.app, '"merge_method":"rebase"') == 1


@pytest.mark.parametrize("tests", ["success", "failure"])
async def test_a_check_that_github_does_not_show_is_waited_for(scene: Scene, tests: str) -> None:
    # given a pull request whose checks GitHub answers with null
    number = scene.open_pull_request(tests=tests)
    scene.github.app.faults.append(Fault(when="statusCheckRollup", hides="nodes"))

    # when it is judged
    run = await scene.execute(asked(scene, number))

    # then nothing is merged, and nothing is given up either
    assert (run.stage, run.status, scene.github.merges) == (Stage.MERGE, Status.WAITING, [])
    assert run.history[-1].message == "waiting for a check that cannot be read"


async def test_a_rule_that_github_does_not_show_is_waited_for(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.github.app.faults.append(Fault(when="/rules/branches", status=200, body=[None, {"type": "deletion"}]))
    run = await scene.execute(asked(scene, number))
    assert run.history[-1].message == "waiting for a rule that cannot be read"
    await scene.wake("merge", run.id)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def test_unfinished_checks_are_waited_for_and_judged_when_woken(scene: Scene) -> None:
    number = scene.open_pull_request(tests=None)
    run = await scene.execute(asked(scene, number))
    assert (run.stage, run.status) == (Stage.MERGE, Status.WAITING)
    assert "tests" in run.history[-1].message
    assert (await scene.target()).active is None

    scene.github.report_check(REPOSITORY, number, "tests", "success")
    await scene.wake("merge", run.id)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def test_a_check_cancelled_for_a_newer_run_of_it_does_not_stop_the_merge(scene: Scene) -> None:
    number = scene.open_pull_request(tests="cancelled")
    scene.github.supersede_check(REPOSITORY, number, "tests")
    scene.pass_time(10)
    scene.github.report_check(REPOSITORY, number, "tests", "success")

    assert (await scene.execute(asked(scene, number))).stage is Stage.DEPLOY


async def test_a_required_check_that_never_reported_is_waited_for(scene: Scene) -> None:
    scene.github.require_checks(REPOSITORY, "main", ["security"])
    run = await scene.execute(asked(scene, scene.open_pull_request()))
    assert (run.status, "security" in run.history[-1].message) == (Status.WAITING, True)


async def test_checks_that_never_finish_run_out_of_time(scene: Scene) -> None:
    number = scene.open_pull_request(tests=None)
    run = await scene.execute(asked(scene, number))
    scene.pass_time(1800)
    await scene.wake("merge", run.id)
    assert code(await scene.run(run.id)) is Reason.CHECKS_TIMEOUT


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (lambda github, n: github.report_check(REPOSITORY, n, "tests", "failure"), Reason.CHECKS_FAILED),
        (lambda github, n: github.close(REPOSITORY, n), Reason.PULL_REQUEST_CLOSED),
        (lambda github, n: github.set_draft(REPOSITORY, n), Reason.PULL_REQUEST_DRAFT),
        (lambda github, n: github.require_review(REPOSITORY, "main"), Reason.REVIEW_REQUIRED),
        (lambda github, n: github.require_merge_queue(REPOSITORY, "main"), Reason.MERGE_REFUSED),
    ],
)
async def test_what_may_not_be_merged_ends_the_run_and_takes_nothing(
    scene: Scene, given: Any, expected: Reason
) -> None:
    number = scene.open_pull_request()
    given(scene.github, number)
    run = await scene.execute(asked(scene, number))
    assert (run.status, code(run)) == (Status.FAILED, expected)
    assert scene.github.merges == []
    assert (await scene.target()).active is None


async def test_a_conflict_ends_the_run_once_github_has_computed_it(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.github.set_conflict(REPOSITORY, number)
    run = asked(scene, number)
    await scene.save(run)
    assert (await scene.wake("merge", run.id)).status_code == 503
    assert (await scene.run(run.id)).status is Status.WAITING
    assert (await scene.wake("merge", run.id)).status_code == 200
    assert code(await scene.run(run.id)) is Reason.NOT_MERGEABLE


async def test_a_newer_commit_is_not_merged_unjudged(scene: Scene) -> None:
    number = scene.open_pull_request()
    run = asked(scene, number)
    scene.github.push(REPOSITORY, number)
    run = await scene.execute(run)
    assert (code(run), scene.github.merges) == (Reason.HEAD_MOVED, [])


@pytest.mark.parametrize("merged", [False, True])
async def test_a_pull_request_that_went_to_another_branch_is_not_for_this_target(scene: Scene, merged: bool) -> None:
    number = scene.open_pull_request()
    run = asked(scene, number)
    scene.github.commit(REPOSITORY, "next", "ada")
    scene.github.set_base(REPOSITORY, number, "next", "grace")
    if merged:
        scene.merge(number)
    run = await scene.execute(run)
    assert (code(run), len(scene.github.merges)) == (Reason.BASE_CHANGED, merged)
    assert (await scene.target()).active is None


async def test_a_base_that_moves_under_the_merge_is_merged_into_at_the_next_attempt(scene: Scene) -> None:
    number = scene.open_pull_request()
    run = asked(scene, number)
    await scene.save(run)
    scene.github.app.interruptions.append(("/merge", lambda: scene.github.commit(REPOSITORY, "main", "ada")))
    assert (await scene.wake("merge", run.id)).status_code == 503
    assert "Base branch was modified" in (await scene.run(run.id)).history[-1].message
    await scene.settle()
    run = await scene.run(run.id)
    assert (run.status, len(scene.github.merges)) == (Status.SUCCEEDED, 1)


@pytest.mark.parametrize("status", [403, 429])
async def test_a_secondary_limit_is_waited_for_as_long_as_github_says(scene: Scene, status: int) -> None:
    number = scene.open_pull_request()
    scene.github.limits.slow_down(status=status, retry_after=40)
    run = await scene.execute(asked(scene, number))
    assert (run.status, run.wake_at) == (Status.WAITING, scene.clock.now() + timedelta(seconds=40))
    await scene.settle()
    assert (await scene.run(run.id)).status is Status.SUCCEEDED


async def test_a_used_up_limit_is_waited_for_and_looked_at_once_more_at_the_deadline(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.github.limits.limit = 0
    run = await scene.execute(asked(scene, number))
    assert (run.status, run.wake_at) == (Status.WAITING, run.deadline)
    scene.github.limits.limit = 5000
    await scene.settle()
    assert (await scene.run(run.id)).status is Status.SUCCEEDED


async def test_a_push_between_the_judgement_and_the_merge_stops_the_merge_and_frees_the_target(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.github.app.interruptions.append(("/merge", lambda: scene.github.push(REPOSITORY, number)))
    run = await scene.execute(asked(scene, number))
    assert (code(run), scene.github.merges) == (Reason.HEAD_MOVED, [])
    assert (await scene.target()).active is None


# Checks that are still to come


CI = {"settle": 60}


async def test_a_deploy_right_after_a_push_waits_for_ci_that_has_not_begun(scene: Scene) -> None:
    # given CI that lists its workflow 20 s after the push, and fails two minutes later
    scene.configure(**CI)
    number = scene.github.open_pull_request(REPOSITORY, title="Faster cart", author="grace")
    run = await scene.execute(asked(scene, number))
    assert (run.status, "for checks to begin" in run.history[-1].message) == (Status.WAITING, True)
    scene.pass_time(20)
    scene.github.open_suite(REPOSITORY, number)
    await scene.wake("merge", run.id)
    assert "GitHub Actions (announced" in (await scene.run(run.id)).history[-1].message
    scene.pass_time(120)
    await scene.wake("merge", run.id)
    assert (await scene.run(run.id)).status is Status.WAITING
    # when it has failed
    scene.github.report_check(REPOSITORY, number, "tests", "failure")
    await scene.wake("merge", run.id)
    # then nothing was merged
    run = await scene.run(run.id)
    assert (code(run), scene.github.merges) == (Reason.CHECKS_FAILED, [])
    assert run.error.message == "failed: tests (failure)"


async def test_a_quick_workflow_does_not_answer_for_a_slow_one(scene: Scene) -> None:
    scene.configure(**CI)
    number = scene.github.open_pull_request(REPOSITORY, title="Faster cart", author="grace")
    scene.github.report_check(REPOSITORY, number, "lint", "success", workflow="lint")
    run = await scene.execute(asked(scene, number))
    assert (run.status, scene.github.merges) == (Status.WAITING, [])
    scene.github.open_suite(REPOSITORY, number, workflow="tests")
    scene.pass_time(600)
    await scene.wake("merge", run.id)
    assert scene.github.merges == []
    scene.github.report_check(REPOSITORY, number, "tests", "success", workflow="tests")
    scene.github.close_suite(REPOSITORY, number, workflow="tests")
    await scene.settle()
    assert len(scene.github.merges) == 1


async def test_each_push_to_a_labelled_pull_request_waits_for_its_own_checks(scene: Scene) -> None:
    scene.configure(deploy_label="ship", **CI)
    number = scene.open_pull_request()
    scene.github.label(REPOSITORY, number, "ship", "grace")
    scene.github.push(REPOSITORY, number)
    await scene.live(1)
    await scene.deliver()
    assert scene.github.merges == []
    scene.pass_time(20)
    scene.github.report_check(REPOSITORY, number, "tests", "failure")
    await scene.settle()
    assert (code(await scene.the_run()), scene.github.merges) == (Reason.CHECKS_FAILED, [])


async def test_a_repository_without_ci_deploys_once_the_head_has_settled(scene: Scene) -> None:
    scene.configure(poll=90, **CI)
    number = scene.github.open_pull_request(REPOSITORY, title="Faster cart", author="grace")
    run = await scene.execute(asked(scene, number))
    assert run.wake_at == scene.clock.now() + timedelta(seconds=60)
    scene.pass_time(60)
    await scene.settle()
    assert (await scene.run(run.id)).status is Status.SUCCEEDED


@pytest.mark.parametrize("what", ["a check", "our own suite", "a review"])
async def test_an_old_head_does_not_wait(scene: Scene, what: str) -> None:
    scene.configure(**CI)
    if what == "our own suite":
        scene.github.access.permissions["checks"] = "write"
    number = scene.github.open_pull_request(REPOSITORY, title="Faster cart", author="grace")
    scene.github.pull(REPOSITORY, number).mergeable_known = True
    if what == "a check":
        scene.github.report_check(REPOSITORY, number, "tests", "success")
    if what == "a review":
        scene.github.review(REPOSITORY, number, "approved", "ada")
    scene.pass_time(60)
    assert (await scene.execute(asked(scene, number))).stage is Stage.DEPLOY


async def test_an_app_that_never_reports_does_not_hold_for_ever(scene: Scene) -> None:
    scene.configure(**CI)
    scene.github.repository(REPOSITORY).apps.append(77)
    number = scene.open_pull_request()
    run = await scene.execute(asked(scene, number))
    assert "App 77" in run.history[-1].message
    scene.pass_time(299)
    await scene.wake("merge", run.id)
    assert scene.github.merges == []
    scene.pass_time(1)
    await scene.wake("merge", run.id)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def test_named_checks_are_waited_for_and_enough(scene: Scene) -> None:
    scene.configure(required_checks=["tests"], **CI)
    scene.github.repository(REPOSITORY).apps.append(77)
    number = scene.open_pull_request(lint="success")
    run = await scene.execute(asked(scene, number))
    assert run.history[-1].message == "waiting for tests (not reported yet)"
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    await scene.wake("merge", run.id)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def test_a_cancelled_check_is_waited_for_until_it_runs_again(scene: Scene) -> None:
    number = scene.open_pull_request(tests="cancelled")
    run = await scene.execute(asked(scene, number))
    assert "tests (cancelled, not started again yet)" in run.history[-1].message
    scene.github.supersede_check(REPOSITORY, number, "tests")
    scene.pass_time(30)
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    await scene.wake("merge", run.id)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def test_a_cancelled_check_that_does_not_run_again_has_failed(scene: Scene) -> None:
    number = scene.open_pull_request(tests="cancelled")
    run = await scene.execute(asked(scene, number))
    scene.pass_time(300)
    await scene.wake("merge", run.id)
    run = await scene.run(run.id)
    assert (run.error.code, run.error.message) == (Reason.CHECKS_FAILED, "failed: tests (cancelled)")


async def test_another_apps_check_does_not_stand_in_for_the_required_one(scene: Scene) -> None:
    scene.github.require_checks(REPOSITORY, "main", ["tests"], app_id=15368)
    number = scene.github.open_pull_request(REPOSITORY, title="Faster cart", author="grace")
    scene.github.report_check(REPOSITORY, number, "tests", "success", app_id=66)
    run = await scene.execute(asked(scene, number))
    assert "tests of the App 15368 (not reported yet)" in run.history[-1].message


# What people merge by hand


@pytest.mark.parametrize(
    ("checks", "said"),
    [({"tests": "failure"}, "tests (failure)"), ({"tests": None}, "tests (not finished)"), ({"tests": "success"}, "")],
)
async def test_a_run_says_when_what_people_merged_had_not_passed(
    scene: Scene, checks: dict[str, str | None], said: str
) -> None:
    number = scene.open_pull_request(**checks)
    scene.merge(number)
    await scene.save(asked(scene, number, source="merge"))
    await scene.settle()
    run = await scene.the_run()
    assert run.status is Status.SUCCEEDED
    told = f"; its checks had not passed: {said}" if said else ""
    assert any(entry.message == f"merged as {str(run.commit_sha)[:7]}{told}" for entry in run.history)
    warned = "⚠️ It was merged although its checks had not passed" in scene.comments(number)[0]
    assert warned is bool(said)


# GitHub's refusals


async def test_classic_protection_is_waited_for_as_checks_are(scene: Scene) -> None:
    scene.github.protect(REPOSITORY, "main", ["security"])
    number = scene.open_pull_request()
    run = await scene.execute(asked(scene, number))
    assert (run.status, (await scene.target()).active) == (Status.WAITING, None)
    assert run.history[-1].message == 'GitHub does not merge it yet: Required status check "security" is expected.'
    scene.github.report_check(REPOSITORY, number, "security", "success")
    await scene.settle()
    assert (await scene.run(run.id)).status is Status.SUCCEEDED


async def test_at_the_deadline_a_refusal_that_did_not_pass_is_the_reason(scene: Scene) -> None:
    scene.github.protect(REPOSITORY, "main", ["security"])
    number = scene.open_pull_request()
    run = await scene.execute(asked(scene, number))
    scene.pass_time(1800)
    await scene.wake("merge", run.id)
    run = await scene.run(run.id)
    assert run.error is not None
    assert code(run) is Reason.MERGE_REFUSED
    assert 'Required status check "security" is expected.' in run.error.message


async def test_a_merge_in_progress_is_waited_for(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.github.pull(REPOSITORY, number).merging = 2
    run = await scene.execute(asked(scene, number))
    assert "Merge already in progress" in run.history[-1].message
    await scene.settle()
    assert (await scene.run(run.id)).status is Status.SUCCEEDED


async def test_a_base_that_keeps_moving_uses_up_no_attempts(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.configure(max_attempts=2)
    body = {"message": "Base branch was modified. Review and try the merge again."}
    scene.github.app.faults += [Fault(when="PUT ", status=405, body=body) for _ in range(6)]
    await scene.save(asked(scene, number))
    await scene.settle()
    assert (await scene.the_run()).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "said", ["Squash merges are not allowed on this repository.", "Changes must be made through the merge queue"]
)
async def test_a_refusal_that_cannot_pass_ends_the_run_at_once(scene: Scene, said: str) -> None:
    number = scene.open_pull_request()
    scene.github.app.faults.append(Fault(when="PUT ", status=405, body={"message": said}))
    run = await scene.execute(asked(scene, number))
    assert (code(run), said in run.error.message) == (Reason.MERGE_REFUSED, True)


@pytest.mark.parametrize(("source", "waits"), [("command", False), ("label", True)])
async def test_a_missing_review_is_waited_for_by_a_label_alone(scene: Scene, source: str, waits: bool) -> None:
    scene.configure(deploy_label="ship")
    number = scene.open_pull_request()
    scene.github.label(REPOSITORY, number, "ship", "grace")
    said = {"message": "At least 1 approving review is required by reviewers with write access."}
    scene.github.app.faults.append(Fault(when="PUT ", status=405, body=said))
    run = await scene.execute(asked(scene, number, source=source))
    assert (run.status is Status.WAITING) is waits


# A branch that has to be up to date


async def behind(scene: Scene) -> tuple[int, str]:
    """A pull request whose base has moved on, and its head."""
    scene.github.require_checks(REPOSITORY, "main", ["tests"], strict=True)
    number = scene.open_pull_request()
    scene.github.commit(REPOSITORY, "main", "ada")
    pull = scene.github.pull(REPOSITORY, number)
    pull.mergeable_known, pull.base_moved = True, False
    return number, pull.head_sha


async def test_a_branch_that_is_behind_is_waited_for(scene: Scene) -> None:
    number, _ = await behind(scene)
    run = await scene.execute(asked(scene, number))
    assert (run.status, "up to date" in run.history[-1].message) == (Status.WAITING, True)
    scene.github.update_branch(REPOSITORY, number, "grace")
    await scene.wake("merge", run.id)
    assert code(await scene.run(run.id)) is Reason.HEAD_MOVED  # it was grace's doing, and nobody judged it


async def test_a_branch_is_brought_up_to_date_and_followed(scene: Scene) -> None:
    # given a branch that is behind
    scene.configure(update_branch=True)
    number, head = await behind(scene)
    run = await scene.execute(asked(scene, number))
    assert run.history[-1].message == "requested GitHub to update the branch from main"
    # when GitHub has updated it
    await scene.wake("merge", run.id)
    run = await scene.run(run.id)
    updated = scene.github.pull(REPOSITORY, number).head_sha
    assert (run.pull_request.head_sha, updated != head) == (updated, True)
    # then the new head's checks are waited for
    await scene.wake("merge", run.id)
    assert "tests" in (await scene.run(run.id)).history[-1].message
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    await scene.settle()
    assert (await scene.run(run.id)).status is Status.SUCCEEDED
    assert scene.calls(scene.github.app, "update-branch") == 1


async def test_a_push_after_the_update_is_not_followed(scene: Scene) -> None:
    scene.configure(update_branch=True)
    number, _ = await behind(scene)
    run = await scene.execute(asked(scene, number))
    scene.github.push(REPOSITORY, number)
    await scene.wake("merge", run.id)
    assert (code(await scene.run(run.id)), scene.github.merges) == (Reason.HEAD_MOVED, [])


async def test_an_update_that_github_refuses_is_waited_for_and_its_reason_shown(scene: Scene) -> None:
    scene.configure(update_branch=True)
    number, _ = await behind(scene)
    said = {"message": "refusing to allow a GitHub App to create or update workflow without `workflows` permission"}
    scene.github.app.faults += [Fault(when="update-branch", status=403, body=said) for _ in range(2)]
    run = await scene.execute(asked(scene, number))
    assert (run.status, "`workflows` permission" in run.history[-1].message) == (Status.WAITING, True)
    scene.pass_time(1800)
    await scene.wake("merge", run.id)
    run = await scene.run(run.id)
    assert (run.error.code, "`workflows` permission" in run.error.message) == (Reason.MERGE_REFUSED, True)


async def test_an_update_whose_answer_is_lost_is_not_made_twice(scene: Scene) -> None:
    scene.configure(update_branch=True)
    number, head = await behind(scene)
    scene.github.app.faults.append(Fault(when="update-branch", after_effect=True, lost=True))
    run = asked(scene, number)
    await scene.save(run)
    assert (await scene.wake("merge", run.id)).status_code == 503
    await scene.wake("merge", run.id)
    assert scene.github.repository(REPOSITORY).parents[scene.github.pull(REPOSITORY, number).head_sha] == head
    assert (await scene.run(run.id)).status is Status.WAITING


async def test_an_update_by_another_run_just_before_the_merge_is_followed(scene: Scene) -> None:
    scene.configure(update_branch=True)
    number = scene.open_pull_request()
    bot = scene.github.bot
    scene.github.app.interruptions.append(("/merge", lambda: scene.github.update_branch(REPOSITORY, number, bot)))
    await scene.save(asked(scene, number))
    await scene.settle()
    assert (await scene.the_run()).status is Status.SUCCEEDED


async def test_an_update_that_is_accepted_is_asked_for_once(scene: Scene) -> None:
    scene.configure(update_branch=True)
    number, _ = await behind(scene)
    accepted = {"message": "Updating pull request branch.", "url": "https://github.test/1"}
    scene.github.app.faults.append(Fault(when="update-branch", status=202, body=accepted))
    run = await scene.execute(asked(scene, number))
    await scene.wake("merge", run.id)
    run = await scene.run(run.id)
    assert run.history[-1].message == "requested GitHub to update the branch from main"
    assert scene.calls(scene.github.app, "update-branch") == 1


async def test_a_label_starts_no_second_run_for_the_head_that_we_updated(scene: Scene) -> None:
    scene.configure(deploy_label="ship", update_branch=True)
    number, _ = await behind(scene)
    scene.github.label(REPOSITORY, number, "ship", "grace")
    await scene.live(1)
    await scene.deliver()
    await scene.live(1)
    await scene.deliver()
    scene.github.report_check(REPOSITORY, number, "tests", "failure")
    await scene.settle()
    await scene.sweep()
    await scene.settle()
    run = await scene.the_run()
    assert (code(run), scene.github.merges) == (Reason.CHECKS_FAILED, [])


async def test_githubs_refusal_to_merge_is_passed_on_in_its_words(scene: Scene) -> None:
    number = scene.open_pull_request()
    refusal = {"message": "Repository rule violations found"}
    scene.github.app.faults.append(Fault(when="PUT ", status=405, body=refusal))
    run = await scene.execute(asked(scene, number))
    assert run.error is not None
    assert code(run) is Reason.MERGE_REFUSED
    assert run.error.message == "Repository rule violations found"
    assert (await scene.target()).active is None


@pytest.mark.parametrize("lost", [True, False])
async def test_a_merge_whose_answer_was_lost_is_found_and_not_repeated(scene: Scene, lost: bool) -> None:
    number = scene.open_pull_request()
    scene.github.app.faults.append(Fault(when="PUT ", after_effect=True, lost=lost))
    run = asked(scene, number)
    await scene.save(run)
    assert (await scene.wake("merge", run.id)).status_code == 503
    assert (await scene.target()).active == run.id
    assert (await scene.wake("merge", run.id)).status_code == 200
    after = await scene.run(run.id)
    ((_, _, sha),) = scene.github.merges
    assert (after.stage, after.commit_sha) == (Stage.DEPLOY, sha)


async def test_a_merge_by_somebody_else_at_the_same_commit_counts(scene: Scene) -> None:
    number = scene.open_pull_request()
    run = asked(scene, number)
    sha = scene.merge(number, "ada")
    run = await scene.execute(run)
    assert (run.stage, run.commit_sha) == (Stage.DEPLOY, sha)
    assert len(scene.github.merges) == 1
    assert (await scene.target()).active == run.id


async def test_a_merge_by_somebody_else_at_a_newer_commit_is_not_deployed_unjudged(scene: Scene) -> None:
    number = scene.open_pull_request()
    run = asked(scene, number)
    scene.github.push(REPOSITORY, number)
    scene.merge(number, "ada")
    run = await scene.execute(run)
    assert (code(run), run.commit_sha) == (Reason.HEAD_MOVED, None)


async def test_a_merged_pull_request_is_deployed_whatever_its_branch_is_by_now(scene: Scene) -> None:
    number = scene.open_pull_request()
    sha = scene.merge(number)
    run = asked(scene, number, source="merge")
    scene.github.push(REPOSITORY, number)
    run = await scene.execute(run)
    assert (run.stage, run.commit_sha) == (Stage.DEPLOY, sha)


async def test_a_merge_commit_that_github_does_not_name_yet_is_waited_for(scene: Scene) -> None:
    number = scene.open_pull_request()
    run = asked(scene, number)
    pull = {
        "number": number,
        "title": "Faster cart",
        "url": "",
        "state": "MERGED",
        "isDraft": False,
        "merged": True,
        "headRefOid": run.pull_request.head_sha if run.pull_request else "",
        "baseRefName": "main",
        "mergeable": "UNKNOWN",
        "mergeStateStatus": "UNKNOWN",
        "isCrossRepository": False,
        "commits": {"nodes": []},
    }
    body = {"data": {"repository": {"pullRequest": pull}}}
    scene.github.app.faults.append(Fault(when="/graphql", status=200, body=body))
    run = await scene.execute(run)
    assert (run.stage, run.status) == (Stage.MERGE, Status.WAITING)
    scene.merge(number)
    await scene.wake("merge", run.id)
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def test_a_busy_target_queues_the_run_before_anything_is_merged(scene: Scene) -> None:
    await scene.save(Target(id=TARGET, active="another"))
    number = scene.open_pull_request()
    run = await scene.execute(asked(scene, number))
    assert (run.status, scene.github.merges) == (Status.QUEUED, [])
    assert [entry.run_id for entry in (await scene.target()).queue] == [run.id]


async def test_a_locked_target_queues_the_run(scene: Scene) -> None:
    lock = Lock(by="ada", reason="month end", at=scene.clock.now())
    await scene.save(Target(id=TARGET, lock=lock))
    run = await scene.execute(asked(scene, scene.open_pull_request()))
    assert (run.status, "month end" in run.history[-1].message) == (Status.QUEUED, True)
    assert scene.github.merges == []


async def test_a_held_target_refuses_what_is_automatic_and_takes_a_command(scene: Scene) -> None:
    hold = Hold(reason="rolled back", at=scene.clock.now(), run_id="before")
    await scene.save(Target(id=TARGET, hold=hold))
    number = scene.open_pull_request()
    scene.merge(number)
    automatic = await scene.execute(asked(scene, number, source="merge", id="automatic"))
    assert (automatic.status, automatic.reason, automatic.error) == (Status.NOT_DEPLOYED, Reason.TARGET_HELD, None)
    commanded = await scene.execute(asked(scene, number, id="commanded"))
    assert commanded.stage is Stage.DEPLOY


async def test_a_quarantined_commit_is_taken_only_by_force(scene: Scene) -> None:
    number = scene.open_pull_request()
    sha = scene.merge(number)
    bad = Quarantine(commit_sha=sha, run_id="before", reason=Reason.UNHEALTHY, at=scene.clock.now())
    await scene.save(Target(id=TARGET, quarantined=(bad,)))
    plain = await scene.execute(asked(scene, number, id="plain"))
    assert code(plain) is Reason.QUARANTINED
    forced = await scene.execute(asked(scene, number, id="forced", force="it was the database"))
    assert forced.stage is Stage.DEPLOY


async def test_a_commit_that_became_quarantined_under_our_eyes_is_not_deployed(scene: Scene) -> None:
    """The run learns its commit only once the pull request is merged; the quarantine counts from then on."""
    number = scene.open_pull_request()
    run = asked(scene, number)
    sha = scene.merge(number)
    bad = Quarantine(commit_sha=sha, run_id="before", reason=Reason.UNHEALTHY, at=scene.clock.now())
    await scene.save(Target(id=TARGET, quarantined=(bad,)))
    assert code(await scene.execute(run)) is Reason.QUARANTINED


async def test_a_run_without_a_pull_request_has_nothing_to_merge(scene: Scene) -> None:
    run = await scene.execute(scene.new_run(Stage.MERGE, pull_request=None, kind=Kind.DEPLOY, commit_sha=NEW))
    assert code(run) is Reason.TARGET_UNKNOWN


async def test_a_pull_request_that_is_gone_ends_the_run(scene: Scene) -> None:
    run = await scene.execute(scene.new_run(Stage.MERGE))
    run = await scene.patiently("merge", run.id)
    assert code(run) is Reason.VENDOR_REFUSED


async def test_without_a_private_key_the_run_waits_for_one(scene: Scene) -> None:
    number = scene.open_pull_request()
    key = scene.secrets.pop("GITHUB_APP_PRIVATE_KEY")
    run = asked(scene, number)
    await scene.save(run)
    assert (await scene.wake("merge", run.id)).status_code == 503
    assert "github-app-private-key" in (await scene.run(run.id)).history[-1].message
    scene.secrets["GITHUB_APP_PRIVATE_KEY"] = key
    assert (await scene.wake("merge", run.id)).status_code == 200
    assert (await scene.run(run.id)).stage is Stage.DEPLOY


async def test_what_comes_to_the_target_while_the_run_is_judged_is_judged_by_too(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.merge(number)
    newer = scene.merge(scene.open_pull_request())

    async def verified_meanwhile() -> None:
        found = await scene.store.real.get(Target, TARGET)
        assert found is not None
        verified = replace(scene.serving(), commit_sha=newer)
        await scene.store.real.commit(Update(replace(found.document, verified=(verified,)), found.version))

    await scene.save(Target(id=TARGET))
    scene.store.incidents.before(2, verified_meanwhile)
    run = await scene.execute(asked(scene, number, source="merge"))
    assert scene.store.incidents.happened
    assert (run.status, code(run)) == (Status.SUPERSEDED, Reason.NEWER_MERGE)
    assert (await scene.target()).active is None
