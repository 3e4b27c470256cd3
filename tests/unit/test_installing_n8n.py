"""The real n8n of the contract tests is in the cache whole or not at all, with programs that only look like npm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import real_n8n

from shared.errors import ConfigError

Programs = Callable[[str, str], None]
SETTING = '[ "$1" != config ] || { echo https://registry.test/npm/; exit; }; '
"""What npm answers when it is asked for its registry."""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Puts a `node` and an `npm` on the PATH, by what they do."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def put(node: str, npm: str) -> None:
        for name, does in (("node", node), ("npm", npm)):
            (folder / name).write_text(f"#!/bin/sh\n{does}\n")
            (folder / name).chmod(0o755)

    return put


def test_what_was_broken_off_is_begun_anew_and_what_is_there_is_left_alone(programs: Programs) -> None:
    programs("echo v20.20.2", SETTING + 'echo "$1" >> steps; touch half; [ "$1" = install ]')
    with pytest.raises(ConfigError, match=r"(?s)`npm rebuild sqlite3.*ended with 1"):
        real_n8n.install()
    assert not real_n8n.installed()

    programs("echo v20.20.2", SETTING + 'echo "$1" >> steps')
    folder = real_n8n.install()
    programs("echo v20.20.2", "exit 1")

    assert real_n8n.install() == folder
    assert (folder / "steps").read_text() == "install\nrebuild\n"
    assert not (folder / "half").exists()


@pytest.mark.parametrize("version", ["v18.20.0", "v20.18.9", "v25.0.0", "nonsense"])
def test_a_node_that_it_does_not_run_on_is_told(programs: Programs, version: str) -> None:
    programs(f"echo {version}", "exit 1")
    with pytest.raises(ConfigError, match=f"needs Node 20.19 to 24, and this is {version}"):
        real_n8n.check()


def test_every_package_is_pinned_and_looked_for_in_the_registry_of_this_machine(programs: Programs) -> None:
    programs("echo v20.20.2", SETTING + "true")
    lock = json.loads((real_n8n.install() / "package-lock.json").read_text())["packages"]

    assert lock["node_modules/n8n"]["version"] == real_n8n.VERSION
    assert lock["node_modules/n8n"]["resolved"] == "https://registry.test/npm/n8n/-/n8n-2.8.4.tgz"
    nodes = lock["node_modules/n8n-nodes-base"]
    assert nodes["resolved"] == f"https://registry.test/npm/n8n-nodes-base/-/n8n-nodes-base-{nodes['version']}.tgz"
    assert lock["node_modules/@n8n/di"]["resolved"].startswith("https://registry.test/npm/@n8n/di/-/di-")
    assert all(package["integrity"] for path, package in lock.items() if path and "version" in package)
    assert "resolved" not in (real_n8n.PACKAGE / "package-lock.json").read_text()
