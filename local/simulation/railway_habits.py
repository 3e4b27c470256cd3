"""What is peculiar about a simulated Railway: watch paths, Wait for CI, approvals, paused builds, schedules, sleep."""

from __future__ import annotations

import math

from local.simulation.chance import Chance
from local.world.railway.deployment import Deployment
from local.world.railway.server import RailwayWorld
from local.world.vendors import REPOSITORY

WAITS = ("NEEDS_APPROVAL", "WAITING", "QUEUED")
"""Statuses in which Railway itself does not go on."""
_WATCHING_DAYS = 0.3
_CI_DAYS = 0.5
"""Of the days on which Railway deploys by itself."""
_SCHEDULE_DAYS = 0.06
_SLEEPY_DAYS = 0.08
_WORKER_DAYS = 0.08
"""On which the services have no address, so that nobody can look at them."""
_PAUSE = {"pauses builds": 0.06}
_RED = 0.35


class Habits:
    """Sets the services up, and does what people, CI and Railway itself do to deployments that wait."""

    def __init__(self, chance: Chance, railway: RailwayWorld, day: float) -> None:
        self._chance = chance
        self._railway = railway
        self._due: dict[str, float] = {}
        """When the wait of a deployment, or the CI of a commit, is over."""
        what, value = chance.incident("Railway's builds", _PAUSE)
        self._pause = (value * day, value * day + 60 + 900 * value) if what else (math.inf, math.inf)
        self._set_up()

    def _set_up(self) -> None:
        chance, services = self._chance, self._railway.services
        watching = chance.number("days of watch paths", 0, 1) < _WATCHING_DAYS
        ci = chance.number("days of Wait for CI", 0, 1) < _CI_DAYS
        scheduled = chance.number("days of a schedule", 0, 1) < _SCHEDULE_DAYS
        sleepy = chance.number("days of sleep", 0, 1) < _SLEEPY_DAYS
        workers = chance.number("days of workers", 0, 1) < _WORKER_DAYS
        for service in services:
            if workers:
                service.domain = None
            service.watch_patterns = (f"{service.name}/**", "common/**") if watching else ()
            service.waits_for_ci = service.auto_deploy and ci
            service.sleeps = sleepy and not scheduled
            if scheduled:
                service.cron_schedule = "*/5 * * * *"
                for first in self._railway.deployments(service.service_id, service.environment_id):
                    first.stopped = True

    @property
    def waiting(self) -> bool:
        """Something that waits will go on."""
        return any(deployment.status in WAITS for deployment in self._railway.created)

    def go_on(self, now: float) -> None:
        begins, ends = self._pause
        if self._railway.paused and now >= ends:
            self._railway.resume_builds()
        elif not self._railway.paused and begins <= now < ends:
            self._railway.paused = True
        for deployment in self._railway.created:
            if deployment.status == "NEEDS_APPROVAL":
                self._approve(deployment, now)
            if deployment.status == "WAITING" and deployment.ci_passed is None:
                self._finish_ci(deployment.commit_sha, now)

    def _approve(self, deployment: Deployment, now: float) -> None:
        due = self._due.setdefault(deployment.id, now + self._chance.number("approval takes", 20, 1200))
        if now >= due:
            self._railway.approve(deployment.id)

    def _finish_ci(self, commit: str, now: float) -> None:
        due = self._due.setdefault(commit, now + self._chance.number("CI takes", 5, 400))
        if now >= due:
            red = self._chance.number(f"CI of {commit}", 0, 1) < _RED and self._chance.occurs("CI fails", commit[:7])
            self._railway.finish_ci(REPOSITORY, commit, passed=not red)
