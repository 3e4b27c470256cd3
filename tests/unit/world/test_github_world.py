"""The simulated GitHub behaves as GitHub does where Signalbox could tell the difference."""

import hashlib
import hmac
import json
import random
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest
from networks import straight_to

from local.world.github.server import GitHubWorld
from local.world.people import People
from local.world.railway.server import RailwayWorld
from shared.runtime.config import parse

REPO = "acme/shop"


class FixedClock:
    time = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class Inbox:
    """Where webhooks arrive; answers with `status` or raises `error`."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.error: Exception | None = None

    async def __call__(self, headers: dict[str, str], body: bytes) -> int:
        self.got.append((headers, body))
        if self.error is not None:
            raise self.error
        return self.status

    def events(self) -> list[str]:
        return [
            f"{headers['X-GitHub-Event']} {json.loads(body).get('action', '')}".strip() for headers, body in self.got
        ]

    def payload(self, event: str) -> dict:
        return next(json.loads(body) for headers, body in self.got if headers["X-GitHub-Event"] == event)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def world(clock, inbox) -> GitHubWorld:
    world = GitHubWorld(clock=clock, webhook_secret="hush", deliver=inbox)
    world.add_repository(REPO, collaborators={"ann": "admin"})
    return world


@pytest.fixture
async def api(world):
    async with httpx.AsyncClient(transport=straight_to(world.app), base_url="http://github.test") as client:
        yield client


def app_token(clock, **changes) -> dict[str, str]:
    now = int(clock.time.timestamp())
    claims = {"iat": now - 60, "exp": now + 540, "iss": "123456"} | changes
    return {"authorization": f"Bearer {jwt.encode(claims, 'k' * 32, algorithm='HS256')}"}


@pytest.fixture
async def token(world, api, clock) -> dict[str, str]:
    installation = (await api.get(f"/repos/{REPO}/installation", headers=app_token(clock))).json()["id"]
    minted = await api.post(f"/app/installations/{installation}/access_tokens", headers=app_token(clock))
    return {"authorization": f"Bearer {minted.json()['token']}"}


def test_who_may_do_what_is_each_repositorys_own(world):
    people = {"ann": "read"}
    world.add_repository("acme/one", collaborators=people)
    world.add_repository("acme/two", collaborators=people)

    world.repository("acme/one").collaborators["ann"] = "admin"

    assert world.repository("acme/two").collaborators == people == {"ann": "read"}


# Webhooks


async def test_webhooks_are_signed_and_carry_githubs_headers(world, inbox):
    world.open_pull_request(REPO, title="Faster cart", author="ann")
    assert inbox.got == []
    await world.tick()
    ((headers, body),) = inbox.got
    assert headers["X-Hub-Signature-256"] == "sha256=" + hmac.new(b"hush", body, hashlib.sha256).hexdigest()
    assert headers["X-GitHub-Hook-Installation-Target-Type"] == "integration"
    assert headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert len(headers["X-GitHub-Delivery"]) == 36


async def test_a_merged_pull_request_comes_as_closed_with_a_push(world, inbox):
    number = world.open_pull_request(REPO, title="Faster cart", author="ann")
    merged_by_hook = []
    world.on_merge.append(lambda *merge: merged_by_hook.append(merge))
    sha = world.merge(REPO, number, "ann")
    await world.tick()
    assert inbox.events() == ["pull_request opened", "pull_request closed", "push"]
    closed = json.loads(inbox.got[1][1])
    pull = closed["pull_request"]
    assert (pull["merged"], pull["merge_commit_sha"], pull["state"]) == (True, sha, "closed")
    assert pull["merged_by"]["login"] == "ann"
    assert pull["head"]["sha"] != sha
    assert closed["installation"]["id"] > 0
    assert inbox.payload("push")["after"] == sha
    assert merged_by_hook == [(REPO, sha, "main")]


async def test_payloads_have_the_size_and_keys_of_real_ones(world, inbox):
    number = world.open_pull_request(REPO, title="Faster cart", author="ann")
    world.merge(REPO, number, "ann")
    await world.tick()
    assert 20_000 < len(inbox.got[1][1]) < 30_000
    payload = inbox.payload("pull_request")
    assert len(payload["repository"]) >= 78
    assert len(payload["sender"]) == 18
    assert payload["repository"]["contents_url"] == f"https://api.github.com/repos/{REPO}/contents/{{+path}}"


async def test_every_thing_that_happens_is_told(world, inbox):
    number = world.open_pull_request(REPO, title="t", author="ann", draft=True)
    world.mark_ready(REPO, number)
    world.label(REPO, number, "ship it", "ann")
    world.label(REPO, number, "ship it", "ann")
    world.unlabel(REPO, number, "ship it", "ann")
    head = world.push(REPO, number)
    world.report_check(REPO, number, "lint", None)
    world.report_check(REPO, number, "test", "success")
    world.report_check(REPO, number, "lint", "failure")
    world.report_status(REPO, number, "ci/old", "success")
    world.review(REPO, number, "approved", "ann")
    world.close(REPO, number)
    await world.tick()
    assert inbox.events() == [
        "pull_request opened",
        "pull_request ready_for_review",
        "pull_request labeled",
        "pull_request unlabeled",
        "push",
        "pull_request synchronize",
        "check_run completed",
        "check_run completed",
        "check_suite completed",
        "status",
        "pull_request_review submitted",
        "pull_request closed",
    ]
    suite = inbox.payload("check_suite")["check_suite"]
    assert (suite["head_sha"], suite["conclusion"]) == (head, "failure")
    assert suite["pull_requests"][0]["number"] == number
    assert json.loads(inbox.got[-1][1])["pull_request"]["merged"] is False


async def test_comments_tell_people_from_bots_and_name_no_commit(world, inbox, api, token):
    number = world.open_pull_request(REPO, title="t", author="ann")
    world.comment(REPO, number, "/deploy", "ann")
    await api.post(f"/repos/{REPO}/issues/{number}/comments", json={"body": "On it"}, headers=token)
    await world.tick()
    by_person, by_bot = (json.loads(body) for _, body in inbox.got[1:])
    assert by_person["sender"]["type"] == "User"
    assert by_person["issue"]["pull_request"]["html_url"].endswith(f"/pull/{number}")
    assert "head" not in by_person["issue"]
    assert (by_bot["sender"]["type"], by_bot["sender"]["login"]) == ("Bot", "signalbox-demo[bot]")
    assert by_bot["comment"]["performed_via_github_app"]["id"] == 123456


async def test_a_payload_shows_the_moment_it_happened(world, inbox):
    number = world.open_pull_request(REPO, title="t", author="ann")
    opened_at = world.pull(REPO, number).head_sha
    world.push(REPO, number)
    await world.tick()
    assert inbox.payload("pull_request")["pull_request"]["head"]["sha"] == opened_at


async def test_a_storm_repeats_each_delivery_with_its_guid(world, inbox):
    world.delivery_copies, world.shuffle = 3, random.Random(7)
    for _ in range(4):
        world.open_pull_request(REPO, title="t", author="ann")
    await world.tick()
    guids = [headers["X-GitHub-Delivery"] for headers, _ in inbox.got]
    assert {guids.count(guid) for guid in guids} == {3}
    numbers = [json.loads(body)["number"] for _, body in inbox.got]
    assert numbers != sorted(numbers)


@pytest.mark.parametrize(
    ("status", "error", "recorded"),
    [
        (204, None, ("OK", 204)),
        (503, None, ("Invalid HTTP Response: 503", 503)),
        (0, httpx.ConnectError("refused"), ("failed to connect to host", 502)),
        (0, ConnectionResetError(), ("failed to connect to host", 502)),
        (0, httpx.ReadTimeout("slow"), ("timed out", 504)),
        (0, TimeoutError(), ("timed out", 504)),
    ],
)
async def test_a_delivery_is_recorded_and_never_repeated_by_itself(world, inbox, api, clock, status, error, recorded):
    inbox.status, inbox.error = status, error
    world.open_pull_request(REPO, title="t", author="ann")
    await world.tick()
    await world.tick()
    assert len(inbox.got) == 1
    (listed,) = (await api.get("/app/hook/deliveries", headers=app_token(clock))).json()
    assert (listed["status"], listed["status_code"]) == recorded
    assert (listed["event"], listed["action"], listed["redelivery"]) == ("pull_request", "opened", False)


async def test_a_redelivery_keeps_the_guid_and_the_body(world, inbox, api, clock):
    inbox.status = 503
    world.open_pull_request(REPO, title="t", author="ann")
    await world.tick()
    attempt = world.webhooks.attempts()[0]
    inbox.status = 200
    asked = await api.post(f"/app/hook/deliveries/{attempt.id}/attempts", headers=app_token(clock))
    await world.tick()
    assert asked.status_code == 202
    assert inbox.got[0] == inbox.got[1]
    listed = (await api.get("/app/hook/deliveries?status=success", headers=app_token(clock))).json()
    assert [(each["guid"], each["redelivery"]) for each in listed] == [(attempt.webhook.guid, True)]


async def test_deliveries_are_forgotten_after_three_days_and_fail_without_an_address(world, clock):
    world.webhooks.deliver = None
    world.open_pull_request(REPO, title="t", author="ann")
    await world.tick()
    assert [attempt.status for attempt in world.webhooks.attempts()] == ["failed to connect to host"]
    clock.time += timedelta(days=3, seconds=1)
    assert world.webhooks.attempts() == []


# Credentials


async def test_tokens_end_after_an_hour(world, api, clock, token):
    assert (await api.get(f"/repos/{REPO}/deployments", headers=token)).status_code == 200
    clock.time += timedelta(hours=1)
    refused = await api.get(f"/repos/{REPO}/deployments", headers=token)
    assert (refused.status_code, refused.json()["message"]) == (401, "Bad credentials")


async def test_tokens_see_only_their_owners_repositories(world, api, token):
    world.add_repository("other/secret", collaborators={})
    assert (await api.get("/repos/other/secret/deployments", headers=token)).status_code == 404
    assert (await api.get("/nothing/here", headers=token)).status_code == 404


@pytest.mark.parametrize("changes", [{"iss": "999"}, {"exp": 1}, {"exp": 2_000_000_000}, {"iat": 2_000_000_000}])
async def test_wrong_claims_are_refused(api, clock, changes):
    answer = await api.get("/app/hook/deliveries", headers=app_token(clock, **changes))
    assert answer.status_code == 401


async def test_requests_need_a_user_agent_and_a_credential(api, token):
    assert (await api.get(f"/repos/{REPO}/deployments", headers=token | {"user-agent": ""})).status_code == 403
    assert (await api.get(f"/repos/{REPO}/deployments")).status_code == 401
    assert (await api.post("/app/installations/1/access_tokens", headers=token)).status_code == 401


# The API


async def test_mergeability_is_computed_by_the_first_read_and_again_when_the_base_moves(world, api, token):
    first = world.open_pull_request(REPO, title="a", author="ann", branch="a")
    second = world.open_pull_request(REPO, title="b", author="ann", branch="b")
    query = 'query ($n: Int!) { repository(owner: "acme", name: "shop") { pullRequest(number: $n) { mergeable } } }'

    async def read() -> str:
        answer = (await api.post("/graphql", json={"query": query, "variables": {"n": second}}, headers=token)).json()
        return answer["data"]["repository"]["pullRequest"]["mergeable"]

    assert [await read(), await read()] == ["UNKNOWN", "MERGEABLE"]
    world.merge(REPO, first, "ann")
    assert [await read(), await read()] == ["UNKNOWN", "MERGEABLE"]


async def test_a_person_merges_once_and_not_what_is_closed(world):
    merged, closed = (world.open_pull_request(REPO, title="t", author="ann", branch=name) for name in "ab")
    world.merge(REPO, merged, "ann")
    world.close(REPO, closed)
    text = (
        f'[repositories."{REPO}".services.web]\nproject_id="p"\nservice_id="s"\nenvironments.live.environment_id="e"\n'
    )
    railway = RailwayWorld(clock=world.clock, token="t", webhook_secret="s")
    transport = straight_to(People(world, railway, parse(text).targets).app)

    async with httpx.AsyncClient(transport=transport, base_url="http://people") as people:
        answers = [await people.post(f"/pulls/{number}/merge", json={"by": "ann"}) for number in (merged, closed)]

    assert [(a.status_code, a.json()["error"]) for a in answers] == [
        (405, "Pull Request is not mergeable"),
        (405, "Pull Request is closed"),
    ]
    assert [number for _, number, _ in world.merges] == [merged]


@pytest.mark.parametrize(
    ("arrange", "message"),
    [
        (lambda world: world.merge(REPO, 1, "ann"), "Pull Request is not mergeable"),
        (lambda world: world.close(REPO, 1), "Pull Request is closed"),
        (lambda world: world.set_draft(REPO, 1), "Pull Request is still a draft"),
        (lambda world: world.set_conflict(REPO, 1), "Pull Request is not mergeable"),
        (lambda world: world.require_review(REPO, "main"), "At least 1 approving review"),
        (lambda world: world.require_merge_queue(REPO, "main"), "Changes must be made through the merge queue"),
        (lambda world: world.report_check(REPO, 1, "test", "failure", required=True), '"test" is failing'),
    ],
)
async def test_what_cannot_be_merged_is_a_405(world, api, token, arrange, message):
    world.open_pull_request(REPO, title="t", author="ann")
    arrange(world)
    answer = await api.put(f"/repos/{REPO}/pulls/1/merge", json={}, headers=token)
    assert answer.status_code == 405
    assert message in answer.json()["message"]


async def test_a_merge_checks_the_head_it_is_given(world, api, token):
    number = world.open_pull_request(REPO, title="t", author="ann")
    answer = await api.put(f"/repos/{REPO}/pulls/{number}/merge", json={"sha": "0" * 40}, headers=token)
    assert answer.status_code == 409
    assert answer.json()["message"] == "Head branch was modified. Review and try the merge again."


async def test_graphql_is_checked_against_the_schema(api, token):
    for query in ("{ nonsense }", "{ not graphql"):
        answer = await api.post("/graphql", json={"query": query}, headers=token)
        assert answer.status_code == 200
        assert answer.json()["errors"][0]["message"]


async def test_graphql_names_the_type_of_an_error_beside_its_message(api, token):
    query = '{ repository(owner: "acme", name: "none") { nameWithOwner } }'
    answer = (await api.post("/graphql", json={"query": query}, headers=token)).json()
    assert answer["data"] == {"repository": None}
    assert answer["errors"][0]["type"] == "NOT_FOUND"
    assert answer["errors"][0]["path"] == ["repository"]


async def test_checks_have_to_be_paged(world, api, token):
    world.open_pull_request(REPO, title="t", author="ann")
    world.report_check(REPO, 1, "test", None)
    contexts = "commits(last: 1) { nodes { commit { statusCheckRollup { state contexts { totalCount } } } } }"
    query = f'{{ repository(owner: "acme", name: "shop") {{ pullRequest(number: 1) {{ {contexts} }} }} }}'
    answer = (await api.post("/graphql", json={"query": query}, headers=token)).json()
    assert "`first`" in answer["errors"][0]["message"]


async def test_a_deployment_defaults_to_merging_and_to_demanding_green_checks(api, token):
    url = f"/repos/{REPO}/deployments"
    merging = await api.post(url, json={"ref": "a" * 40}, headers=token)
    checking = await api.post(url, json={"ref": "a" * 40, "auto_merge": False}, headers=token)
    assert (merging.status_code, checking.status_code) == (202, 409)
    assert (await api.get(url, headers=token)).json() == []


async def test_invalid_input_is_a_422(world, api, token):
    number = world.open_pull_request(REPO, title="t", author="ann")
    comment = world.comment(REPO, number, "hi", "ann")
    wanted = {"ref": "a", "auto_merge": False, "required_contexts": []}
    deployment = (await api.post(f"/repos/{REPO}/deployments", json=wanted, headers=token)).json()["id"]
    for url, body in (
        (f"issues/{number}/comments", {"body": "x" * 65_537}),
        (f"issues/comments/{comment}/reactions", {"content": "shrug"}),
        (f"deployments/{deployment}/statuses", {"state": "fine"}),
        (f"deployments/{deployment}/statuses", {"state": "success", "description": "x" * 141}),
    ):
        answer = await api.post(f"/repos/{REPO}/{url}", json=body, headers=token)
        assert answer.status_code == 422, url


async def test_the_same_story_gives_the_same_hashes(clock):
    def tell() -> list[str]:
        world = GitHubWorld(clock=clock, webhook_secret="hush")
        world.add_repository(REPO, collaborators={})
        number = world.open_pull_request(REPO, title="t", author="ann")
        return [world.push(REPO, number), world.merge(REPO, number, "ann")]

    told = tell()
    assert told == tell()
    assert all(len(sha) == 40 and int(sha, 16) >= 0 for sha in told)


async def test_a_base_that_moves_refuses_the_next_merge_once(world, api, token):
    number = world.open_pull_request(REPO, title="t", author="ann")
    world.commit(REPO, "main", "ann")
    answers = [await api.put(f"/repos/{REPO}/pulls/{number}/merge", json={}, headers=token) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [405, 200]
    assert answers[0].json()["message"] == "Base branch was modified. Review and try the merge again."


async def test_each_answer_tells_what_is_left(world, api, token, clock):
    answer = await api.get(f"/repos/{REPO}/deployments", headers=token)
    limits = {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit")}
    assert limits == {
        "x-ratelimit-limit": "5000",
        "x-ratelimit-remaining": "4999",
        "x-ratelimit-used": "1",
        "x-ratelimit-reset": str(int(clock.time.timestamp()) + 3600),
        "x-ratelimit-resource": "core",
    }


# CI and rules


async def suites(api, token) -> list[tuple[str, str | None, int]]:
    shown = "checkSuites(first: 10) { nodes { status conclusion checkRuns(first: 1) { totalCount } } }"
    commits = f"commits(last: 1) {{ nodes {{ commit {{ {shown} }} }} }}"
    query = f'{{ repository(owner: "acme", name: "shop") {{ pullRequest(number: 1) {{ {commits} }} }} }}'
    answer = (await api.post("/graphql", json={"query": query}, headers=token)).json()
    [commit] = answer["data"]["repository"]["pullRequest"]["commits"]["nodes"]
    found = commit["commit"]["checkSuites"]["nodes"]
    return [(one["status"], one["conclusion"], one["checkRuns"]["totalCount"]) for one in found]


async def test_a_workflow_is_queued_then_runs_then_ends(world, api, token):
    world.open_pull_request(REPO, title="t", author="ann")
    world.open_suite(REPO, 1)
    seen = await suites(api, token)
    world.report_check(REPO, 1, "lint", "success")
    seen += await suites(api, token)
    world.report_check(REPO, 1, "test", "failure")
    world.close_suite(REPO, 1)
    seen += await suites(api, token)
    assert seen == [("QUEUED", None, 0), ("IN_PROGRESS", None, 1), ("COMPLETED", "FAILURE", 2)]


async def test_a_workflow_can_end_without_a_check(world, api, token, inbox):
    world.open_pull_request(REPO, title="t", author="ann")
    world.close_suite(REPO, 1, "startup_failure")
    assert await suites(api, token) == [("COMPLETED", "STARTUP_FAILURE", 0)]
    await world.tick()
    assert inbox.events()[-1] == "check_suite completed"


async def test_each_push_opens_a_suite_of_every_app_that_may_write_checks(world, api, token):
    world.repository(REPO).apps.append(77)
    world.access.permissions["checks"] = "write"
    world.open_pull_request(REPO, title="t", author="ann")
    world.push(REPO, 1)
    assert await suites(api, token) == [("QUEUED", None, 0)] * 2


async def test_classic_protection_refuses_and_is_in_no_rules(world, api, token):
    world.protect(REPO, "main", ["test", "lint"])
    world.open_pull_request(REPO, title="t", author="ann")
    one = await api.put(f"/repos/{REPO}/pulls/1/merge", json={}, headers=token)
    world.report_check(REPO, 1, "lint", "success")
    two = await api.put(f"/repos/{REPO}/pulls/1/merge", json={}, headers=token)
    rules = (await api.get(f"/repos/{REPO}/rules/branches/main", headers=token)).json()
    assert (one.status_code, one.json()["message"]) == (405, "2 of 2 required status checks are expected.")
    assert two.json()["message"] == 'Required status check "test" is expected.'
    assert [rule["type"] for rule in rules] == ["deletion"]


async def test_a_branch_is_behind_until_it_is_updated(world, api, token):
    world.require_checks(REPO, "main", ["test"], strict=True)
    world.open_pull_request(REPO, title="t", author="ann")
    world.report_check(REPO, 1, "test", "success")
    world.commit(REPO, "main", "ann")
    repository, pull = world.repository(REPO), world.pull(REPO, 1)
    pull.mergeable_known = True
    assert repository.merge_state(pull) == "BEHIND"
    url, head = f"/repos/{REPO}/pulls/1/update-branch", pull.head_sha
    answers = [await api.put(url, json={"expected_head_sha": sha}, headers=token) for sha in ("f" * 40, head, head)]
    again = await api.put(url, json={}, headers=token)
    assert [one.status_code for one in (*answers, again)] == [422, 202, 422, 422]
    pull.mergeable_known = True
    assert (repository.merge_state(pull), pull.head_sha != head) == ("BLOCKED", True)
