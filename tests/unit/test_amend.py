"""Amending a document that others write too."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from unit.functions.scene import IMPATIENT, ScriptedStore

from shared.core.target import Target
from shared.errors import Conflict, TransientError, Unavailable
from shared.runtime.update import COLLISIONS, amend


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return IMPATIENT


@pytest.fixture
async def store() -> AsyncIterator[ScriptedStore]:
    store = ScriptedStore()
    yield store
    await store.close()


async def failures(store: ScriptedStore) -> int:
    found = await store.get(Target, "t")
    return found.document.rollbacks_in_a_row if found else 0


def one_more(target: Target) -> Target:
    return replace(target, rollbacks_in_a_row=target.rollbacks_in_a_row + 1)


async def add_one(store: ScriptedStore) -> Target | None:
    return await amend(store, Target, "t", one_more, missing=Target(id="t"))


async def test_a_document_that_is_missing_is_made_of_what_it_is_taken_to_be(store: ScriptedStore) -> None:
    assert await add_one(store) == Target(id="t", rollbacks_in_a_row=1)
    assert await add_one(store) == Target(id="t", rollbacks_in_a_row=2)
    assert await failures(store) == 2


async def test_a_document_that_is_missing_is_left_so(store: ScriptedStore) -> None:
    assert await amend(store, Target, "t", one_more) is None
    assert await store.get(Target, "t") is None


async def test_a_change_that_declines_or_changes_nothing_writes_nothing(store: ScriptedStore) -> None:
    await add_one(store)
    before = store.commits
    assert await amend(store, Target, "t", lambda _: None) is None
    assert await amend(store, Target, "t", lambda target: target) == Target(id="t", rollbacks_in_a_row=1)
    assert store.commits == before


async def test_a_change_is_made_anew_on_what_somebody_wrote_in_between(store: ScriptedStore) -> None:
    async def somebody() -> None:
        await amend(store.real, Target, "t", one_more, missing=Target(id="t"))

    for nth in range(1, COLLISIONS):
        store.incidents.before(nth, somebody)
    after = await add_one(store)
    assert after.rollbacks_in_a_row == await failures(store) == COLLISIONS


async def test_when_somebody_always_comes_first_it_is_given_up_for_now(store: ScriptedStore) -> None:
    for nth in range(1, COLLISIONS + 1):
        store.incidents.before(nth, Conflict("again"))
    with pytest.raises(TransientError, match="t changed 8 times"):
        await add_one(store)
    assert store.commits == COLLISIONS


async def test_a_store_that_is_down_is_said_at_once(store: ScriptedStore) -> None:
    store.down = True
    with pytest.raises(Unavailable):
        await add_one(store)
    assert store.commits == 0
