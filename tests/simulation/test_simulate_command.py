"""signalbox simulate: what it prints, and of a violation the shortest trace."""

import importlib
from collections.abc import Iterator

import msgspec
import pytest
from click.testing import CliRunner, Result
from simulation.mutants import MUTANTS

from local.simulation.simulation import simulate

command = importlib.import_module("local.cli.simulate")
[FAULT] = [mutant for mutant in MUTANTS if mutant.name == "the time to be woken is forgotten"]
SEED = str(FAULT.found_by)


@pytest.fixture
def faulty() -> Iterator[None]:
    with FAULT.applied():
        yield


def run(*words: str) -> Result:
    return CliRunner().invoke(command.simulate, [*words, "--processes", "1"])


def test_what_held_is_one_line():
    result = run("--seed", "3")
    assert result.exit_code == 0
    assert [line for line in result.output.splitlines() if line.startswith("seed 3: held; ")] == [result.output.strip()]


@pytest.mark.usefixtures("faulty")
def test_a_violation_is_shown_by_its_shortest_trace():
    result = run("--seed", SEED)
    assert result.exit_code == 1
    assert "✗ who owes is woken at " in result.output
    assert shown(result) < len(simulate(FAULT.found_by).incidents)


@pytest.mark.usefixtures("faulty")
def test_a_seed_is_replayed_with_every_incident_of_its():
    result = run("--seed", SEED, "--trace")
    assert result.exit_code == 1
    assert shown(result) == len(simulate(FAULT.found_by).incidents)


@pytest.mark.usefixtures("faulty")
def test_json_has_the_shortest_trace_too():
    result = run("--seeds", "1", "--start", SEED, "--json")
    [failed] = msgspec.json.decode(result.stdout)["failed"]
    assert result.exit_code == 1
    assert (failed["seed"], failed["violations"][0]["invariant"]) == (FAULT.found_by, "who owes is woken")
    assert failed["steps"]
    assert len(failed["incidents"]) < len(simulate(FAULT.found_by).incidents)


def test_an_error_of_the_simulation_itself_names_its_seed(monkeypatch):
    def fail(seed):
        raise LookupError(f"no commit of {seed}")

    monkeypatch.setattr("local.simulation.campaign.simulate", fail)
    result = run("--seeds", "2", "--start", "7")
    assert result.exit_code == 1
    assert "seed 7 cannot be played: LookupError: no commit of 7" in result.output


def test_where_no_terminal_is_progress_is_told_by_lines(monkeypatch):
    monkeypatch.setattr(command, "EVERY", 0.0)
    result = run("--seeds", "2")
    first, second, last = result.output.splitlines()
    assert first.startswith("1 of 2 seeds, ")
    assert second.startswith("2 of 2 seeds, ")
    assert last.startswith("2 seeds from 0, ")


def shown(result: Result) -> int:
    """How many incidents the last line counts."""
    return int(result.output.splitlines()[-1].split("; ")[1].split()[0])
