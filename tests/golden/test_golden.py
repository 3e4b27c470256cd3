"""What each scenario comes to, from beginning to end, is what it came to before: `make golden` accepts a change."""

import difflib
import os
from pathlib import Path
from typing import Any

import pytest
from golden.telling import tell
from unit.functions.scene import IMPATIENT

from local.demo.scenarios import SCENARIOS

HERE = Path(__file__).parent
ACCEPT = os.environ.get("SIGNALBOX_GOLDEN") == "accept"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return IMPATIENT


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_is_told_as_before(name: str) -> None:
    told, file = await tell(SCENARIOS[name]), HERE / f"{name}.txt"
    if ACCEPT:
        file.write_text(told, encoding="utf-8")
    before = file.read_text(encoding="utf-8") if file.exists() else ""

    difference = "\n".join(difflib.unified_diff(before.splitlines(), told.splitlines(), "accepted", "now", lineterm=""))

    assert not difference, f"{name} is another story now; if it should be, `make golden` accepts it\n{difference}"
    assert "✗" not in told


def test_every_story_has_its_scenario() -> None:
    assert {file.stem for file in HERE.glob("*.txt")} == set(SCENARIOS)
