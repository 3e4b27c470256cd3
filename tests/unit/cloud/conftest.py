"""One event loop for all tests here.

gRPC has one queue of completions for the whole process. What completes late, such as the end of a connection, is handed
to the loop that began it, and raises in whichever loop runs then when that one is closed already.
"""

from __future__ import annotations

import pytest


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package", autouse=True)
async def _one_loop(anyio_backend: str) -> None:
    """As long as it is there, anyio keeps the loop."""
    return
