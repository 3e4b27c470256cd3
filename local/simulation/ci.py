"""What CI does on a simulated day: it begins late, lists a quick check first and a slow one later, or is not there."""

from __future__ import annotations

from collections.abc import Callable

from local.simulation.chance import Chance
from local.world.github.server import GitHubWorld
from local.world.vendors import REPOSITORY
from shared.runtime.config import Config

USUAL = "as usual"
_KINDS = (*[USUAL] * 7, "begins late", "begins late", "quick check first", "two jobs", "none")
_ENDS = ("failure", "failure", "success")
_NOTICE = 14.0
"""Seconds by which CI begins before the head has settled: more than clocks differ and a deed is late."""
SILENT_APP = 77
_CLASSIC = 0.06
_STRICT = 0.1

Plan = Callable[[float, str, Callable[[], object]], None]
"""Adds a deed: when, what it is, and the doing."""


class ContinuousIntegration:
    """`coming`: heads on which CI is about to begin, which GitHub does not show yet."""

    def __init__(self, chance: Chance, configured: Config, github: GitHubWorld, latest: float) -> None:
        self._chance = chance
        self._github = github
        self._settle = configured.targets[0].policy.settle
        self._latest = latest
        self.coming: set[str] = set()
        github.on_update.append(self._updated)

    def prepare(self, branch: str) -> None:
        """The repository's rules and Apps of this day."""
        if self._rarely("CI silent App", 0.12) and self._chance.occurs("CI day", "an App never reports"):
            self._github.repository(REPOSITORY).apps.append(SILENT_APP)
        if self._rarely("CI own suite", 0.5):
            self._github.access.permissions["checks"] = "write"
        rules = self._chance.number("CI rules", 0, 1)
        if rules < _CLASSIC and self._chance.occurs("CI day", "classic branch protection"):
            self._github.protect(REPOSITORY, branch, ["test"])
        elif rules > 1 - _STRICT and self._chance.occurs("CI day", "branches have to be up to date"):
            self._github.require_checks(REPOSITORY, branch, ["test"], strict=True)

    def plan(self, name: str, at: float, add: Plan, number: Callable[[], int | None]) -> Callable[[], None] | None:
        """The CI of a head that comes at that time, on the pull request `number` (None when it is not open).

        Returns what is to be done once the head is there; None when CI does as usual.
        """
        kind = self._chance.pick("CI", _KINDS)
        ends = self._chance.pick("CI ends", _ENDS)
        delay = self._chance.number("CI begins", 1, max(2.0, self._settle - _NOTICE))
        lasts = self._chance.number("CI lasts", 5, 90)
        if kind == USUAL or not self._chance.occurs("CI kind", f"CI of {name}: {kind}, {ends}"):
            return None
        head = _Head(self._github, self.coming, kind, ends, number)
        if kind != "none":
            begins = min(at + delay, self._latest)
            add(begins, f"CI of {name} begins", head.begin)
            add(min(begins + lasts, self._latest + 5), f"CI of {name}: {ends}", head.end)
        return head.come

    def _rarely(self, label: str, odds: float) -> bool:
        return self._chance.number(label, 0, 1) < odds

    def _updated(self, repository: str, number: int) -> None:
        """Of a head that GitHub made by merging the base into it, CI is quick."""
        self._github.report_check(repository, number, "test", "success")


class _Head:
    """The CI of one head; nothing happens to it once another has taken its place."""

    def __init__(
        self, github: GitHubWorld, coming: set[str], kind: str, ends: str, number: Callable[[], int | None]
    ) -> None:
        self._github = github
        self._coming = coming
        self._kind = kind
        self._ends = ends
        self._number = number
        self._sha = ""

    def come(self) -> None:
        """The head is there; CI may not be."""
        if (pull := self._number()) is None:
            return
        self._sha = self._github.pull(REPOSITORY, pull).head_sha
        if self._kind in ("begins late", "quick check first"):
            self._coming.add(self._sha)
        if self._kind == "quick check first":
            self._github.report_check(REPOSITORY, pull, "lint", "success", workflow="lint")
        if self._kind == "two jobs":
            self._github.open_suite(REPOSITORY, pull)
            self._github.report_check(REPOSITORY, pull, "lint", "success")

    def begin(self) -> None:
        if (pull := self._still()) is not None:
            self._github.open_suite(REPOSITORY, pull)

    def end(self) -> None:
        if (pull := self._still()) is not None:
            self._github.report_check(REPOSITORY, pull, "test", self._ends)
            self._github.close_suite(REPOSITORY, pull)

    def _still(self) -> int | None:
        self._coming.discard(self._sha)
        pull = self._number()
        return pull if pull is not None and self._github.pull(REPOSITORY, pull).head_sha == self._sha else None
