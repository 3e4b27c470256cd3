"""What is pinned installs whatever is released later, with an old pip and with a new one.

pip is given an index made here: of each distribution the pinned release and a later one, with the needs that the
installed one names, and nothing in them. So the test does not wait for the day of that release.
"""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution, requires
from pathlib import Path

import pytest
from locks import Pin, pins
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from local.packaging import packages

ROOT = Path(__file__).parents[2]
LOCKS = {name: ROOT / "requirements" / f"{name}.txt" for name in ("run", "dev", "build", "scan")}
INSTALLED_HERE = ("run", "dev", "build")
MAKEFILE = (ROOT / "Makefile").read_text()
FUNCTIONS = {f"functions/{path.stem}": path for path in (ROOT / packages.LOCKS).glob("*.txt")}


def later(pin: Pin) -> str:
    """Another release, as it could come out tomorrow."""
    return ".".join(str(part) for part in (*Version(pin.version).release, 1))


def wheel(folder: Path, installed: Distribution, version: str) -> Path:
    """An empty distribution of that version, which needs what the installed one needs."""
    name = canonicalize_name(installed.metadata["Name"]).replace("-", "_")
    needs = [f"Requires-Dist: {need}" for need in installed.requires or ()]
    extras = [f"Provides-Extra: {extra}" for extra in installed.metadata.get_all("Provides-Extra") or ()]
    metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *needs, *extras, "", ""])
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: hashlib.sha256(text.encode()).digest() for path, text in files.items()}
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}," for path, digest in digests.items()
    ]
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))
    return file


def tomorrow(folder: Path, text: str) -> Path:
    """An index of these pins and of a later release of each; the lock is written there with the index's hashes."""
    folder.mkdir()
    lock = []
    for pin in pins(text):
        if not pin.wanted_here:
            lock.append(pin.text)
            continue
        installed = distribution(pin.name)
        pinned = wheel(folder, installed, pin.version)
        wheel(folder, installed, later(pin))
        digest = hashlib.sha256(pinned.read_bytes()).hexdigest()
        lock.append(f"{pin.requirement} --hash=sha256:{digest}\n")
    path = folder / "lock.txt"
    path.write_text("".join(lock))
    return path


def install(python: Path, lock: Path, *, like: str) -> subprocess.CompletedProcess[str]:
    """Work out what `like`, a command of pip's, would install from the lock's index, and nothing else."""
    pip = [python, "-m", "pip", "--isolated", "--disable-pip-version-check", *like.split(), lock]
    offline = ["--dry-run", "--ignore-installed", "--no-index", "--find-links", lock.parent]
    return subprocess.run([*pip, *offline], check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment, with the pip that comes with it."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin" / "python"


@pytest.fixture(params=["the pip that comes with Python", "the pip that is pinned"])
def python(request: pytest.FixtureRequest, bundled: Path) -> Path:
    return bundled if request.param == "the pip that comes with Python" else Path(sys.executable)


@pytest.fixture(scope="module")
def requirements(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of each package that asks for others than those before it, by the text."""
    found: dict[str, str] = {}
    for package in packages.build(tmp_path_factory.mktemp("packages")):
        with zipfile.ZipFile(package.file) as archive:
            found.setdefault(archive.read("requirements.txt").decode(), package.function)
    return found


def needs(pin: Pin) -> list[Requirement]:
    """What it needs here, with the extras that it is pinned with."""
    extras = [{"extra": extra} for extra in ("", *pin.requirement.extras)]
    found = map(Requirement, requires(pin.name) or ())
    return [need for need in found if need.marker is None or any(map(need.marker.evaluate, extras))]


def test_the_locks_install_whatever_is_released_later(python: Path, tmp_path: Path) -> None:
    as_make_does = re.search(r"^PINNED := (install .*-r)$", MAKEFILE, re.MULTILINE)
    assert as_make_does
    for name in INSTALLED_HERE:
        installed = install(python, tomorrow(tmp_path / name, LOCKS[name].read_text()), like=as_make_does[1])
        assert installed.returncode == 0, f"{name}: {installed.stderr}"


def test_every_package_installs_whatever_is_released_later(
    python: Path, requirements: dict[str, str], tmp_path: Path
) -> None:
    for text, function in requirements.items():
        installed = install(python, tomorrow(tmp_path / function, text), like="install --require-hashes -r")
        assert installed.returncode == 0, f"{function}: {installed.stderr}"


def test_an_unpinned_need_is_noticed(bundled: Path, tmp_path: Path) -> None:
    # Given requirements that leave out what one of the distributions needs
    text = "".join(pin.text for pin in pins(LOCKS["run"].read_text()) if pin.name != "httpcore")

    # When pip is to install them, then it refuses
    refused = install(bundled, tomorrow(tmp_path / "index", text), like="install --require-hashes -r")
    assert refused.returncode != 0
    assert "==" in refused.stderr


@pytest.mark.parametrize("name", [*INSTALLED_HERE, *FUNCTIONS])
def test_all_that_a_lock_needs_is_pinned_in_it(name: str) -> None:
    """It is installed with nothing looked up; and an old pip takes a pin without the extra asked for for none."""
    pinned = {pin.name: pin for pin in pins({**LOCKS, **FUNCTIONS}[name].read_text()) if pin.wanted_here}
    missing = []
    for pin in pinned.values():
        for need in needs(pin):
            found = pinned.get(canonicalize_name(need.name))
            right = found and need.extras <= found.requirement.extras and need.specifier.contains(found.version)
            if not right:
                missing.append(f"{pin.name} asks for {need}")
    assert missing == []


@pytest.mark.parametrize("name", LOCKS)
def test_make_looks_nothing_up_beside_the_locks(name: str) -> None:
    assert f"$(PINNED) requirements/{name}.txt" in MAKEFILE
    installs = re.findall(r"^.*\$\(PIP\) install .*$", MAKEFILE, re.MULTILINE)
    for_developers = [
        line for line in installs if line.split("install ")[1] in ("uv", "--only-binary :all: $(ATHERIS)")
    ]
    assert [line for line in installs if line not in for_developers] == [
        "\t@$(PIP) install --no-deps --no-build-isolation -e ."
    ]
