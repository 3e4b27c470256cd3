"""A scene that stays up for all the examples of a module."""

import asyncio
from collections.abc import Iterator

import pytest
from fuzz.calling import Server
from fuzz.payloads import github_payloads
from unit.functions.scene import ImpatientLoop, opened


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    github_payloads()  # kept for the strategies; they are made in a scene too, and there is one at a time
    with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
        opening = opened()
        yield Server(runner.get_loop(), runner.run(opening.__aenter__()))
        runner.run(opening.__aexit__(None, None, None))
