"""The emulation on a machine whose environment names proxies: what stays on this machine goes through none."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.emulation.emulators import Emulators

SIGNALBOX = Path(sys.executable).with_name("signalbox")
PATIENCE = 300.0
"""Seconds; only a demo that hangs takes as long."""


class Proxy(ThreadingHTTPServer):
    """Refuses whatever it is asked to pass on, as a company's proxy refuses addresses that are its client's own."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refuse)
        self.asked_for: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Refuse(BaseHTTPRequestHandler):
    def handle_one_request(self) -> None:
        line = self.rfile.readline().decode(errors="replace").strip()
        if line and isinstance(self.server, Proxy):
            self.server.asked_for.append(line)
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.close_connection = True


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield server
        server.shutdown()
        serving.join()


def environment_of(proxy: Proxy) -> dict[str, str]:
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "GRPC_PROXY")
    named = {name: proxy.url for both in names for name in (both, both.lower())}
    return {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"} | named


def demo(proxy: Proxy, *words: str) -> subprocess.CompletedProcess[str]:
    command = [SIGNALBOX, "demo", "--scenario", "happy", *words]
    return subprocess.run(
        command, check=False, env=environment_of(proxy), capture_output=True, text=True, timeout=PATIENCE
    )


def test_the_demo_ends_well_behind_a_proxy(proxy: Proxy) -> None:
    # When somebody whose environment names a proxy plays the demo
    shown = demo(proxy)

    # Then it ends as it should, and the proxy has seen nothing of it
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert proxy.asked_for == []


def test_the_demo_on_emulators_ends_well_behind_a_proxy(proxy: Proxy, google: Emulators) -> None:
    # When it is played on Google's emulators, which gRPC would look for behind the proxy, too
    shown = demo(proxy, "--backend", "emulators")

    # Then it ends as it should, and the proxy has seen nothing of it
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert proxy.asked_for == []
