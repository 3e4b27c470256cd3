"""The `signalbox` command."""

from __future__ import annotations

import io
import sys

import click

from local.cli.dead_letters import dead_letters
from local.cli.demo import demo
from local.cli.doctor import doctor
from local.cli.github import github
from local.cli.github_app import github_app
from local.cli.package import package
from local.cli.replay import replay
from local.cli.runs import runs, show
from local.cli.simulate import simulate
from local.cli.smoke_test import smoke_test
from local.cli.try_out import try_out
from local.cli.up import up
from local.cli.workflows import workflows


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="signalbox")
def main() -> None:
    """Takes a pull request to production on Railway, and takes it back when it does not hold."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sign that the terminal does not have is no reason to end
            stream.reconfigure(errors="replace")


for command in (
    demo,
    up,
    try_out,
    runs,
    show,
    package,
    replay,
    dead_letters,
    doctor,
    github,
    github_app,
    simulate,
    smoke_test,
    workflows,
):
    main.add_command(command)
