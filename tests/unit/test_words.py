"""The words that people read are plain: phrases of the glossary that were replaced do not come back."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from local.cli import COMMANDS, main
from shared.core.reasons import Reason

ROOT = Path(__file__).parents[2]
PHRASES = re.compile(
    r"\b(asked for|its turn has come|its turn|tak(?:e|en|ing|es it) back|way back|anew|mend|looks in a row|to stay so|"
    r"not looked at|all the same|lost the answer|somebody|whoever|nobody|hears? of|(?:is|are|was) told)\b",
    re.IGNORECASE,
)
"""Phrases, and not words such as *look* or *place*, which are right in other places."""
PAGES = [
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "docs" / "decisions").glob("*.md"),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "terraform/README.md")),
]
SOURCES = [
    path
    for room in ("functions", "shared", "local/cli", "local/demo", "local/doctor", "local/github_app", "local/n8n")
    for path in sorted((ROOT / room).rglob("*.py"))
] + sorted((ROOT / "local/operating").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def texts(path: Path) -> Iterator[str]:
    """Every text of a source but its docstrings, which the reader of the code meets alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value


def found(text: str) -> list[str]:
    return [match[0] for match in PHRASES.finditer(text)]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_page_is_plain(path: Path) -> None:
    assert found(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_what_a_source_says_to_people_is_plain(path: Path) -> None:
    assert [text for text in texts(path) if found(text)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "golden").glob("*.txt")), ids=name)
def test_a_scenario_is_told_plainly(path: Path) -> None:
    assert found(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_plain(reason: Reason) -> None:
    assert found(f"{reason.sentence} {reason.advice}") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_is_plain(command: str) -> None:
    context = click.Context(main)
    one = main.get_command(context, command)
    assert one is not None
    within = click.Context(one, info_name=command)
    helps = [one.get_help(within)]
    if isinstance(one, click.Group):
        parts = [(part, one.get_command(within, part)) for part in one.list_commands(within)]
        helps += [part.get_help(click.Context(part, info_name=called)) for called, part in parts if part is not None]
    assert found("\n".join([*helps, COMMANDS[command][1]])) == []


def test_a_phrase_would_be_found() -> None:
    assert found("asked for by mona; its turn has come") == ["asked for", "its turn has come"]
