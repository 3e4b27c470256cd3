"""GitHub's contract: the operations that the client may use, and what GitHub asks of every request."""

import builtins
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from graphql import (
    GraphQLEnumType,
    GraphQLNamedType,
    GraphQLSchema,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values
from graphql.language import OperationDefinitionNode
from vendors.openapi import Contract
from vendors.recorder import Exchange

OPERATIONS = (
    "actions/create-workflow-dispatch",
    "apps/create-from-manifest",
    "apps/create-installation-access-token",
    "apps/get-authenticated",
    "apps/get-repo-installation",
    "apps/get-webhook-config-for-app",
    "apps/list-webhook-deliveries",
    "apps/redeliver-webhook-delivery",
    "issues/create-comment",
    "issues/list-comments",
    "issues/get-comment",
    "issues/update-comment",
    "pulls/create",
    "pulls/list-files",
    "pulls/merge",
    "pulls/update-branch",
    "rate-limit/get",
    "reactions/create-for-issue-comment",
    "reactions/list-for-issue-comment",
    "repos/compare-commits-with-basehead",
    "repos/create-deployment",
    "repos/create-deployment-status",
    "repos/get",
    "repos/get-branch-rules",
    "repos/get-collaborator-permission-level",
    "repos/list-deployment-statuses",
    "repos/list-deployments",
)
"""Ids in GitHub's OpenAPI description; with `graphql` these are all that the client asks."""

ANYWHERE = {
    301: "moved_permanently",
    307: "temporary_redirect",
    401: "requires_authentication",
    403: "forbidden",
    404: "not_found",
    422: "validation_failed",
    429: "forbidden",
}
"""Every operation may answer these (docs: "Troubleshooting the REST API", "Rate limits for the REST API")."""
_BY_ID = re.compile(r"/repositories/(\d+|\{\})(?=/|$)")
"""Where the redirects of renamed repositories lead (docs: "Best practices for using the REST API", follow redirects).
The description has these paths by the repository's name only."""
HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}


class GitHubContract:
    def __init__(self, description: bytes, schema: bytes) -> None:
        self.rest = Contract(msgspec.json.decode(description), OPERATIONS, anywhere=ANYWHERE)
        self.schema = build_schema(schema.decode(), assume_valid=True)
        self._documents: dict[str, list[str]] = {}

    def operation(self, exchange: Exchange) -> str:
        if exchange.path == "/graphql":
            return "graphql"
        operation = self.rest.operation(exchange.method, _by_name(exchange.path))
        return operation.id if operation else f"{exchange.method} {exchange.path}"

    def of_document(self, document: str) -> list[str]:
        """Its violations; each of the few documents is validated once."""
        if document not in self._documents:
            self._documents[document] = [error.message for error in validate(self.schema, parse(document))]
        return self._documents[document]

    def violations(self, exchange: Exchange) -> list[str]:
        found = [*_headers(exchange)]
        if exchange.path == "/graphql":
            return found + [f"graphql: {violation}" for violation in self._graphql(exchange)]
        return found + self.rest.violations(msgspec.structs.replace(exchange, path=_by_name(exchange.path)))

    def _graphql(self, exchange: Exchange) -> Iterator[str]:
        """The document and its variables; the answer is made by the same library from a part of the same schema."""
        asked = exchange.content
        yield from self.of_document(asked["query"])
        for definition in parse(asked["query"]).definitions:
            assert isinstance(definition, OperationDefinitionNode)
            known = definition.variable_definitions or ()
            values = get_variable_values(self.schema, known, asked.get("variables", {}))
            if isinstance(values, list):
                yield from (error.message for error in values)


def _by_name(path: str) -> str:
    return _BY_ID.sub("/repos/owner/name", path, count=1)


def _headers(exchange: Exchange) -> Iterator[str]:
    """Docs: "Getting started with the REST API", headers."""
    for name, wanted in HEADERS.items():
        if exchange.headers.get(name) != wanted:
            yield f"{exchange.path}: the header {name} is {exchange.headers.get(name)!r}, not {wanted!r}"
    if not exchange.headers.get("user-agent"):
        yield f"{exchange.path}: a request without User-Agent is refused"


def foreign(part: GraphQLSchema, whole: GraphQLSchema) -> list[str]:
    """What the schema has that the whole one has not, or has otherwise."""
    return [found for type in part.type_map.values() if not is_specified(type) for found in _foreign(type, whole)]


def is_specified(type: GraphQLNamedType) -> bool:
    return is_introspection_type(type) or is_specified_scalar_type(type)


def _foreign(type: GraphQLNamedType, schema: GraphQLSchema) -> Iterator[str]:
    whole: Any = schema.type_map.get(type.name)
    if builtins.type(whole) is not builtins.type(type):
        yield type.name
        return
    if isinstance(type, GraphQLEnumType):
        yield from (f"{type.name}.{value}" for value in type.values if value not in whole.values)
    for name, field in getattr(type, "fields", {}).items():
        known = whole.fields.get(name)
        if known is None:
            yield f"{type.name}.{name}"
            continue
        if str(field.type) != str(known.type):
            yield f"{type.name}.{name}: {field.type}"
        for argument, described in getattr(field, "args", {}).items():
            if argument not in known.args or str(described.type) != str(known.args[argument].type):
                yield f"{type.name}.{name}({argument}: {described.type})"
