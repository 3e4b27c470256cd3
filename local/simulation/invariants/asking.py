"""How an invariant asks, and what several of them look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec

from local.simulation.place import SECRETS, SECRETS_BEGIN

P = ParamSpec("P")
Found = list[tuple[str, str]]
"""The names of invariants that do not hold, and what is wrong."""
Question = Callable[P, Iterator[str]]
_SECRETS = tuple((name, value.encode()) for name, value in SECRETS.items())
_BEGINNING = SECRETS_BEGIN.encode()


def ask(questions: Sequence[Question[P]], *args: P.args, **kwargs: P.kwargs) -> Found:
    return [(one.__name__.replace("_", " "), text) for one in questions for text in one(*args, **kwargs)]


def secrets_in(text: bytes, where: str) -> Iterator[str]:
    if _BEGINNING in text:
        yield from (f"{where} holds {name}" for name, value in _SECRETS if value in text)
