"""What the simulation leaves out for speed changes nothing: the same day without it is the same in every step."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulation import wire
from local.simulation.lean import lean
from local.simulation.simulation import simulate
from shared.clients.http import open_client, send

WHOLE_DAYS = range(24)


class Refusal(Exception):
    """What the application makes an answer of."""


async def _thing(request: Request) -> Response:
    number = request.path_params["number"]
    if number == 9:
        raise Refusal("no nine")
    if number == 13:
        raise KeyError("nobody expected this")
    heard = ("host", "authorization", "user-agent", "accept")
    body = await request.json() if request.method == "POST" else None
    return JSONResponse(
        {
            "url": str(request.url),
            "query": dict(request.query_params),
            "body": body,
            "headers": {name: request.headers.get(name) for name in heard},
        },
        201,
        headers={"X-Number": str(number)},
    )


async def _refuse(_: Request, error: Exception) -> Response:
    return JSONResponse({"message": str(error)}, 422)


class _Way(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        route = Route("/v2/things/{number:int}", _thing, methods=["GET", "POST"])
        self._app = Starlette(routes=[route], exception_handlers={Refusal: _refuse})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await wire.answer(self._app, request)


def _client() -> httpx.AsyncClient:
    return open_client("https://api.test/v2", headers={"Accept": "text/x"}, transport=_Way())


async def _answers() -> list[object]:
    client = _client()
    answers: list[object] = []
    for method, url, more in (
        ("GET", "/things/1?per_page=100&name=a%20b", {}),
        ("POST", "things/2", {"json": {"größe": [1, None, "é"]}}),
        ("GET", "https://other.test/v2/things/3", {"headers": {"Authorization": "Bearer x", "user-agent": "me"}}),
        ("GET", "/things/9", {}),
        ("DELETE", "/things/1", {}),
        ("GET", "/nothing", {}),
    ):
        response = await send(client, method, url, changes=False, **more)
        kept = {name: response.headers.get(name) for name in ("x-number", "content-type", "content-length")}
        answers += [response.status_code, response.content, response.is_success, kept, str(response.request.url)]
    async with client.stream("GET", "/things/4") as streamed:
        answers += [b"".join([chunk async for chunk in streamed.aiter_bytes()]), streamed.reason_phrase]
    return answers


async def test_a_client_and_an_application_hear_the_same_as_over_httpx_and_asgi() -> None:
    with lean():
        quick = await _answers()
    with lean(plain=True):
        assert quick == await _answers()


async def test_what_an_application_did_not_expect_gets_out() -> None:
    with lean(), pytest.raises(KeyError):
        await _client().get("/things/13")


@pytest.mark.parametrize("seed", WHOLE_DAYS)
def test_a_day_is_the_same_without_any_shortcut(seed: int) -> None:
    assert simulate(seed) == simulate(seed, plain=True)
