"""Many seeds on several processes."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Iterator

from msgspec import Struct

from local.simulation.simulation import Outcome, simulate

CHUNK = 16
COLLECT_EVERY = 25


class Progress(Struct, frozen=True):
    """How far it has come; `outcome` is of the last seed."""

    done: int
    seeds: int
    seconds: float
    outcome: Outcome

    @property
    def rate(self) -> float:
        return self.done / max(self.seconds, 0.001)


def campaign(start: int, seeds: int, processes: int) -> Iterator[Progress]:
    """Play the seeds from `start` on; in whatever order they are done."""
    began = time.monotonic()
    if processes <= 1:
        outcomes: Iterator[Outcome] = map(_one, range(start, start + seeds))
        for done, outcome in enumerate(outcomes, 1):
            yield Progress(done, seeds, time.monotonic() - began, outcome)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, outcome in enumerate(pool.imap_unordered(_one, range(start, start + seeds), CHUNK), 1):
            yield Progress(done, seeds, time.monotonic() - began, outcome)


def _one(seed: int) -> Outcome:
    """Garbage is collected between seeds, now and then, rather than in the middle of them."""
    gc.disable()
    try:
        return simulate(seed)
    finally:
        if seed % COLLECT_EVERY == 0:
            gc.collect()
