"""The storm in front of the functions: every message several times at once, and no sender told more than is true."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from local.demo.duplicator import Storm


class Function:
    """Counts what it gets, and answers in turn."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []

    async def __call__(self, scope, receive, send) -> None:
        self.bodies.append(await Request(scope, receive).body())
        status = self.answers.pop(0) if self.answers else 200
        await PlainTextResponse(f"{status}", status_code=status)(scope, receive, send)


async def ask(storm: Storm, method: str = "POST", path: str = "/functions/merge") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=storm), base_url="http://local") as client:
        return await client.request(method, path, content=b"a message" if method == "POST" else None)


def in_front_of(function: Function, copies: int) -> Storm:
    storm = Storm(copies)
    storm.app = function
    return storm


async def test_each_message_comes_so_often_and_is_answered_once() -> None:
    function = Function()
    answer = await ask(in_front_of(function, 5))
    assert function.bodies == [b"a message"] * 5
    assert (answer.status_code, answer.text) == (200, "200")


async def test_one_copy_that_was_refused_brings_all_back() -> None:
    assert (await ask(in_front_of(Function(200, 503, 200), 3))).status_code == 503


@pytest.mark.parametrize(("method", "path"), [("GET", "/runs"), ("POST", "/functions/sweep")])
async def test_questions_and_the_schedule_come_once(method: str, path: str) -> None:
    function = Function()
    await ask(in_front_of(function, 5), method, path)
    assert len(function.bodies) == 1


async def test_it_knows_when_it_was_called_last() -> None:
    storm = in_front_of(Function(), 1)
    before = storm.last_call
    await ask(storm)
    assert storm.last_call >= before
