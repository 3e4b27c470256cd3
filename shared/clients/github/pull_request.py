"""A pull request as the gate needs it: what the answer to the query in github_pull_request_query.py means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from shared.clients.github.suites import CheckSuites, state_of
from shared.core.observed import CheckState, PullRequestState
from shared.errors import NotFound, PullRequestUnknown, Unavailable

Time = Annotated[datetime, Meta(tz=True)]

UNREADABLE_CHECK = "a check that cannot be read"
_PASSED = {"SUCCESS", "NEUTRAL", "SKIPPED"}
_UNFINISHED = {"PENDING", "EXPECTED"}
_GIVEN_UP = {"CANCELLED", "STALE"}


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


class _Suite(Struct, rename="camel"):
    app: _App | None = None
    created_at: Time | None = None


class _CheckRun(Struct, rename="camel", tag="CheckRun", tag_field="__typename"):
    name: str
    status: str
    is_required: bool
    conclusion: str | None = None
    started_at: Time | None = None
    completed_at: Time | None = None
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
    created_at: Time | None = None


class _PageInfo(Struct, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class _Contexts(Struct, rename="camel"):
    page_info: _PageInfo
    nodes: list[_CheckRun | _StatusContext | None]
    """None for one that GitHub does not show, or that cannot be read."""


class _Rollup(Struct):
    contexts: _Contexts


class _Author(Struct):
    email: str | None = None

    def is_bot(self, login: str) -> bool:
        """By the address that GitHub gives to accounts without one of their own (docs: "Setting your commit email
        address"). Not by the name: people may call themselves whatever they like, and GitHub signs their merges too."""
        number, _, rest = (self.email or "").partition("+")
        return number.isdecimal() and rest == f"{login}@users.noreply.github.com"


class _Signature(Struct, rename="camel"):
    is_valid: bool = False
    was_signed_by_git_hub: bool = field(default=False, name="wasSignedByGitHub")


class _Parents(Struct):
    nodes: list[_Oid | None] = []


class _Commit(Struct, rename="camel"):
    oid: str
    status_check_rollup: _Rollup | None = None
    check_suites: CheckSuites | None = None
    author: _Author | None = None
    signature: _Signature | None = None
    parents: _Parents | None = None

    def update_of(self, by: str | None) -> str | None:
        """The commit that this merge brings up to date, if GitHub made and signed it in the name of `by`.

        GitHub merges the base into the head as its second parent (REST: "Update a pull request branch") and signs what
        it makes for a bot (docs: "About commit signature verification"), so no one else's push looks like it.
        """
        made_by_github = self.signature is not None and self.signature.is_valid and self.signature.was_signed_by_git_hub
        if by is None or self.author is None or not self.author.is_bot(by) or not made_by_github:
            return None
        parents = [parent.oid for parent in (self.parents.nodes if self.parents else []) if parent]
        return parents[0] if len(parents) == 2 else None


class _CommitNode(Struct):
    commit: _Commit


class _Commits(Struct):
    nodes: list[_CommitNode | None]


class _Review(Struct, rename="camel"):
    submitted_at: Time | None = None
    commit: _Oid | None = None


class _Reviews(Struct):
    nodes: list[_Review | None] = []


class _Turn(Struct, rename="camel"):
    created_at: Time | None = None


class _Turns(Struct):
    nodes: list[_Turn | None] = []


class PullRequestPage(Struct, rename="camel"):
    """The pull request, at most a hundred of its checks, and at most a hundred of its check suites."""

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
    merged_at: Time | None = None
    created_at: Time | None = None
    labels: _Labels | None = None
    reviews: _Reviews | None = None
    timeline_items: _Turns | None = None

    def head(self) -> _Commit | None:
        """The head commit; None where a closed pull request shows another one. Raises as `contexts` does."""
        if self.hides_its_commit:
            return None
        node = self.commits.nodes[-1] if self.commits.nodes else None
        commit = node.commit if node else None
        if commit is None or commit.oid != self.head_ref_oid:
            if self.state != "OPEN":
                return None
            raise Unavailable(f"pull request {self.number}: its head {self.head_ref_oid} and its commits disagree")
        return commit

    @property
    def hides_its_commit(self) -> bool:
        """GitHub lists the head and does not show it: nothing is known of its checks."""
        return bool(self.commits.nodes) and self.commits.nodes[-1] is None

    def contexts(self) -> _Contexts | None:
        """The page of checks; None when nothing has reported yet.

        Raises Unavailable while GitHub still shows an earlier commit's checks, which say nothing about the head; once
        the pull request is closed or merged that does not matter any more.
        """
        commit = self.head()
        return commit.status_check_rollup.contexts if commit and commit.status_check_rollup else None

    def reported(self) -> list[_CheckRun | _StatusContext | None]:
        contexts = self.contexts()
        return contexts.nodes if contexts else [None] * self.hides_its_commit

    def suites(self) -> CheckSuites:
        commit = self.head()
        return (commit and commit.check_suites) or CheckSuites()

    def cursors(self) -> tuple[str | None, str | None] | None:
        """Where the next page begins, of the checks and of the suites; None when this was the last of both."""
        contexts, suites = self.contexts(), self.suites()
        if not (contexts and contexts.page_info.has_next_page) and not suites.page_info.has_next_page:
            return None
        return contexts.page_info.end_cursor if contexts else None, suites.page_info.end_cursor


class _Repository(Struct, rename="camel"):
    pull_request: PullRequestPage | None = None
    database_id: int | None = None
    is_private: bool = False


class _Data(Struct):
    repository: _Repository | None = None
    viewer: _Login | None = None


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

    @property
    def public(self) -> bool:
        """Everybody can read what is written on its pull requests: so it counts where GitHub does not say."""
        return self.data.repository is None or not self.data.repository.is_private

    def asked_by(self) -> str | None:
        """Who we are to GitHub: the App's bot."""
        return self.data.viewer.login if self.data.viewer else None


def assemble(
    pages: list[PullRequestPage], own_app: str, own_bot: str | None = None, *, public: bool = True
) -> PullRequestState:
    """One state from all pages, without check runs and suites of `own_app`: the gate must not wait for itself.

    It is known by either of its ids, as GitHub takes both from it; `own_bot` is its login.
    Raises Unavailable when the head moved between two pages.
    """
    first = pages[0]
    if any(page.head_ref_oid != first.head_ref_oid for page in pages):
        raise Unavailable(f"pull request {first.number}: its head moved while its checks were read")
    nodes = [node for page in pages for node in page.reported() if not _is_own(node, own_app)]
    suites, head = [suite for page in pages for suite in page.suites().nodes], first.head()
    return PullRequestState(
        number=first.number,
        title=first.title,
        author=first.author.login if first.author else "ghost",  # GitHub's stand-in for a deleted account
        url=first.url,
        state="open" if first.state == "OPEN" else "closed",
        draft=first.is_draft,
        merged=first.merged,
        merged_by=first.merged_by.login if first.merged_by else None,
        merged_at=first.merged_at,
        merge_sha=first.merge_commit.oid if first.merged and first.merge_commit else None,
        head_sha=first.head_ref_oid,
        base=first.base_ref_name,
        mergeable=None if first.mergeable == "UNKNOWN" else first.mergeable == "MERGEABLE",
        merge_state=first.merge_state_status.lower(),
        review=_REVIEWS[first.review_decision] if first.review_decision else None,
        merge_queue=first.is_merge_queue_enabled,
        from_fork=first.is_cross_repository,
        public=public,
        labels=tuple(label.name for label in first.labels.nodes) if first.labels else (),
        checks=tuple(_checks(nodes)),
        suites=tuple(state_of(suite) for suite in suites if suite is None or not suite.is_of(own_app)),
        recorded_at=_recorded_at(first, nodes, [suite.created_at for suite in suites if suite]),
        own_update_of=head.update_of(own_bot) if head else None,
    )


def _recorded_at(
    page: PullRequestPage, nodes: Sequence[_CheckRun | _StatusContext | None], suites: Sequence[datetime | None]
) -> datetime | None:
    """Our own suite tells the time as well as any: GitHub opens it when the commit is pushed."""
    statuses = [node.created_at for node in nodes if isinstance(node, _StatusContext)]
    reviews = [one for one in (page.reviews.nodes if page.reviews else []) if one and one.commit]
    reviewed = [one.submitted_at for one in reviews if one.commit and one.commit.oid == page.head_ref_oid]
    records = [at for at in (*suites, *statuses, *reviewed) if at is not None]
    if not records:
        return None
    turns = [one.created_at for one in (page.timeline_items.nodes if page.timeline_items else []) if one]
    return max((min(records), *(at for at in (page.created_at, *turns) if at is not None)))


_HIDDEN = CheckState(name=UNREADABLE_CHECK, state="pending", required=True, app_id=None, url=None)
"""Whatever it may be, it is not known to have passed."""
_REVIEWS: dict[str, Literal["approved", "changes_requested", "review_required"]] = {
    "APPROVED": "approved",
    "CHANGES_REQUESTED": "changes_requested",
    "REVIEW_REQUIRED": "review_required",
}


def _is_own(node: _CheckRun | _StatusContext | None, own_app: str) -> bool:
    return isinstance(node, _CheckRun) and own_app in {str(node.app.database_id), node.app.client_id}


def _checks(nodes: Sequence[_CheckRun | _StatusContext | None]) -> Iterable[CheckState]:
    """One that GitHub lists without showing it is pending: it may be the one that matters."""
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
    ended = (node.conclusion or "FAILURE") if node.status == "COMPLETED" else None
    return CheckState(
        name=node.name,
        state=_state(ended) if ended else "pending",
        required=node.is_required,
        app_id=node.app.database_id,
        url=node.details_url,
        conclusion=ended.lower() if ended else None,
        known_at=node.check_suite.created_at if node.check_suite else None,
        ended_at=node.completed_at,
    )


def _status(node: _StatusContext) -> CheckState:
    state = _state(node.state)
    return CheckState(
        name=node.context,
        state=state,
        required=node.is_required,
        app_id=None,
        url=node.target_url,
        conclusion=None if state == "pending" else node.state.lower(),
        known_at=node.created_at,
    )


def _state(result: str) -> Literal["pending", "passed", "failed"]:
    if result in _UNFINISHED:
        return "pending"
    return "passed" if result in _PASSED else "failed"
