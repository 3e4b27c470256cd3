"""signalbox github-app: what the GitHub App has to be, and one click that makes it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click
import httpx
from rich.markup import escape

from local.cli import output
from local.doctor.github import PATH
from local.emulation.serving import bind, served, url_of
from local.github_app import credentials
from local.github_app.manifest import LONGEST_NAME, NAME, manifest
from local.github_app.page import Page
from shared.clients.github.manifest import NewApp, convert
from shared.errors import NotFound, SignalboxError, UnknownOutcome
from shared.runtime import settings

HOUR = 3600
"""Seconds that GitHub gives for the whole of it (docs: "Registering a GitHub App from a manifest")."""
FOLDER = Path("github-app")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}")
_out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="The folder that gets a file for each secret, readable for you alone.",
)


def _webhook(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        given = httpx.URL(value)
    except httpx.InvalidURL as error:
        raise click.BadParameter(str(error), param=param) from error
    if given.scheme != "https" or not given.host or given.path != PATH:
        raise click.BadParameter(f"{value!r} is not an https address that ends with {PATH}", param=param)
    return value


def _organization(_: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _OWNER.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not the name of an organization on GitHub", param=param)
    return value


def _described(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what the App is to be."""
    for option in (
        click.option("--workflows", is_flag=True, help="Also actions: write, to start workflows as an operator."),
        click.option(
            "--organization",
            callback=_organization,
            help="The organization that is to own it.  [default: the user who is signed in]",
        ),
        click.option(
            "--name", default=NAME, show_default=True, help="Unique on all of GitHub; you can change it on the page."
        ),
        click.option(
            "--url", callback=_webhook, help="Where its webhooks go, as `terraform output webhook_urls` says."
        ),
    ):
        command = option(command)
    return command


@click.group(name="github-app")
def github_app() -> None:
    """Register the GitHub App that Signalbox works as."""


@github_app.command(name="manifest")
@_described
@click.option("--json", "as_json", is_flag=True, help="Print it as GitHub takes it.")
def show(url: str | None, name: str, organization: str | None, workflows: bool, as_json: bool) -> None:
    """Print the App's manifest: exactly the permissions and events that Signalbox uses."""
    made = _manifest(url, name, organization, workflows)
    if as_json:
        output.as_json(made)
        return
    out = output.console()
    out.print(f"name         {escape(made['name'])}")
    out.print(f"webhook      {escape(made['hook_attributes']['url'])}")
    out.print("permissions  " + ", ".join(f"{name}: {level}" for name, level in made["default_permissions"].items()))
    out.print("events       " + ", ".join(made["default_events"]))


@github_app.command()
@_described
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of the page.  [default: a free one]")
@_out
def create(url: str | None, name: str, organization: str | None, workflows: bool, port: int, out: Path) -> None:
    """Show a page with a button that registers the App, and keep the credentials that GitHub answers with.

    The browser has to be on this machine: GitHub sends it back here. Where it is not, take the code from the address
    that it cannot reach, and give it to `signalbox github-app convert`.
    """
    _made(_created(_manifest(url, name, organization, workflows), organization, port, out), out, url is None)


@github_app.command(name="convert")
@click.argument("code")
@_out
def convert_code(code: str, out: Path) -> None:
    """Keep the credentials of the App that was registered with CODE, within an hour, once."""
    _made(_converted(code, out), out, False)


def _manifest(url: str | None, name: str, organization: str | None, workflows: bool) -> dict[str, Any]:
    if not 1 <= len(name) <= LONGEST_NAME:
        raise click.BadParameter(f"1 to {LONGEST_NAME} characters", param_hint="--name")
    homepage = f"https://github.com/{organization or ''}"
    return manifest(name=name, homepage=homepage, webhook=url, workflows=workflows)


async def _created(made: dict[str, Any], organization: str | None, port: int, out: Path) -> NewApp:
    credentials.make_folder(out)
    listening = bind(port)
    page = Page(made, organization=organization, origin=url_of(listening))
    async with served((page, listening)):
        output.echo(f"Open {url_of(listening)} in a browser on this machine.")
        async with asyncio.timeout(HOUR):
            code = await page.code
    return await _converted(code, out)


async def _converted(code: str, out: Path) -> NewApp:
    credentials.make_folder(out)
    return await convert(code, base_url=settings.read(os.environ).github_api_url)


def _made(work: Coroutine[Any, Any, NewApp], out: Path, without_address: bool) -> None:
    """Carries it out and says how to go on; what went wrong is told in one line, with exit code 1."""
    try:
        made = asyncio.run(work)
        by_github = credentials.keep(out, made)
    except NotFound as error:
        raise click.ClickException(f"GitHub does not take the code (used, or an hour old): {error}") from error
    except UnknownOutcome as error:
        lost = "if the code is used up, delete the App and start again"
        raise click.ClickException(f"{error}; try `signalbox github-app convert`; {lost}") from error
    except TimeoutError as error:
        raise click.ClickException("the button was not pressed within an hour") from error
    except (SignalboxError, OSError) as error:
        raise click.ClickException(str(error)) from error
    _tell(made, out, by_github=by_github, without_address=without_address)


def _tell(made: NewApp, out: Path, *, by_github: bool, without_address: bool) -> None:
    """Everything but the secrets."""
    output.echo(f"{made.slug} is registered: {made.html_url}")
    output.echo(f'\nIn your .tfvars:\n  github_app_id = "{made.client_id}"')
    output.echo(f"\nIts credentials are in {out}, for you alone. When the secrets' containers are there:")
    for name in credentials.FILES:
        output.echo(f"  gcloud secrets versions add {name} --data-file={out / name}")
    output.echo(f"  rm -r {out}")
    if without_address:
        output.echo(
            "\nIts webhooks go nowhere yet: paste the address from `terraform output webhook_urls` in its settings."
        )
    if not by_github:
        output.echo(f"GitHub made no secret for its webhook: paste that in {out / credentials.FILES[1]} there, too.")
    output.echo(f"\nThen install it: {made.html_url}/installations/new")
