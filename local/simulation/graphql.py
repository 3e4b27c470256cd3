"""GraphQL in the simulation: documents are parsed, validated and planned once per process, and then only walked.

A plan does what `graphql.execute_sync` does for valid documents and for resolvers that return what they should, in
JSON's form already.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import graphql
from graphql import DocumentNode, GraphQLError, GraphQLSchema
from graphql.language import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)
from graphql.utilities import value_from_ast_untyped
from msgspec import Struct

Variables = Mapping[str, Any]


class Document(Struct, frozen=True, eq=False):
    """A parsed document; unlike graphql-core's node it is cheap to look things up by."""

    node: DocumentNode


class Result(Struct):
    """What the worlds look at of graphql-core's ExecutionResult."""

    data: dict[str, Any] | None = None
    errors: list[GraphQLError] | None = None


class Info(Struct):
    """What resolvers look at of graphql-core's GraphQLResolveInfo."""

    context: Any = None


class _Field(Struct, frozen=True):
    """`key` is what it is called in the answer, `on` the type it belongs to, `only` those it is asked of alone."""

    key: str
    name: str
    on: str
    only: frozenset[str] | None
    arguments: tuple[tuple[str, Callable[[Variables], Any]], ...]
    inner: tuple[_Field, ...]


@functools.cache
def parse(text: str) -> Document:
    return Document(graphql.parse(text))


@functools.cache
def validate(schema: GraphQLSchema, document: Document) -> Sequence[GraphQLError]:
    return graphql.validate(schema, document.node)


def execute(
    schema: GraphQLSchema,
    document: Document,
    root_value: Any = None,
    context_value: Any = None,
    variable_values: Variables | None = None,
    operation_name: str | None = None,  # noqa: ARG001 - each document is one operation
) -> Result:
    try:
        return Result(_answer(_plan(schema, document), root_value, variable_values or {}, Info(context_value)))
    except GraphQLError as error:
        return Result(None, [error])


def _answer(fields: tuple[_Field, ...], source: Any, variables: Variables, info: Info) -> dict[str, Any]:
    found: dict[str, Any] = {}
    own = source.get("__typename")
    for field in fields:
        if field.only is not None and own is not None and own not in field.only:
            continue
        value = source.get(field.name)
        if value is None:
            value = field.on if field.name == "__typename" else None
        elif callable(value):
            given = {name: read(variables) for name, read in field.arguments}
            value = value(info, **{name: each for name, each in given.items() if each is not None})
        if field.inner and value is not None:
            whole = isinstance(value, list)
            parts = [_answer(field.inner, one, variables, info) for one in (value if whole else [value])]
            value = parts if whole else parts[0]
        found[field.key] = value
    return found


@functools.cache
def _plan(schema: GraphQLSchema, document: Document) -> tuple[_Field, ...]:
    definitions = document.node.definitions
    [operation] = [one for one in definitions if isinstance(one, OperationDefinitionNode)]
    root = schema.query_type if operation.operation.value == "query" else schema.mutation_type
    fragments = {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
    return _Planner(schema, fragments).fields(operation.selection_set, root, None)


class _Planner:
    def __init__(self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._schema = schema
        self._fragments = fragments

    def fields(self, chosen: SelectionSetNode, kind: Any, only: frozenset[str] | None) -> tuple[_Field, ...]:
        found: list[_Field] = []
        for node in chosen.selections:
            if isinstance(node, FieldNode):
                found.append(self._field(node, kind, only))
                continue
            fragment: Any = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            named: Any = self._schema.type_map[fragment.type_condition.name.value] if fragment.type_condition else kind
            names = self._concrete(named)
            found += self.fields(fragment.selection_set, named, names if only is None else only & names)
        return tuple(found)

    def _concrete(self, kind: Any) -> frozenset[str]:
        kinds = self._schema.get_possible_types(kind) if graphql.is_abstract_type(kind) else [kind]
        return frozenset(one.name for one in kinds)

    def _field(self, node: FieldNode, kind: Any, only: frozenset[str] | None) -> _Field:
        name, key = node.name.value, (node.alias or node.name).value
        if name == "__typename":
            return _Field(key, name, kind.name, only, (), ())
        field = kind.fields[name]
        arguments = tuple(
            (field.args[argument.name.value].out_name or argument.name.value, _reader(argument.value))
            for argument in node.arguments or ()
        )
        inner = self.fields(node.selection_set, graphql.get_named_type(field.type), None) if node.selection_set else ()
        return _Field(key, name, kind.name, only, arguments, inner)


def _reader(value: ValueNode) -> Callable[[Variables], Any]:
    if isinstance(value, VariableNode):
        name = value.name.value
        return lambda variables: variables.get(name)
    return lambda variables: value_from_ast_untyped(value, dict(variables))
