"""signalbox pause, signalbox resume: the operator's emergency stop, and its undo. Neither needs GitHub."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec.structs import replace

from local.cli import output
from local.cli.called import command
from local.cli.opening import at_place, folder
from local.operating.workplace import Place
from shared.core.outcome import Message
from shared.core.run import Run
from shared.core.target import Pause, Target
from shared.core.targets import resume as go_on
from shared.runtime.envelope import encode
from shared.runtime.redaction import redact
from shared.runtime.update import amend

LONGEST_REASON = 200


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--reason", required=True, help="Why: it is shown wherever something waits.")
@folder
@click.option("--json", "as_json", is_flag=True, help="Print the targets as JSON.")
def pause(targets: tuple[str, ...], reason: str, folder: Path, as_json: bool) -> None:
    """Begin nothing more for these targets, or for all: no merge, no deployment, no rollback.

    What has begun at GitHub or Railway goes on there. Runs wait, and say why, until `signalbox resume`.
    """
    said = redact(" ".join(reason.split()))[:LONGEST_REASON]
    if not said:
        raise click.UsageError("--reason is empty: say why")
    found = at_place(folder, lambda place: _pause(place, targets, said))
    if as_json:
        output.as_json(found)
        return
    for target in found:
        output.echo(f"{target.id}: {target.pause}")
    output.echo(f"Runs wait until `{command()} resume`; what has begun at GitHub or Railway goes on there.")


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@folder
@click.option("--json", "as_json", is_flag=True, help="Print the targets as JSON.")
def resume(targets: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Let these targets, or all, go on after `signalbox pause`, and wake what waits for them."""
    found = at_place(folder, lambda place: _resume(place, targets))
    if as_json:
        output.as_json(found)
        return
    for target in found:
        locked = f"; it is locked by {target.lock.by}: {target.lock.reason}" if target.lock else ""
        output.echo(f"{target.id}: goes on{locked}")


async def _pause(place: Place, wanted: Sequence[str], reason: str) -> list[Target]:
    paused = Pause(by=getpass.getuser(), reason=reason, at=place.clock.now())
    found = []
    for id in _chosen(place, wanted):
        target = await amend(place.store, Target, id, lambda one: replace(one, pause=paused), missing=Target(id=id))
        found.append(target or Target(id=id))
    return found


async def _resume(place: Place, wanted: Sequence[str]) -> list[Target]:
    """Saved first, then the messages: the sweep sends those that are lost."""
    found = []
    for id in _chosen(place, wanted):
        target = await amend(place.store, Target, id, lambda one: go_on(one)[0])
        if target is None:
            continue
        found.append(target)
        run = await place.store.get(Run, target.active) if target.active else None
        if run is not None and not run.document.status.terminal:
            message = Message(run.document.stage, run.document.id)
            await place.bus.publish(message.stage, encode(message), {"stage": message.stage, "run_id": run.document.id})
    return found


def _chosen(place: Place, wanted: Sequence[str]) -> list[str]:
    """Their ids: all, or those named by id, `service/environment` or environment. Raises UsageError."""
    known = place.config.targets
    if not wanted:
        return [target.id for target in known]
    unknown = [name for name in wanted if not any(name in (one.id, one.name, one.environment) for one in known)]
    if unknown:
        raise click.UsageError(f"no target {', '.join(unknown)}; there are: {', '.join(one.id for one in known)}")
    return [one.id for one in known if {one.id, one.name, one.environment} & set(wanted)]
