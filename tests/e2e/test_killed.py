"""Functions in processes of their own that are killed at random, and in the middle of what they do at the vendors.

Every webhook that was accepted leads to a run that ends, and nothing happens at a vendor twice. SIGNALBOX_KILL=full
is the long form, SIGNALBOX_KILL_SEED repeats the choices of an earlier test, though not the system's timing.
"""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import httpx
import pytest
from e2e import processes, promises
from e2e.busy_day import People, Senders, configuration, furnish
from e2e.killer import Killer
from e2e.processes import Program
from e2e.promises import Day
from msgspec import Struct

from local import topology
from local.demo.driver import PREVIOUS_COMMIT
from local.emulation.backends import KINDS, Kind
from local.emulation.host import NOWHERE
from local.emulation.topics import create_topics_and_subscriptions
from local.emulation.vendors import ServedVendors
from local.operating.workplace import CONFIGURATION, Left, Place, leave_behind, open_place
from local.topology import Delivery
from local.world.vendors import APP_ID, made_up_secrets, make_keys, variable
from shared.core.run import Run
from shared.core.target import Target
from shared.runtime import config, secrets
from shared.runtime.clock import SystemClock
from shared.runtime.ports import Query

SWEEP_EVERY = 0.5
"""Seconds; a minute in the cloud."""
LOOK_EVERY = 0.5
LONGER = 300.0
"""Seconds for which killing may go on once people have done their work."""
QUICK = {
    "SIGNALBOX_LIMIT": "10",
    "SIGNALBOX_REDELIVERY": "3",
    "SIGNALBOX_UNCLAIMED": "2",
    "SIGNALBOX_VISIBLE": "10",
}
DELIVERIES: Mapping[Kind, Delivery] = {
    "embedded": Delivery(ack_deadline=10, min_backoff=0.2, max_backoff=1.0, max_attempts=100),
    "emulators": Delivery(ack_deadline=10, min_backoff=1.0, max_backoff=1.0, max_attempts=100),
}


class Form(Struct, frozen=True, kw_only=True):
    """How much, and for how long; seconds."""

    repositories: int
    pulls: int
    webhooks: int
    """At least so many, signed."""
    work: float
    """People work for so long, and meanwhile processes are killed."""
    pauses: tuple[float, float]
    """Between two kills."""
    kills: int
    """At least so many."""
    strikes: int
    """At least so many of them in the middle of a call to a vendor."""
    patience: float
    """Until everything has ended, once nothing is killed any more."""
    redelivered_by: Literal["people", "sweep"]
    """Who has GitHub send again what was not taken: for the sweep's part a minute is waited at least."""


FORMS = {
    "short": Form(
        repositories=2,
        pulls=8,
        webhooks=60,
        work=25,
        pauses=(0.5, 2.0),
        kills=12,
        strikes=2,
        patience=600,
        redelivered_by="people",
    ),
    "full": Form(
        repositories=5,
        pulls=50,
        webhooks=500,
        work=120,
        pauses=(0.5, 2.0),
        kills=60,
        strikes=15,
        patience=900,
        redelivered_by="sweep",
    ),
}


@pytest.mark.parametrize("backend", KINDS)
async def test_no_kill_loses_a_webhook_or_repeats_an_effect(
    backend: Kind, request: pytest.FixtureRequest, tmp_path: Path, new_project: Callable[[], str]
) -> None:
    # Given the functions in processes of their own
    form = FORMS[os.environ.get("SIGNALBOX_KILL", "short")]
    seed = int(os.environ.get("SIGNALBOX_KILL_SEED") or random.SystemRandom().randrange(10**6))
    google = None
    if backend == "emulators":
        google = {**request.getfixturevalue("google").environ, "GOOGLE_CLOUD_PROJECT": new_project()}
    async with running(form, seed, google, tmp_path) as scene:
        # When people work and the processes are killed, at random and while they call a vendor
        began = time.monotonic()
        await scene.kill_while(scene.people.work(form.pulls, form.work))

        # Then all comes to its end, once nothing is killed any more
        await scene.until_finished()
        seconds = time.monotonic() - began

        # And none of the promises is broken
        day = await scene.look()
        print(f"\n{backend}: {scene.summary(day)}, {seconds:.0f} s")  # noqa: T201 - for whoever runs it with -s
        scene.complain_about(promises.broken(day) + await scene.dead_letters(), day)

        # And it was worth it
        assert len(scene.senders.from_github) >= form.webhooks
        assert scene.killer.kills >= form.kills
        assert scene.killer.strikes >= form.strikes


class Scene:
    """The functions' processes, and around them what survives: vendors, people, the scheduler, and the killer."""

    def __init__(
        self,
        form: Form,
        seed: int,
        place: Place,
        programs: Mapping[str, Program],
        addresses: Mapping[str, str],
        vendors: ServedVendors,
    ) -> None:
        self.seed = seed
        self.place = place
        self.programs = programs
        self.addresses = addresses
        self.vendors = vendors
        self.form = form
        self.senders = Senders(
            addresses["webhooks"],
            vendors,
            random.Random(f"senders {seed}"),
            patient=form.redelivered_by == "sweep",
        )
        self.people = People(vendors, place.config.targets, random.Random(f"people {seed}"))
        self.killer = Killer(programs, vendors, random.Random(f"killer {seed}"))

    async def kill_while(self, work: Awaitable[None]) -> None:
        """At random while people work, and then in the middle of something only, until that was often enough."""
        with self.killer.lying_in_wait():
            killing = asyncio.create_task(self.killer.rage(self.form.pauses))
            try:
                await work
            finally:
                killing.cancel()
                await asyncio.gather(killing, return_exceptions=True)
            until = time.monotonic() + LONGER
            while self.killer.strikes < self.form.strikes and time.monotonic() < until:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(LOOK_EVERY)

    async def until_finished(self) -> None:
        """Fails when it takes too long, or when a process ended that nobody killed."""
        patient_until = time.monotonic() + self.form.patience
        while True:
            day = await self.look()
            left = promises.unfinished(day)
            left += [f"webhook {guid} was never accepted" for guid in self.senders.never_accepted()]
            if not left:
                return
            if time.monotonic() > patient_until or any(program.gone for program in self.programs.values()):
                self.complain_about(left, day)
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> Day:
        store = self.place.store
        runs = await store.query(Query(Run, order_by="created_at", limit=1000))
        targets = [await store.get(Target, place.id) for place in self.place.config.targets]
        return Day(
            runs=[found.document for found in runs],
            targets=[found.document for found in targets if found is not None],
            places=self.place.config.targets,
            vendors=self.vendors,
            senders=self.senders,
            kills=self.killer.killed,
        )

    async def dead_letters(self) -> list[str]:
        return [f"dead letter: {letter}" for letter in await self.place.messages.dead_letters()]

    def summary(self, day: Day) -> str:
        accepted = sum(sent.accepted for sent in self.senders.sent)
        return (
            f"seed {self.seed}, {len(self.senders.from_github)} signed webhooks, {len(self.senders.sent)} in all,"
            f" {accepted} accepted,"
            f" {self.senders.unanswered} unanswered; {self.killer.kills} kills,"
            f" {self.killer.strikes} during a call to a vendor {dict(self.killer.struck)};"
            f" {len(day.runs)} runs {dict(Counter(str(run.status) for run in day.runs))}"
        )

    def complain_about(self, problems: list[str], day: Day) -> None:
        """Fails with the runs in question and what the processes said about them, unless there is no problem."""
        if not problems:
            return
        told = [self.summary(day), *problems]
        told += [f"{program.name} ended by itself" for program in self.programs.values() if program.gone]
        for run in day.runs:
            if any(run.id in problem for problem in problems):
                told += ["", f"{run.id} of {run.pull_request}, wake_at {run.wake_at}, lease {run.lease}"]
                told += [f"  {each.at:%H:%M:%S.%f} {each.stage} {each.status} {each.message}" for each in run.history]
        for program in self.programs.values():
            lines = program.log.read_text(errors="replace").splitlines()
            concerning = [line for line in lines if "swept" not in line and any(x in line for x in ("ERROR", "Trace"))]
            told += ["", f"{program.name}, {len(lines)} lines:", *(line[:1000] for line in concerning[-10:])]
        pytest.fail("\n".join(told))


@contextlib.asynccontextmanager
async def running(form: Form, seed: int, google: Mapping[str, str] | None, folder: Path) -> AsyncIterator[Scene]:
    """On Google's emulators where `google` has their variables; otherwise embedded, with a pump that can be killed."""
    keys = make_keys()
    values = {**made_up_secrets(), variable(secrets.GITHUB_APP_PRIVATE_KEY): keys.private}
    configured = config.parse(configuration(form.repositories, NOWHERE))
    vendors = ServedVendors(SystemClock(), values, keys.public, configured, pace=0.25)
    ports = processes.free_ports([function.name for function in topology.load().functions])
    addresses = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    async with vendors.running({}):
        backend: Kind = "embedded" if google is None else "emulators"
        leave_behind(
            folder,
            Left(backend=backend, environ=dict(google or {})),
            configuration(form.repositories, vendors.urls["n8n"]),
        )
        place = open_place(folder, {})
        environ = {**values, **QUICK, **(google or {}), **_environment(folder, backend, vendors)}
        programs = processes.functions(ports, environ, folder / "logs")
        if google is None:
            programs.append(processes.pump(folder, addresses, DELIVERIES[backend], folder / "logs"))
        else:
            await create_topics_and_subscriptions(
                topology.load(),
                addresses,
                DELIVERIES[backend],
                google["GOOGLE_CLOUD_PROJECT"],
                host=google["PUBSUB_EMULATOR_HOST"],
            )
        scene = Scene(form, seed, place, {program.name: program for program in programs}, addresses, vendors)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(place.close)
            stack.push_async_callback(scene.senders.close)
            stack.enter_context(processes.started(programs))
            processes.until_open(ports, programs)
            furnish(vendors, PREVIOUS_COMMIT)
            await stack.enter_async_context(_schedule(addresses["sweep"]))
            yield scene


def _environment(folder: Path, backend: Kind, vendors: ServedVendors) -> dict[str, str]:
    factory = "open_backend" if backend == "embedded" else "open_emulated"
    return {
        "SIGNALBOX_BACKEND": f"local.emulation.backend:{factory}",
        "SIGNALBOX_CONFIG": str(folder / CONFIGURATION),
        "SIGNALBOX_LOCAL_DIR": str(folder),
        "SIGNALBOX_ALLOW_LOOPBACK": "true",
        "GITHUB_APP_ID": APP_ID,
        "GITHUB_API_URL": vendors.urls["github"],
        "RAILWAY_API_URL": f"{vendors.urls['railway']}/graphql/v2",
    }


@contextlib.asynccontextmanager
async def _schedule(address: str) -> AsyncIterator[None]:
    """Cloud Scheduler's part. Begins with a sweep that succeeds: the emulators take seconds for their first query."""
    swept = asyncio.Event()

    async def sweep_along(client: httpx.AsyncClient) -> None:
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await client.post(f"{address}/", headers={"X-CloudScheduler": "true"})
                if answer.is_success:
                    swept.set()
            await asyncio.sleep(SWEEP_EVERY)

    async with httpx.AsyncClient(timeout=30.0, trust_env=False) as client:
        sweeping = asyncio.create_task(sweep_along(client))
        try:
            async with asyncio.timeout(processes.UP_WITHIN):
                await swept.wait()
            yield
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
