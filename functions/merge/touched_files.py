"""Whether a merge changes anything that a service is deployed for. In doubt it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shared.clients.github.client import GitHub
from shared.core.run import Run
from shared.core.watch_paths import touched
from shared.errors import Final, VendorError
from shared.runtime import log

WatchPatterns = Callable[[], Awaitable[tuple[str, ...]]]
"""Which files the service is deployed for, by signalbox.toml or by Railway."""


async def touches(github: GitHub, watch_patterns: WatchPatterns, run: Run, *, refused_long: bool) -> bool:
    """Whether the run's merged pull request changes a file that the target's paths, or Railway's watch patterns, name.

    A list of files that GitHub cuts short counts as touched, and so does what a vendor refuses to tell, once that has
    lasted (`refused_long`). Raises VendorError before, for the stage to ask again, and TransientError.
    """
    if run.pull_request is None:
        return True
    try:
        patterns = await watch_patterns()
        files = await github.changed_files(run.repository, run.pull_request.number) if patterns else None
    except VendorError as error:
        if not (refused_long or isinstance(error, Final)):
            raise
        log.warning("it is not known what the merge touches; it is deployed", target=run.target, reason=str(error))
        return True
    return not files or touched(patterns, files)
