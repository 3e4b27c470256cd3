"""One after the other, each with its turn whatever becomes of those before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from shared.errors import RateLimited, TransientError, VendorError
from shared.runtime import log

T = TypeVar("T")


async def each(things: Iterable[T], see_to: Callable[[T], Awaitable[int]]) -> int:
    """The sum of what was done. When all have had their turn, raises what went wrong first; RateLimited at once."""
    done, wrong = 0, list[TransientError | VendorError]()
    for thing in things:
        try:
            done += await see_to(thing)
        except RateLimited:
            raise
        except (TransientError, VendorError) as error:
            log.error("passed over by the sweep", what=str(thing), reason=str(error))
            wrong.append(error)
    if wrong:
        raise wrong[0]
    return done
