"""signalbox github: what an operator asks of GitHub as the App, with the permissions that the App has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
from rich.table import Table

from local.cli import output
from shared.clients.github.operator import GitHubOperator, Limit
from shared.errors import NotFound, SignalboxError, TransientError, Unauthorized, UnknownOutcome
from shared.runtime.services import current

T = TypeVar("T")
NEXT_STEPS: dict[type[SignalboxError], str] = {
    NotFound: "See that the names are right, and that the App is installed on the repository.",
    Unauthorized: "`signalbox doctor` says what the App's key is worth, and which permissions it lacks.",
    UnknownOutcome: "It may have been done anyway: check before you try again.",
    TransientError: "Do the same again a little later.",
}
repository = click.argument("repository")


@click.group()
def github() -> None:
    """Ask GitHub something, as the App that the environment names."""


@github.command(name="run-workflow")
@repository
@click.argument("workflow")
@click.option("--ref", default="main", show_default=True, help="The branch or tag to run it on.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="One of its inputs; may be repeated.")
def run_workflow(repository: str, workflow: str, ref: str, inputs: tuple[str, ...]) -> None:
    """Start WORKFLOW, a file such as release.yml, of REPOSITORY (owner/name). The App needs actions: write."""
    given = dict(_pair(text) for text in inputs)
    started = _ask(lambda operator: operator.start_workflow(repository, workflow, ref=ref, inputs=given))
    output.echo(started.url if started else f"{workflow} is started")


@github.command(name="open-pull-request")
@repository
@click.option("--head", required=True, help="The branch with the commits.")
@click.option("--base", default="main", show_default=True, help="The branch to merge them into.")
@click.option("--title", required=True)
@click.option("--body", default="", help="What changes, and why.")
@click.option("--draft", is_flag=True)
def open_pull_request(repository: str, head: str, base: str, title: str, body: str, draft: bool) -> None:
    """Open a pull request in REPOSITORY (owner/name). One that exists already is left as it is."""
    opened = _ask(
        lambda operator: operator.open_pull_request(
            repository, title=title, head=head, base=base, body=body, draft=draft
        )
    )
    output.echo(opened.url)


@github.command(name="rate-limits")
@repository
@click.option("--json", "as_json", is_flag=True, help="Print them as one JSON document.")
def rate_limits(repository: str, as_json: bool) -> None:
    """Show what is left of the hourly limits of the App's installation on REPOSITORY (owner/name)."""
    limits = _ask(lambda operator: operator.rate_limits(repository))
    if as_json:
        output.as_json(limits)
    else:
        _table(limits)


def _ask(work: Callable[[GitHubOperator], Awaitable[T]]) -> T:
    """An error of ours is told in one line, with exit code 1."""

    async def opened() -> T:
        services = current()
        try:
            return await work(GitHubOperator(services.github.app))
        finally:
            await services.close()

    try:
        return asyncio.run(opened())
    except SignalboxError as error:
        raise output.failure(error, NEXT_STEPS) from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--input")
    return name, value


def _table(limits: dict[str, Limit]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("resource", "left", "of", "until (UTC)"):
        table.add_column(title, no_wrap=True)
    for name, limit in limits.items():
        table.add_row(name, str(limit.remaining), str(limit.limit), f"{limit.resets_at:%Y-%m-%d %H:%M:%S}")
    output.console().print(table)
