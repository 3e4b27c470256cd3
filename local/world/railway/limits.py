"""How often the simulated Railway may be called in an hour and in a second: its price plans differ in it.

Source: docs.railway.com/reference/public-api.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from shared.runtime.ports import Clock


class Limits:
    """None: no limit. Hobby has 1,000 an hour and 10 a second.

    That the windows are fixed ones, and X-RateLimit-Reset a Unix time, is assumed: Railway does not say.
    """

    def __init__(self, clock: Clock, *, per_hour: int | None = None, per_second: int | None = None) -> None:
        self.per_hour = per_hour
        self.per_second = per_second
        self._clock = clock
        self._windows: dict[int, tuple[int, int]] = {}
        """By length in seconds: its number since 1970, and the calls in it."""

    def take(self) -> tuple[bool, Mapping[str, str]]:
        """Count a call: whether it may pass, and the headers of its answer."""
        if self.per_hour is None and self.per_second is None:
            return True, {}
        now = self._clock.now().timestamp()
        limits = {3600: self.per_hour, 1: self.per_second}
        left = {length: limit - self._used(length, now) for length, limit in limits.items() if limit is not None}
        full = [length for length, rest in left.items() if rest <= 0]
        if not full:
            for length in left:
                self._windows[length] = (int(now // length), self._used(length, now) + 1)
        headers = {"retry-after": str(math.ceil(_end(max(full), now) - now))} if full else {}
        return not full, headers | self._hourly(now)

    def _hourly(self, now: float) -> dict[str, str]:
        if self.per_hour is None:
            return {}
        return {
            "x-ratelimit-limit": str(self.per_hour),
            "x-ratelimit-remaining": str(self.per_hour - self._used(3600, now)),
            "x-ratelimit-reset": str(int(_end(3600, now))),
        }

    def _used(self, length: int, now: float) -> int:
        number, calls = self._windows.get(length, (0, 0))
        return calls if number == int(now // length) else 0


def _end(length: int, now: float) -> float:
    """Of the window that holds this moment; never less than a second away, as Retry-After has whole ones."""
    return max(now + 1, (now // length + 1) * length)
