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
    for done, outcome in enumerate(_outcomes(range(start, start + seeds), processes), 1):
        yield Progress(done, seeds, time.monotonic() - began, outcome)


def _outcomes(seeds: range, processes: int) -> Iterator[Outcome]:
    if processes <= 1:
        yield from map(_one, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes, _prepare) as pool:
        yield from pool.imap_unordered(_one, seeds, CHUNK)


def _prepare() -> None:
    """What was imported stays, so that no collection need look at it; and none comes in the middle of a seed."""
    gc.disable()
    gc.freeze()


def _one(seed: int) -> Outcome:
    try:
        return simulate(seed)
    finally:
        if seed % COLLECT_EVERY == 0:
            gc.collect()
