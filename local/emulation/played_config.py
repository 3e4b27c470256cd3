"""A signalbox.toml as the emulation plays it: minutes become seconds, and every address is one of this machine."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shared.core.policy import Policy
from shared.errors import ConfigError
from shared.runtime import forgiving

FASTER = 60
"""A minute of the policy lasts a second."""
SHORTEST_DEADLINE = 90.0
"""Seconds: what is bounded by a deadline takes as long as it does, on a machine that may be slow."""
PACED = ("adopt_wait", "bake", "poll", "probation", "settle")
"""Times that are waited for. Those of a single check (health_timeout) are the application's, and stay."""
_NOT_HERE = ("health_url",)
"""Addresses of the real world."""


def emulated(text: str, source: str, *, n8n: str, real_time: bool = False) -> str:
    """The settings of `text`, to be played with the n8n at that address. Raises ConfigError when it is no TOML.

    What is wrong otherwise stays wrong: shared.runtime.config says so. `real_time`: the policy keeps its times.
    """
    try:
        played = tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: not TOML: {error}") from error
    if not real_time:
        defaults = {name: value for name, value in msgspec.to_builtins(Policy()).items() if _faster(name)}
        policy = played.get("policy", {})
        if isinstance(policy, dict):
            played["policy"] = {**defaults, **policy}
    for policy in _policies(played):
        for name in _NOT_HERE:
            policy.pop(name, None)
        if isinstance(policy.get("health_path"), str):
            policy["health_path"] = _path_alone(policy["health_path"])
        if not real_time:
            policy.update({name: _shorter(name, value) for name, value in policy.items() if _faster(name)})
    if isinstance(played.get("n8n"), dict):
        played["n8n"] = _with_paths_alone(played["n8n"]) | {"url": n8n}
    return "".join(_lines(played))


def _faster(name: str) -> bool:
    return name in PACED or name.endswith("_deadline")


def _path_alone(address: str) -> str:
    """Of the health check's address, which may name a host of the real world, too; what cannot be read stays."""
    try:
        return forgiving.health_path(address)[1]
    except ValueError:
        return address


def _with_paths_alone(table: dict[str, Any]) -> dict[str, Any]:
    """The table [n8n] with its workflows' paths, also where they are addresses at its own host."""
    try:
        host = urlsplit(forgiving.n8n(str(table.get("url")))[0]).netloc
        return {
            name: forgiving.webhook_path(path, host) if isinstance(path, str) and "://" in path else path
            for name, path in table.items()
            if name != "url"
        }
    except ValueError:
        return table


def _shorter(name: str, value: Any) -> Any:
    """What is no number is left for shared.runtime.config to refuse."""
    try:
        value = forgiving.number(value)
    except ValueError:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return max(value / FASTER, SHORTEST_DEADLINE) if name.endswith("_deadline") else value / FASTER


def _policies(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every `policy` at whatever level."""
    for name, value in table.items():
        if isinstance(value, dict):
            if name == "policy":
                yield value
            else:
                yield from _policies(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """TOML: values first, then the tables below. Quoted keys and strings are JSON's, which TOML reads alike."""
    if path:
        yield f"\n[{'.'.join(map(_quoted, path))}]\n"
    for name, value in table.items():
        if not isinstance(value, dict):
            yield f"{_quoted(name)} = {_value(value)}\n"
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _lines(value, (*path, name))


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_quoted(name)} = {_value(held)}' for name, held in value.items())}}}"
    if isinstance(value, str):
        return _quoted(value)
    return str(value).lower()
