"""What vendors publish is fetched once; what was validated is told at the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from unit.functions.scene import IMPATIENT
from vendors import packages, report
from vendors.packages import Package

NOTED = "held against the vendors' contracts"


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


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of several processes that run the tests is done: what it validated counts here."""
    noted = getattr(node, "workeroutput", {}).get(NOTED)
    if noted is not None:
        report.add(noted)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[NOTED] = report.encoded()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lines = list(report.lines())
    if lines:
        terminalreporter.section(NOTED)
        for line in lines:
            terminalreporter.write_line(line)
