"""The shortest trace that still shows a violation: as few incidents as possible, found by leaving out more and more."""

from __future__ import annotations

from local.simulation.chance import Incident
from local.simulation.simulation import ENDS, Outcome, simulate

TRIES = 120


def shrink(outcome: Outcome, tries: int = TRIES) -> Outcome:
    """Leave out halves of the incidents, then quarters, …, as long as the same invariant is violated.

    A day without an end stays as it is: each try would take as long as it is waited for.
    """
    wanted = outcome.violations[0].invariant
    if wanted == ENDS:
        return outcome
    best = simulate(outcome.seed, only=frozenset(outcome.incidents), keep_steps=True)
    if not _shows(best, wanted):
        return simulate(outcome.seed, keep_steps=True)
    size = len(best.incidents) // 2
    while size >= 1 and tries > 0:
        smaller = None
        for start in range(0, len(best.incidents), size):
            if tries <= 0:
                break
            tries -= 1
            smaller = _without(best, start, size, wanted)
            if smaller is not None:
                break
        if smaller is None:
            size //= 2
        else:
            best, size = smaller, min(size, max(1, len(smaller.incidents) // 2))
    return best


def _without(best: Outcome, start: int, size: int, wanted: str) -> Outcome | None:
    kept: frozenset[Incident] = frozenset(best.incidents[:start] + best.incidents[start + size :])
    tried = simulate(best.seed, only=kept, keep_steps=True)
    return tried if _shows(tried, wanted) and len(tried.incidents) < len(best.incidents) else None


def _shows(outcome: Outcome, wanted: str) -> bool:
    return bool(outcome.violations) and outcome.violations[0].invariant == wanted
