"""sweep: webhooks that do not arrive are an alarm where GitHub shows that there was something to tell."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace
from unit.functions.scene import STAGING, START, TARGET, Scene

from functions.sweep.webhook_silence import judge
from shared.clients.github.activity import Activity, Merge
from shared.clients.github.registration import Attempt
from shared.core.run import Status
from shared.core.target import Deaf
from shared.errors import TransientError

HERE, ELSEWHERE = 1, 2
ABSENT = """
[repositories."aaa/absent".services.web]
project_id = "project-absent"
service_id = "service-absent"

[repositories."aaa/absent".services.web.environments.production]
environment_id = "environment-absent"
"""
"""A repository that comes before the scene's own, and of which the App knows nothing."""
NOW = START + timedelta(hours=8)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def attempt(minutes: float, status: str = "OK", repository: int | None = HERE) -> Attempt:
    return Attempt(int(1e6 - minutes), f"guid-{minutes}", "push", ago(minutes), status, repository)


def merged(minutes: float) -> Activity:
    return Activity(HERE, (Merge(1, "main", ago(minutes)),), None)


QUIET = Activity(HERE, (), None)
REFUSED = "Invalid HTTP Response: 401"


def judged(
    activity: Activity, *attempts: Attempt, before: Deaf | None = None, watched_since: datetime = START
) -> Deaf | None:
    return judge(before, activity, attempts, watched_since, NOW)


def test_a_merge_of_which_nothing_was_sent_is_an_alarm_after_ten_minutes() -> None:
    assert judged(merged(9.9)) is None
    found = judged(merged(10))
    assert found.since == ago(10)
    assert "GitHub has sent nothing since" in found.reason


def test_so_is_a_pull_request_that_was_opened() -> None:
    assert judged(Activity(HERE, (), ago(15))) is not None


@pytest.mark.parametrize("status", ["OK", REFUSED])
@pytest.mark.parametrize("minutes", [11, 10, 5])
def test_what_was_sent_about_that_time_was_sent(minutes: float, status: str) -> None:
    assert judged(merged(10), attempt(minutes, status)) is None


def test_so_it_is_where_something_happens_all_the_time() -> None:
    busy = Activity(HERE, tuple(Merge(number, "main", ago(5 * number)) for number in range(50)), ago(1))
    found = judged(busy)
    assert found.since == ago(10)
    assert judged(busy, attempt(2)) is None


def test_what_was_sent_before_it_or_about_another_repository_was_not_about_it() -> None:
    assert judged(merged(10), attempt(5, repository=ELSEWHERE), attempt(12)) is not None


def test_a_delivery_that_names_no_repository_may_have_been_about_it() -> None:
    assert judged(merged(10), attempt(5, repository=None)) is None


def test_nothing_from_before_the_target_was_first_seen_nor_from_long_ago_counts() -> None:
    assert judged(merged(10), watched_since=ago(10)) is None
    assert judged(merged(6 * 60)) is None
    assert judged(QUIET) is None


def test_a_streak_of_failed_deliveries_is_an_alarm_once_it_lasts() -> None:
    streak = [attempt(2, REFUSED), attempt(6, "timed out"), attempt(10, REFUSED)]
    found = judged(QUIET, *streak, attempt(20))
    assert found == Deaf(since=ago(10), reason=f"the last 3 deliveries failed: {REFUSED}", failing=True)
    assert judged(QUIET, *streak[:2], attempt(9.9, REFUSED)) is None
    assert judged(QUIET, streak[0], streak[2]) is None
    assert judged(QUIET, attempt(1), *streak) is None


def test_what_was_answered_with_success_has_arrived_whatever_github_calls_that() -> None:
    accepted = [replace(attempt(minutes, "Accepted"), status_code=202) for minutes in (2, 6, 10)]
    assert judged(QUIET, *accepted) is None
    assert judged(QUIET, *(replace(one, status_code=302) for one in accepted)) is not None


def test_it_stays_until_something_arrives() -> None:
    before = Deaf(since=ago(60), reason="silence")
    assert judged(QUIET, before=before) == before
    assert judged(QUIET, attempt(5, REFUSED), attempt(70), before=before) == before
    assert judged(QUIET, attempt(5), before=before) is None


@pytest.mark.parametrize("activity", [QUIET, merged(5)], ids=["quiet", "merged just now"])
def test_what_arrives_about_another_repository_ends_no_silence_but_shows_that_deliveries_do_not_fail(
    activity: Activity,
) -> None:
    elsewhere = attempt(1, repository=ELSEWHERE)
    silence = Deaf(since=ago(60), reason="silence")
    assert judged(activity, elsewhere, before=silence) == silence
    assert judged(activity, elsewhere, before=Deaf(since=ago(60), reason="401", failing=True)) is None


def test_it_keeps_when_it_began_whatever_the_reason_becomes() -> None:
    streak = [attempt(2, REFUSED), attempt(6, REFUSED), attempt(10, REFUSED)]
    found = judged(QUIET, *streak, before=Deaf(since=ago(60), reason="silence"))
    assert (found.since, "401" in found.reason) == (ago(60), True)


async def test_people_hear_once_that_webhooks_are_lost_and_that_they_are_back(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))
    await scene.sweep()
    scene.pass_time(1)
    scene.open_pull_request()
    scene.github.webhooks.queue.clear()
    scene.pass_time(600)
    for _ in range(3):
        assert (await scene.sweep()).json()["deaf"] == 1
    await scene.settle()
    assert scene.told() == ["webhooks_lost"]
    assert "signalbox doctor" in scene.n8n.notifications[0]["text"]
    targets = [await scene.target(), await scene.target(scene.services.config.targets[1].id)]
    assert all(target.deaf is not None for target in targets)

    scene.open_pull_request()
    await scene.github.tick()
    assert (await scene.sweep(after=60)).json()["deaf"] == 0
    await scene.settle()
    assert scene.told() == ["webhooks_lost", "webhooks_regained"]
    assert (await scene.target()).deaf is None


async def test_they_are_missed_too_where_nothing_is_deployed_but_by_command(scene: Scene) -> None:
    scene.configure(automatic=False)
    await scene.sweep()
    scene.pass_time(1)
    scene.open_pull_request()
    scene.github.webhooks.queue.clear()
    assert (await scene.sweep(after=600)).json()["deaf"] == 1
    await scene.settle()
    assert scene.told() == ["webhooks_lost"]


async def test_a_repository_that_github_hides_from_us_keeps_no_other_from_being_heard_or_deployed(scene: Scene) -> None:
    scene.configure(more=ABSENT)
    await scene.sweep()
    scene.pass_time(1)
    scene.merge(scene.open_pull_request())
    scene.github.webhooks.queue.clear()
    scene.pass_time(600)
    answer = (await scene.sweep()).json()
    assert (answer["unnoticed"], answer["deaf"]) == (None, None)
    assert {line["what"] for line in scene.logged("passed over by the sweep")} == {
        "aaa/absent",
        "('aaa/absent', 'main')",
    }
    assert (await scene.target(TARGET)).deaf is not None
    await scene.settle()
    assert (await scene.the_run()).status is Status.SUCCEEDED


async def test_webhooks_that_we_refuse_are_lost_too(scene: Scene) -> None:
    async def refuse(*_: object) -> int:
        return 401

    await scene.sweep()
    scene.github.webhooks.deliver = refuse
    scene.open_pull_request()
    for _ in range(16):
        await scene.github.tick()
        await scene.sweep(after=60)
    await scene.settle()
    assert scene.told() == ["webhooks_lost"]
    assert "Invalid HTTP Response: 401" in scene.n8n.notifications[0]["text"]


async def test_what_cannot_be_recorded_for_all_is_recorded_for_all_by_the_next_sweep(scene: Scene) -> None:
    scene.configure(more=STAGING.format(branch="main"))
    await scene.sweep()
    scene.pass_time(1)
    scene.open_pull_request()
    scene.github.webhooks.queue.clear()
    scene.pass_time(600)
    scene.store.incidents.before(2, TransientError("the store is down"))
    assert (await scene.sweep()).json()["deaf"] is None
    assert (await scene.target(TARGET)).deaf is None
    assert (await scene.sweep()).json()["deaf"] == 1
    assert (await scene.target(TARGET)).deaf is not None
