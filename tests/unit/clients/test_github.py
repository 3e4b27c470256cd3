"""The GitHub client against the simulated GitHub, and against answers that GitHub ought not to give."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from networks import replying

from local.world.faults import Fault
from local.world.github.server import GitHubWorld
from shared.clients.github.activity import Activity
from shared.clients.github.app import GitHubApp
from shared.clients.github.client import MOST_FILES, BaseMoved, GitHub, HeadMoved, NotMergeable, RequiredCheck
from shared.clients.github.registration import Registration, undelivered
from shared.clients.http import Network
from shared.core.target import Repository
from shared.errors import NotFound, RateLimited, Refused, Unauthorized, Unavailable, UnknownOutcome
from shared.runtime.redaction import redact
from shared.runtime.secrets import GITHUB_APP_PRIVATE_KEY, Secrets

REPO = "acme/shop"
MARKER = "<!-- signalbox:run -->"
BASE_URL = "https://api.github.test"


class FixedClock:
    time = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


class OneSecret:
    """A secret source that counts its reads."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.reads = 0

    async def read(self, name: str) -> tuple[str, ...]:
        assert name == GITHUB_APP_PRIVATE_KEY
        self.reads += 1
        return (self.value,)


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def source(key) -> OneSecret:
    return OneSecret(private_pem(key))


@pytest.fixture
def world(key, clock) -> GitHubWorld:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()
    world = GitHubWorld(clock=clock, webhook_secret="hush", public_key_pem=public)
    world.add_repository(REPO, collaborators={"ann": "admin", "bob": "write", "eve": "read"})
    return world


@pytest.fixture
async def github(world, clock, source):
    client = open_github(clock, source, world.app)
    yield client
    await client.close()


def open_github(clock, source, network: Network, *, app_id: str = "123456") -> GitHub:
    secrets = Secrets(source, clock)
    return GitHub(base_url=BASE_URL, app_id=app_id, secrets=secrets, clock=clock, network=network)


@pytest.fixture
def scripted(clock, source) -> Callable[..., GitHub]:
    """A client of a GitHub that knows how to give a token and answers everything else as it is told, in order."""

    def build(*answers: httpx.Response) -> GitHub:
        left = list(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/installation"):
                return httpx.Response(200, json={"id": 7})
            if request.url.path.endswith("/access_tokens"):
                expires = (clock.time + timedelta(hours=1)).isoformat()
                return httpx.Response(201, json={"token": "ghs_scripted_token", "expires_at": expires})
            return left.pop(0)

        return open_github(clock, source, replying(answer))

    return build


def calls(world: GitHubWorld, part: str) -> int:
    return sum(part in f"{call.method} {call.path}" for call in world.app.calls)


# Reading a pull request


async def test_a_pull_request_is_read_in_one_query(world, github):
    # given an approved pull request with one passed and one running check
    number = world.open_pull_request(REPO, title="Faster cart", author="bob")
    world.require_review(REPO, "main")
    world.review(REPO, number, "approved", "ann")
    world.report_check(REPO, number, "test", "success", required=True)
    world.report_check(REPO, number, "lint", None)
    # when it is read twice, because GitHub computes mergeability on the first read
    first = await github.pull_request(REPO, number)
    second = await github.pull_request(REPO, number)
    # then everything the gate needs is there
    assert (first.mergeable, first.merge_state) == (None, "unknown")
    assert (second.mergeable, second.merge_state, second.review) == (True, "unstable", "approved")
    assert (second.title, second.author, second.base) == ("Faster cart", "bob", "main")
    assert (second.state, second.draft, second.merged, second.merge_sha) == ("open", False, False, None)
    assert second.head_sha == world.pull(REPO, number).head_sha
    assert second.url == f"https://github.com/{REPO}/pull/{number}"
    assert (second.merge_queue, second.from_fork, second.labels) == (False, False, ("enhancement",))
    assert {(check.name, check.state, check.required, check.app_id) for check in second.checks} == {
        ("test", "passed", True, 15368),
        ("lint", "pending", False, 15368),
    }
    assert second.checks[0].url.startswith("https://ci.example/")
    assert calls(world, "POST /graphql") == 2


@pytest.mark.parametrize(
    ("conclusion", "state"),
    [
        ("success", "passed"),
        ("neutral", "passed"),
        ("skipped", "passed"),
        ("failure", "failed"),
        ("cancelled", "failed"),
        ("timed_out", "failed"),
        ("action_required", "failed"),
        ("stale", "failed"),
        ("startup_failure", "failed"),
        (None, "pending"),
    ],
)
async def test_what_conclusions_of_check_runs_mean(world, github, conclusion, state):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.report_check(REPO, number, "test", conclusion)
    assert [check.state for check in (await github.pull_request(REPO, number)).checks] == [state]


@pytest.mark.parametrize(
    ("reported", "state"), [("success", "passed"), ("failure", "failed"), ("error", "failed"), ("pending", "pending")]
)
async def test_what_states_of_commit_statuses_mean(world, github, reported, state):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.require_checks(REPO, "main", ["ci/old"])
    world.report_status(REPO, number, "ci/old", reported)
    (check,) = (await github.pull_request(REPO, number)).checks
    assert (check.name, check.state, check.required, check.app_id) == ("ci/old", state, True, None)


async def test_a_pull_request_without_checks_has_none(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    assert (await github.pull_request(REPO, number)).checks == ()


async def test_what_was_cancelled_for_a_newer_run_does_not_count(world, github, clock):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.report_check(REPO, number, "test", "cancelled")
    assert [check.state for check in (await github.pull_request(REPO, number)).checks] == ["failed"]

    world.supersede_check(REPO, number, "test")
    clock.time += timedelta(minutes=1)
    world.report_check(REPO, number, "test", "success")

    assert [check.state for check in (await github.pull_request(REPO, number)).checks] == ["passed"]


@pytest.mark.parametrize(
    ("required", "states"), [(True, ["passed"]), (False, ["failed", "passed"])], ids=["required", "of any workflow"]
)
async def test_what_failed_counts_beside_a_newer_run_unless_it_is_required(world, github, clock, required, states):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.report_check(REPO, number, "test", "failure", required=required)
    world.supersede_check(REPO, number, "test")
    clock.time += timedelta(minutes=1)
    world.report_check(REPO, number, "test", "success", required=required)

    assert [check.state for check in (await github.pull_request(REPO, number)).checks] == states


@pytest.mark.parametrize(
    ("earlier", "other"),
    [
        ("2026-11-22T12:00:00Z", {"startedAt": "2026-11-22T11:00:00Z"}),
        ("2026-11-22T12:00:00Z", {"startedAt": "2026-11-22T12:00:00Z"}),
        ("2026-11-22T12:00:00Z", {"startedAt": None}),
        (None, {"startedAt": "2026-11-22T13:00:00Z"}),
        ("2026-11-22T12:00:00Z", {"startedAt": "2026-11-22T13:00:00Z", "name": "lint"}),
        ("2026-11-22T12:00:00Z", {"startedAt": "2026-11-22T13:00:00Z", "checkSuite": {"app": {"databaseId": 2}}}),
    ],
    ids=["older", "as old", "of no time", "no time known", "of another name", "of another App"],
)
async def test_what_was_cancelled_counts_unless_a_newer_run_is_of_the_same_check(scripted, earlier, other):
    run = {
        "__typename": "CheckRun",
        "name": "test",
        "status": "COMPLETED",
        "conclusion": "CANCELLED",
        "isRequired": True,
        "startedAt": earlier,
        "checkSuite": {"app": {"databaseId": 1}},
    }
    nodes = [run, {**run, "conclusion": "SUCCESS", **other}]

    pull = await scripted(httpx.Response(200, json=a_page(commits=a_commit("aaa", *nodes)))).pull_request(REPO, 1)

    assert "failed" in [check.state for check in pull.checks]


@pytest.mark.parametrize("app_id", ["123456", "Iv23li00000000123456"])
async def test_our_own_check_run_is_left_out_by_either_id_of_the_app(world, clock, source, app_id):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.report_check(REPO, number, "signalbox", None, app_id=123456)
    world.report_check(REPO, number, "test", "success")
    github = open_github(clock, source, world.app, app_id=app_id)

    pull = await github.pull_request(REPO, number)
    await github.close()

    assert [check.name for check in pull.checks] == ["test"]


async def test_more_than_a_hundred_checks_are_paged(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    for index in range(205):
        world.report_check(REPO, number, f"test {index}", "success")
    checks = (await github.pull_request(REPO, number)).checks
    assert len({check.name for check in checks}) == 205
    assert calls(world, "POST /graphql") == 3


async def test_conflicts_reviews_queues_and_merges_are_seen(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.require_review(REPO, "main")
    world.require_merge_queue(REPO, "main")
    world.set_conflict(REPO, number)
    await github.pull_request(REPO, number)
    before = await github.pull_request(REPO, number)
    assert (before.mergeable, before.merge_state, before.review) == (False, "dirty", "review_required")
    assert before.merge_queue is True

    world.review(REPO, number, "changes_requested", "ann")
    assert (await github.pull_request(REPO, number)).review == "changes_requested"

    sha = world.merge(REPO, number, "ann")
    after = await github.pull_request(REPO, number)
    assert (after.state, after.merged, after.merge_sha) == ("closed", True, sha)


async def test_labels_are_read_and_known_by_any_case(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob", from_fork=True)
    world.label(REPO, number, "Ship it", "ann")
    pull = await github.pull_request(REPO, number)
    assert pull.from_fork
    assert pull.carries("ship IT")
    assert not pull.carries("ship")


async def test_who_set_a_label_last(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.label(REPO, number, "ship", "bob")
    first = await github.labelled(REPO, number, "Ship")
    world.unlabel(REPO, number, "ship", "ann")
    world.label(REPO, number, "ship", "ann")
    world.label(REPO, number, "size/S", "labeler[bot]")
    second = await github.labelled(REPO, number, "Ship")
    assert (first.actor, second.actor) == ("bob", "ann")
    assert first.id != second.id
    assert (second.by_person, (await github.labelled(REPO, number, "size/s")).by_person) == (True, False)
    assert await github.labelled(REPO, number, "other") is None


async def test_who_labels_an_unknown_pull_request_is_not_found(world, github):
    with pytest.raises(NotFound):
        await github.labelled(REPO, 99, "ship")


@pytest.mark.parametrize("data", [{}, {"repository": None}, {"repository": {"pullRequest": None}}])
async def test_a_label_of_null_without_an_error_is_not_found(scripted, data):
    with pytest.raises(NotFound):
        await scripted(httpx.Response(200, json={"data": data})).labelled(REPO, 1, "ship")


async def test_a_label_set_by_a_deleted_account_is_no_persons(scripted):
    event = {"id": "LE_1", "createdAt": "2026-11-22T12:00:00Z", "actor": None, "label": {"name": "ship"}}
    data = {"repository": {"pullRequest": {"timelineItems": {"nodes": [event]}}}}
    found = await scripted(httpx.Response(200, json={"data": data})).labelled(REPO, 1, "ship")
    assert (found.actor, found.by_person) == ("ghost", False)


async def test_an_unknown_pull_request_is_not_found(world, github):
    with pytest.raises(NotFound, match="number of 99"):
        await github.pull_request(REPO, 99)
    world.add_repository("acme/other", collaborators={})
    with pytest.raises(NotFound):
        await github.pull_request("nobody/nothing", 1)


def a_page(**changes) -> dict:
    pull = {
        "number": 1,
        "title": "t",
        "url": "u",
        "state": "OPEN",
        "isDraft": False,
        "merged": False,
        "headRefOid": "aaa",
        "baseRefName": "main",
        "mergeable": "MERGEABLE",
        "mergeStateStatus": "CLEAN",
        "isCrossRepository": False,
        "commits": {"nodes": [{"commit": {"oid": "aaa", "statusCheckRollup": None}}]},
    }
    return {"data": {"repository": {"pullRequest": pull | changes}}}


def a_commit(oid: str, *nodes: dict, more: str | None = None) -> dict:
    contexts = {"pageInfo": {"hasNextPage": more is not None, "endCursor": more}, "nodes": list(nodes)}
    return {"nodes": [{"commit": {"oid": oid, "statusCheckRollup": {"contexts": contexts}}}]}


async def test_a_deleted_author_and_a_check_without_suite_are_tolerated(scripted):
    run = {"__typename": "CheckRun", "name": "old", "status": "COMPLETED", "conclusion": None, "isRequired": False}
    github = scripted(httpx.Response(200, json=a_page(author=None, commits=a_commit("aaa", run))))
    pull = await github.pull_request(REPO, 1)
    assert pull.author == "ghost"
    # a completed check without a conclusion must not pass
    assert [(check.state, check.app_id) for check in pull.checks] == [("failed", None)]


async def test_a_head_that_moves_between_pages_is_read_again_later(scripted):
    github = scripted(
        httpx.Response(200, json=a_page(commits=a_commit("aaa", more="100"))),
        httpx.Response(200, json=a_page(headRefOid="bbb", commits=a_commit("bbb"))),
    )
    with pytest.raises(Unavailable, match="moved"):
        await github.pull_request(REPO, 1)


@pytest.mark.parametrize("commits", [{"nodes": []}, a_commit("earlier")])
async def test_checks_of_another_commit_are_not_taken_for_the_heads(scripted, commits):
    github = scripted(httpx.Response(200, json=a_page(commits=commits)))
    with pytest.raises(Unavailable, match="disagree"):
        await github.pull_request(REPO, 1)


async def test_a_merged_pull_request_is_read_even_when_its_branch_is_gone(scripted):
    merged = a_page(state="MERGED", merged=True, mergeCommit={"oid": "mmm"}, commits={"nodes": []})
    pull = await scripted(httpx.Response(200, json=merged)).pull_request(REPO, 1)
    assert (pull.merge_sha, pull.checks) == ("mmm", ())


@pytest.mark.parametrize("data", [{"repository": None}, {"repository": {"pullRequest": None}}, {}])
async def test_null_without_an_error_is_not_found(scripted, data):
    with pytest.raises(NotFound):
        await scripted(httpx.Response(200, json={"data": data})).pull_request(REPO, 1)


@pytest.mark.parametrize(
    ("type", "message", "raised"),
    [
        ("NOT_FOUND", "Could not resolve", NotFound),
        ("FORBIDDEN", "Resource not accessible by integration", Unauthorized),
        ("RATE_LIMITED", "API rate limit exceeded", RateLimited),
        ("", "You have exceeded a secondary rate limit.", RateLimited),
        ("", "Something went wrong while executing your query.", Unavailable),
        ("INTERNAL", "An internal error occurred", Unavailable),
        ("TIMEOUT", "It took too long", Unavailable),
        ("", "Timeout: this query timed out", Unavailable),
        ("", "It was submitted too quickly", RateLimited),
        ("", "Field 'nope' doesn't exist on type 'PullRequest'", Refused),
    ],
)
async def test_graphql_errors_inside_a_200(scripted, type, message, raised):
    errors = [{"type": type, "message": message}] if type else [{"message": message}]
    github = scripted(httpx.Response(200, json=a_page() | {"errors": errors}))
    with pytest.raises(raised, match=message[:20]):
        await github.pull_request(REPO, 1)


async def test_an_answer_of_a_message_alone_is_no_answer(scripted):
    said = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    with pytest.raises(RateLimited, match="secondary") as caught:
        await scripted(httpx.Response(200, json={"message": said})).pull_request(REPO, 1)
    assert caught.value.retry_after == 60


async def test_a_graphql_rate_limit_names_its_reset(scripted, clock):
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(clock.time.timestamp()) + 300)}
    answer = {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}
    with pytest.raises(RateLimited) as caught:
        await scripted(httpx.Response(200, json=answer, headers=headers)).pull_request(REPO, 1)
    assert caught.value.retry_after == 300


# Rules, permissions, reactions


async def test_required_checks_come_from_the_branchs_rules(world, github):
    world.require_checks(REPO, "release/1.x", ["test", "lint"])
    world.require_review(REPO, "release/1.x")
    assert await github.required_checks(REPO, "release/1.x") == {RequiredCheck("test"), RequiredCheck("lint")}
    assert await github.required_checks(REPO, "main") == frozenset()


async def test_required_checks_follow_the_pages(scripted):
    rule = {"type": "required_status_checks", "parameters": {"required_status_checks": [{"context": "test"}]}}
    link = {"link": f'<{BASE_URL}/repos/{REPO}/rules/branches/main?page=2>; rel="next"'}
    second = [{"type": "required_status_checks"}, {"type": "deletion"}]
    github = scripted(httpx.Response(200, json=[rule], headers=link), httpx.Response(200, json=second))
    assert await github.required_checks(REPO, "main") == {RequiredCheck("test")}


async def test_a_required_check_names_the_app_it_has_to_be_of(world, github):
    world.require_checks(REPO, "main", ["test"], app_id=15368)
    assert await github.required_checks(REPO, "main") == {RequiredCheck("test", 15368)}


async def test_a_plan_without_rulesets_demands_no_checks(scripted):
    said = {"message": "Upgrade to GitHub Pro or make this repository public to enable this feature."}
    assert await scripted(httpx.Response(403, json=said)).required_checks(REPO, "main") == frozenset()


async def test_other_refusals_of_the_rules_are_not_taken_for_none(scripted):
    said = {"message": "Resource not accessible by integration"}
    with pytest.raises(Unauthorized, match="not accessible"):
        await scripted(httpx.Response(403, json=said)).required_checks(REPO, "main")


async def test_a_commit_contains_those_before_it(world, github):
    base = world.repository(REPO).branches["main"]
    older = world.merge(REPO, world.open_pull_request(REPO, title="one", author="ada"), "ada")
    newer = world.merge(REPO, world.open_pull_request(REPO, title="two", author="ada"), "ada")
    asked = [(base, newer), (older, newer), (newer, older), (older, older), ("f" * 40, newer), (older, "f" * 40)]
    assert [await github.contains(REPO, commit, within=within) for commit, within in asked] == [
        *(True, True),
        *(False, False, False, False),
    ]


async def test_all_files_of_a_pull_request_are_named_and_of_a_renamed_one_both(world, github):
    names = tuple(f"docs/{number}.md" for number in range(120))
    number = world.open_pull_request(REPO, title="one", author="ada", files=(*names, "old/a.py => new/a.py"))

    assert await github.changed_files(REPO, number) == {*names, "old/a.py", "new/a.py"}


async def test_a_list_of_files_that_is_cut_short_is_none(world, github):
    names = tuple(f"docs/{number}.md" for number in range(MOST_FILES + 5))
    number = world.open_pull_request(REPO, title="one", author="ada", files=names)

    assert await github.changed_files(REPO, number) is None


async def test_activity_shows_the_newest_merges_and_the_newest_pull_request(world, github, clock):
    assert await github.activity(REPO) == Activity(world.repository(REPO).id, (), None, (), REPO)
    times = []
    for _ in range(3):
        clock.time += timedelta(minutes=1)
        world.merge(REPO, world.open_pull_request(REPO, title="one", author="ada"), "ada")
        times.append(clock.time)
    clock.time += timedelta(minutes=1)
    world.open_pull_request(REPO, title="open", author="ada")
    world.close(REPO, world.open_pull_request(REPO, title="closed", author="ada"))

    found = await github.activity(REPO)

    assert [(merge.number, merge.base, merge.at) for merge in found.merges] == [
        (number, "main", times[number - 1]) for number in (3, 2, 1)
    ]
    assert (found.opened_at, found.latest(clock.time)) == (clock.time, clock.time)
    assert found.latest(clock.time - timedelta(seconds=1)) == found.merges[0].at
    assert calls(world, "POST /graphql") == 2


async def test_the_activity_of_an_unknown_repository_is_not_found(scripted):
    with pytest.raises(NotFound):
        await scripted(httpx.Response(200, json={"data": {"repository": None}})).activity(REPO)


async def test_a_commit_of_another_branch_is_not_contained(world, github):
    number = world.open_pull_request(REPO, title="one", author="ada")
    merged = world.merge(REPO, number, "ada")
    assert not await github.contains(REPO, world.pull(REPO, number).head_sha, within=merged)


async def test_a_next_page_elsewhere_does_not_get_our_token(scripted):
    link = {"link": '<https://evil.example/rules?page=2>; rel="next"'}
    with pytest.raises(Unavailable, match=r"evil\.example"):
        await scripted(httpx.Response(200, json=[], headers=link)).required_checks(REPO, "main")


@pytest.mark.parametrize(
    ("user", "expected"), [("ann", "admin"), ("bob", "write"), ("eve", "read"), ("mallory", "none")]
)
async def test_permission_is_read_from_the_repository(github, user, expected):
    assert await github.permission(REPO, user) == expected


async def test_one_404_takes_no_permission_away(world, github):
    world.app.faults.append(Fault(when="/permission", status=404, body={"message": "Not Found"}))
    assert await github.permission(REPO, "ann") == "admin"


async def test_one_404_makes_no_commit_unknown(world, github):
    base = world.repository(REPO).branches["main"]
    newer = world.merge(REPO, world.open_pull_request(REPO, title="one", author="ada"), "ada")
    world.app.faults.append(Fault(when="/compare/", status=404, body={"message": "Not Found"}))
    assert await github.contains(REPO, base, within=newer)


async def test_reacting_twice_leaves_one_reaction(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    comment = world.comment(REPO, number, "/deploy", "ann")
    await github.react(REPO, comment)
    await github.react(REPO, comment)
    assert world.reactions == [(REPO, comment, "eyes")]


async def test_a_comment_is_read_as_it_is_now(world, github, clock):
    number = world.open_pull_request(REPO, title="t", author="bob")
    id = world.comment(REPO, number, "/deploy", "ann")
    written = await github.comment(REPO, id)
    assert (written.number, written.author, written.body, written.edited, written.confused) == (
        *(number, "ann", "/deploy", False, 0),
    )
    clock.time += timedelta(seconds=5)
    world.edit_comment(REPO, id, "/rollback", "bob")
    await github.react(REPO, id, "confused")
    written = await github.comment(REPO, id)
    assert (written.author, written.body, written.edited, written.confused) == ("ann", "/rollback", True, 1)
    assert await github.bot_reacted(REPO, id, "confused")
    assert not await github.bot_reacted(REPO, id, "rocket")
    assert await github.comment(REPO, id + 1000) is None


@pytest.mark.parametrize("by_app", [True, False])
async def test_only_an_apps_reaction_counts(scripted, by_app):
    user = {"login": "signalbox[bot]" if by_app else "mallory", "type": "Bot" if by_app else "User"}
    page = [None, {"content": "confused", "user": None}, {"content": "confused", "user": user}]
    assert await scripted(httpx.Response(200, json=page)).bot_reacted(REPO, 7, "confused") is by_app


async def test_one_404_deletes_no_comment(world, github):
    comment = world.comment(REPO, world.open_pull_request(REPO, title="t", author="bob"), "/deploy", "ann")
    world.app.faults.append(Fault(when="/reactions", status=404, body={"message": "Not Found"}))
    await github.react(REPO, comment)
    assert world.reactions == [(REPO, comment, "eyes")]


# Merging


async def test_a_merge_returns_the_merge_commit_not_the_head(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    head = world.pull(REPO, number).head_sha
    sha = await github.merge(REPO, number, head_sha=head, method="squash")
    assert world.merges == [(REPO, number, sha)]
    assert sha != head
    assert json.loads(world.app.calls[-1].body) == {"sha": head, "merge_method": "squash"}


async def test_a_moved_head_is_not_merged(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    checked = world.pull(REPO, number).head_sha
    world.push(REPO, number)
    with pytest.raises(HeadMoved):
        await github.merge(REPO, number, head_sha=checked, method="squash")
    assert world.merges == []


async def test_a_refused_merge_gives_githubs_reason(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.require_checks(REPO, "main", ["test"])
    with pytest.raises(NotMergeable, match='Required status check "test" is expected'):
        await github.merge(REPO, number, head_sha=world.pull(REPO, number).head_sha, method="squash")


async def test_a_base_that_moved_under_the_merge_is_worth_another_try(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.commit(REPO, "main", "ann")
    with pytest.raises(BaseMoved, match="Base branch was modified"):
        await github.merge(REPO, number, head_sha=world.pull(REPO, number).head_sha, method="squash")


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ('Required status check "tests" is expected.', "by itself"),
        ('Required status check "code review" is in progress.', "by itself"),
        ("2 of 3 required status checks are pending.", "by itself"),
        ("Merge already in progress", "by itself"),
        ("Pull Request is not mergeable", "by itself"),
        ("Something that GitHub has never said before.", "by itself"),
        ('Repository rule violations found\n\nRequired status check "tests" is expected.\n\n', "by itself"),
        ("Repository rule violations found\n\nCode scanning is waiting for results from CodeQL.", "by itself"),
        ("Head branch must be up to date with the base branch.", "by itself"),
        ("At least 1 approving review is required by reviewers with write access.", "by people"),
        ("A conversation must be resolved before this pull request can be merged.", "by people"),
        ("Pull Request is still a draft", "by people"),
        ("Merge commits are not allowed on this repository.", "never"),
        ("Changes must be made through the merge queue", "never"),
        ("You're not authorized to push to this branch.", "never"),
        ("Pull Request is closed", "never"),
        ('Required status check "tests" is failing.', "never"),
        ("Repository rule violations found", "never"),
        ("Repository rule violations found\n\nCommits must have verified signatures.", "never"),
        ("Repository rule violations found\n\nA rule that nobody here knows.", "never"),
        (
            'Repository rule violations found\n\nRequired status check "a" is expected.\n\n'
            "Changes must be made through the merge queue",
            "never",
        ),
    ],
)
async def test_which_refusals_of_a_merge_pass(scripted, said, passes):
    with pytest.raises(NotMergeable) as caught:
        await scripted(httpx.Response(405, json={"message": said})).merge(
            "acme/review", 1, head_sha="a", method="squash"
        )
    assert caught.value.passes == passes


async def test_a_branch_is_brought_up_to_date_from_the_named_head_only(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.commit(REPO, "main", "ann")
    head = world.pull(REPO, number).head_sha

    await github.update_branch(REPO, number, head_sha=head)
    with pytest.raises(HeadMoved):
        await github.update_branch(REPO, number, head_sha=head)

    pull = await github.pull_request(REPO, number)
    assert (pull.head_sha != head, pull.own_update_of) == (True, head)


async def test_a_branch_that_has_conflicts_is_not_brought_up_to_date(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.commit(REPO, "main", "ann")
    world.set_conflict(REPO, number)
    with pytest.raises(Refused, match="conflict"):
        await github.update_branch(REPO, number, head_sha=world.pull(REPO, number).head_sha)


async def test_an_update_by_people_is_not_taken_for_ours(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.commit(REPO, "main", "ann")
    world.update_branch(REPO, number, "ann")
    assert (await github.pull_request(REPO, number)).own_update_of is None


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": None},
        {"signature": {"isValid": False, "wasSignedByGitHub": True}},
        {"signature": {"isValid": True, "wasSignedByGitHub": False}},
        {"author": None},
        {"author": {"name": "mallory", "email": "1+mallory@users.noreply.github.com"}},
        {"author": {"name": "signalbox[bot]", "email": "1+mallory@users.noreply.github.com"}},
        {"author": {"name": "signalbox[bot]"}},
        {"author": {"name": "mallory", "email": "1+signalbox[bot]@users.noreply.github.com.example"}},
        {"author": {"name": "mallory", "email": "x+signalbox[bot]@users.noreply.github.com"}},
        {"parents": {"nodes": [{"oid": "before"}]}},
        {"parents": {"nodes": [{"oid": "before"}, None]}},
        {"parents": None},
    ],
)
async def test_a_commit_that_only_looks_like_an_update_is_not_ours(scripted, changes):
    commits = a_commit("aaa")
    ours = {
        "author": {"name": "signalbox[bot]", "email": "1+signalbox[bot]@users.noreply.github.com"},
        "signature": {"isValid": True, "wasSignedByGitHub": True},
        "parents": {"nodes": [{"oid": "before"}, {"oid": "main"}]},
    }
    found = []
    for commit in (ours, ours | changes):
        commits["nodes"][0]["commit"] |= commit
        answer = a_page(commits=commits)
        answer["data"]["viewer"] = {"login": "signalbox[bot]"}
        found.append((await scripted(httpx.Response(200, json=answer)).pull_request(REPO, 1)).own_update_of)
    assert found == ["before", None]


# What GitHub records of a head


async def test_an_update_is_known_by_the_address_of_its_author_too(scripted):
    commits = a_commit("aaa")
    commits["nodes"][0]["commit"] |= {
        "author": {"name": "Signalbox", "email": "1+signalbox[bot]@users.noreply.github.com"},
        "signature": {"isValid": True, "wasSignedByGitHub": True},
        "parents": {"nodes": [{"oid": "before"}, {"oid": "main"}]},
    }
    answer = a_page(commits=commits)
    answer["data"]["viewer"] = {"login": "signalbox[bot]"}
    assert (await scripted(httpx.Response(200, json=answer)).pull_request(REPO, 1)).own_update_of == "before"


async def test_suites_are_read_but_for_our_own(world, github):
    world.access.permissions["checks"] = "write"
    world.repository(REPO).apps.append(77)
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.open_suite(REPO, number, workflow="ci")
    world.report_check(REPO, number, "lint", "success", workflow="lint")

    suites = (await github.pull_request(REPO, number)).suites

    assert {(one.slug, one.status, one.conclusion, one.check_runs) for one in suites} == {
        ("app-77", "queued", None, 0),
        ("github-actions", "queued", None, 0),
        ("github-actions", "completed", "success", 1),
    }


async def test_more_than_a_hundred_suites_are_paged(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    for index in range(105):
        world.report_check(REPO, number, f"test {index}", "success", workflow=f"w{index}")
    pull = await github.pull_request(REPO, number)
    assert (len(pull.suites), len({check.name for check in pull.checks})) == (105, 105)
    assert calls(world, "POST /graphql") == 2


@pytest.mark.parametrize("what", ["suite", "our suite", "status", "review"])
async def test_the_earliest_record_of_a_head_is_known(world, github, clock, what):
    number = world.open_pull_request(REPO, title="t", author="bob")
    clock.time += timedelta(minutes=5)
    if what == "our suite":
        world.access.permissions["checks"] = "write"
    world.push(REPO, number)
    pushed = clock.time
    if what == "suite":
        world.open_suite(REPO, number)
    if what == "status":
        world.report_status(REPO, number, "ci", "pending")
    if what == "review":
        world.review(REPO, number, "approved", "ann")
    clock.time += timedelta(minutes=5)
    world.report_check(REPO, number, "test", "success")

    assert (await github.pull_request(REPO, number)).recorded_at == pushed


async def test_a_review_of_an_earlier_head_records_nothing_of_this_one(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.review(REPO, number, "approved", "ann")
    world.push(REPO, number)
    assert (await github.pull_request(REPO, number)).recorded_at is None


@pytest.mark.parametrize("what", ["opened", "ready", "base", "forced"])
async def test_what_lets_ci_begin_again_counts_as_the_beginning(world, github, clock, what):
    # given a commit that was checked long ago
    number = world.open_pull_request(REPO, title="t", author="bob", draft=True)
    world.report_check(REPO, number, "test", "success")
    checked = world.pull(REPO, number)
    head = checked.head_sha
    world.commit(REPO, "next", "ann")
    clock.time += timedelta(days=1)
    # when something happens after which workflows run on it once more
    if what == "opened":
        number = world.open_pull_request(REPO, title="t", author="bob", head_sha=head, branch="feature")
        world.pull(REPO, number).suites = checked.suites
    else:
        world.push(REPO, number)
        world.force_push(REPO, number, head)
    if what in ("ready", "base"):
        world.pull(REPO, number).turns.clear()
        world.pull(REPO, number).turns.append(("ReopenedEvent", clock.time))
        clock.time += timedelta(hours=1)
    if what == "ready":
        world.mark_ready(REPO, number)
    if what == "base":
        world.set_base(REPO, number, "next", "bob")
    # then it is as if GitHub had known the head only since then
    assert (await github.pull_request(REPO, number)).recorded_at == clock.time


async def test_a_null_among_checks_or_suites_counts_as_pending(scripted):
    commits = a_commit("aaa", None)
    commits["nodes"][0]["commit"]["checkSuites"] = {"pageInfo": {"hasNextPage": False}, "nodes": [None]}
    pull = await scripted(httpx.Response(200, json=a_page(commits=commits))).pull_request(REPO, 1)
    assert ([check.state for check in pull.checks], [suite.status for suite in pull.suites]) == (
        ["pending"],
        ["unknown"],
    )


async def test_a_record_counts_also_where_nothing_else_has_a_time(scripted):
    at = "2026-11-22T12:00:00Z"
    status = {"__typename": "StatusContext", "context": "ci", "state": "PENDING", "isRequired": False, "createdAt": at}
    pull = await scripted(httpx.Response(200, json=a_page(commits=a_commit("aaa", status)))).pull_request(REPO, 1)
    assert pull.recorded_at == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


async def test_an_invalid_merge_is_refused_as_it_is(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    with pytest.raises(Refused) as caught:
        await github.merge(REPO, number, head_sha=world.pull(REPO, number).head_sha, method="octopus")
    assert (type(caught.value), caught.value.status) == (Refused, 422)


@pytest.mark.parametrize("fault", [Fault(when="/merge", lost=True), Fault(when="/merge", status=502)])
async def test_a_lost_answer_to_a_merge_leaves_the_outcome_unknown(world, github, fault):
    # given a merge that takes effect and whose answer does not arrive
    number = world.open_pull_request(REPO, title="t", author="bob")
    fault.after_effect = True
    world.app.faults.append(fault)
    # when merging
    with pytest.raises(UnknownOutcome):
        await github.merge(REPO, number, head_sha=world.pull(REPO, number).head_sha, method="squash")
    # then reading tells
    assert (await github.pull_request(REPO, number)).merge_sha == world.merges[0][2]


async def test_an_unreadable_answer_to_a_merge_leaves_the_outcome_unknown(scripted):
    with pytest.raises(UnknownOutcome, match="unreadable answer"):
        await scripted(httpx.Response(200, content=b"<html>")).merge(REPO, 1, head_sha="a", method="merge")


# Comments


async def test_a_comment_is_created_once_and_then_edited_in_place(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    first = await github.upsert_comment(REPO, number, marker=MARKER, body="Deploying")
    second = await github.upsert_comment(REPO, number, marker=MARKER, body=f"Deployed\n{MARKER}")
    assert world.comments(REPO, number) == [f"Deployed\n{MARKER}"]
    assert first == second
    assert first.startswith(f"https://github.com/{REPO}/pull/{number}#issuecomment-")


async def test_an_unchanged_comment_is_not_written_again(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    first = await github.upsert_comment(REPO, number, marker=MARKER, body="Deploying")
    assert await github.upsert_comment(REPO, number, marker=MARKER, body="Deploying") == first
    assert calls(world, "PATCH") == 0


async def test_somebody_elses_comment_with_the_marker_is_left_alone(world, github):
    # given a person who quotes our marker, and a bot that is not ours
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.comment(REPO, number, f"quoted {MARKER}", "eve")
    world.comment(REPO, number, f"echo {MARKER}", "echo[bot]")
    await github.upsert_comment(REPO, number, marker=MARKER, body="Deploying")
    assert world.comments(REPO, number) == [f"quoted {MARKER}", f"echo {MARKER}", f"Deploying\n\n{MARKER}"]


async def test_our_comment_is_found_on_a_later_page(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    for index in range(130):
        world.comment(REPO, number, f"chatter {index}", "eve")
    await github.upsert_comment(REPO, number, marker=MARKER, body="one")
    await github.upsert_comment(REPO, number, marker=MARKER, body="two")
    assert [body for body in world.comments(REPO, number) if MARKER in body] == [f"two\n\n{MARKER}"]


async def test_a_comment_deleted_meanwhile_is_created_anew(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    await github.upsert_comment(REPO, number, marker=MARKER, body="one")
    world.app.interruptions.append(("PATCH ", world.repository(REPO).comments.clear))
    await github.upsert_comment(REPO, number, marker=MARKER, body="two")
    assert world.comments(REPO, number) == [f"two\n\n{MARKER}"]


async def test_one_404_makes_no_second_comment(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    await github.upsert_comment(REPO, number, marker=MARKER, body="one")
    world.app.faults.append(Fault(when="PATCH ", status=404, body={"message": "Not Found"}))
    with pytest.raises(NotFound):
        await github.upsert_comment(REPO, number, marker=MARKER, body="two")
    await github.upsert_comment(REPO, number, marker=MARKER, body="two")
    assert world.comments(REPO, number) == [f"two\n\n{MARKER}"]


@pytest.mark.parametrize("body", ["x" * 70_000, MARKER + "x" * 70_000, "x" * 70_000 + MARKER])
async def test_a_long_comment_is_cut_and_keeps_its_marker(world, github, body):
    number = world.open_pull_request(REPO, title="t", author="bob")
    await github.upsert_comment(REPO, number, marker=MARKER, body=body)
    (written,) = world.comments(REPO, number)
    assert len(written) < 65_536
    assert written.endswith(f"(cut: longer than a comment can be)\n\n{MARKER}")


# Deployments


async def test_a_deployment_is_created_found_and_followed(world, github):
    query = {"sha": "a" * 40, "task": "deploy:shop", "environment": "production"}
    assert await github.find_deployment(REPO, **query) is None
    created = await github.create_deployment(REPO, **query, description="d" * 200, payload={"run": "r1"})
    assert await github.find_deployment(REPO, **query) == created
    assert await github.find_deployment(REPO, **query | {"environment": "staging"}) is None
    assert await github.deployment_state(REPO, created) is None

    await github.set_deployment_status(REPO, created, state="in_progress", description="e" * 200)
    await github.set_deployment_status(
        REPO, created, state="success", environment_url="https://shop.example", log_url="https://logs.example"
    )
    assert await github.deployment_state(REPO, created) == "success"
    (deployment,) = world.deployments(REPO)
    assert (deployment.description, deployment.payload) == ("d" * 140, {"run": "r1"})
    assert deployment.statuses[0]["description"] == "e" * 140
    assert deployment.statuses[1]["environment_url"] == "https://shop.example"
    assert deployment.statuses[1]["log_url"] == "https://logs.example"


# Missed webhooks


async def test_only_deliveries_that_never_got_through_are_listed(world, github, clock):
    # given one delivery that failed and got through later, and two that failed twice and once
    codes = iter([503, 503, 503, 200, 503])

    async def deliver(headers: dict[str, str], body: bytes) -> int:
        return next(codes)

    world.webhooks.deliver = deliver
    for title in ("recovered", "failing", "failed once"):
        world.open_pull_request(REPO, title=title, author="bob")
    await world.tick()
    recovered, failing, once = reversed(world.webhooks.attempts())
    clock.time += timedelta(minutes=1)
    await github.redeliver(recovered.id)
    await github.redeliver(failing.id)
    await world.tick()
    # when asking
    found = undelivered(await github.registration.recent_deliveries(clock.time - timedelta(hours=1)))
    # then the newest attempt of each that never succeeded, oldest first
    newest = world.webhooks.attempts()[0]
    assert [(each.id, each.guid) for each in found] == [
        (once.id, once.webhook.guid),
        (newest.id, failing.webhook.guid),
    ]
    assert found[1].delivered_at == clock.time
    assert found[1].event == "pull_request"


async def test_deliveries_are_read_back_to_the_time_asked_for_and_no_further(world, github, clock):
    for _ in range(150):
        world.open_pull_request(REPO, title="old", author="bob")
    await world.tick()
    clock.time += timedelta(hours=2)
    for _ in range(120):
        world.open_pull_request(REPO, title="new", author="bob")
    await world.tick()
    found = undelivered(await github.registration.recent_deliveries(clock.time - timedelta(hours=1)))
    assert len(found) == 120
    assert calls(world, "GET /app/hook/deliveries") == 2
    assert len(undelivered(await github.registration.recent_deliveries(clock.time - timedelta(hours=3)))) == 270


async def test_redelivering_what_github_forgot_is_not_found(github):
    with pytest.raises(NotFound):
        await github.redeliver(1)


# Credentials


async def test_the_installation_token_is_shared_and_renewed_before_its_end(world, github, clock):
    await asyncio.gather(*(github.permission(REPO, "ann") for _ in range(5)))
    assert calls(world, "/access_tokens") == 1
    clock.time += timedelta(minutes=54)
    await github.permission(REPO, "ann")
    assert calls(world, "/access_tokens") == 1
    clock.time += timedelta(minutes=1)
    await github.permission(REPO, "ann")
    assert (calls(world, "/access_tokens"), calls(world, "/installation")) == (2, 3)


async def test_a_revoked_token_is_replaced_once(world, github, source):
    await github.permission(REPO, "ann")
    world.revoke_tokens()
    assert await github.permission(REPO, "ann") == "admin"
    assert calls(world, "/access_tokens") == 2
    assert source.reads == 2  # the secrets were read anew, the key may have been replaced


async def test_callers_refused_together_share_the_new_token(world, github):
    await github.permission(REPO, "ann")
    world.revoke_tokens()
    await asyncio.gather(*(github.permission(REPO, "ann") for _ in range(5)))
    assert calls(world, "/access_tokens") == 2


async def test_a_late_refusal_of_an_old_token_leaves_the_new_one_alone(clock, source):
    # given a GitHub that refuses the first token, to one caller only after another has a new one
    minted, renewed = [], asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/installation"):
            return httpx.Response(200, json={"id": 7})
        if request.url.path.endswith("/access_tokens"):
            minted.append(f"ghs_token_{len(minted)}")
            expires = (clock.time + timedelta(hours=1)).isoformat()
            return httpx.Response(201, json={"token": minted[-1], "expires_at": expires})
        if request.headers["authorization"] != "Bearer ghs_token_0":
            renewed.set()
            return httpx.Response(200, json={"permission": "read"})
        if "slow" in request.url.path:
            await renewed.wait()
        return httpx.Response(401, json={"message": "Bad credentials"})

    github = open_github(clock, source, replying(answer))
    # when both ask at once
    found = await asyncio.gather(github.permission(REPO, "slow"), github.permission(REPO, "quick"))
    # then both succeed with the one new token
    assert found == ["read", "read"]
    assert len(minted) == 2


async def test_a_new_token_that_github_does_not_know_yet_is_passing(world, github):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.report_check(REPO, number, "test", "success")
    head = world.pull(REPO, number).head_sha
    for _ in range(2):
        world.app.faults.append(Fault(when="/merge", status=401, body={"message": "Bad credentials"}))

    # refused before any effect, so that even of a merge nothing is to be looked for
    with pytest.raises(Unavailable, match="Bad credentials"):
        await github.merge(REPO, number, head_sha=head, method="squash")

    assert await github.merge(REPO, number, head_sha=head, method="squash")


async def test_another_apps_key_is_unauthorized(world, clock, source):
    source.value = private_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    github = open_github(clock, source, world.app)
    with pytest.raises(Unauthorized, match="could not be decoded"):
        await github.permission(REPO, "ann")


async def test_a_replaced_key_is_taken_up_at_once(world, github, source, key):
    source.value = private_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    with pytest.raises(Unauthorized):
        await github.redeliver(1)
    source.value = private_pem(key)
    assert await github.permission(REPO, "ann") == "admin"


async def test_an_app_installed_anew_is_found_again(world, github, clock):
    # given a token that has run out, and an installation that GitHub no longer knows
    await github.permission(REPO, "ann")
    clock.time += timedelta(hours=1)
    world.app.faults.append(Fault(when="/access_tokens", status=404, body={"message": "Not Found"}))
    assert await github.permission(REPO, "ann") == "admin"
    assert calls(world, "/installation") - calls(world, "/access_tokens") == 2


async def test_an_app_that_is_not_installed_is_not_found(world, github):
    with pytest.raises(NotFound, match=r"/repos/acme/unknown/installation"):
        await github.react("acme/unknown", 1)
    world.app.faults.append(Fault(when="/access_tokens", status=404, body={"message": "Not Found"}))
    with pytest.raises(NotFound, match="access_tokens"):
        await github.required_checks(REPO, "main")


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes])
async def test_a_key_in_base64_is_usable_and_masked(world, clock, source, encode):
    pem = source.value
    source.value = encode(pem.encode()).decode()
    github = open_github(clock, source, world.app)
    assert await github.permission(REPO, "ann") == "admin"
    assert pem.splitlines()[3] not in redact(f"leaked {pem.splitlines()[3]}")


@pytest.mark.parametrize(
    "stored",
    [
        "certainly not a key",
        "-----BEGIN RSA PRIVATE KEY-----\nbm90IGEga2V5\n-----END RSA PRIVATE KEY-----",
        base64.b64encode(b"\xff\xfe not text").decode(),
        private_pem(ec.generate_private_key(ec.SECP256R1())),
    ],
)
async def test_an_unusable_key_is_unauthorized_and_not_shown(world, clock, stored):
    github = open_github(clock, OneSecret(stored), world.app)
    with pytest.raises(Unauthorized, match="github-app-private-key is not usable") as caught:
        await github.permission(REPO, "ann")
    assert stored not in str(caught.value)
    assert world.app.calls == []


async def test_tokens_are_masked_from_then_on(scripted):
    github = scripted(httpx.Response(422, json={"message": "echo ghs_scripted_token"}))
    with pytest.raises(Refused) as caught:
        await github.react(REPO, 1)
    assert "scripted" not in str(caught.value)


async def test_the_long_tokens_of_today_are_used_and_masked_whole(world, github):
    await github.permission(REPO, "ann")
    [token] = world.access.tokens
    assert len(token) > 200
    assert token.startswith(f"ghs_{world.app_id}_")
    assert not any(part in redact(f"said {token}.") for part in token.split("_")[-1].split("."))


async def test_requests_name_the_api_version(clock, source):
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(202, json={})

    await open_github(clock, source, replying(answer)).redeliver(1)
    assert seen[0]["x-github-api-version"] == "2022-11-28"
    assert seen[0]["accept"] == "application/vnd.github+json"
    assert seen[0]["user-agent"].startswith("signalbox")


# Refusals


@pytest.mark.parametrize(
    ("headers", "message", "wait"),
    [
        ({"retry-after": "17"}, "You have exceeded a secondary rate limit.", 17),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "{now+90}"}, "API rate limit exceeded", 90),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "{now-5}"}, "API rate limit exceeded", 1),
        ({}, "You have exceeded a secondary rate limit. Please wait a few minutes.", 60),
    ],
)
async def test_a_403_that_means_slow_down(scripted, clock, headers, message, wait):
    now = int(clock.time.timestamp())
    filled = {n: v.replace("{now+90}", str(now + 90)).replace("{now-5}", str(now - 5)) for n, v in headers.items()}
    with pytest.raises(RateLimited) as caught:
        await scripted(httpx.Response(403, json={"message": message}, headers=filled)).react(REPO, 1)
    assert caught.value.retry_after == wait


@pytest.mark.parametrize("status", [403, 429])
async def test_the_primary_limit_names_its_reset(world, github, clock, status):
    world.limits.limit, world.limits.status = 2, status
    await github.permission(REPO, "ann")
    clock.time += timedelta(minutes=20)
    await github.permission(REPO, "ann")
    with pytest.raises(RateLimited) as caught:
        await github.permission(REPO, "ann")
    assert caught.value.retry_after == 40 * 60
    clock.time += timedelta(minutes=40)
    assert await github.permission(REPO, "ann") == "admin"


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(("named", "wait"), [(17, 17), (None, 60)])
async def test_the_secondary_limit_is_waited_for(world, github, status, named, wait):
    world.limits.slow_down(status=status, retry_after=named)
    with pytest.raises(RateLimited) as caught:
        await github.permission(REPO, "ann")
    assert caught.value.retry_after == wait
    assert await github.permission(REPO, "ann") == "admin"


@pytest.mark.parametrize("status", [200, 403, 429])
@pytest.mark.parametrize(("named", "wait"), [(17, 17), (None, 60)])
async def test_the_secondary_limit_of_queries_is_waited_for(world, github, status, named, wait):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.limits.slow_down(status=status, retry_after=named)
    with pytest.raises(RateLimited) as caught:
        await github.pull_request(REPO, number)
    assert caught.value.retry_after == wait
    assert (await github.pull_request(REPO, number)).number == number


async def test_the_primary_limit_of_queries_is_said_inside_a_200(world, github, clock):
    number = world.open_pull_request(REPO, title="t", author="bob")
    world.limits.limit = 1
    await github.pull_request(REPO, number)
    clock.time += timedelta(minutes=50)
    with pytest.raises(RateLimited, match="API rate limit exceeded") as caught:
        await github.pull_request(REPO, number)
    assert caught.value.retry_after == 10 * 60


@pytest.mark.parametrize(
    ("response", "raised", "text"),
    [
        (httpx.Response(403, json={"message": "Resource not accessible"}), Unauthorized, "Resource not accessible"),
        (httpx.Response(403, headers={"x-ratelimit-remaining": "0"}), Unauthorized, "403"),
        (httpx.Response(403), Unauthorized, "403"),
        (httpx.Response(403, content=b"\xff"), Unavailable, "403"),
        (httpx.Response(403, html="<html>Access denied</html>"), Unavailable, "403 an answer that is not GitHub's own"),
        (httpx.Response(404, html="<html>no such backend</html>"), Unavailable, "404"),
        (httpx.Response(404, text="default backend - 404"), Unavailable, "404"),
        (httpx.Response(403, json={"message": "It was submitted too quickly"}), RateLimited, "too quickly"),
        (httpx.Response(422, json={"message": "It was submitted too quickly"}), RateLimited, "too quickly"),
        (httpx.Response(404, json={"message": "Not Found"}), NotFound, "Not Found"),
        (httpx.Response(422, json={"message": "Invalid", "errors": [{"code": "missing"}]}), Refused, "missing"),
        (httpx.Response(301, headers={"location": "https://elsewhere.test/repositories/1"}), Refused, "301"),
        (httpx.Response(301), Refused, "301"),
        (httpx.Response(410, json={"message": "Gone"}), NotFound, "410"),
        (httpx.Response(502), Unavailable, "502"),
    ],
)
async def test_refusals_are_named(scripted, response, raised, text):
    with pytest.raises(raised, match=text) as caught:
        await scripted(response).required_checks(REPO, "main")
    assert type(caught.value) is raised


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"permission": 3}', b'{"permission": "\xff"}'])
async def test_an_unreadable_answer_to_a_read_is_transient(scripted, content):
    with pytest.raises(Unavailable, match="unreadable answer"):
        await scripted(httpx.Response(200, content=content)).permission(REPO, "ann")


# Where GitHub is, and where its repositories have gone


async def test_the_redirects_of_a_renamed_repository_are_followed(world, github):
    # given a repository that the client knows by its old name
    number = world.open_pull_request(REPO, title="one", author="ann")
    world.rename(REPO, "acme/store", "ann")
    # when it reads, changes and queries
    permission = await github.permission(REPO, "ann")
    await github.upsert_comment(REPO, number, marker=MARKER, body="hello")
    pull = await github.pull_request(REPO, number)
    # then it is the renamed one
    assert (permission, pull.number) == ("admin", number)
    assert world.comments("acme/store", number) == [f"hello\n\n{MARKER}"]


async def test_redirects_that_go_round_and_round_end(scripted):
    round_and_round = [httpx.Response(307, headers={"location": f"/{n}"}) for n in range(9)]
    with pytest.raises(Refused, match="307"):
        await scripted(*round_and_round).react(REPO, 1)


async def test_a_name_that_leads_to_another_repository_is_not_found(world, clock, source):
    async def identify(repository: str) -> Repository:
        return Repository(id=world.repository(REPO).id + 1, name=repository)

    world.open_pull_request(REPO, title="one", author="ann")
    network = world.app
    secrets = Secrets(source, clock)
    github = GitHub(
        base_url=BASE_URL, app_id="123456", secrets=secrets, clock=clock, identify=identify, network=network
    )
    for asking in (github.pull_request(REPO, 1), github.activity(REPO), github.labelled(REPO, 1, "x")):
        with pytest.raises(NotFound, match="is another repository now"):
            await asking


async def test_on_enterprise_server_graphql_is_beside_rest(clock, source):
    paths = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        if request.url.path.endswith("/installation"):
            return httpx.Response(200, json={"id": 7})
        expires = (clock.time + timedelta(hours=1)).isoformat()
        return httpx.Response(201, json={"token": "ghs_token", "expires_at": expires, "data": {}})

    network, secrets = replying(answer), Secrets(source, clock)
    url = "https://ghe.example/api/v3"
    github = GitHub(base_url=url, app_id="123456", secrets=secrets, clock=clock, network=network)
    with pytest.raises(NotFound):
        await github.pull_request(REPO, 1)
    assert paths == [
        f"/api/v3/repos/{REPO}/installation",
        "/api/v3/app/installations/7/access_tokens",
        "/api/graphql",
    ]


# What GitHub knows about the App


async def test_the_app_and_what_it_was_granted(world, github):
    app = await github.registration.app()
    installation = await github.registration.installation(REPO)

    assert app.slug == "signalbox-demo"
    assert (installation.permissions["contents"], installation.suspended_at) == ("write", None)
    assert set(installation.events) == set(app.events) == set(world.access.events)
    assert calls(world, "access_tokens") == 0


async def test_where_the_app_is_not_installed(github):
    with pytest.raises(NotFound):
        await github.registration.installation("acme/other")


async def test_a_suspended_installation(source, clock):
    answer = httpx.Response(200, json={"id": 7, "suspended_at": "2026-11-20T00:00:00Z"})
    app = GitHubApp(
        base_url=BASE_URL,
        app_id="123456",
        secrets=Secrets(source, clock),
        clock=clock,
        network=replying(lambda _: answer),
    )

    found = await Registration(app).installation(REPO)

    assert found.suspended_at == datetime(2026, 11, 20, tzinfo=UTC)
    assert (found.permissions, found.events) == ({}, ())


async def test_the_webhook_and_no_more_of_its_secret_than_that_there_is_one(world, github):
    hook = await github.registration.hook_config()
    assert (hook.url, hook.content_type) == ("https://signalbox.test/github-webhook", "json")
    assert (hook.secret, hook.insecure_ssl) == ("********", "0")

    world.webhooks.secret = ""
    assert (await github.registration.hook_config()).secret == ""


async def test_recent_deliveries_come_newest_first(world, github, clock):
    for title in ("first", "second"):
        world.open_pull_request(REPO, title=title, author="bob")
        await world.tick()
        clock.time += timedelta(hours=2)

    found = await github.registration.recent_deliveries(clock.time - timedelta(hours=3))
    assert [(each.event, each.delivered) for each in found] == [("pull_request", False)]
    assert len(await github.registration.recent_deliveries(clock.time - timedelta(hours=5))) == 2
