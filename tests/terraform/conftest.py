"""What a plan says, and what the code of the functions uses; each found out once."""

import os
from typing import Any

import pytest
from terraform.planning import Plan
from terraform.usage import Use
from unit.functions.scene import IMPATIENT, opened

from terraform import planning, usage


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return IMPATIENT


@pytest.fixture(scope="session")
def plans(tmp_path_factory) -> dict[str, Plan]:
    """By the runs of plan.tftest.hcl. Without Terraform the test is skipped; SIGNALBOX_REQUIRE=terraform: it fails."""
    required = "terraform" in os.environ.get("SIGNALBOX_REQUIRE", "").split(",")
    try:
        return planning.make(tmp_path_factory.mktemp("terraform"), registry=required)
    except planning.Unavailable as error:
        if required:
            pytest.fail(f"SIGNALBOX_REQUIRE asks for Terraform: {error}")
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def simulated() -> set[Use]:
    return usage.simulated()


@pytest.fixture
async def used(simulated) -> set[Use]:
    """By every function, wherever it was seen."""
    async with opened() as scene:
        seldom = await usage.passed_on(scene) | await usage.called(scene)
    async with opened() as scene:
        return simulated | seldom | await usage.shown(scene)
