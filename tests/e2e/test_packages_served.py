"""Each package by itself: unpacked into an empty folder, with its requirements only, served, and asked.

Where nothing is there to be reached, what needs Firestore or Secret Manager answers 503: it got as far as asking them.
"""

import base64
import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from deployed import answer_in_the_end, answer_of, environment, isolated, served, unpack
from msgspec import Struct

from local import topology
from local.emulation.emulators import Emulators
from local.packaging import packages
from local.packaging.packages import Package

NAMES = [function.name for function in topology.load().functions]


class Case(Struct, frozen=True):
    """One request, and what it is to be answered."""

    method: str
    path: str
    body: bytes
    status: int
    says: str


def push(content: object) -> bytes:
    data = base64.b64encode(json.dumps(content).encode()).decode()
    return json.dumps({"message": {"data": data, "messageId": "1"}, "subscription": "s"}).encode()


GARBLED = Case("POST", "/", b"{garbled", 400, "unusable")
STAGE = (GARBLED, Case("POST", "/", push({"stage": "merge", "run_id": "production-pr1-0"}), 503, "again"))
EVENT = push({"type": "checks_reported", "repository": "acme/shop", "head_sha": "a" * 40})
CASES: Mapping[str, tuple[Case, ...]] = {
    "webhooks": (
        Case("GET", "/github-webhook", b"", 405, "POST only"),
        Case("POST", "/nonsense", b"{}", 404, "no such webhook"),
        Case("POST", "/github-webhook", b"{}", 401, "missing or wrong"),
        # Not 401: whether it is known cannot be told without the secret, and the sender sees a 503 as undelivered.
        Case("POST", "/railway-webhook", b"{}", 503, "not taken"),
    ),
    "dispatch": (GARBLED, Case("POST", "/", EVENT, 503, "again")),
    "sweep": (Case("GET", "/", b"", 405, "POST only"), Case("POST", "/", b"{}", 503, "woken")),
    "console": (Case("GET", "/nonsense", b"", 404, "no such page"), Case("GET", "/health", b"", 503, "store")),
}
WITH_FIRESTORE: Mapping[str, Case] = {
    "dispatch": Case("POST", "/", EVENT, 200, "false"),
    "sweep": Case("POST", "/", b"{}", 200, '"woken":0'),
    "console": Case("GET", "/health", b"", 200, "ok"),
    **{name: Case("POST", "/", STAGE[1].body, 200, "false") for name in NAMES if name not in CASES},
}
FROM_OUTSIDE = """
import importlib, importlib.metadata, importlib.util, json, pathlib, pkgutil, sys
here = pathlib.Path.cwd()
sys.path.insert(0, str(here))
import shared
packages = [importlib.import_module(name) for name in ("shared", "functions") if importlib.util.find_spec(name)]
modules = [module.name for one in packages for module in pkgutil.walk_packages(one.__path__, f"{one.__name__}.")]
for module in modules:
    importlib.import_module(module)
print(json.dumps({
    "modules": modules,
    "strangers": [name for name in ("local", "tests", "yaml", "rich") if importlib.util.find_spec(name)],
    "shared": str(pathlib.Path(shared.__file__).parent.relative_to(here)),
    "distributions": sorted(one.name.lower().replace("_", "-") for one in importlib.metadata.distributions()),
}))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    return {package.function: package for package in packages.build(tmp_path_factory.mktemp("packages"))}


@pytest.mark.parametrize("name", NAMES)
def test_a_package_serves_its_function_by_itself(made: dict[str, Package], name: str, tmp_path: Path) -> None:
    # Given the package in an empty folder, and an environment of what it asks for
    folder = unpack(made[name].file, tmp_path / name)
    venv = environment(folder / "requirements.txt")

    # When functions-framework serves it there, and requests come
    with served(name, folder, venv, isolated(venv, tmp_path / "home")) as url:
        cases = CASES.get(name, STAGE)
        answers = [answer_of(url, case.method, case.path, case.body) for case in cases]

    # Then each is answered as the function answers it
    assert [(answer.status_code, case.says in answer.text) for answer, case in zip(answers, cases, strict=True)] == [
        (case.status, True) for case in cases
    ]


@pytest.mark.parametrize("name", WITH_FIRESTORE)
def test_a_package_reaches_its_documents(
    made: dict[str, Package], name: str, tmp_path: Path, google: Emulators, new_project: Callable[[], str]
) -> None:
    # Given the package by itself, and Google's emulators with nothing in them
    folder = unpack(made[name].file, tmp_path / name)
    venv = environment(folder / "requirements.txt")
    environ = {**isolated(venv, tmp_path / "home"), **google.environ, "GOOGLE_CLOUD_PROJECT": new_project()}

    # When it is asked for something about documents, it finds that there are none
    case = WITH_FIRESTORE[name]
    with served(name, folder, venv, environ) as url:
        answer = answer_in_the_end(url, case.method, case.path, case.body)
    assert (answer.status_code, case.says in answer.text) == (case.status, True), answer.text


@pytest.mark.parametrize("name", NAMES)
def test_a_package_needs_nothing_from_outside_and_finds_nothing_there(
    made: dict[str, Package], name: str, tmp_path: Path
) -> None:
    # Given the package in an empty folder, and an environment of what it asks for
    folder = unpack(made[name].file, tmp_path / name)
    venv = environment(folder / "requirements.txt")
    environ = isolated(venv, tmp_path / "home")

    # When every module in it is imported, also those that only some request would load
    command = [venv / "bin" / "python", "-c", FROM_OUTSIDE]
    looked = subprocess.run(command, check=False, cwd=folder, env=environ, capture_output=True, text=True)

    # Then that works, on exactly what was asked for
    assert looked.returncode == 0, looked.stderr
    seen = json.loads(looked.stdout)
    assert seen["shared"] == "shared"
    assert {module.split(".")[1] for module in seen["modules"] if module.startswith("functions.")} <= {name}
    assert seen["modules"]
    assert seen["strangers"] == []
    assert set(seen["distributions"]) == set(made[name].requirements)
