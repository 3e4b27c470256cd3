"""How long after a cold start each package answers, against a function that says hello: python tests/load/cold_start.py

Each round starts every package once, so that what else the machine does falls on all alike. Everything is compiled to
bytecode, as Google's buildpack does it. `ready`: from spawning functions-framework to the first answer, to a request
that reaches into no service. `processor`: the time that start, answer and end kept a processor busy, which neighbours
disturb less. `clients`: what the first real message adds by loading the rest of the package, such as Google's clients,
measured in a bare interpreter.
"""

import compileall
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import click
from msgspec import Struct

from local.packaging import packages

sys.path.insert(0, str(Path(__file__).parents[1]))

from deployed import answer_of, environment, isolated, served, unpack
from locks import ALWAYS, RUN, closure

HELLO = "hello"
HELLO_SOURCE = """
import functions_framework.aio
from starlette.responses import Response


@functions_framework.aio.http
async def hello(request):
    return Response("hello")
"""
REQUESTS: Mapping[str, tuple[str, str, bytes]] = {
    HELLO: ("GET", "/", b""),
    "webhooks": ("GET", "/github-webhook", b""),
    "sweep": ("GET", "/", b""),
    "console": ("GET", "/nonsense", b""),
}
GARBLED = ("POST", "/", b"{garbled")
IMPORTS = """
import importlib, importlib.util, json, pathlib, pkgutil, sys, time
sys.path.insert(0, str(pathlib.Path.cwd()))
import main
ready = time.perf_counter()
for package in filter(importlib.util.find_spec, ("shared", "functions")):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)
print(json.dumps(time.perf_counter() - ready))
"""


class Subject(Struct, frozen=True):
    """`ready`, `processor` and `clients` are seconds, one of each a round."""

    name: str
    folder: Path
    venv: Path
    ready: list[float] = []
    processor: list[float] = []
    clients: list[float] = []


@click.command()
@click.option("--rounds", default=9, show_default=True, help="How often each is started.")
def main(rounds: int) -> None:
    """How long after a cold start each package answers, against a function that says hello."""
    with tempfile.TemporaryDirectory() as folder:
        subjects = prepare(Path(folder))
        for _ in range(rounds):
            for subject in subjects:
                measure(subject)
    show(subjects, rounds)


def prepare(folder: Path) -> list[Subject]:
    """Unpack, install, compile; and start each once, so that its files are in memory."""
    hello = folder / HELLO
    hello.mkdir()
    (hello / "main.py").write_text(HELLO_SOURCE)
    (hello / "requirements.txt").write_text(closure(ALWAYS, RUN.read_text()))
    made = packages.build(folder / "packages")
    subjects = []
    for unpacked in (hello, *(unpack(package.file, folder / package.function) for package in made)):
        compileall.compile_dir(unpacked, quiet=1)
        subject = Subject(unpacked.name, unpacked, environment(unpacked / "requirements.txt"))
        measure(subject)
        subjects.append(Subject(subject.name, subject.folder, subject.venv))
    return subjects


def measure(subject: Subject) -> None:
    environ = isolated(subject.venv, subject.folder.parent / "home")
    started, busy = time.perf_counter(), _processor_time()
    with served(subject.name, subject.folder, subject.venv, environ) as url:
        answer = answer_of(url, *REQUESTS.get(subject.name, GARBLED))
        subject.ready.append(time.perf_counter() - started)
    subject.processor.append(_processor_time() - busy)
    assert answer.status_code < 500, f"{subject.name}: {answer.status_code} {answer.text}"
    command = [subject.venv / "bin" / "python", "-c", IMPORTS]
    told = subprocess.run(command, check=True, cwd=subject.folder, env=environ, capture_output=True, text=True)
    subject.clients.append(json.loads(told.stdout))


def _processor_time() -> float:
    """Of the processes that were started from here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(subjects: list[Subject], rounds: int) -> None:
    click.echo(f"{rounds} rounds, Python {sys.version.split()[0]}; milliseconds: median (least-most)\n")
    click.echo("| function | ready | ÷ hello | processor | ÷ hello | clients |")
    click.echo("|---|---|---|---|---|---|")
    hello = subjects[0]
    for subject in subjects:
        ready, processor = _ratio(subject.ready, hello.ready), _ratio(subject.processor, hello.processor)
        clients = _spread(subject.clients) if subject is not hello else "none"
        figures = (_spread(subject.ready), ready, _spread(subject.processor), processor, clients)
        click.echo(f"| {subject.name} | {' | '.join(figures)} |")


def _ratio(seconds: list[float], base: list[float]) -> str:
    return f"{statistics.median(seconds) / statistics.median(base):.2f}"


def _spread(seconds: list[float]) -> str:
    least, median, most = (1000 * value for value in (min(seconds), statistics.median(seconds), max(seconds)))
    return f"{median:.0f} ({least:.0f}-{most:.0f})"


if __name__ == "__main__":
    main()
