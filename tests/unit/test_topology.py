"""The topology: what is refused, and how a function is called by what it describes."""

from pathlib import Path

import pytest

from local import topology
from shared.errors import ConfigError

FUNCTION = """
topics: [events]
dead_letters: {{topic: dead-letters, subscription: dead-letters, retention_days: 31}}
delivery: {{ack_deadline: 70, min_backoff: 10, max_backoff: 600, max_attempts: 20, retention_days: 7}}
defaults:
  {{public: false, timeout: 60, memory: 512Mi, cpu: "1", concurrency: 40, min_instances: 0, max_instances: 20,
    store: none, publishes: [], secrets: []}}
functions:
  shop: {{{entry}}}
"""


def load(folder: Path, entry: str) -> topology.Topology:
    path = folder / "topology.yaml"
    path.write_text(FUNCTION.format(entry=entry))
    return topology.load(path)


@pytest.mark.parametrize("use", ["none", "read", "write"])
def test_what_a_function_may_do_with_documents_is_one_of_three(tmp_path: Path, use: str) -> None:
    [function] = load(tmp_path, f"store: {use}").functions
    assert function.store == use


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("store: true", "store"),
        ("store: all", "store"),
        ("publishes: [elsewhere]", "no such topic: elsewhere"),
        ("subscribes: elsewhere", "no such topic: elsewhere"),
        ("sells: socks", "sells"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_by_name(tmp_path: Path, entry: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(tmp_path, entry)


def test_a_function_is_called_below_its_address_by_its_own_caller(tmp_path: Path) -> None:
    [function] = load(tmp_path, "subscribes: events").functions
    assert function.caller == "signalbox-shop-caller"
    for addresses in ("https://shop.test", {"shop": "https://shop.test"}):
        assert topology.push_endpoint(addresses, "shop") == "https://shop.test/functions/shop"
        assert topology.audience(addresses, "shop") == "https://shop.test"
