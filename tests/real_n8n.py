"""A real n8n on this machine: started headless on free ports, set up, stopped.

It needs nothing from outside once it is installed (install_n8n.py). What is odd about it: it answers `/healthz` long
before it can do anything, and says 200 to everything while it migrates; see docs/n8n.md.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import install_n8n
from install_n8n import Release

from local.emulation.emulators import ending_with_us, free_ports

PATIENCE = 300.0
"""Seconds: it takes ten to thirty, more where it migrates, and much more beside other work."""
OWNER = {"email": "owner@example.test", "firstName": "Test", "lastName": "Owner", "password": "Owner-Passw0rd1"}


class RealN8n:
    """One server, which keeps its data in `home`; `start` it again, as another release too, and they are there."""

    def __init__(self, home: Path, release: Release) -> None:
        self.release = release
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
        node = install_n8n.node_for(self.release)
        program = install_n8n.folder(self.release) / "node_modules/n8n/bin/n8n"
        command = [*ending_with_us(), str(node.program), str(program), "start"]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self._home,
                env=self._environ(node.environ["PATH"]),
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

    def _environ(self, path: str) -> Mapping[str, str]:
        return {
            "PATH": path,
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
def running(home: Path, release: Release) -> Iterator[RealN8n]:
    server = RealN8n(home, release)
    try:
        server.start()
        yield server
    finally:
        server.stop()
