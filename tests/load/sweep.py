"""How long one sweep takes to wake the runs that wait: python tests/load/sweep.py [--backend emulators] [--runs 1000]

Every run is past its `wake_at`, as after an hour in which nothing was delivered. Nobody subscribes, so that what is
measured is the sweep: its queries, one message and one conditional write per run. The seconds are of this machine; the
share of the time that the function has, and how it grows with the runs, count more.
"""

import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import click
from msgspec.structs import replace

from functions.sweep.due import wake_due
from local import topology
from local.emulation import emulators
from local.emulation.backend import DIRECTORY, open_backend, open_emulated
from local.emulation.backends import KINDS
from local.emulation.topics import create_topics_and_subscriptions
from shared.core import pipeline
from shared.core.run import Kind, Run, Stage, Status, Trigger
from shared.core.target_config import TargetConfig
from shared.runtime import config
from shared.runtime.ports import Backend, Create
from shared.runtime.services import Services
from shared.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
AT_ONCE = 200
"""Writes in one commit, of the 500 that Firestore takes."""


@click.command()
@click.option("--backend", type=click.Choice(KINDS), default="embedded", show_default=True)
@click.option("--runs", default=1000, show_default=True, help="How many wait, in the last of the measurements.")
@click.option("--rounds", default=5, show_default=True, help="How often each is measured; the median counts.")
def main(backend: str, runs: int, rounds: int) -> None:
    """How long one sweep takes to wake the runs that wait."""
    [sweep] = [function for function in topology.load().functions if function.name == "sweep"]
    click.echo(f"{backend}, the median of {rounds} rounds; the function has {sweep.timeout} s\n")
    click.echo("| runs waiting | seconds | share of its time |")
    click.echo("|---|---|---|")
    for count, seconds in asyncio.run(_measured(backend, runs, rounds)).items():
        click.echo(f"| {count} | {seconds:.2f} | {seconds / sweep.timeout:.1%} |")


async def _measured(backend: str, most: int, rounds: int) -> dict[int, float]:
    """Seconds by the number of runs that waited."""
    with tempfile.TemporaryDirectory() as folder:
        async with _opened(backend, Path(folder)) as opened:
            services = Services(Settings(), config.load(ROOT / "signalbox.toml"), opened)
            counts = (0, most // 10, most)
            return {
                count: statistics.median([await _sweep(services, count) for _ in range(rounds)]) for count in counts
            }


async def _sweep(services: Services, count: int) -> float:
    await _let_wait(services, count)
    began = time.perf_counter()
    woken = await wake_due(services)
    took = time.perf_counter() - began
    if woken != count:
        raise AssertionError(f"{woken} were woken of {count}")
    return took


async def _let_wait(services: Services, count: int) -> None:
    place = services.config.targets[0]
    stamp = time.time_ns()
    waiting = [_waiting(services, place, f"{stamp}-{number:05}") for number in range(count)]
    for start in range(0, count, AT_ONCE):
        await services.store.commit(*map(Create, waiting[start : start + AT_ONCE]))


def _waiting(services: Services, place: TargetConfig, id: str) -> Run:
    """Due since just now; otherwise as any run that has just begun."""
    now = services.clock.now()
    run = Run(
        id=id,
        kind=Kind.DEPLOY,
        target=place.id,
        repository=place.repository,
        service=place.service,
        environment=place.environment,
        pull_request=None,
        commit_sha=id,
        trigger=Trigger(source="merge", actor="grace", id=id, url=""),
        stage=Stage.MERGE,
        status=Status.RUNNING,
        created_at=now,
        updated_at=now,
        expire_at=now,
    )
    begun = pipeline.begin(run, services.terms(place.id)).run
    return replace(begun, owed=(), notify_due=None, stage_due=now, wake_at=now)


@contextlib.asynccontextmanager
async def _opened(backend: str, folder: Path) -> AsyncIterator[Backend]:
    if backend == "embedded":
        opened = open_backend({DIRECTORY: str(folder)})
        yield opened
        await _close(opened)
        return
    with emulators.running(emulators.find(), folder) as running:
        project = "signalbox-load"
        described = topology.load()
        bare = replace(described, functions=())
        await create_topics_and_subscriptions(
            bare, "", described.delivery, project, host=running.environ["PUBSUB_EMULATOR_HOST"]
        )
        opened = open_emulated(_environ(running.environ, project))
        yield opened
        await _close(opened)


def _environ(hosts: Mapping[str, str], project: str) -> dict[str, str]:
    return {**os.environ, **hosts, "GOOGLE_CLOUD_PROJECT": project}


async def _close(opened: Backend) -> None:
    await opened.bus.close()
    await opened.store.close()


if __name__ == "__main__":
    main()
