"""A client hears from a simulated vendor the same straight away as through httpx and ASGI."""

import json
from typing import Any

import httpx
import pytest
from networks import straight_to

from local.world import web
from local.world.faults import Fault, Faulty
from local.world.web import Request, Response, Router
from shared.clients.http import USER_AGENT, HttpClient, Internet


class Refusal(Exception):
    """What the vendor makes an answer of."""


async def thing(request: Request) -> Response:
    if request.path_params["number"] == 9:
        raise Refusal("no nine")
    if request.path_params["number"] == 13:
        raise KeyError("nobody expected this")
    heard = {name: request.headers.get(name) for name in ("authorization", "user-agent", "accept")}
    body = request.json() if request.method == "POST" else None
    said = {"url": request.url, "query": request.query, "body": body, "headers": heard, "next": request.with_query(n=2)}
    return web.json(said, 201, {"x-number": str(request.path_params["number"])})


@pytest.fixture
def vendor() -> Faulty:
    routes = [(method, "/v2/things/{number:int}", thing) for method in ("GET", "POST")]
    return Faulty(Router(routes, refusals={Refusal: lambda error: web.json({"message": str(error)}, 422)}))


@pytest.fixture(params=["straight", "by ASGI"])
def client(request: pytest.FixtureRequest, vendor: Faulty) -> HttpClient:
    network = vendor if request.param == "straight" else Internet(transport=straight_to(vendor))
    return HttpClient("https://api.test/v2", headers={"Accept": "text/x"}, network=network)


@pytest.mark.parametrize(
    ("method", "url", "more", "status", "said"),
    [
        ("GET", "/things/1?n=1&name=a%20b", {}, 201, {"query": {"n": "1", "name": "a b"}, "body": None}),
        ("POST", "things/2", {"json": {"größe": [1, None, "é"]}}, 201, {"body": {"größe": [1, None, "é"]}}),
        ("GET", "https://api.test/v2/things/3", {}, 201, {"next": "https://api.test/v2/things/3?n=2"}),
        ("GET", "/things/9", {}, 422, {"message": "no nine"}),
    ],
)
async def test_what_is_asked_is_answered(
    client: HttpClient, method: str, url: str, more: dict[str, Any], status: int, said: dict[str, Any]
) -> None:
    answer = await client.send(method, url, changes=False, headers={"Authorization": "Bearer x"}, **more)

    shown = json.loads(answer.content)
    assert (answer.status_code, {name: shown[name] for name in said}) == (status, said)
    if status == 201:
        assert shown["headers"] == {"authorization": "Bearer x", "user-agent": USER_AGENT, "accept": "text/x"}
        assert answer.headers["x-number"] == url[url.index("things/") + 7]


@pytest.mark.parametrize(("method", "url", "status"), [("DELETE", "/things/1", 405), ("GET", "/nothing", 404)])
async def test_what_there_is_no_route_for(client: HttpClient, method: str, url: str, status: int) -> None:
    assert (await client.send(method, url, changes=False)).status_code == status


async def test_what_a_vendor_did_not_expect_gets_out(client: HttpClient) -> None:
    with pytest.raises(KeyError):
        await client.exchange("GET", "/things/13")


async def test_faults_and_the_record_of_calls(client: HttpClient, vendor: Faulty) -> None:
    vendor.faults += [Fault(body={"no": 1}), Fault(lost=True, after_effect=True), Fault(hides="body")]
    assert (await client.exchange("GET", "/things/1")).status_code == 502
    with pytest.raises(httpx.ReadTimeout):
        await client.exchange("GET", "/things/2")
    answer = await client.exchange("POST", "/things/3", json=[1])
    assert json.loads(answer.content)["body"] == [None]
    assert [(call.path, call.status) for call in vendor.calls] == [
        ("/v2/things/1", 502),
        ("/v2/things/2", 0),
        ("/v2/things/3", 201),
    ]
