"""A real n8n on this machine: installed once into the user's cache, started headless on free ports, set up, stopped.

It needs Node and npm, and nothing from outside once it is installed. What is odd about it: it answers `/healthz` long
before it can do anything, and says 200 to everything while it migrates; see docs/n8n.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx

from local.emulators import ending_with_us, free_ports
from local.workflows.files import Document
from shared.errors import ConfigError

VERSION = "2.8.4"
OLDEST_NODE, NEWEST_NODE = (20, 19), (24, 999)
PATIENCE = 90.0
TOLD_EVERY = 15.0
PACKAGE = Path(__file__).with_name("n8n")
"""Its package.json has another xlsx than n8n asks for: that one is on its maker's own site only.
The lock is of `npm install --package-lock-only --omit-lockfile-registry-resolved`, without what says nothing about what
is installed (license, funding, engines, deprecated)."""
STEPS: Sequence[Sequence[str]] = (
    # The scripts build drivers of databases that are not used; SQLite's is the one that is. `npm ci` does not take a
    # lock that leaves out optional packages of other systems.
    (
        *("npm", "install", "--omit=dev", "--omit=optional", "--ignore-scripts", "--maxsockets=48"),
        *("--no-audit", "--no-fund", "--loglevel=error"),
    ),
    ("npm", "rebuild", "sqlite3", "--loglevel=error"),
)
FAST_BUILD = {"CFLAGS": "-O0", "CXXFLAGS": "-O0", "JOBS": "max"}
"""Where SQLite has to be compiled that takes a minute and more, most of it for a speed that no test needs."""
OWNER = {"email": "owner@example.test", "firstName": "Test", "lastName": "Owner", "password": "Owner-Passw0rd1"}


def check() -> None:
    """Raises ConfigError that says what is missing."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise ConfigError("n8n needs Node and npm, and they are not on the PATH")
    told = subprocess.run([node, "--version"], check=False, capture_output=True, text=True).stdout
    found = re.match(r"v(\d+)\.(\d+)", told)
    if found is None or not OLDEST_NODE <= (int(found[1]), int(found[2])) <= NEWEST_NODE:
        raise ConfigError(f"n8n {VERSION} needs Node 20.19 to 24, and this is {told.strip()}")


def folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "signalbox" / f"n8n-{VERSION}"


def installed() -> bool:
    return folder().exists()


def install() -> Path:
    """Where it is. It appears there whole or not at all, however often this is interrupted. Raises ConfigError."""
    wanted = folder()
    wanted.parent.mkdir(parents=True, exist_ok=True)
    with wanted.with_name(f"{wanted.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not wanted.exists():
            check()
            _tell(f"installing n8n {VERSION} into {wanted}: some minutes and 2.2 GB, once")
            partial = wanted.with_name(f"{wanted.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            shutil.copy(PACKAGE / "package.json", partial)
            (partial / "package-lock.json").write_text(json.dumps(located(_registry())))
            for step in STEPS:
                _run(step, partial)
            partial.rename(wanted)
    return wanted


def located(registry: str) -> Document:
    """The lock with the address of each package: npm asks for all that is known of one that has none."""
    lock: Document = json.loads((PACKAGE / "package-lock.json").read_text(encoding="utf-8"))
    for path, package in lock["packages"].items():
        name = package.get("name") or path.rpartition("node_modules/")[2]
        if path and "version" in package:
            package["resolved"] = f"{registry}/{name}/-/{name.rpartition('/')[2]}-{package['version']}.tgz"
    return lock


def _registry() -> str:
    """That of this machine's npm."""
    told = subprocess.run(["npm", "config", "get", "registry"], check=False, capture_output=True, text=True)
    return told.stdout.strip().rstrip("/")


class RealN8n:
    """One server, which keeps its data in `home`; `start` it again and it goes on with them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        port, self._broker = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        self.api_key = ""
        self.furnished = False
        """Whether it has the workflows of this project."""
        self.log = home / "n8n.log"

    def launch(self) -> None:
        """Without waiting for it."""
        self._home.mkdir(parents=True, exist_ok=True)
        command = [
            *ending_with_us(),
            shutil.which("node") or "node",
            str(folder() / "node_modules/n8n/bin/n8n"),
            "start",
        ]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self._home,
                env=self._environ(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def start(self) -> None:
        """Until its routes are there; with an owner and an API key from the first time on. Raises AssertionError."""
        if self._process is None:
            self.launch()
        self._until_usable()
        if not self.api_key:
            self.api_key = self._set_up()

    def stop(self, order: signal.Signals = signal.SIGTERM) -> None:
        """It and its task runner."""
        process, self._process = self._process, None
        if process is None:
            return
        for each in (order, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, each)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
                return

    def _until_usable(self) -> None:
        """`/healthz` says yes too early, and so does every address during migrations: 401 as JSON comes last."""
        patient_until = time.monotonic() + PATIENCE
        while self._process is not None and self._process.poll() is None and time.monotonic() < patient_until:
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.get(f"{self.url}/api/v1/workflows", timeout=2.0, trust_env=False)
                if answer.status_code == 401 and "json" in answer.headers.get("content-type", ""):
                    return
            time.sleep(0.1)
        raise AssertionError(f"n8n did not come up:\n{self.log.read_text(errors='replace')[-3000:]}")

    def _set_up(self) -> str:
        with httpx.Client(base_url=self.url, timeout=20.0, trust_env=False) as client:
            client.post("/rest/owner/setup", json=OWNER).raise_for_status()
            scopes = client.get("/rest/api-keys/scopes").raise_for_status().json()["data"]
            wanted = {"label": "test", "scopes": scopes, "expiresAt": None}
            made = client.post("/rest/api-keys", json=wanted).raise_for_status().json()["data"]
        return str(made["rawApiKey"])

    def _environ(self) -> Mapping[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self._home),
            "N8N_USER_FOLDER": str(self._home),
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_HOST": "127.0.0.1",
            "N8N_PORT": self.url.rpartition(":")[2],
            "N8N_RUNNERS_BROKER_PORT": str(self._broker),
            "N8N_SECURE_COOKIE": "false",
            "N8N_ENCRYPTION_KEY": "a-key-of-the-tests",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_PERSONALIZATION_ENABLED": "false",
            "N8N_HIRING_BANNER_ENABLED": "false",
            "GENERIC_TIMEZONE": "UTC",
            "NODE_ENV": "production",
        }


@contextlib.contextmanager
def running(home: Path) -> Iterator[RealN8n]:
    server = RealN8n(home)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _run(command: Sequence[str], where: Path) -> None:
    began = time.monotonic()
    with (where / "install.log").open("ab") as log:
        process = subprocess.Popen(
            [*ending_with_us(), shutil.which(command[0]) or command[0], *command[1:]],
            cwd=where,
            env={**os.environ, **FAST_BUILD},
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
    install()
