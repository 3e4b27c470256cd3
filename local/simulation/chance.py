"""The one source of everything that is not decided by the code: a value per question, made of the seed and its name.

Each question has a label and is counted by it, so that leaving one incident out leaves the others as they were as far
as possible. That is what makes a failing run shrinkable.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")
_RANGE = float(1 << 32)


class Incident(NamedTuple):
    """Something that need not have happened: the nth time that the question was asked, the answer was this."""

    label: str
    nth: int
    what: str


class Chance:
    """`only`: the incidents that may happen, of all that would; None allows them all."""

    def __init__(self, seed: int, only: frozenset[Incident] | None = None) -> None:
        self._seed = str(seed)
        self._only = only
        self._asked: defaultdict[str, int] = defaultdict(int)
        self.happened: list[Incident] = []
        self.calm = False
        """Nothing goes wrong any more."""

    def incident(self, label: str, odds: Mapping[str, float]) -> tuple[str | None, float]:
        """What happens of the things in `odds` (at most one), and another value from 0 to 1, such as for a pause."""
        nth, first, second = self._values(label)
        if not self.calm:
            for what, probability in odds.items():
                first -= probability
                if first < 0:
                    return (what if self._allow(Incident(label, nth, what)) else None), second
        return None, second

    def occurs(self, label: str, what: str) -> bool:
        """Something that happens unless it is left out."""
        nth, _, _ = self._values(label)
        return self._allow(Incident(label, nth, what))

    def number(self, label: str, low: float, high: float) -> float:
        _, first, _ = self._values(label)
        return low + first * (high - low)

    def pick(self, label: str, options: Sequence[T]) -> T:
        _, first, _ = self._values(label)
        return options[int(first * len(options))]

    def _allow(self, incident: Incident) -> bool:
        if self._only is not None and incident not in self._only:
            return False
        self.happened.append(incident)
        return True

    def _values(self, label: str) -> tuple[int, float, float]:
        nth = self._asked[label]
        self._asked[label] = nth + 1
        digest = hashlib.blake2b(f"{self._seed} {label} {nth}".encode(), digest_size=8).digest()
        return nth, int.from_bytes(digest[:4]) / _RANGE, int.from_bytes(digest[4:]) / _RANGE
