"""signalbox simulate: the whole pipeline through bad days, by the thousand, and what did not hold."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from local.cli import output
from local.simulation.campaign import Broken, Died, campaign
from local.simulation.shrink import shrink
from local.simulation.simulation import Outcome
from local.simulation.simulation import simulate as play

SHRUNK = 3
"""So many of the violations are shown by their shortest trace; of the others the seed is enough."""
EVERY = 30.0
"""Seconds between two lines of progress where no terminal shows a bar."""


@click.command()
@click.option("--seeds", type=click.IntRange(1), default=200, show_default=True, help="How many days to play.")
@click.option("--start", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--seed", type=int, help="Play this one only.")
@click.option("--trace", is_flag=True, help="With --seed: print every step.")
@click.option("--processes", type=click.IntRange(1), default=2, show_default=True, help="How many at once.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def simulate(seeds: int, start: int, seed: int | None, trace: bool, processes: int, as_json: bool) -> None:
    """Play seeded days on which everything goes wrong, in virtual time, and check that the pipeline keeps its promises.

    The exit code is 1 when an invariant was violated. A seed plays the same every time.
    """
    out = output.console()
    one_only = [play(seed, keep_steps=trace)] if seed is not None else None
    try:
        outcomes = one_only or _all(out, start, seeds, processes, quiet=as_json)
    except Died as error:
        next_step = f"See that there is memory for {processes} of them, or give --processes 1."
        raise click.ClickException(f"{error}\n{next_step}") from error
    except Broken as error:
        raise click.ClickException(str(error)) from error
    failed = sorted((one for one in outcomes if one.violations), key=lambda one: one.seed)
    if not trace:
        failed = [*map(shrink, failed[:SHRUNK]), *failed[SHRUNK:]]
    if as_json:
        output.as_json({"seeds": len(outcomes), "runs": sum(one.runs for one in outcomes), "failed": failed})
    elif seed is not None:
        _show(out, *(failed or outcomes), steps=trace or bool(failed))
    else:
        for one in failed[:SHRUNK]:
            _show(out, one, steps=True)
        if failed:
            out.print(f"[red]violated by the seeds {', '.join(str(one.seed) for one in failed)}[/]")
    if failed:
        sys.exit(1)


def _all(out: Console, start: int, seeds: int, processes: int, *, quiet: bool) -> list[Outcome]:
    outcomes, violated, told, speed = [], 0, 0.0, ""
    with Progress(console=out, transient=True, disable=quiet or not out.is_terminal) as bar:
        task = bar.add_task("seeds", total=seeds)
        for progress in campaign(start, seeds, processes):
            outcomes.append(progress.outcome)
            violated += bool(progress.outcome.violations)
            bad = f", {violated} violated" if violated else ""
            speed = f"{progress.rate:.1f} seeds/s on {processes} processes{bad}"
            bar.update(task, advance=1, description=speed)
            if progress.seconds - told >= EVERY and not quiet and not out.is_terminal:
                told = progress.seconds
                out.print(f"{progress.done} of {seeds} seeds, {speed}")
    if not quiet:
        out.print(f"{seeds} seeds from {start}, {sum(one.runs for one in outcomes)} runs, {speed}")
    return outcomes


def _show(out: Console, outcome: Outcome, *, steps: bool) -> None:
    for step in outcome.steps if steps else ():
        out.print(escape(str(step)))
    for violation in outcome.violations:
        out.print(f"[red]✗ {escape(violation.invariant)}[/] at {violation.at:.3f} s: {escape(violation.detail)}")
    mark = "[red]violated[/]" if outcome.violations else "[green]held[/]"
    counts = f"{len(outcome.incidents)} incidents, {outcome.runs} runs"
    out.print(f"seed {outcome.seed}: {mark}; {counts}; steps {outcome.digest[:16]}")
