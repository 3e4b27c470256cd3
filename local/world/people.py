"""A door into the simulated GitHub for whoever tries it out: what a person does there with a mouse."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.world.github import GitHubWorld, NotMergeable


class _Deed(Struct, frozen=True):
    """`by` is a login; the others as the deed needs them."""

    by: str
    title: str = "A change"
    body: str = ""
    check: str | None = "success"


class People:
    """`app`: POST /pulls, /pulls/N/comments, /pulls/N/merge, /pulls/N/push; GET /pulls, /pulls/N/comments."""

    def __init__(self, github: GitHubWorld, repository: str) -> None:
        self._github = github
        self._repository = repository
        self.app = Starlette(
            routes=[
                Route("/pulls", self._pulls, methods=["GET"]),
                Route("/pulls", self._open, methods=["POST"]),
                Route("/pulls/{number:int}/comments", self._comments, methods=["GET"]),
                Route("/pulls/{number:int}/comments", self._comment, methods=["POST"]),
                Route("/pulls/{number:int}/merge", self._merge, methods=["POST"]),
                Route("/pulls/{number:int}/push", self._push, methods=["POST"]),
            ],
            exception_handlers={
                msgspec.MsgspecError: _unusable,
                KeyError: _unknown,
                NotMergeable: _refused,
            },
        )

    async def _pulls(self, _: Request) -> Response:
        pulls = self._github.repository(self._repository).pulls.values()
        return JSONResponse(
            [{"number": p.number, "title": p.title, "state": p.state, "merged": p.merged} for p in pulls]
        )

    async def _open(self, request: Request) -> Response:
        deed = await _deed(request)
        number = self._github.open_pull_request(self._repository, title=deed.title, author=deed.by)
        self._github.report_check(self._repository, number, "test", deed.check)
        return JSONResponse({"number": number}, status_code=201)

    async def _comments(self, request: Request) -> Response:
        return JSONResponse(self._github.comments(self._repository, request.path_params["number"]))

    async def _comment(self, request: Request) -> Response:
        deed = await _deed(request)
        id = self._github.comment(self._repository, request.path_params["number"], deed.body, deed.by)
        return JSONResponse({"id": id}, status_code=201)

    async def _merge(self, request: Request) -> Response:
        deed = await _deed(request)
        sha = self._github.merge(self._repository, request.path_params["number"], deed.by)
        return JSONResponse({"sha": sha})

    async def _push(self, request: Request) -> Response:
        sha = self._github.push(self._repository, request.path_params["number"])
        return JSONResponse({"sha": sha}, status_code=201)


async def _deed(request: Request) -> _Deed:
    return msgspec.json.decode(await request.body(), type=_Deed)


async def _unusable(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=405)


async def _unknown(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"there is no {error}"}, status_code=404)
