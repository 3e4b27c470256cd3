"""The ten functions in one process, each made by functions-framework from its own main.py, behind one address."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from functions_framework.aio import create_asgi_app
from starlette.types import ASGIApp, Receive, Scope, Send

from local.topology import Function, Topology

PREFIX = "/functions/"


class Router:
    """Paths of the topology go to their function as they would in the cloud, where each has a host of its own;
    the others are reached below /functions/NAME, which is where subscriptions and schedules push to."""

    def __init__(self, topology: Topology) -> None:
        self._apps: Mapping[str, ASGIApp] = {function.name: _app(function) for function in topology.functions}
        self._paths = [(path, self._apps[function.name]) for function in topology.functions for path in function.paths]
        self._fallback = self._apps["console"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._find(scope["path"])(scope, receive, send)

    def _find(self, path: str) -> ASGIApp:
        if path.startswith(PREFIX):
            return self._apps.get(path.removeprefix(PREFIX).strip("/"), self._fallback)
        return next((app for prefix, app in self._paths if path.startswith(prefix)), self._fallback)


def _app(function: Function) -> ASGIApp:
    with _left_as_it_was():
        app: ASGIApp = create_asgi_app(function.name, str(function.main), "http")  # type: ignore[no-untyped-call]
        return app


@contextmanager
def _left_as_it_was() -> Iterator[None]:
    """functions-framework loads every source as the module `main`, from a folder it adds to the path."""
    environment, path, main = dict(os.environ), list(sys.path), sys.modules.get("main")
    try:
        yield
    finally:
        sys.path[:] = path
        sys.modules.pop("main", None)
        if main is not None:
            sys.modules["main"] = main
        os.environ.clear()
        os.environ.update(environment)
