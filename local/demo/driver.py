"""What a scenario has to hand: the running emulation, the people in it, and a list of what was expected."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local.cli.timeline import Expectation, Line
from local.emulation.host import Host
from local.emulation.vendors import TICK
from local.world.railway.deployment import Deployment, Service
from local.world.vendors import ENVIRONMENT, REPOSITORY, SERVICE
from shared.core import notices
from shared.core.run import Run
from shared.core.target import Target, target_id
from shared.errors import TransientError
from shared.runtime.ports import Query

TARGET = target_id(REPOSITORY, "web", "production")
PREVIOUS_COMMIT = hashlib.sha1(b"what served before").hexdigest()  # noqa: S324 - a made-up commit
PATIENCE = 600.0
LOOK_EVERY = 0.05
CHANNELS = {
    "comment": "comment on the pull request",
    "deployment": "GitHub deployment status",
    "n8n": "n8n workflow",
    "analysis": "n8n workflow for failures",
}


class Scene:
    """`tell` is called with every line of the timeline as it happens."""

    def __init__(self, host: Host, tell: Callable[[Line], None]) -> None:
        self.host = host
        self.github = host.vendors.github
        self.railway = host.vendors.railway
        self.n8n = host.vendors.n8n
        self.expectations: list[Expectation] = []
        self._tell = tell
        self._told: dict[str, int] = {}
        self._webhooks: set[str] = set()
        self._notified: set[str] = set()

    def say(self, message: str) -> None:
        """Tell what somebody does."""
        self._tell(Line(datetime.now(UTC), None, None, None, message, None))

    def expect(self, text: str, held: bool) -> None:
        self.expectations.append(Expectation(text, held))

    def expect_equal(self, text: str, found: object, wanted: object) -> None:
        self.expect(f"{text}: {wanted}" if found == wanted else f"{text}: {wanted}, but it is {found}", found == wanted)

    # What people do

    def open_pull_request(
        self,
        *,
        author: str = "ada",
        title: str = "Faster checkout",
        check: str | None = "success",
        files: tuple[str, ...] = ("src/app.py",),
    ) -> int:
        number = self.github.open_pull_request(REPOSITORY, title=title, author=author, files=files)
        self.say(f"{author} opens pull request #{number}: {title}")
        self.report_check(number, check)
        return number

    def report_check(self, number: int, conclusion: str | None) -> None:
        self.github.report_check(REPOSITORY, number, "test", conclusion)
        self.say(f"check `test` on #{number}: {conclusion or 'in progress'}")

    def push(self, number: int) -> None:
        self.github.push(REPOSITORY, number)
        self.say(f"ada pushes another commit to #{number}")

    def queue_checks(self, number: int) -> None:
        self.github.open_suite(REPOSITORY, number)
        self.say(f"GitHub queues a workflow for #{number}")

    def merge(self, number: int, by: str = "ada") -> str:
        sha = self.github.merge(REPOSITORY, number, by)
        self.say(f"{by} merges #{number} as {sha[:7]}")
        return sha

    def comment(self, number: int, body: str, author: str = "grace") -> int:
        self.say(f"{author} comments on #{number}: {body}")
        return self.github.comment(REPOSITORY, number, body, author)

    def label(self, number: int, name: str, by: str = "grace") -> None:
        self.say(f"{by} labels #{number}: {name}")
        self.github.label(REPOSITORY, number, name, by)

    def plan(self, **plan: Any) -> None:
        """What becomes of the next deployment."""
        self.railway.plan(SERVICE, **plan)

    def plan_in(self, environment: str, **plan: Any) -> None:
        """What becomes of the next deployment to this environment."""
        self.railway.plan_in(self._railway_service("web", environment).environment_id, SERVICE, **plan)

    def crash(self) -> None:
        """What serves dies."""
        if serving := self.serving():
            self.railway.crash(serving)

    # What there is to see

    async def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return [found.document for found in await self.host.store.query(Query(Run, order_by="created_at"))]

    async def target(self) -> Target:
        found = await self.host.store.get(Target, TARGET)
        return found.document if found else Target(id=TARGET)

    def serving(self) -> Deployment | None:
        return self.railway.serving(SERVICE, ENVIRONMENT)

    def live_in(self, service: str, environment: str) -> str | None:
        """The commit that is live there."""
        there = self._railway_service(service, environment)
        found = self.railway.serving(there.service_id, there.environment_id)
        return found.commit_sha if found else None

    def _railway_service(self, service: str, environment: str) -> Service:
        known = self.railway.services
        return next(one for one in known if (one.name, one.environment_name) == (service, environment))

    @property
    def serving_commit(self) -> str | None:
        deployment = self.serving()
        return deployment.commit_sha if deployment else None

    def told(self, event: str) -> int:
        """How many notifications of the event reached n8n."""
        return sum(payload["event"] == event for payload in self.n8n.notifications)

    def status_comments(self, number: int) -> list[str]:
        """The comments that show a run."""
        return [body for body in self.github.comments(REPOSITORY, number) if "<!-- signalbox:run:" in body]

    # Waiting

    async def ended(self, count: int = 1) -> Run:
        """The latest run, once so many have ended and everything owed has been told. Raises TimeoutError."""
        return await self.until(lambda runs: len(runs) >= count and all(_done(run) for run in runs))

    async def until(self, reached: Callable[[list[Run]], bool]) -> Run:
        """The latest run, once the runs are as wanted. Raises TimeoutError."""
        patient_until = time.monotonic() + PATIENCE
        while time.monotonic() < patient_until:
            try:
                runs = await self.runs()
            except TransientError:  # the emulator is busy: it is asked again
                await asyncio.sleep(LOOK_EVERY)
                continue
            self._follow_webhooks()
            self._follow(runs)
            if runs and reached(runs):
                return runs[-1]
            await asyncio.sleep(LOOK_EVERY)
        raise TimeoutError(f"not reached within {PATIENCE:g} s")

    async def quiet(self) -> None:
        """Until no message is on its way: what could still happen has happened."""
        patient_until = time.monotonic() + PATIENCE
        await asyncio.sleep(5 * TICK)  # for what waits for the vendors' next tick
        while not self.github.webhooks.idle and time.monotonic() < patient_until:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(TICK)
        await self.host.engine.quiet()

    def _follow_webhooks(self) -> None:
        """What GitHub sent that people caused; each once, however often it was delivered."""
        for attempt in reversed(self.github.webhooks.attempts()):
            webhook = attempt.webhook
            if webhook.guid in self._webhooks:
                continue
            self._webhooks.add(webhook.guid)
            payload = json.loads(webhook.body)
            if payload["sender"]["type"] != "Bot" and webhook.event in ("pull_request", "issue_comment", "check_suite"):
                what = f"GitHub sends {webhook.event} {webhook.action}, signed: {attempt.status_code}"
                self._tell(Line(attempt.delivered_at, None, "webhook", "", what, None))

    def _follow(self, runs: list[Run]) -> None:
        for run in runs:
            for at in range(self._told.get(run.id, 0), len(run.history)):
                entry = run.history[at]
                since = run.history[at - 1].at if at else run.created_at
                seconds = (entry.at - since).total_seconds()
                self._tell(Line(entry.at, run.id, entry.stage, entry.status, entry.message, seconds))
            self._told[run.id] = len(run.history)
            self._follow_notifications(run)

    def _follow_notifications(self, run: Run) -> None:
        new = {key: told for key, told in run.notified.items() if f"{run.id}:{key}" not in self._notified}
        self._notified |= {f"{run.id}:{key}" for key in new}
        for key, told in new.items():
            notice = notices.Notice.read(key)
            if notice.channel == notices.ANALYSIS and told.outcome != notices.SENT:
                continue  # nobody asked for one
            self._tell(
                Line(told.at, run.id, "notify", told.outcome, f"{notice.name}: {CHANNELS[notice.channel]}", None)
            )


def _done(run: Run) -> bool:
    return run.status.terminal and not run.owed
