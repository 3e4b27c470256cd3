"""sweep: another version serves than the one that was verified last. Recorded, told once, shown, and left alone."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import DOMAIN, ENVIRONMENT, NEW, OLD, OTHER, SERVICE, STAGING, TARGET, Scene

from functions.sweep.drift import EVERY
from local.world.faults import Fault
from local.world.railway.deployment import CustomDomain
from shared.core.target import Serving, Target
from shared.runtime.update import amend

ASKED = "Service("


async def recorded(scene: Scene, **changes: Any) -> None:
    """What serves is the version that was verified last, a minute ago."""
    target = Target(id=TARGET, verified=(scene.serving(),), address=f"https://{DOMAIN}")
    await scene.save(replace(target, **changes))
    scene.pass_time(60)


async def by_hand(scene: Scene, commit: str = OTHER) -> str:
    """Somebody deploys from Railway's dashboard, and it serves."""
    deployment = scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, commit)
    while deployment.status != "SUCCESS":
        await scene.live(5)
    return deployment.id


async def look(scene: Scene) -> Serving:
    """The next look, as late as it may be; what is owed after it is told."""
    await scene.sweep(after=EVERY.total_seconds())
    await scene.settle()
    return (await scene.target()).serving


async def test_nothing_drifts_while_the_recorded_version_serves(scene: Scene) -> None:
    await recorded(scene)
    assert (await scene.sweep()).json()["compared"] == 1
    serving = (await scene.target()).serving
    assert serving == Serving(
        looked_at=scene.clock.now(), deployment_id=scene.serving().deployment_id, commit_sha=OLD, drifting_since=None
    )
    assert (await scene.target()).owed == ()


async def test_health_is_looked_at_where_the_service_answers_now(scene: Scene) -> None:
    # Given a version that was verified at a domain which is moved to another host since
    await recorded(scene, address="https://www.shop.example")
    scene.railway_service.custom_domains.append(CustomDomain(domain="www.shop.example", elsewhere=OTHER))

    # When Railway is asked what serves
    await look(scene)

    # Then it is Railway's own domain that is looked at from now on
    assert (await scene.target()).address == f"https://{DOMAIN}"


async def test_each_look_is_one_request_and_ten_minutes_apart(scene: Scene) -> None:
    await recorded(scene)
    await scene.sweep()
    calls = len(scene.railway.app.calls)
    assert calls == 1
    for _ in range(9):
        await scene.sweep(after=60)
    assert len(scene.railway.app.calls) == calls
    await scene.sweep(after=60)
    assert len(scene.railway.app.calls) == calls + 1


async def test_somebody_elses_version_is_notified_once_and_left_alone(scene: Scene) -> None:
    await recorded(scene)
    await scene.sweep()
    id = await by_hand(scene)
    since = (await look(scene)).drifting_since
    assert since is not None
    for _ in range(3):
        await look(scene)
    serving = (await scene.target()).serving
    assert (serving.deployment_id, serving.commit_sha, serving.drifting_since) == (id, OTHER, since)
    (told,) = scene.n8n.notifications
    assert (told["event"], told["severity"], told["commit_sha"]) == ("drifted", "warning", OTHER)
    assert f"deployment {id[:8]} of {OTHER[:7]} is live, and {OLD[:7]} was verified last" in told["text"]
    assert "`/rollback`" in told["text"]
    assert scene.railway.serving(SERVICE, ENVIRONMENT).id == id


async def test_its_end_is_told_and_the_next_one_again(scene: Scene) -> None:
    await recorded(scene)
    for commit in (OTHER, OLD, OTHER):
        await by_hand(scene, commit)
        await look(scene)
    assert scene.told() == ["drifted", "drift_ended", "drifted"]
    assert len({told["key"] for told in scene.n8n.notifications}) == 3


async def test_another_strange_version_is_news_and_keeps_since_when(scene: Scene) -> None:
    await recorded(scene)
    await by_hand(scene, OTHER)
    since = (await look(scene)).drifting_since
    await by_hand(scene, NEW)
    assert (await look(scene)).drifting_since == since
    assert scene.told() == ["drifted", "drifted"]
    await by_hand(scene, NEW)
    await look(scene)
    assert scene.told() == ["drifted", "drifted"]


async def test_railways_own_redeployment_is_the_same_version(scene: Scene) -> None:
    await recorded(scene)
    scene.railway.redeploy(scene.serving().deployment_id, use_previous_image=True)
    for _ in range(4):
        await scene.live(5)
    serving = await look(scene)
    assert serving.deployment_id != scene.serving().deployment_id
    assert (serving.commit_sha, serving.drifting_since, scene.told()) == (OLD, None, [])


@pytest.mark.parametrize(("status", "drifts"), [("REMOVED", True), ("CRASHED", True), ("SLEEPING", False)])
async def test_nothing_serving_is_drift_and_sleeping_is_serving(scene: Scene, status: str, drifts: bool) -> None:
    await recorded(scene, address=None)
    scene.railway.serving(SERVICE, ENVIRONMENT).status = status
    serving = await look(scene)
    assert (serving.drifting_since is not None) is drifts
    assert (serving.deployment_id is None) is drifts
    assert scene.told() == ["drifted"] * drifts
    assert all("nothing is live, and" in told["text"] for told in scene.n8n.notifications)


async def test_what_is_on_its_way_is_waited_for(scene: Scene) -> None:
    await recorded(scene, address=None)
    scene.railway.serving(SERVICE, ENVIRONMENT).status = "REMOVED"
    scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, OLD)
    await scene.sweep()
    assert (await scene.target()).serving == Serving(looked_at=scene.clock.now())
    for _ in range(4):
        await scene.live(5)
    assert (await look(scene)).drifting_since is None


async def test_what_waits_for_an_approval_is_not_waited_for(scene: Scene) -> None:
    await recorded(scene, address=None)
    scene.railway.serving(SERVICE, ENVIRONMENT).status = "REMOVED"
    scene.railway.plan(SERVICE, needs_approval=True)
    scene.railway.dashboard_deploy(SERVICE, ENVIRONMENT, OTHER)
    await scene.live(5)
    assert (await look(scene)).drifting_since is not None


async def test_a_version_that_a_run_verifies_ends_it_at_the_next_sweep(scene: Scene) -> None:
    await recorded(scene)
    await by_hand(scene)
    await look(scene)
    await scene.ship()
    assert (await scene.target()).serving.drifting_since is not None
    await scene.sweep(after=60)
    assert (await scene.target()).serving.drifting_since is None
    await scene.settle()
    assert scene.told() == ["drifted", "succeeded", "drift_ended"]


@pytest.mark.parametrize("given", ["unknown", "under deployment", "never verified"])
async def test_what_has_no_version_or_is_being_deployed_is_not_looked_at(scene: Scene, given: str) -> None:
    if given == "under deployment":
        await recorded(scene, active="a-run")
    if given == "never verified":
        await recorded(scene, verified=())
    assert (await scene.sweep()).json()["compared"] == 0
    assert scene.railway.app.calls == []


async def test_a_run_that_takes_the_target_during_the_look_is_left_to_it(scene: Scene) -> None:
    await recorded(scene, address=None)
    await by_hand(scene)

    async def taken() -> None:
        await amend(scene.store.real, Target, TARGET, lambda one: replace(one, active="another"))

    scene.store.incidents.before(2, taken)  # after the part that finds missed merges has noted that it sees the target
    await scene.sweep()
    assert scene.store.incidents.happened
    assert (await scene.target()).serving == Serving()


async def test_two_sweeps_at_once_tell_once(scene: Scene) -> None:
    await recorded(scene)
    await by_hand(scene)
    await scene.sweep()
    first = (await scene.target()).serving
    await scene.sweep()
    assert (await scene.target()).serving == first
    await scene.settle()
    assert scene.told() == ["drifted"]


async def test_a_project_token_is_enough(scene: Scene) -> None:
    scene.railway.token_kind = "project"
    scene.configure(more='[railway]\ntoken = "project"')
    await recorded(scene)
    assert (await scene.sweep()).json()["compared"] == 1


async def test_each_environment_is_asked_about_with_its_own_token(scene: Scene) -> None:
    # Given two environments, each with a token that opens it alone
    staging = STAGING.format(branch="main") + 'railway_token_secret = "RAILWAY-STAGING"'
    scene.use_project_token()
    scene.hold_project_token("RAILWAY-STAGING", "environment-staging")
    scene.configure(more=staging)
    scene.railway.add_service(
        **{name: getattr(scene.railway_service, name) for name in ("project_id", "service_id", "repository", "name")},
        environment_id="environment-staging",
        serving_commit=OLD,
    )
    await recorded(scene)
    await scene.save(Target(id=scene.services.config.targets[1].id, verified=(scene.serving(),)))

    # When the sweep looks at both
    compared = (await scene.sweep()).json()["compared"]

    # Then it used each one's own
    assert (compared, scene.railway.trespasses) == (2, [])


async def test_an_environment_whose_token_is_missing_keeps_no_other_from_being_looked_at(scene: Scene) -> None:
    # Given environments of which all but production's have a secret without a value
    scene.use_project_token()
    names = [f"staging-{number}" for number in range(6)]
    scene.configure(
        more="\n".join(
            STAGING.format(branch="main").replace("staging", name) + f'railway_token_secret = "RAILWAY-{name}"'
            for name in names
        )
    )
    await recorded(scene)
    for place in scene.services.config.targets[1:]:
        await scene.save(Target(id=place.id, verified=(scene.serving(),)))

    # When the sweep looks at them, in whatever order
    answer = await scene.sweep()

    # Then production was asked about, and the sweep says that it could not do all
    assert answer.json()["compared"] is None
    assert (await scene.target()).serving.looked_at == scene.clock.now()
    assert len(scene.logged("no token to ask Railway with")) == len(names)


async def two_places(scene: Scene) -> None:
    """Of the second, Railway knows nothing."""
    scene.configure(more=STAGING.format(branch="main"))
    staging = scene.services.config.targets[1].id
    await recorded(scene)
    await scene.save(Target(id=staging, verified=(scene.serving(),)))


async def test_one_that_railway_does_not_know_keeps_no_other_from_being_looked_at(scene: Scene) -> None:
    await two_places(scene)
    assert (await scene.sweep()).json()["compared"] == 1
    assert scene.logged("Railway refuses to say which version is live")
    calls = len(scene.railway.app.calls)
    await scene.sweep(after=60)
    assert len(scene.railway.app.calls) == calls


async def test_railways_outage_is_nobodys_drift_and_is_over_at_the_next_sweep(scene: Scene) -> None:
    await recorded(scene)
    scene.railway.app.faults.append(Fault(times=1))
    answer = (await scene.sweep()).json()
    assert (answer["compared"], answer["probed"]) == (0, 1)
    assert (await scene.target()).serving == Serving()
    assert (await scene.sweep(after=60)).json()["compared"] == 1


async def test_a_limit_is_respected_at_the_first_refusal(scene: Scene) -> None:
    await two_places(scene)
    scene.railway.app.faults.append(Fault(status=429, times=9))
    answer = await scene.sweep()
    assert (answer.status_code, answer.json()["compared"], answer.json()["probed"]) == (200, None, 1)
    assert len(scene.railway.app.calls) == 1


async def test_without_a_token_the_other_parts_do_their_work(scene: Scene) -> None:
    await recorded(scene)
    del scene.secrets["RAILWAY_API"]
    answer = await scene.sweep()
    assert (answer.status_code, answer.json()["compared"], answer.json()["probed"]) == (200, None, 1)


async def test_without_commits_the_deployment_decides(scene: Scene) -> None:
    nameless = replace(scene.serving(), commit_sha="")
    await recorded(scene, verified=(nameless,))
    assert (await look(scene)).drifting_since is None
    await by_hand(scene)
    assert (await look(scene)).drifting_since is not None


async def test_it_is_shown(scene: Scene) -> None:
    await recorded(scene)
    id = await by_hand(scene)
    serving = await look(scene)
    (shown,) = (await scene.web.get("/metrics/summary")).json()["targets"]
    assert (shown["serving"]["deployment_id"], shown["serving"]["commit_sha"]) == (id, OTHER)
    assert serving.drifting_since is not None
    assert shown["serving"]["drifting_since"].startswith(f"{serving.drifting_since:%Y-%m-%dT%H:%M}")
    assert serving.looked_at is not None
    assert serving.looked_at - serving.drifting_since < timedelta(minutes=1)


async def test_of_a_rollback_that_failed_people_are_notified_once(scene: Scene) -> None:
    # given a bad version that Railway refuses to roll back
    scene.railway.plan(SERVICE, health="failing")
    scene.railway.refuse_rollback = True
    await scene.sweep()
    scene.merge(scene.open_pull_request())
    await scene.github.tick()
    await scene.settle()

    # when the sweep compares what serves with what was verified
    serving = await look(scene)

    # then the drift is recorded, and the critical message is the one about it
    assert serving.drifting_since is not None
    assert [event for event in scene.told() if event in ("rollback_failed", "drifted")] == ["rollback_failed"]
    (told,) = [sent for sent in scene.n8n.notifications if sent["event"] == "rollback_failed"]
    assert str(told["text"]).count("rollback_refused") == 1

    # and what somebody deploys after that is told
    await by_hand(scene)
    await look(scene)
    assert "drifted" in scene.told()
