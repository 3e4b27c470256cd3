"""Where a line belongs, as a law: which room of the house may know which, and that each room is used."""

from collections.abc import Iterable, Iterator

import grimp
import pytest

from local import topology

ROOMS = ("functions", "shared", "local")
FUNCTIONS = [function.name for function in topology.load().functions]
BACKEND = "shared.cloud"
"""Named in a setting instead of imported; every function may use it."""
OUTSIDE = ("shared.clients", "shared.cloud", "shared.core")
"""These belong to a vendor, or to nobody in particular, whoever uses them."""
PURE = (
    "functions.dispatch.commands.words",
    "functions.merge.gate",
    "functions.rollback.plan",
    "functions.verify.checks",
    "shared.runs.railway_health_check",
)
"""Judgements outside the core, which import nothing of ours but the core."""
NO_IO = frozenset(
    {"__future__", "collections", "datetime", "enum", "functools", "hashlib", "msgspec", "re", "types", "typing"}
)
"""What the core may import from elsewhere."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*ROOMS)


def is_within(module: str, packages: Iterable[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)


def test_what_one_function_uses_stands_in_its_own_room(graph: grimp.ImportGraph) -> None:
    every = graph.find_upstream_modules(BACKEND) | {BACKEND}
    reached = {name: graph.find_upstream_modules(f"functions.{name}.main") | every for name in FUNCTIONS}
    packages = {module for module in graph.modules if graph.find_children(module)}
    users = {
        module: [name for name in FUNCTIONS if module in reached[name]]
        for module in graph.modules - packages
        if module.startswith("shared.") and not is_within(module, OUTSIDE)
    }
    assert len(users) > 20
    assert {module: names for module, names in users.items() if len(names) < 2} == {}


def test_the_core_does_no_input_or_output() -> None:
    """That it imports nothing of ours outside itself is a contract of import-linter's."""
    graph = grimp.build_graph("shared", include_external_packages=True)
    core = {"shared.core"} | graph.find_descendants("shared.core")
    known = {other for module in core for other in graph.find_modules_directly_imported_by(module)} - core
    assert known <= NO_IO


@pytest.mark.parametrize("module", PURE)
def test_a_judgement_knows_only_the_core(graph: grimp.ImportGraph, module: str) -> None:
    known = graph.find_modules_directly_imported_by(module)
    assert {one for one in known if not is_within(one, ["shared.core"])} == set()


def test_nothing_goes_round_in_a_circle() -> None:
    """What only a type checker imports is left out: it is not there when the code runs."""
    graph = grimp.build_graph(*ROOMS, exclude_type_checking_imports=True)
    assert sorted(circles(graph)) == []


def test_the_flat_top_of_local_holds_the_topology_alone(graph: grimp.ImportGraph) -> None:
    flat = {module for module in graph.find_children("local") if not graph.find_children(module)}
    assert flat == {"local.topology"}


def circles(graph: grimp.ImportGraph) -> Iterator[list[str]]:
    """Tarjan's strongly connected components of more than one module."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[list[str]]:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph.find_modules_directly_imported_by(module)):
            if other not in index:
                yield from visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            at = stack.index(module)
            found = sorted(stack[at:])
            del stack[at:]
            if len(found) > 1:
                yield found

    for module in sorted(graph.modules):
        if module not in index:
            yield from visit(module)


def test_a_circle_would_be_found() -> None:
    graph = grimp.ImportGraph()
    for importer, imported in (("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")):
        graph.add_import(importer=importer, imported=imported)
    assert list(circles(graph)) == [["a", "b", "c"]]
