"""The simulated Railway and the application behind its edge do what the real ones are known to do."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from graphql import GraphQLError
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import straight_to

from local.world.application import COMMIT_HEADER, Application
from local.world.clock import VirtualClock
from local.world.railway.deployment import ENDED, IN_PROGRESS, SERVING, TRANSITIONS, Deployment, Plan
from local.world.railway.server import RailwayWorld

OLD, NEW = "0" * 40, "a" * 40
URL = "https://railway.test/graphql/v2"


class Inbox:
    """Takes webhooks, and answers what it is told to."""

    def __init__(self) -> None:
        self.status = 204
        self.broken = False
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, headers: Mapping[str, str], body: bytes) -> int:
        self.headers.append(headers)
        self.bodies.append(json.loads(body))
        if self.broken:
            raise httpx.ConnectError("refused")
        return self.status

    @property
    def types(self) -> list[str]:
        return [body["type"].removeprefix("Deployment.") for body in self.bodies]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def world(clock: VirtualClock, inbox: Inbox) -> RailwayWorld:
    world = RailwayWorld(clock=clock, token="token-1", webhook_secret="hook-secret", deliver=inbox, pace=10)
    world.add_service(
        project_id="prj",
        environment_id="env",
        service_id="svc",
        name="web",
        repository="acme/shop",
        domain="shop.up.railway.app",
        auto_deploy=True,
        serving_commit=OLD,
    )
    return world


@pytest.fixture
async def edge(world: RailwayWorld) -> AsyncIterator[httpx.AsyncClient]:
    application = Application(world, service_id="svc", environment_id="env")
    transport = straight_to(application)
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.up.railway.app") as client:
        yield client


async def pass_time(world: RailwayWorld, clock: VirtualClock, seconds: float) -> None:
    clock.advance(seconds)
    await world.tick()


def statuses(world: RailwayWorld) -> list[tuple[str, str]]:
    return [(deployment.commit_sha[0], deployment.status) for deployment in world.deployments("svc", "env")]


async def test_the_predecessor_goes_only_after_the_new_one_is_live(world: RailwayWorld, clock: VirtualClock) -> None:
    world.dashboard_deploy("svc", "env", NEW)

    seen = []
    for _ in range(5):
        seen.append([status for _, status in statuses(world)])
        await pass_time(world, clock, 10)

    assert seen == [
        ["INITIALIZING", "SUCCESS"],
        ["BUILDING", "SUCCESS"],
        ["DEPLOYING", "SUCCESS"],
        ["SUCCESS", "REMOVING"],
        ["SUCCESS", "REMOVED"],
    ]


async def test_one_tick_catches_up_with_a_long_time(world: RailwayWorld, clock: VirtualClock, inbox: Inbox) -> None:
    world.dashboard_deploy("svc", "env", NEW)

    await pass_time(world, clock, 3600)

    assert statuses(world) == [("a", "SUCCESS"), ("0", "REMOVED")]
    assert inbox.types == ["building", "deploying", "deployed", "removed"]


@pytest.mark.parametrize("plan", [{"build": "fail"}, {"start": "fail"}])
async def test_a_failure_leaves_the_predecessor_serving(
    world: RailwayWorld, clock: VirtualClock, edge: httpx.AsyncClient, plan: dict[str, Any]
) -> None:
    world.plan("svc", **plan)
    world.dashboard_deploy("svc", "env", NEW)

    await pass_time(world, clock, 100)

    assert statuses(world) == [("a", "FAILED"), ("0", "SUCCESS")]
    assert (await edge.get("/health")).json() == {"status": "ok", "commit": OLD}


async def test_a_newer_deployment_drops_the_one_that_is_not_live_yet(world: RailwayWorld, clock: VirtualClock) -> None:
    world.plan("svc", needs_approval=True)
    world.dashboard_deploy("svc", "env", "b" * 40)
    world.dashboard_deploy("svc", "env", NEW)

    await pass_time(world, clock, 100)

    assert statuses(world) == [("a", "SUCCESS"), ("b", "REMOVED"), ("0", "REMOVED")]


async def test_an_approval_lets_a_deployment_go_on(world: RailwayWorld, clock: VirtualClock) -> None:
    world.plan("svc", needs_approval=True)
    waiting = world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 100)
    assert waiting.status == "NEEDS_APPROVAL"

    world.approve(waiting.id)
    await pass_time(world, clock, 20)

    assert waiting.status == "SUCCESS"
    with pytest.raises(GraphQLError, match="does not need approval"):
        world.approve(waiting.id)


async def test_a_skipped_deployment_is_not_built(world: RailwayWorld, clock: VirtualClock) -> None:
    world.plan("svc", skipped=True)
    world.dashboard_deploy("svc", "env", NEW)

    await pass_time(world, clock, 100)

    assert statuses(world) == [("a", "SKIPPED"), ("0", "SUCCESS")]


async def test_a_push_deploys_only_what_is_connected_and_enabled(world: RailwayWorld) -> None:
    world.add_service(
        project_id="prj", environment_id="env", service_id="manual", name="manual", repository="acme/shop"
    )

    assert world.push("acme/shop", "feature", NEW) == []
    assert world.push("acme/other", "main", NEW) == []
    (made,) = world.push("Acme/Shop", "main", NEW)

    assert (made.source, made.commit_sha, made.service.service_id) == ("GitHub", NEW, "svc")
    assert world.created == [made]


@pytest.mark.parametrize("first", ["checks", "deployment"])
@pytest.mark.parametrize(("passed", "ends"), [(True, "SUCCESS"), (False, "SKIPPED")])
async def test_what_a_push_deploys_can_wait_for_ci(
    world: RailwayWorld, clock: VirtualClock, inbox: Inbox, first: str, passed: bool, ends: str
) -> None:
    world.services[0].waits_for_ci = True
    (made,) = world.push("acme/shop", "main", NEW)

    # When its checks end, before or after it comes to wait for them
    if first == "checks":
        world.finish_ci("acme/shop", NEW, passed=passed)
    else:
        await pass_time(world, clock, 3600)
        assert (made.status, inbox.types) == ("WAITING", ["waiting"])
        world.finish_ci("acme/shop", NEW, passed=passed)
    await pass_time(world, clock, 100)

    # Then it goes on, or is skipped
    assert made.status == ends
    assert ("WAITING" in [status for status, _ in made.history]) is True


async def test_only_what_a_push_deploys_waits_for_ci(world: RailwayWorld, clock: VirtualClock) -> None:
    world.services[0].waits_for_ci = True
    by_api = world.deploy("svc", "env", NEW)
    world.finish_ci("acme/shop", NEW, passed=False)

    await pass_time(world, clock, 100)

    assert by_api.status == "SUCCESS"


async def test_a_deployment_waits_for_a_builder(world: RailwayWorld, clock: VirtualClock, inbox: Inbox) -> None:
    world.plan("svc", queued=True, needs_approval=True)
    made = world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 10)
    world.approve(made.id)
    assert made.status == "QUEUED"

    await pass_time(world, clock, 100)

    assert [status for status, _ in made.history] == ["NEEDS_APPROVAL", "QUEUED", "BUILDING", "DEPLOYING", "SUCCESS"]
    assert "queued" in inbox.types


async def test_a_restart_brings_back_what_crashed(
    world: RailwayWorld, clock: VirtualClock, inbox: Inbox, edge: httpx.AsyncClient
) -> None:
    live = world.deployments("svc", "env")[0]
    world.crash(live)

    assert world.restart(live.id)
    assert world.restart(live.id)
    await world.tick()

    assert inbox.types == ["crashed", "restarted", "restarted"]
    assert (await edge.get("/health")).status_code == 200


# Statuses

LEGAL = """
INITIALIZING: NEEDS_APPROVAL WAITING QUEUED BUILDING DEPLOYING SKIPPED REMOVED
NEEDS_APPROVAL: WAITING QUEUED BUILDING DEPLOYING REMOVED
WAITING: QUEUED BUILDING SKIPPED REMOVED
QUEUED: BUILDING DEPLOYING REMOVED
BUILDING: DEPLOYING FAILED REMOVED
DEPLOYING: SUCCESS FAILED REMOVED
SUCCESS: SLEEPING CRASHED REMOVING
SLEEPING: SUCCESS REMOVING
CRASHED: SUCCESS REMOVING
REMOVING: REMOVED
FAILED:
SKIPPED:
REMOVED:
"""
"""Railway's thirteen statuses, as its documentation puts them in order."""


def test_the_statuses_follow_each_other_as_railway_says() -> None:
    lines = (line.partition(":") for line in LEGAL.strip().splitlines())

    assert {status: set(following) for status, following in TRANSITIONS.items()} == {
        status: set(following.split()) for status, _, following in lines
    }
    assert len(TRANSITIONS) == 13
    assert IN_PROGRESS | SERVING | ENDED | {"REMOVING"} == set(TRANSITIONS)
    assert all("REMOVED" in TRANSITIONS[status] for status in IN_PROGRESS)


ACTS = ("deploy", "push", "rollback", "redeploy", "cancel", "approve", "restart", "crash", "wake", "ci", "time")
PLANS = st.fixed_dictionaries(
    {},
    optional={
        "build": st.just("fail"),
        "start": st.just("fail"),
        "skipped": st.just(True),
        "needs_approval": st.just(True),
        "queued": st.just(True),
        "crash_after": st.just(15.0),
        "sleep_after": st.just(15.0),
    },
)
STEPS = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 3), PLANS), min_size=10, max_size=60)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(STEPS)
def test_whatever_happens_each_status_legally_follows_the_one_before(steps: list[tuple[str, int, Any]]) -> None:
    clock = VirtualClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    world = RailwayWorld(clock=clock, token="t", webhook_secret="s", pace=10, retention=timedelta(minutes=1))
    world.add_service(
        project_id="prj",
        environment_id="env",
        service_id="svc",
        name="web",
        repository="acme/shop",
        auto_deploy=True,
        waits_for_ci=True,
        serving_commit=OLD,
    )

    async def live() -> None:
        for act, which, plan in steps:
            known = world.deployments("svc", "env")
            with contextlib.suppress(GraphQLError):
                happen(world, act, known[which % len(known)], plan)
            clock.advance(which * 5)
            await world.tick()
            assert sum(d.status in SERVING for d in world.deployments("svc", "env")) <= 1

    asyncio.run(live())

    for deployment in world.deployments():
        statuses = ["INITIALIZING" if deployment in world.created else "SUCCESS", *(s for s, _ in deployment.history)]
        assert all(after in TRANSITIONS[before] for before, after in itertools.pairwise(statuses))
        assert statuses[-1] == deployment.status


def happen(world: RailwayWorld, act: str, to: Deployment, plan: dict[str, Any]) -> None:
    match act:
        case "deploy" | "push":
            world.plan("svc", **plan)
            world.deploy("svc", "env", NEW) if act == "deploy" else world.push("acme/shop", "main", NEW)
        case "redeploy":
            world.redeploy(to.id, use_previous_image=bool(plan))
        case "ci":
            world.finish_ci("acme/shop", NEW, passed=bool(plan))
        case "crash" | "wake":
            getattr(world, act)(to)
        case "rollback" | "cancel" | "approve" | "restart":
            getattr(world, act)(to.id)


async def test_every_status_comes_up(world: RailwayWorld, clock: VirtualClock) -> None:
    world.services[0].waits_for_ci = True
    world.push("acme/shop", "main", NEW)
    plans: tuple[dict[str, Any], ...] = (
        {"needs_approval": True},
        {"queued": True, "sleep_after": 1},
        {"build": "fail"},
        {"skipped": True},
        {"crash_after": 1},
    )
    for plan in plans:
        await pass_time(world, clock, 100)
        world.plan("svc", **plan)
        world.deploy("svc", "env", NEW)
    await pass_time(world, clock, 100)

    assert {"INITIALIZING"} | {status for made in world.deployments() for status, _ in made.history} == set(TRANSITIONS)


async def test_a_deployment_without_a_commit_is_of_the_present_one(world: RailwayWorld) -> None:
    assert world.deploy("svc", "env", None).commit_sha == OLD


async def test_a_rollback_shows_at_the_next_tick_and_needs_no_build(world: RailwayWorld, clock: VirtualClock) -> None:
    world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 100)
    old = world.deployments("svc", "env")[-1]

    assert world.rollback(old.id)
    (made,) = world.rollbacks
    assert made not in world.deployments("svc", "env")
    with pytest.raises(GraphQLError, match="Deployment not found"):
        world.deployment(made.id)

    seen = []
    for _ in range(2):
        await pass_time(world, clock, 10)
        seen.append(made.status)
    assert seen == ["DEPLOYING", "SUCCESS"]
    assert (made.restores, made.commit_sha, made.image) == (old.id, OLD, old.image)
    assert statuses(world) == [("0", "SUCCESS"), ("a", "REMOVING"), ("0", "REMOVED")]


async def test_an_image_is_kept_for_a_while_only(world: RailwayWorld, clock: VirtualClock) -> None:
    world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 100)
    old = world.deployments("svc", "env")[-1]

    clock.advance(timedelta(hours=72).total_seconds())

    with pytest.raises(GraphQLError, match="cannot be rolled back"):
        world.rollback(old.id)


async def test_a_rollback_can_be_planned_and_refused(world: RailwayWorld, clock: VirtualClock) -> None:
    live = world.deployments("svc", "env")[0]
    world.refuse_rollback = {live.id}
    assert not world.rollback(live.id)

    world.refuse_rollback = False
    world.plan("svc", rollback=True, start="fail")
    world.rollback(live.id)
    await pass_time(world, clock, 100)

    assert statuses(world) == [("0", "FAILED"), ("0", "SUCCESS")]


async def test_a_redeployment_builds_anew_unless_told_not_to(world: RailwayWorld, clock: VirtualClock) -> None:
    live = world.deployments("svc", "env")[0]

    made = world.redeploy(live.id, use_previous_image=False)
    await pass_time(world, clock, 10)

    assert made.status == "BUILDING"
    with pytest.raises(GraphQLError, match="cannot be redeployed"):
        world.redeploy(made.id, use_previous_image=False)


# Webhooks


async def test_a_webhook_has_railways_form_and_our_secret(
    world: RailwayWorld, clock: VirtualClock, inbox: Inbox
) -> None:
    made = world.dashboard_deploy("svc", "env", NEW)

    await pass_time(world, clock, 10)

    assert inbox.headers[0]["x-webhook-secret"] == "hook-secret"
    body = inbox.bodies[0]
    assert body["type"] == "Deployment.building"
    assert body["details"]["commitHash"] == NEW
    assert body["resource"]["deployment"] == {"id": made.id}
    assert body["resource"]["environment"] == {"id": "env", "name": "production", "isEphemeral": False}
    assert body["timestamp"] == "2026-11-22T12:00:10.000Z"


@pytest.mark.parametrize("broken", [False, True])
async def test_a_webhook_is_tried_four_times(
    world: RailwayWorld, clock: VirtualClock, inbox: Inbox, broken: bool
) -> None:
    inbox.status, inbox.broken = 503, broken
    world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 10)

    for _ in range(5):
        await world.tick()

    assert inbox.types == ["building"] * 4
    assert len(world.webhooks.given_up) == 1


async def test_a_webhook_that_failed_arrives_later(world: RailwayWorld, clock: VirtualClock, inbox: Inbox) -> None:
    inbox.status = 500
    world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 10)
    inbox.status = 302

    await world.tick()
    await world.tick()

    assert inbox.types == ["building", "building"]


async def test_webhooks_can_be_repeated_and_shuffled(world: RailwayWorld, clock: VirtualClock, inbox: Inbox) -> None:
    world.delivery_copies = 3
    world.shuffle = True
    world.dashboard_deploy("svc", "env", NEW)

    await pass_time(world, clock, 100)

    assert sorted(inbox.types) == sorted(["building", "deploying", "deployed", "removed"] * 3)
    assert inbox.types != sorted(inbox.types)
    assert inbox.types[0:3] != ["building"] * 3


async def test_without_a_receiver_nothing_is_kept(world: RailwayWorld, clock: VirtualClock, inbox: Inbox) -> None:
    world.deliver = None
    world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 100)

    world.deliver = inbox
    await world.tick()

    assert inbox.bodies == []


# The edge


async def test_the_edge_answers_for_the_deployment_that_serves(
    world: RailwayWorld, clock: VirtualClock, edge: httpx.AsyncClient
) -> None:
    world.dashboard_deploy("svc", "env", NEW)

    await pass_time(world, clock, 20)
    before = await edge.get("/health")
    await pass_time(world, clock, 10)
    after = await edge.get("/health")

    assert (before.headers[COMMIT_HEADER], after.headers[COMMIT_HEADER]) == (OLD, NEW)
    assert after.json() == {"status": "ok", "commit": NEW}


@pytest.mark.parametrize(
    ("plan", "status", "body"),
    [
        ({"health": "failing"}, 503, {"status": "error", "commit": NEW}),
        ({"shows_commit": "previous"}, 200, {"status": "ok", "commit": OLD}),
        ({"shows_commit": None}, 200, {"status": "ok"}),
    ],
)
async def test_the_application_behaves_as_planned(
    world: RailwayWorld,
    clock: VirtualClock,
    edge: httpx.AsyncClient,
    plan: dict[str, Any],
    status: int,
    body: dict[str, str],
) -> None:
    world.plan("svc", **plan)
    world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 30)

    found = await edge.get("/health")

    assert (found.status_code, found.json()) == (status, body)


async def test_a_crash_after_going_live_meets_the_edges_error_until_something_replaces_it(
    world: RailwayWorld, clock: VirtualClock, edge: httpx.AsyncClient, inbox: Inbox
) -> None:
    world.plan("svc", crash_after=60)
    crashed = world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 30)
    assert (await edge.get("/health")).status_code == 200

    await pass_time(world, clock, 60)
    assert (crashed.status, inbox.types[-1]) == ("CRASHED", "crashed")
    assert (await edge.get("/health")).status_code == 502

    world.rollback(world.deployments("svc", "env")[-1].id)
    await pass_time(world, clock, 100)
    assert (await edge.get("/health")).json()["commit"] == OLD
    assert crashed.status == "REMOVED"


async def test_a_sleeping_service_wakes_at_its_first_request(
    world: RailwayWorld, clock: VirtualClock, edge: httpx.AsyncClient, inbox: Inbox
) -> None:
    world.plan("svc", sleep_after=600)
    world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 630)
    assert world.deployments("svc", "env")[0].status == "SLEEPING"

    assert (await edge.get("/health")).status_code == 502
    assert (await edge.get("/health")).status_code == 200

    await world.tick()
    assert inbox.types[-2:] == ["slept", "resumed"]


async def test_a_service_without_a_deployment_has_only_the_edge(world: RailwayWorld) -> None:
    world.add_service(project_id="prj", environment_id="env", service_id="new", name="new", repository="acme/new")
    transport = straight_to(Application(world, service_id="new", environment_id="env"))

    async with httpx.AsyncClient(transport=transport, base_url="https://new.test") as client:
        answer = await client.get("/health")
        assert (answer.status_code, answer.headers["x-railway-fallback"]) == (404, "true")
        assert (await client.get("/elsewhere")).status_code == 404


# The API's own manners


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Authorization": "Bearer wrong"}, "Not Authorized"),
        ({}, "Not Authorized"),
        ({"Authorization": "Bearer token-1", "Project-Access-Token": "token-1"}, "Not Authorized"),
        ({"Project-Access-Token": "wrong"}, "Project Token not found"),
    ],
)
async def test_a_wrong_token_is_an_error_inside_a_successful_answer(
    world: RailwayWorld, headers: dict[str, str], message: str
) -> None:
    async with httpx.AsyncClient(transport=straight_to(world.app)) as client:
        found = await client.post(URL, json={"query": "{ deployment(id: 1) { id } }"}, headers=headers)

    assert found.status_code == 200
    assert found.json()["errors"][0]["message"] == message
    assert found.json()["errors"][0]["traceId"]


async def test_limits_are_told_with_every_answer_and_enforced(world: RailwayWorld, clock: VirtualClock) -> None:
    # Given Hobby's limits, with little left of the hour
    world.limits.per_hour, world.limits.per_second = 4, 2
    clock.advance(1800)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=straight_to(world.app)) as client:
            body = {"query": "{ projectToken { id } }"}
            return await client.post(URL, json=body, headers={"Project-Access-Token": "token-1"})

    # When they are used up, the one of the second first
    answers = [await ask() for _ in range(3)]
    clock.advance(1)
    answers += [await ask() for _ in range(3)]
    clock.advance(1)
    answers.append(await ask())

    # Then each answer says what is left, and a refusal when to come again
    said = [(one.status_code, one.headers["x-ratelimit-remaining"], one.headers.get("retry-after")) for one in answers]
    assert said == [
        (200, "3", None),
        (200, "2", None),
        (429, "2", "1"),
        (200, "1", None),
        (200, "0", None),
        (429, "0", "1799"),
        (429, "0", "1798"),
    ]
    assert answers[2].json() == {"data": None}
    assert answers[0].headers["x-ratelimit-limit"] == "4"
    assert int(answers[0].headers["x-ratelimit-reset"]) == datetime(2026, 11, 22, 13, tzinfo=UTC).timestamp()
    clock.advance(1798)
    assert (await ask()).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"not json", "Problem processing request"),
        (b"{}", "Problem processing request"),
        (b'{"query": "{ service(id: 1) { id } }"}', "Cannot query field 'service' on type 'Query'."),
        (b'{"query": "{"}', "Syntax Error: Expected Name, found <EOF>."),
    ],
)
async def test_what_cannot_be_executed_is_refused_in_the_same_form(
    world: RailwayWorld, body: bytes, message: str
) -> None:
    headers = {"Project-Access-Token": "token-1"}
    async with httpx.AsyncClient(transport=straight_to(world.app)) as client:
        found = await client.post(URL, content=body, headers=headers)

    assert found.json()["errors"][0]["message"] == message


async def test_a_list_can_be_narrowed_by_status(world: RailwayWorld, clock: VirtualClock) -> None:
    world.dashboard_deploy("svc", "env", NEW)
    await pass_time(world, clock, 100)
    query = "query Q($input: DeploymentListInput!) { deployments(input: $input) { edges { node { status } } } }"

    async def listed(**wanted: Any) -> list[str]:
        async with httpx.AsyncClient(transport=straight_to(world.app)) as client:
            body = {"query": query, "variables": {"input": wanted}}
            found = await client.post(URL, json=body, headers={"Authorization": "Bearer token-1"})
        return [edge["node"]["status"] for edge in found.json()["data"]["deployments"]["edges"]]

    assert await listed() == ["SUCCESS"]
    assert await listed(includeDeleted=True) == ["SUCCESS", "REMOVED"]
    assert await listed(includeDeleted=True, status={"in": ["REMOVED"]}) == ["REMOVED"]
    assert await listed(includeDeleted=True, status={"notIn": ["REMOVED"]}) == ["SUCCESS"]
    assert await listed(includeDeleted=True, serviceId="other") == []


async def test_an_application_says_what_the_policy_asks_for(world: RailwayWorld) -> None:
    # Given a policy whose field of health and of the commit are within one object
    world.add_service(
        project_id="prj", environment_id="env", service_id="own", name="own", repository="acme/own", serving_commit=OLD
    )
    asked = {"health_field": "app.state", "health_value": "green", "commit_field": "app.commit"}
    application = Application(world, service_id="own", environment_id="env", **asked)
    client = httpx.AsyncClient(transport=straight_to(application), base_url="https://own.test")

    # When a healthy version answers, and then one that says that it is unwell
    async with client:
        well = (await client.get("/health")).json()
        serving = world.serving("own", "env")
        serving.plan = Plan(health="unwell")
        unwell = (await client.get("/health")).json()

    # Then only the healthy one has the value
    assert well == {"status": "ok", "app": {"state": "green", "commit": OLD}}
    assert unwell == {"status": "unhealthy", "app": {"commit": OLD}}


@pytest.mark.parametrize(("plan", "status"), [({"routed_after": 60.0}, 404), ({"listens_after": 60.0}, 502)])
async def test_the_edge_answers_by_itself_until_the_application_listens(
    world: RailwayWorld, clock: VirtualClock, edge: httpx.AsyncClient, plan: dict[str, float], status: int
) -> None:
    world.plan("svc", **plan)
    world.dashboard_deploy("svc", "env", NEW)
    while world.deployments("svc", "env")[0].status != "SUCCESS":
        await pass_time(world, clock, 1)

    early = await edge.get("/health")
    await pass_time(world, clock, 60)

    assert (early.status_code, early.headers["x-railway-fallback"]) == (status, "true")
    assert (await edge.get("/health")).json()["commit"] == NEW
