"""The functions' tests play in a scene, and never wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from unit.functions.scene import IMPATIENT, Scene, opened


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return IMPATIENT


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with opened() as scene:
        yield scene
