"""An operator who pauses a target, or all, and lets them go on a while later."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from local.simulation.chance import Chance
from local.simulation.execution import NOBODY, LoopClock
from local.simulation.store import MemoryStore
from shared.core import targets
from shared.core.target import Pause, Target
from shared.runtime.ports import Create, Update

PAUSE_DAYS = 0.1
"""The share of days on which something is paused."""
SHORTEST, LONGEST = 20, 400
"""Seconds that it lasts."""

Add = Callable[[float, str, Callable[[], object]], None]


class Operator:
    def __init__(self, chance: Chance, store: MemoryStore, ids: Sequence[str]) -> None:
        self._chance = chance
        self._store = store
        self._ids = ids
        self._clock = LoopClock()

    def plan(self, add: Add, latest: float) -> None:
        """By `latest` everything goes on."""
        if self._chance.number("pausing", 0, 1) >= PAUSE_DAYS:
            return
        one = self._chance.pick("paused", tuple(self._ids))
        ids = self._chance.pick("paused how many", ((one,), tuple(self._ids)))
        at = self._chance.number("paused at", 10, latest - SHORTEST)
        until = min(at + self._chance.number("paused for", SHORTEST, LONGEST), latest)
        add(at, f"an operator pauses {', '.join(ids)}", lambda: self._pause(ids))
        # A deed of its own, which is never left out: whoever leaves the pause out lifts none.
        add(until, f"an operator lets {', '.join(ids)} go on", lambda: self._resume(ids))

    def _pause(self, ids: Sequence[str]) -> None:
        pause = Pause(by="root", reason="an incident", at=self._clock.now())
        self._change(ids, lambda target: replace(target, pause=pause))

    def _resume(self, ids: Sequence[str]) -> None:
        """The messages are lost: what waits looks again by itself."""
        self._change(ids, lambda target: targets.resume(target)[0])

    def _change(self, ids: Sequence[str], change: Callable[[Target], Target]) -> None:
        for id in ids:
            found = self._store.get(Target, id)
            after = change(found.document if found else Target(id=id))
            self._store.commit(NOBODY, [Update(after, found.version) if found else Create(after)])
