"""What the simulated GitHub keeps, and what it derives from it: repositories, pull requests, checks, deployments."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

PASSED = {"success", "neutral", "skipped"}
GITHUB_ACTIONS = 15368
"""The App id of GitHub Actions, which reports the checks unless another is named."""


class Ids:
    """Ids, commit hashes and delivery guids, the same in every run with the same calls."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1_000_001)

    def number(self) -> int:
        return next(self._numbers)

    def sha(self) -> str:
        return self._digest().hex()[:40]

    def guid(self) -> str:
        return str(uuid.UUID(bytes=self._digest()[:16], version=4))

    def _digest(self) -> bytes:
        return hashlib.sha256(str(self.number()).encode()).digest()


class Check(Struct, kw_only=True):
    """A check run of a commit, or a commit status when `app_id` is None. `conclusion` None: in progress."""

    id: int
    name: str
    conclusion: str | None
    required: bool
    app_id: int | None
    url: str
    started_at: datetime
    completed_at: datetime | None
    suite: int | None = None
    """The suite's id; None for a commit status."""


class Suite(Struct, kw_only=True):
    """What an App has announced of a commit: the checks that it reports, if it ever does."""

    id: int
    app_id: int
    workflow: str | None
    """Of GitHub Actions, which has a suite for each run of one."""
    created_at: datetime
    conclusion: str | None = None
    """Of one that ended without any check."""
    more: bool = False
    """Jobs are to come that are not listed yet."""

    def state(self, checks: list[Check]) -> tuple[str, str | None]:
        """Its status and conclusion, as GitHub derives them from the suite's checks."""
        conclusions = {check.conclusion for check in checks}
        if self.conclusion is not None:
            return "completed", self.conclusion
        if not checks:
            return "queued", None
        if self.more or None in conclusions:
            return "in_progress", None
        bad = sorted(one for one in conclusions if one and one not in PASSED)
        return "completed", bad[0] if bad else "success"


class Protection(Struct, frozen=True):
    """A branch's classic protection, which the rules of a branch do not show."""

    contexts: tuple[str, ...]


class Comment(Struct, kw_only=True):
    id: int
    pull: int
    author: str
    body: str
    by_app: bool
    created_at: datetime
    updated_at: datetime
    reactions: list[str] = field(default_factory=list)
    """Of our App."""


class Deployment(Struct, kw_only=True):
    id: int
    sha: str
    task: str
    environment: str
    description: str
    payload: Any
    created_at: datetime
    statuses: list[dict[str, Any]] = field(default_factory=list)


class Dispatch(Struct, frozen=True, kw_only=True):
    """A workflow that was started by hand."""

    run_id: int
    file: str
    ref: str
    inputs: dict[str, Any]


class Labelling(Struct, frozen=True, kw_only=True):
    """Somebody put a label on a pull request."""

    id: int
    label: str
    by: str
    at: datetime


class PullRequest(Struct, kw_only=True):
    id: int
    number: int
    title: str
    author: str
    branch: str
    base: str
    head_sha: str
    base_sha: str
    created_at: datetime
    updated_at: datetime
    draft: bool = False
    closed_at: datetime | None = None
    merge_sha: str | None = None
    merged_by: str | None = None
    conflicting: bool = False
    mergeable_known: bool = False
    base_moved: bool = False
    """Since it was read last, so that a merge is refused once."""
    in_merge_queue: bool = False
    from_fork: bool = False
    """Its branch is in a repository of its author, who may push there without anybody's leave."""
    files: tuple[str, ...] = ("src/app.py",)
    """What it changes."""
    locked: bool = False
    """Its conversation: no App may comment or react."""
    labels: list[str] = field(default_factory=lambda: ["enhancement"])
    labellings: list[Labelling] = field(default_factory=list)
    reviews: dict[str, str] = field(default_factory=dict)
    checks: dict[str, dict[str, Check]] = field(default_factory=dict)
    """By commit and name."""
    superseded: dict[str, list[Check]] = field(default_factory=dict)
    """By commit: earlier runs, which are listed still and judged no more."""
    suites: dict[str, list[Suite]] = field(default_factory=dict)
    """By commit, oldest first."""
    reviewed: list[tuple[str, datetime]] = field(default_factory=list)
    """At which commit each review was, and when."""
    turns: list[tuple[str, datetime]] = field(default_factory=list)
    """What lets workflows begin again without a new commit: the event's type in GraphQL, and when."""
    based_on: str = ""
    """The newest commit of the base that its branch contains."""
    updates: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Of each commit that brought the branch up to date: who asked for it, the head before, and the base's."""
    merging: int = 0
    """So many more attempts find another merge in progress."""

    @property
    def merged(self) -> bool:
        return self.merge_sha is not None

    @property
    def state(self) -> Literal["open", "closed"]:
        return "open" if self.closed_at is None else "closed"

    def head_checks(self) -> list[Check]:
        return list(self.checks.get(self.head_sha, {}).values())

    def listed_checks(self) -> list[Check]:
        return [*self.superseded.get(self.head_sha, []), *self.head_checks()]

    def head_suites(self) -> list[Suite]:
        return self.suites.get(self.head_sha, [])

    def checks_of(self, suite: Suite) -> list[Check]:
        return [check for check in self.listed_checks() if check.suite == suite.id]


class Repository(Struct, kw_only=True):
    id: int
    full_name: str
    default_branch: str
    collaborators: dict[str, str]
    branches: dict[str, str]
    created_at: datetime
    public: bool = False
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    deployments: list[Deployment] = field(default_factory=list)
    apps: list[int] = field(default_factory=list)
    """Apps that may write checks: GitHub opens a suite for each on every push, and some never report."""
    required_checks: dict[str, list[str]] = field(default_factory=dict)
    required_of: dict[str, int] = field(default_factory=dict)
    """The App that a required check has to be of, by its name."""
    protected: dict[str, Protection] = field(default_factory=dict)
    strict: set[str] = field(default_factory=set)
    """Branches whose rules ask for pull requests that are up to date."""
    review_branches: set[str] = field(default_factory=set)
    merge_queues: set[str] = field(default_factory=set)
    workflows: set[str] = field(default_factory=set)
    """Files that have `workflow_dispatch`."""
    dispatched: list[Dispatch] = field(default_factory=list)
    parents: dict[str, str] = field(default_factory=dict)
    """Of each commit, as far as anybody asks: a branch's first has none."""

    def history(self, sha: str) -> list[str]:
        """The commit and those before it, newest first."""
        line = [sha]
        while line[-1] in self.parents:
            line.append(self.parents[line[-1]])
        return line

    def knows(self, sha: str) -> bool:
        return sha in self.parents or sha in self.parents.values() or sha in self.branches.values()

    def compare(self, base: str, head: str) -> Literal["ahead", "behind", "diverged", "identical"]:
        """What GitHub says of `head` seen from `base`."""
        if base == head:
            return "identical"
        if base in self.history(head):
            return "ahead"
        return "behind" if head in self.history(base) else "diverged"

    @property
    def owner(self) -> str:
        return self.full_name.partition("/")[0]

    @property
    def name(self) -> str:
        return self.full_name.partition("/")[2]

    def is_required(self, pull: PullRequest, check: Check) -> bool:
        by_rule = check.name in self._required(pull) and self.required_of.get(check.name) in (None, check.app_id)
        return check.required or by_rule

    def _required(self, pull: PullRequest) -> list[str]:
        protection = self.protected.get(pull.base)
        return [*self.required_checks.get(pull.base, []), *(protection.contexts if protection else ())]

    def is_behind(self, pull: PullRequest) -> bool:
        return pull.base in self.strict and pull.based_on != self.branches[pull.base]

    def review_decision(self, pull: PullRequest) -> str | None:
        if pull.base not in self.review_branches:
            return None
        states = set(pull.reviews.values())
        if "changes_requested" in states:
            return "CHANGES_REQUESTED"
        return "APPROVED" if "approved" in states else "REVIEW_REQUIRED"

    def unmet_rules(self, pull: PullRequest) -> list[str]:
        """Why a rule forbids the merge, in GitHub's words; empty when none does."""
        required = [check.name for check in pull.head_checks() if check.required]
        unmet = self._unmet_checks(pull, [*self.required_checks.get(pull.base, []), *required])
        if self.is_behind(pull):
            unmet.append("Head branch must be up to date with the base branch.")
        if self.review_decision(pull) not in {None, "APPROVED"}:
            unmet.append("At least 1 approving review is required by reviewers with write access.")
        if pull.base in self.merge_queues:
            unmet.append("Changes must be made through the merge queue")
        return unmet

    def _unmet_checks(self, pull: PullRequest, names: list[str]) -> list[str]:
        checks = {check.name: check for check in pull.head_checks() if self.is_required(pull, check)}
        unmet = []
        for name in dict.fromkeys(names):
            check = checks.get(name)
            if check is None or check.conclusion is None:
                unmet.append(f'Required status check "{name}" is expected.')
            elif check.conclusion not in PASSED:
                unmet.append(f'Required status check "{name}" is failing.')
        return unmet

    def unmet_protection(self, pull: PullRequest) -> list[str]:
        """The same of the branch's classic protection."""
        protection = self.protected.get(pull.base)
        return self._unmet_checks(pull, list(protection.contexts)) if protection else []

    def mergeable(self, pull: PullRequest) -> str:
        if not pull.mergeable_known or pull.state == "closed":
            return "UNKNOWN"
        return "CONFLICTING" if pull.conflicting else "MERGEABLE"

    def merge_state(self, pull: PullRequest) -> str:
        if self.mergeable(pull) == "UNKNOWN":
            return "UNKNOWN"
        if pull.conflicting:
            return "DIRTY"
        unmet = [*self.unmet_rules(pull), *self.unmet_protection(pull)]
        if self.is_behind(pull) and len(unmet) == 1:
            return "BEHIND"
        if pull.draft or unmet:
            return "BLOCKED"
        unstable = any(check.conclusion not in PASSED for check in pull.head_checks())
        return "UNSTABLE" if unstable else "CLEAN"

    def refusal(self, pull: PullRequest) -> str | None:
        """GitHub's message for a merge it answers with 405, None when it would merge."""
        if pull.state == "closed":
            return "Pull Request is not mergeable" if pull.merged else "Pull Request is closed"
        if pull.draft:
            return "Pull Request is still a draft"
        if pull.conflicting:
            return "Pull Request is not mergeable"
        if unmet := self.unmet_rules(pull):
            return "Repository rule violations found\n\n" + "\n\n".join(unmet)
        if unmet := self.unmet_protection(pull):
            return unmet[0] if len(unmet) == 1 else f"{len(unmet)} of {len(unmet)} required status checks are expected."
        if pull.merging:
            return "Merge already in progress"
        return None
