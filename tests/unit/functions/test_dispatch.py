"""dispatch: what each event starts or wakes, who may command what, and that repeating either changes nothing."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import NEW, OLD, STAGING, TARGET, Scene

from local.world.faults import Fault
from local.world.vendors import ENVIRONMENT, REPOSITORY, SERVICE
from local.world.web import Request, Response
from shared.core.events import (
    ChecksReported,
    DeploymentChanged,
    PullRequestChanged,
    PullRequestMerged,
    PullRequestOpened,
)
from shared.core.reasons import Reason
from shared.core.run import Deployment, Kind, Lease, Run, Stage, Status
from shared.core.target import Hold, Lock, QueueEntry, Target
from shared.runs import pull_request_analysis
from shared.runtime import envelope

HEALTH = "health"


def merged(number: int, repository: str = REPOSITORY) -> PullRequestMerged:
    return PullRequestMerged(repository=repository, number=number)


def published(scene: Scene) -> list[tuple[str, str]]:
    return [message.about for message in scene.bus.published]


async def command(scene: Scene, body: str, by: str = "grace", *, number: int = 1) -> str:
    """Give the command on the pull request and return our reply to it, empty when there is none."""
    if number not in scene.github.repository(REPOSITORY).pulls:
        scene.open_pull_request()
    said = scene.say(number, body, by)
    assert (await scene.happen(said)).status_code == 200
    marker = f"signalbox:reply:{said.comment_id}"
    return next((comment for comment in scene.comments(number) if marker in comment), "")


# A merged pull request


async def test_a_merged_pull_request_starts_a_run_for_its_merge_commit(scene: Scene) -> None:
    number = scene.open_pull_request()
    sha = scene.merge(number)
    assert (await scene.happen(merged(number))).status_code == 200
    run = await scene.the_run()
    assert (run.kind, run.stage, run.status, run.commit_sha) == (Kind.DEPLOY, Stage.MERGE, Status.RUNNING, sha)
    assert (run.trigger.source, run.trigger.id, run.target) == ("merge", sha, TARGET)
    assert (run.pull_request.number, run.pull_request.title) == (number, "Faster cart")
    assert run.expire_at == scene.clock.now() + timedelta(days=90)
    assert sorted(published(scene)) == [("merge", run.id), ("notify", run.id)]


async def test_the_same_merge_again_starts_nothing_and_wakes_what_is_under_way(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.merge(number)
    await scene.happen(merged(number))
    run = await scene.the_run()
    scene.bus.take()
    await scene.happen(merged(number))
    assert await scene.the_run() == run
    assert published(scene) == [("merge", run.id)]


async def test_the_same_merge_after_its_run_has_ended_starts_nothing(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.merge(number)
    await scene.happen(merged(number))
    run = await scene.the_run()
    await scene.save(replace(run, stage=Stage.DONE, status=Status.ROLLED_BACK))
    scene.bus.take()
    await scene.happen(merged(number))
    assert (len(await scene.runs()), published(scene)) == (1, [])


async def test_two_deliveries_of_a_merge_at_once_start_one_run(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.merge(number)

    async def the_other() -> None:
        await scene.happen(merged(number))

    scene.store.incidents.before(1, the_other)
    assert (await scene.happen(merged(number))).status_code == 200
    run = await scene.the_run()
    assert published(scene).count(("merge", run.id)) == 2


async def test_a_merge_that_a_command_made_wakes_the_commands_run_and_starts_none(scene: Scene) -> None:
    assert await command(scene, "/deploy") == ""
    run = await scene.the_run()
    await scene.wake("merge", run.id)
    scene.bus.take()
    await scene.happen(merged(1))
    assert [one.id for one in await scene.runs()] == [run.id]
    assert published(scene) == [("deploy", run.id)]


async def test_a_merge_by_hand_after_a_command_that_failed_is_deployed(scene: Scene) -> None:
    scene.open_pull_request(tests="failure")
    await command(scene, "/deploy")
    failed = await scene.the_run()
    await scene.wake("merge", failed.id)
    assert (await scene.run(failed.id)).status is Status.FAILED
    scene.merge(1)
    await scene.happen(merged(1))
    assert [run.trigger.source for run in await scene.runs() if run.id != failed.id] == ["merge"]


async def test_a_merge_by_hand_of_a_newer_head_is_deployed_although_a_command_for_the_older_is_under_way(
    scene: Scene,
) -> None:
    """Found by simulation: the command's run refuses the newer head, so that nobody would deploy the merge."""
    scene.open_pull_request(tests=None)
    await command(scene, "/deploy")
    asked = await scene.the_run()
    scene.github.push(REPOSITORY, 1)
    sha = scene.merge(1)
    await scene.happen(merged(1))
    assert [run.commit_sha for run in await scene.runs() if run.id != asked.id] == [sha]


async def test_a_merge_is_deployed_although_a_rollback_was_asked_for_on_the_same_pull_request(scene: Scene) -> None:
    """The rollback knows nothing of the new commit: waking it would leave the merge undeployed for good."""
    await command(scene, "/rollback")
    back = await scene.the_run()
    sha = scene.merge(1)
    await scene.happen(merged(1))
    assert [run.commit_sha for run in await scene.runs() if run.id != back.id] == [sha]


async def test_a_webhook_that_claims_a_merge_is_not_believed(scene: Scene) -> None:
    number = scene.open_pull_request()
    assert (await scene.happen(merged(number))).status_code == 200
    assert await scene.runs() == []
    assert scene.logged("not merged after all")


async def test_a_target_that_is_not_automatic_waits_for_a_command(scene: Scene) -> None:
    scene.configure(automatic=False)
    number = scene.open_pull_request()
    scene.merge(number)
    await scene.happen(merged(number))
    assert await scene.runs() == []


async def test_each_target_of_the_base_branch_gets_a_run(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))
    number = scene.open_pull_request()
    scene.merge(number)
    await scene.happen(merged(number))
    assert {run.environment for run in await scene.runs()} == {"production", "staging"}


async def test_a_target_of_another_branch_gets_none(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="next"))
    number = scene.open_pull_request()
    scene.merge(number)
    await scene.happen(merged(number))
    assert {run.environment for run in await scene.runs()} == {"production"}


async def test_a_repository_that_was_taken_out_of_the_configuration_is_ignored(scene: Scene) -> None:
    assert (await scene.happen(merged(1, "acme/other"))).status_code == 200
    comment = scene.say(scene.open_pull_request(), "/deploy")
    assert (await scene.happen(replace(comment, repository="acme/other"))).status_code == 200
    assert scene.github.app.calls == []


# What wakes runs


async def waiting(scene: Scene, **changes: Any) -> Run:
    run = scene.new_run(Stage.MERGE, **changes)
    await scene.save(run)
    return run


async def test_a_change_of_the_pull_request_wakes_its_runs_before_their_merge(scene: Scene) -> None:
    run = await waiting(scene)
    await waiting(scene, id="elsewhere", target="acme:shop:web:staging")
    merging_no_more = replace(scene.new_run(Stage.VERIFY), id="further")
    about_another = scene.new_run(Stage.MERGE)
    assert about_another.pull_request is not None
    other = replace(about_another, id="other", pull_request=replace(about_another.pull_request, number=2))
    await scene.save(merging_no_more, other)
    await scene.happen(PullRequestChanged(repository=REPOSITORY, number=1))
    assert sorted(published(scene)) == [("merge", "elsewhere"), ("merge", run.id)]


async def test_reported_checks_wake_the_runs_of_their_commit(scene: Scene) -> None:
    run = await waiting(scene)
    await scene.happen(ChecksReported(repository=REPOSITORY, head_sha=run.pull_request.head_sha))
    await scene.happen(ChecksReported(repository=REPOSITORY, head_sha="f" * 40))
    await scene.happen(ChecksReported(repository="acme/other", head_sha=run.pull_request.head_sha))
    assert published(scene) == [("merge", run.id)]


def changed(deployment: str = "d-1", service: str = SERVICE) -> DeploymentChanged:
    return DeploymentChanged(
        environment_id=ENVIRONMENT, service_id=service, deployment_id=deployment, event="deployment.deployed"
    )


@pytest.mark.parametrize("stage", [Stage.MONITOR, Stage.VERIFY])
async def test_a_deployments_news_wake_the_run_that_watches_it(scene: Scene, stage: Stage) -> None:
    run = scene.new_run(stage, deployment=Deployment(id="d-1"))
    await scene.save(run)
    await scene.hold_target(run)
    await scene.happen(changed("d-1"))
    await scene.happen(changed("d-2"))
    assert published(scene) == [(stage, run.id)]


@pytest.mark.parametrize("stage", [Stage.DEPLOY, Stage.ROLLBACK])
async def test_any_deployments_news_wake_a_run_that_looks_for_one(scene: Scene, stage: Stage) -> None:
    run = scene.new_run(stage)
    await scene.save(run)
    await scene.hold_target(run)
    await scene.happen(changed("d-9"))
    assert published(scene) == [(stage, run.id)]


@pytest.mark.parametrize("given", ["no target", "nobody active", "a ghost", "ended", "another service"])
async def test_news_that_concern_no_run_wake_nothing(scene: Scene, given: str) -> None:
    run = scene.new_run(Stage.DEPLOY)
    if given == "nobody active":
        await scene.save(Target(id=TARGET))
    if given == "a ghost":
        await scene.save(Target(id=TARGET, active="ghost"))
    if given in ("ended", "another service"):
        await scene.save(replace(run, status=Status.FAILED) if given == "ended" else run)
        await scene.hold_target(run)
    answer = await scene.happen(changed(service="another" if given == "another service" else SERVICE))
    assert (answer.status_code, published(scene)) == (200, [])


# Commands: who, where, and whether it is one


async def test_a_command_is_seen_with_eyes_and_starts_a_run(scene: Scene) -> None:
    assert await command(scene, "/deploy") == ""
    run = await scene.the_run()
    assert [content for _, _, content in scene.github.reactions] == ["eyes"]
    assert (run.kind, run.stage, run.commit_sha, run.trigger.actor) == (Kind.DEPLOY, Stage.MERGE, None, "grace")
    assert run.trigger.url.startswith("https://github.com/acme/shop/pull/1#issuecomment-")
    assert sorted(published(scene)) == [("merge", run.id), ("notify", run.id)]


async def test_the_same_command_again_changes_nothing(scene: Scene) -> None:
    said = scene.say(scene.open_pull_request(), "/deploy")
    await scene.happen(said)
    run = await scene.the_run()
    await scene.happen(said)
    assert await scene.the_run() == run
    assert scene.comments() == []
    assert len(scene.github.reactions) == 1


async def test_a_late_repetition_of_a_command_is_no_refusal_while_another_run_is_under_way(scene: Scene) -> None:
    first = scene.say(scene.open_pull_request(), "/deploy")
    await scene.happen(first)
    run = await scene.the_run()
    await scene.save(replace(run, stage=Stage.DONE, status=Status.FAILED))
    scene.pass_time(60)
    assert await command(scene, "/deploy") == ""
    runs = await scene.runs()
    await scene.happen(first)
    assert await scene.runs() == runs
    assert scene.comments() == []


async def test_a_command_that_comes_again_after_its_run_is_not_refused_for_what_changed_since(scene: Scene) -> None:
    """Found by simulation: days later it was answered that the pull request is closed."""
    said = scene.say(scene.open_pull_request(), "/deploy")
    await scene.happen(said)
    run = await scene.the_run()
    await scene.save(replace(run, stage=Stage.DONE, status=Status.FAILED))
    scene.github.close(REPOSITORY, 1)
    await scene.happen(said)
    assert (scene.comments(), len(await scene.runs())) == ([], 1)


@pytest.mark.parametrize("who", ["mallory", "a-stranger"])
@pytest.mark.parametrize("body", ["/deploy", "/rollback", "/lock release week", "/unlock", "/deploy a b", "/help"])
async def test_without_write_access_nothing_is_carried_out_or_replied(scene: Scene, who: str, body: str) -> None:
    assert await command(scene, body, by=who) == ""

    assert [content for _, _, content in scene.github.reactions] == ["confused"]
    assert await scene.runs() == []
    assert replace(await scene.target(), heard={}) == Target(id=TARGET)
    line = scene.logged("command refused")[0]
    assert (line["code"], line["actor"]) == (Reason.NOT_AUTHORIZED, who)
    assert scene.calls(scene.github.app, "graphql") == 0


async def test_what_was_refused_stays_refused_when_its_author_may_later(scene: Scene) -> None:
    said = scene.say(scene.open_pull_request(), "/deploy", "mallory")
    await scene.happen(said)
    scene.github.repository(REPOSITORY).collaborators["mallory"] = "admin"

    await scene.happen(said)
    assert await scene.runs() == []

    # A new one counts
    await scene.happen(scene.say(1, "/deploy", "mallory"))
    assert len(await scene.runs()) == 1


async def test_a_refusal_that_could_not_be_noted_is_noted_at_the_next_attempt(scene: Scene) -> None:
    said = scene.say(scene.open_pull_request(), "/deploy", "mallory")
    scene.github.app.faults.append(Fault(when="/reactions"))

    assert (await scene.happen(said)).status_code == 503
    assert (await scene.happen(said)).status_code == 200
    assert [content for _, _, content in scene.github.reactions] == ["confused"]


@pytest.mark.parametrize(
    "forged",
    [
        {"author": "grace", "body": "/deploy"},
        {"author": "ada", "body": "/rollback"},
        {"author": "ada", "body": "/unlock", "number": 2},
    ],
)
async def test_what_an_event_says_of_a_comment_decides_nothing(scene: Scene, forged: dict[str, Any]) -> None:
    """Who knows the webhook's secret, or may publish, can make "nice weather" by one a /deploy by another."""
    number = scene.open_pull_request()
    scene.open_pull_request()
    for body, by in (("nice weather", "grace"), ("/deploy", "mallory"), ("we should /deploy this", "ada")):
        said = scene.say(number, body, by)

        await scene.happen(replace(said, **forged))

    assert (await scene.runs(), scene.comments(1), scene.comments(2)) == ([], [], [])
    assert (await scene.target()).last_command == 0


async def test_a_command_counts_as_it_was_written_and_where(scene: Scene) -> None:
    number, other = scene.open_pull_request(), scene.open_pull_request()
    said = scene.say(number, "/lock release week", "grace")

    await scene.happen(replace(said, author="mallory", body="/deploy", number=other, url="https://evil.test"))

    lock = (await scene.target()).lock
    assert (lock.by, lock.reason) == ("grace", "release week")
    assert (len(scene.comments(number)), scene.comments(other), await scene.runs()) == (1, [], [])


async def test_a_command_is_not_lost_while_its_repository_is_not_found(scene: Scene) -> None:
    said = scene.say(scene.open_pull_request(), "/deploy")
    gone = Fault(when="/comments/", times=2, status=404, body={"message": "Not Found"})
    data = {"data": {"repository": None}, "errors": [{"type": "NOT_FOUND", "message": "Could not resolve"}]}
    scene.github.app.faults += [gone, Fault(when="pullRequest(number", status=200, body=data, times=2)]

    assert (await scene.happen(said)).status_code == 503
    assert (await scene.happen(said)).status_code == 200
    assert len(await scene.runs()) == 1


async def test_a_comment_that_does_not_exist_is_no_command(scene: Scene) -> None:
    said = scene.say(scene.open_pull_request(), "/deploy")

    assert (await scene.happen(replace(said, comment_id=said.comment_id + 77))).status_code == 200
    assert (await scene.runs(), scene.comments()) == ([], [])


@pytest.mark.parametrize(("by", "replied"), [("grace", True), ("mallory", False)])
@pytest.mark.parametrize("outdated", ["edited", "old"])
async def test_an_edited_or_old_command_is_not_carried_out(scene: Scene, outdated: str, by: str, replied: bool) -> None:
    # Given a comment that says something else by now, or one that arrives two days later
    number = scene.open_pull_request()
    said = scene.say(number, "nice weather", by)
    if outdated == "edited":
        scene.pass_time(60)
        scene.github.edit_comment(REPOSITORY, said.comment_id, "/deploy", "ada")
    else:
        said = scene.say(number, "/deploy", by)
        scene.pass_time(86400 + 60)

    await scene.happen(replace(said, body="/deploy"))

    assert await scene.runs() == []
    assert [f"**`{Reason.COMMAND_OUTDATED}`**" in reply for reply in scene.comments()] == [True] * replied


# A fork, to which its author may push at any time


def forked(scene: Scene) -> tuple[int, str]:
    number = scene.open_pull_request()
    scene.github.pull(REPOSITORY, number).from_fork = True
    return number, scene.github.pull(REPOSITORY, number).head_sha


async def test_on_a_fork_deploy_is_answered_with_the_head_to_confirm(scene: Scene) -> None:
    number, head = forked(scene)

    await scene.happen(scene.say(number, "/deploy"))

    [reply] = scene.comments()
    assert f"**`{Reason.HEAD_UNCONFIRMED}`**" in reply
    assert f"`/deploy web/production {head}`" in reply
    assert await scene.runs() == []

    # When that is repeated, it is deployed
    await scene.happen(scene.say(number, f"/deploy web/production {head}"))
    assert (await scene.the_run()).pull_request.head_sha == head


@pytest.mark.parametrize("named", ["{head:.7}", "{head:.39}", "{other}", "`{other}`"])
async def test_on_a_fork_no_other_head_is_deployed(scene: Scene, named: str) -> None:
    number, head = forked(scene)

    await scene.happen(scene.say(number, "/deploy " + named.format(head=head, other="0" * 40)))

    [reply] = scene.comments()
    assert head in reply
    assert await scene.runs() == []


async def test_what_is_pushed_to_a_fork_after_it_was_confirmed_is_not_merged(scene: Scene) -> None:
    # Given an outage, in which the command waits
    number, head = forked(scene)
    said = scene.say(number, f"/deploy {head}")
    scene.github.app.faults.append(Fault(when="/permission", times=1))
    assert (await scene.happen(said)).status_code == 503

    # When the author pushes, before it is over or after
    await scene.happen(said)
    run = await scene.the_run()
    scene.github.push(REPOSITORY, number)
    await scene.settle()

    run = await scene.run(run.id)
    assert (run.status, run.error.code) == (Status.FAILED, Reason.HEAD_MOVED)
    assert not scene.github.pull(REPOSITORY, number).merged


@pytest.mark.parametrize(("digits", "starts"), [(7, True), (40, True)])
async def test_on_a_branch_of_the_repository_a_head_may_be_named(scene: Scene, digits: int, starts: bool) -> None:
    number = scene.open_pull_request()
    head = scene.github.pull(REPOSITORY, number).head_sha

    await scene.happen(scene.say(number, f"/deploy production {head[:digits].upper()}"))
    assert len(await scene.runs()) == starts

    await scene.happen(scene.say(number, "/deploy 0000000"))
    assert len(await scene.runs()) == starts
    assert f"**`{Reason.HEAD_MOVED}`**" in scene.comments()[-1]


async def test_a_command_that_comes_twice_at_once_has_one_reply(scene: Scene) -> None:
    # Given a command that comes once more when the reply to it, which was not there yet, is about to be written
    scene.open_pull_request()
    said = scene.say(1, "/deploy a b")
    github, meanwhile = scene.github.app.handler, []

    async def comes_again(request: Request) -> Response:
        if (request.method, request.path[-9:], meanwhile) == ("POST", "/comments", []):
            meanwhile.append("comes again")
            meanwhile.append((await scene.happen(said)).status_code)
        return await github(request)

    scene.github.app.handler = comes_again

    # Then the second has to wait, and finds the reply afterwards
    assert (await scene.happen(said)).status_code == 200
    assert meanwhile == ["comes again", 503]
    [line] = scene.logged("again later")
    assert line["severity"] == "WARNING"  # nothing that anybody has to mend
    assert (await scene.happen(said)).status_code == 200
    assert len([comment for comment in scene.comments() if f"reply:{said.comment_id}" in comment]) == 1


async def test_an_answer_that_was_broken_off_is_given_by_another_once_its_lease_is_over(scene: Scene) -> None:
    # Given one who died when it had just begun to answer
    scene.open_pull_request()
    said = scene.say(1, "/deploy a b")
    lease = Lease("the dead", scene.clock.now() + timedelta(seconds=scene.services.pace.lease))
    await scene.save(Target(id=TARGET, answering={str(said.comment_id): lease}))

    # Then the command waits for as long as it could still be alive
    assert (await scene.happen(said)).status_code == 503
    scene.pass_time(scene.services.pace.lease + 1)
    assert (await scene.happen(said)).status_code == 200
    assert "command_invalid" in scene.comments()[-1]


async def test_an_answer_that_failed_is_given_at_the_next_attempt(scene: Scene) -> None:
    scene.open_pull_request()
    said = scene.say(1, "/deploy a b")
    scene.github.app.faults.append(Fault(when="/permission"))

    assert (await scene.happen(said)).status_code == 503
    assert (await scene.happen(said)).status_code == 200
    assert "command_invalid" in scene.comments()[-1]


async def test_a_refusal_is_given_once_however_often_the_command_comes(scene: Scene) -> None:
    said = scene.say(scene.open_pull_request(), "/deploy a b")
    for _ in range(3):
        await scene.happen(said)
    assert len(scene.comments()) == 1


@pytest.mark.parametrize(
    "body",
    [
        "/deploy a b",
        "/rollback to xyz",
        "/lock",
        "/unlock a b",
        "/deploy --force",
        "/promote production",
        "/retry a b",
        "/resume a b",
        "/status a b",
    ],
)
async def test_a_command_that_cannot_be_read_is_answered_with_its_usage(scene: Scene, body: str) -> None:
    reply = await command(scene, body)
    assert f"**`{Reason.COMMAND_INVALID}`**" in reply
    assert f"Usage: `{body.split(maxsplit=1)[0]}" in reply
    assert await scene.runs() == []


async def test_an_unknown_target_is_answered_with_those_there_are(scene: Scene) -> None:
    for body in ("/deploy nowhere", "/rollback nowhere", "/unlock nowhere"):
        reply = await command(scene, body)
        assert f"**`{Reason.TARGET_AMBIGUOUS}`**" in reply
        assert "`web/production`" in reply
    assert await scene.runs() == []


async def test_of_several_targets_production_is_meant_unless_another_is_named(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))
    await command(scene, "/deploy")
    await command(scene, "/deploy staging")
    assert {run.environment for run in await scene.runs()} == {"production", "staging"}


async def test_where_nothing_tells_two_targets_apart_neither_is_taken(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))
    reply = await command(scene, "/deploy web")
    assert f"**`{Reason.TARGET_AMBIGUOUS}`**" in reply
    reply = await command(scene, "/lock web friday")
    assert (await scene.runs(), "locked" in reply) == ([], False)


# /deploy


async def test_a_second_deploy_while_one_is_under_way_is_refused(scene: Scene) -> None:
    await command(scene, "/deploy")
    run = await scene.the_run()
    reply = await command(scene, "/deploy")
    assert f"**`{Reason.ALREADY_RUNNING}`** `{run.id}`" in reply
    assert len(await scene.runs()) == 1


async def test_a_pull_request_closed_without_a_merge_is_not_deployed(scene: Scene) -> None:
    scene.github.close(REPOSITORY, scene.open_pull_request())
    assert f"**`{Reason.PULL_REQUEST_CLOSED}`**" in await command(scene, "/deploy")
    assert await scene.runs() == []


async def test_a_merged_pull_request_may_be_deployed_again_by_force(scene: Scene) -> None:
    number = scene.open_pull_request()
    sha = scene.merge(number)
    await command(scene, "/deploy --force the database is back")
    run = await scene.the_run()
    assert (run.commit_sha, run.trigger.force) == (sha, "the database is back")


async def test_a_pull_request_into_another_branch_is_not_for_this_target(scene: Scene) -> None:
    scene.github.repository(REPOSITORY).branches["next"] = OLD
    scene.github.open_pull_request(REPOSITORY, title="Later", author="grace", base="next")
    for body in ("/deploy", "/deploy production"):
        reply = await command(scene, body)
        assert f"**`{Reason.BRANCH_NOT_DEPLOYED}`**" in reply
        assert "from `main`: `web/production`" in reply


# What GitHub does not know, or does not show


@pytest.mark.parametrize("kind", [PullRequestMerged, PullRequestChanged])
async def test_a_pull_request_that_github_does_not_know_is_a_warning_and_done(scene: Scene, kind: Any) -> None:
    scene.configure(deploy_label="ship it")
    event = PullRequestMerged(repository=REPOSITORY, number=99)
    if kind is PullRequestChanged:
        event = PullRequestChanged(repository=REPOSITORY, number=99)
    assert (await scene.happen(event)).status_code == 200
    (line,) = scene.logged("an event about a pull request that GitHub does not know")
    assert line["severity"] == "WARNING"
    assert [one for one in scene.logged() if one["severity"] == "ERROR"] == []


async def test_a_pull_request_that_is_younger_than_githubs_servers_is_asked_for_again(scene: Scene) -> None:
    event = PullRequestMerged(repository=REPOSITORY, number=1)
    early = await scene.push("dispatch", envelope.encode_event(event), published_at=scene.clock.now())
    scene.merge(scene.open_pull_request())
    later = await scene.push("dispatch", envelope.encode_event(event), published_at=scene.clock.now())
    assert (early.status_code, later.status_code, len(await scene.runs())) == (503, 200, 1)


async def test_a_repository_that_github_does_not_show_is_asked_for_again(scene: Scene) -> None:
    scene.merge(scene.open_pull_request())
    del scene.github.repositories[REPOSITORY.lower()]
    assert (await scene.happen(merged(1))).status_code == 503


@pytest.mark.parametrize("hides", ["nodes", "edges", "errors"])
async def test_a_null_in_any_list_drops_no_merge(scene: Scene, hides: str) -> None:
    scene.merge(scene.open_pull_request())
    scene.github.app.faults.append(Fault(when="/graphql", hides=hides, times=9))
    assert (await scene.happen(merged(1))).status_code == 200
    assert len(await scene.runs()) == 1


async def test_a_merge_whose_commit_is_not_named_yet_is_asked_about_again(scene: Scene) -> None:
    scene.merge(scene.open_pull_request())
    pull = scene.github.pull(REPOSITORY, 1)
    shown = {"data": {"repository": {"pullRequest": without_its_commit(pull.head_sha)}}}
    scene.github.app.faults.append(Fault(when="/graphql", status=200, body=shown))
    assert (await scene.happen(merged(1))).status_code == 503
    assert (await scene.happen(merged(1))).status_code == 200
    assert len(await scene.runs()) == 1


def without_its_commit(head: str) -> dict[str, Any]:
    return {
        "number": 1,
        "title": "Faster cart",
        "url": "https://github.com/acme/shop/pull/1",
        "state": "MERGED",
        "isDraft": False,
        "merged": True,
        "headRefOid": head,
        "baseRefName": "main",
        "mergeable": "UNKNOWN",
        "mergeStateStatus": "UNKNOWN",
        "isCrossRepository": False,
        "mergeCommit": None,
        "commits": {"nodes": []},
    }


# A locked conversation


@pytest.mark.parametrize("why", ["locked", "down"])
async def test_a_command_is_carried_out_without_its_reaction(scene: Scene, why: str) -> None:
    scene.open_pull_request()
    if why == "locked":
        scene.github.lock_conversation(REPOSITORY, 1)
    else:
        scene.github.app.faults.append(Fault(when="/reactions", times=1))
    assert await command(scene, "/rollback") == ""
    assert (await scene.the_run()).kind is Kind.ROLLBACK


async def test_a_lock_without_a_reply_is_a_lock(scene: Scene) -> None:
    scene.open_pull_request()
    scene.github.lock_conversation(REPOSITORY, 1)
    assert await command(scene, "/lock stocktaking") == ""
    target = await scene.target()
    assert (target.lock is not None and target.lock.reason) == "stocktaking"


async def test_a_refusal_that_cannot_be_written_is_done(scene: Scene) -> None:
    scene.open_pull_request()
    scene.github.lock_conversation(REPOSITORY, 1)
    assert await command(scene, "/deploy nowhere") == ""
    assert await scene.runs() == []


# /rollback


async def test_a_rollback_starts_a_run_at_the_rollback(scene: Scene) -> None:
    await command(scene, f"/rollback production to {OLD[:10]}")
    run = await scene.the_run()
    assert (run.kind, run.stage, run.commit_sha) == (Kind.ROLLBACK, Stage.ROLLBACK, None)
    assert (run.rollback.reason, run.rollback.to_commit) == (Reason.ROLLED_BACK_BY_COMMAND, OLD[:10])
    assert sorted(published(scene)) == [("notify", run.id), ("rollback", run.id)]


async def test_a_second_rollback_waits_for_the_first(scene: Scene) -> None:
    assert await command(scene, "/rollback") == ""
    assert f"**`{Reason.ALREADY_RUNNING}`**" in await command(scene, "/rollback")
    assert len(await scene.runs()) == 1


async def test_a_command_whose_comment_was_deleted_is_forgotten(scene: Scene) -> None:
    scene.github.app.faults.append(Fault(when="/reactions", times=2, status=404, body={"message": "Not Found"}))
    assert await command(scene, "/deploy") == ""
    assert await scene.runs() == []


async def test_one_404_for_a_comment_does_not_lose_its_command(scene: Scene) -> None:
    scene.github.app.faults.append(Fault(when="/reactions", status=404, body={"message": "Not Found"}))
    await command(scene, "/deploy")
    assert len(await scene.runs()) == 1


async def test_a_rollback_is_possible_while_a_deployment_is_under_way(scene: Scene) -> None:
    await command(scene, "/deploy")
    assert await command(scene, "/rollback") == ""
    assert {run.kind for run in await scene.runs()} == {Kind.DEPLOY, Kind.ROLLBACK}


# /lock and /unlock


async def test_a_lock_keeps_its_reason_and_says_so(scene: Scene) -> None:
    reply = await command(scene, "/lock production release week", "ada")
    target = await scene.target()
    assert target.lock == Lock(by="ada", reason="release week", at=scene.clock.now())
    assert "release week" in reply
    assert "web/production" in reply


async def test_a_lock_leaves_the_rest_of_the_target_alone(scene: Scene) -> None:
    await scene.save(Target(id=TARGET, active="somebody", verified=(scene.serving(),)))
    await command(scene, "/lock friday")
    target = await scene.target()
    assert (target.active, len(target.verified), target.lock is not None) == ("somebody", 1, True)


async def test_unlocking_lifts_lock_and_hold_and_calls_the_next_run(scene: Scene) -> None:
    now = scene.clock.now()
    lock, hold = Lock(by="ada", reason="x", at=now), Hold(reason="y", at=now, run_id="z")
    await scene.save(Target(id=TARGET, lock=lock, hold=hold, queue=(QueueEntry("next", Stage.MERGE),)))
    reply = await command(scene, "/unlock")
    target = await scene.target()
    assert (target.lock, target.hold, target.active, target.queue) == (None, None, "next", ())
    assert published(scene) == [("merge", "next")]
    assert "is unlocked" in reply


async def test_unlocking_a_busy_target_calls_nobody(scene: Scene) -> None:
    queue = (QueueEntry("next", Stage.MERGE),)
    lock = Lock(by="ada", reason="x", at=scene.clock.now())
    await scene.save(Target(id=TARGET, active="somebody", lock=lock, queue=queue))
    await command(scene, "/unlock")
    assert ((await scene.target()).active, published(scene)) == ("somebody", [])


async def test_unlocking_what_was_never_locked_is_harmless(scene: Scene) -> None:
    assert "is unlocked" in await command(scene, "/unlock production")


# Again later


@pytest.mark.parametrize("data", [b"{", b'{"type": "unheard_of"}', b'{"type": "pull_request_merged"}'])
async def test_an_unusable_event_goes_the_way_of_dead_letters(scene: Scene, data: bytes) -> None:
    assert (await scene.push("dispatch", data)).status_code == 400
    assert len(scene.logged("unusable event")) == 1


@pytest.mark.parametrize(
    "fault",
    [Fault(), Fault(status=403, body={"message": "Resource not accessible"}), Fault(lost=True), Fault(status=429)],
)
async def test_what_github_does_not_answer_or_grant_now_comes_again(scene: Scene, fault: Fault) -> None:
    number = scene.open_pull_request()
    scene.merge(number)
    scene.github.app.faults.append(Fault(**{name: getattr(fault, name) for name in fault.__struct_fields__}))
    assert (await scene.happen(merged(number))).status_code == 503
    assert await scene.runs() == []
    assert (await scene.happen(merged(number))).status_code == 200
    assert len(await scene.runs()) == 1


async def test_a_missing_key_or_a_store_that_is_down_loses_no_event(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.merge(number)
    key = scene.secrets.pop("GITHUB_APP_PRIVATE_KEY")
    assert (await scene.happen(merged(number))).status_code == 503
    scene.secrets["GITHUB_APP_PRIVATE_KEY"] = key
    scene.store.down = True
    assert (await scene.happen(merged(number))).status_code == 503
    scene.store.down = False
    assert (await scene.happen(merged(number))).status_code == 200


async def test_a_run_that_could_not_be_announced_is_found_by_the_sweep(scene: Scene) -> None:
    number = scene.open_pull_request()
    scene.merge(number)
    scene.bus.down = True
    assert (await scene.happen(merged(number))).status_code == 200
    scene.bus.down = False
    await scene.sweep(after=scene.services.pace.unclaimed)
    run = await scene.the_run()
    assert ("merge", run.id) in published(scene)
    assert run.commit_sha != NEW


# A pull request that is to be analysed


def opened(number: int) -> PullRequestOpened:
    return PullRequestOpened(repository=REPOSITORY, number=number)


def touched(number: int) -> PullRequestChanged:
    return PullRequestChanged(repository=REPOSITORY, number=number)


def head(scene: Scene, number: int) -> str:
    return scene.github.pull(REPOSITORY, number).head_sha


async def test_a_pull_request_is_analysed_once_for_each_head(scene: Scene) -> None:
    scene.use_workflow(pull_request_analysis="review")
    number = scene.open_pull_request()
    first = head(scene, number)
    for event in (opened(number), opened(number), touched(number)):
        assert (await scene.happen(event)).status_code == 200
    assert (await scene.target()).owed == (f"pull_request@{number}-{first}:analysis",)
    assert set(published(scene)) == {("notify", TARGET)}
    await scene.settle()

    scene.github.push(REPOSITORY, number)
    await scene.happen(touched(number))
    await scene.settle()
    await scene.happen(touched(number))

    assert (await scene.target()).owed == ()
    asked = [payload["pull_request"] for payload in scene.n8n.asked]
    assert asked == [{"number": number, "head_sha": first}, {"number": number, "head_sha": head(scene, number)}]


async def test_a_draft_and_one_that_is_closed_are_not_analysed(scene: Scene) -> None:
    scene.use_workflow(pull_request_analysis="review")
    draft, closed, merged_ = (scene.open_pull_request() for _ in range(3))
    scene.github.pull(REPOSITORY, draft).draft = True
    scene.github.close(REPOSITORY, closed)
    scene.merge(merged_)
    for number in (draft, closed, merged_):
        await scene.happen(opened(number))
        await scene.happen(touched(number))
    assert (await scene.target()).owed == ()

    scene.github.pull(REPOSITORY, draft).draft = False
    await scene.happen(touched(draft))
    assert len((await scene.target()).owed) == 1


async def test_heads_of_forks_are_analysed_at_a_bounded_rate(scene: Scene) -> None:
    # Given somebody who pushes to a fork again and again
    scene.use_workflow(pull_request_analysis="review")
    fork = scene.github.open_pull_request(REPOSITORY, title="Free money", author="mallory", from_fork=True)
    for _ in range(41):
        scene.github.push(REPOSITORY, fork)
        assert (await scene.happen(touched(fork))).status_code == 200
        assert (await scene.happen(touched(fork))).status_code == 200
    await scene.settle()

    # Then ten heads of the day are analysed
    assert len(scene.n8n.asked) == pull_request_analysis.FORKS_A_DAY
    assert scene.logged("too many heads of forks today")

    # And those of the repository's own branches all the same
    own = scene.open_pull_request()
    await scene.happen(opened(own))
    await scene.settle()
    assert scene.n8n.asked[-1]["pull_request"]["number"] == own

    # And the next day forks' again
    scene.pass_time(86400)
    scene.github.push(REPOSITORY, fork)
    await scene.happen(touched(fork))
    await scene.settle()
    assert scene.n8n.asked[-1]["pull_request"] == {"number": fork, "head_sha": head(scene, fork)}


async def test_without_a_workflow_for_it_a_new_pull_request_is_not_even_looked_at(scene: Scene) -> None:
    number = scene.open_pull_request()
    calls = len(scene.github.app.calls)
    for event in (opened(number), touched(number)):
        assert (await scene.happen(event)).status_code == 200
    assert len(scene.github.app.calls) == calls
    assert published(scene) == []


async def test_githubs_outage_brings_the_new_pull_request_again(scene: Scene) -> None:
    scene.use_workflow(pull_request_analysis="review")
    number = scene.open_pull_request()
    scene.github.app.faults.append(Fault(status=502))
    assert (await scene.happen(opened(number))).status_code == 503
    assert (await scene.happen(opened(number))).status_code == 200
    assert len((await scene.target()).owed) == 1
