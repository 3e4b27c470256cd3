"""GitHub: what the client asks and what the simulated GitHub answers, held against GitHub's own descriptions."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from graphql import build_schema
from unit.clients.test_github import *  # noqa: F403 - the client's own tests, played again under the recorder
from unit.clients.test_github_manifest import *  # noqa: F403 - as above
from unit.clients.test_github_operator import *  # noqa: F403 - as above
from vendors import packages, report
from vendors import source as client_source
from vendors.github import OPERATIONS, GitHubContract, foreign
from vendors.playing import played
from vendors.recorder import Exchange, Recorder

from local.demo.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
CLIENT = sorted((ROOT / "shared/clients/github").glob("*.py"))
GITHUB = "GitHub"
WRONG_ON_PURPOSE = {
    "test_an_invalid_merge_is_refused_as_it_is": "'octopus' is not one of ['merge', 'squash', 'rebase']"
}
"""Tests of the client that ask what nobody may ask, and how the contract puts it."""


@pytest.fixture(scope="session")
def contract(published) -> GitHubContract:
    return GitHubContract(published(packages.OPENAPI), published(packages.GRAPHQL_SCHEMA))


@pytest.fixture(autouse=True)
def recorder(contract, request) -> Iterator[Recorder]:
    """Whatever a test here lets the client ask is held against the contract when it is over."""
    recorder = Recorder()
    if "world" in request.fixturenames:
        recorder.listen(request.getfixturevalue("world").app)
    yield recorder
    if (said := WRONG_ON_PURPOSE.get(request.function.__name__)) is not None:
        assert said in str([contract.violations(exchange) for exchange in recorder.exchanges])
    else:
        assert not [violation for exchange in recorder.exchanges for violation in judged(contract, exchange)]


def judged(contract: GitHubContract, exchange: Exchange) -> list[str]:
    return report.record(GITHUB, contract.operation(exchange), 1, contract.violations(exchange))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_keeps_to_the_contract(contract, name):
    assert [violation for exchange in played(name).github for violation in judged(contract, exchange)] == []


# Nothing is left out


@pytest.mark.parametrize(("method", "path"), client_source.calls(CLIENT))
def test_each_call_in_the_source_has_a_contract(contract, method, path):
    exchange = Exchange(method=method, path=path, status=200)
    assert contract.operation(exchange) in {*OPERATIONS, "graphql"}


@pytest.mark.parametrize("path", client_source.paths(CLIENT))
def test_each_path_in_the_source_has_a_contract(contract, path):
    """Also one that is given to a function which knows the method."""
    asked = (Exchange(method=method, path=path, status=200) for method in client_source.METHODS)
    assert any(contract.operation(exchange) in {*OPERATIONS, "graphql"} for exchange in asked)


def test_each_contract_has_a_call_in_the_source(contract):
    asked = (Exchange(method=method, path=path, status=200) for method, path in client_source.calls(CLIENT))
    assert {contract.operation(exchange) for exchange in asked} == {*OPERATIONS, "graphql"}


@pytest.mark.parametrize("document", client_source.documents(CLIENT))
def test_each_document_is_valid(contract, document):
    assert contract.of_document(document) == []


def test_the_simulated_schema_is_a_part_of_githubs(contract):
    part = build_schema((ROOT / "local/world/github/schema.graphql").read_text())
    assert foreign(part, contract.schema) == []


def test_each_operation_was_exercised(request):
    played = {item.originalname for item in request.session.items if item.module is request.module}
    if not played >= {name for name in globals() if name.startswith("test_")}:
        pytest.skip("only a part of these tests is played")
    assert set(report.operations(GITHUB)) == {*OPERATIONS, "graphql"}


# Each check bites


GOOD = Exchange(
    method="POST",
    path="/repos/acme/shop/issues/1/comments",
    headers={
        "accept": "application/vnd.github+json",
        "x-github-api-version": "2022-11-28",
        "user-agent": "x",
        "content-type": "application/json",
    },
    body=b'{"body": "Deploying"}',
    status=404,
    answer_headers={"content-type": "application/json"},
    answer=b'{"message": "Not Found"}',
)


def asked(**changes) -> Exchange:
    return msgspec.structs.replace(GOOD, **changes)


def test_what_keeps_to_the_contract_passes(contract):
    assert contract.violations(GOOD) == []


@pytest.mark.parametrize(
    ("exchange", "violation"),
    [
        (asked(path="/repos/acme/shop/labels"), "there is no contract for this"),
        (asked(method="DELETE"), "there is no contract for this"),
        (asked(path="/repos/acme/shop/issues/one/comments"), "'one' is not of type 'integer'"),
        (asked(query=(("per_page", "10"),)), "query parameter per_page is not known"),
        (asked(body=b'{"text": "Deploying"}'), "'text' was unexpected"),
        (asked(body=b"{}"), "'body' is a required property"),
        (asked(body=b'{"body": null}'), "None is not of type"),
        (asked(body=b""), "the request's body is missing"),
        (asked(body=b"body=Deploying"), "the request is no JSON"),
        (asked(headers=GOOD.headers | {"content-type": "text/plain"}), "content type is 'text/plain'"),
        (asked(headers=GOOD.headers | {"x-github-api-version": "2026-03-10"}), "x-github-api-version is '2026-03-10'"),
        (asked(headers={**GOOD.headers, "user-agent": ""}), "without User-Agent"),
        (asked(status=418), "the status 418 is not one of 201, 403"),
        (asked(status=201), "'id' is a required property"),
        (asked(answer_headers={"content-type": "text/html"}), "the answer's content type is 'text/html'"),
        (asked(answer=b'{"message": 3}'), "answer.message: 3 is not of type 'string'"),
    ],
)
def test_a_violation_is_noticed(contract, exchange, violation):
    assert violation in str(contract.violations(exchange))


@pytest.mark.parametrize(
    ("document", "variables", "violation"),
    [
        (
            '{ repository(owner: "acme", name: "shop") { pullRequest(number: 1) { mergedAgo } } }',
            {},
            "Cannot query field 'mergedAgo'",
        ),
        (
            "query ($owner: String!) { repository(owner: $owner, name: $owner) { id } }",
            {"owner": 1},
            "String cannot represent",
        ),
    ],
)
def test_a_wrong_document_or_variable_is_noticed(contract, document, variables, violation):
    body = msgspec.json.encode({"query": document, "variables": variables})
    assert violation in str(contract.violations(asked(path="/graphql", body=body)))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("type Query { shop: String }", ["Query.shop"]),
        (
            "type Query { repository(owner: String!, name: ID!): Repository } type Repository { id: ID }",
            ["Query.repository(name: ID!)", "Repository.id: ID"],
        ),
        (
            "type Query { viewer: String! } enum MergeableState { MERGEABLE MAYBE }",
            ["Query.viewer: String!", "MergeableState.MAYBE"],
        ),
        ("type Query { rateLimit: RateLimit } type RateLimit { limit: Int! } type Wagon { id: ID! }", ["Wagon"]),
    ],
)
def test_a_schema_that_is_no_part_is_noticed(contract, schema, said):
    assert foreign(build_schema(schema), contract.schema) == said


def test_a_call_that_nobody_described_is_noticed(tmp_path):
    written = tmp_path / "client.py"
    written.write_text(
        'async def stars(self, repository):\n    return await self._get(f"/repos/{repository}/stars?page=1", int)\n'
    )
    assert client_source.calls([written]) == [("GET", "/repos/{}/{}/stars")]


def test_a_call_in_another_form_is_noticed(tmp_path):
    written = tmp_path / "client.py"
    written.write_text(
        "async def star(self, repository):\n"
        '    await self.app.request(method="PUT", url=f"/user/starred/{repository}", repository=repository)\n'
        "async def unwatch(self, repository):\n"
        '    await self._delete(f"/repos/{repository}/subscription")\n'
    )
    assert client_source.calls([written]) == [("PUT", "/user/starred/{}/{}")]
    assert client_source.paths([written]) == ["/repos/{}/{}/subscription", "/user/starred/{}/{}"]
