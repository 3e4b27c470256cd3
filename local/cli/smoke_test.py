"""signalbox smoke-test: does what was deployed just now work."""

from __future__ import annotations

import asyncio
import sys

import click

from local.cli import output
from local.operating import smoke
from shared.runtime.redaction import remember


@click.command(name="smoke-test")
@click.option("--console", required=True, metavar="URL", help="The console, as `terraform output console_url` says.")
@click.option("--webhook", required=True, metavar="URL", help="Where GitHub's webhooks go.")
@click.option("--within", default=180, show_default=True, type=click.IntRange(0, 3600), help="Seconds until it fails.")
@click.option(
    "--token",
    envvar="SIGNALBOX_IDENTITY_TOKEN",
    show_envvar=True,
    default="",
    help="Google's identity token for the console, which is private.",
)
def smoke_test(console: str, webhook: str, within: int, token: str) -> None:
    """See that the console is healthy, and that the webhooks refuse an unsigned one. Exit code 0 when so."""
    remember(token)
    found = asyncio.run(smoke.problems(console, webhook, token=token.strip(), within=within))
    for problem in found:
        output.echo(problem)
    if found:
        sys.exit(1)
    output.echo("the console is healthy, and the webhooks refuse unsigned requests")
