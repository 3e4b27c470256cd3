"""The simulated vendors' GraphQL answers as graphql-core does."""

from typing import Any

import graphql
import pytest

from local.world import graphql as planned

SCHEMA = graphql.build_schema("""
type Query { things(first: Int, of: String): [Thing!]! one(id: ID!): Thing must(id: ID!): Thing! odd: Odd
  sized(size: Size!): String }
enum Size { SMALL LARGE }
type Odd { kept: String lost: String! list: [String!] inner: [Cup!] }
type Mutation { rename(id: ID!, input: Input!): String }
input Input { name: String }
interface Thing { id: ID! name: String }
type Cup implements Thing { id: ID! name: String litres: Float }
type Box implements Thing { id: ID! name: String inside: [Thing!]! }
""")
CUP = {"__typename": "Cup", "id": "1", "name": "cup", "litres": 0.3}
BOX = {"__typename": "Box", "id": "2", "name": None, "inside": [CUP]}
SELECTION = "fragment Whole on Thing { id label: name ... on Cup { litres } ... on Box { inside { __typename id } } }"


def _things(_: Any, first: int | None = None, of: str | None = None) -> list[dict[str, Any]]:
    return [BOX, CUP][:first] if of is None else []


def _one(_: Any, id: str) -> dict[str, Any] | None:
    if id == "9":
        raise graphql.GraphQLError("there is no nine", extensions={"code": "NINE"})
    return CUP if id == "1" else None


def _rename(_: Any, id: str, input: dict[str, Any]) -> str:
    return f"{id} {input['name']}"


ODD = {"kept": "kept", "lost": None, "list": ["a", None], "inner": [CUP, None]}
ROOT = {
    "things": _things,
    "one": _one,
    "must": _one,
    "rename": _rename,
    "odd": ODD,
    "sized": lambda _, size: size,
}


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        (f"query All($first: Int) {{ result: things(first: $first) {{ __typename ...Whole }} }} {SELECTION}", {}),
        (f"query All($first: Int) {{ things(first: $first) {{ ...Whole }} }} {SELECTION}", {"first": 1}),
        (f'query {{ things(of: "nobody") {{ ...Whole }} }} {SELECTION}', {}),
        ("query One($id: ID!) { one(id: $id) { id } }", {"id": "1"}),
        ("query One($id: ID!) { one(id: $id) { id } }", {"id": "2"}),
        ("query One($id: ID!) { one(id: $id) { id } }", {"id": "9"}),
        ("query Must($id: ID!) { must(id: $id) { id } }", {"id": "9"}),
        ("query Must($id: ID!) { must(id: $id) { id } one(id: 1) { id } }", {"id": "2"}),
        ("{ odd { kept lost } one(id: 1) { id } }", {}),
        ("{ odd { kept list } }", {}),
        ("{ odd { kept inner { id } } }", {}),
        ("query Sized($size: Size!) { sized(size: $size) }", {"size": "LARGE"}),
        ("query Sized($size: Size!) { sized(size: $size) }", {"size": "HUGE"}),
        ("query Sized($size: Size!) { sized(size: $size) }", {}),
        ("{ sized(size: SMALL) }", {}),
        ("query Few($first: Int) { things(first: $first) { id } }", {"first": "two"}),
        ('mutation Rename($name: String) { rename(id: "1", input: {name: $name}) }', {"name": "mug"}),
    ],
)
def test_a_plan_answers_as_graphql_core_does(document: str, variables: dict[str, Any]) -> None:
    real = graphql.execute_sync(SCHEMA, graphql.parse(document), ROOT, variable_values=variables)
    quick = planned.execute(SCHEMA, planned.parse(document), ROOT, variables=variables)
    assert [error.formatted for error in quick.errors] == [error.formatted for error in real.errors or ()]
    assert quick.data == real.data


def test_a_document_that_does_not_fit_the_schema_is_noticed() -> None:
    assert planned.validate(SCHEMA, planned.parse("query { nothing }"))
