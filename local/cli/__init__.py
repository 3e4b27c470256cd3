"""The `signalbox` command."""

from __future__ import annotations

import importlib
import io
import signal
import sys
from collections.abc import Mapping
from typing import Any

if sys.argv[0].rpartition("/")[2] == "signalbox":  # until there is somebody to say that it was broken off
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import click

from shared.runtime.escaping import terminal

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("demo:demo", "Play a scenario: the ten functions and simulated vendors, all on loopback."),
    "up": ("up:up", "Start everything on this machine, and leave it running until Ctrl-C."),
    "try": ("try_out:try_out", "Make something happen in the world of `signalbox up`."),
    "runs": ("runs:runs", "List the runs, newest first, and what needs attention."),
    "show": ("runs:show", "Show one run: its timeline, and why it ended as it did."),
    "replay": ("replay:replay", "Attempt a finished run again."),
    "redeliver": ("redeliver:redeliver", "Deliver a function's messages again."),
    "dead-letters": ("dead_letters:dead_letters", "List, show, redeliver or drop messages that no function accepted."),
    "pause": ("pausing:pause", "Start nothing more for some targets, or for all."),
    "resume": ("pausing:resume", "Let paused targets go on."),
    "doctor": ("doctor:doctor", "Check the project, GitHub, Railway and n8n, and say what to fix."),
    "secrets": ("secrets:secrets", "Show how old the secrets are, and rotate one."),
    "github": ("github:github", "Send GitHub a request as the App."),
    "github-app": ("github_app:github_app", "Register the GitHub App that Signalbox works as."),
    "workflows": ("workflows:workflows", "Compare, push and pull the n8n workflows."),
    "package": ("package:package", "Write one deployment package per function."),
    "smoke-test": ("smoke_test:smoke_test", "Check that what was deployed answers as it should."),
    "simulate": ("simulate:simulate", "Play seeded days on which everything goes wrong."),
}
"""Where each command stands (its module here, and its name there), and what `signalbox --help` says of it."""


class _Commands(click.Group):
    """Imports a command's module when the command is used: all of them together take a second to import."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in COMMANDS and name not in self.commands:
            module, _, command = COMMANDS[name][0].partition(":")
            self.add_command(getattr(importlib.import_module(f"{__name__}.{module}"), command), name)
        return super().get_command(context, name)

    def invoke(self, context: click.Context) -> Any:
        """What went wrong is often said in a vendor's words, which the operator's terminal is not to obey."""
        try:
            return super().invoke(context)
        except click.ClickException as error:
            error.message = terminal(error.message)  # type: ignore[misc]
            raise


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="signalbox")
def main() -> None:
    """Take a pull request to production on Railway, and roll it back if it fails."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sign that the terminal does not have is no reason to end
            stream.reconfigure(errors="replace")
