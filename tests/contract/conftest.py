"""A real n8n, started once, with the workflows of this project and what they call on loopback."""

import os
from collections.abc import Iterator

import install_n8n
import pytest
import real_n8n
from install_n8n import Release
from real_n8n import RealN8n
from upstream import Upstream

from shared.errors import ConfigError


@pytest.fixture(scope="session")
def n8n_installed() -> Release:
    """The one that N8N_VERSION names. Not there, the test is skipped; SIGNALBOX_REQUIRE=n8n installs it, or fails."""
    required = "n8n" in os.environ.get("SIGNALBOX_REQUIRE", "").split(",")
    try:
        release = install_n8n.chosen()
        if required:
            install_n8n.install(release)
        elif not install_n8n.installed(release):
            pytest.skip(f"n8n {release.version} is not installed here: `make test-n8n` does it")
    except ConfigError as error:
        if required:
            pytest.fail(f"SIGNALBOX_REQUIRE asks for n8n: {error}")
        pytest.skip(str(error))
    return release


@pytest.fixture(scope="session")
def upstream_served() -> Iterator[Upstream]:
    with Upstream().served() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def n8n_running(n8n_installed: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealN8n]:
    with real_n8n.running(tmp_path_factory.mktemp("n8n"), n8n_installed) as server:
        yield server


@pytest.fixture
def upstream(upstream_served: Upstream) -> Upstream:
    """With nothing told yet."""
    upstream_served.forget()
    return upstream_served
