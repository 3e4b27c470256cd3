"""What vendors publish is fetched once."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from unit.functions.scene import IMPATIENT
from vendors import packages
from vendors.packages import Package


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return IMPATIENT


@pytest.fixture(scope="session")
def published() -> Callable[[Package], bytes]:
    """The file of a package. Without it the test is skipped; SIGNALBOX_REQUIRE=contracts makes that a failure."""

    def read(package: Package) -> bytes:
        try:
            return packages.read(package)
        except packages.Unavailable as error:
            if "contracts" in os.environ.get("SIGNALBOX_REQUIRE", "").split(","):
                pytest.fail(f"SIGNALBOX_REQUIRE asks for the vendors' contracts: {error}")
            pytest.skip(str(error))

    return read
