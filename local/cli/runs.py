"""signalbox runs, signalbox show: the runs of a running `signalbox up`, or of the real project."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from local.cli import output
from local.cli.called import command
from local.cli.opening import at_place, folder
from local.operating.workplace import Place
from shared.core.run import Run
from shared.core.target import Target
from shared.runs import texts
from shared.runtime.ports import Query

MOST = 500


@click.command()
@folder
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, MOST), help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole documents as JSON.")
def runs(folder: Path, limit: int, as_json: bool) -> None:
    """List the runs, newest first, and the targets that are held or that something else serves than was verified."""
    found = at_place(folder, lambda place: newest(place, limit))
    if as_json:
        output.as_json(found)
        return
    out = output.console()
    if found:
        output.runs(out, found)
    else:
        output.echo("no runs yet")
    output.warnings(out, at_place(folder, notices))


@click.command()
@click.argument("run")
@folder
@click.option("--json", "as_json", is_flag=True, help="Print the whole document as JSON.")
def show(run: str, folder: Path, as_json: bool) -> None:
    """Show one run: its timeline, and why it ended as it did. RUN may be its beginning or its end."""
    found = at_place(folder, lambda place: find(place, run))
    if as_json:
        output.as_json(found)
    else:
        output.run(output.console(), found)


async def newest(place: Place, limit: int) -> list[Run]:
    found = await place.store.query(Query(Run, order_by="created_at", descending=True, limit=limit))
    return [one.document for one in found]


async def notices(place: Place) -> list[str]:
    """In words, the targets to know of: drifting, paused, held, or with merges that were kept back."""
    found = await asyncio.gather(*(place.store.get(Target, target.id) for target in place.config.targets))
    targets = [one.document for one in found if one is not None]
    return [f"{one.id} {news}" for one in targets for news in (texts.drift(one), _held(one)) if news]


def _held(target: Target) -> str:
    """Empty where it is neither paused nor held, and nothing was kept back."""
    pause = f"is {target.pause}; `{command()} resume` lets it go on" if target.pause is not None else ""
    hold = f"is held: {target.hold.reason}" if target.hold is not None else ""
    merges = ", ".join(f"#{one.number or '?'} {one.title} ({one.commit_sha[:7]})" for one in target.held_back)
    kept = f"has merges that are not deployed yet, newest first: {merges}" if merges else ""
    said = "; it ".join(part for part in (pause, hold, kept) if part)
    return f"{said}. `/deploy` on the newest deploys it, with all before it" if kept else said


async def find(place: Place, id: str) -> Run:
    """The run of that id, or the only one that begins or ends so. Raises ClickException."""
    exact = await place.store.get(Run, id)
    if exact is not None:
        return exact.document
    alike = [run for run in await newest(place, MOST) if run.id.startswith(id) or run.id.endswith(id)]
    if len(alike) != 1:
        several = ", ".join(run.id for run in alike[:5])
        raise click.ClickException(
            f"{id} is ambiguous: {several}" if alike else f"there is no run {id} in {place.name}"
        )
    return alike[0]
