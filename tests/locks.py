"""What each function installs, requirements/functions/NAME.txt, pinned as in run.txt there: `make function-locks`.

A function needs what serves it, what the modules in its package import, and all that these need in turn. The import
graph is grimp's. Who needs whom is read from what is installed here, which has to be what is pinned.
"""

import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

import grimp
from msgspec import Struct
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from local import topology
from local.packaging import packages

RUN = packages.ROOT / "requirements" / "run.txt"
ALWAYS = {"functions-framework", "uvloop", "httptools"}
"""What serves every function; uvicorn takes the latter two by itself and is two to three times faster with them."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""A function runs on any of these, on Linux: what one of them needs is in, and the pins' own markers choose."""
LINUX = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "sys_platform": "linux",
}
"""So that the answer is the same wherever it is worked out."""
_PIN = re.compile(r"^([^\s#=]+==[^\s;\\]+(?: ; [^\\\n]+?)?) *\\?\n(?: +--hash=.*\n?)+", re.MULTILINE)


class WrongLock(Exception):
    """What is pinned, what is installed and what is imported do not fit together."""


class Pin(Struct, frozen=True):
    """`text` is its lines in the lock."""

    requirement: Requirement
    text: str

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        return next(iter(self.requirement.specifier)).version

    @property
    def wanted_here(self) -> bool:
        return self.requirement.marker is None or self.requirement.marker.evaluate()

    @property
    def lines(self) -> str:
        """Its lines for an installer that looks up needs by itself: once without the extras, and once with them.

        pip before 24.0, asked for hashes, takes neither for the other, and looks for the newest release instead, which
        has none of the hashes (pypa/pip#9644). Tried with pip 22.3, 23.2.1 and 26.3.
        """
        return re.sub(r"\[.*?\]", "", self.text, count=1) + self.text if self.requirement.extras else self.text


def pins(text: str) -> list[Pin]:
    return [Pin(Requirement(found[1]), found[0]) for found in _PIN.finditer(text)]


def lock(function: topology.Function) -> str:
    """The text of its lock. Raises WrongLock."""
    imports = imported({*packages.modules(function), f"functions.{function.name}.main"})
    return closure(ALWAYS | {provider(name) for name in imports}, RUN.read_text())


def closure(names: Iterable[str], run: str) -> str:
    """The pins of these distributions and of all that they need, by name. Raises WrongLock."""
    pinned = {pin.name: pin for pin in pins(run)}
    found: dict[str, str] = {}
    open_ends = [("a function", name) for name in names]
    while open_ends:
        by, name = open_ends.pop()
        if name not in pinned:
            raise WrongLock(f"{by} needs {name}, which requirements/run.txt does not pin")
        if name not in found:
            found[name] = pinned[name].lines
            open_ends += [(name, need) for need in _needs(pinned[name])]
    return "".join(found[name] for name in sorted(found))


def _needs(pin: Pin) -> set[str]:
    try:
        installed = distribution(pin.name)
    except PackageNotFoundError as error:
        raise WrongLock(f"requirements/run.txt pins {pin.name}, which is not installed") from error
    if installed.version != pin.version:
        raise WrongLock(f"requirements/run.txt pins {pin.name} {pin.version}, installed is {installed.version}")
    machines = [
        {**LINUX, "python_version": python, "python_full_version": f"{python}.0", "extra": extra}
        for python in PYTHONS
        for extra in ("", *pin.requirement.extras)
    ]
    needs = map(Requirement, installed.requires or ())
    return {
        canonicalize_name(need.name)
        for need in needs
        if need.marker is None or any(map(need.marker.evaluate, machines))
    }


@cache
def graph() -> grimp.ImportGraph:
    """Of all that is deployed. What only type checkers see is not imported at run time."""
    return grimp.build_graph(
        "functions", "shared", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def imported(modules: Iterable[str]) -> set[str]:
    """The modules of others that these import, without Python's own."""
    found = set()
    for importer in modules:
        for module in graph().find_modules_directly_imported_by(importer):
            if graph().is_module_squashed(module) and module not in sys.stdlib_module_names:
                for detail in graph().get_import_details(importer=importer, imported=module):
                    found |= {match[0] for match in re.finditer(rf"\b{module}\b[\w.]*", detail["line_contents"])}
    return found


def provider(module: str) -> str:
    """The pinned distribution that it belongs to. Raises WrongLock."""
    outer = module
    while outer:
        if outer in _providers():
            return _providers()[outer]
        outer = outer.rpartition(".")[0]
    raise WrongLock(f"{module} is imported, and nothing pinned in requirements/run.txt provides it")


@cache
def _providers() -> dict[str, str]:
    return {
        ".".join(file.with_suffix("").parts).removesuffix(".__init__"): pin.name
        for pin in pins(RUN.read_text())
        if pin.wanted_here
        for file in distribution(pin.name).files or ()
        if file.suffix == ".py"
    }


def main() -> None:
    folder = packages.ROOT / packages.LOCKS
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.txt"):
        old.unlink()
    for function in topology.load().functions:
        (folder / f"{function.name}.txt").write_text(lock(function))


if __name__ == "__main__":
    main()
