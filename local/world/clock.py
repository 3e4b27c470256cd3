"""A clock that stands still until it is told to move: simulations and tests skip hours with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class VirtualClock:
    """Starts at `start`, which must be timezone-aware."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Go on by that much. Raises ValueError when it would go back."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += timedelta(seconds=seconds)
