"""Programs in processes of their own: the functions and the pump, to be killed and started again."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from local import topology
from local.emulation.backend import open_journal
from local.emulation.emulators import ending_with_us
from local.topology import Delivery

ROOT = Path(__file__).parents[2]
FRAMEWORK = Path(sys.executable).with_name("functions-framework")
UP_WITHIN = 300.0
"""Seconds; bounds what hangs, and nothing that is slow."""
PORTS = range(15000, 30000)
"""Below those that systems give to outgoing connections: a port must still be free when its program comes back."""


class Program:
    """What is started again each time it was killed. What it prints is added to the end of `log`."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = (*ending_with_us(), *command)
        self._environ = {**os.environ, **environ}
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    @property
    def gone(self) -> bool:
        """It ended although nobody killed it."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        if self._over:
            return
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def kill(self) -> bool:
        """At once, with all its workers; False when it was dead already."""
        process, self._process = self._process, None
        if process is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True

    def end(self) -> None:
        """Kill it, and do not start it again."""
        self._over = True
        self.kill()


@contextlib.contextmanager
def started(programs: Sequence[Program]) -> Iterator[None]:
    """Running, to begin with; none is left at the end."""
    with ExitStack() as stack:
        for program in programs:
            program.log.parent.mkdir(parents=True, exist_ok=True)
            stack.callback(program.end)
            program.start()
        yield


def functions(ports: Mapping[str, int], environ: Mapping[str, str], logs: Path) -> list[Program]:
    """Each function of the topology on its port, as functions-framework serves it anywhere."""
    return [_function(each, ports[each.name], environ, logs) for each in topology.load().functions]


def _function(function: topology.Function, port: int, environ: Mapping[str, str], logs: Path) -> Program:
    place = ("--source", str(function.main), "--target", function.name, "--host", "127.0.0.1", "--port", str(port))
    return Program(function.name, (str(FRAMEWORK), *place), environ, logs / f"{function.name}.log")


def pump(folder: Path, addresses: Mapping[str, str], delivery: Delivery, logs: Path) -> Program:
    """What pushes the messages of the embedded bus. The journal is made here: the pump may be the first to die."""
    open_journal(folder, addresses, delivery).close()
    order = msgspec.json.encode({"folder": str(folder), "addresses": addresses, "delivery": delivery}).decode()
    script = str(Path(__file__).with_name("pump.py"))
    return Program("pump", (sys.executable, script, order), {"PYTHONPATH": str(ROOT)}, logs / "pump.log")


def free_ports(names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        if len(found) == len(names):
            return found
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found[names[len(found)]] = port
    raise AssertionError("no ports are free")


def until_open(ports: Mapping[str, int], programs: Sequence[Program]) -> None:
    """Every port takes connections. Raises AssertionError with what a program printed that did not come up."""
    patient_until = time.monotonic() + UP_WITHIN
    for program in programs:
        while program.name in ports and not _open(ports[program.name]):
            if program.gone or time.monotonic() > patient_until:
                raise AssertionError(f"{program.name} did not come up:\n{program.log.read_text()}")
            time.sleep(0.02)


def _open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
