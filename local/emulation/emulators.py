"""Google's Firestore and Pub/Sub emulators: found, started, awaited, emptied, stopped; and the topology set up in one.

They come with the gcloud SDK (`gcloud components install pubsub-emulator cloud-firestore-emulator`) and need Java 11.
Both keep everything in memory. Their jars are run directly, with the main classes of the SDK's own start scripts.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
from msgspec import Struct

from shared.errors import ConfigError, Unavailable

INSTALL = "gcloud components install pubsub-emulator cloud-firestore-emulator"
OLDEST_JAVA = 11
STARTED_WITHIN = 180.0
STOPPED_WITHIN = 5.0
SDK_FOLDERS = (
    "/usr/lib/google-cloud-sdk",
    "/opt/google-cloud-sdk",
    "/usr/local/google-cloud-sdk",
    "/usr/share/google-cloud-sdk",
    "/snap/google-cloud-cli/current",
    "/opt/homebrew/share/google-cloud-sdk",
    "~/google-cloud-sdk",
)
_ENDS_WITH_US = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, which the program keeps (prctl(2))
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Becomes the program that it is given, one that Linux ends when its parent is gone, however that went."""
_FIRESTORE = ("platform/cloud-firestore-emulator", "cloud-firestore-emulator*.jar")
_PUBSUB = ("platform/pubsub-emulator/lib", "cloud-pubsub-emulator-*.jar")


class Installation(Struct, frozen=True):
    """What is needed to start them."""

    java: str
    firestore: Path
    pubsub: Path


class Emulator:
    """A running one. `host` is its address on the loopback interface, as FIRESTORE_EMULATOR_HOST wants it."""

    def __init__(self, name: str, host: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.host = host
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, until: float) -> None:
        """Until it answers. Raises ConfigError with the end of its log when it ended or took too long."""
        while self._process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://{self.host}/", timeout=1.0, trust_env=False).status_code == 200:
                    return
            time.sleep(0.05)
        ended = self._process.poll()
        state = "does not answer" if ended is None else f"ended with {ended}"
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-1000:]
        raise ConfigError(f"the {self.name} emulator {state}; the end of {self.log}:\n{tail}")

    def stop(self) -> None:
        """It and what it started; by force when it does not go."""
        for order in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, order)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOPPED_WITHIN)
                return


class Emulators(Struct, frozen=True):
    firestore: Emulator
    pubsub: Emulator

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which a client of Google's finds them."""
        return {"FIRESTORE_EMULATOR_HOST": self.firestore.host, "PUBSUB_EMULATOR_HOST": self.pubsub.host}

    async def reset(self, project: str) -> None:
        """Forget the project's documents, topics, subscriptions and messages. Raises Unavailable."""
        from local.emulation.topics import delete_all  # noqa: PLC0415 - Google's client is loaded only where it is used

        url = f"http://{self.firestore.host}/emulator/v1/projects/{project}/databases/(default)/documents"
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=10.0) as client:
                (await client.delete(url)).raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"the Firestore emulator cannot be emptied: {error}") from error
        await delete_all(self.pubsub.host, project)


def find(environ: Mapping[str, str] = os.environ) -> Installation:
    """Raises ConfigError that says what to install."""
    java = _java(environ)
    folders = list(_sdk_folders(environ))
    return Installation(java, _jar(folders, *_FIRESTORE), _jar(folders, *_PUBSUB))


@contextlib.contextmanager
def running(installation: Installation, logs: Path) -> Iterator[Emulators]:
    """Start both on free ports and stop them at the end; it takes about three seconds, and blocks meanwhile.

    What they print goes to files in `logs`. Raises ConfigError when one does not come up.
    """
    logs.mkdir(parents=True, exist_ok=True)
    firestore_port, pubsub_port = free_ports(2)
    main = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
    # The Firestore emulator knows English messages only (its start script).
    firestore = ("-Duser.language=en", "-cp", str(installation.firestore), main)
    pubsub = ("-jar", str(installation.pubsub))
    with contextlib.ExitStack() as stack:
        started = []
        for name, port, arguments in (("Firestore", firestore_port, firestore), ("Pub/Sub", pubsub_port, pubsub)):
            log = logs / f"{name.lower().replace('/', '')}-emulator.log"
            started.append(_start(name, installation.java, arguments, port, log))
            stack.callback(started[-1].stop)
        until = time.monotonic() + STARTED_WITHIN
        for emulator in started:
            emulator.wait(until)
        yield Emulators(*started)


def _start(name: str, java: str, arguments: tuple[str, ...], port: int, log: Path) -> Emulator:
    command = [*ending_with_us(), java, *arguments, "--host=127.0.0.1", f"--port={port}"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - a jar that was found, no shell
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    return Emulator(name, f"127.0.0.1:{port}", process, log)


def ending_with_us() -> tuple[str, ...]:
    """What to put before a command so that Linux kills the program when this process is gone, however that went."""
    return (sys.executable, "-ISc", _ENDS_WITH_US, str(os.getpid())) if sys.platform == "linux" else ()


def _java(environ: Mapping[str, str]) -> str:
    home = environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home, "bin"))) if home else None
    found = found or shutil.which("java", path=environ.get("PATH", ""))
    if found is None:
        raise ConfigError(f"the emulators need Java {OLDEST_JAVA}+: no `java` on PATH or in JAVA_HOME")
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - as above
    version = re.search(r'version "(?:1\.)?(\d+)', told)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise ConfigError(f"the emulators need Java {OLDEST_JAVA}+: {found} says {told.strip()!r}")
    return found


def _sdk_folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """CLOUDSDK_ROOT_DIR, then where `gcloud` is, then where installers put it."""
    if root := environ.get("CLOUDSDK_ROOT_DIR"):
        yield Path(root)
    if gcloud := shutil.which("gcloud", path=environ.get("PATH", "")):
        yield Path(gcloud).resolve().parent.parent
    for folder in SDK_FOLDERS:
        yield Path(folder).expanduser()


def _jar(folders: list[Path], inside: str, pattern: str) -> Path:
    """The newest by name. A folder may also hold the jars themselves."""
    for folder in folders:
        for place in (folder / inside, folder):
            if jars := sorted(place.glob(pattern)):
                return jars[-1]
    raise ConfigError(f"no {inside}/{pattern} in the gcloud SDK: run `{INSTALL}` (Java {OLDEST_JAVA}+)")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has just now, no two alike."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
