"""sweep: the weekly report is owed once a week, from the first Monday after it was asked for."""

from datetime import UTC, datetime

import pytest
from unit.functions.scene import Scene

from shared.core import weeks

MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
DAY = 86400.0


@pytest.mark.parametrize(
    ("now", "ended"),
    [
        (datetime(2026, 11, 23, 8, 0, tzinfo=UTC), MONDAY),
        (datetime(2026, 11, 23, 7, 59, 59, tzinfo=UTC), datetime(2026, 11, 16, 8, 0, tzinfo=UTC)),
        (datetime(2026, 11, 29, 23, 0, tzinfo=UTC), MONDAY),
        (datetime(2026, 12, 1, 0, 0, 0, 1, tzinfo=UTC), datetime(2026, 11, 30, 8, 0, tzinfo=UTC)),
    ],
)
def test_a_week_ends_on_monday_at_eight(now: datetime, ended: datetime) -> None:
    assert weeks.latest_end(now) == ended


def until_monday(scene: Scene) -> None:
    scene.clock.advance((MONDAY - scene.clock.now()).total_seconds())


async def owed(scene: Scene) -> tuple[int, tuple[str, ...]]:
    """What the sweep says it came to be owed, and all that is."""
    return (await scene.sweep()).json()["reported"], (await scene.target()).owed


async def test_the_report_is_owed_once_a_week_and_told(scene: Scene) -> None:
    # Given it was asked for on a Sunday, the week that was over by then is not reported
    scene.use_workflow(weekly_report="weekly")
    assert await owed(scene) == (0, ())

    # When Monday comes, it is owed, once
    until_monday(scene)
    assert await owed(scene) == (1, ("weekly_report@2026-11-23T08:00:00Z:report",))
    assert (await owed(scene))[0] == 0
    await scene.settle()
    assert [asked["until"] for asked in scene.n8n.asked] == ["2026-11-23T08:00:00Z"]

    # Then again a week later, and of weeks in which nobody looked only the last
    for days, until in ((6, None), (1, "2026-11-30T08:00:00Z"), (22, "2026-12-21T08:00:00Z")):
        scene.pass_time(days * DAY)
        assert (await owed(scene))[0] == (until is not None)
        await scene.sweep()
        await scene.settle()
        assert scene.n8n.asked[-1]["until"] == (until or "2026-11-23T08:00:00Z")
    assert len(scene.n8n.asked) == 3


async def test_two_sweeps_at_once_owe_it_once(scene: Scene) -> None:
    scene.use_workflow(weekly_report="weekly")
    await scene.sweep()
    until_monday(scene)

    async def sweep() -> None:
        assert (await scene.sweep()).status_code == 200

    scene.store.incidents.before(1, sweep)
    await scene.sweep()
    await scene.settle()

    assert len(scene.n8n.asked) == 1


async def test_nothing_is_reported_where_no_workflow_is_named(scene: Scene) -> None:
    until_monday(scene)
    assert (await scene.sweep()).json()["reported"] == 0
    assert (await scene.target()).reported_until is None
