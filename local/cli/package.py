"""signalbox package: one deployment package per function."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec.structs import asdict
from rich.table import Table

from local import packages
from local.cli import output
from shared.errors import SignalboxError


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/packages"),
    show_default=True,
    help="The folder to write NAME.zip of each function to.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The signalbox.toml to put in.  [default: that of the repository]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the packages as JSON.")
def package(out: Path, config: Path | None, as_json: bool) -> None:
    """Write one zip per function, as Cloud Functions takes it; the same source gives the same bytes."""
    try:
        made = packages.build(out, config=config)
    except (SignalboxError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        output.as_json([{**asdict(one), "file": str(one.file)} for one in made])
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("function")
    table.add_column("bytes", justify="right")
    table.add_column("sha256")
    table.add_column("requirements", justify="right")
    for one in made:
        table.add_row(one.function, f"{one.bytes:,}", one.sha256, str(len(one.requirements)))
    output.console().print(table)
