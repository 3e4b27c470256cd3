"""The simulated GitHub: repositories and pull requests in memory, GitHub's API in front, webhooks behind."""

from __future__ import annotations

import random
from collections.abc import Callable

from local.world import github_events as events
from local.world.faults import Faulty
from local.world.github_access import Access
from local.world.github_api import Api
from local.world.github_hooks import Deliver, Webhooks
from local.world.github_limits import Limits
from local.world.github_manifests import Manifests
from local.world.github_model import (
    GITHUB_ACTIONS,
    Check,
    Comment,
    Deployment,
    Dispatch,
    Ids,
    Labelling,
    PullRequest,
    Repository,
)
from local.world.github_payloads import Shared, app, steady_id
from shared.ports import Clock

MergeHook = Callable[[str, str, str], None]
"""Called with repository, merge commit and branch when something is merged."""


class NotMergeable(Exception):
    """In GitHub's words."""


class GitHubWorld:
    """GitHub as a scenario sees it: each method is something a person or a CI system does there.

    `app` answers the API. Nothing is delivered before `tick`. Repository names are `owner/name`.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        webhook_secret: str,
        app_id: str = "123456",
        app_slug: str = "signalbox-demo",
        public_key_pem: str | None = None,
        deliver: Deliver | None = None,
    ) -> None:
        self.clock = clock
        self.app_id = app_id
        self.app_slug = app_slug
        self.ids = Ids()
        self.repositories: dict[str, Repository] = {}
        self.moved: dict[str, int] = {}
        """Ids by names that repositories had once; a new one of that name ends it."""
        self.webhooks = Webhooks(clock=clock, ids=self.ids, secret=webhook_secret, app_id=app_id, deliver=deliver)
        self.merges: list[tuple[str, int, str]] = []
        self.reactions: list[tuple[str, int, str]] = []
        self.on_merge: list[MergeHook] = []
        self.delivery_copies = 1
        self.shuffle: random.Random | None = None
        self.access = Access(
            clock=clock,
            ids=self.ids,
            app_id=app_id,
            public_key_pem=public_key_pem,
            repositories=self.repositories,
            moved=self.moved,
        )
        self.limits = Limits(clock)
        self.manifests = Manifests(clock=clock, ids=self.ids)
        self.app = Faulty(Api(self).starlette)

    @property
    def bot(self) -> str:
        return f"{self.app_slug}[bot]"

    @property
    def own_app(self) -> Shared:
        numeric = int(self.app_id) if self.app_id.isdigit() else steady_id(self.app_id)
        return app(numeric, self.app_slug, "signalbox")

    async def tick(self) -> None:
        """Deliver the webhooks queued so far, each `delivery_copies` times, in `shuffle`d order when that is given.

        A delivery that fails is recorded and not repeated, as on GitHub.
        """
        await self.webhooks.tick(copies=self.delivery_copies, shuffle=self.shuffle)

    def revoke_tokens(self) -> None:
        """All installation tokens stop working before their time."""
        self.access.tokens.clear()

    # Repositories and their rules

    def add_repository(self, name: str, *, default_branch: str = "main", collaborators: dict[str, str]) -> None:
        """`collaborators`: `admin`, `write`, `read` or `none` by login."""
        id, taken = steady_id(f"repository {name}"), {repo.id for repo in self.repositories.values()}
        self.moved.pop(name.lower(), None)
        self.repositories[name.lower()] = Repository(
            id=self.ids.number() if id in taken else id,
            full_name=name,
            default_branch=default_branch,
            collaborators=collaborators,
            branches={default_branch: self.ids.sha()},
            created_at=self.clock.now(),
        )

    def repository(self, name: str) -> Repository:
        """Also by a name that it had once."""
        found = self.access.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def rename(self, repository: str, to: str, by: str) -> None:
        """Another name, or another owner: then it is transferred."""
        repo = self.repository(repository)
        owner, name = repo.owner, repo.name
        self.moved[repo.full_name.lower()] = repo.id
        del self.repositories[repo.full_name.lower()]
        self.moved.pop(to.lower(), None)
        repo.full_name = to
        self.repositories[to.lower()] = repo
        content = events.transferred_event(owner) if repo.owner != owner else events.renamed_event(name)
        self.webhooks.enqueue("repository", content, repo, by)

    def require_checks(self, repository: str, branch: str, contexts: list[str]) -> None:
        self.repository(repository).required_checks[branch] = list(contexts)

    def require_review(self, repository: str, branch: str) -> None:
        self.repository(repository).review_branches.add(branch)

    def require_merge_queue(self, repository: str, branch: str) -> None:
        self.repository(repository).merge_queues.add(branch)

    # Workflows

    def add_workflow(self, repository: str, file: str) -> None:
        """On the default branch, with `workflow_dispatch`."""
        self.repository(repository).workflows.add(file)

    def dispatch(self, repository: str, file: str, ref: str, inputs: dict[str, str]) -> int:
        run = Dispatch(run_id=self.ids.number(), file=file, ref=ref, inputs=inputs)
        self.repository(repository).dispatched.append(run)
        return run.run_id

    # Pull requests

    def pull(self, repository: str, number: int) -> PullRequest:
        return self.repository(repository).pulls[number]

    def open_pull_request(
        self,
        repository: str,
        *,
        title: str,
        author: str,
        branch: str = "feature",
        base: str = "main",
        draft: bool = False,
        head_sha: str | None = None,
        from_fork: bool = False,
    ) -> int:
        """With one commit, unless the branch has one already: `head_sha`."""
        repo, now = self.repository(repository), self.clock.now()
        number = len(repo.pulls) + 1
        if head_sha is None:
            repo.branches[branch] = self.ids.sha()
            repo.parents[repo.branches[branch]] = repo.branches[base]
        pull = repo.pulls[number] = PullRequest(
            id=self.ids.number(),
            number=number,
            title=title,
            author=author,
            branch=branch,
            base=base,
            head_sha=repo.branches[branch],
            base_sha=repo.branches[base],
            created_at=now,
            updated_at=now,
            draft=draft,
            from_fork=from_fork,
        )
        self.webhooks.enqueue("pull_request", events.pull_request_event("opened", repo, pull), repo, author)
        return number

    def push(self, repository: str, number: int) -> str:
        """A new commit on the pull request's branch."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        before, after = pull.head_sha, self.ids.sha()
        pull.head_sha = repo.branches[pull.branch] = after
        repo.parents[after] = before
        pull.mergeable_known, pull.updated_at = False, self.clock.now()
        pushed = events.push_event(repo, pull.branch, before, events.commit(after, pull), pull.author)
        self.webhooks.enqueue("push", pushed, repo, pull.author)
        content = events.pull_request_event("synchronize", repo, pull, before=before, after=after)
        self.webhooks.enqueue("pull_request", content, repo, pull.author)
        return after

    def commit(self, repository: str, branch: str, by: str) -> str:
        """Somebody pushes to a branch that is no pull request's; one that does not exist comes off the default one."""
        repo = self.repository(repository)
        before, after = repo.branches.get(branch, repo.branches[repo.default_branch]), self.ids.sha()
        repo.branches[branch] = after
        repo.parents[after] = before
        self._base_moves(repo, branch)
        written = events.written(after, "What changes, and why.", by, self.clock.now())
        self.webhooks.enqueue("push", events.push_event(repo, branch, before, written, by), repo, by)
        return after

    def _base_moves(self, repo: Repository, branch: str) -> None:
        """Mergeability has to be computed anew; who merges before that hears of it."""
        for pull in repo.pulls.values():
            if pull.base == branch:
                pull.mergeable_known, pull.base_moved = False, True

    def set_conflict(self, repository: str, number: int, conflicting: bool = True) -> None:
        pull = self.pull(repository, number)
        pull.conflicting, pull.mergeable_known = conflicting, False

    def set_draft(self, repository: str, number: int, draft: bool = True) -> None:
        self.pull(repository, number).draft = draft

    def set_base(self, repository: str, number: int, base: str, by: str) -> None:
        """It is to be merged into another branch."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        before = {"ref": {"from": pull.base}, "sha": {"from": pull.base_sha}}
        pull.base, pull.base_sha, pull.updated_at = base, repo.branches[base], self.clock.now()
        pull.mergeable_known = False
        content = events.pull_request_event("edited", repo, pull) | {"changes": {"base": before}}
        self.webhooks.enqueue("pull_request", content, repo, by)

    def mark_ready(self, repository: str, number: int) -> None:
        """No draft any more."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        pull.draft, pull.updated_at = False, self.clock.now()
        content = events.pull_request_event("ready_for_review", repo, pull)
        self.webhooks.enqueue("pull_request", content, repo, pull.author)

    def label(self, repository: str, number: int, name: str, by: str) -> None:
        """Put a label on it; GitHub sends `labeled` too for each that a pull request is opened with."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        if name in pull.labels:
            return
        pull.labels.append(name)
        pull.labellings.append(Labelling(id=self.ids.number(), label=name, by=by, at=self.clock.now()))
        pull.updated_at = self.clock.now()
        self.webhooks.enqueue("pull_request", events.label_event("labeled", repo, pull, name), repo, by)

    def unlabel(self, repository: str, number: int, name: str, by: str) -> None:
        repo, pull = self.repository(repository), self.pull(repository, number)
        pull.labels.remove(name)
        pull.updated_at = self.clock.now()
        self.webhooks.enqueue("pull_request", events.label_event("unlabeled", repo, pull, name), repo, by)

    def close(self, repository: str, number: int) -> None:
        """Closed without a merge, by its author."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        pull.closed_at = pull.updated_at = self.clock.now()
        self.webhooks.enqueue("pull_request", events.pull_request_event("closed", repo, pull), repo, pull.author)

    def merge(self, repository: str, number: int, by: str) -> str:
        """Squash-merge, whatever the rules say; returns the merge commit, which is not the head.

        Other pull requests into the same branch have their mergeability computed anew. Raises NotMergeable for one that
        is closed or merged.
        """
        repo, pull = self.repository(repository), self.pull(repository, number)
        if pull.state == "closed":
            raise NotMergeable(repo.refusal(pull))
        before, merged = repo.branches[pull.base], self.ids.sha()
        pull.merge_sha, pull.merged_by = merged, by
        pull.closed_at = pull.updated_at = self.clock.now()
        repo.branches[pull.base] = merged
        repo.parents[merged] = before
        self._base_moves(repo, pull.base)
        self.merges.append((repo.full_name, number, merged))
        self.webhooks.enqueue("pull_request", events.pull_request_event("closed", repo, pull), repo, by)
        pushed = events.push_event(repo, pull.base, before, events.commit(merged, pull), by)
        self.webhooks.enqueue("push", pushed, repo, by)
        for hook in self.on_merge:
            hook(repo.full_name, merged, pull.base)
        return merged

    # Checks and reviews

    def report_check(
        self,
        repository: str,
        number: int,
        name: str,
        conclusion: str | None,
        required: bool = False,
        app_id: int = GITHUB_ACTIONS,
    ) -> None:
        """A check run of the head, concluded or (None) in progress; the suite completes with its last run."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        check = self._report(pull, name, conclusion, required, app_id)
        if conclusion is None:
            return
        self.webhooks.enqueue("check_run", events.check_run_event(repo, pull, check), repo, pull.author)
        if all(each.conclusion for each in pull.head_checks() if each.app_id == app_id):
            self.webhooks.enqueue("check_suite", events.check_suite_event(repo, pull, check), repo, pull.author)

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

    def _report(self, pull: PullRequest, name: str, conclusion: str | None, required: bool, app: int | None) -> Check:
        now = self.clock.now()
        check = Check(
            id=self.ids.number(),
            name=name,
            conclusion=conclusion,
            required=required,
            app_id=app,
            url=f"https://ci.example/{pull.head_sha[:12]}/{name.replace(' ', '-')}",
            started_at=now,
            completed_at=now if conclusion else None,
        )
        pull.checks.setdefault(pull.head_sha, {})[name] = check
        return check

    def review(self, repository: str, number: int, state: str, author: str) -> None:
        """`approved` or `changes_requested`; a person's later review replaces the earlier."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        pull.reviews[author], pull.updated_at = state, self.clock.now()
        content = events.review_event(repo, pull, self.ids.number(), author, state)
        self.webhooks.enqueue("pull_request_review", content, repo, author)

    # Comments

    def comment(self, repository: str, number: int, body: str, author: str, *, by_app: bool = False) -> int:
        """Write a comment and return its id; `by_app`: through the API, by our App's bot."""
        repo, now = self.repository(repository), self.clock.now()
        said = Comment(
            id=self.ids.number(),
            pull=number,
            author=author,
            body=body,
            by_app=by_app,
            created_at=now,
            updated_at=now,
        )
        repo.comments[said.id] = said
        self.webhooks.enqueue("issue_comment", events.comment_event(repo, said, self.own_app), repo, author)
        return said.id

    def lock_conversation(self, repository: str, number: int, locked: bool = True) -> None:
        """Only people who may write can comment, and nobody can react (docs: "Locking conversations")."""
        self.pull(repository, number).locked = locked

    def edit_comment(self, repository: str, comment_id: int, body: str, by: str) -> None:
        repo = self.repository(repository)
        said = repo.comments[comment_id]
        before, said.body, said.updated_at = said.body, body, self.clock.now()
        content = events.comment_event(repo, said, self.own_app, before=before)
        self.webhooks.enqueue("issue_comment", content, repo, by)

    def comments(self, repository: str, number: int) -> list[str]:
        """The texts, oldest first."""
        return [said.body for said in self.repository(repository).comments.values() if said.pull == number]

    def deployments(self, repository: str) -> list[Deployment]:
        """Oldest first; the newest status of each is the last."""
        return self.repository(repository).deployments
