"""What Signalbox asks of GitHub: read a pull request and its rules, merge, comment, show deployments, redeliver."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote, urlencode

from msgspec import Struct

from shared.clients.github import activity, labelling
from shared.clients.github import comment as github_comment
from shared.clients.github.activity import Activity, ActivityAnswer
from shared.clients.github.answers import MOST_PAGES, Pages, decode, raise_graphql_errors
from shared.clients.github.app import GitHubApp, Identify
from shared.clients.github.comment import CommentAnswer, ReactionAnswer, WrittenComment
from shared.clients.github.labelling import LabellingAnswer
from shared.clients.github.merging import Passes, passes
from shared.clients.github.pull_request import PullRequestAnswer, assemble
from shared.clients.github.pull_request_query import QUERY
from shared.clients.github.registration import Delivery, Registration
from shared.clients.http import Network, Response
from shared.core.observed import HIDDEN_RULE, CheckState, Labelling, PullRequestState, RequiredCheck
from shared.errors import NotFound, PullRequestUnknown, Refused, Unauthorized, Unavailable
from shared.runtime.ports import Clock
from shared.runtime.secrets import Secrets

__all__ = [
    "BaseMoved",
    "CheckState",
    "Delivery",
    "GitHub",
    "HeadMoved",
    "NotMergeable",
    "PullRequestState",
    "PullRequestUnknown",
    "RequiredCheck",
]


class _Answer(Protocol):
    """To a query about a repository, which says which it was."""

    @property
    def repository_id(self) -> int | None: ...


log = logging.getLogger("signalbox")
T = TypeVar("T")
A = TypeVar("A", bound=_Answer)

DeploymentState = Literal["error", "failure", "inactive", "in_progress", "queued", "pending", "success"]

LONGEST_COMMENT = 65_535
LONGEST_DESCRIPTION = 140
MOST_FILES = 3000
"""Of a pull request GitHub lists no more (REST: "List pull requests files")."""
_CUT = "\n\n… (cut: longer than a comment can be)"


class HeadMoved(Refused):
    """The pull request has commits that were not checked: the merge's `sha` precondition did not hold."""


class NotMergeable(Refused):
    """GitHub will not merge it as it stands: conflict, closed, already merged, a rule, the merge queue, the method."""

    @property
    def passes(self) -> Passes:
        """Whether, and by whom, that changes."""
        return passes(self.said)

    def __init__(self, text: str) -> None:
        super().__init__(text, status=405)
        self.said = _said(text)


class BaseMoved(Unavailable):
    """The base moved under the merge, which had no effect."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.said = _said(text)


class _RequiredCheck(Struct):
    context: str
    integration_id: int | None = None


class _RuleParameters(Struct):
    required_status_checks: list[_RequiredCheck | None] = []


class _Rule(Struct):
    type: str
    parameters: _RuleParameters | None = None


class _Merged(Struct):
    sha: str


class _File(Struct):
    filename: str
    previous_filename: str | None = None


class _Permission(Struct):
    permission: str


class _App(Struct):
    id: int
    client_id: str = ""


class _User(Struct):
    login: str


class _Comment(Struct):
    id: int
    html_url: str
    body: str | None = None
    user: _User | None = None
    performed_via_github_app: _App | None = None


class _Id(Struct):
    id: int


class _Status(Struct):
    state: str


class _Comparison(Struct):
    status: Literal["ahead", "behind", "diverged", "identical"]


class GitHub:
    """GitHub's API as an App sees it; `repository` is always `owner/name`.

    Every method raises TransientError (UnknownOutcome when a change's answer was lost), NotFound, Unauthorized or
    Refused, with GitHub's own words.
    """

    def __init__(
        self,
        *,
        base_url: str,
        app_id: str,
        secrets: Secrets,
        clock: Clock,
        identify: Identify | None = None,
        network: Network | None = None,
    ) -> None:
        self.app = GitHubApp(
            base_url=base_url, app_id=app_id, secrets=secrets, clock=clock, identify=identify, network=network
        )
        """Also what shared/clients/github/operator.py asks through."""
        self._clock = clock
        self.registration = Registration(self.app)
        """What GitHub knows about the App itself."""

    async def pull_request(self, repository: str, number: int) -> PullRequestState:
        """The pull request with the checks and check suites of its head, our own left out.

        One query per hundred of them (GraphQL reference: PullRequest, StatusCheckRollup, CheckSuite). Raises
        Unavailable when GitHub is between two heads.
        """
        answer = await self._pull_request_page(repository, number, (None, None))
        pages = [answer.page()]
        while cursors := pages[-1].cursors():
            if len(pages) >= MOST_PAGES:
                raise Unavailable(f"pull request {number}: more than {MOST_PAGES} pages of checks")
            pages.append((await self._pull_request_page(repository, number, cursors)).page())
        return assemble(pages, self.app.app_id, answer.asked_by(), public=answer.public)

    async def activity(self, repository: str) -> Activity:
        """The newest merges, and when the newest pull request was opened, in one query (GraphQL: pullRequests)."""
        return (await self._query(repository, activity.QUERY, ActivityAnswer)).activity()

    async def labelled(self, repository: str, number: int, label: str) -> Labelling | None:
        """Who set the label last, whether or not it is there still (GraphQL: LabeledEvent)."""
        return (await self._query(repository, labelling.QUERY, LabellingAnswer, number=number)).latest(label)

    async def required_checks(self, repository: str, branch: str) -> frozenset[RequiredCheck]:
        """The checks that rulesets demand on the branch (REST: "Get rules for a branch").

        Classic branch protection is not in it: `CheckState.required` tells about those once they have reported. Where
        GitHub's plan has no rulesets (a private repository on the free one) nothing is demanded. A rule that cannot be
        read is HIDDEN_RULE, a check that never reports.
        """
        required: set[RequiredCheck] = set()
        url = f"/repos/{repository}/rules/branches/{quote(branch, safe='')}?per_page=100"
        try:
            async for rules in self._pages(url, list[_Rule | None], repository):
                required.update(check for rule in rules for check in _demanded(rule))
        except Unauthorized as error:
            if "Upgrade to GitHub" not in str(error):
                raise
        return frozenset(required)

    async def contains(self, repository: str, commit: str, *, within: str) -> bool:
        """Whether `commit` is an ancestor of `within`; False too where one of them is gone, as after a forced push.

        REST: "Compare two commits", without its list of files, which only the first page has.
        """
        url = f"/repos/{repository}/compare/{commit}...{within}?page=2&per_page=1"
        comparison = await self._get_if_known(url, _Comparison, repository)
        return comparison is not None and comparison.status == "ahead"

    async def changed_files(self, repository: str, number: int) -> frozenset[str] | None:
        """Paths of what the pull request changes, of a renamed file both.

        None where they are not all known: GitHub cuts the list short, or an entry of it cannot be read.
        """
        found: list[_File] = []
        url = f"/repos/{repository}/pulls/{number}/files?per_page=100"
        async for files in self._pages(url, list[_File | None], repository):
            shown = [file for file in files if file is not None]
            if len(shown) < len(files):
                return None
            found += shown
        if len(found) >= MOST_FILES:
            return None
        names = (name for file in found for name in (file.filename, file.previous_filename))
        return frozenset(name for name in names if name)

    async def merge(
        self, repository: str, number: int, *, head_sha: str, method: Literal["merge", "squash", "rebase"]
    ) -> str:
        """Merge exactly `head_sha` and return the commit this makes on the base (REST: "Merge a pull request").

        Raises HeadMoved when the head is another one, NotMergeable with GitHub's reason, and BaseMoved when the base
        moved under the merge, which had no effect then. After UnknownOutcome read the pull request first.
        """
        url, body = f"/repos/{repository}/pulls/{number}/merge", {"sha": head_sha, "merge_method": method}
        try:
            response = await self.app.request("PUT", url, repository=repository, changes=True, json=body)
        except Refused as error:
            if error.status == 409:
                raise HeadMoved(str(error), status=409) from error
            if error.status == 405 and "Base branch was modified" in str(error):
                raise BaseMoved(str(error)) from error
            if error.status == 405:
                raise NotMergeable(str(error)) from error
            raise
        return decode(response, _Merged, changes=True).sha

    async def update_branch(self, repository: str, number: int, *, head_sha: str) -> None:
        """Ask GitHub to merge the base into the pull request's branch, if its head still is `head_sha`.

        GitHub answers before it has done so (REST: "Update a pull request branch"). Raises HeadMoved when the head is
        another one; asking twice has no second effect.
        """
        url, body = f"/repos/{repository}/pulls/{number}/update-branch", {"expected_head_sha": head_sha}
        try:
            await self.app.request("PUT", url, repository=repository, changes=True, json=body)
        except Refused as error:
            if error.status == 422 and "expected head sha" in str(error):
                raise HeadMoved(str(error), status=422) from error
            raise

    async def permission(self, repository: str, user: str) -> str:
        """`admin`, `write`, `read` or `none`, as in REST: "Get repository permissions for a user".

        maintain shows as write, triage as read; whoever GitHub does not know there has `none`.
        """
        url = f"/repos/{repository}/collaborators/{quote(user, safe='')}/permission"
        found = await self._get_if_known(url, _Permission, repository)
        return "none" if found is None else found.permission

    async def comment(self, repository: str, comment_id: int) -> WrittenComment | None:
        """The comment as it is now (REST: "Get an issue comment"); None for one that is deleted."""
        url = f"/repos/{repository}/issues/comments/{comment_id}"
        found = await self._get_if_known(url, CommentAnswer, repository)
        return None if found is None else github_comment.read(found)

    async def bot_reacted(self, repository: str, comment_id: int, content: str) -> bool:
        """Whether an App has put this reaction on the comment (REST: "List reactions for an issue comment").

        Only an App that is installed on the repository can; people's reactions do not count.
        """
        url = f"/repos/{repository}/issues/comments/{comment_id}/reactions?content={content}&per_page=100"
        async for page in self._pages(url, list[ReactionAnswer | None], repository):
            if any(one is not None and one.user is not None and one.user.type == "Bot" for one in page):
                return True
        return False

    async def react(self, repository: str, comment_id: int, content: str = "eyes") -> None:
        """Put our reaction on a comment; a second one of the same kind changes nothing.

        Raises NotFound for a comment that is deleted, which GitHub has to say twice.
        """
        url = f"/repos/{repository}/issues/comments/{comment_id}/reactions"
        try:
            await self.app.request("POST", url, repository=repository, changes=False, json={"content": content})
        except NotFound:
            await self.app.request("POST", url, repository=repository, changes=False, json={"content": content})

    async def upsert_comment(self, repository: str, number: int, *, marker: str, body: str) -> str:
        """Make `body` the text of our comment that ends with `marker`, an HTML comment, and return its address.

        There is one such comment per marker, edited in place; another user's with the same marker is left alone. The
        marker is appended where the body lacks it, and a body longer than GitHub takes is cut.
        """
        text = _with_marker(body, marker)
        existing = await self._own_comment(repository, number, marker)
        if existing is not None and existing.body == text:
            return existing.html_url
        if existing is not None:
            try:
                url = f"/repos/{repository}/issues/comments/{existing.id}"
                return (await self._change("PATCH", url, _Comment, repository, {"body": text})).html_url
            except NotFound:  # deleted since it was listed, unless it is listed still
                if await self._own_comment(repository, number, marker) is not None:
                    raise
        url = f"/repos/{repository}/issues/{number}/comments"
        return (await self._change("POST", url, _Comment, repository, {"body": text})).html_url

    async def has_comment(self, repository: str, number: int, *, marker: str) -> bool:
        """Whether there is a comment of ours that ends with `marker`."""
        return await self._own_comment(repository, number, marker) is not None

    async def find_deployment(self, repository: str, *, sha: str, task: str, environment: str) -> int | None:
        """The newest deployment of this commit: look before creating, GitHub would make a second one."""
        query = urlencode({"sha": sha, "task": task, "environment": environment, "per_page": 1})
        found = await self._get(f"/repos/{repository}/deployments?{query}", list[_Id], repository)
        return found[0].id if found else None

    async def create_deployment(
        self, repository: str, *, sha: str, task: str, environment: str, description: str, payload: dict[str, Any]
    ) -> int:
        """Show a deployment of this commit on GitHub (REST: "Create a deployment").

        GitHub neither merges the base into it nor looks at checks: both were done before.
        """
        body = {
            "ref": sha,
            "task": task,
            "environment": environment,
            "description": description[:LONGEST_DESCRIPTION],
            "payload": payload,
            "auto_merge": False,
            "required_contexts": [],
        }
        return (await self._change("POST", f"/repos/{repository}/deployments", _Id, repository, body)).id

    async def set_deployment_status(
        self,
        repository: str,
        deployment_id: int,
        *,
        state: DeploymentState,
        description: str = "",
        environment_url: str | None = None,
        log_url: str | None = None,
    ) -> None:
        """Add a status; the description is cut at 140 characters.

        GitHub makes earlier deployments inactive by itself only where the environment is not a production one
        (REST: "Create a deployment status", `auto_inactive`).
        """
        body = {"state": state, "description": description[:LONGEST_DESCRIPTION]}
        addresses = {"environment_url": environment_url, "log_url": log_url}
        body |= {name: address for name, address in addresses.items() if address}
        url = f"/repos/{repository}/deployments/{deployment_id}/statuses"
        await self.app.request("POST", url, repository=repository, changes=True, json=body)

    async def deployment_state(self, repository: str, deployment_id: int) -> str | None:
        """The state of the newest status, None when there is none."""
        url = f"/repos/{repository}/deployments/{deployment_id}/statuses?per_page=1"
        statuses = await self._get(url, list[_Status], repository)
        return statuses[0].state if statuses else None

    async def redeliver(self, delivery_id: int) -> None:
        """Ask for another attempt; it carries the same guid, so asking twice is harmless."""
        url = f"/app/hook/deliveries/{delivery_id}/attempts"
        await self.app.request("POST", url, repository=None, changes=False)

    async def close(self) -> None:
        await self.app.close()

    async def _pull_request_page(
        self, repository: str, number: int, after: tuple[str | None, str | None]
    ) -> PullRequestAnswer:
        checks, suites = after
        return await self._query(repository, QUERY, PullRequestAnswer, number=number, after=checks, afterSuites=suites)

    async def name_of(self, repository_id: int) -> str:
        """As `GitHubApp.name_of`."""
        return await self.app.name_of(repository_id)

    async def _query(self, repository: str, query: str, type: type[A], **variables: Any) -> A:
        """Raises NotFound too when the name leads to another repository than the one that is meant."""
        try:
            return await self._query_of(repository, query, type, variables)
        except PullRequestUnknown:
            raise
        except NotFound:
            if not await self.app.has_moved(repository):
                raise
            return await self._query_of(repository, query, type, variables)

    async def _query_of(self, repository: str, query: str, type: type[A], variables: dict[str, Any]) -> A:
        known, named = await self.app.identity(repository), await self.app.name(repository)
        owner, _, name = named.partition("/")
        body = {"query": query, "variables": {"owner": owner, "name": name, **variables}}
        response = await self.app.request("POST", "/graphql", repository=repository, changes=False, json=body)
        raise_graphql_errors(response, self._clock.now())
        answer = decode(response, type, changes=False)
        if known is not None and answer.repository_id not in (None, known.id):
            told = f"{named} is another repository now: its id is {answer.repository_id}, not {known.id}"
            raise NotFound(f"graphql: {told}", status=200)
        return answer

    async def _own_comment(self, repository: str, number: int, marker: str) -> _Comment | None:
        url = f"/repos/{repository}/issues/{number}/comments?per_page=100"
        async for comments in self._pages(url, list[_Comment], repository):
            for comment in comments:
                if (comment.body or "").rstrip().endswith(marker) and self._is_own(comment):
                    return comment
        return None

    def _is_own(self, comment: _Comment) -> bool:
        """By its bot and its App: a person may write through the App too, and other Apps have bots."""
        app = comment.performed_via_github_app
        bot = comment.user is not None and comment.user.login.endswith("[bot]")
        return bot and app is not None and self.app.app_id in {str(app.id), app.client_id}

    async def _get(self, url: str, type: type[T], repository: str) -> T:
        response = await self.app.request("GET", url, repository=repository, changes=False)
        return decode(response, type, changes=False)

    async def _get_if_known(self, url: str, type: type[T], repository: str) -> T | None:
        """None where GitHub says twice that there is no such thing: one 404 decides nothing."""
        try:
            return await self._get(url, type, repository)
        except NotFound:
            log.info("not found; retried once")
        try:
            return await self._get(url, type, repository)
        except NotFound:
            return None

    def _pages(self, url: str, type: type[T], repository: str) -> Pages[T]:
        def ask(page: str) -> Awaitable[Response]:
            return self.app.request("GET", page, repository=repository, changes=False)

        return Pages(ask, url, type)

    async def _change(self, method: str, url: str, type: type[T], repository: str, body: dict[str, Any]) -> T:
        response = await self.app.request(method, url, repository=repository, changes=True, json=body)
        return decode(response, type, changes=True)


def _said(refusal: str) -> str:
    """By GitHub, without what was asked of it."""
    return refusal.partition(": 405 ")[2] or refusal


def _with_marker(body: str, marker: str) -> str:
    if body.endswith(marker) and len(body) <= LONGEST_COMMENT:
        return body
    text = body.replace(marker, "").rstrip()
    ending = f"\n\n{marker}"
    if len(text) + len(ending) > LONGEST_COMMENT:
        ending = _CUT + ending
        text = text[: LONGEST_COMMENT - len(ending)]
    return text + ending


def _demanded(rule: _Rule | None) -> Iterator[RequiredCheck]:
    """By the rule; what cannot be read is a check that never reports."""
    if rule is None:
        yield RequiredCheck(HIDDEN_RULE)
    elif rule.type == "required_status_checks" and rule.parameters:
        for check in rule.parameters.required_status_checks:
            yield RequiredCheck(check.context, check.integration_id) if check else RequiredCheck(HIDDEN_RULE)
