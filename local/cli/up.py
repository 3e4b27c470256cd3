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

from local.cli import output
from local.cli.called import command
from local.demo.driver import PREVIOUS_COMMIT
from local.emulation.backend import DEFAULT_DIRECTORY, DIRECTORY, DOCUMENTS, MESSAGES
from local.emulation.backends import KINDS, Kind
from local.emulation.folder import held, write
from local.emulation.host import Host, Options, Played, configuration, running
from local.emulation.serving import bind
from local.operating.workplace import CONFIGURATION
from local.world.people import CHECK
from local.world.vendors import APP_ID, variable
from shared.errors import ConfigError, SignalboxError
from shared.runtime import log
from shared.runtime.settings import read

ENVIRONMENT = "environment"
"""File in the folder of the store: `set -a; . .signalbox/environment; set +a` in another terminal."""
LOG = "functions.log"
VENDORS = 5
"""Simulated vendors that have a port each, beside the applications."""
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
    "--config",
    "settings_file",
    type=click.Path(path_type=Path),
    default=None,
    help="The signalbox.toml to play; by default the one of this folder, else settings made up for the purpose.",
)
@click.option("--real-time", is_flag=True, help="Keep the times of the file's policy: a minute lasts a minute.")
@click.option("--backend", type=click.Choice(KINDS), default="embedded", show_default=True, help="Backend to run on.")
@click.option("--json", "as_json", is_flag=True, help="Print the addresses and secrets as one JSON document.")
@click.option("--log", "show_log", is_flag=True, help="Print the functions' log on standard error, not to a file.")
def up(port: int, settings_file: Path | None, real_time: bool, backend: Kind, as_json: bool, show_log: bool) -> None:
    """Start the functions, the bus, the store and the simulated vendors, and leave them running until Ctrl-C.

    It plays your signalbox.toml: for each of its targets there is a simulated repository, service and application. A
    minute of its policy lasts a second, and deadlines are a minute and a half at least, unless --real-time is given.
    `signalbox try` makes things happen there.

    The functions' log goes to functions.log in the folder. Secrets come from the environment (GITHUB_WEBHOOK_SECRET,
    …) or are made up and shown. The store starts empty; `signalbox runs` and `signalbox show` read it from another
    terminal.
    """
    folder = Path(os.environ.get(DIRECTORY) or DEFAULT_DIRECTORY)
    try:
        log.configure(read(os.environ), sys.stderr)
        with held(folder):
            options = Options(port=port, folder=folder, backend=backend, played=_played(settings_file, real_time))
            _refuse_taken_ports(port, VENDORS + len(configuration(options).targets))
            _empty(folder)
            with contextlib.nullcontext() if show_log else _logging_to(folder / LOG):
                asyncio.run(_run(options, as_json, show_log))
    except (SignalboxError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _played(named: Path | None, real_time: bool) -> Played | None:
    """The file that was named, or that of this folder. Raises ConfigError when it cannot be read."""
    path = named or Path(read(os.environ).signalbox_config)
    if named is None and not path.is_file():
        return None
    try:
        return Played(path.read_text(encoding="utf-8-sig"), str(path), real_time)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _refuse_taken_ports(first: int, others: int) -> None:
    """Before anything is changed. Raises ConfigError."""
    for port in range(first, first + 1 + others) if first else ():
        try:
            bind(port).close()
        except OSError as error:
            raise ConfigError(f"port {port}: {error.strerror}; choose others with --port (0: free ones)") from error


@contextlib.contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """The sweep alone logs several times a second: on a terminal the addresses would scroll away."""
    settings = read(os.environ)
    write(path, "")
    with path.open("a", encoding="utf-8", buffering=1) as kept:
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
        target = host.vendors.configured.targets[0]
        github = host.vendors.github
        number = github.open_pull_request(target.repository, title="Faster checkout", author="ada", base=target.branch)
        github.report_check(target.repository, number, CHECK, "success")
        with _environment(host):
            _show(host, as_json, "standard error" if show_log else str(options.folder / LOG))
            await stop.wait()
    if not as_json:
        output.echo("stopped")


@contextlib.contextmanager
def _environment(host: Host) -> Iterator[None]:
    """What makes this emulation another terminal's project, in a file that a shell reads and only its owner may."""
    folder, factory = host.options.folder.absolute(), _FACTORIES[host.options.backend]
    variables = {
        **host.engine.environ,
        **{variable(name): host.secrets[variable(name)] for name in host.vendors.configured.secrets},
        "GITHUB_APP_ID": APP_ID,
        "GITHUB_API_URL": host.urls["github"],
        "RAILWAY_API_URL": f"{host.urls['railway']}/graphql/v2",
        "SIGNALBOX_ALLOW_LOOPBACK": "true",
        "SIGNALBOX_BACKEND": f"local.emulation.backend:{factory}",
        "SIGNALBOX_CONFIG": str(folder / CONFIGURATION),
        DIRECTORY: str(folder),
    }
    path = folder / ENVIRONMENT
    write(path, "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _show(host: Host, as_json: bool, logged_to: str) -> None:
    shown = {variable(name): host.secrets[variable(name)] for name in host.vendors.configured.secrets}
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
    played, attempt = host.options.played, f"{command()} try"
    target = host.vendors.configured.targets[0]
    if played is not None:
        pace = "its times as they are" if played.real_time else "a minute of its policy lasting a second"
        names = ", ".join(one.name for one in host.vendors.configured.targets)
        output.echo(f"\nThis plays {played.source}, {pace}: {names}")
    lines = {
        f'{attempt} comment 1 "/deploy {target.name}"': "have it merged and deployed",
        f"{attempt} comments 1": "what Signalbox says there",
        f"{attempt} fail-next unhealthy": "what becomes of the next version",
        f'{attempt} open "Another"': "open #2",
        f"{attempt} merge 2": "and merge it by hand",
        f"{attempt} --help": "crash, label, review, slow-ci, …",
        f"{command()} runs": "what became of it",
    }
    width = max(map(len, lines))
    output.echo(
        f"\nPull request #1 of {target.repository} is open in the simulated GitHub, its check green. From another\n"
        "terminal, be one of its people (ada is an admin, grace may write, mallory may only read):"
    )
    for line, what in lines.items():
        output.echo(f"  {line:<{width}}  # {what}")
    output.echo(f"The same by HTTP: {host.urls['people']}")
    output.echo("The functions accept every call here, without the tokens that Google's callers send.\nCtrl-C ends it.")
