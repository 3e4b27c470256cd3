"""What was seen of GitHub, Railway and the service: the vendors' clients return it, and what decides is given it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from shared.core.policy import Policy
from shared.core.run import Verdict


class SuiteState(Struct, frozen=True, kw_only=True):
    app: str
    """The name of its App; `slug` is the one in addresses."""
    slug: str | None
    status: str
    """GitHub's CheckStatusState in lower case: queued, in_progress, completed, waiting, requested, pending; or unknown,
    where GitHub lists a suite and does not show it."""
    conclusion: str | None = None
    check_runs: int = 0
    created_at: datetime | None = None


class CheckState(Struct, frozen=True, kw_only=True):
    """A check run or a commit status; success, neutral and skipped count as passed."""

    name: str
    state: Literal["pending", "passed", "failed"]
    required: bool
    app_id: int | None
    """The App that reports the check run; None for a commit status."""
    url: str | None
    conclusion: str | None = None
    """GitHub's word for how it ended, such as `failure`, `cancelled`, `action_required`; None until then."""
    known_at: datetime | None = None
    """When GitHub recorded it: its check suite, or the latest commit status of that name."""
    ended_at: datetime | None = None
    """As its App says; None for a commit status."""


class PullRequestState(Struct, frozen=True, kw_only=True):
    """A pull request at one moment, with the checks of its head. A required check that never reported is not in it."""

    number: int
    title: str
    author: str
    url: str
    state: Literal["open", "closed"]
    draft: bool
    merged: bool
    merge_sha: str | None
    """The commit on the base branch, once merged; with squash and rebase another one than the head."""
    head_sha: str
    base: str
    mergeable: bool | None
    """None while GitHub computes it: ask again after some seconds."""
    merge_state: str
    """GitHub's MergeStateStatus in lower case: behind, blocked, clean, dirty, draft, has_hooks, unknown, unstable."""
    review: Literal["approved", "changes_requested", "review_required"] | None
    """None where no rule asks for reviews."""
    merge_queue: bool
    checks: tuple[CheckState, ...]
    from_fork: bool
    """Whoever pushes to it may have no rights in the repository."""
    public: bool
    """Everybody can read the repository, and so the comments on the pull request."""
    labels: tuple[str, ...]
    """All: GitHub lets a pull request have a hundred."""
    merged_by: str | None = None
    merged_at: datetime | None = None
    suites: tuple[SuiteState, ...] = ()
    """The check suites of the head, but for our own."""
    recorded_at: datetime | None = None
    """Since when CI may have known of this head, by GitHub's clock: the earliest suite, status or review of the commit,
    or what came later and lets CI begin again (the pull request was opened or reopened, marked as ready, sent to
    another base; its branch was forced to this commit). None while nothing is recorded of the commit. The times in the
    commit itself are not checked: whoever wrote it chose them."""
    own_update_of: str | None = None
    """The head before, where this one is GitHub's merge of the base into it that we requested (`update_branch`)."""

    def carries(self, label: str) -> bool:
        """GitHub does not tell labels apart by their case."""
        return label.casefold() in {one.casefold() for one in self.labels}


HIDDEN_RULE = "a rule that cannot be read"
"""In the place of the check that it may demand."""


class RequiredCheck(Struct, frozen=True):
    """A check that has to pass; `app_id`: reported by this App, whichever when it is None."""

    context: str
    app_id: int | None = None


class Labelling(Struct, frozen=True):
    """That a user set the label. `id` is another one each time that it is set."""

    id: str
    actor: str
    by_person: bool
    at: datetime


_IN_PROGRESS = {"INITIALIZING", "QUEUED", "WAITING", "NEEDS_APPROVAL", "BUILDING", "DEPLOYING"}


_LIVE = {"SUCCESS", "SLEEPING"}


_FAILED = {"FAILED", "CRASHED"}


_GONE = {"REMOVING", "REMOVED"}


KNOWN_STATUSES = _IN_PROGRESS | _LIVE | _FAILED | _GONE | {"SKIPPED"}


def is_in_progress(status: str) -> bool:
    """Of a deployment: not final, so that it may go live yet. A status that we do not know counts as such."""
    return status in _IN_PROGRESS or status not in KNOWN_STATUSES


_PAUSED = {"NEEDS_APPROVAL", "WAITING", "QUEUED"}


_WATCHED_FILES = "watched files"
"""Railway's own words: "No changes to watched files"; the other known ones are "CI check suite failed"."""


class DeploymentState(Struct, frozen=True, kw_only=True):
    """A deployment as Railway describes it now. A commit has any number of them: its hash is not a key."""

    id: str
    status: str
    created_at: datetime
    commit_sha: str | None = None
    url: str | None = None
    can_rollback: bool = False
    can_redeploy: bool = False
    stopped: bool = False
    """All its instances have ended, by Railway's word or by their own statuses (DeploymentInstanceStatus).

    Together with SUCCESS: the process ended with code 0, which a service that runs by a schedule does after each tick.
    """
    skipped_reason: str | None = None
    """Why Railway skipped it, in Railway's words, as far as it says so."""
    image: str | None = None
    migrates: bool = False
    """It ran a preDeployCommand, which a rollback does not undo."""
    running_instances: int = 0
    health_check: str | None = None
    """The path that Railway checks before the deployment goes live; empty for none, None where Railway does not say."""
    config_file: str | None = None
    """The railway.json or railway.toml that configured it."""
    file_settings: tuple[str, ...] = ()
    """What that file sets, as far as Railway says, such as `deploy.healthcheckPath`."""

    @property
    def in_progress(self) -> bool:
        """Not final. A status that we do not know counts as such: the stage's deadline decides."""
        return is_in_progress(self.status)

    @property
    def live(self) -> bool:
        """It serves, or does at the next request (SLEEPING). It may still turn into CRASHED."""
        return self.status in _LIVE

    @property
    def ended(self) -> bool:
        """Railway calls it live, and no process of it runs; one that sleeps is begun by the next request."""
        return self.status == "SUCCESS" and self.stopped

    @property
    def serves(self) -> bool:
        """It answers, or does at the next request: live, and its process has not ended."""
        return self.live and not self.ended

    @property
    def paused(self) -> bool:
        """Railway does not go on with it: it waits for a person's approval, for CI, or for builds that are paused.

        How long that takes no one knows (docs.railway.com: deployments, "Deployments paused - limited access").
        """
        return self.status in _PAUSED

    @property
    def failed(self) -> bool:
        """FAILED (never went live, the previous deployment still serves) or CRASHED (after it went live)."""
        return self.status in _FAILED

    @property
    def crashed(self) -> bool:
        return self.status == "CRASHED"

    @property
    def skipped(self) -> bool:
        """Not built: its checks failed, or no watched path changed."""
        return self.status == "SKIPPED"

    @property
    def untouched(self) -> bool:
        """Skipped because no file that the service watches has changed: there was nothing to deploy."""
        return self.skipped and _WATCHED_FILES in (self.skipped_reason or "").lower()

    @property
    def gone(self) -> bool:
        """Replaced, cancelled or removed by hand. While REMOVING it may still serve."""
        return self.status in _GONE


class ServiceState(Struct, frozen=True, kw_only=True):
    """A service in one environment: what serves it and where; `host` is None for a private service."""

    active: tuple[DeploymentState, ...]
    """What runs now, in Railway's order: the predecessor stays among them, REMOVING, until it has drained."""
    latest_id: str | None
    host: str | None
    """A custom domain that certainly leads here, else Railway's own; None where there is neither."""
    unused_domains: dict[str, str] = {}
    """Custom domains that may lead elsewhere, and why that is thought."""
    healthcheck_path: str | None
    """By the service's own settings. A config file comes before them and never changes them."""
    image: str | None
    repository: str | None
    on_its_way: bool = False
    """The latest deployment is being built or started, and waits for no one."""
    may_go_live: bool = False
    """The latest deployment is not final: it is on its way, or waits for people, for CI, or for a builder."""
    overlap_seconds: int | None = None
    """For how long the predecessor goes on serving; None when the service does not say."""
    cron_schedule: str | None = None
    """The process is begun by this schedule and ends by itself (docs.railway.com: cron jobs)."""
    sleeps: bool = False
    """It is put to sleep when idle, and each request wakes it (docs.railway.com: serverless)."""
    watch_patterns: tuple[str, ...] = ()
    """What a push has to change to be deployed, in the form of .gitignore; anything where there are none."""

    @property
    def left_alone(self) -> str | None:
        """Why no one should check its health again and again; None where that does no harm and says something."""
        if self.cron_schedule:
            return f"it runs by its schedule {self.cron_schedule}"
        asleep = any(one.status == "SLEEPING" for one in self.active)
        return "it sleeps when idle, and a check would wake it" if self.sleeps or asleep else None

    def stands(self, deployment: DeploymentState) -> bool:
        """Whether it is live as it should be: a process that has ended is right only between a schedule's ticks."""
        return deployment.serves or (deployment.live and bool(self.cron_schedule))


class Answer(Struct, frozen=True, kw_only=True):
    """What one look saw; `detail` says it in words for people.

    `reached` is False when no connection came about, or was not tried: that says nothing about the application, since
    Railway's edge always answers. Then `status` is None, as it is for a connection that brought no HTTP answer.
    `by_edge`: Railway's edge answered by itself, so that no one has heard from the application.
    """

    reached: bool
    status: int | None = None
    by_edge: bool = False
    healthy: bool = False
    commit: str | None = None
    detail: str
    url: str = ""
    """What was asked, for people, where whoever looked says so: without a query, which may hold a secret."""

    @property
    def said(self) -> str:
        """The detail, with the address that it came from; last, as GitHub shows no more than 140 characters."""
        return f"{self.detail}, at {self.url}" if self.url else self.detail

    @property
    def by_application(self) -> bool:
        """The application itself answered, whatever it said."""
        return self.status is not None and not self.by_edge

    def verdict(self, *, answered_before: bool) -> Verdict:
        """What this look means for the health of a version: the one judgement, wherever health is judged.

        No connection says nothing. Nor does an answer of the edge's own, as long as the application may still be
        starting; once it has answered, it means that the application is gone.
        """
        if not self.reached or (self.by_edge and not answered_before):
            return Verdict.INCONCLUSIVE
        return Verdict.PASS if self.healthy else Verdict.FAIL


def asked_by_label(pull: PullRequestState, policy: Policy) -> bool:
    """Whether the pull request carries the label that asks for its deployment."""
    return policy.deploy_label is not None and pull.carries(policy.deploy_label)


def is_same_head(head_sha: str, pull: PullRequestState) -> bool:
    """Whether the pull request is at this head, or at what we made GitHub bring up to date from it."""
    return head_sha in (pull.head_sha, pull.own_update_of)
