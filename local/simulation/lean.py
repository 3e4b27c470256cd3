"""What the simulation leaves out for speed: cryptography, and the general GraphQL machinery around the resolvers.

The App's token is unsigned (the simulated GitHub has no key to check it with, and checks the rest of it), and documents
are parsed, validated and planned once per process. `tests/simulation/test_lean.py` holds the answers against real ones.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse, validate
from graphql.language import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql.utilities import value_from_ast_untyped
from msgspec import Struct

import shared.clients.github_app
import shared.redaction
from local.world import github_graphql, railway_api


class Result(Struct):
    """What the worlds look at of graphql-core's ExecutionResult."""

    data: dict[str, Any] | None = None
    errors: list[GraphQLError] | None = None


class Info(Struct):
    """What resolvers look at of graphql-core's GraphQLResolveInfo."""

    context: Any = None


class _Executor:
    """Walks a validated document over what the resolvers return, which is in JSON's form already."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any], info: Info) -> None:
        self._schema = schema
        self._variables = variables
        self._info = info
        self._fragments = {
            one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)
        }

    def select(self, chosen: SelectionSetNode, source: Any, kind: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for node in chosen.selections:
            if isinstance(node, FieldNode):
                found[(node.alias or node.name).value] = self._field(node, source, kind)
                continue
            inner = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            if not isinstance(inner, InlineFragmentNode | FragmentDefinitionNode):
                raise TypeError(f"a selection of an unknown kind: {node.kind}")
            name = inner.type_condition.name.value if inner.type_condition else kind.name
            if source.get("__typename", name) == name:
                found.update(self.select(inner.selection_set, source, self._schema.type_map[name]))
        return found

    def _field(self, node: FieldNode, source: Any, kind: Any) -> Any:
        name = node.name.value
        if name == "__typename":
            return source.get(name, kind.name)
        field = kind.fields[name]
        value = source.get(name)
        if callable(value):
            value = value(self._info, **self._arguments(node, field))
        return self._complete(node, value, field.type)

    def _complete(self, node: FieldNode, value: Any, kind: Any) -> Any:
        while hasattr(kind, "of_type"):
            kind = kind.of_type
        if value is None or node.selection_set is None:
            return value
        if isinstance(value, list):
            return [self.select(node.selection_set, one, kind) for one in value]
        return self.select(node.selection_set, value, kind)

    def _arguments(self, node: FieldNode, field: Any) -> dict[str, Any]:
        given = {}
        for argument in node.arguments or ():
            name = field.args[argument.name.value].out_name or argument.name.value
            given[name] = value_from_ast_untyped(argument.value, dict(self._variables))
        return {name: value for name, value in given.items() if value is not None}


def execute(
    schema: GraphQLSchema,
    document: DocumentNode,
    root_value: Any = None,
    context_value: Any = None,
    variable_values: Mapping[str, Any] | None = None,
    operation_name: str | None = None,  # noqa: ARG001 - each document is one operation
) -> Result:
    """As `graphql.execute_sync`, for documents that are valid and resolvers that return what they should."""
    [operation] = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    root = schema.query_type if operation.operation.value == "query" else schema.mutation_type
    executor = _Executor(schema, document, variable_values or {}, Info(context_value))
    try:
        return Result(executor.select(operation.selection_set, root_value, root))
    except GraphQLError as error:
        return Result(None, [error])


_parse = functools.cache(parse)


@functools.cache
def _validate(schema: GraphQLSchema, document: DocumentNode) -> Sequence[GraphQLError]:
    return validate(schema, document)


async def _unsigned(app: Any) -> str:
    now = int(app._clock.now().timestamp())  # noqa: SLF001 - it stands in for a method
    claims = {"iat": now - 60, "exp": now + 540, "iss": app.app_id}
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def _nothing(*_: Any) -> None:
    """For what the simulation does without: cookies, and remembering tokens that are masked by their shape anyway."""


_load_schema = functools.cache(railway_api.load_schema)
_urlparse = functools.lru_cache(4096)(httpx._urls.urlparse)  # type: ignore[attr-defined] # noqa: SLF001 - pure, and asked the same again


@contextlib.contextmanager
def lean() -> Iterator[None]:
    """Within this, the worlds and clients work fast, and know only the secrets they meet here."""
    instead: list[tuple[Any, str, Any]] = [
        (railway_api, "execute_sync", execute),
        (railway_api, "parse", _parse),
        (railway_api, "validate", _validate),
        (railway_api, "load_schema", _load_schema),
        (github_graphql, "execute_sync", execute),
        (github_graphql, "validate", _validate),
        (shared.clients.github_app.GitHubApp, "_sign", _unsigned),
        (shared.clients.github_app, "remember", _nothing),
        (httpx._urls, "urlparse", _urlparse),  # noqa: SLF001
        (httpx.Cookies, "extract_cookies", _nothing),
        (shared.redaction, "_known", type(shared.redaction._known)()),  # noqa: SLF001 - to begin without any
    ]
    with replaced(instead):
        yield


@contextlib.contextmanager
def replaced(instead: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """Other attributes for a while: of a module or class, by name."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in instead]
    try:
        for owner, name, value in instead:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)
