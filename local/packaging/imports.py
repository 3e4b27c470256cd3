"""Which modules a function can reach by import, read from the sources without running them."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from shared.errors import ConfigError

SHARED = "shared"
FUNCTIONS = "functions"
NEVER_DEPLOYED = (FUNCTIONS, "local")


class Import(Struct, frozen=True):
    """`from module import name`, or `import module`. `later`: not before the function around it is called."""

    module: str
    name: str | None
    later: bool
    line: int

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


class Reached(Struct, frozen=True):
    """Modules of ours with their files, and what else is imported, dotted, with where (`file:line`)."""

    modules: dict[str, Path]
    external: dict[str, str]


def reach(main: Path, root: Path, *, also: Iterable[str], follow: Callable[[str], bool]) -> Reached:
    """All that `main` and the modules of `also` can import; an import for later only where `follow` agrees.

    Of `functions`, only what stands beside `main`.

    Raises ConfigError for what a deployed function cannot import.
    """
    reached = Reached({}, {})
    travelling = (f"{SHARED}.", f"{FUNCTIONS}.{main.parent.name}.")
    to_read = [main]

    def take(module: str) -> None:
        """With the packages that are loaded before it."""
        for name in _with_parents(module):
            path = _file(root, name)
            if path is not None and name not in reached.modules:
                reached.modules[name] = path
                to_read.append(path)

    for module in also:
        take(module)
    while to_read:
        path = to_read.pop()
        for found in imports_of(path):
            where = f"{path.relative_to(root)}:{found.line}"
            if not f"{found.dotted}.".startswith(travelling):
                reached.external.update(_external(found, where))
                continue
            module = _module(root, found, where)
            if not found.later or follow(module):
                take(module)
    return reached


def _external(found: Import, where: str) -> dict[str, str]:
    """Nothing for the standard library."""
    if found.top in NEVER_DEPLOYED:
        raise ConfigError(f"{where}: imports {found.dotted}, which no package holds: {found.top}/ is not deployed")
    return {} if found.top in sys.stdlib_module_names else {found.dotted: where}


def imports_of(path: Path) -> list[Import]:
    """Every import that can happen at run time, in the order of the file. Raises ConfigError for a relative one."""
    return list(_imports_in(path, path.read_text(encoding="utf-8")))


@functools.lru_cache(1000)
def _imports_in(path: Path, text: str) -> tuple[Import, ...]:
    """Kept, since nearly every function reaches the same modules."""
    visitor = _Visitor(path)
    visitor.visit(ast.parse(text, str(path)))
    return tuple(visitor.found)


class _Visitor(ast.NodeVisitor):
    def __init__(self, path: Path) -> None:
        self.found: list[Import] = []
        self._path = path
        self._functions = 0

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [Import(alias.name, None, self._functions > 0, node.lineno) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or node.module is None:
            raise ConfigError(f"{self._path}:{node.lineno}: a relative import; name the module in full")
        for alias in node.names:
            name = None if alias.name == "*" else alias.name
            self.found.append(Import(node.module, name, self._functions > 0, node.lineno))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def visit_If(self, node: ast.If) -> None:
        """What only type checkers see is not there at run time."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for other in node.orelse:
                self.visit(other)
        else:
            self.generic_visit(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._functions += 1
        self.generic_visit(node)
        self._functions -= 1


def _module(root: Path, found: Import, where: str) -> str:
    """The module that the import loads: the name it asks for is a module itself, or is in one."""
    if _file(root, found.module) is None:
        raise ConfigError(f"{where}: there is no module {found.module}")
    return found.dotted if _file(root, found.dotted) else found.module


def _file(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_name(f"{path.name}.py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: length + 1]) for length in range(len(parts))]
