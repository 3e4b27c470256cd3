"""A function as the cloud runs it: its package unpacked alone, served in an environment of its requirements only."""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from local.emulation.emulators import free_ports

PATIENCE = 300.0
"""Seconds; bounds what hangs, and nothing that is slow."""
NOTHING = "127.0.0.1:1"
"""An address where nobody answers."""


def unpack(package: Path, folder: Path) -> Path:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    return folder


def environment(requirements: Path) -> Path:
    """A virtual environment of these requirements alone, with nothing missing that they need.

    Made once for all packages that ask for the same, by whatever copy of the project, and kept in the user's cache. It
    has no pip of its own: this Python's pip fills it, and leaves compiling to whoever imports. That takes a third of
    the time. Raises AssertionError when pip cannot install them.
    """
    made_of = f"{sys.version} {sys.base_prefix} without pip\n".encode() + requirements.read_bytes()
    folder = _cache() / hashlib.sha256(made_of).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    complete = folder / "complete"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
            _pip(folder, "install", "--no-input", "--no-compile", "--require-hashes", "-r", str(requirements))
            _pip(folder, "check")
            complete.touch()
    return folder


def _pip(venv: Path, *words: str) -> None:
    """This Python's pip, at work on the environment (`--python` is there since pip 22.3)."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", venv / "bin" / "python"]
    done = subprocess.run([*pip, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def isolated(venv: Path, home: Path) -> dict[str, str]:
    """The whole environment of a process that finds nothing of this machine, and reaches nothing outside it.

    There are credentials, since there are on Google Cloud; what they would be exchanged for cannot be reached.
    """
    home.mkdir(exist_ok=True)
    credentials = home / "credentials.json"
    authorized = {"type": "authorized_user", "client_id": "nobody", "client_secret": "none", "refresh_token": "none"}
    credentials.write_text(json.dumps(authorized))
    return {
        "PATH": f"{venv / 'bin'}:/usr/bin:/bin",
        "HOME": str(home),
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
        "GOOGLE_CLOUD_PROJECT": "test",
        "NO_GCE_CHECK": "true",
        "FIRESTORE_EMULATOR_HOST": NOTHING,
        "PUBSUB_EMULATOR_HOST": NOTHING,
        **dict.fromkeys(("grpc_proxy", "http_proxy", "https_proxy", "HTTPS_PROXY"), f"http://{NOTHING}"),
        "no_proxy": "127.0.0.1",
    }


@contextmanager
def served(function: str, folder: Path, venv: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """The address of functions-framework, started in the unpacked folder as the buildpack starts it.

    Raises AssertionError with what it printed when it does not come up, or ends by itself.
    """
    [port] = free_ports(1)
    printed = folder.with_suffix(".log")
    command = [venv / "bin" / "functions-framework", "--target", function, "--host", "127.0.0.1", "--port", str(port)]
    with printed.open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            _until_open(port, process, printed)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _until_open(port: int, process: subprocess.Popen[bytes], printed: Path) -> None:
    """Connected once, which asks nothing of the function."""
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.002)
        else:
            return
    raise AssertionError(f"it did not come up:\n{printed.read_text()}")


def answer_of(url: str, method: str, path: str, body: bytes = b"") -> httpx.Response:
    """Directly, whatever proxies there are here."""
    with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        return client.request(method, f"{url}{path}", content=body, headers={"Content-Type": "application/json"})


def answer_in_the_end(url: str, method: str, path: str, body: bytes = b"") -> httpx.Response:
    """As Pub/Sub does, ask again while the answer is 503: the emulators can take longer than a function waits."""
    patient_until = time.monotonic() + PATIENCE
    while (answer := answer_of(url, method, path, body)).status_code == 503 and time.monotonic() < patient_until:
        time.sleep(0.2)
    return answer


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "signalbox" / "environments"
