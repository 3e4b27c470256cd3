"""Figures: what they count, and that nothing to count is no figure."""

from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from unit.functions.scene import NEW, TARGET, Scene

from shared.core.pipeline import Transition
from shared.core.reasons import Reason
from shared.core.replay import Request, replay
from shared.core.run import Deployment, Failure, HistoryEntry, Kind, Run, Stage, Status
from shared.core.target import Hold, Lock, QueueEntry, Target


def ended(scene: Scene, id: str, status: Status, *spent: tuple[Stage, float], **changes: Any) -> Run:
    """A run that spent these seconds in these stages, starting now."""
    run = scene.new_run(Stage.MERGE)
    at, history = run.created_at, []
    for stage, seconds in spent:
        at += timedelta(seconds=seconds)
        history.append(HistoryEntry(at, stage, status, "done"))
    deployment = Deployment(id="d")
    run = replace(run, id=id, status=status, stage=Stage.DONE, deployment=deployment, history=tuple(history))
    return replace(run, wake_at=None, stage_due=None, **changes)


async def summary(scene: Scene, query: str = "") -> Any:
    answer = await scene.web.get(f"/metrics/summary{query}")
    assert answer.status_code == 200
    return answer.json()


async def test_with_nothing_to_count_there_is_no_rate_and_no_median(scene: Scene) -> None:
    shown = await summary(scene)
    assert (shown["runs"], shown["attempts"], shown["complete"]) == (0, 0, True)
    assert (shown["by_status"], shown["stage_seconds"]) == ({}, {})
    assert shown["deployments"] == {
        "ended": 0,
        "succeeded": 0,
        "success_rate": None,
        "rolled_back": 0,
        "median_seconds": None,
    }
    assert shown["targets"][0] == {
        "id": TARGET,
        "active": None,
        "queued": [],
        "current": None,
        "lock": None,
        "hold": None,
        "held_back": [],
        "health": {"state": "unknown", "failures": 0, "checked_at": None, "changed_at": None, "detail": ""},
        "serving": {"looked_at": None, "deployment_id": None, "commit_sha": None, "drifting_since": None},
    }


async def test_deployments_are_counted_by_how_they_ended_and_timed_when_they_held(scene: Scene) -> None:
    failure = Failure(code=Reason.UNHEALTHY, message="503", stage=Stage.VERIFY)
    await scene.save(
        ended(scene, "a", Status.SUCCEEDED, (Stage.MERGE, 10), (Stage.DEPLOY, 5), (Stage.VERIFY, 85)),
        ended(scene, "b", Status.SUCCEEDED, (Stage.MERGE, 20), (Stage.DEPLOY, 5), (Stage.VERIFY, 275)),
        ended(scene, "c", Status.ROLLED_BACK, (Stage.MERGE, 30), (Stage.VERIFY, 1000), error=failure),
        ended(scene, "never deployed", Status.FAILED, (Stage.MERGE, 40), deployment=None, error=failure),
        ended(scene, "by command", Status.SUCCEEDED, (Stage.ROLLBACK, 7), kind=Kind.ROLLBACK),
        replace(scene.new_run(Stage.MERGE), id="under way", deployment=Deployment(id="d")),
    )
    shown = await summary(scene)
    assert shown["runs"] == 6
    assert shown["by_status"] == {"succeeded": 3, "rolled_back": 1, "failed": 1, "running": 1}
    assert shown["by_reason"] == {"unhealthy": 2}
    assert shown["deployments"] == {
        "ended": 3,
        "succeeded": 2,
        "success_rate": 0.6667,
        "rolled_back": 1,
        "median_seconds": 200.0,
    }
    assert shown["stage_seconds"] == {"merge": 25.0, "deploy": 5.0, "verify": 275.0, "rollback": 7.0}


async def test_a_stage_that_was_entered_twice_is_timed_in_all(scene: Scene) -> None:
    spent = [(Stage.VERIFY, 10), (Stage.ROLLBACK, 3), (Stage.VERIFY, 5)]
    await scene.save(ended(scene, "a", Status.ROLLED_BACK, *spent))
    assert (await summary(scene))["stage_seconds"] == {"verify": 15.0, "rollback": 3.0}


async def test_what_was_not_deployed_is_neither_success_nor_failure(scene: Scene) -> None:
    good = ended(scene, "a", Status.SUCCEEDED, (Stage.MERGE, 10), (Stage.VERIFY, 90))
    quiet = ended(scene, "b", Status.NOT_DEPLOYED, (Stage.MERGE, 0.1), reason=Reason.NOTHING_TO_DEPLOY)
    held = ended(scene, "c", Status.NOT_DEPLOYED, (Stage.MERGE, 0.1), reason=Reason.TARGET_HELD, deployment=None)
    await scene.save(good, quiet, held)
    shown = await summary(scene)
    assert (shown["by_status"], shown["by_reason"]) == ({"succeeded": 1, "not_deployed": 2}, {})
    assert (shown["deployments"]["ended"], shown["deployments"]["success_rate"]) == (1, 1.0)
    assert shown["stage_seconds"] == {"merge": 10.0, "verify": 90.0}


async def replayed(scene: Scene, run: Run, after: float, status: Status, took: float, **changes: Any) -> Run:
    """The run after another attempt so much later, which ended like this."""
    scene.pass_time(after)
    terms = scene.services.terms(TARGET)
    begun = replay(run, Target(id=TARGET), Request(by="ada", stage=Stage.DEPLOY), terms)
    assert isinstance(begun, Transition)
    entry = HistoryEntry(scene.clock.now() + timedelta(seconds=took), Stage.VERIFY, status, "done")
    again = replace(begun.run, status=status, stage=Stage.DONE, history=(*begun.run.history, entry), wake_at=None)
    return replace(again, deployment=Deployment(id="e"), stage_due=None, **changes)


async def test_a_good_run_that_is_replayed_later_does_not_move_the_median(scene: Scene) -> None:
    good = ended(scene, "a", Status.SUCCEEDED, (Stage.MERGE, 1), (Stage.VERIFY, 2))
    await scene.save(await replayed(scene, good, 3600, Status.SUCCEEDED, 3))
    shown = await summary(scene)
    assert (shown["runs"], shown["attempts"], shown["by_status"]) == (1, 2, {"succeeded": 2})
    assert shown["deployments"]["median_seconds"] == 3.0


async def test_a_replay_that_fails_erases_no_success(scene: Scene) -> None:
    good = ended(scene, "a", Status.SUCCEEDED, (Stage.MERGE, 1), (Stage.VERIFY, 2))
    failure = Failure(code=Reason.QUARANTINED, message="no", stage=Stage.DEPLOY)
    await scene.save(await replayed(scene, good, 60, Status.FAILED, 3, error=failure))
    shown = await summary(scene)
    assert (shown["by_status"], shown["by_reason"]) == ({"succeeded": 1, "failed": 1}, {"quarantined": 1})
    assert (shown["deployments"]["ended"], shown["deployments"]["succeeded"]) == (2, 1)


async def test_an_old_runs_new_attempt_counts_by_itself(scene: Scene) -> None:
    bad = ended(scene, "a", Status.FAILED, (Stage.MERGE, 1))
    await scene.save(await replayed(scene, bad, 8 * 86400, Status.SUCCEEDED, 5))
    shown = await summary(scene)
    assert (shown["runs"], shown["attempts"], shown["by_status"]) == (0, 1, {"succeeded": 1})
    assert shown["deployments"]["median_seconds"] == 5.0


async def test_an_attempt_that_is_under_way_counts_beside_the_one_before(scene: Scene) -> None:
    good = ended(scene, "a", Status.SUCCEEDED, (Stage.MERGE, 1), (Stage.VERIFY, 2))
    begun = replay(good, Target(id=TARGET), Request(by="ada", stage=Stage.DEPLOY), scene.services.terms(TARGET))
    assert isinstance(begun, Transition)
    await scene.save(begun.run)
    shown = await summary(scene)
    assert shown["by_status"] == {"succeeded": 1, "running": 1}
    assert shown["deployments"]["success_rate"] == 1.0


async def test_older_runs_are_left_out(scene: Scene) -> None:
    await scene.save(ended(scene, "a", Status.SUCCEEDED, (Stage.MERGE, 1)))
    scene.pass_time(8 * 86400)
    assert (await summary(scene))["runs"] == 0
    assert (await summary(scene, "?days=9"))["runs"] == 1


async def test_more_runs_than_are_read_are_said_to_be_incomplete(scene: Scene) -> None:
    run = ended(scene, "a", Status.SUCCEEDED, (Stage.MERGE, 1))
    await scene.save(*(replace(run, id=f"run-{number}") for number in range(1001)))
    shown = await summary(scene)
    assert (shown["runs"], shown["complete"]) == (1000, False)


async def test_a_target_shows_who_has_it_and_who_waits_and_why(scene: Scene) -> None:
    now = scene.clock.now()
    target = Target(
        id=TARGET,
        active="a",
        queue=(QueueEntry("b", Stage.MERGE), QueueEntry("c", Stage.ROLLBACK)),
        verified=(replace(scene.serving(), commit_sha=NEW),),
        lock=Lock(by="ada", reason="friday", at=now),
        hold=Hold(reason="rolled back", at=now, run_id="z"),
    )
    await scene.save(target)
    shown = (await summary(scene))["targets"][0]
    assert (shown["active"], shown["queued"], shown["current"]["commit_sha"]) == ("a", ["b", "c"], NEW)
    assert (shown["lock"]["by"], shown["hold"]["run_id"]) == ("ada", "z")


async def test_the_system_tells_how_far_behind_the_sweep_is(scene: Scene) -> None:
    run = scene.new_run(Stage.MERGE)
    await scene.save(run, replace(run, id="later", wake_at=scene.clock.now() + timedelta(seconds=500)))
    scene.pass_time(100)
    shown = (await scene.web.get("/metrics/system")).json()
    assert (shown["due_runs"], shown["oldest_due_seconds"]) == (1, 100 - scene.services.pace.unclaimed)
    assert (shown["backend"], shown["project"]) == ("shared.cloud:open_backend", None)
    assert shown["uptime_seconds"] >= 0
    assert shown["memory_mib"] is None or shown["memory_mib"] > 1


async def test_with_nothing_due_nothing_is_behind(scene: Scene) -> None:
    shown = (await scene.web.get("/metrics/system")).json()
    assert (shown["due_runs"], shown["oldest_due_seconds"]) == (0, 0.0)
