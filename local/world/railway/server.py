"""A simulated Railway: deployments move on, and webhooks go out, when `tick` finds them due; nothing sleeps.

What happens, and in which order, follows Railway's schema and documentation of August 2026 (docs.railway.com:
reference/deployments, guides/webhooks, guides/public-api).
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from graphql import GraphQLError
from msgspec import structs

from local.world.faults import Faulty
from local.world.railway.access import Scope
from local.world.railway.api import endpoint
from local.world.railway.deployment import IN_PROGRESS, SERVING, TRANSITIONS, Deployment, Plan, Service
from local.world.railway.limits import Limits
from local.world.railway.webhooks import Deliver, Webhooks
from shared.runtime.ports import Clock

CONFIG_FILES_UNTIL = datetime(2026, 12, 1, tzinfo=UTC)
"""From then on no deployment reads railway.json or railway.toml: docs.railway.com/config-as-code."""
_FULL_SHA = re.compile(r"[0-9a-f]{40}")


class RailwayWorld:
    """Railway, with plans for what becomes of deployments and `app`, its API with faults in front.

    `pace` is the length of each phase in seconds; `retention` is how long the image of a removed deployment is kept.
    A refusal is raised as a GraphQLError with Railway's own words.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        token: str,
        webhook_secret: str,
        deliver: Deliver | None = None,
        pace: float = 0.3,
        retention: timedelta = timedelta(hours=72),
    ) -> None:
        self.clock = clock
        self.token = token
        self.token_kind: Literal["account", "project"] | None = None
        """None: it is taken as either."""
        self.project_tokens: dict[str, Scope] = {}
        """What each of them opens, beside `token`."""
        self.refused_to_project_tokens: set[str] = set()
        """Root fields that no project token may use."""
        self.trespasses: list[str] = []
        """Calls that were refused because their token is of another environment, or none at all."""
        self.config_files_until = CONFIG_FILES_UNTIL
        self.pace = timedelta(seconds=pace)
        self.retention = retention
        self.limits = Limits(clock)
        """What each service used in this billing period, by measurement."""
        self.webhooks = Webhooks(webhook_secret)
        self.deliver = deliver
        """Where webhooks go; None: none are sent."""
        self.delivery_copies = 1
        self.shuffle = False
        self.known_commits: set[str] | Callable[[str], bool] = lambda sha: _FULL_SHA.fullmatch(sha) is not None
        self.refuse_rollback: bool | set[str] = False
        """True, or the ids of deployments, to which deploymentRollback answers false."""
        self.paused = False
        """Builds are paused: what is to be built waits in the queue (docs.railway.com: deployments, limited access)."""
        self.cancelled: list[tuple[Deployment, str]] = []
        """What was cancelled, and in which status it was then."""
        self.woken: list[Deployment] = []
        """Each time that a request woke one that slept."""
        self.created: list[Deployment] = []
        """Every deployment, in order, apart from those that `add_service` starts with."""
        self.services: list[Service] = []
        self._deployments: list[Deployment] = []
        self._plans: defaultdict[tuple[str, str | None, bool], deque[Plan]] = defaultdict(deque)
        self.app = Faulty(endpoint(self))

    # Setting the scene

    def add_service(
        self,
        *,
        project_id: str,
        environment_id: str,
        service_id: str,
        name: str,
        repository: str,
        branch: str = "main",
        domain: str | None = None,
        auto_deploy: bool = False,
        waits_for_ci: bool = False,
        serving_commit: str | None = None,
        environment_name: str = "production",
        watch_patterns: tuple[str, ...] = (),
        cron_schedule: str | None = None,
        sleeps: bool = False,
    ) -> Service:
        """A service, served from the start by a deployment of `serving_commit`."""
        service = Service(
            project_id=project_id,
            environment_id=environment_id,
            environment_name=environment_name,
            service_id=service_id,
            name=name,
            repository=repository,
            branch=branch,
            domain=domain,
            auto_deploy=auto_deploy,
            waits_for_ci=waits_for_ci,
            watch_patterns=watch_patterns,
            cron_schedule=cron_schedule,
            sleeps=sleeps,
        )
        self.services.append(service)
        if serving_commit is not None:
            first = self._create(service, serving_commit, "deploy", "GitHub", Plan())
            self.created.remove(first)
            first.status, first.due, first.has_image, first.live_at = "SUCCESS", None, True, first.created_at
            first.stopped = cron_schedule is not None
        return service

    def plan(self, service_id: str, *, rollback: bool = False, **plan: Any) -> None:
        """Queue a Plan for the next deployment of the service; `rollback`: for its next rollback."""
        self._plans[service_id, None, rollback].append(Plan(**plan))

    def plan_in(self, environment_id: str, service_id: str, **plan: Any) -> None:
        """Queue a Plan for the next deployment of the service to that environment; it comes before others."""
        self._plans[service_id, environment_id, False].append(Plan(**plan))

    # What people and GitHub do

    def push(self, repository: str, branch: str, sha: str, files: Collection[str] | None = None) -> list[Deployment]:
        """A push, which every service with auto-deploy that is connected to the branch deploys, or skips.

        `files`: what it changes, as far as that matters.
        """
        wanted = (repository.lower(), branch)
        made = [
            self._create(service, sha, "deploy", "GitHub")
            for service in self.services
            if service.auto_deploy and (service.repository.lower(), service.branch) == wanted
        ]
        for deployment in made:
            deployment.waits_for_ci = deployment.service.waits_for_ci
            if files is not None and not deployment.service.watches(files):
                deployment.plan = structs.replace(deployment.plan, skipped=True)
        return made

    def finish_ci(self, repository: str, sha: str, *, passed: bool) -> None:
        """GitHub says how the workflows of a commit ended; what waits for them goes on, or is skipped."""
        for deployment in self._deployments:
            if deployment.waits_for_ci and deployment.commit_sha == sha and deployment.service.repository == repository:
                deployment.ci_passed = passed
                if deployment.status == "WAITING":
                    deployment.due = self.clock.now()

    def resume_builds(self) -> None:
        """What waits in the queue is built."""
        self.paused = False
        for deployment in self._deployments:
            if deployment.status == "QUEUED" and deployment.due is None:
                deployment.due = self.clock.now() + self.pace

    def exit(self, deployment: Deployment) -> None:
        """The process of a live deployment ends with code 0, which no webhook tells of: it does not sleep or crash."""
        deployment.exit_due = None
        if deployment.status == "SUCCESS":
            deployment.stopped, deployment.due, deployment.ended_at = True, None, self.clock.now()

    def dashboard_deploy(self, service_id: str, environment_id: str, sha: str) -> Deployment:
        return self._create(self.service(service_id, environment_id), sha, "deploy", "dashboard")

    def approve(self, id: str) -> bool:
        deployment = self.deployment(id)
        if deployment.status != "NEEDS_APPROVAL":
            raise GraphQLError("Deployment does not need approval")
        self._enter(deployment, deployment.after("NEEDS_APPROVAL"), self.clock.now())
        return True

    # What the API does

    def service(self, service_id: str, environment_id: str) -> Service:
        wanted = (service_id, environment_id)
        for service in self.services:
            if (service.service_id, service.environment_id) == wanted:
                return service
        raise GraphQLError("ServiceInstance not found")

    def deployment(self, id: str) -> Deployment:
        for deployment in self._deployments:
            if deployment.id == id and deployment.visible:
                return deployment
        raise GraphQLError("Deployment not found")

    def deployments(self, service_id: str | None = None, environment_id: str | None = None) -> list[Deployment]:
        """What can be seen of them, newest first."""
        return [
            deployment
            for deployment in reversed(self._deployments)
            if deployment.visible
            and service_id in {None, deployment.service.service_id}
            and environment_id in {None, deployment.service.environment_id}
        ]

    def deploy(self, service_id: str, environment_id: str, sha: str | None) -> Deployment:
        """Without a commit: the one that the service is at, not the tip of its branch."""
        service = self.service(service_id, environment_id)
        latest = self.deployments(service_id, environment_id)[:1]
        commit = sha or next((deployment.commit_sha for deployment in latest), None)
        if commit is None or not self._knows(commit):
            raise GraphQLError("Commit not found")
        return self._create(service, commit, "deploy", "API")

    def rollback(self, id: str) -> bool:
        """The new deployment shows from the next tick on."""
        target = self.deployment(id)
        if self.refuse_rollback is True or (isinstance(self.refuse_rollback, set) and id in self.refuse_rollback):
            return False
        if not target.can_rollback(self.clock.now(), self.retention):
            raise GraphQLError("Deployment cannot be rolled back to")
        same = structs.replace(target.plan, needs_approval=False, crash_after=None, exit_after=None)
        new = self._create(target.service, target.commit_sha, "rollback", "API", same)
        new.has_image, new.visible, new.restores = True, False, id
        new.config_file, new.healthcheck_path = target.config_file, target.healthcheck_path
        return True

    def redeploy(self, id: str, *, use_previous_image: bool) -> Deployment:
        old = self.deployment(id)
        if not old.can_redeploy or (use_previous_image and not old.has_image):
            raise GraphQLError("Deployment cannot be redeployed")
        new = self._create(old.service, old.commit_sha, "redeploy", "API")
        new.has_image = use_previous_image
        return new

    def cancel(self, id: str) -> bool:
        deployment = self.deployment(id)
        if deployment.status not in IN_PROGRESS:
            raise GraphQLError("Deployment cannot be cancelled")
        self.cancelled.append((deployment, deployment.status))
        self._enter(deployment, "REMOVED", self.clock.now())
        return True

    def restart(self, id: str) -> bool:
        """The same deployment, its process begun anew."""
        deployment = self.deployment(id)
        if deployment.status == "CRASHED":
            self._enter(deployment, "SUCCESS", self.clock.now(), event="restarted")
        elif deployment.status != "SUCCESS":
            raise GraphQLError("Deployment cannot be restarted")
        elif self.deliver is not None:
            self.webhooks.announce(deployment, self.clock.now(), copies=self.delivery_copies, event="restarted")
        return True

    # The edge

    @property
    def rollbacks(self) -> list[Deployment]:
        """Those that deploymentRollback made; `restores` is the deployment it was asked for."""
        return [deployment for deployment in self.created if deployment.reason == "rollback"]

    def serving(self, service_id: str, environment_id: str) -> Deployment | None:
        """What the service's domain leads to."""
        known = self.deployments(service_id, environment_id)
        return next((deployment for deployment in known if deployment.status in SERVING), None)

    def wake(self, deployment: Deployment) -> None:
        """The first request to a sleeping service."""
        if deployment.status == "SLEEPING":
            self.woken.append(deployment)
            self._enter(deployment, "SUCCESS", self.clock.now(), event="resumed")

    def crash(self, deployment: Deployment) -> None:
        """The process of a live deployment ends by itself; one that sleeps has none."""
        if deployment.status == "SUCCESS":
            self._enter(deployment, "CRASHED", self.clock.now())

    # Time

    @property
    def idle(self) -> bool:
        """A tick would change nothing now."""
        now = self.clock.now()
        changing = any(
            not d.visible or any(due is not None and due <= now for due in (d.due, d.exit_due))
            for d in self._deployments
        )
        return not changing and not self.webhooks.pending

    async def tick(self) -> None:
        """Bring everything up to the clock's time, in the order in which it fell due; then deliver webhooks."""
        for deployment in self._deployments:
            deployment.visible = True
        now = self.clock.now()
        while due := [d for d in self._deployments if d.due is not None and d.due <= now]:
            deployment, at = min(((d, d.due) for d in due if d.due), key=lambda entry: entry[1])
            self._enter(deployment, self._next_status(deployment), at)
        for deployment in self._deployments:
            if deployment.exit_due is not None and deployment.exit_due <= now:
                self.exit(deployment)
        if self.deliver is not None:
            await self.webhooks.deliver(self.deliver, shuffle=self.shuffle)

    def _knows(self, sha: str) -> bool:
        known = self.known_commits
        return sha in known if isinstance(known, set) else known(sha)

    def _create(
        self,
        service: Service,
        sha: str,
        reason: Literal["deploy", "redeploy", "rollback"],
        source: Literal["GitHub", "API", "dashboard"],
        unplanned: Plan | None = None,
    ) -> Deployment:
        own = self._plans[service.service_id, service.environment_id, reason == "rollback"]
        plans = own or self._plans[service.service_id, None, reason == "rollback"]
        now = self.clock.now()
        deployment = Deployment(
            id=f"{0xDE910000 + len(self._deployments) + 1:08x}-0000-4000-8000-000000000000",
            service=service,
            commit_sha=sha,
            reason=reason,
            source=source,
            plan=plans.popleft() if plans else unplanned or Plan(),
            created_at=now,
            due=now + self.pace,
            healthcheck_path=service.healthcheck_path,
        )
        if service.config_file is not None and now < self.config_files_until:
            deployment.config_file = service.config_file
            deployment.healthcheck_path = service.file_healthcheck_path or service.healthcheck_path
        self._deployments.append(deployment)
        self.created.append(deployment)
        return deployment

    def _enter(self, deployment: Deployment, status: str, at: datetime, *, event: str | None = None) -> None:
        if status not in TRANSITIONS[deployment.status]:
            raise AssertionError(f"{deployment.id}: {status} does not follow {deployment.status}")
        deployment.status = status
        deployment.history.append((status, at))
        deployment.due = self._due(deployment, at)
        deployment.has_image = deployment.has_image or status == "DEPLOYING"
        if status == "REMOVED":
            deployment.removed_at = at
        if status == "SKIPPED":
            red = deployment.ci_passed is False
            deployment.skipped_reason = "CI check suite failed" if red else "No changes to watched files"
        if self.deliver is not None:
            self.webhooks.announce(deployment, at, copies=self.delivery_copies, event=event)
        if status == "SUCCESS" and deployment.live_at is None:
            deployment.live_at = at
            deployment.stopped = deployment.service.cron_schedule is not None
            if deployment.plan.exit_after is not None:
                deployment.exit_due = at + timedelta(seconds=deployment.plan.exit_after)
            self._retire_predecessors(deployment, at)

    def _due(self, deployment: Deployment, at: datetime) -> datetime | None:
        plan = deployment.plan
        if deployment.status == "QUEUED" and self.paused:
            return None
        if deployment.status in {"QUEUED", "BUILDING", "DEPLOYING", "REMOVING"}:
            return at + self.pace
        if deployment.status == "WAITING":
            return None if deployment.ci_passed is None else at
        seconds = plan.sleep_after if plan.crash_after is None else plan.crash_after
        return at + timedelta(seconds=seconds) if deployment.status == "SUCCESS" and seconds is not None else None

    def _retire_predecessors(self, new: Deployment, at: datetime) -> None:
        """Only now that the new one is live: what served before drains, and what never came that far is dropped."""
        older = self._deployments[: self._deployments.index(new)]
        for deployment in (d for d in older if d.service is new.service):
            if deployment.status in SERVING:
                new.previous_commit = deployment.commit_sha
                self._enter(deployment, "REMOVING", at)
            elif deployment.status in IN_PROGRESS:
                self._enter(deployment, "REMOVED", at)

    def _next_status(self, deployment: Deployment) -> str:
        plan = deployment.plan
        following = {
            "INITIALIZING": "SKIPPED" if plan.skipped else deployment.after("INITIALIZING"),
            "WAITING": deployment.after("WAITING") if deployment.ci_passed else "SKIPPED",
            "QUEUED": deployment.after("QUEUED"),
            "BUILDING": "FAILED" if plan.build == "fail" else "DEPLOYING",
            "DEPLOYING": "FAILED" if plan.start == "fail" else "SUCCESS",
            "SUCCESS": "SLEEPING" if plan.crash_after is None else "CRASHED",
            "REMOVING": "REMOVED",
        }[deployment.status]
        return "QUEUED" if following == "BUILDING" and self.paused else following
