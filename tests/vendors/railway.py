"""Railway's contract: its published schema, its two headers, and the form of its refusals (railwayapp/cli)."""

import ast
import functools
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import graphql
from graphql import (
    DocumentNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
)
from graphql.execution.values import get_variable_values
from vendors.recorder import Exchange

import shared.clients.railway

ROOT = Path(__file__).parents[2]
_DOCUMENT = re.compile(r"\s*(query|mutation|subscription)\b[^{]*\{")
_ONE_HEADER = ({"authorization"}, {"project-access-token"})


# What there is in the source


def documents() -> dict[str, str]:
    """Every document of Railway's clients by the name of its operation, fragments filled in."""
    texts = (value for module in _modules() for value in vars(module).values() if isinstance(value, str))
    return {_operation(graphql.parse(text)).name.value: text for text in texts if _DOCUMENT.match(text)}


def clients() -> list[type]:
    """The classes of these modules that have something to await."""
    own = (value for module in _modules() for value in vars(module).values() if _is_own(value, module))
    return [kind for kind in own if inspect.getmembers(kind, inspect.iscoroutinefunction)]


def _is_own(value: Any, module: ModuleType) -> bool:
    return inspect.isclass(value) and value.__module__ == module.__name__


def _modules() -> list[ModuleType]:
    found = pkgutil.iter_modules(shared.clients.railway.__path__, "shared.clients.railway.")
    return [importlib.import_module(one.name) for one in found]


def inline_documents(files: Iterable[Path]) -> list[str]:
    """Where a document stands that `documents` does not find: it has to be a module's own value."""
    found = []
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        own = {id(part) for node in tree.body if isinstance(node, ast.Assign) for part in ast.walk(node.value)}
        found += [
            f"{file.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if _DOCUMENT.match(node.value) and id(node) not in own
        ]
    return found


# What is held against the contract


class RailwayContract:
    """Each method returns what is against the contract, in words."""

    def __init__(self, introspection: Mapping[str, Any]) -> None:
        self.schema = graphql.build_client_schema(introspection.get("data", introspection), assume_valid=True)
        time: Any = self.schema.type_map["DateTime"]
        time.coerce_input_value = time.coerce_output_value = _time

    def violations(self, exchange: Exchange) -> list[str]:
        asked = exchange.content
        return [
            *self.of_headers(exchange),
            *self.of_document(asked["query"]),
            *self.of_request(asked),
            *self.of_answer(asked, exchange),
        ]

    def of_headers(self, exchange: Exchange) -> Iterator[str]:
        tokens = exchange.headers.keys() & {"authorization", "project-access-token"}
        if tokens not in _ONE_HEADER:
            yield f"not one token but {len(tokens)}"
        if exchange.headers.get("content-type") != "application/json":
            yield "the request is no JSON"
        if "signalbox" not in exchange.headers.get("user-agent", ""):
            yield "without our User-Agent, which Railway's edge refuses"

    @functools.cache  # noqa: B019 - there is one contract
    def of_document(self, text: str) -> tuple[str, ...]:
        document = graphql.parse(text)
        roots = [getattr(node.alias, "value", None) for node in _operation(document).selection_set.selections]
        wrong = [error.message for error in graphql.validate(self.schema, document)]
        return (*wrong, *([] if roots == ["result"] else ["the operation is not of one field called `result`"]))

    def of_request(self, asked: Mapping[str, Any]) -> Iterator[str]:
        """Its variables, each of the declared type, and its name."""
        operation = _operation(graphql.parse(asked["query"]))
        definitions = list(operation.variable_definitions or ())
        declared = {definition.variable.name.value for definition in definitions}
        yield from (f"the variable {name} is not declared" for name in asked["variables"].keys() - declared)
        values = get_variable_values(self.schema, definitions, asked["variables"])
        yield from (error.message for error in values if isinstance(values, list))
        if asked["operationName"] != operation.name.value:
            yield f"the operation is not called {asked['operationName']}"

    def of_answer(self, asked: Mapping[str, Any], exchange: Exchange) -> list[str]:
        said = exchange.answered
        if exchange.status == 429:
            waits = exchange.answer_headers.get("retry-after", "").isdecimal()
            return [] if said == {"data": None} and waits else ["a limit has `data` null, and Retry-After"]
        if exchange.status != 200:
            return [f"the status {exchange.status} is not one of 200, 429"]
        return list(_unlike_a_refusal(said)) if "errors" in said else self._unlike_an_answer(asked, said["data"])

    def _unlike_an_answer(self, asked: Mapping[str, Any], data: Any) -> list[str]:
        """Executed on the answer as the source of every field, the document has to give the answer again."""
        result = graphql.execute_sync(
            self.schema,
            graphql.parse(asked["query"]),
            root_value=data,
            variable_values=asked["variables"],
            field_resolver=lambda source, info, **_: source[info.path.key],
        )
        if result.errors:
            return [f"{'.'.join(map(str, error.path or ()))}: {error}" for error in result.errors]
        return [] if _text(result.data) == _text(data) else ["the answer has other fields or types than were asked for"]


def foreign(part: GraphQLSchema, whole: GraphQLSchema) -> list[str]:
    """What of the one schema is not so in the other."""
    own = {name: kind for name, kind in part.type_map.items() if not name.startswith("__")}
    return [
        *(name for name, kind in own.items() if type(whole.type_map.get(name)) is not type(kind)),
        *sorted({line for kind in own.values() for line in _members(kind)} - _all_members(whole)),
    ]


def _all_members(schema: GraphQLSchema) -> set[str]:
    return {line for kind in schema.type_map.values() for line in _members(kind)}


def _members(kind: Any) -> Iterator[str]:
    """The parts of a type, one a line, as they are written in a schema; a field's arguments are parts of their own."""
    if isinstance(kind, GraphQLEnumType):
        yield from (f"{kind.name}.{value}" for value in kind.values)
    if isinstance(kind, GraphQLInputObjectType):
        yield from (f"{kind.name}.{name}: {field.type}" for name, field in kind.fields.items())
    if isinstance(kind, GraphQLObjectType):
        for name, field in kind.fields.items():
            yield f"{kind.name}.{name}: {field.type}"
            yield from (f"{kind.name}.{name}({argument}: {each.type})" for argument, each in field.args.items())


def _unlike_a_refusal(said: Mapping[str, Any]) -> Iterator[str]:
    """Refusals come with HTTP 200, a code and a trace (published captures of real answers)."""
    if said.get("data") is not None:
        yield "a refusal with data"
    for problem in said["errors"]:
        if not isinstance(problem.get("message"), str):
            yield "a refusal without a message"
        if not isinstance(problem.get("extensions", {}).get("code"), str):
            yield "a refusal without a code"
        if not isinstance(problem.get("traceId"), str):
            yield "a refusal without a trace"


def _operation(document: DocumentNode) -> Any:
    [operation] = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    return operation


def _time(value: Any) -> str:
    """A DateTime: ISO 8601 with a zone."""
    if not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is None:
        raise graphql.GraphQLError(f"DateTime cannot represent {value!r}")
    return value


def _text(data: Any) -> str:
    return json.dumps(data, sort_keys=True)
