"""signalbox up: leave everything running until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from local.backend import DEFAULT_DIRECTORY, DIRECTORY, DOCUMENTS, MESSAGES
from local.called import command
from local.cli import output
from local.engines import KINDS, Kind
from local.folder import held
from local.host import VENDOR_PORTS, Host, Options, running
from local.place import CONFIGURATION
from local.scene import PREVIOUS_COMMIT
from local.serving import bind
from local.vendors import APP_ID, REPOSITORY, variable
from shared import log, secrets
from shared.errors import ConfigError, SignalboxError
from shared.settings import read

ENVIRONMENT = "environment"
"""File in the folder of the store: `set -a; . .signalbox/environment; set +a` in another terminal."""
LOG = "functions.log"
_FACTORIES: dict[Kind, str] = {"embedded": "open_backend", "emulators": "open_emulated"}


@click.command()
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65500),
    help="Of the functions; the simulated vendors take the next ones; 0 takes free ones.",
)
@click.option(
    "--backend", type=click.Choice(KINDS), default="embedded", show_default=True, help="What carries the functions."
)
@click.option("--json", "as_json", is_flag=True, help="Print the addresses and secrets as one JSON document.")
@click.option("--log", "show_log", is_flag=True, help="Print the functions' log on standard error, not to a file.")
def up(port: int, backend: Kind, as_json: bool, show_log: bool) -> None:
    """Start the functions, the bus, the store and the simulated vendors, and leave them running until Ctrl-C.

    The functions' log goes to functions.log in the folder. Secrets come from the environment (GITHUB_WEBHOOK_SECRET,
    …) or are made up and shown. The store starts empty; `signalbox runs` and `signalbox show` read it from another
    terminal.
    """
    folder = Path(os.environ.get(DIRECTORY) or DEFAULT_DIRECTORY)
    try:
        log.configure(read(os.environ), sys.stderr)
        with held(folder):
            _refuse_taken_ports(port)
            _empty(folder)
            with contextlib.nullcontext() if show_log else _logging_to(folder / LOG):
                asyncio.run(_run(Options(port=port, folder=folder, backend=backend), as_json, show_log))
    except (SignalboxError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _refuse_taken_ports(first: int) -> None:
    """Before anything is changed. Raises ConfigError."""
    for port in range(first, first + 1 + len(VENDOR_PORTS)) if first else ():
        try:
            bind(port).close()
        except OSError as error:
            raise ConfigError(f"port {port}: {error.strerror}; choose others with --port (0: free ones)") from error


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """The sweep alone logs several times a second: on a terminal the addresses would scroll away."""
    settings = read(os.environ)
    with path.open("w", encoding="utf-8", buffering=1) as kept:
        log.configure(settings, kept)
        try:
            yield
        finally:
            log.configure(settings, sys.stderr)


def _empty(folder: Path) -> None:
    """Remove what an earlier start left there, and nothing else."""
    (folder / ENVIRONMENT).unlink(missing_ok=True)
    for name in (DOCUMENTS, MESSAGES):
        for path in folder.glob(f"{name}*"):
            path.unlink()


async def _run(options: Options, as_json: bool, show_log: bool) -> None:
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    async with running(options) as host:
        host.vendors.furnish(serving_commit=PREVIOUS_COMMIT)
        number = host.vendors.github.open_pull_request(REPOSITORY, title="Faster checkout", author="ada")
        host.vendors.github.report_check(REPOSITORY, number, "test", "success")
        with _environment(host):
            _show(host, as_json, "standard error" if show_log else str(options.folder / LOG))
            await stop.wait()
    if not as_json:
        click.echo("stopped")


@contextlib.contextmanager
def _environment(host: Host) -> Iterator[None]:
    """What makes this emulation another terminal's project, in a file that a shell reads and only its owner may."""
    folder, factory = host.options.folder.absolute(), _FACTORIES[host.options.backend]
    variables = {
        **host.engine.environ,
        **{variable(name): host.secrets[variable(name)] for name in secrets.NAMES},
        "GITHUB_APP_ID": APP_ID,
        "GITHUB_API_URL": host.urls["github"],
        "RAILWAY_API_URL": f"{host.urls['railway']}/graphql/v2",
        "SIGNALBOX_ALLOW_LOOPBACK": "true",
        "SIGNALBOX_BACKEND": f"local.backend:{factory}",
        "SIGNALBOX_CONFIG": str(folder / CONFIGURATION),
        DIRECTORY: str(folder),
    }
    path = folder / ENVIRONMENT
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()), encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _show(host: Host, as_json: bool, logged_to: str) -> None:
    shown = {variable(name): host.secrets[variable(name)] for name in secrets.NAMES}
    urls = {
        "github webhook": f"{host.urls['functions']}/github-webhook",
        "railway webhook": f"{host.urls['functions']}/railway-webhook",
        "console": f"{host.urls['functions']}/runs",
        **host.urls,
    }
    if as_json:
        output.as_json({"urls": urls, "secrets": shown, "store": str(host.options.folder), "log": logged_to})
        return
    out = output.console()
    output.addresses(out, urls)
    for name, value in shown.items():
        out.print(f"  {name}={'(a private key)' if 'PRIVATE_KEY' in name else value}", soft_wrap=True)
    out.print(f"  functions' log: {logged_to}", soft_wrap=True)
    _show_what_to_do(host)


def _show_what_to_do(host: Host) -> None:
    people = host.urls["people"]
    click.echo(
        "\nPull request #1 is open in the simulated GitHub, its check green. Be one of its people: have it merged and\n"
        "deployed; open #2, and merge that yourself; read what Signalbox says there.\n"
        f'  curl -X POST {people}/pulls/1/comments -d \'{{"by": "grace", "body": "/deploy"}}\'\n'
        f'  curl -X POST {people}/pulls -d \'{{"by": "ada", "title": "Another"}}\'\n'
        f'  curl -X POST {people}/pulls/2/merge -d \'{{"by": "ada"}}\'\n'
        f"  curl {people}/pulls/2/comments\n"
        f"Look on from another terminal: {command()} runs\nCtrl-C ends it."
    )
