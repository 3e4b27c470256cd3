"""What a client asks by its source, whether anything runs it or not: methods with paths, and GraphQL documents."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
READERS = {"_get", "_get_if_known", "_pages", "_read"}
"""The client's own functions that read, and take no method."""
_OPENERS = {"AsyncClient", "Client", "stream", *(method.lower() for method in METHODS)}
_DOCUMENT = re.compile(r"\s*(query|mutation)\b[^{]*\{")


def calls(files: Iterable[Path]) -> list[tuple[str, str]]:
    """Each method with its path; what is filled in is `{}`, and `owner/name` of a repository is two of them.

    In one function, a call takes the path that was written last before its end.
    """
    functions = (node for file in files for node in ast.walk(_parsed(file)) if _is_function(node))
    return sorted({found for function in functions for found in _called(function)})


def paths(files: Iterable[Path]) -> list[str]:
    """Each path that is written anywhere, by whatever function it is asked for."""
    nodes = (node for file in files for node in _whole(_parsed(file)) if isinstance(node, ast.expr))
    return sorted({path for node in nodes if (path := _path(node))})


def connecting(files: Iterable[Path]) -> list[Path]:
    """Those that open a connection, or send something through one that is open."""
    return sorted(file for file in files if any(_connects(node) for node in ast.walk(_parsed(file))))


def documents(files: Iterable[Path]) -> list[str]:
    constants = (node.value for file in files for node in ast.walk(_parsed(file)) if isinstance(node, ast.Constant))
    return [text for text in constants if isinstance(text, str) and _DOCUMENT.match(text)]


def _called(function: ast.AST) -> Iterator[tuple[str, str]]:
    nodes = [node for node in _whole(function) if isinstance(node, ast.expr)]
    paths = sorted((_start(node), path) for node in nodes if (path := _path(node)))
    for node in nodes:
        method = _method(node) if isinstance(node, ast.Call) else None
        written = [path for at, path in paths if at < _end(node)]
        if method and written:
            yield method, written[-1]


def _whole(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all within it, but not the pieces of a formatted string."""
    yield node
    if not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from _whole(child)


def _method(call: ast.Call) -> str | None:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    named = [one.value for one in given if isinstance(one, ast.Constant) and one.value in METHODS]
    if named:
        return str(named[0])
    return "GET" if isinstance(call.func, ast.Attribute) and call.func.attr in READERS else None


def _connects(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "HttpClient"
    if not isinstance(node.func, ast.Attribute):
        return False
    of_httpx = isinstance(node.func.value, ast.Name) and node.func.value.id == "httpx"
    return node.func.attr in ("request", "send", "exchange") or (of_httpx and node.func.attr in _OPENERS)


def _path(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant):
        text = str(node.value)
    elif isinstance(node, ast.JoinedStr):
        text = "".join(_filled(part) for part in node.values)
    else:
        return None
    return text.partition("?")[0] if re.match(r"/[a-z]", text) and not text.endswith("/") else None


def _filled(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    return "{}/{}" if isinstance(part.value, ast.Name) and part.value.id == "repository" else "{}"


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0
