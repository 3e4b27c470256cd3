"""functions/topology.yaml, read into types."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml
from msgspec import Struct

from shared.errors import ConfigError

Addresses = str | Mapping[str, str]
"""Where the functions are: all behind one address, or each, by its name, at one of its own."""
PATH = Path(__file__).parent.parent / "functions" / "topology.yaml"


class Delivery(Struct, frozen=True, forbid_unknown_fields=True):
    """How every push subscription delivers; seconds."""

    ack_deadline: float
    min_backoff: float
    max_backoff: float
    max_attempts: int
    retention_days: int = 7
    """For so long a topic keeps what was published, to be delivered once more."""


class DeadLetters(Struct, frozen=True, forbid_unknown_fields=True):
    topic: str
    subscription: str
    retention_days: int


class Function(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One deployed function. `subscribes` or `schedule` or neither: then it is called by people or vendors."""

    name: str
    public: bool
    paths: tuple[str, ...] = ()
    subscribes: str | None = None
    schedule: str | None = None
    publishes: tuple[str, ...]
    secrets: tuple[str, ...]
    store: Literal["none", "read", "write"]
    timeout: int
    memory: str
    cpu: str
    concurrency: int
    min_instances: int
    max_instances: int

    @property
    def is_called(self) -> bool:
        """By a subscription or a schedule, which alone may."""
        return self.subscribes is not None or self.schedule is not None

    @property
    def caller(self) -> str:
        """The id of the service account as which its subscription, or its schedule, calls it."""
        return f"signalbox-{self.name}-caller"

    @property
    def main(self) -> Path:
        """Where its source is."""
        return PATH.parent / self.name / "main.py"


class Topology(Struct, frozen=True, forbid_unknown_fields=True):
    topics: tuple[str, ...]
    dead_letters: DeadLetters
    delivery: Delivery
    functions: tuple[Function, ...]

    @property
    def all_topics(self) -> tuple[str, ...]:
        return (*self.topics, self.dead_letters.topic)


def push_endpoint(addresses: Addresses, function: str) -> str:
    """Where a subscription, or the scheduler, calls the function."""
    return f"{audience(addresses, function)}/functions/{function}"


def audience(addresses: Addresses, function: str) -> str:
    """For whom the token is that such a call brings: the address alone, as Cloud Run asks for it."""
    return addresses if isinstance(addresses, str) else addresses[function]


def load(path: Path = PATH) -> Topology:
    """Raises ConfigError."""
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    defaults = raw.pop("defaults")
    functions = [{"name": name, **defaults, **body} for name, body in raw.pop("functions").items()]
    try:
        topology = msgspec.convert({**raw, "functions": functions}, Topology)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
    for function in topology.functions:
        unknown = {*function.publishes, function.subscribes or topology.topics[0]} - set(topology.topics)
        if unknown:
            raise ConfigError(f"{path}: functions.{function.name}: no such topic: {', '.join(sorted(unknown))}")
    return topology
