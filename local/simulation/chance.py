"""The one source of everything that is not decided by the code: a value per question, made of the seed and its name.

Each question has a label and is counted by it, so that leaving one incident out leaves the others as they were as far
as possible. That is what makes a failing run shrinkable.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct

T = TypeVar("T")
_RANGE = float(1 << 32)
_HALVES = struct.Struct(">II")


class Incident(NamedTuple):
    """Something that need not have happened: the nth time that the question was asked, the answer was this."""

    label: str
    nth: int
    what: str


class _Question(Struct):
    """How often it was asked, and the hash of all but that."""

    hash: Any
    asked: int = 0


class Chance:
    """`only`: the incidents that may happen, of all that would; None allows them all."""

    def __init__(self, seed: int, only: frozenset[Incident] | None = None) -> None:
        self._seed = str(seed)
        self._only = only
        self._questions: dict[str, _Question] = {}
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
        question = self._questions.get(label)
        if question is None:
            question = _Question(hashlib.blake2b(f"{self._seed} {label} ".encode(), digest_size=8))
            self._questions[label] = question
        nth = question.asked
        question.asked = nth + 1
        whole = question.hash.copy()
        whole.update(b"%d" % nth)
        first, second = _HALVES.unpack(whole.digest())
        return nth, first / _RANGE, second / _RANGE
