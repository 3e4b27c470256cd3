"""Real payloads to spoil: what the simulated vendors send while somebody takes a pull request to production."""

import asyncio
import functools
import json
from collections.abc import Mapping
from typing import Any

from unit.functions.scene import ImpatientLoop, Scene, opened

from local.world.vendors import REPOSITORY, SERVICE

READ_OF_GITHUB = [
    *[("action",), ("number",), ("pull_request",), ("pull_request", "number"), ("pull_request", "merged")],
    *[
        ("repository",),
        ("repository", "full_name"),
        ("check_suite",),
        ("check_suite", "head_sha"),
        ("sha",),
        ("state",),
    ],
    *[("issue",), ("issue", "number"), ("issue", "pull_request"), ("comment",), ("comment", "id"), ("comment", "body")],
    *[("comment", "user"), ("comment", "user", "login"), ("comment", "user", "type"), ("comment", "html_url")],
    *[("sender",), ("sender", "type"), ("sender", "login")],
]
READ_OF_RAILWAY = [
    *[("type",), ("resource",), ("resource", "environment"), ("resource", "service"), ("resource", "deployment")],
    *[("resource", "environment", "id"), ("resource", "service", "id"), ("resource", "deployment", "id")],
]
"""The fields that are read."""


@functools.cache
def github_payloads() -> dict[tuple[str, str], Any]:
    """By event and action."""
    return _collected()[0]


@functools.cache
def railway_payloads() -> list[Any]:
    return _collected()[1]


@functools.cache
def _collected() -> tuple[dict[tuple[str, str], Any], list[Any]]:
    with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
        return runner.run(_collect())


async def _collect() -> tuple[dict[tuple[str, str], Any], list[Any]]:
    from_railway: list[Any] = []
    async with opened() as scene:

        async def keep(_: Mapping[str, str], body: bytes) -> int:
            from_railway.append(json.loads(body))
            return 202

        scene.railway.deliver = keep
        _happen(scene)
        await scene.github.tick()
        for _ in range(10):
            await scene.live(5)
        sent = [attempt.webhook for attempt in scene.github.webhooks.attempts()]
    return {(one.event, one.action or ""): json.loads(one.body) for one in sent}, from_railway


def _happen(scene: Scene) -> None:
    number = scene.open_pull_request(tests=None)
    scene.github.push(REPOSITORY, number)
    scene.github.report_check(REPOSITORY, number, "tests", "success")
    scene.github.report_status(REPOSITORY, number, "lint", "success")
    scene.github.review(REPOSITORY, number, "approved", "ada")
    scene.github.comment(REPOSITORY, number, "/deploy production --force it is urgent", "grace")
    sha = scene.merge(number)
    scene.railway.deploy(SERVICE, "environment-production", sha)
