"""signalbox secrets: how old each is, and one replaced by a new value, step by step."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
from msgspec import Struct
from rich.table import Table

from local.called import command
from local.cli import output
from local.doctor import Finding, Subject, examine
from local.place import PROJECT
from local.rotation import kinds
from local.rotation.versions import GoogleVersions, Version, Versions
from shared import config
from shared.errors import ConfigError, Refused, SecretMissing, SignalboxError
from shared.secrets import N8N_API
from shared.services import open_services
from shared.settings import given, read

T = TypeVar("T")
LIMIT_DAYS = 90
EXPIRING_DAYS = 14
READ_WITHIN = "five minutes"
"""After which every function has read a new version (LIFETIME in shared/secrets.py)."""
LONGEST = 64 * 1024
"""Bytes: Secret Manager takes no larger value (cloud.google.com/secret-manager/quotas)."""


class Status(Struct, frozen=True, kw_only=True):
    """One secret. `state`: `ok`, `expiring` (within two weeks), `expired`, or `missing`."""

    name: str
    state: str
    days: int | None
    enabled: tuple[int, ...]
    limit: int


@click.group()
def secrets() -> None:
    """The secrets of the project that GOOGLE_CLOUD_PROJECT names: how old they are, and how to replace one."""


@secrets.command()
@click.option(
    "--limit", default=LIMIT_DAYS, show_default=True, type=click.IntRange(1, 3650), help="Days one may be old."
)
@click.option("--json", "as_json", is_flag=True, help="Print the secrets as JSON.")
def status(limit: int, as_json: bool) -> None:
    """List every secret that signalbox.toml uses with its age. The exit code is 1 when one is too old or missing."""
    found = _with_versions(lambda versions: statuses(versions, _names(), limit, datetime.now(UTC)))
    if as_json:
        output.as_json(found)
    else:
        _show(found)
    if any(one.state in ("expired", "missing") for one in found):
        sys.exit(1)


@secrets.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Print the steps, and do nothing.")
@click.option("--yes", is_flag=True, help="Whoever else has the secret has the new value already: ask nothing.")
def rotate(name: str, dry_run: bool, yes: bool) -> None:
    """Replace the secret NAME by a new value: both are accepted until the new one is seen to work.

    It begins where an earlier attempt stopped. The value is typed in, or read from standard input; it is never shown.
    """
    known = _names()
    if name not in known:
        raise click.UsageError(f"signalbox.toml uses no secret {name}; it uses: {', '.join(known)}")
    if dry_run:
        for step in steps(name):
            output.echo(step)
        return
    _with_versions(lambda versions: _rotate(versions, name, yes=yes))


async def statuses(versions: Versions, names: Sequence[str], limit: int, now: datetime) -> list[Status]:
    return [await _status(versions, name, limit, now) for name in names]


async def _status(versions: Versions, name: str, limit: int, now: datetime) -> Status:
    try:
        enabled = [one for one in await versions.list(name) if one.state == "enabled"]
    except SecretMissing:
        enabled = []
    if not enabled:
        return Status(name=name, state="missing", days=None, enabled=(), limit=limit)
    days = (now - enabled[0].created_at).days
    state = "expired" if days >= limit else "expiring" if days >= limit - EXPIRING_DAYS else "ok"
    return Status(name=name, state=state, days=days, enabled=tuple(one.number for one in enabled), limit=limit)


def steps(name: str) -> list[str]:
    """What `rotate` does, in words."""
    kind = kinds.kind_of(name)
    proof = ", ".join(kind.proof)
    return [
        f"1. {kind.make}",
        f"2. The new value becomes the newest version of {name}. Functions read it within {READ_WITHIN}; both count.",
        f"3. {kind.give} {kind.gap}".rstrip(),
        f"4. `{command()} doctor` has to find well: {proof}.",
        "5. The old versions are disabled. They are not destroyed: `gcloud secrets versions enable` brings one back.",
        *([f"6. {kinds.afterwards(name)}"] if kinds.afterwards(name) else []),
    ]


async def _rotate(versions: Versions, name: str, *, yes: bool) -> None:
    kind = kinds.kind_of(name)
    enabled = [one for one in await versions.list(name) if one.state == "enabled"]
    if len(enabled) < 2:
        output.echo(kind.make)
        new = await versions.add(name, _value(name))
        output.echo(f"{name} has version {new} now. The way back: {_gcloud('disable', name, new)}")
        old = enabled
    else:
        new, old = enabled[0].number, enabled[1:]
        numbers = ", ".join(str(one.number) for one in old)
        output.echo(f"{name} is being rotated already: version {new} is new, {numbers} old. This goes on from there.")
    output.echo(f"{kind.give} {kind.gap}".rstrip())
    if not yes and not sys.stdin.isatty():
        output.echo(f"Then run `{command()} secrets rotate {name} --yes`: it goes on from here.")
        return
    if not yes:
        click.confirm("Done?", abort=True)
    await _prove(name, new)
    await _disable(versions, name, old)
    output.echo("\n".join(part for part in (f"{name} is rotated.", kinds.afterwards(name)) if part))


async def _prove(name: str, new: int) -> None:
    """Raises ClickException when the new value does not work, with the way back."""
    bad = [one for one in await proof_of(name) if one.state == "failed"]
    for finding in bad:
        output.echo(f"{finding.subject} {finding.about}: {finding.detail}".rstrip(), err=True)
    if bad:
        raise click.ClickException(
            f"version {new} of {name} does not work, and nothing was disabled. Mend it and run this again, or go back: "
            f"{_gcloud('disable', name, new)}"
        )
    output.echo(f"version {new} works")


async def proof_of(name: str) -> list[Finding]:
    """What the doctor finds of what the secret is for; of n8n's, whether it accepts what is signed with it."""
    wanted = kinds.kind_of(name).proof
    found = [
        one
        for one in await examine(os.environ)
        if one.subject in wanted and (one.subject is not Subject.RAILWAY_TOKEN or one.about == name)
    ]
    return found + ([] if name != N8N_API else await _signed_call())


async def _signed_call() -> list[Finding]:
    """A notification without content is refused by the workflow, and only once n8n has accepted the signature."""
    services = open_services(os.environ)
    try:
        if services.n8n is None or services.config.n8n is None:
            return []
        await services.n8n.call(services.config.n8n.notification, {}, idempotency_key="rotation")
    except Refused as error:
        if "invalid_notification" in str(error):
            return []
        return [_failed(str(error))]
    except SignalboxError as error:
        return [_failed(str(error))]
    finally:
        await services.close()
    return []


def _failed(detail: str) -> Finding:
    return Finding(subject=Subject.N8N_WORKFLOW, state="failed", detail=detail)


async def _disable(versions: Versions, name: str, old: Sequence[Version]) -> None:
    for version in old:
        await versions.disable(name, version.number)
        output.echo(f"version {version.number} is disabled. The way back: {_gcloud('enable', name, version.number)}")


def _value(name: str) -> bytes:
    """Typed in without being shown, or all of standard input."""
    if sys.stdin.isatty():
        text = click.prompt(f"The new value of {name}", hide_input=True, confirmation_prompt=False, type=str)
        value = str(text).encode()
    else:
        value = sys.stdin.buffer.read(LONGEST + 1)
    value = value.strip()
    if not value or len(value) > LONGEST:
        raise click.ClickException(f"the value has to have 1 to {LONGEST} bytes; nothing was changed")
    return value


def _gcloud(what: str, name: str, number: int) -> str:
    return f"gcloud secrets versions {what} {number} --secret={name}"


def _names() -> tuple[str, ...]:
    try:
        return kinds.names_of(config.load(Path(read(os.environ).signalbox_config)))
    except SignalboxError as error:
        raise click.ClickException(str(error)) from error


def _with_versions(work: Callable[[Versions], Awaitable[T]]) -> T:
    async def opened() -> T:
        versions = _open()
        try:
            return await work(versions)
        finally:
            await versions.close()

    try:
        return asyncio.run(opened())
    except SignalboxError as error:
        raise click.ClickException(str(error)) from error


def _open() -> Versions:
    """Raises ConfigError where no project is named: elsewhere secrets are environment variables, without an age."""
    project = given(os.environ, PROJECT).removeprefix("projects/").strip("/")
    if not project:
        raise ConfigError(f"set {PROJECT}: secrets have versions in Secret Manager; on a laptop they are variables")
    return GoogleVersions(project)


def _show(found: Sequence[Status]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("secret", "age in days", "limit", "versions", "state"):
        table.add_column(title)
    for one in found:
        colour = {"ok": "green", "expiring": "yellow"}.get(one.state, "red")
        days = "" if one.days is None else str(one.days)
        numbers = ", ".join(map(str, one.enabled))
        table.add_row(one.name, days, str(one.limit), numbers, f"[{colour}]{one.state}[/]")
    out = output.console()
    out.print(table)
    for one in found:
        if one.state == "missing":
            out.print(f"→ {one.name} has no enabled version: `gcloud secrets versions add {one.name} --data-file=-`")
        elif one.state != "ok":
            out.print(f"→ `{command()} secrets rotate {one.name}`")
