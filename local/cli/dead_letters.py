"""signalbox dead-letters: messages that no attempt could deliver, and what to do with them."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from local.cli import output
from local.cli.opening import at_place, folder
from local.operating.messages import DeadLetter
from local.operating.workplace import Place


@click.group(name="dead-letters")
def dead_letters() -> None:
    """See to the messages that their function never took: list, show, redrive, drop."""


@dead_letters.command(name="list")
@folder
@click.option("--json", "as_json", is_flag=True, help="Print them whole, as JSON.")
def list_(folder: Path, as_json: bool) -> None:
    """List them, oldest first."""
    letters = at_place(folder, lambda place: place.messages.dead_letters())
    if as_json:
        output.as_json(letters)
    elif not letters:
        output.echo("no dead letters")
    else:
        _table(letters)


@dead_letters.command()
@click.argument("id")
@folder
def show(id: str, folder: Path) -> None:
    """Print one whole, as JSON."""
    output.as_json(at_place(folder, lambda place: _find(place, id)))


@dead_letters.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All there are.")
@folder
def redrive(ids: tuple[str, ...], every: bool, folder: Path) -> None:
    """Deliver them again, once their cause is mended."""
    for id in at_place(folder, lambda place: _each(place, ids, every, "redrive")):
        output.echo(f"{id}: delivered again")


@dead_letters.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All there are.")
@folder
def drop(ids: tuple[str, ...], every: bool, folder: Path) -> None:
    """Forget them."""
    for id in at_place(folder, lambda place: _each(place, ids, every, "drop")):
        output.echo(f"{id}: dropped")


async def _find(place: Place, id: str) -> DeadLetter:
    found = next((letter for letter in await place.messages.dead_letters() if letter.id == id), None)
    if found is None:
        raise click.ClickException(f"there is no dead letter {id} in {place.name}")
    return found


async def _each(place: Place, ids: tuple[str, ...], every: bool, what: str) -> list[str]:
    """Those it was done to. Raises ClickException at the first that does not exist."""
    if bool(ids) == every:
        raise click.UsageError("name dead letters, or say --all")
    wanted = [letter.id for letter in await place.messages.dead_letters()] if every else list(ids)
    do = place.messages.redrive if what == "redrive" else place.messages.drop
    for id in wanted:
        if not await do(id):
            raise click.ClickException(f"there is no dead letter {id} in {place.name}")
    return wanted


def _table(letters: list[DeadLetter]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("id", "since (UTC)", "subscription", "attempts", "last refusal", "message"):
        table.add_column(title, no_wrap=True)
    for letter in letters:
        reason, text = escape(letter.reason[:40]), escape(letter.data[:60])
        at = f"{letter.dead_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(letter.id, at, letter.subscription, str(letter.attempts), reason, text)
    output.console().print(table)
