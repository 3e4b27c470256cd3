"""signalbox doctor: look at a real project, read-only."""

from __future__ import annotations

import asyncio
import os
import sys

import click
from rich.console import Console
from rich.markup import escape

from local.cli import output
from local.doctor import Finding, examine
from local.doctor.checklist import shown
from shared.runtime import log
from shared.runtime.settings import Settings

_MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]", "skipped": "[dim]-[/]"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON document.")
@click.option("--checklist", is_flag=True, help="Print docs/security-checklist.md, ticked where it is known to be so.")
def doctor(as_json: bool, checklist: bool) -> None:
    """Look at the project that the environment names, and say of each thing whether it is well, and what to do if not.

    Nothing is changed anywhere. The exit code is 0 when nothing failed; a warning is no failure.
    """
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - a device, not a path
        log.configure(Settings(), nowhere)
        found = asyncio.run(examine(os.environ))
    well = all(finding.state != "failed" for finding in found)
    if checklist:
        output.echo("\n".join(shown(found)))
    elif as_json:
        output.as_json({"ok": well, "findings": found})
    else:
        _show(output.console(), found)
    if not well:
        sys.exit(1)


def _show(out: Console, found: list[Finding]) -> None:
    """What was not looked at comes last, all that has one reason in one line."""
    skipped: dict[str, list[str]] = {}
    for finding in found:
        name = f"{finding.subject} {finding.about}".rstrip()
        if finding.state == "skipped":
            skipped.setdefault(finding.detail, []).append(name)
            continue
        out.print(f"{_MARKS[finding.state]} {escape(name)}: {escape(finding.detail)}")
        if finding.next_step:
            out.print(f"    → {escape(finding.next_step)}")
    for why, names in skipped.items():
        out.print(f"{_MARKS['skipped']} {escape(', '.join(names))}: {escape(why)}")
    count = {state: sum(finding.state == state for finding in found) for state in _MARKS}
    out.print("\n" + ", ".join(f"{number} {state}" for state, number in count.items() if number))
