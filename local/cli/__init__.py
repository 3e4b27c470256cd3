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

MODULES: Mapping[str, str] = {
    "demo": "demo:demo",
    "up": "up:up",
    "try": "try_out:try_out",
    "runs": "runs:runs",
    "show": "runs:show",
    "package": "package:package",
    "replay": "replay:replay",
    "pause": "pausing:pause",
    "resume": "pausing:resume",
    "dead-letters": "dead_letters:dead_letters",
    "secrets": "secrets:secrets",
    "doctor": "doctor:doctor",
    "github": "github:github",
    "github-app": "github_app:github_app",
    "simulate": "simulate:simulate",
    "smoke-test": "smoke_test:smoke_test",
    "workflows": "workflows:workflows",
}
"""The module of each command here, and what it is called there."""


class _Commands(click.Group):
    """Imports a command's module when the command is asked for: all of them together take a second to import."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return sorted(MODULES)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in MODULES and name not in self.commands:
            module, _, command = MODULES[name].partition(":")
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
    """Takes a pull request to production on Railway, and takes it back when it does not hold."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sign that the terminal does not have is no reason to end
            stream.reconfigure(errors="replace")
