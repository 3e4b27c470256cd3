"""signalbox workflows: the workflows of n8n-workflows/ to n8n and back, and one executed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click
from rich.markup import escape
from rich.table import Table

from local.cli import output
from local.n8n import files
from local.n8n.delivery import Server
from local.n8n.executing import ENDED_WITHIN, Executed, execute
from local.n8n.files import FOLDER, WorkflowFile
from local.n8n.opening import opened
from shared.errors import ConfigError, NotFound, SignalboxError, Unauthorized, Unavailable, UnknownOutcome

T = TypeVar("T")
NEXT_STEPS: dict[type[SignalboxError], str] = {
    Unauthorized: "See that N8N_API_KEY is an API key of this n8n (Settings, n8n API) and N8N-API the token its"
    " webhooks ask for.",
    NotFound: "See whether the workflow is there and active: `signalbox workflows list`, then push.",
    UnknownOutcome: "Nothing is lost: look with `signalbox workflows list`, then do the same again.",
    Unavailable: "See that n8n runs at the url of [n8n] in signalbox.toml, then do the same again.",
}

_names = click.argument("names", nargs=-1, metavar="[WORKFLOW]...")
_folder = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default="n8n-workflows",
    help="The folder of the workflows and their settings.toml.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group()
def workflows() -> None:
    """Bring the n8n workflows of this project to n8n, and back.

    n8n is the one of [n8n] in signalbox.toml, with an API key of it in N8N_API_KEY. WORKFLOW is a file's name without
    .json; all of them when left out.
    """


@workflows.command()
@_names
@_folder
@_json
def push(names: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Create or update by name, activate, and wait until the webhooks are there."""
    chosen = _chosen(folder, names)
    done = _at_n8n(folder, lambda server: server.push(chosen))
    if as_json:
        output.as_json(done)
        return
    for one in done:
        output.echo(f"{one.workflow}: {one.done}, active{f' at /webhook/{one.path}' if one.path else ''}")


@workflows.command()
@_names
@_folder
@_json
def pull(names: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Write what n8n has into the files, without credentials, settings, and what n8n adds."""
    chosen = _chosen(folder, names)
    changed = {file.stem for file in _at_n8n(folder, lambda server: server.pull(chosen, folder))}
    if as_json:
        output.as_json([{"workflow": file.stem, "changed": file.stem in changed} for file in chosen])
        return
    for file in chosen:
        output.echo(f"{file.stem}: {'written' if file.stem in changed else 'as it was'}")


@workflows.command("list")
@_folder
@_json
def list_(folder: Path, as_json: bool) -> None:
    """Which there are, whether n8n has them, and whether they are active."""
    chosen = _chosen(folder, ())
    states = _at_n8n(folder, lambda server: server.compare(chosen))
    if as_json:
        output.as_json(states)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("workflow", "in n8n", "id", "webhook"):
        table.add_column(title)
    for one in states:
        there = "missing" if one.id is None else "differs" if one.differs else "as the file"
        state = there if one.id is None or one.active else f"{there}, not active"
        table.add_row(one.workflow, state, one.id or "", escape(f"/webhook/{one.path}") if one.path else "")
    output.console().print(table)


@workflows.command()
@_names
@_folder
@_json
def diff(names: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """What a push would change, as a unified diff. The exit code is 1 when there is something."""
    chosen = _chosen(folder, names)
    states = _at_n8n(folder, lambda server: server.compare(chosen))
    if as_json:
        output.as_json(states)
    else:
        for one in states:
            if one.id is None:
                output.echo(f"{one.workflow}: n8n has none")
            elif not one.active:
                output.echo(f"{one.workflow}: not active")
            if one.differs:
                output.echo(one.differs)
    if any(one.differs or not one.active for one in states):
        sys.exit(1)


@workflows.command("execute")
@click.argument("name", metavar="WORKFLOW")
@click.option("--payload", type=click.File(encoding="utf-8"), help="A file with the JSON object to send; - for stdin.")
@click.option("--within", type=click.FloatRange(1), default=ENDED_WITHIN, show_default=True, help="Seconds to wait.")
@_folder
@_json
def execute_(name: str, payload: TextIO | None, within: float, folder: Path, as_json: bool) -> None:
    """Run WORKFLOW through its webhook, with the token N8N-API, and wait for the execution to end.

    The exit code is 0 when it succeeded and 1 when not.
    """
    sent = _payload(payload)
    (file,) = _chosen(folder, (name,))

    async def run(server: Server) -> Executed:
        return await execute(server.api, server.webhooks, await server.find(file), sent, within=within)

    done = _at_n8n(folder, run)
    if as_json:
        output.as_json({"ok": done.succeeded, "execution": done})
    else:
        _show(done)
    if not done.succeeded:
        sys.exit(1)


def _show(done: Executed) -> None:
    output.echo(f"execution {done.execution}: {done.status}")
    for text in (done.error and f"{done.last_node}: {done.error}", done.answer):
        if text:
            output.echo(f"  {text}")


def _payload(file: TextIO | None) -> dict[str, Any]:
    try:
        read = json.loads(file.read()) if file else {}
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--payload") from error
    if not isinstance(read, dict):
        raise click.BadParameter("is not a JSON object", param_hint="--payload")
    return read


def _chosen(folder: Path, names: Sequence[str]) -> list[WorkflowFile]:
    try:
        found = {file.stem: file for file in files.load(folder)}
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    unknown = [name for name in names if name not in found]
    if unknown:
        raise click.UsageError(f"there is no workflow {', '.join(unknown)}; there are {', '.join(found)}")
    return [found[name] for name in names] if names else [*found.values()]


def _at_n8n(folder: Path, work: Callable[[Server], Awaitable[T]]) -> T:
    """What the work comes to; an error of ours is told with what to do about it, with exit code 1."""

    async def at_work() -> T:
        async with opened(folder, os.environ) as server:
            return await work(server)

    try:
        return asyncio.run(at_work())
    except SignalboxError as error:
        raise output.failure(error, NEXT_STEPS) from error
