"""The door through which somebody who tries things out is one of the people."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from networks import straight_to

from local.world.clock import VirtualClock
from local.world.github.server import GitHubWorld
from local.world.people import FATES, HELP, People
from local.world.railway.server import RailwayWorld
from shared.runtime.config import Config, parse

FILE = """
[repositories."acme/shop".services.web]
project_id = "p"
service_id = "web"
environments.production = { environment_id = "production" }
environments.staging = { environment_id = "staging", branch = "next" }

[repositories."acme/blog".services.web]
project_id = "p2"
service_id = "blog"
environments.live = { environment_id = "live" }
"""
OLD = "0" * 40


class Town:
    """The two vendors with something to do, and the door."""

    def __init__(self, configured: Config) -> None:
        self.clock = VirtualClock(datetime(2026, 11, 26, tzinfo=UTC))
        self.github = GitHubWorld(clock=self.clock, webhook_secret="s")
        self.railway = RailwayWorld(clock=self.clock, token="t", webhook_secret="s", pace=1)
        for target in configured.targets:
            self.github.add_repository(target.repository, collaborators={"ada": "admin"})
            self.railway.add_service(
                project_id=target.project_id,
                environment_id=target.environment_id,
                service_id=target.service_id,
                name=target.service,
                repository=target.repository,
                serving_commit=OLD,
            )
        app = People(self.github, self.railway, configured.targets).app
        self.door = httpx.AsyncClient(transport=straight_to(app), base_url="http://people")

    async def post(self, path: str, **body: Any) -> Any:
        answer = await self.door.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def refused(self, path: str, **body: Any) -> tuple[int, str]:
        answer = await self.door.post(path, json=body)
        return answer.status_code, answer.json()["error"]


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    made = Town(parse(FILE))
    yield made
    await made.door.aclose()


async def test_the_door_says_what_can_be_asked(town: Town) -> None:
    said = (await town.door.get("/")).json()
    assert said["requests"] == dict(HELP)
    assert said["targets"] == ["web/production", "web/staging", "web/live"]


@pytest.mark.parametrize("how", FATES)
async def test_the_next_version_of_one_environment_fails(town: Town, how: str) -> None:
    # Given that the next version on staging is to end badly
    await town.post("/next", how=how, target="web/staging")

    # When both environments get one
    staging, production = (town.railway.deploy("web", name, "a" * 40) for name in ("staging", "production"))

    # Then the one's fate is not the other's
    planned = {name: getattr(staging.plan, name) for name in FATES[how]}
    assert planned == dict(FATES[how])
    assert {name: getattr(production.plan, name) for name in FATES[how]} != planned


async def test_a_pull_request_changes_the_files_that_are_named(town: Town) -> None:
    number = (await town.post("/pulls", files=["docs/guide.md"]))["number"]
    (repository, *_) = town.github.repositories.values()
    assert repository.pulls[number].files == ("docs/guide.md",)


async def test_what_is_live_crashes(town: Town) -> None:
    await town.post("/crash", target="live")
    live = {one["target"]: one["live"]["status"] for one in (await town.door.get("/targets")).json() if one["live"]}
    assert live == {"web/production": "SUCCESS", "web/staging": "SUCCESS", "web/live": "CRASHED"}
    assert await town.refused("/crash", target="live") == (
        404,
        "there is no live deployment of web/live that could crash",
    )


async def test_a_deployment_is_approved(town: Town) -> None:
    await town.post("/next", how="needs-approval")
    made = town.railway.deploy("web", "production", "a" * 40)
    town.clock.advance(1)
    await town.railway.tick()
    assert made.status == "NEEDS_APPROVAL"
    await town.post("/approve-deployment")
    assert made.status == "BUILDING"


async def test_labels_and_reviews(town: Town) -> None:
    opened = await town.post("/pulls", title="t", by="ada")
    assert (await town.post("/pulls/1/labels", name="ship it"))["labels"] == ["enhancement", "ship it"]
    assert (await town.post("/pulls/1/labels", name="ship it", remove=True))["labels"] == ["enhancement"]
    await town.post("/rules", review=True, checks=["test", "lint"])
    await town.post("/pulls/1/reviews", state="approved")
    repository = town.github.repository("acme/shop")
    assert repository.review_decision(repository.pulls[opened["number"]]) == "APPROVED"
    assert repository.required_checks == {"main": ["test", "lint"]}


async def test_ci_that_is_slow_begins_late_and_ends(town: Town) -> None:
    # Given that CI is to be slow at the next push
    await town.post("/slow-ci", begins=0, takes=0, ends="failure")

    # When somebody opens a pull request, there is no check at first
    await town.post("/pulls", title="t")
    pull = town.github.pull("acme/shop", 1)
    reported = [check.conclusion for check in pull.head_checks()]
    for _ in range(5):
        await asyncio.sleep(0)

    # Then it comes, and the push after that is quick again
    assert reported in ([], [None], ["failure"])
    assert [check.conclusion for check in pull.head_checks()] == ["failure"]
    await town.post("/pulls/1/push")
    assert [check.conclusion for check in pull.head_checks()] == ["success"]


async def test_another_repository_is_named_in_the_path(town: Town) -> None:
    await town.post("/repositories/acme/blog/pulls", title="a post")
    assert [len(town.github.repository(name).pulls) for name in ("acme/shop", "acme/blog")] == [0, 1]
    assert await town.refused("/repositories/acme/nothing/pulls") == (
        404,
        "there is no repository acme/nothing; there is acme/blog, acme/shop",
    )


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/pulls/7/merge", {}, 404, "there is no pull request #7 in acme/shop"),
        ("/pulls", {"base": "nowhere"}, 404, "there is no branch nowhere in acme/shop"),
        ("/next", {"how": "explode"}, 404, "there is no fate 'explode'; there is unhealthy, "),
        ("/next", {"target": "web"}, 404, "there is no single target 'web'; there is acme:shop:web:production, "),
        ("/next", {"target": "api"}, 404, "there is no target 'api'; there is web/production, "),
        ("/approve-deployment", {}, 404, "there is no deployment of web/production that waits"),
        ("/pulls", {"title": 7}, 400, "Expected `str`"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_what_there_is(
    town: Town, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    assert (await town.refused(path, **body))[0] == status
    assert (await town.refused(path, **body))[1].startswith(said)
