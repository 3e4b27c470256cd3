"""What Terraform plans, as `terraform test` tells it about the runs of terraform/tests/plan.tftest.hcl.

No plan needs credentials there: the provider is a mock with the real one's schema. That comes from the registry, or
offline from the program that SIGNALBOX_TFCHECK names; it runs what TERRAFORM names in a copy of the folder.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from local.packaging import packages

ROOT = Path(__file__).parents[2]
FILTER = "tests/plan.tftest.hcl"
PATIENCE = 600
_TELLING = """#!/bin/sh
# As terraform, but a test tells its plans.
[ "$1" = test ] || exec terraform "$@"
shift
terraform validate > /dev/null || exit 1
exec terraform test -json -verbose -filter={filter} "$@" > {told}
"""


class Unavailable(Exception):
    """There is no Terraform here, or none that runs, finds its provider and can start it."""


class Resource(Struct, frozen=True):
    """`function` is the module's instance it is in; `values` are those that are known before they are made."""

    type: str
    name: str
    key: str | int | None
    function: str | None
    values: dict[str, Any]


class Plan(Struct, frozen=True):
    resources: tuple[Resource, ...]
    outputs: dict[str, Any]

    def of(self, type: str, name: str | None = None) -> Iterator[Resource]:
        return (one for one in self.resources if one.type == type and name in (None, one.name))

    def only(self, type: str, name: str | None = None, function: str | None = None) -> Resource:
        """The one. Raises ValueError when there are more, or none."""
        [one] = [one for one in self.of(type, name) if function in (None, one.function)]
        return one


def make(folder: Path, *, registry: bool) -> dict[str, Plan]:
    """By the names of the runs. `registry`: the provider may be fetched.

    Raises Unavailable where Terraform cannot be used, and AssertionError where it can and a run fails: then it is the
    configuration that is wrong.
    """
    if shutil.which("terraform") is None:
        raise Unavailable("there is no terraform on the PATH")
    _used(["terraform", "version"], folder)
    tfcheck = os.environ.get("SIGNALBOX_TFCHECK")
    if not tfcheck and not registry:
        raise Unavailable("neither SIGNALBOX_TFCHECK nor SIGNALBOX_REQUIRE=terraform says where the provider is")
    if tfcheck and shutil.which(tfcheck) is None:
        raise Unavailable(f"SIGNALBOX_TFCHECK names {tfcheck}, which cannot be run")
    work = _copy(folder)
    return _plans(_told_offline(tfcheck, folder, work) if tfcheck else _told(work))


def _copy(folder: Path) -> Path:
    """The configuration and what it reads, with the packages as they are now."""
    shutil.copytree(
        ROOT / "terraform", folder / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")
    )
    (folder / "functions").mkdir()
    shutil.copy(ROOT / "functions" / "topology.yaml", folder / "functions")
    packages.build(folder / "build" / "packages")
    return folder / "terraform"


def _told_offline(tfcheck: str, folder: Path, work: Path) -> str:
    told, telling = folder / "told", folder / "telling-terraform"
    telling.write_text(_TELLING.format(filter=FILTER, told=told))
    telling.chmod(0o755)
    with _alone():
        done = _run([str(Path(tfcheck).resolve()), "--no-fmt", str(work)], folder, {"TERRAFORM": str(telling)})
    if not told.exists():
        raise Unavailable(f"{tfcheck}: {done.stderr}")
    return told.read_text(encoding="utf-8")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Of several test processes one at a time, as the first fetches what the others find."""
    with (Path(tempfile.gettempdir()) / f"signalbox-tfcheck-{os.getuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _told(work: Path) -> str:
    _used(["terraform", "init", "-backend=false", "-input=false", "-no-color"], work)
    _used(["terraform", "validate", "-no-color"], work)
    return _run(["terraform", "test", "-json", "-verbose", f"-filter={FILTER}"], work).stdout


def _used(command: list[str], folder: Path) -> None:
    """What fails only where Terraform or its provider does. Raises Unavailable with what it says."""
    done = _run(command, folder)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command[:2])}: {done.stderr.strip() or f'exit code {done.returncode}'}")


def _run(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Raises Unavailable when it cannot be started, or does not end."""
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]}: {error}") from error


def _plans(told: str) -> dict[str, Plan]:
    """Raises AssertionError, with what Terraform says, when a run failed."""
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    wrong = [line["@message"] for line in lines if line["@level"] == "error"]
    assert not wrong, "\n".join(wrong)
    plans = {line["@testrun"]: _plan(line["test_plan"]) for line in lines if line["type"] == "test_plan"}
    assert plans, told
    return plans


def _plan(raw: dict[str, Any]) -> Plan:
    managed = [one for one in raw["resource_changes"] if one["mode"] == "managed"]
    return Plan(tuple(map(_resource, managed)), {name: of.get("after") for name, of in raw["output_changes"].items()})


def _resource(raw: dict[str, Any]) -> Resource:
    module = raw.get("module_address", "")
    function = module.removeprefix('module.function["').removesuffix('"]') if module else None
    return Resource(raw["type"], raw["name"], raw.get("index"), function, raw["change"]["after"])
