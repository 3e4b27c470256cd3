"""Answers of the simulated GitHub's API that no webhook carries, with every property that GitHub's description demands.

Source: GitHub's OpenAPI description; `make test-contracts` holds each against it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from local.world.github import payloads
from local.world.github.model import Deployment, PullRequest, Repository
from local.world.github.payloads import API, JSON, WEB, Shared, installation_id, stamp, steady_id, user

_ROLES = {"admin": 4, "write": 2, "read": 0, "none": -1}
_PERMISSIONS = ("pull", "triage", "push", "maintain", "admin")
_REVIEWS = {
    "required_approving_review_count": 1,
    "dismiss_stale_reviews_on_push": False,
    "require_code_owner_review": False,
    "require_last_push_approval": False,
    "required_review_thread_resolution": False,
}
_QUEUE = {
    "merge_method": "SQUASH",
    "grouping_strategy": "ALLGREEN",
    "check_response_timeout_minutes": 60,
    "max_entries_to_build": 5,
    "max_entries_to_merge": 5,
    "min_entries_to_merge": 1,
    "min_entries_to_merge_wait_minutes": 5,
}


def installation(repo: Repository, own_app: Shared, permissions: Mapping[str, str], events: list[str]) -> JSON:
    id = installation_id(repo.owner)
    owner = user(repo.owner)
    return {
        "id": id,
        "account": owner,
        "repository_selection": "all",
        "access_tokens_url": f"{API}/app/installations/{id}/access_tokens",
        "repositories_url": f"{API}/installation/repositories",
        "html_url": f"{WEB}/organizations/{repo.owner}/settings/installations/{id}",
        "app_id": own_app["id"],
        "client_id": own_app["client_id"],
        "app_slug": own_app["slug"],
        "target_id": owner["id"],
        "target_type": owner["type"],
        "permissions": permissions,
        "events": events,
        "created_at": stamp(repo.created_at),
        "updated_at": stamp(repo.created_at),
        "single_file_name": None,
        "suspended_by": None,
        "suspended_at": None,
    }


@functools.lru_cache(1000)
def permission(login: str, level: str) -> Shared:
    """What a collaborator may do; `level`: admin, write, read or none."""
    allowed = {name: at <= _ROLES[level] for at, name in enumerate(_PERMISSIONS)}
    return {
        "permission": level,
        "role_name": level,
        "user": {**user(login), "permissions": allowed, "role_name": level},
    }


def reaction(content: str, comment_id: int, by: str, at: datetime) -> JSON:
    id = steady_id(f"{content} of {by} on {comment_id}")
    return {"id": id, "node_id": f"REA_{id:x}", "content": content, "user": user(by), "created_at": stamp(at)}


def deployment(repo: Repository, made: Deployment, creator: str) -> JSON:
    url = _deployment_url(repo, made)
    return {
        "url": url,
        "id": made.id,
        "node_id": f"DE_kwDO{made.id:x}",
        "sha": made.sha,
        "ref": made.sha,
        "task": made.task,
        "environment": made.environment,
        "original_environment": made.environment,
        "description": made.description,
        "payload": made.payload,
        "creator": user(creator),
        "created_at": stamp(made.created_at),
        "updated_at": stamp(made.created_at),
        "statuses_url": f"{url}/statuses",
        "repository_url": f"{API}/repos/{repo.full_name}",
    }


def deployment_status(
    repo: Repository, made: Deployment, id: int, asked: Mapping[str, Any], creator: str, at: datetime
) -> JSON:
    """`asked`: the request's body."""
    url = _deployment_url(repo, made)
    return {
        "url": f"{url}/statuses/{id}",
        "id": id,
        "node_id": f"DES_kwDO{id:x}",
        "state": asked["state"],
        "description": asked.get("description") or "",
        "environment": made.environment,
        "environment_url": asked.get("environment_url", ""),
        "log_url": asked.get("log_url", ""),
        "target_url": asked.get("log_url", ""),
        "creator": user(creator),
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "deployment_url": url,
        "repository_url": f"{API}/repos/{repo.full_name}",
    }


def pull_request(repo: Repository, pull: PullRequest) -> JSON:
    """As webhooks carry it, but for what only they tell of its repository."""
    whole = payloads.pull_request(repo, pull)
    for end in (whole["head"], whole["base"]):
        end["repo"] = {name: value for name, value in end["repo"].items() if name != "custom_properties"}
    return whole


def workflow_run(repo: Repository, id: int) -> JSON:
    path = f"{repo.full_name}/actions/runs/{id}"
    return {"workflow_run_id": id, "run_url": f"{API}/repos/{path}", "html_url": f"{WEB}/{path}"}


def rules(repo: Repository, branch: str) -> list[JSON]:
    """Those of one ruleset, as far as the world has them, with the values that GitHub presets."""
    found: list[JSON] = []
    if branch in repo.review_branches:
        found.append({"type": "pull_request", "parameters": _REVIEWS})
    if branch in repo.merge_queues:
        found.append({"type": "merge_queue", "parameters": _QUEUE})
    if contexts := repo.required_checks.get(branch, []):
        of = repo.required_of
        checks = [{"context": one} | ({"integration_id": of[one]} if one in of else {}) for one in contexts]
        parameters = {"strict_required_status_checks_policy": branch in repo.strict, "required_status_checks": checks}
        found.append({"type": "required_status_checks", "parameters": parameters})
    found.append({"type": "deletion"})
    origin = {"ruleset_source_type": "Repository", "ruleset_source": repo.full_name, "ruleset_id": repo.id}
    return [rule | origin for rule in found]


def changed_file(repo: Repository, pull: PullRequest, name: str) -> JSON:
    """A name of the form `before => after` is that of a renamed file."""
    before, _, renamed = name.partition(" => ")
    path, sha = renamed or before, steady_id(f"{pull.head_sha} {name}")
    moved = {"previous_filename": before} if renamed else {}
    return {
        "sha": f"{sha:040x}",
        "filename": path,
        "status": "renamed" if renamed else "modified",
        "additions": 0 if renamed else 1,
        "deletions": 0,
        "changes": 0 if renamed else 1,
        "blob_url": f"{WEB}/{repo.full_name}/blob/{pull.head_sha}/{path}",
        "raw_url": f"{WEB}/{repo.full_name}/raw/{pull.head_sha}/{path}",
        "contents_url": f"{API}/repos/{repo.full_name}/contents/{path}?ref={pull.head_sha}",
        **moved,
    }


def comparison(repo: Repository, base: str, head: str) -> JSON:
    """Without the commits in between, which are on other pages than the one that is read."""
    ahead, behind = repo.history(head), repo.history(base)
    path = f"{repo.full_name}/compare/{base}...{head}"
    common = next((sha for sha in ahead if sha in behind), base)
    ahead_by = len([sha for sha in ahead if sha not in behind])
    return {
        "url": f"{API}/repos/{path}",
        "html_url": f"{WEB}/{path}",
        "permalink_url": f"{WEB}/{path}",
        "diff_url": f"{WEB}/{path}.diff",
        "patch_url": f"{WEB}/{path}.patch",
        "base_commit": _commit(repo.full_name, base),
        "merge_base_commit": _commit(repo.full_name, common),
        "status": repo.compare(base, head),
        "ahead_by": ahead_by,
        "behind_by": len([sha for sha in behind if sha not in ahead]),
        "total_commits": ahead_by,
        "commits": [],
    }


def _deployment_url(repo: Repository, made: Deployment) -> str:
    return f"{API}/repos/{repo.full_name}/deployments/{made.id}"


@functools.lru_cache(1000)
def _commit(repository: str, sha: str) -> Shared:
    url, git = f"{API}/repos/{repository}/commits/{sha}", f"{API}/repos/{repository}/git"
    person = {"name": "GitHub", "email": "noreply@github.com", "date": "2026-01-05T10:00:00Z"}
    return {
        "url": url,
        "sha": sha,
        "node_id": f"C_kwDO{sha}",
        "html_url": f"{WEB}/{repository}/commit/{sha}",
        "comments_url": f"{url}/comments",
        "commit": {
            "url": f"{git}/commits/{sha}",
            "author": person,
            "committer": person,
            "message": "What changes, and why.",
            "comment_count": 0,
            "tree": {"sha": sha[::-1], "url": f"{git}/trees/{sha[::-1]}"},
        },
        "author": user(repository.partition("/")[0]),
        "committer": user(repository.partition("/")[0]),
        "parents": [],
    }
