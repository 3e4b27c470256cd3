"""The simulated GitHub's API: the calls Signalbox makes, with GitHub's statuses, messages and pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from local.world import web
from local.world.github import answers, graphql
from local.world.github.access import Problem
from local.world.github.model import Comment, Deployment, PullRequest, Repository
from local.world.github.payloads import JSON, comment, repository
from local.world.web import Request, Response, Route, Router

if TYPE_CHECKING:
    from local.world.github.server import GitHubWorld

_BY_ID = "/repositories/{repository:int}"
_DOCS = "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects"
LONGEST_COMMENT = 65_536
MOST_FILES = 3000
_STATES = {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"}
_REACTIONS = {"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"}

T = TypeVar("T")
Handler = Callable[[Request, Repository], Awaitable[Response]]


class Api:
    """GitHub's REST and GraphQL endpoints over a world."""

    def __init__(self, world: GitHubWorld) -> None:
        self._world = world
        repo, issues = "/repos/{owner}/{name}", "/repos/{owner}/{name}/issues"
        of_repository: list[tuple[str, str, Handler]] = [
            ("GET", repo, self._repository),
            ("POST", f"{repo}/pulls", self._open),
            ("PUT", f"{repo}/pulls/{{number:int}}/merge", self._merge),
            ("GET", f"{repo}/pulls/{{number:int}}/files", self._files),
            ("PUT", f"{repo}/pulls/{{number:int}}/update-branch", self._update_branch),
            ("POST", f"{repo}/actions/workflows/{{workflow}}/dispatches", self._dispatch),
            ("GET", f"{repo}/rules/branches/{{branch:path}}", self._rules),
            ("GET", f"{repo}/compare/{{basehead}}", self._compare),
            ("GET", f"{repo}/collaborators/{{user}}/permission", self._permission),
            ("GET", f"{issues}/{{number:int}}/comments", self._list_comments),
            ("POST", f"{issues}/{{number:int}}/comments", self._create_comment),
            ("GET", f"{issues}/comments/{{id:int}}", self._get_comment),
            ("PATCH", f"{issues}/comments/{{id:int}}", self._edit_comment),
            ("POST", f"{issues}/comments/{{id:int}}/reactions", self._react),
            ("GET", f"{issues}/comments/{{id:int}}/reactions", self._list_reactions),
            ("GET", f"{repo}/deployments", self._list_deployments),
            ("POST", f"{repo}/deployments", self._create_deployment),
            ("GET", f"{repo}/deployments/{{id:int}}/statuses", self._list_statuses),
            ("POST", f"{repo}/deployments/{{id:int}}/statuses", self._create_status),
        ]
        of_app = [
            ("GET", "/app", self._app),
            ("GET", "/app/hook/config", self._hook_config),
            ("GET", f"{repo}/installation", self._installation),
            ("POST", "/app/installations/{id:int}/access_tokens", self._mint),
            ("GET", "/app/hook/deliveries", self._deliveries),
            ("POST", "/app/hook/deliveries/{id:int}/attempts", self._redeliver),
        ]
        routes: list[Route] = [
            (method, at, self._as_installation(handler))
            for method, path, handler in of_repository
            for at in (path, path.replace(repo, _BY_ID, 1))
        ]
        routes += [
            (method, at, self._as_app(handler))
            for method, path, handler in of_app
            for at in dict.fromkeys((path, path.replace(repo, _BY_ID, 1)))
        ]
        routes.append(("POST", "/graphql", self._graphql))
        routes.append(("GET", "/rate_limit", self._rate_limit))
        routes.append(("POST", "/app-manifests/{code}/conversions", self._convert))
        self.handle = Router(routes, refusals={Problem: _answer}, missing=lambda: _answer(Problem(404, "Not Found")))

    # Who is asking

    def _as_installation(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            found = self._world.access.visible(request)(_named(request))
            if found is None:
                raise Problem(404, "Not Found")
            if (moved := _moved(request, found)) is not None:
                return moved
            headers = self._world.limits.charge(found.owner.lower())
            response = await handler(request, found)
            response.headers.update(headers)
            return response

        return handle

    def _as_app(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            self._world.access.check_app(request)
            return await handler(request)

        return handle

    # The App itself

    async def _app(self, _request: Request) -> Response:
        access = self._world.access
        return web.json({**self._world.own_app, "permissions": access.permissions, "events": access.events})

    async def _hook_config(self, _request: Request) -> Response:
        """The secret is never shown."""
        hidden = {"secret": "********"} if self._world.webhooks.secret else {}
        return web.json({"content_type": "json", "insecure_ssl": "0", "url": self._world.webhooks.url} | hidden)

    async def _installation(self, request: Request) -> Response:
        found = self._world.access.find(_named(request))
        if found is None:
            raise Problem(404, "Not Found")
        if (moved := _moved(request, found)) is not None:
            return moved
        access = self._world.access
        return web.json(answers.installation(found, self._world.own_app, access.permissions, access.events))

    async def _mint(self, request: Request) -> Response:
        return web.json(self._world.access.mint(request.path_params["id"]), 201)

    async def _deliveries(self, request: Request) -> Response:
        attempts = self._world.webhooks.attempts()
        wanted = request.query.get("status")
        if wanted:
            attempts = [attempt for attempt in attempts if (attempt.status == "OK") == (wanted == "success")]
        before = request.query.get("cursor", "")
        if before:
            attempts = [attempt for attempt in attempts if attempt.id < int(before.removeprefix("v1_"))]
        page = attempts[: _per_page(request)]
        headers = {}
        if len(page) < len(attempts):
            address = request.with_query(cursor=f"v1_{page[-1].id}")
            headers["link"] = f'<{address}>; rel="next"'
        return web.json([attempt.listed() for attempt in page], headers=headers)

    async def _redeliver(self, request: Request) -> Response:
        if not self._world.webhooks.repeat(request.path_params["id"]):
            raise Problem(404, "Not Found")
        return web.json({}, 202)

    async def _convert(self, request: Request) -> Response:
        """Asked without any credential: the code is one."""
        return web.json(self._world.manifests.convert(request.path_params["code"]), 201)

    async def _repository(self, _request: Request, repo: Repository) -> Response:
        more = {"has_discussions": False, "network_count": 0, "subscribers_count": 1}
        return web.json({**repository(repo), **more})

    # Pull requests and rules

    async def _graphql(self, request: Request) -> Response:
        access, body = self._world.access, request.json()
        headers = self._world.limits.charge(access.owner(request), "graphql")
        response = web.json(graphql.answer(body, access.visible(request), self._world.bot))
        response.headers.update(headers)
        return response

    async def _rate_limit(self, request: Request) -> Response:
        return web.json(self._world.limits.overview(self._world.access.owner(request)))

    async def _open(self, request: Request, repo: Repository) -> Response:
        """A branch that has commits, into one that exists; one open pull request for each."""
        body = request.json()
        head, base = body["head"], body["base"]
        missing = next((name for name in ("head", "base") if body[name] not in repo.branches), None)
        if missing:
            raise Problem(422, "Validation Failed", [{"resource": "PullRequest", "code": "invalid", "field": missing}])
        if any(pull.state == "open" and (pull.branch, pull.base) == (head, base) for pull in repo.pulls.values()):
            said = f"A pull request already exists for {repo.owner}:{head}."
            raise Problem(422, "Validation Failed", [{"resource": "PullRequest", "code": "custom", "message": said}])
        number = self._world.open_pull_request(
            repo.full_name,
            title=body["title"],
            author=self._world.bot,
            branch=head,
            base=base,
            draft=body.get("draft", False),
            head_sha=repo.branches[head],
        )
        return web.json(answers.pull_request(repo, repo.pulls[number]), 201)

    async def _dispatch(self, request: Request, repo: Repository) -> Response:
        body, file = request.json(), request.path_params["workflow"]
        if self._world.access.permissions.get("actions") != "write":
            raise Problem(403, "Resource not accessible by integration")
        if file not in repo.workflows:
            raise Problem(404, "Not Found")
        if body.get("ref") not in repo.branches:
            raise Problem(422, f"No ref found for: {body.get('ref')}")
        run_id = self._world.dispatch(repo.full_name, file, body["ref"], body.get("inputs", {}))
        if not body.get("return_run_details"):
            return Response(204)
        return web.json(answers.workflow_run(repo, run_id))

    async def _merge(self, request: Request, repo: Repository) -> Response:
        pull, body = _pull(request, repo), request.json()
        if (refusal := repo.refusal(pull)) is not None:
            pull.merging = max(0, pull.merging - 1)
            raise Problem(405, refusal)
        if pull.base_moved:
            pull.base_moved = False
            raise Problem(405, "Base branch was modified. Review and try the merge again.")
        if body.get("sha", pull.head_sha) != pull.head_sha:
            raise Problem(409, "Head branch was modified. Review and try the merge again.")
        if body.get("merge_method", "merge") not in {"merge", "squash", "rebase"}:
            raise Problem(422, "Invalid request.\n\nFor 'properties/merge_method', it is not a possible value.")
        sha = self._world.merge(repo.full_name, pull.number, self._world.bot)
        return web.json({"sha": sha, "merged": True, "message": "Pull Request successfully merged"})

    async def _files(self, request: Request, repo: Repository) -> Response:
        """No more than the first 3,000 of them."""
        pull = _pull(request, repo)
        return _paged(request, [answers.changed_file(repo, pull, name) for name in pull.files[:MOST_FILES]])

    async def _update_branch(self, request: Request, repo: Repository) -> Response:
        """GitHub answers before it has done so; here it is done."""
        pull, body = _pull(request, repo), request.json()
        if body.get("expected_head_sha", pull.head_sha) != pull.head_sha:
            raise Problem(422, "expected head sha didn\u2019t match current head ref.")
        if pull.based_on == repo.branches[pull.base]:
            raise Problem(422, "There are no new commits on the base branch.")
        if pull.conflicting:
            raise Problem(422, "merge conflict between base and head")
        self._world.update_branch(repo.full_name, pull.number, self._world.bot)
        url = f"https://github.com/repos/{repo.full_name}/pulls/{pull.number}"
        return web.json({"message": "Updating pull request branch.", "url": url}, 202)

    async def _rules(self, request: Request, repo: Repository) -> Response:
        return _paged(request, answers.rules(repo, request.path_params["branch"]))

    async def _compare(self, request: Request, repo: Repository) -> Response:
        """Without its commits, which nobody here reads; the files are on the first page alone."""
        base, _, head = request.path_params["basehead"].partition("...")
        if not repo.knows(base) or not repo.knows(head):
            raise Problem(404, "Not Found")
        content = answers.comparison(repo, base, head)
        if request.query.get("page", "1") == "1":
            content["files"] = []
        return web.json(content)

    async def _permission(self, request: Request, repo: Repository) -> Response:
        login = request.path_params["user"]
        if login not in repo.collaborators:
            raise Problem(404, "Not Found")
        return web.json(answers.permission(login, repo.collaborators[login]))

    # Comments

    async def _list_comments(self, request: Request, repo: Repository) -> Response:
        pull = _pull(request, repo)
        return _paged(request, [self._shown(repo, said) for said in repo.comments.values() if said.pull == pull.number])

    async def _create_comment(self, request: Request, repo: Repository) -> Response:
        pull, body = _pull(request, repo), _text(request)
        if pull.locked:
            raise Problem(403, "Unable to create comment because issue is locked.")
        comment_id = self._world.comment(repo.full_name, pull.number, body, self._world.bot, by_app=True)
        return web.json(self._shown(repo, repo.comments[comment_id]), 201)

    async def _get_comment(self, request: Request, repo: Repository) -> Response:
        return web.json(self._shown(repo, _comment(request, repo)))

    async def _edit_comment(self, request: Request, repo: Repository) -> Response:
        said = _comment(request, repo)
        self._world.edit_comment(repo.full_name, said.id, _text(request), self._world.bot)
        return web.json(self._shown(repo, said))

    async def _react(self, request: Request, repo: Repository) -> Response:
        content = request.json().get("content")
        if content not in _REACTIONS:
            raise Problem(422, "Validation Failed", [{"resource": "Reaction", "field": "content", "code": "invalid"}])
        said = _comment(request, repo)
        if repo.pulls[said.pull].locked:
            raise Problem(403, "Unable to create reaction because issue is locked.")
        reaction = (repo.full_name, said.id, content)
        existed = reaction in self._world.reactions
        if not existed:
            self._world.reactions.append(reaction)
            said.reactions.append(content)
        shown = answers.reaction(content, said.id, self._world.bot, said.created_at)
        return web.json(shown, 200 if existed else 201)

    async def _list_reactions(self, request: Request, repo: Repository) -> Response:
        said, wanted = _comment(request, repo), request.query.get("content")
        given = [content for content in said.reactions if wanted in (None, content)]
        return web.json([answers.reaction(content, said.id, self._world.bot, said.created_at) for content in given])

    def _shown(self, repo: Repository, said: Comment) -> JSON:
        return comment(repo, said, self._world.own_app)

    # Deployments

    async def _list_deployments(self, request: Request, repo: Repository) -> Response:
        wanted = {name: value for name, value in request.query.items() if name in {"sha", "task", "environment"}}
        found = [
            deployment
            for deployment in reversed(repo.deployments)
            if all(getattr(deployment, name) == value for name, value in wanted.items())
        ]
        return _paged(request, [answers.deployment(repo, deployment, self._world.bot) for deployment in found])

    async def _create_deployment(self, request: Request, repo: Repository) -> Response:
        body = request.json()
        if body.get("auto_merge", True):
            return web.json({"message": f"Auto-merged {repo.default_branch} into {body['ref']} on deployment."}, 202)
        if body.get("required_contexts") is None:
            raise Problem(409, f"Conflict: Commit status checks failed for {body['ref']}.")
        deployment = Deployment(
            id=self._world.ids.number(),
            sha=body["ref"],
            task=body.get("task", "deploy"),
            environment=body.get("environment", "production"),
            description=_short(body.get("description") or ""),
            payload=body.get("payload", {}),
            created_at=self._world.clock.now(),
        )
        repo.deployments.append(deployment)
        return web.json(answers.deployment(repo, deployment, self._world.bot), 201)

    async def _list_statuses(self, request: Request, repo: Repository) -> Response:
        return _paged(request, _find_deployment(request, repo).statuses[::-1])

    async def _create_status(self, request: Request, repo: Repository) -> Response:
        deployment, body = _find_deployment(request, repo), request.json()
        if body.get("state") not in _STATES:
            raise Problem(422, "Validation Failed", [{"resource": "DeploymentStatus", "field": "state"}])
        _short(body.get("description") or "")
        id, now = self._world.ids.number(), self._world.clock.now()
        status = answers.deployment_status(repo, deployment, id, body, self._world.bot, now)
        deployment.statuses.append(status)
        return web.json(status, 201)


def _named(request: Request) -> str:
    """`owner/name`, or the id that redirects name."""
    found = request.path_params
    return str(found["repository"]) if "repository" in found else f"{found['owner']}/{found['name']}"


def _moved(request: Request, repo: Repository) -> Response | None:
    """The redirect from a name that the repository had once (docs: best practices for the REST API, redirects)."""
    name = _named(request)
    if name.isdigit() or name.lower() == repo.full_name.lower():
        return None
    parts = request.parts
    address = parts._replace(path=f"/repositories/{repo.id}{parts.path.removeprefix(f'/repos/{name}')}").geturl()
    content = {"message": "Moved Permanently", "url": address, "documentation_url": _DOCS}
    return web.json(content, 301 if request.method == "GET" else 307, headers={"location": address})


def _pull(request: Request, repo: Repository) -> PullRequest:
    return _found(repo.pulls, request.path_params["number"])


def _comment(request: Request, repo: Repository) -> Comment:
    return _found(repo.comments, request.path_params["id"])


def _find_deployment(request: Request, repo: Repository) -> Deployment:
    return _found({deployment.id: deployment for deployment in repo.deployments}, request.path_params["id"])


def _found(things: dict[int, T], id: int) -> T:
    if id not in things:
        raise Problem(404, "Not Found")
    return things[id]


def _text(request: Request) -> str:
    body = str(request.json().get("body", ""))
    if not 0 < len(body) <= LONGEST_COMMENT:
        errors = [{"resource": "IssueComment", "code": "unprocessable", "field": "data", "message": "Body is too long"}]
        raise Problem(422, "Validation Failed", errors)
    return body


def _short(description: str) -> str:
    if len(description) > 140:
        raise Problem(422, "Validation Failed", [{"field": "description", "code": "custom", "message": "is too long"}])
    return description


def _per_page(request: Request) -> int:
    return max(1, min(100, int(request.query.get("per_page", 30))))


def _paged(request: Request, items: list[JSON]) -> Response:
    """One page, and the way to the next in Link."""
    size, page = _per_page(request), int(request.query.get("page", 1))
    headers = {}
    if page * size < len(items):
        last = -(-len(items) // size)
        links = {"next": page + 1, "last": last}
        shown = (f'<{request.with_query(page=at)}>; rel="{name}"' for name, at in links.items())
        headers["link"] = ", ".join(shown)
    return web.json(items[(page - 1) * size : page * size], headers=headers)


def _answer(problem: Problem) -> Response:
    return web.json(problem.content, problem.status, headers=problem.headers)
