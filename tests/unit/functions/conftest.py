"""The functions' tests play in a scene, and never wait."""

from typing import Any

import pytest
from unit.functions.scene import IMPATIENT


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return IMPATIENT
