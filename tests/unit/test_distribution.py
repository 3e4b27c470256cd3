"""How the tests of a parallel run are shared out: by what is slow to start, the long ones first."""

from typing import Any

import distribution
import pytest
from distribution import TESTS, arrange, group
from xdist.scheduler import LoadGroupScheduling


class Test:
    """As pytest collects one; `fixtures` are those that it names."""

    __test__ = False

    def __init__(self, path: str, *fixtures: str, **parameters: object) -> None:
        self.path = TESTS / path
        self.nodeid = f"tests/{path}::test_{id(self)}"
        self.fixturenames = fixtures
        self.callspec = type("CallSpec", (), {"params": parameters})
        self._id: Any = None


@pytest.mark.parametrize(
    ("test", "name"),
    [
        (Test("contract/test_store.py", bench="firestore"), "emulators"),
        (Test("contract/test_bus_contract.py", "google", "new_project"), "emulators"),
        (Test("e2e/test_scenarios.py", name="happy", backend="emulators"), "played-on-emulators"),
        (Test("e2e/test_scenarios.py", name="happy", backend="embedded"), None),
        (Test("contract/test_n8n_contract.py", bench="real"), "n8n"),
        (Test("contract/test_n8n_contract.py", bench="simulated"), "n8n"),
        (Test("terraform/test_wiring.py", "plans"), "terraform"),
        (Test("contract/test_store.py", bench="memory"), "tests/contract/test_store.py"),
        (Test("unit/functions/test_merge.py", "scene"), "tests/unit/functions/test_merge.py"),
        (Test("simulation/test_simulation.py", seed=3), None),
    ],
)
def test_what_is_slow_to_start_is_started_for_all_that_use_it(test: Any, name: str | None) -> None:
    assert group(test) == name


def test_the_long_ones_come_first_and_keep_their_order_otherwise() -> None:
    # Given tests as they are collected
    merge, gate = Test("unit/functions/test_merge.py"), Test("unit/test_gate.py")
    scenario, played = Test("e2e/test_scenarios.py"), Test("e2e/test_scenarios.py", "google")
    items: list[Any] = [merge, gate, scenario, played]

    # When they are shared out
    arrange(items)

    # Then what takes longest begins first, and each with a group has it behind its id
    assert items == [played, scenario, merge, gate]
    assert [str(item._id).partition("@")[2] for item in items] == [
        "played-on-emulators",
        "",
        "tests/unit/functions/test_merge.py",
        "tests/unit/test_gate.py",
    ]


def test_a_group_is_where_the_scheduler_of_this_xdist_looks(request: pytest.FixtureRequest) -> None:
    # Given a test as this pytest collects it
    item = request.node
    before = item._id

    # When its group is noted
    try:
        arrange([item])
        told = item.nodeid
    finally:
        item._id = before

    # Then xdist finds the group
    scheduler = LoadGroupScheduling.__new__(LoadGroupScheduling)
    assert scheduler._split_scope(told) == "tests/unit/test_distribution.py"


def test_there_are_more_processes_than_processors() -> None:
    assert distribution.processes() >= 2
