"""signalbox runs, signalbox show: what the store of a running `signalbox up` holds."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from local.backend import DEFAULT_DIRECTORY, DIRECTORY
from local.cli import output
from local.engines import open_store
from shared.errors import SignalboxError
from shared.run import Run

MOST = 500

folder = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=lambda: os.environ.get(DIRECTORY) or DEFAULT_DIRECTORY,
    show_default=f"{DIRECTORY}, or {DEFAULT_DIRECTORY}",
    help="The folder that `signalbox up` keeps its store in.",
)


@click.command()
@folder
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, MOST), help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole documents as JSON.")
def runs(folder: Path, limit: int, as_json: bool) -> None:
    """List the runs of a local store, newest first."""
    found = asyncio.run(_read(folder, limit))
    if as_json:
        output.as_json(found)
    elif found:
        output.runs(output.console(), found)
    else:
        click.echo("no runs yet")


@click.command()
@click.argument("run")
@folder
@click.option("--json", "as_json", is_flag=True, help="Print the whole document as JSON.")
def show(run: str, folder: Path, as_json: bool) -> None:
    """Show one run of a local store: its timeline, and why it ended as it did. RUN may be shortened."""
    found = [one for one in asyncio.run(_read(folder, MOST)) if one.id.startswith(run) or one.id.endswith(run)]
    exact = [one for one in found if one.id == run] or found
    if len(exact) != 1:
        several = ", ".join(one.id for one in exact[:5])
        raise click.ClickException(f"{run} is ambiguous: {several}" if exact else f"there is no run {run}")
    if as_json:
        output.as_json(exact[0])
    else:
        output.run(output.console(), exact[0])


async def _read(folder: Path, limit: int) -> list[Run]:
    try:
        store = open_store(folder)
    except FileNotFoundError as error:
        raise click.ClickException(f"there is no store in {folder}; start one with `signalbox up`") from error
    try:
        found = await store.query(Run, order_by="created_at", descending=True, limit=limit)
    except SignalboxError as error:
        raise click.ClickException(str(error)) from error
    finally:
        await store.close()
    return [one.document for one in found]
