"""The simulated vendors' GraphQL: documents are parsed, validated and planned once per process, and then only walked.

A plan does what `graphql.execute_sync` does, for resolvers that return JSON's form already; tests compare the two.
Variables, errors with their paths, and nulls where none may be are as GraphQL asks for them (spec.graphql.org, sections
6.1.2 and 6.4.4). What else than a GraphQLError a resolver raises is a mistake of the simulation, and is let through.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import graphql
from graphql import DocumentNode, GraphQLError, GraphQLSchema
from graphql.execution.values import get_variable_values
from graphql.language import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
)
from graphql.utilities import value_from_ast
from msgspec import Struct

Variables = Mapping[str, Any]
Path = tuple[Any, ...]


class Document(Struct, frozen=True, eq=False):
    """A parsed document; unlike graphql-core's node it is cheap to look things up by."""

    node: DocumentNode


class Result(Struct):
    """`data` is None where an error leaves nothing of it."""

    data: dict[str, Any] | None = None
    errors: Sequence[GraphQLError] = ()


class Info(Struct):
    """What resolvers get of who asks."""

    context: Any = None


class _Field(Struct, frozen=True):
    """`key` is what it is called in the answer, `on` the type it belongs to, `only` those it is asked of alone.

    `required` and `items` say whether it, and each of its list, may not be null.
    """

    key: str
    name: str
    on: str
    only: frozenset[str] | None
    arguments: tuple[tuple[str, Callable[[Variables], Any]], ...]
    inner: tuple[_Field, ...]
    node: FieldNode
    required: bool = False
    items: bool = False


class _Plan(Struct, frozen=True):
    variables: tuple[VariableDefinitionNode, ...]
    fields: tuple[_Field, ...]


@functools.cache
def parse(text: str) -> Document:
    """Raises GraphQLError for what is no document."""
    return Document(graphql.parse(text))


@functools.cache
def validate(schema: GraphQLSchema, document: Document) -> Sequence[GraphQLError]:
    """What is wrong with the document by the schema."""
    return graphql.validate(schema, document.node)


def execute(
    schema: GraphQLSchema,
    document: Document,
    root: Mapping[str, Any],
    *,
    context: Any = None,
    variables: Variables | None = None,
) -> Result:
    """The answer to a valid document of one operation."""
    plan = _plan(schema, document)
    given: Variables = {}
    if plan.variables:
        read = get_variable_values(schema, plan.variables, dict(variables or {}))
        if isinstance(read, list):
            return Result(None, read)
        given = read.coerced
    errors: list[GraphQLError] = []
    data = _answer(plan.fields, root, _Walk(given, Info(context), errors), ())
    return Result(data, errors)


class _Walk(Struct):
    variables: Variables
    info: Info
    errors: list[GraphQLError]


def _answer(fields: tuple[_Field, ...], source: Mapping[str, Any], walk: _Walk, path: Path) -> dict[str, Any] | None:
    """None where a field that may not be null is null."""
    found: dict[str, Any] = {}
    own = source.get("__typename")
    for field in fields:
        if field.only is not None and own is not None and own not in field.only:
            continue
        where = (*path, field.key)
        try:
            value = _completed(field, _resolved(field, source, walk), walk, where)
        except GraphQLError as error:
            walk.errors.append(GraphQLError(error.message, [field.node], path=[*where], extensions=error.extensions))
            value = None
        if value is None and field.required:
            return None
        found[field.key] = value
    return found


def _resolved(field: _Field, source: Mapping[str, Any], walk: _Walk) -> Any:
    value = source.get(field.name)
    if value is None:
        return field.on if field.name == "__typename" else None
    if not callable(value):
        return value
    given = {name: read(walk.variables) for name, read in field.arguments}
    return value(walk.info, **{name: each for name, each in given.items() if each is not None})


def _completed(field: _Field, value: Any, walk: _Walk, path: Path) -> Any:
    """With what is asked of it; None where that leaves nothing. Raises GraphQLError for a null that may not be."""
    if value is None:
        if field.required:
            raise _missing(field)
        return None
    if isinstance(value, list):
        return _list(field, value, walk, path)
    return _answer(field.inner, value, walk, path) if field.inner else value


def _list(field: _Field, values: list[Any], walk: _Walk, path: Path) -> list[Any] | None:
    parts: list[Any] = []
    for at, one in enumerate(values):
        if one is None and field.items:
            error = _missing(field)
            walk.errors.append(GraphQLError(error.message, [field.node], path=[*path, at]))
        part = _answer(field.inner, one, walk, (*path, at)) if field.inner and one is not None else one
        if part is None and field.items:
            return None
        parts.append(part)
    return parts


def _missing(field: _Field) -> GraphQLError:
    return GraphQLError(f"Cannot return null for non-nullable field {field.on}.{field.name}.")


@functools.cache
def _plan(schema: GraphQLSchema, document: Document) -> _Plan:
    definitions = document.node.definitions
    operations = [one for one in definitions if isinstance(one, OperationDefinitionNode)]
    if len(operations) != 1:
        raise AssertionError("a document of one operation is expected")
    [operation] = operations
    root = schema.query_type if operation.operation.value == "query" else schema.mutation_type
    fragments = {one.name.value: one for one in definitions if isinstance(one, FragmentDefinitionNode)}
    fields = _Planner(schema, fragments).fields(operation.selection_set, root, None)
    return _Plan(tuple(operation.variable_definitions or ()), fields)


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
            return _Field(key, name, kind.name, only, (), (), node)
        field = kind.fields[name]
        arguments = tuple(
            (taken.out_name or argument.name.value, _reader(argument.value, taken.type))
            for argument in node.arguments or ()
            for taken in [field.args[argument.name.value]]
        )
        inner = self.fields(node.selection_set, graphql.get_named_type(field.type), None) if node.selection_set else ()
        nullable = graphql.get_nullable_type(field.type)
        items = graphql.is_list_type(nullable) and graphql.is_non_null_type(nullable.of_type)
        return _Field(key, name, kind.name, only, arguments, inner, node, graphql.is_non_null_type(field.type), items)


def _reader(value: ValueNode, kind: Any) -> Callable[[Variables], Any]:
    if isinstance(value, VariableNode):
        name = value.name.value
        return lambda variables: variables.get(name)
    if "$" in graphql.print_ast(value):
        return lambda variables: value_from_ast(value, kind, dict(variables))
    constant = value_from_ast(value, kind)
    return lambda _: constant
