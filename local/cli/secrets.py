"""signalbox secrets: how old each is, and one replaced by a new value, step by step."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
from msgspec import Struct
from rich.table import Table

from local.cli import output
from local.cli.called import command
from local.doctor import Finding, Subject, examine
from local.doctor.google import CLOUD
from local.emulation.secrets import EnvironmentSecrets
from local.operating.rotation import kinds
from local.operating.rotation.versions import GoogleVersions, Version, Versions
from local.operating.workplace import PROJECT
from shared.cloud import SECRET_VERSIONS, pinned_versions
from shared.errors import ConfigError, Refused, SecretMissing, SignalboxError
from shared.runtime import config
from shared.runtime.ports import SecretSource
from shared.runtime.secrets import LIFETIME, MAX_AGE, N8N_API, NOTICE
from shared.runtime.services import open_services
from shared.runtime.settings import given, read

T = TypeVar("T")
LIMIT_DAYS, EXPIRING_DAYS = MAX_AGE.days, NOTICE.days
READ_WITHIN = "five minutes"
"""After which every function has read a new version (LIFETIME in shared/runtime/secrets.py)."""
LONGEST = 64 * 1024
"""Bytes: Secret Manager takes no larger value (cloud.google.com/secret-manager/quotas)."""


class Status(Struct, frozen=True, kw_only=True):
    """One secret. `state`: `ok`, `expiring` (within two weeks), `expired`, `missing`, or `unknown` outside the cloud.

    `rotated_by` is the command that replaces it.
    """

    name: str
    state: str
    days: int | None
    enabled: tuple[int, ...]
    disabled: tuple[int, ...]
    limit: int
    rotated_by: str


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
    names = _names()
    if given(os.environ, PROJECT):
        found = _with_versions(lambda versions: statuses(versions, names, limit, datetime.now(UTC)))
    else:
        found = asyncio.run(of_this_machine(EnvironmentSecrets(os.environ), names, limit))
    if as_json:
        output.as_json(found)
    else:
        _show(found)
    if any(one.state in ("expired", "missing") for one in found):
        sys.exit(1)


@secrets.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Print the steps, and do nothing.")
@click.option("--yes", is_flag=True, help="The other side already has the new value: ask nothing.")
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
    if name in _pinned():
        raise click.ClickException(
            f"SIGNALBOX_SECRET_VERSIONS pins {name}: functions read that version alone. Add the new version with "
            f"`gcloud secrets versions add {name} --data-file=-`, change the number in secret_versions, and apply."
        )
    _with_versions(lambda versions: _rotate(versions, name, yes=yes))


async def statuses(versions: Versions, names: Sequence[str], limit: int, now: datetime) -> list[Status]:
    return [await _status(versions, name, limit, now) for name in names]


async def _status(versions: Versions, name: str, limit: int, now: datetime) -> Status:
    try:
        known = await versions.list(name)
    except SecretMissing:
        known = ()
    enabled = [one for one in known if one.state == "enabled"]
    days = (now - enabled[0].created_at).days if enabled else None
    if days is None:
        state = "missing"
    else:
        state = "expired" if days >= limit else "expiring" if days >= limit - EXPIRING_DAYS else "ok"
    return Status(
        name=name,
        state=state,
        days=days,
        enabled=tuple(one.number for one in enabled),
        disabled=tuple(one.number for one in known if one.state == "disabled"),
        limit=limit,
        rotated_by=_rotates(name),
    )


async def of_this_machine(source: SecretSource, names: Sequence[str], limit: int) -> list[Status]:
    """Of variables nobody knows when they were made."""
    found = []
    for name in names:
        try:
            await source.read(name)
            state, way = "unknown", "set the variable again"
        except SecretMissing as error:
            state, way = "missing", str(error)
        found.append(Status(name=name, state=state, days=None, enabled=(), disabled=(), limit=limit, rotated_by=way))
    return found


def _rotates(name: str) -> str:
    return f"{command()} secrets rotate {name}"


def steps(name: str) -> list[str]:
    """What `rotate` does, in words."""
    kind = kinds.kind_of(name)
    proof = ", ".join(kind.proof)
    return [
        f"1. {kind.make}",
        f"2. The new value becomes the newest version of {name}. Functions read it within {READ_WITHIN}; both count."
        f" Not where secret_versions in the .tfvars pins {name}: then change the number there, and apply.",
        f"3. {f'Not before {READ_WITHIN} have passed: ' if kind.later else ''}{kind.give} {kind.gap}".rstrip(),
        f"4. `{command()} doctor` has to look at these, and find none failed: {proof}. {kind.unseen}".rstrip(),
        "5. The old versions are disabled. They are not destroyed: `gcloud secrets versions enable` brings one back.",
        *([f"6. {kinds.afterwards(name)}"] if kinds.afterwards(name) else []),
    ]


async def _rotate(versions: Versions, name: str, *, yes: bool) -> None:
    kind = kinds.kind_of(name)
    enabled = [one for one in await versions.list(name) if one.state == "enabled"]
    if len(enabled) < 2:
        output.echo(kind.make)
        new = await versions.add(name, _value(name))
        output.echo(f"{name} has version {new} now. To go back: {_gcloud('disable', name, new)}")
        old, made = enabled, datetime.now(UTC)
    else:
        new, made, old = enabled[0].number, enabled[0].created_at, enabled[1:]
        numbers = ", ".join(str(one.number) for one in old)
        output.echo(f"{name} is being rotated already: version {new} is new, {numbers} old. This goes on from there.")
    if kind.later and datetime.now(UTC) < made + LIFETIME:
        _put_off(name, made + LIFETIME)
        sys.exit(1 if yes else 0)
    output.echo(f"{kind.give} {kind.gap}".rstrip())
    if not yes and not sys.stdin.isatty():
        output.echo(f"Then run `{command()} secrets rotate {name} --yes`: it goes on from here.")
        return
    if not yes:
        click.confirm("Done?", abort=True)
    await _prove(name, new)
    await _disable(versions, name, old)
    output.echo("\n".join(part for part in (f"{name} is rotated.", kinds.afterwards(name)) if part))


def _put_off(name: str, until: datetime) -> None:
    """A function that knows only the old value would refuse what the vendor signs with the new one."""
    output.echo(
        f"Do not use it before {until:%H:%M:%S} UTC: until then a function may know the old value alone. "
        f"Then run `{_rotates(name)}`: it goes on from here."
    )


async def _prove(name: str, new: int) -> None:
    """Raises ClickException unless everything was looked at and nothing failed, with the way back."""
    kind, found = kinds.kind_of(name), await proof_of(name)
    for finding in found:
        if finding.state != "ok":
            output.echo(f"{finding.subject} {finding.about}: {finding.detail}".rstrip(), err=True)
    back = f"nothing was disabled. Fix it and run this again, or go back: {_gcloud('disable', name, new)}"
    if any(one.state == "failed" for one in found):
        raise click.ClickException(f"version {new} of {name} does not work, and {back}")
    looked_at = {one.subject for one in found if one.state != "skipped"}
    unseen = [subject for subject in kind.proof if subject not in looked_at]
    if unseen:
        raise click.ClickException(f"version {new} of {name} was not tried ({', '.join(unseen)}), and {back}")
    output.echo(kind.unseen or f"version {new} works")


async def proof_of(name: str) -> list[Finding]:
    """What the doctor finds of what the secret is for; of n8n's, whether it accepts what is signed with it.

    With the versions of Secret Manager, whatever else this machine has: they are what functions read.
    """
    environ = {**os.environ, "SIGNALBOX_BACKEND": CLOUD}
    wanted, about = kinds.kind_of(name).proof, kinds.concern(name, _config())
    found = [one for one in await examine(environ) if one.subject in wanted and (not about or one.about in about)]
    return found + ([] if name != N8N_API else await _signed_call(environ))


async def _signed_call(environ: Mapping[str, str]) -> list[Finding]:
    """A notification without content is refused by the workflow, and only once n8n has accepted the signature."""
    services = open_services(environ)
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
        output.echo(f"version {version.number} is disabled. To go back: {_gcloud('enable', name, version.number)}")


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
    return kinds.names_of(_config())


def _config() -> config.Config:
    try:
        return config.load(Path(read(os.environ).signalbox_config))
    except SignalboxError as error:
        raise click.ClickException(str(error)) from error


def _pinned() -> Mapping[str, str]:
    """As far as this machine knows: Terraform pins them at the functions."""
    try:
        return pinned_versions(given(os.environ, SECRET_VERSIONS))
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
    for title in ("secret", "age in days", "limit", "versions", "disabled", "state"):
        table.add_column(title)
    for one in found:
        colour = {"ok": "green", "expiring": "yellow", "unknown": "yellow"}.get(one.state, "red")
        days = "" if one.days is None else str(one.days)
        numbers, disabled = (", ".join(map(str, these)) for these in (one.enabled, one.disabled))
        table.add_row(one.name, days, str(one.limit), numbers, disabled, f"[{colour}]{one.state}[/]")
    out = output.console()
    out.print(table)
    here = not given(os.environ, PROJECT)
    for one in found:
        if one.state == "missing" and not here:
            output.echo(f"→ {one.name} has no enabled version: `gcloud secrets versions add {one.name} --data-file=-`")
        elif one.state in ("expiring", "expired"):
            output.echo(f"→ `{one.rotated_by}`")
        elif one.state == "missing":
            output.echo(f"→ {one.rotated_by}")
    if here:
        output.echo(f"Ages are not known: these are variables of this machine. Set {PROJECT} for those of a project.")
