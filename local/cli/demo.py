"""signalbox demo: play a scenario on this machine, live."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import click

from local.cli import output
from local.cli.timeline import Line
from local.demo.play import Report, perform
from local.demo.scenarios import SCENARIOS
from local.emulation.backends import KINDS, Kind
from local.emulation.host import Host
from shared.errors import SignalboxError
from shared.runtime import log
from shared.runtime.settings import read


@click.command()
@click.option("--scenario", "name", default="happy", show_default=True, help="Which story to play; see --list.")
@click.option("--list", "show_list", is_flag=True, help="List the scenarios and end.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document: runs, target, the vendors' side effects."
)
@click.option(
    "--backend", type=click.Choice(KINDS), default="embedded", show_default=True, help="What carries the functions."
)
@click.option("--log", "show_log", is_flag=True, help="Print the functions' own log on standard error.")
def demo(name: str, show_list: bool, as_json: bool, backend: Kind, show_log: bool) -> None:
    """Play a scenario: the ten functions, an embedded bus and store, and simulated vendors, all on loopback.

    The exit code is 0 when the scenario ended as it should.
    """
    if show_list:
        _list(as_json)
        return
    if name not in SCENARIOS:
        raise click.BadParameter(f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}", param_hint="--scenario")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # which cleans up, as after Ctrl-C
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - a device, not a path
        log.configure(read(os.environ), sys.stderr if show_log else nowhere)
        try:
            report = _play(name, backend, quiet=as_json)
        except SignalboxError as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        output.as_json(report)
    if not report.as_expected:
        sys.exit(1)


def _list(as_json: bool) -> None:
    if as_json:
        output.as_json({name: scenario.summary for name, scenario in SCENARIOS.items()})
        return
    for name, scenario in SCENARIOS.items():
        output.echo(f"{name:<17} {scenario.summary}")


def _play(name: str, backend: Kind, *, quiet: bool) -> Report:
    out = output.console()
    scenario = SCENARIOS[name]

    def started(host: Host) -> None:
        if not quiet:
            out.print(f"[bold]{name}[/]: {scenario.summary}")
            output.addresses(out, host.urls)

    def tell(line: Line) -> None:
        if not quiet:
            output.line(out, line)

    def ended(report: Report) -> None:
        out.print()
        output.expectations(out, report.expectations)
        for run in report.runs:
            pull = run.pull_request.url if run.pull_request else ""
            out.print(f"  {run.id}: {run.status}  {pull}")
        out.print("[green]ended as expected[/]" if report.as_expected else "[red]did not end as expected[/]")

    report = asyncio.run(perform(scenario, tell, started, backend=backend))
    if not quiet:
        ended(report)
    return report
