"""The attempts of a run, each with its own outcome and its own time: what every figure counts. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from shared.core.run import AttemptOutcome, HistoryEntry, Run, Status

_REPLAYED = re.compile(r"replayed from \w+ by .*, attempt (\d+)")


def of(run: Run) -> tuple[AttemptOutcome, ...]:
    """The attempts that have ended, oldest first; the present one among them once it has ended."""
    if not run.status.terminal:
        return run.attempts_ended
    return (*run.attempts_ended, _present(run))


def began_at(run: Run) -> datetime:
    """When the present attempt began; in documents that do not say so, their history does."""
    if run.attempt == 1:
        return run.created_at
    if run.replayed_at is not None:
        return run.replayed_at
    notes = ((_REPLAYED.fullmatch(entry.message), entry.at) for entry in reversed(run.history))
    return next((at for found, at in notes if found and int(found[1]) == run.attempt), run.created_at)


def _present(run: Run) -> AttemptOutcome:
    since = began_at(run)
    history = [entry for entry in run.history if entry.at >= since]
    last = history[-1].at if history else since
    return AttemptOutcome(
        attempt=run.attempt,
        status=run.status,
        reason=run.error.code if run.error else None,
        deployed=run.deployment is not None and run.status is not Status.NOT_DEPLOYED,
        began_at=since,
        ended_at=last,
        stage_seconds=_spent(history, since),
    )


def _spent(history: list[HistoryEntry], since: datetime) -> dict[str, float]:
    """An entry of the history notes what its stage came to, so the time before it belongs to that stage."""
    spent: dict[str, float] = {}
    for entry in history:
        spent[entry.stage] = spent.get(entry.stage, 0.0) + (entry.at - since).total_seconds()
        since = entry.at
    return spent
