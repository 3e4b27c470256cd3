"""What of requirements/run.txt a function needs: the distributions it imports, and all that these need in turn.

Who needs whom is read from the metadata of what is installed here, which has to be what the lock pins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shared.errors import ConfigError

PATH = Path("requirements", "run.txt")
ALWAYS = ("functions-framework", "uvloop", "httptools")
"""What serves every function; uvicorn takes the latter two by itself and is two to three times faster with them."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""A package is for any of these, on Linux: what one of them needs is in, and the lock's own markers choose."""

_PIN = re.compile(
    r"^(?P<name>[\w.-]+)(?:\[(?P<extras>[\w.,-]+)\])?==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\\n]+?))? *\\?$",
    re.MULTILINE,
)


_EXTRAS = re.compile(r"\[[^\]]*\]")


class Pin(Struct, frozen=True):
    """`text` is its lines in the lock: name, extras, version, marker and hashes."""

    name: str
    version: str
    requirement: Requirement
    text: str

    @property
    def extras(self) -> tuple[str, ...]:
        return tuple(sorted(self.requirement.extras))

    @property
    def lines(self) -> str:
        """Its lines for an installer that looks up needs by itself: once without the extras, and once with them.

        pip before 24.0, asked for hashes, takes neither for the other, and looks for the newest release instead, which
        has none of the hashes (pypa/pip#9644). Tried with pip 22.3, 23.2.1 and 26.3.
        """
        return _EXTRAS.sub("", self.text, count=1) + self.text if self.extras else self.text


class Lock:
    """The pinned distributions, and which modules they provide. Raises ConfigError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pins = _read(path)
        self._needs = {pin.name: _needs(self._installed(pin)) for pin in self._pins.values() if _wanted_here(pin)}
        self._providers = {module: name for name in self._needs for module in _modules(distribution(name).files or ())}

    def providers(self, imports: Mapping[str, str]) -> set[str]:
        """The distributions of what is imported; `imports` are dotted names, with where they are imported."""
        return {self._provider(name, where) for name, where in imports.items()}

    def closure(self, names: Iterable[str]) -> list[Pin]:
        """These distributions and all that they need, by name."""
        open_ends = [(name, "", "a function") for name in names]
        seen: set[tuple[str, str]] = set()
        while open_ends:
            name, extra, by = open_ends.pop()
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for need in self._needs_of(name, by):
                if _applies(need, extra):
                    self._check(need, name)
                    needed = canonicalize_name(need.name)
                    extras = ("", *sorted(need.extras), *self._pins[needed].extras)
                    open_ends += [(needed, one, name) for one in extras]
        return [self._pins[name] for name in sorted({name for name, _ in seen})]

    def _provider(self, imported: str, where: str) -> str:
        module = imported
        while module:
            if module in self._providers:
                return self._providers[module]
            module = module.rpartition(".")[0]
        raise ConfigError(f"{where}: imports {imported}, which nothing pinned in {self._path} provides")

    def _needs_of(self, name: str, by: str) -> list[Requirement]:
        if name not in self._pins:
            raise ConfigError(f"{by} needs {name}, which {self._path} does not pin: {_LOCK}")
        if name not in self._needs:
            raise ConfigError(f"{name} is pinned in {self._path} but not for this machine, so its needs are unknown")
        return self._needs[name]

    def _check(self, need: Requirement, by: str) -> None:
        pin = self._pins.get(canonicalize_name(need.name))
        if pin is None:
            raise ConfigError(f"{by} needs {need.name}, which {self._path} does not pin: {_LOCK}")
        if not need.specifier.contains(pin.version, prereleases=True):
            raise ConfigError(f"{by} needs {need}, but {self._path} pins {pin.version}: {_LOCK}")
        if not need.extras <= set(pin.extras):
            wanted = ",".join(sorted(need.extras))
            raise ConfigError(f"{by} needs {need.name}[{wanted}], but {self._path} pins it without: {_LOCK}")

    def _installed(self, pin: Pin) -> Distribution:
        try:
            found = distribution(pin.name)
        except PackageNotFoundError as error:
            raise ConfigError(f"{pin.name} is pinned in {self._path} but not installed: {_ANEW}") from error
        if found.version != pin.version:
            raise ConfigError(f"{self._path} pins {pin.name} {pin.version}, installed is {found.version}: {_ANEW}")
        return found


_LOCK = "`make lock` pins what is needed"
_ANEW = "`make clean package` installs what is pinned"


def _read(path: Path) -> dict[str, Pin]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file; packages are made in a checkout") from error
    found = list(_PIN.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    pins: dict[str, Pin] = {}
    for match, end in zip(found, ends, strict=True):
        name = canonicalize_name(match["name"])
        extras = f"[{match['extras']}]" if match["extras"] else ""
        marker = f"; {match['marker']}" if match["marker"] else ""
        requirement = Requirement(f"{name}{extras}{marker}")
        pins[name] = Pin(name, match["version"], requirement, text[match.start() : end].rstrip() + "\n")
        if "--hash=sha256:" not in pins[name].text:
            raise ConfigError(f"{path}: {name} has no hash")
    return pins


def _wanted_here(pin: Pin) -> bool:
    return pin.requirement.marker is None or pin.requirement.marker.evaluate()


def _needs(installed: Distribution) -> list[Requirement]:
    return [Requirement(text) for text in installed.requires or ()]


def _applies(need: Requirement, extra: str) -> bool:
    marker = need.marker
    return marker is None or any(marker.evaluate({**_machine(python), "extra": extra}) for python in PYTHONS)


def _machine(python: str) -> dict[str, str]:
    """Every variable of the markers, so that the answer is the same wherever it is worked out."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def _modules(files: Iterable[PurePosixPath]) -> Iterable[str]:
    """`google/api_core/retry.py` is google.api_core.retry; compiled modules have more than one suffix."""
    for file in files:
        if file.suffix in (".py", ".so", ".pyd") and file.parts[0] != "..":
            parts = (*file.parts[:-1], file.name.partition(".")[0])
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
