"""Bodies of the simulated GitHub: full-size, with the keys of GitHub's published examples (@octokit/webhooks-examples).

Built here from code: the many addresses that a user or a repository carries follow a pattern. Parts that depend on
names alone are built once and shared, so nobody may change them.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from local.world.github.model import Comment, PullRequest, Repository

API = "https://api.github.com"
WEB = "https://github.com"
JSON = dict[str, Any]
Shared = Mapping[str, Any]

_USER_PATHS = (
    "followers /followers|following /following{/other_user}|gists /gists{/gist_id}|starred /starred{/owner}{/repo}"
    "|subscriptions /subscriptions|organizations /orgs|repos /repos|events /events{/privacy}"
    "|received_events /received_events"
)
_REPOSITORY_PATHS = (
    "forks /forks|keys /keys{/key_id}|collaborators /collaborators{/collaborator}|teams /teams|hooks /hooks"
    "|issue_events /issues/events{/number}|events /events|assignees /assignees{/user}|branches /branches{/branch}"
    "|tags /tags|blobs /git/blobs{/sha}|git_tags /git/tags{/sha}|git_refs /git/refs{/sha}|trees /git/trees{/sha}"
    "|statuses /statuses/{sha}|languages /languages|stargazers /stargazers|contributors /contributors"
    "|subscribers /subscribers|subscription /subscription|commits /commits{/sha}|git_commits /git/commits{/sha}"
    "|comments /comments{/number}|issue_comment /issues/comments{/number}|contents /contents/{+path}"
    "|compare /compare/{base}...{head}|merges /merges|archive /{archive_format}{/ref}|downloads /downloads"
    "|issues /issues{/number}|pulls /pulls{/number}|milestones /milestones{/number}"
    "|notifications /notifications{?since,all,participating}|labels /labels{/name}|releases /releases{/id}"
    "|deployments /deployments"
)
_PERMISSIONS = ("actions", "checks", "contents", "deployments", "issues", "pull_requests", "statuses")
_REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


@functools.lru_cache(10_000)
def stamp(at: datetime | None) -> str | None:
    """GitHub's form of a time: UTC, whole seconds, Z."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z" if at else None


@functools.lru_cache(1000)
def steady_id(text: str) -> int:
    """An id that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 4


def installation_id(owner: str) -> int:
    return steady_id(f"installation {owner.lower()}")


@functools.lru_cache(1000)
def user(login: str) -> Shared:
    """A person, or an App's bot when the login ends with [bot]."""
    bot = login.endswith("[bot]")
    url = f"{API}/users/{quote(login)}"
    user_id = steady_id(f"user {login}")
    return {
        "login": login,
        "id": user_id,
        "node_id": f"U_kgDO{user_id:x}",
        "avatar_url": f"https://avatars.githubusercontent.com/u/{user_id}?v=4",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{WEB}/apps/{login.removesuffix('[bot]')}" if bot else f"{WEB}/{login}",
        **_addresses(_USER_PATHS, url),
        "type": "Bot" if bot else "User",
        "site_admin": False,
    }


def repository(repo: Repository) -> JSON:
    open_pulls = sum(pull.state == "open" for pull in repo.pulls.values())
    known = _repository(repo.id, repo.full_name, repo.default_branch, repo.created_at)
    return {**known, **dict.fromkeys(("open_issues", "open_issues_count"), open_pulls)}


@functools.lru_cache(1000)
def _repository(id: int, full_name: str, default_branch: str, created_at: datetime) -> Shared:
    url, web = f"{API}/repos/{full_name}", f"{WEB}/{full_name}"
    owner, _, name = full_name.partition("/")
    created = stamp(created_at)
    return {
        "id": id,
        "node_id": f"R_kgDO{id:x}",
        "name": name,
        "full_name": full_name,
        "private": True,
        "owner": user(owner),
        "html_url": web,
        "description": f"The service {name}, deployed on Railway",
        "fork": False,
        "url": url,
        **_addresses(_REPOSITORY_PATHS, url),
        "created_at": created,
        "updated_at": created,
        "pushed_at": created,
        "git_url": f"git://github.com/{full_name}.git",
        "ssh_url": f"git@github.com:{full_name}.git",
        "clone_url": f"{web}.git",
        "svn_url": web,
        "homepage": None,
        "size": 108,
        **dict.fromkeys(("stargazers_count", "watchers_count", "forks_count", "forks", "watchers"), 0),
        **dict.fromkeys(("has_issues", "has_projects", "has_downloads", "has_wiki"), True),
        **dict.fromkeys(("has_pages", "archived", "disabled", "is_template", "web_commit_signoff_required"), False),
        "language": "Python",
        "mirror_url": None,
        "license": None,
        "allow_forking": True,
        "topics": [],
        "visibility": "private",
        "default_branch": default_branch,
        "custom_properties": {},
    }


def client_id(app: int) -> str:
    """Of an App, which GitHub knows by this as well."""
    return f"Iv23li{app:014d}"


@functools.lru_cache(1000)
def app(id: int, slug: str, owner: str) -> Shared:
    return {
        "id": id,
        "client_id": client_id(id),
        "slug": slug,
        "node_id": f"A_kwDO{id:x}",
        "owner": user(owner),
        "name": slug,
        "description": "",
        "external_url": f"https://{slug}.example",
        "html_url": f"{WEB}/apps/{slug}",
        "created_at": "2026-01-05T10:00:00Z",
        "updated_at": "2026-01-05T10:00:00Z",
        "permissions": {"metadata": "read"} | dict.fromkeys(_PERMISSIONS, "write"),
        "events": ["check_run", "check_suite", "issue_comment", "pull_request", "pull_request_review", "push"],
    }


def pull_request(repo: Repository, pull: PullRequest) -> JSON:
    """The whole object, as `pull_request` events carry it."""
    mergeable = repo.mergeable(pull)
    return {
        **pull_request_in_review(repo, pull),
        "merged": pull.merged,
        "mergeable": None if mergeable == "UNKNOWN" else mergeable == "MERGEABLE",
        "rebaseable": None if mergeable == "UNKNOWN" else mergeable == "MERGEABLE",
        "mergeable_state": repo.merge_state(pull).lower(),
        "merged_by": user(pull.merged_by) if pull.merged_by else None,
        "comments": sum(comment.pull == pull.number for comment in repo.comments.values()),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": 1,
        "additions": 12,
        "deletions": 3,
        "changed_files": 2,
    }


def pull_request_in_review(repo: Repository, pull: PullRequest) -> JSON:
    """The smaller object of `pull_request_review` events: no `merged`, no counts."""
    url, web = f"{API}/repos/{repo.full_name}/pulls/{pull.number}", f"{WEB}/{repo.full_name}/pull/{pull.number}"
    links = _pull_links(repo, pull)
    return {
        "url": url,
        "id": pull.id,
        "node_id": f"PR_kwDO{pull.id:x}",
        "html_url": web,
        "diff_url": f"{web}.diff",
        "patch_url": f"{web}.patch",
        "number": pull.number,
        "state": pull.state,
        "locked": pull.locked,
        "title": pull.title,
        "user": user(pull.author),
        "body": "What changes, and why.",
        "created_at": stamp(pull.created_at),
        "updated_at": stamp(pull.updated_at),
        "closed_at": stamp(pull.closed_at),
        "merged_at": stamp(pull.closed_at) if pull.merged else None,
        "merge_commit_sha": pull.merge_sha,
        "assignee": user(pull.author),
        "assignees": [user(pull.author)],
        "requested_reviewers": [user(repo.owner)],
        "requested_teams": [],
        "labels": [label(repo.full_name, name) for name in pull.labels],
        "milestone": None,
        **{f"{name}_url": address for name, address in links.items() if name not in {"self", "html"}},
        "head": _end(repo, pull.branch, pull.head_sha),
        "base": _end(repo, pull.base, pull.base_sha),
        "_links": {name: {"href": address} for name, address in links.items()},
        "author_association": association(repo, pull.author),
        "auto_merge": None,
        "active_lock_reason": None,
        "draft": pull.draft,
    }


def _pull_links(repo: Repository, pull: PullRequest) -> dict[str, str]:
    api = f"{API}/repos/{repo.full_name}"
    return {
        "self": f"{api}/pulls/{pull.number}",
        "html": f"{WEB}/{repo.full_name}/pull/{pull.number}",
        "issue": f"{api}/issues/{pull.number}",
        "comments": f"{api}/issues/{pull.number}/comments",
        "review_comments": f"{api}/pulls/{pull.number}/comments",
        "review_comment": f"{api}/pulls/comments{{/number}}",
        "commits": f"{api}/pulls/{pull.number}/commits",
        "statuses": f"{api}/statuses/{pull.head_sha}",
    }


def issue(repo: Repository, pull: PullRequest) -> JSON:
    """The pull request seen as an issue: what `issue_comment` events carry, without any commit."""
    url, web = f"{API}/repos/{repo.full_name}/issues/{pull.number}", f"{WEB}/{repo.full_name}/pull/{pull.number}"
    return {
        "url": url,
        "repository_url": f"{API}/repos/{repo.full_name}",
        **_addresses("labels /labels{/name}|comments /comments|events /events", url),
        "html_url": web,
        "id": pull.id,
        "node_id": f"PR_kwDO{pull.id:x}",
        "number": pull.number,
        "title": pull.title,
        "user": user(pull.author),
        "labels": [label(repo.full_name, name) for name in pull.labels],
        "state": pull.state,
        "locked": pull.locked,
        "assignee": user(pull.author),
        "assignees": [user(pull.author)],
        "milestone": None,
        "comments": sum(comment.pull == pull.number for comment in repo.comments.values()),
        "created_at": stamp(pull.created_at),
        "updated_at": stamp(pull.updated_at),
        "closed_at": stamp(pull.closed_at),
        "author_association": association(repo, pull.author),
        "active_lock_reason": None,
        "draft": pull.draft,
        "pull_request": {
            "url": f"{API}/repos/{repo.full_name}/pulls/{pull.number}",
            "html_url": web,
            "diff_url": f"{web}.diff",
            "patch_url": f"{web}.patch",
            "merged_at": stamp(pull.closed_at) if pull.merged else None,
        },
        "body": "What changes, and why.",
        "reactions": _reactions(url),
        "timeline_url": f"{url}/timeline",
        "performed_via_github_app": None,
        "state_reason": None,
    }


def comment(repo: Repository, said: Comment, own_app: Shared) -> JSON:
    url = f"{API}/repos/{repo.full_name}/issues/comments/{said.id}"
    return {
        "url": url,
        "html_url": f"{WEB}/{repo.full_name}/pull/{said.pull}#issuecomment-{said.id}",
        "issue_url": f"{API}/repos/{repo.full_name}/issues/{said.pull}",
        "id": said.id,
        "node_id": f"IC_kwDO{said.id:x}",
        "user": user(said.author),
        "created_at": stamp(said.created_at),
        "updated_at": stamp(said.updated_at),
        "author_association": association(repo, said.author),
        "performed_via_github_app": own_app if said.by_app else None,
        "body": said.body,
        "reactions": _reactions(url, said.reactions),
    }


def association(repo: Repository, login: str) -> str:
    """GitHub's hint about somebody; it says nothing certain about what they may do."""
    if login == repo.owner:
        return "OWNER"
    return "COLLABORATOR" if login in repo.collaborators else "NONE"


@functools.lru_cache(1000)
def _addresses(paths: str, base: str) -> Shared:
    pairs = (item.split(" ", 1) for item in paths.split("|"))
    return {f"{name}_url": base + path for name, path in pairs}


def _end(repo: Repository, branch: str, sha: str) -> JSON:
    return {
        "label": f"{repo.owner}:{branch}",
        "ref": branch,
        "sha": sha,
        "user": user(repo.owner),
        "repo": {
            **repository(repo),
            "allow_squash_merge": True,
            "allow_merge_commit": True,
            "allow_rebase_merge": True,
            "allow_auto_merge": False,
            "delete_branch_on_merge": False,
            "allow_update_branch": False,
            "use_squash_pr_title_as_default": False,
            "squash_merge_commit_message": "COMMIT_MESSAGES",
            "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
            "merge_commit_message": "PR_TITLE",
            "merge_commit_title": "MERGE_MESSAGE",
        },
    }


@functools.lru_cache(1000)
@functools.lru_cache(1000)
def label(repository: str, name: str) -> Shared:
    return {
        "id": steady_id(f"label {repository} {name}"),
        "node_id": f"LA_kwDO{steady_id(name):x}",
        "url": f"{API}/repos/{repository}/labels/{quote(name, safe='')}",
        "name": name,
        "color": "a2eeef",
        "default": True,
        "description": "New feature or request",
    }


def _reactions(url: str, given: Sequence[str] = ()) -> JSON:
    counts = {content: given.count(content) for content in _REACTIONS}
    return {"url": f"{url}/reactions", "total_count": len(given), **counts}
