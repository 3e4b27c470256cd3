"""A real n8n, started once, with the workflows of this project and what they call on loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import real_n8n
from real_n8n import RealN8n
from upstream import Upstream

from shared.errors import ConfigError


@pytest.fixture(scope="session")
def n8n_installed() -> Path:
    """Where n8n is. Not there, the test is skipped; SIGNALBOX_REQUIRE=n8n installs it, or fails."""
    required = "n8n" in os.environ.get("SIGNALBOX_REQUIRE", "").split(",")
    try:
        real_n8n.check()
        if required:
            return real_n8n.install()
    except ConfigError as error:
        if required:
            pytest.fail(f"SIGNALBOX_REQUIRE asks for n8n: {error}")
        pytest.skip(str(error))
    if not real_n8n.installed():
        pytest.skip("n8n is not installed here: `make test-n8n` does it")
    return real_n8n.folder()


@pytest.fixture(scope="session")
def upstream_served() -> Iterator[Upstream]:
    with Upstream().served() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def n8n_running(n8n_installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealN8n]:
    with real_n8n.running(tmp_path_factory.mktemp("n8n")) as server:
        yield server


@pytest.fixture
def upstream(upstream_served: Upstream) -> Upstream:
    """With nothing told yet."""
    upstream_served.forget()
    return upstream_served
