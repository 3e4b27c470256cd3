"""console: what it shows of runs and targets, page by page, and what it says to bad questions."""

from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import TARGET, Scene

from shared.core.reasons import Reason
from shared.core.run import Failure, Run, Stage, Status


async def runs(scene: Scene, count: int, **changes: Any) -> list[Run]:
    """Newest first."""
    made = []
    for number in range(count):
        scene.pass_time(1)
        made.append(replace(scene.new_run(Stage.MERGE), id=f"run-{number:03}", **changes))
    await scene.save(*made)
    return made[::-1]


async def get(scene: Scene, path: str) -> Any:
    answer = await scene.web.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    return answer.json()


async def test_it_is_healthy_when_it_can_read_the_store(scene: Scene) -> None:
    assert await get(scene, "/health") == {"status": "ok", "targets": [TARGET]}


async def test_a_run_is_shown_whole(scene: Scene) -> None:
    (run,) = await runs(scene, 1)
    shown = await get(scene, f"/runs/{run.id}")
    assert (shown["id"], shown["stage"], shown["history"][0]["message"]) == (run.id, "merge", "requested by grace")
    assert shown["pull_request"]["number"] == 1
    assert await get(scene, f"/runs/{run.id}/") == shown


@pytest.mark.parametrize(
    "path", ["/runs/nobody", "/nowhere", "/", "/metrics", "/runs/a/b", "/runs/a%2Fb", "/runs/__x__"]
)
async def test_what_there_is_not_is_not_found(scene: Scene, path: str) -> None:
    assert (await scene.web.get(path)).status_code == 404


async def test_runs_are_listed_newest_first_with_what_a_person_looks_for(scene: Scene) -> None:
    known = await runs(scene, 3)
    failed = replace(
        known[0],
        status=Status.FAILED,
        pull_request=None,
        history=(),
        error=Failure(code=Reason.UNHEALTHY, message="503", stage=Stage.VERIFY),
    )
    await scene.save(failed)
    listed = await get(scene, "/runs")
    assert [row["id"] for row in listed["runs"]] == [run.id for run in known]
    assert listed["next"] is None
    first, second = listed["runs"][:2]
    assert (first["reason"], first["pull_request"], first["message"]) == ("unhealthy", None, "")
    assert (second["reason"], second["pull_request"], second["message"]) == (None, 1, "requested by grace")
    assert await get(scene, "/runs/") == listed


async def test_pages_follow_each_other_without_gap_or_repetition(scene: Scene) -> None:
    known = await runs(scene, 7)
    seen, path = [], "/runs?limit=3"
    for _ in range(3):
        page = await get(scene, path)
        seen += [row["id"] for row in page["runs"]]
        path = f"/runs?limit=3&after={page['next']}"
    assert (seen, page["next"]) == ([run.id for run in known], None)


async def test_a_page_that_is_just_full_has_an_empty_one_after_it(scene: Scene) -> None:
    await runs(scene, 2)
    page = await get(scene, "/runs?limit=2")
    assert await get(scene, f"/runs?limit=2&after={page['next']}") == {"runs": [], "next": None}


async def test_runs_are_found_by_target_and_status(scene: Scene) -> None:
    one, two, three = await runs(scene, 3)
    await scene.save(replace(one, status=Status.FAILED), replace(two, target="acme:shop:web:staging"))
    assert [row["id"] for row in (await get(scene, "/runs?status=failed"))["runs"]] == [one.id]
    assert [row["id"] for row in (await get(scene, f"/runs?target={TARGET}"))["runs"]] == [one.id, three.id]
    assert (await get(scene, f"/runs?target={TARGET}&status=rolled_back"))["runs"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=fine", "status"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=", "limit"),
        ("after=nobody", "after"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_by_field(scene: Scene, query: str, field: str) -> None:
    answer = await scene.web.get(f"/runs?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert field in answer.json()["error"]


@pytest.mark.parametrize("days", ["0", "91", "-1", "week", "9" * 5000, ""])
async def test_a_summary_is_of_some_days(scene: Scene, days: str) -> None:
    answer = await scene.web.get(f"/metrics/summary?days={days}")
    assert (answer.status_code, answer.json()["field"]) == (400, "days")


async def test_the_metrics_are_served(scene: Scene) -> None:
    assert (await get(scene, "/metrics/summary"))["runs"] == 0
    assert (await get(scene, "/metrics/system"))["due_runs"] == 0


@pytest.mark.parametrize("path", ["/health", "/runs", "/runs/x", "/metrics/summary", "/metrics/system"])
async def test_when_the_store_cannot_be_read_it_says_so(scene: Scene, path: str) -> None:
    scene.store.down = True
    answer = await scene.web.get(path)
    assert answer.status_code == 503
    assert scene.logged("cannot read the store")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_it_only_shows(scene: Scene, method: str) -> None:
    answer = await scene.web.request(method, "/runs")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_a_head_is_answered_as_a_get_would_be(scene: Scene) -> None:
    assert (await scene.web.head("/health")).status_code == 200
