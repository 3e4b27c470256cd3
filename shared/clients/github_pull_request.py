"""A pull request as the gate needs it: the GraphQL query, and what its answer means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from shared.clients.github_answers import PullRequestUnknown
from shared.errors import NotFound, Unavailable

QUERY = """
query ($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { databaseId pullRequest(number: $number) {
    number title url state isDraft merged mergedAt headRefOid baseRefName mergeable mergeStateStatus reviewDecision
    isMergeQueueEnabled isCrossRepository author { login } mergedBy { login } mergeCommit { oid }
    labels(first: 100) { nodes { name } }
    commits(last: 1) { nodes { commit { oid statusCheckRollup {
      contexts(first: 100, after: $after) { pageInfo { hasNextPage endCursor } nodes {
        __typename
        ... on CheckRun {
          name status conclusion startedAt detailsUrl isRequired(pullRequestNumber: $number)
          checkSuite { app { databaseId clientId } }
        }
        ... on StatusContext { context state targetUrl isRequired(pullRequestNumber: $number) }
      } }
    } } } }
  } }
}
"""

_PASSED = {"SUCCESS", "NEUTRAL", "SKIPPED"}
_UNFINISHED = {"PENDING", "EXPECTED"}
_GIVEN_UP = {"CANCELLED", "STALE"}


class CheckState(Struct, frozen=True, kw_only=True):
    """A check run or a commit status; success, neutral and skipped count as passed."""

    name: str
    state: Literal["pending", "passed", "failed"]
    required: bool
    app_id: int | None
    """The App that reports the check run; None for a commit status."""
    url: str | None


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
    labels: tuple[str, ...]
    """All: GitHub lets a pull request have a hundred."""
    merged_by: str | None = None

    def carries(self, label: str) -> bool:
        """GitHub does not tell labels apart by their case."""
        return label.casefold() in {one.casefold() for one in self.labels}


class _Login(Struct):
    login: str


class _Label(Struct):
    name: str


class _Labels(Struct):
    nodes: list[_Label] = []


class _Oid(Struct):
    oid: str


class _App(Struct, rename="camel"):
    database_id: int | None = None
    client_id: str | None = None


class _Suite(Struct):
    app: _App | None = None


class _CheckRun(Struct, rename="camel", tag="CheckRun", tag_field="__typename"):
    name: str
    status: str
    is_required: bool
    conclusion: str | None = None
    started_at: Annotated[datetime, Meta(tz=True)] | None = None
    details_url: str | None = None
    check_suite: _Suite | None = None

    @property
    def app(self) -> _App:
        return (self.check_suite and self.check_suite.app) or _App()


class _StatusContext(Struct, rename="camel", tag="StatusContext", tag_field="__typename"):
    context: str
    state: str
    is_required: bool
    target_url: str | None = None


class _PageInfo(Struct, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class _Contexts(Struct, rename="camel"):
    page_info: _PageInfo
    nodes: list[_CheckRun | _StatusContext | None]
    """None for one that GitHub does not show, or that cannot be read."""


class _Rollup(Struct):
    contexts: _Contexts


class _Commit(Struct, rename="camel"):
    oid: str
    status_check_rollup: _Rollup | None = None


class _CommitNode(Struct):
    commit: _Commit


class _Commits(Struct):
    nodes: list[_CommitNode | None]


class PullRequestPage(Struct, rename="camel"):
    """The pull request and at most a hundred of its checks."""

    number: int
    title: str
    url: str
    state: Literal["OPEN", "CLOSED", "MERGED"]
    is_draft: bool
    merged: bool
    head_ref_oid: str
    base_ref_name: str
    mergeable: Literal["MERGEABLE", "CONFLICTING", "UNKNOWN"]
    merge_state_status: str
    is_cross_repository: bool
    commits: _Commits
    review_decision: Literal["APPROVED", "CHANGES_REQUESTED", "REVIEW_REQUIRED"] | None = None
    is_merge_queue_enabled: bool = False
    author: _Login | None = None
    merged_by: _Login | None = None
    merge_commit: _Oid | None = None
    labels: _Labels | None = None

    @property
    def hides_its_commit(self) -> bool:
        """GitHub lists the head and does not show it: nothing is known of its checks."""
        return bool(self.commits.nodes) and self.commits.nodes[-1] is None

    def contexts(self) -> _Contexts | None:
        """The page of checks; None when nothing has reported yet.

        Raises Unavailable while GitHub still shows an earlier commit's checks, which say nothing about the head; once
        the pull request is closed or merged that does not matter any more.
        """
        if self.hides_its_commit:
            return None
        commit = self.commits.nodes[-1].commit if self.commits.nodes and self.commits.nodes[-1] else None
        if commit is None or commit.oid != self.head_ref_oid:
            if self.state != "OPEN":
                return None
            raise Unavailable(f"pull request {self.number}: its head {self.head_ref_oid} and its commits disagree")
        return commit.status_check_rollup.contexts if commit.status_check_rollup else None

    def reported(self) -> list[_CheckRun | _StatusContext | None]:
        contexts = self.contexts()
        return contexts.nodes if contexts else [None] * self.hides_its_commit

    def next_cursor(self) -> str | None:
        contexts = self.contexts()
        return contexts.page_info.end_cursor if contexts and contexts.page_info.has_next_page else None


class _Repository(Struct, rename="camel"):
    pull_request: PullRequestPage | None = None
    database_id: int | None = None


class _Data(Struct):
    repository: _Repository | None = None


class PullRequestAnswer(Struct):
    data: _Data = field(default_factory=_Data)

    @property
    def repository_id(self) -> int | None:
        """Which repository has answered."""
        return self.data.repository.database_id if self.data.repository else None

    def page(self) -> PullRequestPage:
        """Raises NotFound when the repository is null, PullRequestUnknown when the pull request is."""
        if self.data.repository is None:
            raise NotFound("graphql: no such repository", status=200)
        if self.data.repository.pull_request is None:
            raise PullRequestUnknown("graphql: no such pull request", status=200)
        return self.data.repository.pull_request


def assemble(pages: list[PullRequestPage], own_app: str) -> PullRequestState:
    """One state from all pages, without the check runs of `own_app`: the gate must not wait for itself.

    It is known by either of its ids, as GitHub takes both from it.
    Raises Unavailable when the head moved between two pages.
    """
    first = pages[0]
    if any(page.head_ref_oid != first.head_ref_oid for page in pages):
        raise Unavailable(f"pull request {first.number}: its head moved while its checks were read")
    nodes = [node for page in pages for node in page.reported() if not _is_own(node, own_app)]
    return PullRequestState(
        number=first.number,
        title=first.title,
        author=first.author.login if first.author else "ghost",  # GitHub's stand-in for a deleted account
        url=first.url,
        state="open" if first.state == "OPEN" else "closed",
        draft=first.is_draft,
        merged=first.merged,
        merged_by=first.merged_by.login if first.merged_by else None,
        merge_sha=first.merge_commit.oid if first.merged and first.merge_commit else None,
        head_sha=first.head_ref_oid,
        base=first.base_ref_name,
        mergeable=None if first.mergeable == "UNKNOWN" else first.mergeable == "MERGEABLE",
        merge_state=first.merge_state_status.lower(),
        review=_REVIEWS[first.review_decision] if first.review_decision else None,
        merge_queue=first.is_merge_queue_enabled,
        from_fork=first.is_cross_repository,
        labels=tuple(label.name for label in first.labels.nodes) if first.labels else (),
        checks=tuple(_checks(nodes)),
    )


_HIDDEN = CheckState(name="a check that cannot be read", state="pending", required=True, app_id=None, url=None)
"""Whatever it may be, it is not known to have passed."""
_REVIEWS: dict[str, Literal["approved", "changes_requested", "review_required"]] = {
    "APPROVED": "approved",
    "CHANGES_REQUESTED": "changes_requested",
    "REVIEW_REQUIRED": "review_required",
}


def _is_own(node: _CheckRun | _StatusContext | None, own_app: str) -> bool:
    return isinstance(node, _CheckRun) and own_app in {str(node.app.database_id), node.app.client_id}


def _checks(nodes: Sequence[_CheckRun | _StatusContext | None]) -> Iterable[CheckState]:
    runs = [node for node in nodes if isinstance(node, _CheckRun)]
    for node in nodes:
        if node is None:
            yield _HIDDEN
        elif not isinstance(node, _CheckRun):
            yield _status(node)
        elif not _superseded(node, runs):
            yield _check_run(node)


def _superseded(run: _CheckRun, runs: Sequence[_CheckRun]) -> bool:
    """Whether a newer run of the same App and name counts in its place.

    GitHub goes on listing what a workflow's `concurrency` cancelled, and what an earlier event started, beside the run
    that came after (github.com/cli/cli/issues/12895). Of a required check it judges the newest run, also when it
    merges. Of others two workflows may have one name, so that there only what was given up makes way.
    """
    return (run.is_required or run.conclusion in _GIVEN_UP) and any(_follows(other, run) for other in runs)


def _follows(other: _CheckRun, run: _CheckRun) -> bool:
    if (other.name, other.app) != (run.name, run.app) or other.started_at is None or run.started_at is None:
        return False
    return other.started_at > run.started_at


def _check_run(node: _CheckRun) -> CheckState:
    return CheckState(
        name=node.name,
        state=_state(node.conclusion or "FAILURE") if node.status == "COMPLETED" else "pending",
        required=node.is_required,
        app_id=node.app.database_id,
        url=node.details_url,
    )


def _status(node: _StatusContext) -> CheckState:
    return CheckState(
        name=node.context, state=_state(node.state), required=node.is_required, app_id=None, url=node.target_url
    )


def _state(result: str) -> Literal["pending", "passed", "failed"]:
    if result in _UNFINISHED:
        return "pending"
    return "passed" if result in _PASSED else "failed"
