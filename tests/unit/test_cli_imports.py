"""The `signalbox` command: each of its commands is there, and brings only what it needs."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from local.cli import MODULES, main

LOADED = """
import sys, click
from local.cli import main
main.get_command(click.Context(main), sys.argv[1])
print(*sys.modules)
"""


@pytest.mark.parametrize("name", MODULES)
def test_a_command_is_found_under_its_name(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name


def test_help_lists_every_command() -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    assert [name for name in MODULES if f"\n  {name} " not in told] == []


def test_an_unknown_command_is_refused() -> None:
    refused = CliRunner().invoke(main, ["nonsense"])
    assert refused.exit_code == 2
    assert "No such command 'nonsense'" in refused.output


@pytest.mark.parametrize("name", ["runs", "show", "doctor", "replay"])
def test_a_command_that_plays_nothing_does_not_load_the_emulation(name: str) -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED, name], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "local.cli.runs" in loaded or "local.cli.doctor" in loaded
    assert {"local.emulation.host", "local.world.github.server", "flask"}.isdisjoint(loaded)
