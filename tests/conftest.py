"""What every suite shares: asynchronous tests run on asyncio, the loop that the functions run on."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
