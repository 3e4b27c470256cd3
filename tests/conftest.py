"""What every suite shares: asyncio, the loop of the functions, Google's emulators, and the table of contracts."""

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import distribution
import late_completions
import pytest
from unit.functions.scene import Scene, opened
from vendors import report

from local.emulation import emulators
from local.emulation.emulators import Emulators
from shared.errors import ConfigError
from shared.runtime import redaction

# The tests' own clients, browsers and servers speak with this machine alone; what fetches something may use a proxy.
for _name in ("no_proxy", "NO_PROXY"):
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), "127.0.0.1,localhost,::1")))

MEASURED = {"unit", "golden", "contract"}
"""The folders whose tests count as coverage. What the others happen to execute proves less, and measuring is slow."""
NOTED = "held against the vendors' contracts"
_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": late_completions.new_loop}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with opened() as scene:
        yield scene


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a process remembers to mask makes its every line slower, and may be a word of the next test."""
    monkeypatch.setattr(redaction, "_known", redaction._Known())


@pytest.fixture(scope="session")
def google(tmp_path_factory) -> Iterator[Emulators]:
    """Both emulators. Without them the test is skipped; SIGNALBOX_REQUIRE=emulators makes that a failure."""
    try:
        installation = emulators.find()
    except ConfigError as error:
        if "emulators" in os.environ.get("SIGNALBOX_REQUIRE", "").split(","):
            pytest.fail(f"SIGNALBOX_REQUIRE asks for Google's emulators: {error}")
        pytest.skip(str(error))
    with emulators.running(installation, tmp_path_factory.mktemp("emulators")) as running:
        yield running


@pytest.fixture
def new_project() -> Callable[[], str]:
    """Names of projects nobody used before: an emulator keeps each project's state apart."""
    return lambda: f"project-{os.getpid()}-{next(_numbers)}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """None where PYTEST_XDIST_AUTO_NUM_WORKERS says how many."""
    return None if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") else distribution.processes()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if distribution.folder(item) not in MEASURED:
            item.add_marker("no_cover")
    if getattr(config.option, "loadgroup", False):  # only in a process of several
        distribution.arrange(items)


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
