"""What has nothing to deploy, or is skipped by Railway: it ends quietly, or for its red CI, and we do not deploy it."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import API, NEW, TARGET, Scene

from local.world.faults import Fault
from local.world.refusals import PASSING_REFUSALS
from local.world.vendors import ENVIRONMENT, PROJECT, REPOSITORY, SERVICE
from shared.clients.github.client import MOST_FILES
from shared.core.reasons import Reason
from shared.core.run import Deployment, Kind, Rollback, Run, Stage, Status, Trigger
from shared.core.target import HeldBack, Hold, Target
from shared.runs.start import merged

MONOREPO = ("apps/web/**", "packages/**")
ELSEWHERE = ("apps/api/main.py", "README.md")
NOT_ACCESSIBLE, NOT_AUTHORIZED = PASSING_REFUSALS["github"][1], PASSING_REFUSALS["railway"][0]


def own(scene: Scene) -> list[str]:
    """Commits that we had Railway deploy."""
    return [made.commit_sha for made in scene.railway.created if made.source == "API"]


def says_nothing(run: Run) -> bool:
    return (run.status, run.reason, run.error) == (Status.NOT_DEPLOYED, Reason.NOTHING_TO_DEPLOY, None)


async def merge(scene: Scene, *files: str) -> Run:
    """Somebody merges a pull request that changes these; the run of it, when all has come to rest."""
    number = scene.open_pull_request(files=files)
    scene.merge(number)
    await scene.settle()
    return next(run for run in await scene.runs() if run.pull_request and run.pull_request.number == number)


def two_services(scene: Scene, watched: tuple[str, ...] = ()) -> None:
    """The repository has another service, so that Railway's watch patterns count."""
    scene.configure(more=API)
    scene.railway_service.watch_patterns = watched
    scene.railway.add_service(
        project_id=PROJECT,
        environment_id=ENVIRONMENT,
        service_id="service-api",
        name="api",
        repository=REPOSITORY,
        domain="api.up.railway.app",
        serving_commit="0" * 40,
        watch_patterns=("apps/api/**",),
    )


# Which files a merge changes


async def test_a_merge_that_touches_none_of_the_paths_ends_quietly(scene: Scene) -> None:
    # Given a service that names its paths
    scene.configure(paths=MONOREPO)

    # When a merge changes other files alone
    run = await merge(scene, *ELSEWHERE)

    # Then nothing is deployed, and nobody is bothered
    assert says_nothing(run)
    assert (own(scene), scene.told(), scene.comments()) == ([], [], [])
    assert scene.github.deployments(REPOSITORY) == []
    assert (await scene.target()).active is None


@pytest.mark.parametrize("file", ["apps/web/index.html", "packages/ui/button.ts", "apps/web/a => apps/api/a"])
async def test_a_merge_that_touches_a_path_is_deployed(scene: Scene, file: str) -> None:
    scene.configure(paths=MONOREPO)
    run = await merge(scene, "README.md", file)
    assert (run.status, own(scene)) == (Status.SUCCEEDED, [run.commit_sha])
    assert len(scene.comments()) == 1


async def test_without_paths_railways_watch_patterns_decide(scene: Scene) -> None:
    two_services(scene, watched=MONOREPO)
    scene.open_pull_request(files=("apps/api/main.py",))
    scene.merge(1)
    for _ in range(4):
        await scene.deliver()
        await scene.live(5)
    assert [made.service.name for made in scene.railway.created] == ["api"]
    ends = {run.service: run.status for run in await scene.runs()}
    assert ends["web"] is Status.NOT_DEPLOYED


async def test_where_railway_watches_everything_every_merge_is_deployed(scene: Scene) -> None:
    two_services(scene, watched=())
    await merge(scene, "docs/index.md")
    ends = {run.service: run.status for run in await scene.runs()}
    assert ends == {"web": Status.SUCCEEDED, "api": Status.NOT_DEPLOYED}


async def test_railways_watch_patterns_count_for_an_only_service_too(scene: Scene) -> None:
    scene.railway_service.watch_patterns = ("apps/web/**",)
    run = await merge(scene, *ELSEWHERE)
    assert says_nothing(run)
    assert own(scene) == []


@pytest.mark.parametrize("paths", [None, ()])
async def test_where_every_merge_is_deployed_no_files_are_requested(scene: Scene, paths: tuple[()] | None) -> None:
    if paths is not None:
        scene.configure(paths=paths)
    run = await merge(scene, *ELSEWHERE)
    assert run.status is Status.SUCCEEDED
    assert scene.calls(scene.github.app, "/files") == 0


async def test_a_list_of_files_that_github_cuts_short_counts_as_touched(scene: Scene) -> None:
    scene.configure(paths=MONOREPO)
    run = await merge(scene, *(f"docs/{number}.md" for number in range(MOST_FILES + 1)))
    assert (run.status, scene.calls(scene.github.app, "/files")) == (Status.SUCCEEDED, 30)


async def test_all_pages_of_the_list_are_read(scene: Scene) -> None:
    scene.configure(paths=MONOREPO)
    run = await merge(scene, *(f"docs/{number}.md" for number in range(250)), "apps/web/index.html")
    assert (run.status, scene.calls(scene.github.app, "/files")) == (Status.SUCCEEDED, 3)


async def test_files_that_github_will_not_tell_of_count_as_touched(scene: Scene) -> None:
    scene.configure(paths=MONOREPO)
    refused = {"message": "Resource not accessible by integration"}
    scene.github.app.faults.append(Fault(when="/files\n", times=50, status=403, body=refused))
    assert (await merge(scene, *ELSEWHERE)).status is Status.SUCCEEDED


async def test_a_file_that_cannot_be_read_counts_as_touched(scene: Scene) -> None:
    scene.configure(paths=MONOREPO)
    scene.github.app.faults.append(Fault(when="/files", status=200, body=[{"filename": "README.md"}, None]))
    assert (await merge(scene, *ELSEWHERE)).status is Status.SUCCEEDED


@pytest.mark.parametrize("call", ["/files", "query Service"])
async def test_one_refusal_to_tell_the_files_deploys_nothing(scene: Scene, call: str) -> None:
    # Given one of two services, which the merge does not concern, and a refusal of one call
    two_services(scene, watched=MONOREPO)
    vendor, refused = (scene.github, NOT_ACCESSIBLE) if call == "/files" else (scene.railway, NOT_AUTHORIZED)
    vendor.app.faults.append(refused.as_fault(call))

    # When it is merged, and everything takes its course
    await merge(scene, *ELSEWHERE)
    await scene.settle()

    # Then the vendor was asked again, and nothing is deployed to it
    assert not vendor.app.faults, "the call was made, and refused"
    assert {run.service: run.status for run in await scene.runs()}["web"] is Status.NOT_DEPLOYED


async def test_a_command_deploys_whatever_has_changed(scene: Scene) -> None:
    # Given a merge that had nothing for the service
    scene.configure(paths=MONOREPO)
    quiet = await merge(scene, *ELSEWHERE)

    # When somebody asks for it all the same
    await scene.happen(scene.say(1, "/deploy production"))
    await scene.settle()

    # Then it is deployed
    assert own(scene) == [quiet.commit_sha]


async def test_a_label_merges_and_deploys_only_what_has_changed(scene: Scene) -> None:
    scene.configure(paths=MONOREPO, deploy_label="ship it")
    number = scene.open_pull_request(files=ELSEWHERE)
    scene.github.label(REPOSITORY, number, "ship it", "grace")
    await scene.settle()
    run = await scene.the_run()
    assert (len(scene.github.merges), own(scene)) == (1, [])
    assert says_nothing(run)
    assert run.commit_sha is not None


async def test_a_merge_that_is_not_deployed_brings_no_other_along(scene: Scene) -> None:
    # Given a merge under way, one that waits, and a newer one with nothing for the service
    scene.configure(paths=MONOREPO)
    numbers = [scene.open_pull_request(files=(file,)) for file in ("apps/web/a", "apps/web/b", "README.md")]
    shas = [scene.merge(number) for number in numbers]

    # When all have come to rest
    await scene.settle()

    # Then the second is deployed, although the third contains it
    assert own(scene)[-1] == shas[1]
    current = (await scene.target()).current
    assert current.commit_sha == shas[1]


async def test_what_waits_where_railway_deploys_brings_no_other_along_either(scene: Scene) -> None:
    scene.configure(paths=MONOREPO, auto_deploy="adopt")
    scene.railway_service.auto_deploy = True
    scene.railway_service.watch_patterns = MONOREPO
    numbers = [scene.open_pull_request(files=(file,)) for file in ("apps/web/a", "apps/web/b", "README.md")]
    shas = [scene.merge(number) for number in numbers]
    await scene.settle()
    ends = {run.commit_sha: run.status for run in await scene.runs()}
    assert (ends[shas[1]], ends[shas[2]]) == (Status.SUCCEEDED, Status.NOT_DEPLOYED)
    assert own(scene) == []


async def test_where_railway_shows_no_deployment_of_what_it_does_not_watch_we_make_none(scene: Scene) -> None:
    scene.configure(paths=MONOREPO, auto_deploy="adopt", adopt_wait=20)
    assert says_nothing(await merge(scene, *ELSEWHERE))
    assert own(scene) == []


# What Railway skips


async def adopting(scene: Scene, **service: Any) -> Run:
    """A merge that Railway deploys, or skips, by itself; the run of it, which has its target."""
    scene.configure(auto_deploy="adopt")
    for name, value in {"auto_deploy": True, **service}.items():
        setattr(scene.railway_service, name, value)
    scene.open_pull_request()
    run = scene.new_run(Stage.DEPLOY)
    await scene.hold_target(run)
    return run


@pytest.mark.parametrize("seen", ["before it is skipped", "afterwards"])
async def test_what_railway_skips_for_its_watch_paths_ends_quietly_whenever_it_is_seen(scene: Scene, seen: str) -> None:
    run = await adopting(scene, watch_patterns=("apps/web/**",))
    await scene.save(run)
    scene.railway.push(REPOSITORY, "main", NEW, ("README.md",))
    if seen == "afterwards":
        await scene.live(5)
    await scene.wake("deploy", run.id)
    await scene.settle()
    assert says_nothing(await scene.run(run.id))
    assert (own(scene), scene.told()) == ([], [])


@pytest.mark.parametrize("seen", ["before it is skipped", "afterwards"])
async def test_a_commit_whose_ci_failed_is_not_deployed_by_us_whenever_it_is_seen(scene: Scene, seen: str) -> None:
    # Given Wait for CI, and a commit whose CI fails while its run waits in the queue, or is followed already
    run = await adopting(scene, waits_for_ci=True)
    await scene.save(run)
    scene.railway.push(REPOSITORY, "main", NEW)
    await scene.live(5)
    if seen == "afterwards":
        scene.railway.finish_ci(REPOSITORY, NEW, passed=False)
        await scene.live(5)

    # When its turn comes
    await scene.wake("deploy", run.id)
    scene.railway.finish_ci(REPOSITORY, NEW, passed=False)
    await scene.settle()

    # Then it is what Railway says, and the version before serves
    after = await scene.run(run.id)
    assert (after.status, after.error.code) == (Status.FAILED, Reason.DEPLOY_SKIPPED)
    assert "CI check suite failed" in after.error.message
    assert (own(scene), scene.railway.rollbacks) == ([], [])


async def test_a_command_deploys_what_railway_has_skipped_and_without_waiting(scene: Scene) -> None:
    run = await adopting(scene, waits_for_ci=True)
    scene.railway.push(REPOSITORY, "main", NEW)
    await scene.live(5)
    scene.railway.finish_ci(REPOSITORY, NEW, passed=False)
    await scene.live(5)
    asked = Trigger(source="command", actor="grace", id="1", url="https://github.test/1")
    await scene.execute(scene.new_run(Stage.DEPLOY, trigger=asked, id=run.id))
    assert own(scene) == [NEW]


async def test_beside_a_skip_a_call_whose_answer_was_lost_is_looked_for_before_another(scene: Scene) -> None:
    # Given a commit that Railway has skipped, and a command for it
    run = await adopting(scene, waits_for_ci=True)
    scene.railway.push(REPOSITORY, "main", NEW)
    await scene.live(5)
    scene.railway.finish_ci(REPOSITORY, NEW, passed=False)
    await scene.live(5)
    asked = Trigger(source="command", actor="grace", id="1", url="https://github.test/1")

    # When the answer to our call is lost
    scene.railway.app.faults.append(Fault(when="mutation Deploy", lost=True))
    await scene.execute(scene.new_run(Stage.DEPLOY, trigger=asked, id=run.id))
    await scene.wake("deploy", run.id)

    # Then its deployment has time to show before there is a second call
    assert (scene.calls(scene.railway.app, "mutation Deploy"), own(scene)) == (1, [])
    scene.pass_time(scene.services.pace.visible)
    await scene.wake("deploy", run.id)
    assert own(scene) == [NEW]


async def test_a_skip_of_which_railway_does_not_say_why_is_no_quiet_end(scene: Scene) -> None:
    run = await adopting(scene)
    await scene.save(run)
    scene.railway.plan(SERVICE, skipped=True)
    (made,) = scene.railway.push(REPOSITORY, "main", NEW)
    await scene.live(5)
    made.skipped_reason = None
    await scene.wake("deploy", run.id)
    await scene.settle()
    after = await scene.run(run.id)
    assert (after.error.code, own(scene)) == (Reason.DEPLOY_SKIPPED, [])


async def test_a_restoring_deployment_that_railway_skips_has_not_restored_anything(scene: Scene) -> None:
    bad = await scene.deployed()
    skipped = await scene.deployed(until="SKIPPED", skipped=True)
    back = Rollback(reason=Reason.UNHEALTHY, to=scene.serving(), needed=True, deployment_id=skipped.id)
    run = scene.new_run(Stage.MONITOR, deployment=bad, rollback=back)
    await scene.hold_target(run)
    after = await scene.execute(run)
    assert (after.status, after.error.code) == (Status.FAILED, Reason.DEPLOY_SKIPPED)
    assert (await scene.target()).lock is not None


async def test_a_deployment_that_was_adopted_and_skipped_is_inactive_on_github(scene: Scene) -> None:
    scene.configure(auto_deploy="adopt")
    scene.railway_service.auto_deploy = True
    scene.railway.pace = timedelta(seconds=30)
    scene.railway.plan(SERVICE, skipped=True)
    run = await merge(scene, "README.md")
    (shown,) = scene.github.deployments(REPOSITORY)
    assert says_nothing(run)
    assert [status["state"] for status in shown.statuses][-1] == "inactive"
    assert "nothing to deploy" in scene.comments()[0]


# What a hold keeps back


def kept(scene: Scene) -> tuple[HeldBack, ...]:
    """The first of the merges, as a target lists it."""
    return (HeldBack(commit_sha=scene.github.merges[0][2], run_id="r", at=scene.clock.now(), number=1),)


async def held(scene: Scene) -> None:
    hold = Hold(reason="the last one was rolled back", at=scene.clock.now(), run_id="before")
    await scene.save(Target(id=TARGET, hold=hold, verified=(scene.serving(),)))


async def test_a_merge_to_a_held_target_is_no_failure(scene: Scene) -> None:
    await held(scene)
    run = await merge(scene, "src/app.py")
    assert (run.status, run.reason, run.error) == (Status.NOT_DEPLOYED, Reason.TARGET_HELD, None)
    (told,) = scene.n8n.notifications
    assert (told["event"], told["severity"], told["reason"]) == ("held_back", "info", "target_held")
    assert str(told["text"]).startswith(
        "⏸️ held back from web/production: the target is held: the last one was rolled back"
    )
    assert "❌" not in scene.comments()[0]
    assert "`target_held`" in scene.comments()[0]


async def test_what_was_held_back_is_listed_until_it_is_live(scene: Scene) -> None:
    # Given two merges that a hold kept back
    await held(scene)
    first, second = await merge(scene, "a"), await merge(scene, "b")
    kept = [one.commit_sha for one in (await scene.target()).held_back]
    assert kept == [second.commit_sha, first.commit_sha]
    shown = (await scene.web.get("/metrics/summary")).json()["targets"][0]["held_back"]
    assert [(one["number"], one["title"]) for one in shown] == [(2, "Faster cart"), (1, "Faster cart")]

    # When the hold is lifted, the reply lists them
    await scene.happen(scene.say(1, "/unlock production"))
    assert "- #2 Faster cart" in scene.comments(1)[-1]
    assert "- #1 Faster cart" in scene.comments(1)[-1]

    # And when the newer one is deployed by command, it brings the other along
    await scene.happen(scene.say(2, "/deploy production"))
    await scene.settle()
    await scene.sweep()
    assert (await scene.target()).held_back == ()


async def test_a_newer_one_stays_listed_when_an_older_one_is_deployed(scene: Scene) -> None:
    await held(scene)
    await merge(scene, "a")
    second = await merge(scene, "b")
    await scene.happen(scene.say(1, "/deploy production"))
    await scene.settle()
    await scene.sweep()
    asked = scene.calls(scene.github.app, "/compare/")
    await scene.sweep()
    assert [one.commit_sha for one in (await scene.target()).held_back] == [second.commit_sha]
    assert scene.calls(scene.github.app, "/compare/") == asked, "once of each version that was verified"


async def test_what_was_held_back_and_went_live_all_the_same_is_not_listed(scene: Scene) -> None:
    # Given a merge that a hold kept back, and that Railway had deployed by itself and is recorded as what serves
    await held(scene)
    kept = await merge(scene, "a")
    live = replace(scene.serving(), commit_sha=kept.commit_sha, run_id=None)
    await scene.save(replace(await scene.target(), verified=(live,)))
    asked = scene.calls(scene.github.app, "/compare/")

    # When the sweep looks at it
    await scene.sweep()

    # Then it is not listed, and GitHub need not be asked whether a commit contains itself
    assert (await scene.target()).held_back == ()
    assert scene.calls(scene.github.app, "/compare/") == asked


async def test_what_github_cannot_say_is_asked_again(scene: Scene) -> None:
    await held(scene)
    await merge(scene, "a")
    await merge(scene, "b")
    await scene.happen(scene.say(2, "/deploy production"))
    await scene.settle()
    await scene.save(replace(await scene.target(), held_back=kept(scene)))
    scene.github.app.faults.append(Fault(when="/compare/", times=1, status=502))
    assert (await scene.sweep()).json()["brought"] is None
    assert (await scene.sweep()).json()["brought"] == 1


async def test_an_unlock_without_anything_held_back_lists_nothing(scene: Scene) -> None:
    scene.open_pull_request()
    await scene.happen(scene.say(1, "/unlock production"))
    assert "not deployed here yet" not in scene.comments(1)[-1]


async def test_a_merge_that_is_told_of_again_stays_not_deployed(scene: Scene) -> None:
    scene.configure(paths=MONOREPO)
    await merge(scene, *ELSEWHERE)
    await merged(scene.services, REPOSITORY, 1)
    await scene.settle()
    assert len(await scene.runs()) == 1


async def test_a_rollback_is_not_asked_what_it_touches(scene: Scene) -> None:
    scene.configure(paths=MONOREPO)
    await merge(scene, "apps/web/a")
    await scene.happen(scene.say(1, "/rollback production"))
    await scene.settle()
    run = (await scene.runs())[-1]
    assert (run.kind, run.status) == (Kind.ROLLBACK, Status.SUCCEEDED)
    assert isinstance(run.deployment, Deployment | None)
