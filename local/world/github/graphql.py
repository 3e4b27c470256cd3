"""The simulated GitHub's GraphQL endpoint: real parsing, validation and execution on a small part of the schema."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphql import GraphQLError, GraphQLSchema, build_schema

from local.world import graphql
from local.world.github.model import GITHUB_ACTIONS, PASSED, Check, Labelling, PullRequest, Repository, Suite
from local.world.github.payloads import client_id

LARGEST_PAGE = 100


def answer(body: dict[str, Any], find: Callable[[str], Repository | None], viewer: str) -> dict[str, Any]:
    """The JSON of an answer with HTTP 200: data, errors, or both. `find` takes `owner/name`; `viewer` asks."""
    try:
        document = graphql.parse(body["query"])
        errors = graphql.validate(_schema(), document)
    except GraphQLError as error:
        return {"errors": [_format(error)]}
    if errors:
        return {"errors": [_format(error) for error in errors]}
    asking = {"login": viewer, "url": f"https://github.com/{viewer}"}
    root = {"repository": functools.partial(_repository, find), "viewer": asking}
    result = graphql.execute(_schema(), document, root, variables=body.get("variables"))
    content: dict[str, Any] = {"data": result.data}
    if result.errors:
        content["errors"] = [_format(error) for error in result.errors]
    return content


@functools.cache
def _schema() -> GraphQLSchema:
    return build_schema(Path(__file__).with_name("schema.graphql").read_text())


def _format(error: GraphQLError) -> dict[str, Any]:
    """GitHub puts the `type` beside the message, not into extensions."""
    formatted = dict(error.formatted)
    return {**(error.extensions or {}), **{name: formatted[name] for name in formatted if name != "extensions"}}


def _not_found(text: str) -> GraphQLError:
    return GraphQLError(text, extensions={"type": "NOT_FOUND"})


def _repository(
    find: Callable[[str], Repository | None], _info: Any, owner: str, name: str, **_: Any
) -> dict[str, Any]:
    repository = find(f"{owner}/{name}")
    if repository is None:
        raise _not_found(f"Could not resolve to a Repository with the name '{owner}/{name}'.")
    return {
        "nameWithOwner": repository.full_name,
        "databaseId": repository.id,
        "isPrivate": not repository.public,
        "pullRequest": functools.partial(_pull_request, repository),
        "pullRequests": functools.partial(_pull_requests, repository),
    }


_ORDERS: dict[str, Callable[[PullRequest], Any]] = {
    "CREATED_AT": lambda pull: (pull.created_at, pull.number),
    "UPDATED_AT": lambda pull: (pull.updated_at, pull.number),
}


def _pull_requests(
    repository: Repository,
    _info: Any,
    first: int | None = None,
    states: Sequence[str] | None = None,
    orderBy: Mapping[str, str] | None = None,  # noqa: N803 - GitHub's name
    **_: Any,
) -> dict[str, Any]:
    _check_page(first)
    order = orderBy or {"field": "CREATED_AT", "direction": "ASC"}
    found = [pull for pull in repository.pulls.values() if states is None or _state(pull) in states]
    found.sort(key=_ORDERS[order["field"]], reverse=order["direction"] == "DESC")
    return {"totalCount": len(found), "nodes": [_shown(repository, pull) for pull in found[:first]]}


def _state(pull: PullRequest) -> str:
    return "MERGED" if pull.merged else pull.state.upper()


def _pull_request(repository: Repository, _info: Any, number: int) -> dict[str, Any]:
    pull = repository.pulls.get(number)
    if pull is None:
        raise _not_found(f"Could not resolve to a PullRequest with the number of {number}.")
    content = _shown(repository, pull)
    pull.mergeable_known, pull.base_moved = True, False  # the first read makes GitHub compute it for the next
    return content


def _shown(repository: Repository, pull: PullRequest) -> dict[str, Any]:
    return {
        "id": f"PR_{pull.id}",
        "number": pull.number,
        "title": pull.title,
        "url": f"https://github.com/{repository.full_name}/pull/{pull.number}",
        "author": {"__typename": "User", "login": pull.author, "url": f"https://github.com/{pull.author}"},
        "state": _state(pull),
        "isDraft": pull.draft,
        "merged": pull.merged,
        "createdAt": pull.created_at.isoformat(),
        "updatedAt": pull.updated_at.isoformat(),
        "mergedAt": pull.closed_at.isoformat() if pull.merged and pull.closed_at else None,
        "headRefOid": pull.head_sha,
        "headRefName": pull.branch,
        "baseRefOid": pull.base_sha,
        "baseRefName": pull.base,
        "mergeable": repository.mergeable(pull),
        "mergeStateStatus": repository.merge_state(pull),
        "mergedBy": {"__typename": "User", "login": pull.merged_by} if pull.merged_by else None,
        "mergeCommit": {"oid": pull.merge_sha} if pull.merged else None,
        "reviewDecision": repository.review_decision(pull),
        "isMergeQueueEnabled": pull.base in repository.merge_queues,
        "isInMergeQueue": pull.in_merge_queue,
        "isCrossRepository": pull.from_fork,
        "labels": functools.partial(_labels, pull),
        "timelineItems": functools.partial(_timeline, pull),
        "reviews": functools.partial(_reviews, pull),
        "commits": {"totalCount": 1, "nodes": [{"commit": _commit(repository, pull)}]},
    }


def _labels(pull: PullRequest, _info: Any, first: int | None = None, **_: Any) -> dict[str, Any]:
    _check_page(first)
    return {"totalCount": len(pull.labels), "nodes": [{"name": name} for name in pull.labels[:first]]}


def _reviews(pull: PullRequest, _info: Any, last: int | None = None, **_: Any) -> dict[str, Any]:
    _check_page(last)
    nodes = [{"submittedAt": at.isoformat(), "commit": {"oid": sha}} for sha, at in pull.reviewed]
    return {"totalCount": len(nodes), "nodes": nodes[-(last or 0) :]}


def _timeline(
    pull: PullRequest,
    _info: Any,
    last: int | None = None,
    itemTypes: Sequence[str] = (),  # noqa: N803 - GitHub's name
    **_: Any,
) -> dict[str, Any]:
    """Of what happened, only what somebody asks for. Oldest first, as at GitHub."""
    _check_page(last)
    nodes: list[dict[str, Any]] = []
    if "LABELED_EVENT" in itemTypes:
        nodes += [_labelled(event) for event in pull.labellings]
    nodes += [{"__typename": kind, "createdAt": at.isoformat()} for kind, at in pull.turns if _ITEMS[kind] in itemTypes]
    return {"totalCount": len(nodes), "nodes": nodes[-(last or 0) :]}


_ITEMS = {
    "ReadyForReviewEvent": "READY_FOR_REVIEW_EVENT",
    "ReopenedEvent": "REOPENED_EVENT",
    "BaseRefChangedEvent": "BASE_REF_CHANGED_EVENT",
    "HeadRefForcePushedEvent": "HEAD_REF_FORCE_PUSHED_EVENT",
}


def _labelled(event: Labelling) -> dict[str, Any]:
    return {
        "__typename": "LabeledEvent",
        "id": f"LE_{event.id}",
        "createdAt": event.at.isoformat(),
        "actor": {"__typename": "Bot" if event.by.endswith("[bot]") else "User", "login": event.by},
        "label": {"name": event.label},
    }


def _commit(repository: Repository, pull: PullRequest) -> dict[str, Any]:
    by, *merged = pull.updates.get(pull.head_sha, (pull.author,))
    parents = merged or [sha for sha in [repository.parents.get(pull.head_sha)] if sha]
    signature = {"__typename": "GpgSignature", "isValid": True, "wasSignedByGitHub": True} if merged else None
    suites = [_suite(pull, suite) for suite in pull.head_suites()]
    listed = [_context(repository, pull, check) for check in pull.listed_checks()]
    contexts = {"state": _rollup(pull.head_checks()), "contexts": functools.partial(_page, listed)}
    return {
        "oid": pull.head_sha,
        "author": {"name": by, "email": f"1+{by}@users.noreply.github.com"},
        "signature": signature,
        "parents": {"nodes": [{"oid": sha} for sha in parents], "totalCount": len(parents)},
        "checkSuites": functools.partial(_page, suites),
        "statusCheckRollup": contexts if listed else None,
    }


def _suite(pull: PullRequest, suite: Suite) -> dict[str, Any]:
    checks = pull.checks_of(suite)
    status, conclusion = suite.state(checks)
    return {
        "status": status.upper(),
        "conclusion": conclusion.upper() if conclusion else None,
        "createdAt": suite.created_at.isoformat(),
        "app": _app(suite.app_id),
        "checkRuns": {"totalCount": len(checks)},
    }


def _app(id: int) -> dict[str, Any]:
    actions = id == GITHUB_ACTIONS
    slug, name = ("github-actions", "GitHub Actions") if actions else (f"app-{id}", f"App {id}")
    return {"databaseId": id, "clientId": client_id(id), "slug": slug, "name": name}


def _rollup(checks: list[Check]) -> str:
    if any(check.conclusion is not None and check.conclusion not in PASSED for check in checks):
        return "FAILURE"
    return "PENDING" if any(check.conclusion is None for check in checks) else "SUCCESS"


def _page(
    nodes: list[dict[str, Any]], _info: Any, first: int | None = None, after: str | None = None, **_: Any
) -> dict[str, Any]:
    _check_page(first)
    start = int(after) if after else 0
    end = start + (first or 0)
    page_info = {"hasNextPage": end < len(nodes), "endCursor": str(min(end, len(nodes)))}
    return {"nodes": nodes[start:end], "pageInfo": page_info, "totalCount": len(nodes)}


def _check_page(first: int | None) -> None:
    if first is None or not 0 < first <= LARGEST_PAGE:
        raise GraphQLError("You must provide a `first` value between 1 and 100 to properly paginate.")


def _context(repository: Repository, pull: PullRequest, check: Check) -> dict[str, Any]:
    required = repository.is_required(pull, check)
    if check.app_id is None:
        return {
            "__typename": "StatusContext",
            "context": check.name,
            "state": (check.conclusion or "pending").upper(),
            "createdAt": (check.completed_at or check.started_at).isoformat(),
            "targetUrl": check.url,
            "isRequired": required,
        }
    return {
        "__typename": "CheckRun",
        "databaseId": check.id,
        "name": check.name,
        "status": "COMPLETED" if check.conclusion else "IN_PROGRESS",
        "conclusion": check.conclusion.upper() if check.conclusion else None,
        "startedAt": check.started_at.isoformat(),
        "completedAt": check.completed_at.isoformat() if check.completed_at else None,
        "detailsUrl": check.url,
        "isRequired": required,
        "checkSuite": {
            "createdAt": next(one.created_at for one in pull.head_suites() if one.id == check.suite).isoformat(),
            "app": _app(check.app_id),
        },
    }
