"""What every suite shares: asyncio, the loop that the functions run on, and Google's emulators, started once."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from local import emulators
from local.emulators import Emulators
from shared.errors import ConfigError

_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
