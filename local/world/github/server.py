"""The simulated GitHub: repositories and pull requests in memory, GitHub's API in front, webhooks behind."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from local.world.faults import Faulty
from local.world.github import events
from local.world.github.access import Access
from local.world.github.api import Api
from local.world.github.ci import Reporting
from local.world.github.hooks import Deliver, Webhooks
from local.world.github.limits import Limits
from local.world.github.manifests import Manifests
from local.world.github.model import Comment, Deployment, Dispatch, Ids, Labelling, Protection, PullRequest, Repository
from local.world.github.payloads import Shared, app, steady_id
from shared.runtime.ports import Clock

MergeHook = Callable[[str, str, str], None]
"""Called with repository, merge commit and branch when something is merged."""


class NotMergeable(Exception):
    """In GitHub's words."""


class GitHubWorld(Reporting):
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
        self.on_update: list[Callable[[str, int], None]] = []
        """Called with repository and number when a branch was brought up to date."""
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
        self.app = Faulty(Api(self).handle)

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

    def add_repository(self, name: str, *, default_branch: str = "main", collaborators: Mapping[str, str]) -> None:
        """`collaborators`: `admin`, `write`, `read` or `none` by login."""
        id, taken = steady_id(f"repository {name}"), {repo.id for repo in self.repositories.values()}
        self.moved.pop(name.lower(), None)
        self.repositories[name.lower()] = Repository(
            id=self.ids.number() if id in taken else id,
            full_name=name,
            default_branch=default_branch,
            collaborators=dict(collaborators),
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

    def require_checks(
        self, repository: str, branch: str, contexts: list[str], *, app_id: int | None = None, strict: bool = False
    ) -> None:
        """By a ruleset. `app_id`: of this App alone; `strict`: on a branch that is up to date."""
        repo = self.repository(repository)
        repo.required_checks[branch] = list(contexts)
        repo.required_of |= {context: app_id for context in contexts if app_id is not None}
        if strict:
            repo.strict.add(branch)

    def protect(self, repository: str, branch: str, contexts: list[str]) -> None:
        """Classic branch protection, which the rules of the branch do not show."""
        self.repository(repository).protected[branch] = Protection(tuple(contexts))

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
        files: tuple[str, ...] = ("src/app.py",),
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
            files=files,
            based_on=repo.branches[base],
        )
        self._announce(repo, pull)
        self.webhooks.enqueue("pull_request", events.pull_request_event("opened", repo, pull), repo, author)
        return number

    def push(self, repository: str, number: int) -> str:
        """A new commit on the pull request's branch."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        after = self.ids.sha()
        repo.parents[after] = pull.head_sha
        return self._head_moves(repo, pull, after, pull.author)

    def force_push(self, repository: str, number: int, sha: str) -> None:
        """The branch goes to a commit that GitHub knows already, with all that was reported of it."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        pull.turns.append(("HeadRefForcePushedEvent", self.clock.now()))
        self._head_moves(repo, pull, sha, pull.author)

    def update_branch(self, repository: str, number: int, by: str) -> str:
        """GitHub merges the base into the pull request's branch, as its button does."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        after, pull.based_on = self.ids.sha(), repo.branches[pull.base]
        pull.updates[after] = (by, pull.head_sha, pull.based_on)
        repo.parents[after] = pull.head_sha
        self._head_moves(repo, pull, after, by)
        for hook in self.on_update:
            hook(repo.full_name, number)
        return after

    def _head_moves(self, repo: Repository, pull: PullRequest, after: str, by: str) -> str:
        before = pull.head_sha
        pull.head_sha = repo.branches[pull.branch] = after
        pull.mergeable_known, pull.updated_at = False, self.clock.now()
        self._announce(repo, pull)
        pushed = events.push_event(repo, pull.branch, before, events.commit(after, pull), by)
        self.webhooks.enqueue("push", pushed, repo, by)
        content = events.pull_request_event("synchronize", repo, pull, before=before, after=after)
        self.webhooks.enqueue("pull_request", content, repo, by)
        return after

    def _announce(self, repo: Repository, pull: PullRequest) -> None:
        """A push opens a suite of each App that may write checks, ours among them if it may."""
        ours = [self.own_app["id"]] if self.access.permissions.get("checks") == "write" else []
        for app_id in [*repo.apps, *ours]:
            self._suite(pull, app_id, None)

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
        pull.based_on = pull.base_sha
        pull.turns.append(("BaseRefChangedEvent", self.clock.now()))
        pull.mergeable_known = False
        content = events.pull_request_event("edited", repo, pull) | {"changes": {"base": before}}
        self.webhooks.enqueue("pull_request", content, repo, by)

    def mark_ready(self, repository: str, number: int) -> None:
        """No draft any more."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        pull.draft, pull.updated_at = False, self.clock.now()
        pull.turns.append(("ReadyForReviewEvent", self.clock.now()))
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

    def merged_files(self, repository: str, sha: str) -> tuple[str, ...]:
        """What the merge that made this commit changes. Raises LookupError for a commit that no merge of it made."""
        pulls = self.repository(repository).pulls.values()
        files = next((pull.files for pull in pulls if pull.merge_sha == sha), None)
        if files is None:
            raise LookupError(f"no merge in {repository} made the commit {sha}")
        return files

    # Reviews

    def review(self, repository: str, number: int, state: str, author: str) -> None:
        """`approved` or `changes_requested`; a person's later review replaces the earlier."""
        repo, pull = self.repository(repository), self.pull(repository, number)
        pull.reviews[author], pull.updated_at = state, self.clock.now()
        pull.reviewed.append((pull.head_sha, self.clock.now()))
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
