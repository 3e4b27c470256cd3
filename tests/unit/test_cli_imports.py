"""The `signalbox` command: each of its commands is there, and brings only what it needs."""

import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from local.cli import COMMANDS, main
from local.operating.workplace import Left, leave_behind

CONFIG = (Path(__file__).parents[2] / "signalbox.toml").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_found_under_its_name(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command.name == name


def test_help_lists_every_command() -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    assert [name for name in COMMANDS if f"\n  {name} " not in told] == []


def test_an_unknown_command_is_refused() -> None:
    refused = CliRunner().invoke(main, ["nonsense"])
    assert refused.exit_code == 2
    assert "No such command 'nonsense'" in refused.output


LIGHT = (["--help"], ["runs", "--help"], ["runs"], ["show", "--help"], ["replay", "--help"], ["pause", "--help"])
HEAVY = ("local.world", "local.simulation", "local.demo", "local.emulation.host", "google.api_core", "grpc", "graphql")
RUN = """
import sys
from local.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As `signalbox up` leaves it."""
    leave_behind(tmp_path, Left(backend="embedded"), CONFIG)
    return tmp_path


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_a_command_that_plays_nothing_loads_no_simulated_vendor(words: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words, *(["--dir", str(folder)] if words == ["runs"] else [])],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout
    loaded = done.stderr.split()
    assert [name for name in loaded if name.startswith(HEAVY)] == []


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_a_command_that_plays_nothing_starts_at_once(words: list[str], folder: Path) -> None:
    """In CPU time, next to what Python and click take by themselves: a busy machine slows both."""
    more = ["--dir", str(folder)] if words == ["runs"] else []
    took = min(cpu_seconds(RUN, *words, *more) for _ in range(3))
    bare = min(cpu_seconds("import click, msgspec, asyncio") for _ in range(3))
    assert took < max(0.35, 5 * bare)


def cpu_seconds(script: str, *words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script, *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
