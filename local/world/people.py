"""A door into the simulated GitHub and Railway for whoever tries things out: what people do there with a mouse.

`signalbox try` knocks here, and so can curl. All bodies and answers are JSON.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import msgspec
from graphql import GraphQLError
from msgspec import Meta, Struct

from local.world import web
from local.world.github.server import GitHubWorld, NotMergeable
from local.world.railway.server import RailwayWorld
from local.world.web import Request, Response, Route, Router, received
from shared.clients import http
from shared.core.target_config import TargetConfig

T = TypeVar("T")
Seconds = Annotated[float, Meta(ge=0, le=86400)]
FATES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "unhealthy": {"health": "failing"},
        "wrong-version": {"shows_commit": "previous"},
        "build-fails": {"build": "fail"},
        "never-starts": {"start": "fail"},
        "crashes": {"crash_after": 3.0},
        "ends": {"exit_after": 3.0},
        "skipped": {"skipped": True},
        "needs-approval": {"needs_approval": True},
        "queued": {"queued": True},
    }
)
"""What can become of a version, as plans of the simulated Railway."""
REVIEWS = ("approved", "changes_requested")
CHECK = "test"


class Unknown(Exception):
    """There is no such thing, or more than one; says what there is."""


class Opened(Struct, frozen=True):
    by: str = "ada"
    title: str = "A change"
    check: str | None = "success"
    base: str | None = None
    files: tuple[str, ...] = ("src/app.py",)
    """What it changes, which matters where a service is deployed for some files only."""


class By(Struct, frozen=True):
    by: str = "ada"


class Said(Struct, frozen=True):
    body: str
    by: str = "grace"


class Labelled(Struct, frozen=True):
    name: str
    by: str = "grace"
    remove: bool = False


class Reviewed(Struct, frozen=True):
    state: str
    by: str = "grace"


class Checked(Struct, frozen=True):
    conclusion: str | None
    name: str = CHECK


class SlowCi(Struct, frozen=True):
    """The check begins `begins` seconds after a push and takes `takes` more. `pull`: of that one, now."""

    begins: Seconds = 5.0
    takes: Seconds = 15.0
    ends: str = "success"
    pull: int | None = None


class Rules(Struct, frozen=True):
    """What the branch asks for from now on."""

    review: bool = False
    checks: list[str] | None = None
    branch: str | None = None


class Fate(Struct, frozen=True):
    how: str = "unhealthy"
    target: str | None = None


class At(Struct, frozen=True):
    target: str | None = None


class People:
    """`app`: see HELP, which it answers at `/`. What is asked there is about the first target's repository, and below
    `/repositories/OWNER/NAME` about that one."""

    def __init__(self, github: GitHubWorld, railway: RailwayWorld, targets: Sequence[TargetConfig]) -> None:
        self._github = github
        self._railway = railway
        self._targets = targets
        self._slow: SlowCi | None = None
        here = self._of_a_repository()
        named = [(method, f"/repositories/{{owner}}/{{name}}{path}", handler) for method, path, handler in here]
        routes: list[Route] = [
            ("GET", "/", self._help),
            ("GET", "/targets", self._show_targets),
            ("POST", "/next", self._next),
            ("POST", "/crash", self._crash),
            ("POST", "/approve-deployment", self._approve),
            *named,
            *here,
        ]
        refusals = {msgspec.MsgspecError: _unusable, Unknown: _unknown, NotMergeable: _refused, GraphQLError: _refused}
        self._handle = Router(routes, refusals=refusals)

    async def app(self, sent: http.Request) -> http.Response:
        return await received(self._handle, sent)

    def _of_a_repository(self) -> list[Route]:
        pull = "/pulls/{number:int}"
        return [
            ("GET", "/pulls", self._list),
            ("POST", "/pulls", self._open),
            ("POST", "/rules", self._rules),
            ("POST", "/slow-ci", self._slow_ci),
            ("GET", f"{pull}/comments", self._comments),
            ("POST", f"{pull}/comments", self._comment),
            ("POST", f"{pull}/merge", self._merge),
            ("POST", f"{pull}/push", self._push),
            ("POST", f"{pull}/close", self._close),
            ("POST", f"{pull}/labels", self._label),
            ("POST", f"{pull}/reviews", self._review),
            ("POST", f"{pull}/checks", self._check),
        ]

    async def _help(self, _: Request) -> Response:
        return web.json({"requests": dict(HELP), "fates": list(FATES), "targets": [one.name for one in self._targets]})

    # GitHub

    async def _list(self, request: Request) -> Response:
        pulls = self._github.repository(self._repository(request)).pulls.values()
        return web.json([{"number": p.number, "title": p.title, "state": p.state, "merged": p.merged} for p in pulls])

    async def _open(self, request: Request) -> Response:
        repository, deed = self._repository(request), _deed(request, Opened)
        base = deed.base or self._branch(repository)
        if base not in self._github.repository(repository).branches:
            raise Unknown(f"branch {base} in {repository}")
        number = len(self._github.repository(repository).pulls) + 1
        self._github.open_pull_request(
            repository, title=deed.title, author=deed.by, branch=f"change-{number}", base=base, files=deed.files
        )
        self._run_ci(repository, number, deed.check)
        return web.json({"number": number}, status=201)

    async def _comments(self, request: Request) -> Response:
        repository, number = self._pull(request)
        return web.json(self._github.comments(repository, number))

    async def _comment(self, request: Request) -> Response:
        (repository, number), deed = self._pull(request), _deed(request, Said)
        return web.json({"id": self._github.comment(repository, number, deed.body, deed.by)}, status=201)

    async def _merge(self, request: Request) -> Response:
        (repository, number), deed = self._pull(request), _deed(request, By)
        return web.json({"sha": self._github.merge(repository, number, deed.by)})

    async def _push(self, request: Request) -> Response:
        repository, number = self._pull(request)
        sha = self._github.push(repository, number)
        self._run_ci(repository, number, "success")
        return web.json({"sha": sha}, status=201)

    async def _close(self, request: Request) -> Response:
        repository, number = self._pull(request)
        if self._github.pull(repository, number).state == "closed":
            raise NotMergeable("Pull Request is closed")
        self._github.close(repository, number)
        return web.json({"closed": number})

    async def _label(self, request: Request) -> Response:
        (repository, number), deed = self._pull(request), _deed(request, Labelled)
        if not deed.remove:
            self._github.label(repository, number, deed.name, deed.by)
        elif deed.name not in self._github.pull(repository, number).labels:
            raise Unknown(f"label {deed.name!r} on #{number}")
        else:
            self._github.unlabel(repository, number, deed.name, deed.by)
        return web.json({"labels": self._github.pull(repository, number).labels})

    async def _review(self, request: Request) -> Response:
        (repository, number), deed = self._pull(request), _deed(request, Reviewed)
        _one_of("review", deed.state, REVIEWS)
        self._github.review(repository, number, deed.state, deed.by)
        return web.json({"reviews": self._github.pull(repository, number).reviews}, status=201)

    async def _check(self, request: Request) -> Response:
        (repository, number), deed = self._pull(request), _deed(request, Checked)
        self._github.report_check(repository, number, deed.name, deed.conclusion)
        return web.json({deed.name: deed.conclusion}, status=201)

    async def _rules(self, request: Request) -> Response:
        repository, deed = self._repository(request), _deed(request, Rules)
        branch = deed.branch or self._branch(repository)
        if deed.review:
            self._github.require_review(repository, branch)
        if deed.checks is not None:
            self._github.require_checks(repository, branch, deed.checks)
        return web.json({"branch": branch, "review": deed.review, "checks": deed.checks or []})

    async def _slow_ci(self, request: Request) -> Response:
        """Of the pull request that is named, else of the next push to any."""
        repository, deed = self._repository(request), _deed(request, SlowCi)
        if deed.pull is None:
            self._slow = deed
        else:
            self._known(repository, deed.pull)
            self._run_slowly(repository, deed.pull, deed)
        return web.json({"begins": deed.begins, "takes": deed.takes, "ends": deed.ends})

    def _run_ci(self, repository: str, number: int, conclusion: str | None) -> None:
        """At once, unless the next push was to be slow."""
        slow, self._slow = self._slow, None
        if slow is None:
            self._github.report_check(repository, number, CHECK, conclusion)
        else:
            self._run_slowly(repository, number, slow)

    def _run_slowly(self, repository: str, number: int, slow: SlowCi) -> None:
        head = self._github.pull(repository, number).head_sha

        def report(conclusion: str | None) -> None:
            if self._github.pull(repository, number).head_sha == head:
                self._github.report_check(repository, number, CHECK, conclusion)

        later = asyncio.get_running_loop().call_later
        later(slow.begins, report, None)
        later(slow.begins + slow.takes, report, slow.ends)

    # Railway

    async def _show_targets(self, _: Request) -> Response:
        return web.json([self._shown(target) for target in self._targets])

    def _shown(self, target: TargetConfig) -> dict[str, Any]:
        live = self._railway.serving(target.service_id, target.environment_id)
        return {
            "target": target.name,
            "repository": target.repository,
            "branch": target.branch,
            "live": {"deployment": live.id, "commit": live.commit_sha, "status": live.status} if live else None,
        }

    async def _next(self, request: Request) -> Response:
        deed = _deed(request, Fate)
        target = self._target(deed.target)
        _one_of("fate", deed.how, FATES)
        self._railway.plan_in(target.environment_id, target.service_id, **FATES[deed.how])
        return web.json({"target": target.name, "next": deed.how})

    async def _crash(self, request: Request) -> Response:
        target = self._target((_deed(request, At)).target)
        live = self._railway.serving(target.service_id, target.environment_id)
        if live is None or live.status != "SUCCESS":
            raise Unknown(f"live deployment of {target.name} that could crash")
        self._railway.crash(live)
        return web.json({"crashed": live.id})

    async def _approve(self, request: Request) -> Response:
        target = self._target((_deed(request, At)).target)
        known = self._railway.deployments(target.service_id, target.environment_id)
        waiting = next((one for one in known if one.status == "NEEDS_APPROVAL"), None)
        if waiting is None:
            raise Unknown(f"deployment of {target.name} that waits for an approval")
        self._railway.approve(waiting.id)
        return web.json({"approved": waiting.id})

    # Which one

    def _repository(self, request: Request) -> str:
        if "owner" not in request.path_params:
            return self._targets[0].repository
        name = f"{request.path_params['owner']}/{request.path_params['name']}"
        if name.lower() not in self._github.repositories:
            raise Unknown(f"repository {name}; there is {', '.join(sorted(self._github.repositories))}")
        return name

    def _branch(self, repository: str) -> str:
        return next(one.branch for one in self._targets if one.repository.lower() == repository.lower())

    def _pull(self, request: Request) -> tuple[str, int]:
        repository, number = self._repository(request), request.path_params["number"]
        self._known(repository, number)
        return repository, number

    def _known(self, repository: str, number: int) -> None:
        if number not in self._github.repository(repository).pulls:
            raise Unknown(f"pull request #{number} in {repository}")

    def _target(self, name: str | None) -> TargetConfig:
        """By id, service/environment, service or environment; the first one where none is named. Raises Unknown."""
        if name is None:
            return self._targets[0]
        found = [one for one in self._targets if name in (one.id, one.name, one.service, one.environment)]
        if len(found) != 1:
            names = ", ".join(one.name if len(found) < 2 else one.id for one in found or self._targets)
            raise Unknown(f"{'single ' if found else ''}target {name!r}; there is {names}")
        return found[0]


HELP: Mapping[str, str] = MappingProxyType(
    {
        "GET /targets": "what is deployed where, and what is live there",
        "GET /pulls": "the pull requests",
        "POST /pulls": '{"title", "by", "base", "check": "success", "files": ["src/app.py"]}',
        "POST /pulls/N/comments": '{"body": "/deploy", "by"}',
        "GET /pulls/N/comments": "what was said there",
        "POST /pulls/N/merge, /push, /close": '{"by"}',
        "POST /pulls/N/labels": '{"name", "by", "remove": false}',
        "POST /pulls/N/reviews": '{"state": "approved" or "changes_requested", "by"}',
        "POST /pulls/N/checks": '{"name": "test", "conclusion": "success", "failure", … or null}',
        "POST /rules": '{"review": true, "checks": ["test"], "branch"}',
        "POST /slow-ci": '{"begins": 5, "takes": 15, "ends": "success", "pull": N}',
        "POST /next": '{"how": a fate, "target"}: of the next deployment',
        "POST /crash": '{"target"}: what is live',
        "POST /approve-deployment": '{"target"}: what waits for an approval on Railway',
    }
)
"""The requests and their bodies; `/repositories/OWNER/NAME` before a path names another repository than the first."""


def _one_of(what: str, named: str, known: Sequence[str] | Mapping[str, Any]) -> None:
    if named not in known:
        raise Unknown(f"{what} {named!r}; there is {', '.join(known)}")


def _deed(request: Request, kind: type[T]) -> T:
    return msgspec.json.decode(request.body or b"{}", type=kind)


def _answering(status: int, prefix: str = "") -> Callable[[Exception], Response]:
    def answer(error: Exception) -> Response:
        message = error.message if isinstance(error, GraphQLError) else str(error)
        return web.json({"error": f"{prefix}{message}"}, status)

    return answer


_unusable = _answering(400)
_refused = _answering(405)
_unknown = _answering(404, "there is no ")
