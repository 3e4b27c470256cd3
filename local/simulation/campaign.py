"""Many seeds on several processes."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
import traceback
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.pool import Pool

from msgspec import Struct

from local.simulation.simulation import Outcome, simulate

CHUNK = 16
LOOK_EVERY = 10.0
"""Seconds without an outcome until it is seen whether all processes are alive."""
COLLECT_EVERY = 25


class Died(Exception):
    """A process that played seeds is no more."""


class Broken(Exception):
    """The simulation itself failed at a seed, which is named."""


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
    """Raises Died when one of the processes does, as for want of memory: its seeds would never come."""
    if processes <= 1:
        yield from map(_one, seeds)
        return
    others = set(multiprocessing.active_children())
    with _pool(processes) as pool:
        workers = set(multiprocessing.active_children()) - others
        chunks = pool.imap_unordered(_several, [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)])
        while True:
            try:
                yield from chunks.next(LOOK_EVERY)
            except StopIteration:
                return
            except multiprocessing.TimeoutError:
                dead = [str(worker.exitcode) for worker in workers if not worker.is_alive()]
                if dead:  # the pool has put another in its place, and says nothing
                    raise Died(f"a process of the simulation died, with exit code {', '.join(dead)}") from None


def _pool(processes: int) -> Pool:
    """Processes that Ctrl-C does not reach: it is for the one that waits for them, and ends them.

    A signal that is blocked stays so in what is started meanwhile, from its first instruction on; and here it comes
    when it is unblocked, while one that is ignored would be lost. The resource tracker unblocks it when it is started:
    https://github.com/python/cpython/blob/3.11/Lib/multiprocessing/resource_tracker.py
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return multiprocessing.get_context("spawn").Pool(processes, _prepare)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _several(seeds: range) -> list[Outcome]:
    return [_one(seed) for seed in seeds]


def _prepare() -> None:
    """What was imported stays, so that no collection need look at it; and none comes in the middle of a seed."""
    gc.disable()
    gc.freeze()


def _one(seed: int) -> Outcome:
    """Raises Broken: an error of the simulation itself would else not name the seed, and StopIteration say nothing."""
    try:
        return simulate(seed)
    except Exception as error:
        where = traceback.format_exc(limit=-2)
        raise Broken(f"seed {seed} cannot be played: {type(error).__name__}: {error}\n{where}") from error
    finally:
        if seed % COLLECT_EVERY == 0:
            gc.collect()
