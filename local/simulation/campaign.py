"""Many seeds on several processes."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker

from msgspec import Struct

from local.simulation.simulation import Outcome, simulate

CHUNK = 16
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
    executor = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_prepare)
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    try:
        for done in as_completed(_begun(executor, chunks)):
            yield from done.result()
    except BrokenProcessPool as error:
        raise Died("a process of the simulation died") from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.kill()


def _begun(executor: ProcessPoolExecutor, chunks: Sequence[range]) -> list[Future[list[Outcome]]]:
    """Its processes start here, where Ctrl-C does not reach them: it is for the one that waits for them, and ends them.

    A signal that is blocked stays so in what is started meanwhile, from its first instruction on; and here it comes
    when it is unblocked, while one that is ignored would be lost. The resource tracker unblocks it when it is started:
    https://github.com/python/cpython/blob/3.11/Lib/multiprocessing/resource_tracker.py
    """
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return [executor.submit(_several, chunk) for chunk in chunks]
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
