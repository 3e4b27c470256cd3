"""How the command shows things: a timeline as it happens, runs, JSON. Plain lines when nobody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from local.cli.timeline import Expectation, Line
from shared.core.run import Run
from shared.errors import SignalboxError
from shared.runtime.escaping import json_text, terminal

_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "rolled_back": "yellow",
    "waiting": "cyan",
    "queued": "cyan",
    "superseded": "magenta",
    "cancelled": "magenta",
    "not_deployed": "magenta",
}


class _Console(Console):
    """Every text that it is given, a table's too, is words alone: it colours by its own marks, and obeys no others."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(terminal(text), **how)


def console() -> Console:
    """Colours only on a terminal; never wraps a line that another program may read."""
    made = _Console(highlight=False)
    if not made.is_terminal:
        made = _Console(highlight=False, width=200, soft_wrap=True)
    return made


def echo(text: str = "", *, err: bool = False) -> None:
    """A line as it is; of what a terminal would obey nothing is left."""
    click.echo(terminal(text), err=err)


def as_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json_text(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()))


def line(out: Console, shown: Line) -> None:
    """One line of the timeline."""
    at = f"[dim]{shown.at:%H:%M:%S}[/]"
    if shown.stage is None:
        out.print(f"{at}  [bold]→ {escape(shown.message)}[/]")
        return
    status = shown.status or ""
    colour = _COLOURS.get(status, "white")
    took = " " * 8 if shown.seconds is None else f"{shown.seconds:6.2f} s"
    out.print(f"{at}  {shown.stage:<9} [dim]{took}[/]  [{colour}]{status:<12}[/] {escape(shown.message)}")


def addresses(out: Console, urls: Mapping[str, str]) -> None:
    for name, url in urls.items():
        out.print(f"  {name:<12} {url}")


def expectations(out: Console, shown: Iterable[Expectation]) -> None:
    for expectation in shown:
        mark = "[green]✓[/]" if expectation.held else "[red]✗[/]"
        out.print(f"  {mark} {escape(expectation.text)}")


_WIDE = 140
_RUN: dict[str, Callable[[Run], str]] = {
    "run": lambda run: run.id,
    "kind": lambda run: run.kind,
    "started (UTC)": lambda run: f"{run.created_at:%Y-%m-%d %H:%M:%S}",
    "target": lambda run: run.target,
    "stage": lambda run: run.stage,
    "status": lambda run: f"[{_COLOURS.get(run.status, 'white')}]{run.status}[/]",
    "commit": lambda run: (run.commit_sha or "")[:7],
    "last": lambda run: escape(run.history[-1].message if run.history else ""),
}


def runs(out: Console, shown: Iterable[Run]) -> None:
    """A table; on a narrow terminal without what can be left out, so that the rest is there in whole."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    titles = [title for title in _RUN if out.width >= _WIDE or title not in ("started (UTC)", "target", "stage")]
    for title in titles:
        table.add_column(title, no_wrap=title != "last", overflow="fold")
    for run in shown:
        table.add_row(*(_RUN[title](run) for title in titles))
    out.print(table)


def warnings(out: Console, shown: Iterable[str]) -> None:
    for text in shown:
        out.print(f"[yellow]![/] {escape(text)}")


def run(out: Console, shown: Run) -> None:
    """One run: what it is, its timeline, and why it ended as it did."""
    pull = shown.pull_request
    out.print(f"[bold]{shown.id}[/]  {shown.kind} to {shown.target}")
    if pull:
        out.print(f"  pull request #{pull.number} by {escape(pull.author)}: {escape(pull.title)}  {pull.url}")
    out.print(f"  commit {shown.commit_sha or 'not known yet'}, requested by {escape(shown.trigger.actor)}")
    before = shown.created_at
    for entry in shown.history:
        seconds = (entry.at - before).total_seconds()
        line(out, Line(entry.at, shown.id, entry.stage, entry.status, entry.message, seconds))
        before = entry.at
    if shown.error:
        out.print(f"  [red]{shown.error.code}[/] {escape(shown.error.message)}")
        for text in shown.error.log_tail:
            out.print(f"    [dim]{escape(text)}[/]")


def failure(error: SignalboxError, next_steps: Mapping[type[SignalboxError], str]) -> click.ClickException:
    """What is told of the error: what it says, and the first next step that is for its kind."""
    next_step = next((step for kind, step in next_steps.items() if isinstance(error, kind)), "")
    return click.ClickException(f"{error}\n{next_step}".rstrip())
