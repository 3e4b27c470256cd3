"""One seed: a bad day for the pipeline, then a quiet evening, then old messages once more; and what did not hold."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
import math
import random
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from local.simulation import invariants, loop
from local.simulation.bus import Post, Published
from local.simulation.chance import Chance, Incident
from local.simulation.execution import Crash, Execution, LoopClock, current
from local.simulation.lean import lean, replaced
from local.simulation.people import DAY, People
from local.simulation.place import (
    CONFIG_FILE_DAYS,
    Instances,
    Vendors,
    configuration,
    install,
    module,
    read_topology,
    subscribers,
    weather_of,
)
from local.simulation.railway_habits import Habits
from local.simulation.witness import Step, Violation, Witness
from local.world.github.hooks import Webhook
from shared.core.run import Run
from shared.core.target import Target
from shared.runtime import log, services

TICK = 4.0
"""Seconds between two looks of the vendors at their clocks."""
WHOLE_SWEEP_EVERY = 3
EVENING = 7200.0
"""By so long after the last incident everything has come to rest."""
REPLAYED_AFTER = 2.0 * 24 * 3600
CPU_SECONDS = 60.0
"""A seed that takes more of them has no end. The slowest take two."""
ENDS = "the day has an end"
_SELDOM = (
    "probe_all",
    "redeliver_missed",
    "start_unnoticed",
    "answer_labels",
    "listen",
    "look_for_drift",
    "follow_names",
)
_WITHHELD = {"never sent": 0.02}
_SILENCE = {"falls silent for the day": 0.02, "falls silent for good": 0.02}
_WEBHOOK = {"missing": 0.05, "late": 0.05, "twice": 0.04, "answer lost": 0.03}


class Outcome(Struct, frozen=True):
    """What became of a seed. `digest` is of every step: the same twice for the same seed and incidents."""

    seed: int
    violations: tuple[Violation, ...]
    incidents: tuple[Incident, ...]
    digest: str
    runs: int
    steps: tuple[Step, ...] = ()


def simulate(seed: int, *, only: frozenset[Incident] | None = None, keep_steps: bool = False) -> Outcome:
    """Play the seed to its end, or to the first violation.

    Something that goes round and round for CPU_SECONDS is a violation, too.
    """
    played: list[Simulation] = []
    seldom = [(module("sweep"), name, _seldom(name)) for name in _SELDOM]
    state = random.getstate()
    before = services._current  # noqa: SLF001 - put back afterwards
    install()
    random.seed(seed)
    try:
        with lean(), replaced(seldom), _heard(played), loop.limited(CPU_SECONDS):
            return loop.run(_play(seed, only, keep_steps, played))
    except loop.Endless as endless:
        played[0].witness.check([(ENDS, str(endless))])
        return played[0].outcome(keep_steps)
    finally:
        random.setstate(state)
        services.install(before)


def _seldom(name: str) -> Callable[[Any], Awaitable[int]]:
    """A part of the sweep, only every third minute: it looks at what seldom changes, and would cost the most."""
    part = getattr(module("sweep"), name)

    async def now_and_then(*args: Any) -> int:
        minute = int(current.get().about.removeprefix("minute "))
        return await part(*args) if minute % WHOLE_SWEEP_EVERY == 0 else 0

    return now_and_then


def _silence(chance: Chance) -> tuple[float, float]:
    """From when to when GitHub sends nothing at all."""
    what, value = chance.incident("GitHub", _SILENCE)
    return (value * DAY if what else math.inf), (DAY + 60 if what == "falls silent for the day" else math.inf)


async def _play(seed: int, only: frozenset[Incident] | None, keep_steps: bool, played: list[Simulation]) -> Outcome:
    simulation = Simulation(seed, only)
    played.append(simulation)
    await simulation.play()
    return simulation.outcome(keep_steps)


class _Ear(logging.Handler):
    """Shows the witness of the day that is played each line of the log, as it would be written."""

    def __init__(self, played: list[Simulation]) -> None:
        super().__init__()
        self._played = played
        self.setFormatter(log.formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self._played[-1].witness.logged(self.format(record))


@contextlib.contextmanager
def _heard(played: list[Simulation]) -> Iterator[None]:
    logger, ear = logging.getLogger("signalbox"), _Ear(played)
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(ear)
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.level, logger.propagate = before


class Simulation:
    """Everything that takes part, on the running loop."""

    def __init__(self, seed: int, only: frozenset[Incident] | None) -> None:
        self.seed = seed
        self.chance = Chance(seed, only)
        configured = configuration(self.chance)
        weather = weather_of(self.chance)
        self.witness = Witness(configured, refused_all_day=weather.refusing)
        self.vendors = Vendors(configured, self._webhook)
        self.vendors.github.shuffle = random.Random(seed)
        if self.chance.number("config file", 0, 1) < CONFIG_FILE_DAYS:
            self.vendors.stop_reading_config_files(self.chance.number("config file until", 0, DAY))
        self.witness.watch(self.vendors)
        delivery = read_topology().delivery
        self.post = Post(self.chance, delivery, self._push, self.witness.published, weather.delivery)
        self.instances = Instances(
            configured, self.vendors, self.witness.store, self.post, self.chance, weather, self.witness
        )
        self.people = People(self.chance, configured, self.vendors, self.witness.store)
        self._habits = Habits(self.chance, self.vendors.railway, DAY)
        self.witness.coming = self.people.ci.coming
        self._withheld = {what: odds * weather.webhooks for what, odds in _WITHHELD.items()}
        self._webhooks = {what: odds * weather.webhooks for what, odds in _WEBHOOK.items()}
        self._silence = _silence(self.chance)
        self._clock = LoopClock()
        self._arriving = 0
        """Webhooks that were sent and are still on their way."""
        self._executing = 0
        """Executions under way, those too for whose answer nobody waits any more."""
        self._under_way: set[asyncio.Task[None]] = set()

    async def play(self) -> None:
        self.chance.calm = True
        await self._sweep(0)  # so that the targets are known before anything happens to them
        self.chance.calm = False
        await self._day()
        self.chance.calm = True
        self.witness.note("world", "from now on nothing goes wrong")
        await self._until_quiet()
        self.witness.dead = self.post.dead
        if not self.witness.violations:
            self.witness.check(invariants.at_rest(self.witness))
        if not self.witness.violations:
            await self._replay()

    def outcome(self, keep_steps: bool) -> Outcome:
        digest = hashlib.sha256("\n".join(map(str, self.witness.steps)).encode()).hexdigest()
        return Outcome(
            self.seed,
            tuple(self.witness.violations[:3]),
            tuple(self.chance.happened),
            digest,
            len(self.witness.runs()),
            tuple(self.witness.steps) if keep_steps else (),
        )

    async def _day(self) -> None:
        deeds = self.people.plan()
        while self.witness.now < DAY + 60 and not self.witness.violations:
            while deeds and deeds[0].at <= self.witness.now:
                deed = deeds.pop(0)
                self.witness.note("people", deed.what)
                deed.act()
                self.witness.look()
            await self._pass(TICK)

    async def _pass(self, seconds: float) -> None:
        """Time goes on, and the vendors and the scheduler with it."""
        before = self.witness.now
        await asyncio.sleep(seconds)
        self._go_on(before)

    def _go_on(self, before: float) -> None:
        """What the vendors and the scheduler do because time has gone on since then."""
        self._withhold()
        self._habits.go_on(self.witness.now)
        if self.vendors.github.webhooks.queue:
            self._begin(self.vendors.github.tick())
        if not self.vendors.railway.idle:
            self._begin(self.vendors.railway.tick())
        if before // 60 != self.witness.now // 60:
            self._begin(self._sweep(before // 60))
            self.witness.check(invariants.in_time(self.witness, self._clock.now()))

    def _withhold(self) -> None:
        """GitHub itself loses a webhook now and then, and then lists no delivery of it either."""
        webhooks = self.vendors.github.webhooks
        webhooks.queue = [one for one in webhooks.queue if self._is_sent(one)]

    def _is_sent(self, webhook: Webhook) -> bool:
        begins, ends = self._silence
        if begins <= self.witness.now < ends and not webhook.redelivery:
            return False
        return self.chance.incident(f"GitHub's {webhook.event}", self._withheld)[0] is None

    def _begin(self, doing: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(doing)  # type: ignore[arg-type]
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _until_quiet(self) -> None:
        end = self.witness.now + EVENING
        while not self.witness.violations:
            before = self.witness.now
            await asyncio.sleep(TICK if self._moving() else 5 * TICK)
            if self._quiet():  # before anything new is begun, such as a sweep that finds something
                return
            self._go_on(before)
            if self.witness.now > end:
                unrest = [("comes to rest", text) for text in (self._unrest(),) if text]
                self.witness.check([*unrest, *invariants.at_rest(self.witness)])
                return

    def _quiet(self) -> bool:
        arriving = self._arriving or self.vendors.github.webhooks.queue
        busy = self.post.open or arriving or self._executing or self._under_way
        return not busy and not self._unrest() and not self._moving() and not self._unseen()

    def _unseen(self) -> bool:
        """Whether there is something that the sweep has yet to find."""
        found = (
            invariants.missed_webhooks_are_requested,
            invariants.merges_are_deployed,
            invariants.labels_are_answered,
            invariants.losses_of_health_are_noticed,
            invariants.silences_are_reported,
            invariants.what_fails_on_probation_is_rolled_back,
            invariants.what_is_recorded_serves,
            invariants.what_a_hold_keeps_back_is_listed,
            invariants.renames_are_followed,
        )
        return any(any(question(self.witness)) for question in found)

    def _moving(self) -> bool:
        moving = (made.deployment for made in self.witness.made)
        return self._habits.waiting or any(one.due is not None or one.exit_due is not None for one in moving)

    def _unrest(self) -> str:
        store = self.witness.store
        runs = [f"{run.id} at {run.stage} ({run.status})" for run in store.all(Run) if run.wake_at is not None]
        targets = [target.id for target in store.all(Target) if target.wake_at is not None]
        return ", ".join(runs + targets)

    async def _replay(self) -> None:
        """Days later, some messages come once more, and change nothing."""
        await asyncio.sleep(REPLAYED_AFTER)
        effects = invariants.effects(self.witness)
        for message in list(self.post.messages):
            if self.chance.number("replay", 0, 1) < 0.3:
                self.post.bring(message, self.chance.number("replay at", 0, 100), again=False)
        await self._until_quiet()
        if not self.witness.violations:
            self.witness.check(invariants.after_replay(self.witness, effects))

    # Calling the functions

    async def _push(self, message: Published) -> bool:
        about = msgspec.json.decode(message.data)
        execution = Execution(subscribers()[message.topic], about.get("run_id") or about.get("target_id") or "event")
        envelope = {
            "message": {"data": base64.b64encode(message.data).decode(), "messageId": str(message.id)},
            "subscription": f"projects/simulated/subscriptions/{execution.function}",
        }
        status = await self._call(execution, "/", {}, msgspec.json.encode(envelope))
        return 200 <= status < 300

    async def _sweep(self, minute: float) -> None:
        execution = Execution("sweep", f"minute {int(minute)}")
        try:
            await self._call(execution, "/", {}, b"")
        except Crash:
            self.witness.note(execution.name, "dies")

    async def _call(self, execution: Execution, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Raises Crash when the process dies, which takes its memory with it."""
        instance = self.instances.any()
        execution.started = self.witness.now
        token = current.set(execution)
        self._executing += 1
        self.witness.note(execution.name, f"begins on instance {instance}")
        try:
            status = await self.instances.call(instance, execution.function, path, headers, body)
        except Crash:
            self.instances.die(instance)
            self.witness.note(execution.name, "the process dies")
            raise
        except Exception as error:  # noqa: BLE001 - the server's own: it answers 500, and here it counts as a defect
            text = f"{execution.name}: {type(error).__name__}: {error} {traceback.format_exc(limit=-2)}"
            self.witness.check([("no exception gets out", text)])
            return 500
        finally:
            self._executing -= 1
            current.reset(token)
        self.witness.note(execution.name, f"answers {status}")
        return status

    # The vendors call us

    async def _webhook(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        self._arriving += 1
        try:
            return await self._arrive(path, headers, body)
        finally:
            self._arriving -= 1

    async def _arrive(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        what, value = self.chance.incident(f"webhook {path}", self._webhooks)
        await asyncio.sleep(300 * value if what == "late" else 0.05 * value)
        if what == "missing":
            raise httpx.ConnectError("not reached")
        if what == "twice":
            await self._receive(path, headers, body)
        status = await self._receive(path, headers, body)
        if what == "answer lost":
            raise httpx.ReadTimeout("no answer")
        return status

    async def _receive(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        try:
            return await self._call(Execution("webhooks", path), path, headers, body)
        except Crash:
            return 502
