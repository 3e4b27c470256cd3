"""What CI reports to the simulated GitHub: check suites, check runs and commit statuses of a pull request's head."""

from __future__ import annotations

from typing import Any, Protocol

from local.world.github import events
from local.world.github.hooks import Webhooks
from local.world.github.model import GITHUB_ACTIONS, Check, Ids, PullRequest, Repository, Suite
from shared.runtime.ports import Clock


class Reporting(Protocol):
    """The part of the world that CI systems use."""

    clock: Clock
    ids: Ids
    webhooks: Webhooks

    def repository(self, name: str) -> Repository: ...

    def pull(self, repository: str, number: int) -> PullRequest: ...

    def open_suite(
        self, repository: str, number: int, *, app_id: int = GITHUB_ACTIONS, workflow: str | None = None
    ) -> None:
        """CI announces itself on the head: a workflow is queued, with no check yet, and more than one to come."""
        self._suite(self.pull(repository, number), app_id, workflow).more = True

    def close_suite(
        self, repository: str, number: int, conclusion: str | None = None, *, workflow: str | None = None
    ) -> None:
        """A workflow has listed all its checks, or has ended without any, by `conclusion`."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        suite = self._suite(pull, GITHUB_ACTIONS, workflow)
        suite.more, suite.conclusion = False, conclusion
        if conclusion is not None:
            ended = self._check("", conclusion, suite.app_id, pull)
            self.webhooks.enqueue("check_suite", events.check_suite_event(repo, pull, ended), repo, pull.author)

    def report_check(
        self,
        repository: str,
        number: int,
        name: str,
        conclusion: str | None,
        required: bool = False,
        app_id: int = GITHUB_ACTIONS,
        workflow: str | None = None,
    ) -> None:
        """A check run of the head, concluded or (None) in progress; the suite completes with its last run."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        suite = self._suite(pull, app_id, workflow)
        check = self._report(pull, name, conclusion, required, app_id, suite.id)
        if conclusion is None:
            return
        self.webhooks.enqueue("check_run", events.check_run_event(repo, pull, check), repo, pull.author)
        if suite.state(pull.checks_of(suite))[0] == "completed":
            self.webhooks.enqueue("check_suite", events.check_suite_event(repo, pull, check), repo, pull.author)

    def _suite(self, pull: PullRequest, app_id: int, workflow: str | None) -> Suite:
        suites = pull.suites.setdefault(pull.head_sha, [])
        known = next((one for one in suites if (one.app_id, one.workflow) == (app_id, workflow)), None)
        if known is None:
            known = Suite(id=self.ids.number(), app_id=app_id, workflow=workflow, created_at=self.clock.now())
            suites.append(known)
        return known

    def supersede_check(self, repository: str, number: int, name: str) -> None:
        """Another event starts the check's workflow anew: its earlier run stays listed, beside the one to come."""
        pull = self.pull(repository, number)
        earlier = pull.checks[pull.head_sha].pop(name)
        pull.superseded.setdefault(pull.head_sha, []).append(earlier)

    def report_status(self, repository: str, number: int, context: str, state: str, required: bool = False) -> None:
        """A commit status of the head: `pending`, `success`, `failure` or `error`."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        check = self._report(pull, context, None if state == "pending" else state, required, None)
        self.webhooks.enqueue("status", events.status_event(repo, pull, check), repo, pull.author)

    def _report(
        self,
        pull: PullRequest,
        name: str,
        conclusion: str | None,
        required: bool,
        app: int | None,
        suite: int | None = None,
    ) -> Check:
        check = self._check(name, conclusion, app, pull, required=required, suite=suite)
        pull.checks.setdefault(pull.head_sha, {})[name] = check
        return check

    def _check(self, name: str, conclusion: str | None, app: int | None, pull: PullRequest, **more: Any) -> Check:
        now = self.clock.now()
        return Check(
            id=self.ids.number(),
            name=name,
            conclusion=conclusion,
            app_id=app,
            url=f"https://ci.example/{pull.head_sha[:12]}/{name.replace(' ', '-')}",
            started_at=now,
            completed_at=now if conclusion else None,
            **({"required": False} | more),
        )
