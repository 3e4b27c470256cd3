"""What was held against the vendors' contracts in this session, for the table at its end."""

import pickle
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from msgspec import Struct, field


class Vendor(Struct):
    requests: int = 0
    operations: set[str] = field(default_factory=set)
    violations: Counter[str] = field(default_factory=Counter)


_vendors: defaultdict[str, Vendor] = defaultdict(Vendor)
MOST = 50
"""Kinds of violations that are shown."""
HEADER = ("vendor", "operations exercised", "requests validated", "violations")


def record(vendor: str, operation: str, requests: int = 1, violations: Iterable[str] = ()) -> list[str]:
    """Note that so many requests of this operation, with their answers, were validated; returns the violations."""
    found, row = list(violations), _vendors[vendor]
    row.operations.add(operation)
    row.requests += requests
    row.violations.update(found)
    return found


def operations(vendor: str) -> list[str]:
    return sorted(_vendors[vendor].operations)


def encoded() -> bytes:
    """Everything that was noted in this process, for `add` in another."""
    return pickle.dumps(dict(_vendors))


def add(noted: bytes) -> None:
    for name, other in pickle.loads(noted).items():
        row = _vendors[name]
        row.requests += other.requests
        row.operations |= other.operations
        row.violations.update(other.violations)


def lines() -> Iterator[str]:
    """The table, and which operations were exercised; nothing when nothing was validated."""
    rows = [
        (name, str(len(v.operations)), str(v.requests), str(v.violations.total()))
        for name, v in sorted(_vendors.items())
    ]
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    for first, *rest in (HEADER, *rows):
        numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *numbers))
    for name in sorted(_vendors):
        yield ""
        yield f"{name}: {', '.join(operations(name))}"
        yield from (f"{times:6}  {violation}" for violation, times in _vendors[name].violations.most_common(MOST))
