"""Which tests of a parallel run keep together in one process, and which begin first.

What takes long to start is started by one process for all tests that use it: Google's emulators (by two, as what is
played on them takes longest of all), the real n8n, Terraform's plans. The other tests of a file keep together, too;
those of `SINGLE`, which take seconds each, go wherever there is room, unless they share what their file sets up. The
long ones come first, so that no processor is left over at the end with one of them.

More processes than processors: what is played in real time mostly waits, and others can work meanwhile.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from _pytest.nodeid import coerce_node_id

PROCESSES_PER_PROCESSOR = 2
SINGLE = ("e2e", "simulation")
STARTED: Mapping[str, str] = {"plans": "terraform", "google": "emulators"}
"""The groups of tests by the fixture that they use."""
ON_GOOGLES = {"emulators", "pubsub", "firestore"}
"""The parameters of tests that ask for the fixture `google` once they run."""
FIRST = ("played-on-emulators", "n8n", "emulators", "terraform", "e2e", "simulation", "contract", "vendors", "fuzz")
"""Groups and folders; any other comes after these."""
TESTS = Path(__file__).parent


def processes() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return PROCESSES_PER_PROCESSOR * usable


def group(item: pytest.Item) -> str | None:
    """The name of those that it keeps together with, or None."""
    if item.path.name.startswith("test_n8n_") and folder(item) == "contract":
        return "n8n"  # with the tests of the simulated one, to which the ledger of the contract compares it
    fixtures = set(getattr(item, "fixturenames", ()))
    if not ON_GOOGLES.isdisjoint(_parameters(item)):
        fixtures.add("google")
    for fixture, name in STARTED.items():
        if fixture in fixtures:
            return f"played-on-{name}" if (name, folder(item)) == ("emulators", "e2e") else name
    alone = folder(item) in SINGLE and "module" not in _scopes(item)
    return None if alone else item.nodeid.partition("::")[0]


def folder(item: pytest.Item) -> str:
    """Below tests/."""
    return item.path.relative_to(TESTS).parts[0]


def arrange(items: list[pytest.Item]) -> None:
    """Mark each with its group, and put the long ones first. The order within a group stays."""
    places = {}
    for item in items:
        name = group(item)
        if name is not None:
            _keep_together(item, name)
        rank = next((at for at, first in enumerate(FIRST) if first in (name, folder(item))), len(FIRST))
        places[item] = rank
    items.sort(key=lambda item: places[item])


def _keep_together(item: pytest.Item, name: str) -> None:
    """By the end of its id, which is what xdist's scheduler goes by.

    xdist 3.8 writes it there itself for a mark, into an attribute that pytest 9.2 does not read any more.
    """
    item._id = coerce_node_id(f"{item.nodeid}@{name}")


def _parameters(item: pytest.Item) -> set[str]:
    call = getattr(item, "callspec", None)
    return {value for value in call.params.values() if isinstance(value, str)} if call else set()


def _scopes(item: pytest.Item) -> set[str]:
    """Of the fixtures that it names."""
    info = getattr(item, "_fixtureinfo", None)
    return {overriding[-1].scope for overriding in info.name2fixturedefs.values()} if info else set()
