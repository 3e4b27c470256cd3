"""How commands that look at a place share their options, their errors and their one event loop."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click
from click.core import ParameterSource

from local.emulation.backend import DEFAULT_DIRECTORY, DIRECTORY
from local.operating.workplace import PROJECT, Place, open_place
from shared.errors import SignalboxError

T = TypeVar("T")
LONGEST = timedelta(days=31)
"""Pub/Sub keeps no message longer (cloud.google.com/pubsub/docs/replay-overview)."""


def _one_place(ctx: click.Context, param: click.Parameter, value: Path) -> Path:
    """Refuses a folder that was asked for where the environment names a real project: it would not be looked at.

    The environment that `signalbox up` leaves in that very folder may name a project too, of the emulators.
    """
    asked_for = ctx.get_parameter_source("folder") is ParameterSource.COMMANDLINE
    own = os.environ.get(DIRECTORY)
    if asked_for and os.environ.get(PROJECT) and (own is None or Path(own).absolute() != value.absolute()):
        raise click.BadParameter(
            f"{PROJECT} is set, so the project {os.environ[PROJECT]} would be used and not {value}; unset the one or"
            " leave out the other",
            ctx,
            param,
        )
    return value


folder = click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    callback=_one_place,
    default=lambda: os.environ.get(DIRECTORY) or DEFAULT_DIRECTORY,
    show_default=f"{DIRECTORY}, or {DEFAULT_DIRECTORY}",
    help="The folder of `signalbox up`; not together with GOOGLE_CLOUD_PROJECT, by which the real project is used.",
)


def at_place(folder: Path, work: Callable[[Place], Awaitable[T]]) -> T:
    """What the work comes to; an error of ours is told in one line, with exit code 1."""

    async def opened() -> T:
        place = open_place(folder)
        try:
            return await work(place)
        finally:
            await place.close()

    try:
        return asyncio.run(opened())
    except SignalboxError as error:
        raise click.ClickException(str(error)) from error


class Duration(click.ParamType[timedelta]):
    """Such as 90s, 30m, 2h, 1d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        found = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
        seconds = int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]] if found else None
        if seconds is None or seconds > LONGEST.total_seconds():
            self.fail(f"{value!r} is not a duration such as 90s, 30m, 2h or 1d, of {LONGEST.days}d at most", param, ctx)
        return timedelta(seconds=seconds)
