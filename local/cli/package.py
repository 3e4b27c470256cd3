"""signalbox package: one deployment package per function."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec.structs import asdict
from rich.table import Table

from local.cli import output
from local.doctor.railway_tokens import OWN_TOKEN, REPLACE_TOKEN
from local.packaging import packages
from shared.errors import SignalboxError
from shared.runtime import config as configuration


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
    """Write one zip per function, as Cloud Functions takes it; the same source gives the same bytes.

    Standard error has a warning of each setting that has a new name, and of each token of Railway that is wider than
    its targets.
    """
    try:
        made = packages.build(out, config=config)
    except (SignalboxError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for warning in _warnings(configuration.load(config or packages.ROOT / packages.CONFIG)):
        output.echo(f"warning: {config or packages.CONFIG}: {warning}", err=True)
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


def _warnings(configured: configuration.Config) -> list[str]:
    """Of each renamed setting, and of each token of Railway that opens more than its targets, or not all of them."""
    found = list(configured.renamed)
    for token, targets in configured.railway_tokens.items():
        used = f"{token.secret}, for {', '.join(target.id for target in targets)}, is"
        environments = {(target.project_id, target.environment_id) for target in targets}
        if token.kind == "account":
            found.append(f"{used} an account or workspace token, which opens all that its owner has. {REPLACE_TOKEN}")
        elif len(environments) > 1:
            found.append(f"{used} one project token, and they are {len(environments)} environments. {OWN_TOKEN}")
    return found
