"""The simulated GitHub's rate limits (docs: "Rate limits for the REST API", "Rate limits for GitHub Apps")."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

from local.world.github.access import Problem
from local.world.github.payloads import JSON, installation_id
from shared.runtime.ports import Clock

WINDOW = timedelta(hours=1)
SLOW_DOWN = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


class Window(Struct):
    """What one installation has used of a resource until `reset`, in seconds since the epoch."""

    reset: int
    used: int = 0


class Limits:
    """`limit` requests an hour for each installation and resource, `core` (REST) or `graphql`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.limit = 5000
        self.status = 403
        """Of the answer to one too many; 429 on some days."""
        self._windows: dict[tuple[str, str], Window] = {}
        self._slow: list[tuple[int, int | None]] = []

    def slow_down(self, *, times: int = 1, status: int = 403, retry_after: int | None = 60) -> None:
        """The next requests come too thick: the secondary limit, with or without a time to wait.

        GraphQL has it with 200, too (docs: "Rate limits and query limits for the GraphQL API").
        """
        self._slow = [(status, retry_after)] * times

    def charge(self, owner: str, resource: str = "core") -> dict[str, str]:
        """Count a request; the headers of its answer. Raises Problem when it is one too many."""
        if self._slow:
            status, retry_after = self._slow.pop()
            raise _slowed(status, {} if retry_after is None else {"retry-after": str(retry_after)})
        window = self._window(owner, resource)
        if window.used >= self.limit:
            raise self._exceeded(owner, window, resource)
        window.used += 1
        return self._headers(window, resource)

    def _exceeded(self, owner: str, window: Window, resource: str) -> Problem:
        """GraphQL says so inside a 200 (docs: "Rate limits and query limits for the GraphQL API")."""
        said = f"API rate limit exceeded for installation ID {installation_id(owner)}."
        status = 200 if resource == "graphql" else self.status
        problem = Problem(status, said, headers=self._headers(window, resource))
        if resource == "graphql":
            problem.content = {"errors": [{"type": "RATE_LIMITED", "message": said}]}
        return problem

    def overview(self, owner: str) -> JSON:
        """What is left, which costs nothing to ask."""
        resources = {name: self._shown(owner, name) for name in ("core", "graphql", "search")}
        return {"resources": resources, "rate": resources["core"]}

    def _shown(self, owner: str, resource: str) -> JSON:
        window = self._window(owner, resource)
        left = max(0, self.limit - window.used)
        return {"limit": self.limit, "used": window.used, "remaining": left, "reset": window.reset}

    def _window(self, owner: str, resource: str) -> Window:
        now = self._clock.now().timestamp()
        window = self._windows.get((owner, resource))
        if window is None or now >= window.reset:
            window = self._windows[owner, resource] = Window(int(now + WINDOW.total_seconds()))
        return window

    def _headers(self, window: Window, resource: str) -> dict[str, str]:
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(0, self.limit - window.used)),
            "x-ratelimit-used": str(window.used),
            "x-ratelimit-reset": str(window.reset),
            "x-ratelimit-resource": resource,
        }


def _slowed(status: int, headers: dict[str, str]) -> Problem:
    problem = Problem(status, SLOW_DOWN, headers=headers)
    if status == 200:
        problem.content = {"errors": [{"message": SLOW_DOWN}]}
    return problem
