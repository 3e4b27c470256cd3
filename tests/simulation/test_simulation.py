"""The pipeline keeps its promises on a number of bad days, and a seed is the same day every time."""

import asyncio
import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from simulation.mutants import MUTANTS

from local.simulation import loop, simulation
from local.simulation.campaign import Broken, Died, campaign
from local.simulation.lean import replaced
from local.simulation.place import module
from local.simulation.shrink import shrink
from local.simulation.simulation import Outcome, simulate

FRESH = range(60)
ONCE_FAILED = (
    *(8, 247, 286, 456, 653, 787, 3753, 4868, 6228, 6420, 6547),
    *(27, 79, 94, 98, 142, 161, 175, 197, 366, 450, 481, 604, 702, 753, 794, 1038, 1345, 1515, 1675, 2008, 2771, 3092),
    *(2156, 3001, 3076, 3661, 5030, 9900, 90067, 120023, 120273, 120284, 107150838),
    *(66233500, 66233577, 66234100, 66234795, 201027859, 226998894, 193272611, 73495594),
)
"""Seeds that showed a defect, in the code or in the simulation, when they were first played."""


@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_what_failed_once_holds(seed: int) -> None:
    assert simulate(seed).violations == ()


def test_nothing_is_lost_and_nothing_done_twice() -> None:
    outcomes = [progress.outcome for progress in campaign(FRESH.start, len(FRESH), 1)]
    assert {one.seed: one.violations for one in outcomes if one.violations} == {}
    happened = Counter(incident.what for one in outcomes for incident in one.incidents)
    for what in ("crash before", "crash after", "no answer, applied", "missing", "twice", "late", "freeze", "limited"):
        assert happened[what], f"no day had: {what}"
    refused = {
        incident.label.split()[2] for one in outcomes for incident in one.incidents if "refusal by" in incident.label
    }
    assert refused >= {"github", "railway"}
    assert sum(one.runs for one in outcomes) > len(FRESH)


def test_a_seed_is_the_same_day_in_every_process() -> None:
    """Also where Python hashes differently, as it does in each process unless told not to."""
    script = "from local.simulation.simulation import simulate; print(*(simulate(n).digest for n in range(6)))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    shown = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=environment | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert shown == {" ".join(simulate(seed).digest for seed in range(6)) + "\n"}


def test_a_violation_is_shown_by_a_shorter_trace() -> None:
    mutant = next(one for one in MUTANTS if one.name == "two workers tell people at once")
    with mutant.applied():
        found = simulate(mutant.found_by)
        shown = shrink(found, tries=30)
    assert shown.violations[0].invariant == found.violations[0].invariant == "notifying is leased"
    assert len(shown.incidents) < len(found.incidents)
    assert shown.steps


def test_a_process_that_dies_ends_the_campaign() -> None:
    """Its seeds would be waited for, for ever."""
    played = campaign(0, 200, 2)
    next(played)
    multiprocessing.active_children()[0].kill()
    with pytest.raises(Died, match="a process of the simulation died"):
        list(played)


@pytest.mark.parametrize("error", [StopIteration(), LookupError("no such commit")], ids=repr)
def test_an_error_of_the_simulation_itself_names_its_seed(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """It would else end the campaign as if all seeds had been played, or without saying which one failed."""

    def fail(seed: int) -> Outcome:
        if seed == 4:
            raise error
        return simulate(seed)

    monkeypatch.setattr("local.simulation.campaign.simulate", fail)
    played = campaign(3, 3, 1)
    next(played)
    with pytest.raises(Broken, match=f"seed 4 cannot be played: {type(error).__name__}"):
        next(played)


def test_what_goes_round_and_round_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def round_and_round(*_: Any) -> int:
        while True:
            with contextlib.suppress(Exception):
                await asyncio.sleep(0)

    monkeypatch.setattr(simulation, "CPU_SECONDS", 2)
    mutant = [(module("sweep"), "wake_due", round_and_round)]
    with replaced(mutant):
        found = simulate(0)
    [violation] = found.violations
    assert violation.invariant == "the day has an end"
    assert "no end after 2 s of CPU time, at " in violation.detail
    # what it was is shown as it is, and the next day is played as if nothing had been
    assert shrink(found) is found
    assert simulate(0).violations == ()


def test_the_end_does_not_come_where_coverage_holds_its_lock() -> None:
    """It would never give the lock back, and the process would wait for it for ever."""
    code = "def note():\n until = time.process_time() + 0.5\n while time.process_time() < until: pass"
    names: dict[str, Any] = {"__name__": "coverage.collector", "time": time}
    exec(code, names)
    noted = []

    def work() -> None:
        names["note"]()
        noted.append(True)
        while True:
            pass

    with pytest.raises(loop.Endless), loop.limited(0.1):
        work()
    assert noted
