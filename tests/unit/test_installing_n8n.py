"""The real n8n of the contract tests is in the cache whole or not at all, with programs that only look like npm."""

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import install_n8n
import pytest
from install_n8n import Release

from shared.errors import ConfigError

Programs = Callable[[str, str], None]
SETTING = '[ "$1" != config ] || { echo https://registry.test/npm/; exit; }; '
"""What npm answers when it is asked for its registry."""
STEPS = SETTING + 'echo "$@" >> steps; '
PUTS_NODE = """for one in $(grep -o "node-[a-z0-9-]*" package.json); do
  mkdir -p node_modules/$one/bin; : > node_modules/$one/bin/node
done
"""
"""What npm does with the package.json of Node, so far as it is looked at."""
OLD, NEW = install_n8n.releases()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Puts a `node` and an `npm` on the PATH, by what they do."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    def put(node: str, npm: str) -> None:
        for name, does in (("node", node), ("npm", npm)):
            (folder / name).write_text(f"#!/bin/sh\n{does}\n")
            (folder / name).chmod(0o755)

    return put


def test_an_install_that_was_interrupted_begins_again(programs: Programs) -> None:
    programs("echo v20.20.2", STEPS + 'touch half; [ "$1" = install ]')
    with pytest.raises(ConfigError, match=r"(?s)`npm rebuild sqlite3.*ended with 1"):
        install_n8n.install(OLD)
    assert not install_n8n.installed(OLD)

    programs("echo v20.20.2", STEPS)
    folder = install_n8n.install(OLD)
    programs("echo v20.20.2", "exit 1")

    assert install_n8n.install(OLD) == folder
    assert [line.split()[0] for line in (folder / "steps").read_text().splitlines()] == ["install", "rebuild"]
    assert not (folder / "half").exists()


# Which n8n


def test_the_newest_is_played_unless_another_is_named() -> None:
    assert install_n8n.chosen({}) == install_n8n.chosen({"N8N_VERSION": ""}) == NEW
    assert install_n8n.chosen({"N8N_VERSION": OLD.version}) == OLD
    assert OLD.number < NEW.number


def test_an_unknown_version_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"N8N_VERSION=1\.0\.0: there are 2\.8\.4 and 2\.41\.1; .* tests/n8n"):
        install_n8n.chosen({"N8N_VERSION": "1.0.0"})


def test_make_n8n_says_in_one_line_what_is_wrong() -> None:
    ran = subprocess.run(
        [sys.executable, install_n8n.__file__], env={"N8N_VERSION": "0.1"}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr == "N8N_VERSION=0.1: there are 2.8.4 and 2.41.1; for another add a folder to tests/n8n\n"


def test_each_version_has_its_place_in_the_cache_which_the_lock_names_too(programs: Programs, tmp_path: Path) -> None:
    programs("echo v24.1.0", "exit 1")
    other = Path(shutil.copytree(NEW.source, tmp_path / "other"))
    (other / "package-lock.json").write_text("{}")

    folders = [install_n8n.folder(one) for one in (OLD, NEW, Release(NEW.version, other, (24, 0), 24))]

    assert len(set(folders)) == 3
    assert folders[0].name.startswith("n8n-2.8.4-node24-")
    assert folders[1].name.startswith("n8n-2.41.1-node24-")


# Which Node


@pytest.mark.parametrize(
    ("release", "node"), [(OLD, "v20.19.0"), (OLD, "v24.9.9"), (NEW, "v24.0.0")], ids=lambda one: str(one)[:20]
)
def test_the_machines_own_node_is_used_where_it_fits(
    programs: Programs, tmp_path: Path, release: Release, node: str
) -> None:
    programs(f"echo {node}", STEPS)

    folder = install_n8n.install(release)

    assert install_n8n.node_for(release).program == tmp_path / "bin/node"
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


@pytest.mark.parametrize(
    ("release", "node"), [(OLD, "v18.20.0"), (OLD, "v20.18.9"), (OLD, "v25.0.0"), (NEW, "v22.0.0"), (NEW, "nonsense")]
)
def test_another_node_is_fetched_where_it_does_not_fit(programs: Programs, release: Release, node: str) -> None:
    programs(f"echo {node}", STEPS + PUTS_NODE + 'echo "$PATH" > path; echo "$npm_config_nodedir" > headers')

    folder = install_n8n.install(release)

    used = install_n8n.node_for(release)
    assert used.fetched is not None
    assert used.version[0] == 24
    assert (folder / "path").read_text().startswith(f"{used.program.parent}:"), "npm and what it builds use it"
    assert (folder / "headers").read_text() == f"{used.program.parent.parent}\n"
    assert install_n8n.installed(release)


def test_what_is_native_is_built_and_nothing_else(programs: Programs) -> None:
    programs("echo v24.1.0", STEPS)
    built = [(install_n8n.install(one) / "steps").read_text().splitlines()[1] for one in (OLD, NEW)]
    assert built == ["rebuild sqlite3 --loglevel=error", "rebuild sqlite3 isolated-vm --loglevel=error"]


@pytest.mark.parametrize("here", list(install_n8n.NODE_PACKAGES), ids="-".join)
def test_a_node_is_pinned_for_each_system(
    programs: Programs, monkeypatch: pytest.MonkeyPatch, here: tuple[str, str]
) -> None:
    programs("echo v20.20.2", "exit 1")
    monkeypatch.setattr(platform, "system", lambda: here[0])
    monkeypatch.setattr(platform, "machine", lambda: here[1])
    name = install_n8n.NODE_PACKAGES[here]
    pinned = json.loads((install_n8n.NODE / "package-lock.json").read_text())["packages"][f"node_modules/{name}"]

    assert install_n8n.node_for(NEW).program.parts[-3:] == (name, "bin", "node")
    assert pinned["integrity"].startswith("sha512-")
    assert [pinned["os"], pinned["bin"]] == [here[0].lower(), {"node": "bin/node"}]


def test_where_npm_has_no_node_that_is_said(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    programs("echo v20.20.2", "exit 1")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(ConfigError, match=r"needs Node 24\.0 or newer, this is v20\.20\.2, .*Linux riscv64: install"):
        install_n8n.install(NEW)


def test_an_npm_that_leaves_node_out_is_noticed(programs: Programs) -> None:
    programs("echo v20.20.2", STEPS)
    with pytest.raises(ConfigError, match=r"npm put no Node into .*node-24\.\d+\.\d+: remove that folder"):
        install_n8n.install(NEW)


def test_without_node_or_npm_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="n8n needs Node and npm, and they are not on the PATH"):
        install_n8n.install(OLD)


# What is installed


@pytest.mark.parametrize("release", [OLD, NEW], ids=lambda one: one.version)
def test_every_package_is_pinned_and_found_in_this_machines_registry(programs: Programs, release: Release) -> None:
    programs("echo v24.1.0", SETTING + "true")
    lock = json.loads((install_n8n.install(release) / "package-lock.json").read_text())["packages"]

    assert lock["node_modules/n8n"]["version"] == release.version
    assert lock["node_modules/n8n"]["resolved"] == f"https://registry.test/npm/n8n/-/n8n-{release.version}.tgz"
    nodes = lock["node_modules/n8n-nodes-base"]
    assert nodes["resolved"] == f"https://registry.test/npm/n8n-nodes-base/-/n8n-nodes-base-{nodes['version']}.tgz"
    assert lock["node_modules/@n8n/di"]["resolved"].startswith("https://registry.test/npm/@n8n/di/-/di-")
    assert all(package["integrity"] for path, package in lock.items() if path and "version" in package)


@pytest.mark.parametrize("folder", sorted(path.parent for path in install_n8n.RELEASES.glob("*/package-lock.json")))
def test_no_registry_is_named_in_what_is_committed(folder: Path) -> None:
    lock = (folder / "package-lock.json").read_text(encoding="utf-8")
    assert "resolved" not in lock
