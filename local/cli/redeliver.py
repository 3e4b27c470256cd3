"""signalbox redeliver: a subscription's messages are delivered again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from local.cli import output
from local.cli.opening import Duration, at_place, folder


@click.command()
@click.argument("subscription")
@click.option("--since", type=Duration(), required=True, help="How long ago they were published at most: 90s, 2h, 1d.")
@folder
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def redeliver(subscription: str, since: timedelta, folder: Path, as_json: bool) -> None:
    """Deliver again what SUBSCRIPTION, a function's name, received since a moment.

    Nothing is done twice: functions check what is there before they act.
    """
    many = at_place(folder, lambda place: place.messages.replay(subscription, place.clock.now() - since))
    if as_json:
        output.as_json({"subscription": subscription, "messages": many})
    elif many is None:
        output.echo(f"{subscription}: redelivered within a minute or so; Pub/Sub does not say how many")
    else:
        output.echo(f"{subscription}: {many} messages are redelivered")
