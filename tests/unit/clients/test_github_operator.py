"""What people ask of GitHub beside what the functions do, against the simulated GitHub."""

from datetime import timedelta

import httpx
import pytest
from unit.clients.test_github import (  # noqa: F401 - the fixtures
    REPO,
    clock,
    github,
    key,
    scripted,
    source,
    world,
)

from local.world.github.model import Dispatch
from shared.clients.github.operator import GitHubOperator, PullRequestExists, WorkflowRun
from shared.errors import NotFound, Refused, Unauthorized, Unavailable, UnknownOutcome


@pytest.fixture
def operator(github) -> GitHubOperator:  # noqa: F811
    return GitHubOperator(github.app)


# Workflows


@pytest.fixture
def workflow(world) -> str:  # noqa: F811
    """A file, which the App may start."""
    world.access.permissions["actions"] = "write"
    world.add_workflow(REPO, "release.yml")
    return "release.yml"


async def test_a_workflow_is_started_and_its_run_is_known(world, operator, workflow):  # noqa: F811
    started = await operator.start_workflow(REPO, workflow, ref="main", inputs={"level": "patch"})
    [run] = world.repository(REPO).dispatched
    assert run == Dispatch(run_id=run.run_id, file="release.yml", ref="main", inputs={"level": "patch"})
    assert started == WorkflowRun(run.run_id, f"https://github.com/{REPO}/actions/runs/{run.run_id}")


async def test_a_workflow_is_started_without_details(world, operator, workflow):  # noqa: F811
    assert await operator.start_workflow(REPO, workflow, ref="main", details=False) is None
    assert len(world.repository(REPO).dispatched) == 1


async def test_what_cannot_be_started(world, operator, workflow):  # noqa: F811
    with pytest.raises(NotFound):
        await operator.start_workflow(REPO, "none.yml", ref="main")
    with pytest.raises(Refused, match="No ref found for: gone"):
        await operator.start_workflow(REPO, workflow, ref="gone")
    assert world.repository(REPO).dispatched == []


async def test_starting_a_workflow_needs_a_permission_of_its_own(world, operator, workflow):  # noqa: F811
    world.access.permissions["actions"] = "read"
    with pytest.raises(Unauthorized, match="not accessible by integration"):
        await operator.start_workflow(REPO, workflow, ref="main")


async def test_a_lost_answer_leaves_open_whether_it_was_started(scripted):  # noqa: F811
    with pytest.raises(UnknownOutcome):
        await GitHubOperator(scripted(httpx.Response(502)).app).start_workflow(REPO, "release.yml", ref="main")


# Pull requests


async def test_a_pull_request_is_opened_and_its_checks_are_read(world, github, operator):  # noqa: F811
    head = world.commit(REPO, "faster", "bob")
    opened = await operator.open_pull_request(REPO, title="Faster cart", head="faster", base="main", body="Why.")
    world.report_check(REPO, opened.number, "tests", None)
    pull = await github.pull_request(REPO, opened.number)
    assert (pull.title, pull.head_sha, pull.author, pull.draft) == ("Faster cart", head, world.bot, False)
    assert (opened.head_sha, opened.url) == (head, pull.url)
    assert [(check.name, check.state) for check in pull.checks] == [("tests", "pending")]


async def test_a_second_pull_request_of_a_branch_is_refused(world, operator):  # noqa: F811
    world.commit(REPO, "faster", "bob")
    await operator.open_pull_request(REPO, title="t", head="faster", base="main", draft=True)
    with pytest.raises(PullRequestExists, match="already exists for acme:faster"):
        await operator.open_pull_request(REPO, title="t", head="faster", base="main")
    with pytest.raises(Refused, match="Validation Failed") as caught:
        await operator.open_pull_request(REPO, title="t", head="nothing", base="main")
    assert not isinstance(caught.value, PullRequestExists)
    assert world.pull(REPO, 1).draft


# Rate limits


async def test_the_rate_limits(github, operator, clock):  # noqa: F811
    await github.permission(REPO, "ann")
    found = await operator.rate_limits(REPO)
    core = found["core"]
    assert (core.limit, core.used, core.remaining) == (5000, 1, 4999)
    assert core.resets_at == clock.time + timedelta(hours=1)
    assert found["graphql"].used == 0
    assert (await operator.rate_limits(REPO))["core"].used == 1


async def test_a_reset_that_is_no_time_is_unreadable(scripted):  # noqa: F811
    rate = {"limit": 1, "used": 1, "remaining": 0, "reset": 10**18}
    with pytest.raises(Unavailable, match="unreadable answer"):
        await GitHubOperator(scripted(httpx.Response(200, json={"resources": {"core": rate}})).app).rate_limits(REPO)
