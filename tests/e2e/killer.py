"""Who kills: at random, and just when a program calls a vendor."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from e2e.processes import Program

from local.emulation.vendors import ServedVendors
from local.world.faults import Faulty

DOWN_FOR = 0.5
"""Seconds at most until a killed process is started again."""


class Killer:
    """Kills programs at random, and when they call a vendor: what they asked for is done, and nobody hears of it."""

    def __init__(self, programs: Mapping[str, Program], vendors: ServedVendors, chance: random.Random) -> None:
        self.killed: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        self._programs = programs
        self._chance = chance
        self._waiting = False
        github, railway, n8n = vendors.github.app, vendors.railway.app, vendors.n8n.app
        self._apps = (github, railway, n8n)
        self._effects: tuple[tuple[str, Faulty, str], ...] = (
            ("merge", github, "/merge\n"),
            ("deploy", railway, "serviceInstanceDeployV2"),
            ("rollback", railway, "deploymentRollback"),
            ("notify", github, "<!-- signalbox:run:"),
            ("notify", github, '"auto_merge"'),
            ("notify", n8n, "/webhook/"),
            ("dispatch", github, "<!-- signalbox:reply:"),
            ("sweep", github, "/attempts\n"),
        )

    @property
    def kills(self) -> int:
        return self.killed.total()

    @property
    def strikes(self) -> int:
        return self.struck.total()

    async def rage(self, pauses: tuple[float, float]) -> None:
        """At random, until cancelled."""
        while True:
            await asyncio.sleep(self._chance.uniform(*pauses))
            for name in self._chance.sample(sorted(self._programs), self._chance.choice((1, 1, 1, 1, 3))):
                self._kill(name)

    @contextmanager
    def lying_in_wait(self) -> Iterator[None]:
        """For calls to vendors."""
        self._waiting = True
        for effect in self._effects:
            self._lie_in_wait(*effect)
        try:
            yield
        finally:
            self._waiting = False
            for app in self._apps:
                app.interruptions.clear()

    def _lie_in_wait(self, name: str, app: Faulty, call: str) -> None:
        def strike() -> None:
            self.struck[name] += self._kill(name)
            asyncio.get_running_loop().call_later(self._chance.uniform(0, 4), self._lie_in_wait, name, app, call)

        if self._waiting:
            app.interruptions.append((call, strike))

    def _kill(self, name: str) -> bool:
        program = self._programs[name]
        killed = program.kill()
        if killed:
            self.killed[name] += 1
            asyncio.get_running_loop().call_later(self._chance.uniform(0, DOWN_FOR), program.start)
        return killed
