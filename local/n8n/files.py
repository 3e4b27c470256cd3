"""Workflows as files: read, filled in for one n8n, and taken back to what the file says.

A file holds what n8n's API takes (name, nodes, connections, settings) without anything of one server: credentials by
name only, and in the node "Settings" a placeholder such as `<telegram_chat_id>` for each setting.
"""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from shared.errors import ConfigError
from shared.runtime.config import N8n

FOLDER = Path(__file__).parents[2] / "n8n-workflows"
SETTINGS = "settings.toml"
KEPT = ("name", "nodes", "connections", "settings")
"""What a file holds of a workflow. n8n adds more to its answers, and refuses most of it when it is sent back."""
SETTINGS_NODE = "Settings"
PATHS = {
    "notification": "signalbox-notification",
    "failure_analysis": "signalbox-failure-analysis",
    "pull_request_analysis": "signalbox-pull-request-analysis",
    "weekly_report": "signalbox-weekly-report",
}
"""The paths, in the files, of the workflows that the functions call, by the keys of signalbox.toml."""
WEBHOOK = "n8n-nodes-base.webhook"
_ADDED_SETTINGS = ("callerPolicy", "availableInMCP", "binaryMode")
"""What n8n sets by itself, also where a workflow leaves it out."""

Document = dict[str, Any]
"""A workflow in n8n's own form, which is n8n's to define."""


class _Setting(Struct):
    name: str
    value: Any


class _Assignments(Struct):
    assignments: list[_Setting] = []


class _Parameters(Struct):
    path: str | None = None
    assignments: _Assignments | None = None


class _Reference(Struct):
    name: str


class _Node(Struct):
    name: str
    type: str
    parameters: _Parameters
    credentials: dict[str, _Reference] = {}


class _Form(Struct):
    """What is relied on here of a workflow; the rest is n8n's own business."""

    name: str
    nodes: list[_Node]
    connections: dict[str, Any]
    settings: dict[str, Any]


class WorkflowFile(Struct, frozen=True):
    """One file of the folder; `stem` is what people call it by."""

    stem: str
    document: Document

    @property
    def name(self) -> str:
        """What it is called in n8n, where it is found by it."""
        return str(self.document["name"])


class Credential(Struct, frozen=True):
    """One of n8n's, of which the API tells no secret."""

    id: str
    name: str
    type: str


class Filling(Struct, frozen=True, kw_only=True):
    """What one server's workflows are filled in with. `paths`: the webhook path in a file, and the one to use."""

    settings: Mapping[str, str]
    credentials: tuple[Credential, ...]
    paths: Mapping[str, str] = {}


def load(folder: Path = FOLDER) -> list[WorkflowFile]:
    """Every workflow of the folder. Raises ConfigError that names the file."""
    found = [WorkflowFile(path.stem, _read(path)) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise ConfigError(f"{folder}: there is no workflow in it")
    return found


def load_settings(folder: Path = FOLDER) -> dict[str, str]:
    """Raises ConfigError when a value is not text, or would be run by n8n as an expression."""
    path = folder / SETTINGS
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    for name, value in read.items():
        if not isinstance(value, str) or value.lstrip().startswith("="):
            raise ConfigError(f"{path}: {name}: is not a text, or begins with `=`, which n8n would run")
    return {name: value.strip().rstrip("/") for name, value in read.items()}


def paths_of(configured: N8n) -> dict[str, str]:
    """Where signalbox.toml has the workflows that the functions call."""
    return {PATHS[name]: path for name, path in configured.paths.items()}


def text_of(document: Document) -> str:
    """As a file holds it: the same workflow has the same text."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def fill_in(file: WorkflowFile, filling: Filling) -> Document:
    """The document as the server is to have it. Raises ConfigError that names every setting and credential missing."""
    document = copy.deepcopy(file.document)
    problems: list[str] = []
    for setting in _settings_in(document):
        name = setting["name"]
        if not filling.settings.get(name):
            problems.append(f"setting {name} is empty: give it a value in {SETTINGS}")
        setting["value"] = filling.settings.get(name, "")
    for type, reference in _credentials_in(document):
        try:
            reference["id"] = _resolve(type, reference["name"], filling.credentials)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(f"{file.stem}: {problem}" for problem in dict.fromkeys(problems)))
    _rename_paths(document, lambda path: filling.paths.get(path, path))
    return document


def take_back(document: Document, paths: Mapping[str, str]) -> Document:
    """What a file would hold of a server's workflow: the way back from `fill_in`."""
    taken = strip(document)
    for setting in _settings_in(taken):
        setting["value"] = f"<{setting['name']}>"
    for _, reference in _credentials_in(taken):
        reference["id"] = None
    used = {path: original for original, path in paths.items()}
    _rename_paths(taken, lambda path: used.get(path, path))
    return taken


def strip(document: Document) -> Document:
    """Without what n8n adds of its own accord."""
    kept: Document = copy.deepcopy({key: document.get(key) or {} for key in KEPT})
    kept["settings"] = {key: value for key, value in kept["settings"].items() if key not in _ADDED_SETTINGS}
    return kept


def webhook_path(document: Document) -> str | None:
    """The path of its webhook; None when it has none."""
    return next((node["parameters"].get("path") for node in document["nodes"] if node["type"] == WEBHOOK), None)


def _read(path: Path) -> Document:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(document, dict) or set(document) != set(KEPT):
        raise ConfigError(
            f"{path}: a workflow has {', '.join(KEPT)} and nothing else; `signalbox workflows pull` writes it"
        )
    try:
        msgspec.convert(document, _Form)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
    return document


def _settings_in(document: Document) -> Iterator[Document]:
    for node in document["nodes"]:
        if node["name"] == SETTINGS_NODE:
            yield from node["parameters"].get("assignments", {}).get("assignments", [])


def _credentials_in(document: Document) -> Iterator[tuple[str, Document]]:
    for node in document["nodes"]:
        yield from node.get("credentials", {}).items()


def _resolve(type: str, name: str, known: tuple[Credential, ...]) -> str:
    found = [credential.id for credential in known if (credential.type, credential.name) == (type, name)]
    if not found:
        raise ConfigError(f"n8n has no credential {name!r} of type {type}: make it there, as docs/n8n.md says")
    if len(found) > 1:
        raise ConfigError(f"n8n has {len(found)} credentials {name!r} of type {type}: rename all but one")
    return found[0]


def _rename_paths(document: Document, rename: Callable[[str], str]) -> None:
    for node in document["nodes"]:
        if node["type"] == WEBHOOK and "path" in node["parameters"]:
            node["parameters"]["path"] = rename(node["parameters"]["path"])
