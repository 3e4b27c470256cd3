"""Firestore's composite indexes against the queries that the functions make: a new query without one fails here."""

import ast
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from functions.console import main as console
from functions.dispatch import main as dispatch
from functions.sweep import main as sweep
from local.emulation.bus import EmbeddedBus
from local.emulation.journal import Journal
from local.emulation.secrets import EnvironmentSecrets
from local.emulation.store import SqliteStore
from local.world.clock import VirtualClock
from shared.cloud.indexes import COMPOSITE_INDEXES, Index, needed
from shared.core.events import ChecksReported, PullRequestChanged
from shared.core.run import Run
from shared.runs import metrics
from shared.runs import start as starting
from shared.runtime import config
from shared.runtime.ports import Backend, Query
from shared.runtime.services import Services
from shared.runtime.settings import Settings

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 7, 1, tzinfo=UTC)
CLOCK = VirtualClock(NOW)


class Recorder(SqliteStore):
    """Notes which function made which query, and what index that needs."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.callers: set[tuple[str, str]] = set()
        self.indexes: set[Index] = set()

    async def query(self, query: Query[Any]) -> Any:
        caller = sys._getframe(1).f_code
        self.callers.add((str(Path(caller.co_filename).relative_to(ROOT)), caller.co_name))
        self.indexes |= needed(query)
        return await super().query(query)


def querying() -> Iterator[tuple[str, str]]:
    """Every function in functions/ and shared/ that calls `….query(…)`."""
    for path in [*ROOT.glob("functions/**/*.py"), *ROOT.glob("shared/**/*.py")]:
        if path.is_relative_to(ROOT / "shared" / "cloud"):
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef) and any(map(is_query, ast.walk(function))):
                yield str(path.relative_to(ROOT)), function.name


def is_query(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "query"


async def make_every_query(store: Recorder) -> None:
    """Each with every combination of conditions that its callers give it."""

    backend = Backend(store, EmbeddedBus(Journal(":memory:", [], []), CLOCK), EnvironmentSecrets({}), CLOCK)
    services = Services(Settings(), config.load(ROOT / "signalbox.toml"), backend)

    def asking(**query: str) -> Any:
        return SimpleNamespace(query_params=query)

    await sweep.wake_due(services)
    await console._health(asking(), services)
    for filters in ({}, {"target": "t"}, {"status": "failed"}, {"target": "t", "status": "failed"}):
        await console._runs(asking(**filters), services)
    await metrics.summary(asking(), services)
    await metrics.system(asking(), services)
    await starting.runs_of(services, services.config.targets[0], 42)
    await starting.latest_of(services, services.config.targets[0])
    await dispatch.act(services, PullRequestChanged(repository="acme/shop", number=42))
    await dispatch.act(services, ChecksReported(repository="acme/shop", head_sha="a" * 40))
    await services.close()


@pytest.fixture
async def recorded():
    store = Recorder()
    await make_every_query(store)
    return store


async def test_every_query_of_the_code_was_made_here(recorded):
    assert recorded.callers == set(querying())


async def test_the_indexes_are_those_that_the_queries_need(recorded):
    assert set(COMPOSITE_INDEXES) == recorded.indexes
    assert list(COMPOSITE_INDEXES) == sorted(set(COMPOSITE_INDEXES)), "in order, none twice"


def test_a_range_beside_the_order_is_to_be_thought_about():
    with pytest.raises(ValueError, match="think of its index"):
        needed(Query(Run, (("updated_at", ">", NOW),), "created_at"))


def test_an_order_alone_needs_no_composite_index():
    assert needed(Query(Run, (("wake_at", "<=", NOW),), "wake_at")) == set()
    assert needed(Query(Run, (("created_at", "==", NOW),), "created_at", descending=True)) == set()
