"""The embedded backend: store and bus in SQLite files, secrets from the environment. Named by SIGNALBOX_BACKEND."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from local import topology
from local.emulation.bus import EmbeddedBus
from local.emulation.folder import make_folder
from local.emulation.journal import Journal, Subscription
from local.emulation.secrets import EnvironmentSecrets
from local.emulation.store import SqliteStore
from shared.runtime.clock import SystemClock
from shared.runtime.ports import Backend

DIRECTORY = "SIGNALBOX_LOCAL_DIR"
"""Environment variable: the folder of both files."""
DEFAULT_DIRECTORY = ".signalbox"
DOCUMENTS = "documents.sqlite"
MESSAGES = "messages.sqlite"


def open_backend(environ: Mapping[str, str]) -> Backend:
    """Raises ConfigError, or Unavailable when the files cannot be opened."""
    folder = directory(environ)
    clock = SystemClock()
    return Backend(
        store=SqliteStore(folder / DOCUMENTS),
        bus=EmbeddedBus(open_journal(folder, ""), clock),
        secrets=EnvironmentSecrets(environ),
        clock=clock,
    )


def open_emulated(environ: Mapping[str, str]) -> Backend:
    """Google's emulators, with secrets from the environment: none of them emulates Secret Manager."""
    from shared.cloud import open_backend as open_google  # noqa: PLC0415 - loaded only where it is used

    google = open_google(environ)
    google.secrets = EnvironmentSecrets(environ)  # type: ignore[assignment]
    return google


def directory(environ: Mapping[str, str]) -> Path:
    """Raises ConfigError when it cannot be made."""
    return make_folder(Path(environ.get(DIRECTORY) or DEFAULT_DIRECTORY))


def open_journal(folder: Path, addresses: topology.Addresses, delivery: topology.Delivery | None = None) -> Journal:
    """The journal of the topology's topics; its subscriptions push to /functions/NAME there."""
    described = topology.load()
    delivery = delivery or described.delivery
    subscriptions = [
        Subscription(
            name=function.name,
            topic=function.subscribes,
            endpoint=topology.push_endpoint(addresses, function.name),
            ack_deadline=delivery.ack_deadline,
            min_backoff=delivery.min_backoff,
            max_backoff=delivery.max_backoff,
            max_attempts=delivery.max_attempts,
            dead_letter_topic=described.dead_letters.topic,
        )
        for function in described.functions
        if function.subscribes is not None
    ]
    return Journal(folder / MESSAGES, described.all_topics, subscriptions)
