"""Railway: what the client asks and what the simulated Railway answers, held against Railway's published schema."""

import functools
import inspect
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from golden.telling import Stage, Story
from graphql import build_schema
from unit.clients.test_railway import *  # noqa: F403 - the client's own tests, played again under the recorder
from unit.clients.test_railway import NEW, PLACE
from unit.functions.scene import opened
from vendors import report
from vendors.railway import ROOT, RailwayContract, clients, documents, foreign, inline_documents
from vendors.recorder import Exchange, Recorder

from local.demo.scenarios import SCENARIOS
from local.world.railway.api import load_schema
from shared.clients.railway import wire

NAMED = os.environ.get("SIGNALBOX_RAILWAY_SCHEMA")
SCHEMA = Path(NAMED) if NAMED else ROOT.parent / "shared/railway-schema.json"
RAILWAY = "Railway"
DOCUMENTS = documents()
DOCUMENT_NAMES = {name for name in vars(wire) if name.isupper()}


@pytest.fixture(scope="session")
def contract() -> RailwayContract:
    """Railway's introspection. Without it a test is skipped, and fails where its place is named or it is required."""
    if not SCHEMA.exists():
        absent = f"Railway's introspection is not at {SCHEMA}; SIGNALBOX_RAILWAY_SCHEMA names another place"
        if NAMED or "railway-schema" in os.environ.get("SIGNALBOX_REQUIRE", "").split(","):
            pytest.fail(f"it is asked for: {absent}")
        pytest.skip(absent)
    return RailwayContract(json.loads(SCHEMA.read_text(encoding="utf-8")))


@pytest.fixture(autouse=True)
def recorder(contract, request) -> Iterator[Recorder]:
    """Whatever a test here lets the client ask is held against the contract when it is over."""
    recorder = Recorder()
    if "world" in request.fixturenames:
        recorder.listen(request.getfixturevalue("world").app)
    yield recorder
    assert not [violation for exchange in recorder.exchanges for violation in judged(contract, exchange)]


def judged(contract: RailwayContract, exchange: Exchange) -> list[str]:
    return report.record(RAILWAY, exchange.content["operationName"], 1, contract.violations(exchange))


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_keeps_to_the_contract(name, recorder):
    async with opened(functools.partial(Stage, SCENARIOS[name])) as stage:
        recorder.listen(stage.railway.app)
        await SCENARIOS[name].play(Story(stage))


# Nothing is left out


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_document_is_valid(contract, name):
    assert contract.of_document(DOCUMENTS[name]) == ()


def test_every_document_is_found():
    files = [file for folder in ("functions", "local", "shared") for file in (ROOT / folder).rglob("*.py")]
    assert inline_documents(file for file in files if not file.name.startswith("github")) == []


@pytest.mark.parametrize("kind", clients(), ids=lambda kind: kind.__name__)
def test_each_call_sends_a_document(kind):
    """One that spoke to Railway in another way would be held against nothing."""
    silent = [name for name, method in public_methods(kind).items() if not DOCUMENT_NAMES & words(method)]
    assert silent == []


def public_methods(kind: type) -> dict[str, Any]:
    own = {"call", "confirmed", "close"}
    methods = inspect.getmembers(kind, inspect.iscoroutinefunction)
    return {name: method for name, method in methods if not name.startswith("_") and name not in own}


def words(method: Any) -> set[str]:
    return set(re.findall(r"\w+", inspect.getsource(method)))


def test_the_simulated_schema_is_a_part_of_railways(contract):
    assert foreign(load_schema(), contract.schema) == []


def test_the_simulated_railway_knows_every_status(contract):
    for name in ("DeploymentStatus", "DeploymentInstanceStatus"):
        assert load_schema().type_map[name].values.keys() == contract.schema.type_map[name].values.keys()


def test_each_document_was_sent(request):
    played = {item.originalname for item in request.session.items if item.module is request.module}
    if not played >= {name for name in globals() if name.startswith("test_")}:
        pytest.skip("only a part of these tests is played")
    assert set(report.operations(RAILWAY)) == set(DOCUMENTS)


# Each check bites


DEPLOYMENT_ID = "de910001-0000-4000-8000-000000000000"
# Documents that no client has, and that ask for pages, enumerations and nested lists.
SERVICES = """query Services($projectId: String!, $environmentId: String!, $first: Int!, $after: String) {
  result: environment(id: $environmentId, projectId: $projectId) {
    serviceInstances(first: $first, after: $after) {
      edges { node { serviceId serviceName latestDeployment { id status } } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""
USAGE = """query Usage(
  $projectId: String!, $measurements: [MetricMeasurement!]!, $startDate: DateTime, $endDate: DateTime
) {
  result: usage(
    projectId: $projectId, measurements: $measurements, startDate: $startDate, endDate: $endDate, groupBy: [SERVICE_ID]
  ) { measurement value tags { serviceId } }
}"""
EVENTS = """query Events($id: String!, $first: Int!) {
  result: deploymentEvents(id: $id, first: $first) {
    edges { node { step createdAt completedAt payload { error } } }
  }
}"""
GOOD = {
    "operationName": "Services",
    "query": SERVICES,
    "variables": {"projectId": "prj", "environmentId": "env", "first": 100, "after": None},
}
NODE = {"serviceId": "svc", "serviceName": "web", "latestDeployment": {"id": DEPLOYMENT_ID, "status": "SUCCESS"}}
REFUSAL = {"message": "Environment not found", "extensions": {"code": "INTERNAL_SERVER_ERROR"}, "traceId": "785"}


def answered(node, **more):
    page = {"edges": [{"node": node}], "pageInfo": {"hasNextPage": False, "endCursor": None}}
    return {"data": {"result": {"serviceInstances": page, **more}}}


def exchange(answer=None, *, status=200, headers=None, answer_headers=None, **asked) -> Exchange:
    usual = {"authorization": "Bearer x", "content-type": "application/json", "user-agent": "signalbox"}
    return Exchange(
        method="POST",
        path="/graphql/v2",
        headers=usual if headers is None else headers,
        body=msgspec.json.encode({**GOOD, **asked}),
        status=status,
        answer_headers=answer_headers or {},
        answer=msgspec.json.encode(answered(NODE) if answer is None else answer),
    )


@pytest.mark.parametrize(
    "fine",
    [
        exchange(),
        exchange(answered(NODE | {"latestDeployment": None})),
        exchange({"errors": [REFUSAL], "data": None}),
        exchange({"data": None}, status=429, answer_headers={"retry-after": "1"}),
    ],
)
def test_what_keeps_to_the_contract_passes(contract, fine):
    assert contract.violations(fine) == []


@pytest.mark.parametrize(
    ("wrong", "violation"),
    [
        # documents: what examples of Railway's API say that its schema does not, and another name of the root
        ({"query": "query Services { result: service(id: 1) { deployments(input: {}) { __typename } } }"},
         "Unknown argument 'input' on field 'Service.deployments'"),
        ({"query": "mutation Services($id: String!) { result: deploymentRollback(id: $id) { id } }"},
         "must not have a selection since type 'Boolean!' has no subfields"),
        ({"query": "query Services { result: deployments(input: {status: {successfulOnly: true}}) { __typename } }"},
         "'DeploymentStatusInput' not to include unknown field 'successfulOnly'"),
        ({"query": "query Services { result: deployments(input: {status: {in: [ACTIVE]}}) { __typename } }"},
         "Value 'ACTIVE' does not exist in 'DeploymentStatus' enum"),
        ({"query": "query Services($id: ID!) { result: deployment(id: $id) { id } }"},
         "Variable '$id' of type 'ID!' used in position expecting type 'String!'"),
        ({"query": "query Services { projectToken { projectId } }"}, "not of one field called `result`"),
        # variables
        ({"variables": GOOD["variables"] | {"first": "100"}}, "Int cannot represent non-integer value: '100'"),
        ({"variables": {"projectId": "prj", "first": 100}}, "'$environmentId' has invalid value"),
        ({"variables": GOOD["variables"] | {"serviceId": "svc"}}, "the variable serviceId is not declared"),
        ({"query": USAGE, "variables": {"projectId": "prj", "measurements": ["CPU"]}},
         "Value 'CPU' does not exist in 'MetricMeasurement' enum"),
        ({"query": USAGE,
          "variables": {"projectId": "prj", "measurements": [], "startDate": "2026-11-22T12:00:00"}},
         "DateTime cannot represent '2026-11-22T12:00:00'"),
        ({"operationName": "Deploy"}, "the operation is not called Deploy"),
        # headers
        ({"headers": {}}, "not one token but 0"),
        ({"headers": {"authorization": "x", "project-access-token": "x"}}, "not one token but 2"),
        ({"headers": {"authorization": "x", "content-type": "text/plain"}}, "the request is no JSON"),
        ({"headers": {"authorization": "x", "user-agent": "python-httpx"}}, "without our User-Agent"),
        # answers
        ({"answer": answered(NODE | {"serviceName": None})}, "Cannot return null for non-nullable field"),
        ({"answer": answered({"serviceId": "svc", "serviceName": "web"})}, "latestDeployment"),
        ({"answer": answered(NODE | {"latestDeployment": {"id": "d", "status": "ACTIVE"}})}, "'ACTIVE'"),
        ({"answer": answered(NODE, name="production")}, "other fields or types than were asked for"),
        ({"answer": answered(NODE | {"serviceName": 7})}, "other fields or types than were asked for"),
        ({"answer": {"data": {"result": None}}}, "Cannot return null for non-nullable field"),
        ({"answer": {"errors": [REFUSAL], "data": {"result": True}}}, "a refusal with data"),
        ({"answer": {"errors": [REFUSAL | {"message": None}], "data": None}}, "a refusal without a message"),
        ({"answer": {"errors": [REFUSAL | {"extensions": {}}], "data": None}}, "a refusal without a code"),
        ({"answer": {"errors": [REFUSAL | {"traceId": 7}], "data": None}}, "a refusal without a trace"),
        ({"answer": {"data": None}, "status": 429}, "a limit has `data` null, and Retry-After"),
        ({"answer": {"data": None}, "status": 404}, "the status 404 is not one of 200, 429"),
    ],
)  # fmt: skip
def test_a_violation_is_noticed(contract, wrong, violation):
    assert violation in str(contract.violations(exchange(**wrong)))


@pytest.mark.parametrize(("at", "violation"), [("2026-11-22T12:00:00Z", []), ("2026-11-22T12:00:00", ["DateTime"])])
def test_a_time_has_a_zone(contract, at, violation):
    step = {"step": "HEALTHCHECK", "createdAt": at, "completedAt": None, "payload": None}
    answer = {"data": {"result": {"edges": [{"node": step}]}}}
    asked = {"operationName": "Events", "query": EVENTS, "variables": {"id": "d", "first": 1}}

    found = contract.violations(exchange(answer, **asked))

    assert len(found) == len(violation)
    assert all(word in said for word, said in zip(violation, found, strict=True))


async def test_what_goes_over_the_wire_is_seen(contract, world, railway):
    """The recorder keeps what the client and the simulated Railway really said, or none of this would mean anything."""
    recorder = Recorder(world.app)
    id = await railway.deploy(**PLACE, commit_sha=NEW)

    [seen] = recorder.exchanges

    assert seen.content["variables"]["commitSha"] == NEW
    assert seen.answered == {"data": {"result": id}}
    assert contract.violations(msgspec.structs.replace(seen, answer=b'{"data": {"result": true}}'))


def test_a_call_without_a_document_is_noticed():
    class Other:
        async def stop(self, id: str) -> None:
            await self._client.post("/stop", json={"id": id})

    assert not DOCUMENT_NAMES & words(public_methods(Other)["stop"])


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("type Query { gauge: String }", ["Query.gauge: String"]),
        ("type Query { projectToken: ProjectToken } type ProjectToken { id: ID }",
         ["ProjectToken.id: ID", "Query.projectToken: ProjectToken"]),
        ("scalar JSON type Query { project(id: ID!, name: String): Project! } type Project { id: ID! }",
         ["Query.project(id: ID!)", "Query.project(name: String)"]),
        ("type Query { node: String } enum DeploymentStatus { SUCCESS ACTIVE }",
         ["DeploymentStatus.ACTIVE", "Query.node: String"]),
        ("type Query { projectToken: ProjectToken! } scalar ProjectToken input DeploymentListInput { id: ID }",
         ["ProjectToken", "DeploymentListInput.id: ID"]),
        ("type Query { track: Track } type Track { id: ID }", ["Track", "Query.track: Track", "Track.id: ID"]),
    ],
)  # fmt: skip
def test_a_schema_that_is_no_part_is_noticed(contract, schema, said):
    assert foreign(build_schema(schema), contract.schema) == said


def test_a_document_that_would_not_be_found_is_noticed(tmp_path):
    written = tmp_path / "client.py"
    written.write_text(
        'STOP = "mutation Stop { x }"\nasync def stop(self):\n    await self.call("mutation S { x }", str)\n'
    )
    assert inline_documents([written]) == ["client.py:3"]
