"""The Railway client against the simulated Railway, and against answers that Railway should not but may give."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from networks import replying

from local.world.clock import VirtualClock
from local.world.faults import Fault
from local.world.railway.deployment import CustomDomain
from local.world.railway.server import RailwayWorld
from shared.clients.railway.client import Railway
from shared.core.observed import DeploymentState
from shared.core.target_config import RAILWAY_API
from shared.errors import Final, NotFound, RateLimited, Refused, Unauthorized, Unavailable, UnknownOutcome
from shared.runtime.redaction import MASK, remember
from shared.runtime.secrets import Secrets

URL = "https://backboard.railway.test/graphql/v2"
OLD, NEW = "0" * 40, "a" * 40
PLACE = {"service_id": "svc", "environment_id": "env"}
WHERE = {"project_id": "prj", **PLACE}


class Source:
    """Secrets whose value a test may change, as a rotation does."""

    def __init__(self, value: str = "railway-token") -> None:
        self.value = value
        self.reads = 0

    async def read(self, name: str) -> tuple[str, ...]:
        assert name == RAILWAY_API
        self.reads += 1
        return (self.value,)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))


@pytest.fixture
def world(clock: VirtualClock) -> RailwayWorld:
    world = RailwayWorld(clock=clock, token="railway-token", webhook_secret="hook-secret", pace=10)
    world.add_service(**WHERE, name="web", repository="acme/shop", domain="shop.up.railway.app", serving_commit=OLD)
    return world


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def railway(world: RailwayWorld, clock: VirtualClock, source: Source) -> AsyncIterator[Railway]:
    client = Railway(
        url=URL,
        token_kind="account",
        secrets=Secrets(source, clock),
        network=world.app,
    )
    yield client
    await client.close()


async def pass_time(world: RailwayWorld, clock: VirtualClock, seconds: float) -> None:
    clock.advance(seconds)
    await world.tick()


Answering = Callable[[httpx.Response], Railway]


@pytest.fixture
async def answering(clock: VirtualClock, source: Source) -> AsyncIterator[Answering]:
    """A client of a Railway that always gives the one answer."""
    clients = []

    def make(response: httpx.Response) -> Railway:
        network = replying(lambda _: response)
        clients.append(Railway(url=URL, token_kind="account", secrets=Secrets(source, clock), network=network))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


def raw_deployment(**changes: Any) -> dict[str, Any]:
    """What Railway says of a deployment, in the form of the published captures."""
    return {
        "id": "d1",
        "status": "SUCCESS",
        "createdAt": "2026-05-02T22:47:38.415Z",
        "url": None,
        "staticUrl": None,
        "meta": {"commitHash": NEW},
        "canRollback": True,
        "canRedeploy": True,
        "deploymentStopped": False,
        "instances": [],
    } | changes


def answer(result: Any) -> httpx.Response:
    return httpx.Response(200, json={"data": {"result": result}})


def refusal(message: str, code: str = "INTERNAL_SERVER_ERROR") -> httpx.Response:
    problem = {"message": message, "extensions": {"code": code}, "traceId": "785"}
    return httpx.Response(200, json={"errors": [problem], "data": None})


# Deployments


async def test_a_deployment_of_a_commit_goes_from_accepted_to_live(
    railway: Railway, world: RailwayWorld, clock: VirtualClock
) -> None:
    # When a commit is deployed
    id = await railway.deploy(**PLACE, commit_sha=NEW)

    # Then it is the named commit, it moves through Railway's statuses, and serves at the end
    first = await railway.deployment(id)
    assert (first.commit_sha, first.status, first.in_progress, first.image) == (NEW, "INITIALIZING", True, None)
    seen = []
    for _ in range(3):
        await pass_time(world, clock, 10)
        seen.append((await railway.deployment(id)).status)
    assert seen == ["BUILDING", "DEPLOYING", "SUCCESS"]
    last = await railway.deployment(id)
    assert last.live
    assert not last.in_progress
    assert last.running_instances == 1
    assert last.image.startswith("sha256:")
    assert last.url == "https://shop.up.railway.app"
    assert last.created_at == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def test_each_call_names_its_operation(railway: Railway, world: RailwayWorld) -> None:
    await railway.deploy(**PLACE, commit_sha=NEW)

    sent = json.loads(world.app.calls[0].body)
    assert sent["operationName"] == "Deploy"
    assert sent["variables"] == {"serviceId": "svc", "environmentId": "env", "commitSha": NEW}


async def test_a_commit_that_railway_does_not_know_is_refused(railway: Railway, world: RailwayWorld) -> None:
    world.known_commits = {OLD}

    with pytest.raises(Refused, match=r"Commit not found \(trace \d+\)") as caught:
        await railway.deploy(**PLACE, commit_sha=NEW)

    assert caught.value.status == 200
    assert world.created == []


async def test_what_railway_does_not_know_is_not_found(railway: Railway) -> None:
    with pytest.raises(NotFound, match="Deployment not found"):
        await railway.deployment("nothing")
    with pytest.raises(NotFound, match="ServiceInstance not found"):
        await railway.service(service_id="other", environment_id="env")


async def test_deployments_are_listed_newest_first_with_the_removed_ones(
    railway: Railway, world: RailwayWorld, clock: VirtualClock
) -> None:
    # Given a deployment that replaced the first, and one that was cancelled
    await railway.deploy(**PLACE, commit_sha=NEW)
    for _ in range(4):
        await pass_time(world, clock, 10)
    cancelled = await railway.deploy(**PLACE, commit_sha="b" * 40)
    await railway.cancel(cancelled)

    # When they are listed
    found = await railway.deployments(**WHERE)

    # Then all are there, in order, each in its state
    assert [(d.commit_sha, d.status) for d in found] == [
        ("b" * 40, "REMOVED"),
        (NEW, "SUCCESS"),
        (OLD, "REMOVED"),
    ]
    assert [d.can_rollback for d in found] == [False, True, True]
    assert [d.gone for d in found] == [True, False, True]


async def test_a_list_longer_than_a_page_is_followed_to_the_limit(
    railway: Railway, world: RailwayWorld, clock: VirtualClock
) -> None:
    for _ in range(130):
        clock.advance(1)
        world.dashboard_deploy("svc", "env", NEW)

    found = await railway.deployments(**WHERE, limit=120)

    assert len({d.id for d in found}) == 120
    assert found == sorted(found, key=lambda d: d.created_at, reverse=True)
    assert [json.loads(call.body)["variables"]["first"] for call in world.app.calls] == [100, 20]
    assert len(await railway.deployments(**WHERE)) == 100
    assert len(await railway.deployments(**WHERE, limit=500)) == 131


async def test_a_list_in_another_order_is_sorted_and_a_missing_cursor_ends_it(answering: Answering) -> None:
    nodes = [
        raw_deployment(id="older", createdAt="2026-05-02T00:00:00Z"),
        raw_deployment(id="newer", createdAt="2026-05-03T00:00:00Z"),
    ]
    page = {"edges": [{"node": node} for node in nodes], "pageInfo": {"hasNextPage": True, "endCursor": None}}

    found = await answering(answer(page)).deployments(**WHERE)

    assert [d.id for d in found] == ["newer", "older"]


async def test_a_page_that_names_itself_as_the_next_ends_the_list(answering: Answering) -> None:
    page = {"edges": [], "pageInfo": {"hasNextPage": True, "endCursor": "here"}}
    async with asyncio.timeout(60):
        assert await answering(answer(page)).deployments(**WHERE) == []


@pytest.mark.parametrize(
    ("status", "properties"),
    [
        *((name, {"in_progress"}) for name in ("INITIALIZING", "QUEUED", "WAITING", "NEEDS_APPROVAL")),
        *((name, {"in_progress"}) for name in ("BUILDING", "DEPLOYING")),
        *((name, {"live"}) for name in ("SUCCESS", "SLEEPING")),
        ("FAILED", {"failed"}),
        ("CRASHED", {"failed", "crashed"}),
        ("SKIPPED", {"skipped"}),
        *((name, {"gone"}) for name in ("REMOVING", "REMOVED")),
    ],
)
def test_each_status_has_its_meaning(status: str, properties: set[str]) -> None:
    state = DeploymentState(id="d", status=status, created_at=datetime(2026, 1, 1, tzinfo=UTC))

    names = ("in_progress", "live", "failed", "crashed", "skipped", "gone")
    assert {name for name in names if getattr(state, name)} == properties


async def test_an_unknown_status_is_not_final_and_logged(
    answering: Answering, caplog: pytest.LogCaptureFixture
) -> None:
    railway = answering(answer(raw_deployment(status="TELEPORTING")))

    with caplog.at_level(logging.WARNING, logger="signalbox"):
        state = await railway.deployment("d1")

    assert state.in_progress
    assert "TELEPORTING" in caplog.text


@pytest.mark.parametrize(
    ("meta", "commit", "image", "migrates"),
    [
        (None, None, None, False),
        ("text", None, None, False),
        ({}, None, None, False),
        ({"commitHash": None, "serviceManifest": None}, None, None, False),
        ({"commitHash": 7, "image": ["x"]}, None, None, False),
        ({"commitHash": NEW, "image": "nginx:1", "serviceManifest": {"deploy": None}}, NEW, "nginx:1", False),
        ({"image": "nginx:1", "imageDigest": "sha256:1"}, None, "sha256:1", False),
        ({"serviceManifest": {"deploy": {"preDeployCommand": ["migrate"]}}}, None, None, True),
        ({"serviceManifest": {"deploy": {"preDeployCommand": "migrate"}}}, None, None, True),
        ({"serviceManifest": {"deploy": {"preDeployCommand": []}}}, None, None, False),
    ],
)
async def test_meta_may_have_any_shape(
    answering: Answering, meta: Any, commit: str | None, image: str | None, migrates: bool
) -> None:
    state = await answering(answer(raw_deployment(meta=meta))).deployment("d1")

    assert (state.commit_sha, state.image, state.migrates) == (commit, image, migrates)


async def test_a_migration_is_seen(railway: Railway, world: RailwayWorld, clock: VirtualClock) -> None:
    world.plan("svc", migrates=True)
    id = await railway.deploy(**PLACE, commit_sha=NEW)
    await pass_time(world, clock, 30)

    assert (await railway.deployment(id)).migrates


# The service


async def test_a_service_tells_what_is_active_and_where(
    railway: Railway, world: RailwayWorld, clock: VirtualClock
) -> None:
    # Given a deployment that has just gone live, while its predecessor drains
    id = await railway.deploy(**PLACE, commit_sha=NEW)
    await pass_time(world, clock, 30)

    service = await railway.service(**PLACE)

    assert [(d.commit_sha, d.status) for d in service.active] == [(NEW, "SUCCESS"), (OLD, "REMOVING")]
    assert service.latest_id == id
    assert service.host == "shop.up.railway.app"
    assert service.healthcheck_path == "/health"
    assert (service.repository, service.image) == ("acme/shop", None)


LEADS_HERE = {
    "verified": True,
    "certificateStatus": "CERTIFICATE_STATUS_TYPE_VALID",
    "dnsRecords": [
        {"purpose": "DNS_RECORD_PURPOSE_TRAFFIC_ROUTE", "status": "DNS_RECORD_STATUS_PROPAGATED"},
        {"purpose": "DNS_RECORD_PURPOSE_ACME_DNS01_CHALLENGE", "status": "DNS_RECORD_STATUS_REQUIRES_UPDATE"},
    ],
}
ELSEWHERE = [{"purpose": "DNS_RECORD_PURPOSE_TRAFFIC_ROUTE", "status": "DNS_RECORD_STATUS_REQUIRES_UPDATE"}]


def with_domain(name: str = "shop.example", sync: str = "ACTIVE", **status: Any) -> dict[str, Any]:
    """A service with a domain of its own, of this status, and with Railway's."""
    custom = {"domain": name, "syncStatus": sync, "status": LEADS_HERE | status}
    railways = {"domain": "x.up.railway.app", "syncStatus": "ACTIVE"}
    domains = {"customDomains": [custom], "serviceDomains": [railways]}
    return {"activeDeployments": [], "domains": domains, "latestDeployment": None, "source": {"image": "nginx:1"}}


async def test_a_custom_domain_comes_before_railways_own(answering: Answering) -> None:
    service = await answering(answer(with_domain())).service(**PLACE)

    assert (service.host, service.image, service.repository) == ("shop.example", "nginx:1", None)
    assert service.unused_domains == {}


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        (with_domain(verified=False), "not verified"),
        (with_domain(dnsRecords=ELSEWHERE), "DNS record"),
        (with_domain(certificateStatus="CERTIFICATE_STATUS_TYPE_ISSUING"), "certificate"),
        (with_domain("*.shop.example"), "wildcard"),
        (with_domain(sync="DELETING"), "being removed"),
    ],
    ids=["not verified", "leads to the old host", "no certificate", "a wildcard", "being removed"],
)
async def test_a_domain_that_may_lead_elsewhere_is_not_used(
    answering: Answering, domain: dict[str, Any], why: str
) -> None:
    service = await answering(answer(domain)).service(**PLACE)

    assert service.host == "x.up.railway.app"
    [(_, reason)] = service.unused_domains.items()
    assert why in reason


async def test_the_domain_is_used_once_it_leads_here(railway: Railway, world: RailwayWorld) -> None:
    # Given a domain that still leads to the old host
    domain = CustomDomain(domain="shop.example", elsewhere=OLD, certificate="VALIDATING_OWNERSHIP")
    world.services[0].custom_domains.append(domain)
    before = await railway.service(**PLACE)

    # When its record leads to Railway, and its certificate is valid
    domain.elsewhere, domain.certificate = None, "VALID"
    after = await railway.service(**PLACE)

    # Then it is where the service answers
    assert (before.host, after.host) == ("shop.up.railway.app", "shop.example")


async def test_a_domain_without_a_status_is_not_used(answering: Answering) -> None:
    found = with_domain()
    found["domains"] = {"customDomains": [{"domain": "shop.example"}], "serviceDomains": []}

    service = await answering(answer(found)).service(**PLACE)

    assert (service.host, list(service.unused_domains)) == (None, ["shop.example"])


async def test_a_private_service_without_a_deployment_has_no_host(railway: Railway, world: RailwayWorld) -> None:
    world.add_service(
        project_id="prj", environment_id="env", service_id="worker", name="worker", repository="acme/shop"
    )

    service = await railway.service(service_id="worker", environment_id="env")

    assert (service.host, service.latest_id, service.active) == (None, None, ())


async def test_a_service_without_a_source_is_read(answering: Answering) -> None:
    domains: dict[str, list[Any]] = {"customDomains": [], "serviceDomains": []}

    service = await answering(answer({"activeDeployments": [], "domains": domains, "source": None})).service(**PLACE)

    assert (service.image, service.repository) == (None, None)


async def test_a_service_tells_how_it_runs_and_what_it_watches(railway: Railway, world: RailwayWorld) -> None:
    plain = await railway.service(**PLACE)
    assert (plain.cron_schedule, plain.sleeps, plain.watch_patterns, plain.left_alone) == (None, False, (), None)

    world.services[0].cron_schedule, world.services[0].watch_patterns = "0 * * * *", ("apps/web/**",)
    scheduled = await railway.service(**PLACE)
    assert (scheduled.cron_schedule, scheduled.watch_patterns) == ("0 * * * *", ("apps/web/**",))
    assert scheduled.left_alone == "it runs by its schedule 0 * * * *"

    world.services[0].cron_schedule, world.services[0].sleeps = None, True
    assert (await railway.service(**PLACE)).left_alone == "it sleeps when idle, and a check would wake it"


@pytest.mark.parametrize(
    ("changes", "ended"),
    [
        ({"deploymentStopped": True}, True),
        ({"instances": [{"status": "EXITED"}, {"status": "EXITED"}]}, True),
        ({"instances": [{"status": "EXITED"}, {"status": "RUNNING"}]}, False),
        ({"instances": [{"status": "RESTARTING"}]}, False),
        ({"instances": []}, False),
        ({"status": "SLEEPING", "instances": [{"status": "STOPPED"}]}, False),
        ({"status": "CRASHED", "deploymentStopped": True}, False),
    ],
)
async def test_a_process_has_ended_when_no_instance_is_left(
    answering: Answering, changes: dict[str, Any], ended: bool
) -> None:
    state = await answering(answer(raw_deployment(**changes))).deployment("d")
    assert (state.ended, state.serves) == (ended, state.live and not ended)


@pytest.mark.parametrize(
    ("reason", "untouched"),
    [("No changes to watched files", True), ("CI check suite failed", False), (None, False), (7, False)],
)
async def test_why_a_deployment_was_skipped_is_in_its_meta(answering: Answering, reason: Any, untouched: bool) -> None:
    raw = raw_deployment(status="SKIPPED", meta={"commitHash": NEW, "skippedReason": reason})
    state = await answering(answer(raw)).deployment("d")
    assert (state.untouched, state.skipped_reason) == (untouched, reason if isinstance(reason, str) else None)


# The way back


async def test_a_rollback_makes_a_new_deployment_of_the_old_image(
    railway: Railway, world: RailwayWorld, clock: VirtualClock
) -> None:
    # Given a new deployment that replaced the first
    await railway.deploy(**PLACE, commit_sha=NEW)
    for _ in range(4):
        await pass_time(world, clock, 10)
    before = await railway.deployments(**WHERE)

    # When the first is rolled back to
    await railway.rollback(before[-1].id)
    for _ in range(2):
        await pass_time(world, clock, 10)

    # Then one more deployment serves, with the first's commit and image
    after = await railway.deployments(**WHERE)
    assert len(after) == len(before) + 1
    assert after[0].live
    assert before[-1].image is not None
    assert (after[0].commit_sha, after[0].image) == (OLD, before[-1].image)


async def test_a_rollback_that_railway_answers_with_false_is_refused(railway: Railway, world: RailwayWorld) -> None:
    world.refuse_rollback = True
    live = (await railway.deployments(**WHERE))[0]

    with pytest.raises(Refused, match="Rollback: answered false"):
        await railway.rollback(live.id)

    assert world.rollbacks == []


async def test_a_rollback_to_what_cannot_be_restored_is_refused(railway: Railway) -> None:
    id = await railway.deploy(**PLACE, commit_sha=NEW)

    with pytest.raises(Refused, match="cannot be rolled back"):
        await railway.rollback(id)


async def test_a_rollback_whose_answer_is_lost_has_an_unknown_outcome(railway: Railway, world: RailwayWorld) -> None:
    # Given that Railway does its work and the answer is lost
    world.app.faults.append(Fault(when="deploymentRollback", after_effect=True, lost=True))
    live = (await railway.deployments(**WHERE))[0]

    with pytest.raises(UnknownOutcome):
        await railway.rollback(live.id)

    assert len(world.rollbacks) == 1


async def test_a_redeployment_names_its_id(railway: Railway, world: RailwayWorld, clock: VirtualClock) -> None:
    live = (await railway.deployments(**WHERE))[0]

    id = await railway.redeploy(live.id, use_previous_image=True)
    await pass_time(world, clock, 10)

    assert (await railway.deployment(id)).status == "DEPLOYING"


async def test_only_a_deployment_in_progress_can_be_cancelled(railway: Railway) -> None:
    live = (await railway.deployments(**WHERE))[0]

    with pytest.raises(Refused, match="cannot be cancelled"):
        await railway.cancel(live.id)


# Logs


async def test_logs_are_the_last_lines_oldest_first(railway: Railway, world: RailwayWorld, clock: VirtualClock) -> None:
    world.plan("svc", build="fail", build_log=tuple(f"step {n}" for n in range(1, 6)))
    id = await railway.deploy(**PLACE, commit_sha=NEW)
    await pass_time(world, clock, 20)

    assert await railway.build_logs(id, limit=3) == ("step 4", "step 5", "the build failed")
    assert await railway.deployment_logs(id, limit=3) == ()


async def test_logs_of_a_crash_say_how_it_ended(railway: Railway, world: RailwayWorld, clock: VirtualClock) -> None:
    world.plan("svc", crash_after=5)
    id = await railway.deploy(**PLACE, commit_sha=NEW)
    await pass_time(world, clock, 35)

    assert (await railway.deployment_logs(id, limit=50))[-1] == "the process exited with code 1"


async def test_no_part_of_a_secret_is_left_of_an_endless_line(answering: Answering) -> None:
    secret = "Zq" + "0123456789" * 30
    remember(secret)
    for words in range(0, 300, 10):
        said = "w" * words + secret * 20
        railway = answering(answer([{"timestamp": "2026-11-22T12:00:01Z", "message": said}]))

        (line,) = await railway.deployment_logs("d1", limit=10)

        assert "0123" not in line.replace(MASK, ""), words


async def test_logs_are_sorted_masked_cut_and_freed_of_colour(answering: Answering) -> None:
    # Given entries out of order, with a token at a place where a cut would split it, and a key over several entries
    entries = [
        ("12:00:01.5Z", "second " + "x" * 480 + " password=hunter22 tail"),
        ("12:00:01Z", "\x1b[31mfirst\x1b[0m\nwith railway-token\n\n"),
        ("12:00:02Z", "-----BEGIN PRIVATE KEY-----"),
        ("12:00:03Z", "c2VjcmV0IGtleSBtYXRlcmlhbA"),
        ("12:00:04Z", "-----END PRIVATE KEY-----"),
    ]
    railway = answering(answer([{"timestamp": f"2026-11-22T{at}", "message": text} for at, text in entries]))

    lines = await railway.deployment_logs("d1", limit=10)

    assert lines[:2] == ("first", "with [redacted]")
    assert lines[2].startswith("second ")
    assert len(lines[2]) == 500
    assert "hunter" not in lines[2]
    assert lines[3:] == ("[redacted]",)


# Credentials


@pytest.mark.parametrize(
    ("kind", "header", "absent"),
    [("account", "authorization", "project-access-token"), ("project", "project-access-token", "authorization")],
)
async def test_a_token_is_sent_in_the_header_of_its_kind_only(
    clock: VirtualClock, kind: Any, header: str, absent: str
) -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer("d1")

    railway = Railway(url=URL, token_kind=kind, secrets=Secrets(Source(), clock), network=replying(handle))
    await railway.deploy(**PLACE, commit_sha=NEW)
    await railway.close()

    assert seen[0].headers[header].removeprefix("Bearer ") == "railway-token"
    assert absent not in seen[0].headers
    assert str(seen[0].url) == URL


async def test_a_refused_token_is_read_anew_for_the_next_call(
    railway: Railway, world: RailwayWorld, source: Source
) -> None:
    # Given a token that has been replaced since it was read
    await railway.service(**PLACE)
    world.token = source.value = "rotated-token"

    with pytest.raises(Unauthorized, match="Not Authorized"):
        await railway.service(**PLACE)

    # Then the next call sends the new one
    await railway.service(**PLACE)
    assert source.reads == 2


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(401),
        httpx.Response(403, text="nothing for you"),
        refusal("Not Authorized"),
        refusal("Project Token not found"),
        refusal("Two Factor Authentication Required"),
        refusal("Something else", code="UNAUTHENTICATED"),
        refusal("Something else", code="FORBIDDEN"),
    ],
    ids=lambda response: response.text[:40] or str(response.status_code),
)
async def test_every_form_of_a_refused_token_is_unauthorized(
    answering: Answering, source: Source, response: httpx.Response
) -> None:
    railway = answering(response)

    for _ in range(2):
        with pytest.raises(Unauthorized):
            await railway.deployment("d1")

    assert source.reads == 2


# Failures


@pytest.mark.parametrize(
    ("response", "of_a_query", "of_a_change"),
    [
        (httpx.Response(403, html="<html>Cloudflare</html>"), Unavailable, UnknownOutcome),
        (httpx.Response(403, text="error code: 1010"), Unavailable, UnknownOutcome),
        (httpx.Response(404, html="<html>no such backend</html>"), Unavailable, UnknownOutcome),
        (refusal("Problem processing request"), Unavailable, UnknownOutcome),
        (refusal("Please try again later"), Unavailable, UnknownOutcome),
        (refusal("You are deploying too quickly"), RateLimited, RateLimited),
        (refusal("Rate limit exceeded"), RateLimited, RateLimited),
        (refusal("Not Authorized"), Unauthorized, Unauthorized),
        (refusal("Service not found"), NotFound, NotFound),
        (refusal("The repository is not connected"), Refused, Refused),
        (refusal("Commit not found"), Final, Final),
    ],
    ids=lambda value: value.text[:60] if isinstance(value, httpx.Response) else "",
)
async def test_what_railways_answers_mean(
    answering: Answering, response: httpx.Response, of_a_query: type[Exception], of_a_change: type[Exception]
) -> None:
    railway = answering(response)

    with pytest.raises(of_a_query) as asked:
        await railway.deployment("d1")
    with pytest.raises(of_a_change) as changed:
        await railway.deploy(**PLACE, commit_sha=NEW)

    assert (type(asked.value), type(changed.value)) == (of_a_query, of_a_change)


@pytest.mark.parametrize(
    "response",
    [
        refusal("Problem processing request"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, content=b'{"data":{"result":"\xff"}}'),
        httpx.Response(200, json={"data": None}),
        httpx.Response(200, json={"data": {}}),
        answer({"id": 7}),
        answer(raw_deployment(createdAt="2026-05-02T22:47:38")),
        httpx.Response(404, text="not here"),
        httpx.Response(502),
    ],
    ids=lambda response: response.text[:40] or str(response.status_code),
)
async def test_an_answer_that_says_nothing_is_a_failure_and_for_a_change_an_unknown_outcome(
    answering: Answering, response: httpx.Response
) -> None:
    railway = answering(response)

    with pytest.raises(Unavailable):
        await railway.deployment("d1")
    with pytest.raises(UnknownOutcome):
        await railway.cancel("d1")


async def test_too_many_requests_carry_the_time_to_wait(railway: Railway, world: RailwayWorld) -> None:
    world.app.faults.append(Fault(status=429, headers={"Retry-After": "7"}, body={"data": None}))

    with pytest.raises(RateLimited) as caught:
        await railway.deployment("d1")

    assert caught.value.retry_after == 7


@pytest.mark.parametrize(("limit", "wait"), [({"per_hour": 3}, 3600), ({"per_second": 3}, 1)])
async def test_a_limit_says_when_to_come_again_and_is_over_then(
    railway: Railway, world: RailwayWorld, clock: VirtualClock, limit: dict[str, int], wait: int
) -> None:
    world.limits.per_hour, world.limits.per_second = limit.get("per_hour"), limit.get("per_second")
    for _ in range(3):
        await railway.service(**PLACE)

    with pytest.raises(RateLimited) as caught:
        await railway.service(**PLACE)

    assert caught.value.retry_after == wait
    clock.advance(wait)
    await railway.service(**PLACE)


async def test_a_refusal_keeps_its_trace_and_hides_secrets(answering: Answering) -> None:
    railway = answering(refusal("no build for https://user:pass-word@github.test"))

    with pytest.raises(Refused) as caught:
        await railway.deploy(**PLACE, commit_sha=NEW)

    assert "trace 785" in str(caught.value)
    assert "pass-word" not in str(caught.value)


async def test_errors_count_even_beside_data_and_without_words(answering: Answering) -> None:
    railway = answering(httpx.Response(200, json={"data": {"result": "d1"}, "errors": [{}]}))

    with pytest.raises(Refused, match="refused"):
        await railway.deploy(**PLACE, commit_sha=NEW)


# Tokens

STAGING_TOKEN = "token-of-staging"


@pytest.fixture
def scoped(world: RailwayWorld, clock: VirtualClock, railway: Railway) -> Railway:
    """With a project token, which opens the one environment of another secret's targets."""
    world.project_tokens[STAGING_TOKEN] = ("prj", "env")
    secrets = Secrets(OneOf({RAILWAY_API: "railway-token", "RAILWAY-OWN": STAGING_TOKEN}), clock)
    network = world.app
    return Railway(url=URL, token_kind="account", secrets=secrets, network=network).using("RAILWAY-OWN", "project")


class OneOf:
    """Secrets by name."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    async def read(self, name: str) -> tuple[str, ...]:
        return (self._values[name],)


async def test_a_project_token_does_its_environments_work(scoped: Railway, world: RailwayWorld) -> None:
    id = await scoped.deploy(**PLACE, commit_sha=NEW)

    assert (await scoped.deployment(id)).commit_sha == NEW
    assert [one.id for one in await scoped.deployments(**WHERE, limit=1)] == [id]
    assert (await scoped.service(**PLACE)).latest_id == id
    assert (await scoped.setup.token("project")).environment_id == "env"
    assert world.trespasses == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda railway, _: railway.deploy(service_id="svc", environment_id="env2", commit_sha=NEW),
        lambda railway, _: railway.service(service_id="svc", environment_id="env2"),
        lambda railway, _: railway.deployments(project_id="prj", environment_id="env2", service_id="svc"),
        lambda railway, theirs: railway.deployment(theirs),
        lambda railway, theirs: railway.rollback(theirs),
        lambda railway, theirs: railway.build_logs(theirs, limit=3),
        lambda railway, _: railway.setup.project("other"),
    ],
)
async def test_a_project_token_opens_no_other_environment(scoped: Railway, world: RailwayWorld, ask: Any) -> None:
    place = {"project_id": "prj", "environment_id": "env2", "service_id": "svc"}
    world.add_service(**place, name="web", repository="acme/shop", serving_commit=OLD)
    id = world.deployments("svc", "env2")[0].id

    with pytest.raises(Unauthorized, match="RAILWAY-OWN holds a project token, which opens one environment"):
        await ask(scoped, id)

    assert len(world.trespasses) == 1
    assert len(world.created) == 0


async def test_what_no_project_token_may_do_is_refused_with_its_name(scoped: Railway, world: RailwayWorld) -> None:
    world.refused_to_project_tokens.add("serviceInstanceDeployV2")

    with pytest.raises(Unauthorized) as refused:
        await scoped.deploy(**PLACE, commit_sha=NEW)

    assert "Railway does not let a project token use `serviceInstanceDeployV2`" in str(refused.value)
    assert STAGING_TOKEN not in str(refused.value)
    assert world.created == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_by_status_names_the_permission_too(scoped: Railway, world: RailwayWorld, status: int) -> None:
    world.app.faults.append(Fault(status=status))
    with pytest.raises(Unauthorized, match="does not let a project token use `serviceInstance`"):
        await scoped.service(**PLACE)


async def test_an_account_token_is_not_told_of_scopes(railway: Railway, source: Source) -> None:
    source.value = "revoked"
    with pytest.raises(Unauthorized) as refused:
        await railway.deployment("any")
    assert "project token" not in str(refused.value)


# Config files


@pytest.mark.parametrize(
    ("meta", "file", "settings", "check"),
    [
        # As captured of a real deployment: the file is named, and nothing is said of what it sets
        (
            {
                "configFile": "/railway.json",
                "fileServiceManifest": {},
                "serviceManifest": {"build": {}, "deploy": {"healthcheckPath": "/api/health"}},
            },
            *("/railway.json", (), "/api/health"),
        ),
        (
            {"fileServiceManifest": {"build": {"builder": "NIXPACKS"}, "deploy": {"startCommand": "x", "cron": None}}},
            *("railway.json or railway.toml", ("build.builder", "deploy.startCommand"), None),
        ),
        ({"configFile": ".railway/railway.ts", "fileServiceManifest": {"build": {"a": 1}}}, None, (), None),
        ({"configFile": None, "fileServiceManifest": {}, "serviceManifest": {"build": {"a": 1}}}, None, (), ""),
        ({"configFile": 7, "fileServiceManifest": [1], "serviceManifest": {"deploy": [1]}}, None, (), ""),
        ({"configFile": "", "fileServiceManifest": {"deploy": "x"}, "serviceManifest": {}}, None, (), None),
        (None, None, (), None),
    ],
)
async def test_meta_says_which_file_configured_a_deployment(
    answering: Answering, meta: Any, file: str | None, settings: Any, check: str | None
) -> None:
    state = await answering(answer(raw_deployment(meta=meta))).deployment("d1")
    assert (state.config_file, state.file_settings, state.health_check) == (file, settings, check)


# How the project is set up


async def test_a_token_tells_what_it_opens(railway: Railway, world: RailwayWorld) -> None:
    account = await railway.setup.token("account")
    project = await railway.setup.token("project")

    assert (account.kind, account.workspaces, account.project_id) == ("account", ("Workspace",), None)
    assert (project.kind, project.project_id, project.environment_id) == ("project", "prj", "env")


@pytest.mark.parametrize(("is_one", "taken_as"), [("account", "project"), ("project", "account")])
async def test_a_token_of_the_other_kind_is_refused(
    railway: Railway, world: RailwayWorld, is_one: Any, taken_as: Any
) -> None:
    world.token_kind = is_one

    with pytest.raises(Unauthorized):
        await railway.setup.token(taken_as)
    assert (await railway.setup.token(is_one)).kind == is_one


async def test_a_project_names_its_environments_and_services(railway: Railway, world: RailwayWorld) -> None:
    world.add_service(
        project_id="prj",
        environment_id="env2",
        environment_name="staging",
        service_id="svc",
        name="web",
        repository="acme/shop",
    )

    project = await railway.setup.project("prj")

    assert (project.name, project.services) == ("Project", {"svc": "web"})
    assert project.environments == {"env": "production", "env2": "staging"}
    with pytest.raises(NotFound, match="Project not found"):
        await railway.setup.project("other")


async def test_what_railway_deploys_by_itself(railway: Railway, world: RailwayWorld) -> None:
    assert not (await railway.setup.auto_deploy(**WHERE)).enabled
    [trigger] = await railway.setup.triggers(**WHERE)
    assert (trigger.branch, trigger.repository) == ("main", "acme/shop")

    world.services[0].image = "nginx:1"
    assert (await railway.setup.auto_deploy(**WHERE)).reason == "Service is not connected to a repository"
    assert await railway.setup.triggers(**WHERE) == []
    with pytest.raises(NotFound):
        await railway.setup.triggers(**WHERE | {"project_id": "other"})


async def test_a_service_tells_its_overlap_and_its_source(railway: Railway, world: RailwayWorld) -> None:
    assert (await railway.service(**PLACE)).overlap_seconds == 5

    world.services[0].image, world.services[0].overlap_seconds = "nginx:1", None
    service = await railway.service(**PLACE)
    assert (service.image, service.repository, service.overlap_seconds) == ("nginx:1", None, None)
