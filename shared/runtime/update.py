"""Read a document, change it, write it if no one wrote in between; again, after a random pause, when a user did."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from shared.errors import Conflict, TransientError
from shared.runtime.ports import Create, D, Store, Update

COLLISIONS = 8


async def pause(collision: int) -> None:
    """A random wait that grows with each collision, so that writers who met once do not meet again."""
    if collision:
        await asyncio.sleep(random.uniform(0, 0.02 * 2**collision))  # noqa: S311 - jitter


async def amend(
    store: Store, kind: type[D], id: str, change: Callable[[D], D | None], *, missing: D | None = None
) -> D | None:
    """The document as it is now, or None when there is none or `change` returned None, and nothing was written.

    `missing` is what a document that does not exist yet is taken to be. Raises TransientError when other writers
    came first COLLISIONS times.
    """
    for collision in range(COLLISIONS):
        await pause(collision)
        found = await store.get(kind, id)
        before = found.document if found is not None else missing
        after = change(before) if before is not None else None
        if after is None or (found is not None and after == before):
            return after
        try:
            await store.commit(Create(after) if found is None else Update(after, found.version))
        except Conflict:
            continue
        return after
    raise TransientError(f"{id} changed {COLLISIONS} times while it was to be written")
