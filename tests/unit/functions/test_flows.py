"""Whole runs, from the webhook to the last notification, through the functions as they are deployed."""

from collections import Counter
from typing import Any

import pytest
from unit.functions.scene import DOMAIN, OLD, STAGING, TARGET, Crash, Scene, opened

from local.world.faults import Fault
from local.world.vendors import ENVIRONMENT, REPOSITORY, SERVICE
from shared.core import events
from shared.core.reasons import Reason
from shared.core.run import Stage, Status
from shared.core.target import Target


async def merged_and_settled(scene: Scene, **plan: Any) -> str:
    """Merge a pull request whose deployment goes by the plan, and see it through; the merge commit."""
    if plan:
        scene.railway.plan(SERVICE, **plan)
    sha = scene.merge(scene.open_pull_request())
    await scene.settle()
    return sha


def deployed(scene: Scene) -> list[str]:
    return [deployment.commit_sha for deployment in scene.railway.created]


async def test_a_merged_pull_request_is_deployed_verified_and_notified_once(scene: Scene) -> None:
    sha = await merged_and_settled(scene)
    run = await scene.the_run()
    assert (run.status, run.commit_sha) == (Status.SUCCEEDED, sha)
    assert deployed(scene) == [sha]
    assert (scene.told(), len(scene.comments())) == (["succeeded"], 1)
    target = await scene.target()
    assert (target.active, [v.commit_sha for v in target.verified]) == (None, [sha, OLD])
    assert [entry.stage for entry in run.history if entry.status is Status.SUCCEEDED] == [Stage.VERIFY]


async def test_waiting_costs_a_look_and_not_a_function_that_waits(scene: Scene) -> None:
    await merged_and_settled(scene)
    looks = Counter(call.path for call in scene.application.calls)
    assert looks["/health"] < 12


async def test_an_unhealthy_version_is_rolled_back_and_not_deployed_again_by_itself(scene: Scene) -> None:
    sha = await merged_and_settled(scene, health="failing")
    run = await scene.the_run()
    assert (run.status, run.error.code) == (Status.ROLLED_BACK, Reason.UNHEALTHY)
    serving = scene.railway.serving(SERVICE, ENVIRONMENT)
    assert (serving.commit_sha, deployed(scene), scene.told()) == (OLD, [sha, OLD], ["rolled_back"])
    target = await scene.target()
    assert target.hold is not None
    assert target.quarantine_of(sha) is not None
    assert (target.active, target.current and target.current.deployment_id) == (None, serving.id)

    await scene.happen(scene.say(1, "/deploy"))
    await scene.settle()
    assert (deployed(scene), scene.told()[1:]) == ([sha, OLD], ["failed"])
    await scene.happen(scene.say(1, "/deploy --force the database is back"))
    await scene.settle()
    assert deployed(scene) == [sha, OLD, sha]
    assert scene.told()[2:] == ["succeeded"]


async def test_a_run_that_waited_behind_a_rollback_is_not_deployed_to_the_held_target(scene: Scene) -> None:
    scene.railway.plan(SERVICE, health="failing")
    first, second = scene.open_pull_request(), scene.open_pull_request()
    bad = scene.merge(first)
    scene.merge(second)
    await scene.settle()
    states = {run.pull_request.number: run for run in await scene.runs() if run.pull_request}
    assert (states[first].status, states[second].status) == (Status.ROLLED_BACK, Status.NOT_DEPLOYED)
    assert (states[second].reason, states[second].error) == (Reason.TARGET_HELD, None)
    assert deployed(scene) == [bad, OLD]
    assert ((await scene.target()).active, (await scene.target()).queue) == (None, ())


async def test_of_merges_that_wait_the_newest_brings_the_others_along(scene: Scene) -> None:
    first, second, third = (scene.open_pull_request() for _ in range(3))
    shas = [scene.merge(first)]
    await scene.live(5)
    shas += [scene.merge(second), scene.merge(third)]
    await scene.settle()
    runs = {run.pull_request.number: run for run in await scene.runs() if run.pull_request}
    assert [runs[n].status for n in (first, second, third)] == [
        Status.SUCCEEDED,
        Status.SUPERSEDED,
        Status.SUCCEEDED,
    ]
    assert deployed(scene) == [shas[0], shas[2]]
    assert "superseded" in scene.comments(second)[0]
    assert f"{shas[2][:7]}, merged later, contains it" in scene.comments(second)[0]
    assert sorted(scene.told()) == ["succeeded", "succeeded", "superseded"]


async def test_a_merge_heard_of_after_a_newer_one_was_verified_does_not_put_the_old_one_back(scene: Scene) -> None:
    first, second = scene.open_pull_request(), scene.open_pull_request()
    scene.merge(first)
    scene.github.webhooks.queue.clear()
    newer = scene.merge(second)
    await scene.settle()
    await scene.happen(events.PullRequestMerged(repository=REPOSITORY, number=first))
    await scene.settle()
    runs = {run.pull_request.number: run.status for run in await scene.runs() if run.pull_request}
    assert runs == {first: Status.SUPERSEDED, second: Status.SUCCEEDED}
    assert deployed(scene) == [newer]


async def test_what_a_command_asks_for_is_deployed_though_a_newer_one_serves(scene: Scene) -> None:
    first, second = scene.open_pull_request(), scene.open_pull_request()
    shas = [scene.merge(first)]
    await scene.settle()
    shas.append(scene.merge(second))
    await scene.settle()
    await scene.happen(scene.say(first, "/deploy"))
    await scene.settle()
    assert deployed(scene) == [*shas, shas[0]]


async def test_a_build_that_fails_leaves_what_serves_and_says_so(scene: Scene) -> None:
    sha = await merged_and_settled(scene, build="fail")
    run = await scene.the_run()
    assert (run.status, run.error.code, scene.railway.rollbacks) == (Status.FAILED, Reason.BUILD_FAILED, [])
    assert "the build failed" in scene.comments()[0]
    assert "nothing to roll back" in scene.comments()[0]
    assert deployed(scene) == [sha]
    assert (await scene.target()).lock is None


async def test_a_rollback_that_fails_too_locks_the_target_and_calls_a_person(scene: Scene) -> None:
    scene.railway.plan(SERVICE, rollback=True, health="failing")
    await merged_and_settled(scene, health="failing")
    run = await scene.the_run()
    target = await scene.target()
    assert run.status is Status.FAILED
    assert target.lock is not None
    assert len(scene.railway.rollbacks) == 1
    assert [one["severity"] for one in scene.n8n.notifications] == ["critical"]


async def test_a_command_waits_for_the_checks_merges_and_deploys(scene: Scene) -> None:
    number = scene.open_pull_request(tests=None)
    scene.github.comment(REPOSITORY, number, "/deploy", "grace")
    await scene.github.tick()
    await scene.happen(scene.say(number, "/status"))  # somebody else's command
    for _ in range(20):
        await scene.live(5)
        for published in scene.bus.take():
            await scene.push("dispatch" if published.topic == "events" else published.topic, published.data)
    assert scene.github.merges == []
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    await scene.settle()
    ((_, _, sha),) = scene.github.merges
    run = await scene.the_run()
    assert (run.status, run.commit_sha, deployed(scene)) == (Status.SUCCEEDED, sha, [sha])


async def test_railways_own_deployment_is_adopted_and_not_doubled(scene: Scene) -> None:
    scene.configure(auto_deploy="adopt")
    scene.railway_service.auto_deploy = True
    sha = await merged_and_settled(scene)
    run = await scene.the_run()
    assert (run.status, run.deployment.adopted, deployed(scene)) == (Status.SUCCEEDED, True, [sha])


async def test_every_webhook_twice_in_any_order_makes_no_difference(scene: Scene) -> None:
    scene.github.delivery_copies = scene.railway.delivery_copies = 3
    scene.railway.shuffle = True
    sha = await merged_and_settled(scene)
    assert (deployed(scene), scene.told(), len(scene.comments())) == ([sha], ["succeeded"], 1)


async def test_without_any_webhook_of_railways_a_run_ends_all_the_same(scene: Scene) -> None:
    scene.railway.deliver = None
    await merged_and_settled(scene)
    assert (await scene.the_run()).status is Status.SUCCEEDED


async def test_an_outage_of_both_vendors_is_outlasted(scene: Scene) -> None:
    number = scene.open_pull_request()
    sha = scene.merge(number)
    await scene.github.tick()
    scene.github.app.faults += [Fault(times=3), Fault(times=1, status=429, headers={"retry-after": "20"})]
    scene.railway.app.faults += [Fault(times=2), Fault(times=1, status=429, headers={"retry-after": "20"})]
    await scene.settle()
    assert ((await scene.the_run()).status, deployed(scene), scene.told()) == (Status.SUCCEEDED, [sha], ["succeeded"])


async def test_two_targets_of_one_merge_do_not_wait_for_each_other(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))
    scene.railway.add_service(
        project_id="project-acme",
        environment_id="environment-staging",
        service_id=SERVICE,
        name="web",
        repository=REPOSITORY,
        environment_name="staging",
    )
    await merged_and_settled(scene)
    assert [run.status for run in await scene.runs()] == [Status.SUCCEEDED, Status.SUCCEEDED]
    assert len(scene.railway.created) == 2


@pytest.mark.parametrize("double", ["store", "bus"])
@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("plan", [{}, {"health": "failing"}])
async def test_a_crash_at_any_save_or_message_changes_nothing_in_the_end(
    double: str, afterwards: bool, plan: dict[str, Any]
) -> None:
    """One run after another, each dying further on, until one gets past its last save, or message.

    A sample; tests/simulation dies everywhere.
    """
    nth = -5 if afterwards else -8
    while True:
        nth += 9
        async with opened() as scene:
            scene.configure(bake=5)
            incidents = getattr(scene, double).incidents
            (incidents.after if afterwards else incidents.before)(nth, Crash())
            sha = await merged_and_settled(scene, **plan)
            run = await scene.the_run()
            assert run.status is (Status.ROLLED_BACK if plan else Status.SUCCEEDED), nth
            assert deployed(scene) == [sha] + [OLD] * bool(plan), nth
            assert (await scene.target()).active is None
            assert len(scene.comments()) == 1
            assert set(scene.told()) == {"rolled_back" if plan else "succeeded"}
            assert (scene.dead, len(scene.github.deployments(REPOSITORY))) == ([], 1)
            if not incidents.happened:
                return


@pytest.mark.parametrize(
    ("setting", "public", "shown"),
    [
        (None, False, "comment"),
        (None, True, "console"),
        ("comment", True, "comment"),
        ("console", False, "console"),
        ("off", False, "off"),
        ("off", True, "off"),
    ],
)
async def test_where_the_end_of_the_log_is_shown(scene: Scene, setting: str | None, public: bool, shown: str) -> None:
    # Given a repository that everybody can read, or not, and a version that writes why it answers 503
    scene.use_workflow({"show_log": setting} if setting else {}, failure_analysis="failure-analysis")
    scene.github.repository(REPOSITORY).public = public
    scene.railway.plan(SERVICE, health="failing", log=("no such table: socks",))

    # When it is merged, and rolled back
    await scene.ship()

    # Then nobody reads the log on the pull request who is not to, and Claude does not explain it there
    run = await scene.the_run()
    (comment,) = scene.comments()
    assert run.error is not None
    assert ("no such table" in comment) == (shown == "comment")
    assert len(scene.n8n.asked) == (shown == "comment")
    assert ("The end of the log is in the console, and on Railway." in comment) == (shown == "console")
    assert run.error.log_tail == (() if shown == "off" else ("no such table: socks",))


async def test_an_unhealthy_version_s_log_is_sent_to_be_analysed(scene: Scene) -> None:
    # Given a version that answers 503 and writes why
    scene.use_workflow(failure_analysis="failure-analysis")
    scene.railway.plan(SERVICE, health="failing", log=("no such table: socks",))
    number = scene.open_pull_request()

    # When it is merged, and rolled back
    scene.merge(number)
    await scene.settle()

    # Then the analysis is asked for it, and the people's texts name the address
    run = await scene.the_run()
    assert run.status is Status.ROLLED_BACK
    [asked] = scene.n8n.asked
    assert asked["log_tail"] == ["no such table: socks"]
    assert asked["address"] == f"https://{DOMAIN}"
    (comment,) = scene.comments()
    assert f"Address: https://{DOMAIN}" in comment
    assert "no such table: socks" in comment


async def test_a_build_that_fails_names_the_address_that_still_serves(scene: Scene) -> None:
    scene.railway.plan(SERVICE, build="fail")
    await scene.save(Target(id=TARGET, verified=(scene.serving(),), address=f"https://{DOMAIN}"))
    await scene.ship()
    assert (await scene.the_run()).address == f"https://{DOMAIN}"
    assert f"Address: https://{DOMAIN}" in scene.comments()[0]


async def test_a_rollback_that_fails_keeps_the_log_of_what_failed_first(scene: Scene) -> None:
    scene.railway.plan(SERVICE, health="failing", log=("no such table: socks",))
    scene.railway.refuse_rollback = True
    await scene.ship()
    run = await scene.the_run()
    assert (run.error.code, run.error.log_tail) == (Reason.ROLLBACK_REFUSED, ("no such table: socks",))
