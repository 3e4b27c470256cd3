"""Ways between clients and simulated vendors, for tests that look at one of the two."""

from collections.abc import Callable
from typing import Any

import httpx

from local.emulation.serving import served_by
from shared.clients.http import Internet, Network


def replying(answer: Callable[[httpx.Request], Any]) -> Internet:
    """A network on which every request of ours gets the answer of this function."""
    return Internet(transport=httpx.MockTransport(answer))


def straight_to(network: Network) -> httpx.ASGITransport:
    """For an httpx client that asks a simulated vendor as anybody may."""
    return httpx.ASGITransport(app=served_by(network))
