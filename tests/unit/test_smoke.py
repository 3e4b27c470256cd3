"""The smoke test of a deployment: what passes, what is told, and how long it is waited for."""

from collections.abc import Callable

import httpx
import pytest
from click.testing import CliRunner
from networks import replying
from unit.functions.scene import Scene

from local.cli.smoke_test import smoke_test
from local.operating.smoke import BETWEEN, problems
from shared.clients.http import Internet

CONSOLE, WEBHOOK = "https://console.test", "https://webhooks.test/github-webhook"
Answers = Callable[[httpx.Request], httpx.Response]


def well(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/health":
        return httpx.Response(200, json={"status": "ok", "targets": []})
    return httpx.Response(401)


class Pauses:
    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


async def looked(*answers: Answers, within: float = 0, token: str = "t") -> tuple[list[str], list[float]]:
    """What is wrong in the end, and how it was waited. Each look is answered by the next, the last for ever."""
    left, pauses, requests = list(answers), Pauses(), []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return left[min((len(requests) - 1) // 2, len(left) - 1)](request)

    network = replying(answer)
    found = await problems(CONSOLE, WEBHOOK, token=token, within=within, network=network, pause=pauses)
    asked = [request for request in requests if request.url.path == "/health"]
    assert {request.headers.get("authorization") for request in asked} == {f"Bearer {token}" if token else None}
    return found, pauses.taken


async def test_what_works_passes_at_once() -> None:
    assert await looked(well, within=60) == ([], [])


async def test_nobody_in_particular_may_ask_where_no_token_is_needed() -> None:
    assert await looked(well, token="") == ([], [])


def failing(path: str, answer: httpx.Response | Exception) -> Answers:
    def answered(request: httpx.Request) -> httpx.Response:
        if request.url.path != path:
            return well(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return answered


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/health", httpx.Response(503), "the console: 503 Service Unavailable"),
        ("/health", httpx.Response(403), "is your account one of console_members?"),
        ("/health", httpx.Response(404), "is your account one of console_members?"),
        ("/health", httpx.Response(200, text="<html>"), "the console: DecodeError"),
        ("/health", httpx.Response(200, json={"status": "bad", "targets": []}), "the console: 200 OK"),
        ("/health", httpx.ConnectError("refused"), "the console: ConnectError refused"),
        ("/github-webhook", httpx.Response(202), "an unsigned one gets 202 Accepted, not 401"),
        ("/github-webhook", httpx.Response(500), "an unsigned one gets 500"),
        ("/github-webhook", httpx.ReadTimeout(""), "the webhooks: ReadTimeout"),
    ],
)
async def test_what_does_not_is_told(path: str, answer: httpx.Response | Exception, said: str) -> None:
    [problem], _ = await looked(failing(path, answer))
    assert said in problem


async def test_it_is_given_time() -> None:
    broken = failing("/health", httpx.Response(503))
    assert await looked(broken, broken, well, within=60) == ([], [BETWEEN] * 2)
    (_, pauses) = await looked(broken, within=10)
    assert pauses == [BETWEEN] * 2


async def test_the_real_functions_pass_and_a_store_that_is_down_is_told(scene: Scene) -> None:
    async def found() -> list[str]:
        network = Internet(transport=httpx.ASGITransport(app=scene.functions))
        return await problems(CONSOLE, WEBHOOK, token="t", within=0, network=network)

    assert await found() == []
    scene.store.down = True
    assert await found() == ["the console: 503 Service Unavailable"]


def test_the_command_says_what_is_wrong_and_never_the_token() -> None:
    words = ["--console", "http://127.0.0.1:1", "--webhook", "http://127.0.0.1:1/github-webhook", "--within", "0"]
    result = CliRunner().invoke(smoke_test, words, env={"SIGNALBOX_IDENTITY_TOKEN": "identity-token"})
    assert result.exit_code == 1
    assert [line.partition(":")[0] for line in result.output.splitlines()] == ["the console", "the webhooks"]
    assert "identity-token" not in result.output
