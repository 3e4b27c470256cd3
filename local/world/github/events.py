"""Webhook bodies of the simulated GitHub: what each event carries beside its repository, sender and installation."""

from __future__ import annotations

from datetime import datetime

from local.world.github.model import PASSED, Check, Comment, PullRequest, Repository
from local.world.github.payloads import (
    API,
    JSON,
    WEB,
    Shared,
    app,
    association,
    comment,
    issue,
    label,
    pull_request,
    pull_request_in_review,
    stamp,
    steady_id,
    user,
)


def pull_request_event(action: str, repo: Repository, pull: PullRequest, **more: str) -> JSON:
    return {"action": action, "number": pull.number, "pull_request": pull_request(repo, pull), **more}


def renamed_event(before: str) -> JSON:
    return {"action": "renamed", "changes": {"repository": {"name": {"from": before}}}}


def transferred_event(before: str) -> JSON:
    """From a person's account; from an organization's it is another key."""
    return {"action": "transferred", "changes": {"owner": {"from": {"user": user(before)}}}}


def label_event(action: str, repo: Repository, pull: PullRequest, name: str) -> JSON:
    return {**pull_request_event(action, repo, pull), "label": label(repo.full_name, name)}


def comment_event(repo: Repository, said: Comment, own_app: Shared, *, before: str | None = None) -> JSON:
    """A comment created, or edited when `before`, its old text, is given."""
    change = {"changes": {"body": {"from": before}}} if before is not None else {}
    return {
        "action": "created" if before is None else "edited",
        **change,
        "issue": issue(repo, repo.pulls[said.pull]),
        "comment": comment(repo, said, own_app),
    }


def review_event(repo: Repository, pull: PullRequest, id: int, author: str, state: str) -> JSON:
    web = f"{WEB}/{repo.full_name}/pull/{pull.number}"
    url = f"{API}/repos/{repo.full_name}/pulls/{pull.number}"
    return {
        "action": "submitted",
        "review": {
            "id": id,
            "node_id": f"PRR_kwDO{id:x}",
            "user": user(author),
            "body": None,
            "commit_id": pull.head_sha,
            "submitted_at": stamp(pull.updated_at),
            "state": state,
            "html_url": f"{web}#pullrequestreview-{id}",
            "pull_request_url": url,
            "author_association": association(repo, author),
            "_links": {"html": {"href": f"{web}#pullrequestreview-{id}"}, "pull_request": {"href": url}},
        },
        "pull_request": pull_request_in_review(repo, pull),
    }


def push_event(repo: Repository, branch: str, before: str, commit: JSON, by: str) -> JSON:
    """One commit pushed to a branch; for a merge, the merge commit."""
    whole = {
        **commit,
        "distinct": True,
        "url": f"{WEB}/{repo.full_name}/commit/{commit['id']}",
        "added": [],
        "removed": [],
        "modified": ["README.md"],
    }
    return {
        "ref": f"refs/heads/{branch}",
        "before": before,
        "after": commit["id"],
        "created": False,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": f"{WEB}/{repo.full_name}/compare/{before[:12]}...{commit['id'][:12]}",
        "commits": [whole],
        "head_commit": whole,
        "pusher": {"name": by, "email": f"{by}@users.noreply.github.com"},
    }


def commit(sha: str, pull: PullRequest) -> JSON:
    """A commit of the pull request, or the one that merged it."""
    return written(sha, f"{pull.title} (#{pull.number})", pull.author, pull.updated_at)


def written(sha: str, message: str, by: str, at: datetime) -> JSON:
    """A commit in short."""
    person = {"name": by, "email": f"{by}@users.noreply.github.com"}
    return {
        "id": sha,
        "tree_id": sha[::-1],
        "message": message,
        "timestamp": stamp(at),
        "author": person,
        "committer": person,
    }


def check_run_event(repo: Repository, pull: PullRequest, check: Check) -> JSON:
    return {"action": "completed", "check_run": check_run(repo, pull, check)}


def check_suite_event(repo: Repository, pull: PullRequest, check: Check) -> JSON:
    return {"action": "completed", "check_suite": whole_check_suite(repo, pull, check)}


def status_event(repo: Repository, pull: PullRequest, check: Check) -> JSON:
    """A commit status; the commit and its branches in short."""
    url = f"{API}/repos/{repo.full_name}/commits/{pull.head_sha}"
    return {
        "id": check.id,
        "sha": pull.head_sha,
        "name": repo.full_name,
        "target_url": check.url,
        "avatar_url": user(pull.author)["avatar_url"],
        "context": check.name,
        "description": None,
        "state": check.conclusion or "pending",
        "commit": {
            "sha": pull.head_sha,
            "node_id": f"C_kwDO{pull.head_sha}",
            "commit": _git_commit(repo, pull),
            "url": url,
            "html_url": f"{WEB}/{repo.full_name}/commit/{pull.head_sha}",
            "comments_url": f"{url}/comments",
            "author": user(pull.author),
            "committer": user(pull.author),
            "parents": [],
        },
        "branches": [{"name": pull.branch, "commit": {"sha": pull.head_sha, "url": url}, "protected": False}],
        "created_at": stamp(check.started_at),
        "updated_at": stamp(check.completed_at or check.started_at),
    }


def _git_commit(repo: Repository, pull: PullRequest) -> JSON:
    """The commit as git knows it."""
    whole, git = commit(pull.head_sha, pull), f"{API}/repos/{repo.full_name}/git"
    signed = {"verified": False, "reason": "unsigned", "signature": None, "payload": None}
    return {
        "author": {**whole["author"], "date": whole["timestamp"]},
        "committer": {**whole["committer"], "date": whole["timestamp"]},
        "message": whole["message"],
        "tree": {"sha": whole["tree_id"], "url": f"{git}/trees/{whole['tree_id']}"},
        "url": f"{git}/commits/{pull.head_sha}",
        "comment_count": 0,
        "verification": signed,
    }


def check_suite(repo: Repository, pull: PullRequest, check: Check, *, conclusion: str | None) -> JSON:
    """The part that check runs and `check_suite` events share."""
    app_id = check.app_id or 0
    suite_id = steady_id(f"suite {app_id} {pull.head_sha}")
    return {
        "id": suite_id,
        "node_id": f"CS_kwDO{suite_id:x}",
        "head_branch": pull.branch,
        "head_sha": pull.head_sha,
        "status": "completed" if conclusion else "in_progress",
        "conclusion": conclusion,
        "url": f"{API}/repos/{repo.full_name}/check-suites/{suite_id}",
        "before": pull.base_sha,
        "after": pull.head_sha,
        "pull_requests": [_pull_reference(repo, pull)],
        "app": app(app_id, f"app-{app_id}", "github"),
        "created_at": stamp(check.started_at),
        "updated_at": stamp(check.completed_at or check.started_at),
    }


def whole_check_suite(repo: Repository, pull: PullRequest, check: Check) -> JSON:
    """The completed suite of all the head's check runs."""
    failed = any(each.conclusion not in PASSED for each in pull.head_checks())
    suite = check_suite(repo, pull, check, conclusion="failure" if failed else "success")
    return {
        **suite,
        "latest_check_runs_count": len(pull.head_checks()),
        "check_runs_url": f"{suite['url']}/check-runs",
        "head_commit": commit(pull.head_sha, pull),
        "rerequestable": True,
        "runs_rerequestable": True,
    }


def check_run(repo: Repository, pull: PullRequest, check: Check) -> JSON:
    url = f"{API}/repos/{repo.full_name}/check-runs/{check.id}"
    app_id = check.app_id or 0
    return {
        "id": check.id,
        "node_id": f"CR_kwDO{check.id:x}",
        "head_sha": pull.head_sha,
        "external_id": "",
        "url": url,
        "html_url": f"{WEB}/{repo.full_name}/runs/{check.id}",
        "details_url": check.url,
        "status": "completed" if check.conclusion else "in_progress",
        "conclusion": check.conclusion,
        "started_at": stamp(check.started_at),
        "completed_at": stamp(check.completed_at),
        "output": {
            "title": None,
            "summary": None,
            "text": None,
            "annotations_count": 0,
            "annotations_url": f"{url}/annotations",
        },
        "name": check.name,
        "check_suite": check_suite(repo, pull, check, conclusion=check.conclusion),
        "app": app(app_id, f"app-{app_id}", "github"),
        "pull_requests": [_pull_reference(repo, pull)],
    }


def _pull_reference(repo: Repository, pull: PullRequest) -> JSON:
    place = {"id": repo.id, "url": f"{API}/repos/{repo.full_name}", "name": repo.name}
    return {
        "url": f"{API}/repos/{repo.full_name}/pulls/{pull.number}",
        "id": pull.id,
        "number": pull.number,
        "head": {"ref": pull.branch, "sha": pull.head_sha, "repo": place},
        "base": {"ref": pull.base, "sha": pull.base_sha, "repo": place},
    }
