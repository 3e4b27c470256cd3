"""A vendor's OpenAPI 3.0 description as a judge of requests and answers: stricter than the description itself.

What the description does not name counts as a violation, in a request (a misspelt field is ignored by the vendor) and
in an answer (a client must not be tested with what the vendor never sends).
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from msgspec import DecodeError, Struct
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from vendors.recorder import Exchange

JSON = dict[str, Any]
WHOLE, PART = "whole", "part"
"""A component stands for a value, or is combined with others to describe one."""
LONGEST_MESSAGE = 300
_COMBINATIONS = ("allOf", "anyOf", "oneOf")
_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_formats.checks("uri", raises=ValueError)
def _is_address(value: object) -> bool:
    """Or empty, as the defaults of addresses in GitHub's description are."""
    return not value or not isinstance(value, str) or bool(urlsplit(value).scheme)


class Operation(Struct, frozen=True):
    id: str
    method: str
    template: str
    described: JSON
    pattern: re.Pattern[str]


class Contract:
    """Of the operations with these ids, and no others: what a client does beside them is a violation.

    `anywhere`: the components that describe the statuses which any operation may answer, documented with it or not.
    """

    def __init__(self, description: JSON, operations: Iterable[str], *, anywhere: Mapping[int, str]) -> None:
        wanted = frozenset(operations)
        self._components: JSON = description["components"]
        self._anywhere = anywhere
        self._registry = Registry(retrieve=functools.cache(self._component))
        self._validators: dict[int, Draft202012Validator] = {}
        found = [
            Operation(described["operationId"], method.upper(), template, described, _pattern(template))
            for template, methods in description["paths"].items()
            for method, described in methods.items()
            if described["operationId"] in wanted
        ]
        self.operations = sorted(found, key=lambda one: (one.template.count("{"), one.template))
        """Those with fewer variables in their paths first, because they match before the others."""
        unknown = wanted - {one.id for one in found}
        assert not unknown, f"the vendor has no {', '.join(sorted(unknown))}"

    def operation(self, method: str, path: str) -> Operation | None:
        fitting = (one for one in self.operations if one.method == method and one.pattern.fullmatch(path))
        return next(fitting, None)

    def violations(self, exchange: Exchange) -> list[str]:
        operation = self.operation(exchange.method, exchange.path)
        if operation is None:
            return [f"{exchange.method} {exchange.path}: there is no contract for this"]
        found = [*self._request(operation, exchange), *self._answer(operation, exchange)]
        return [f"{operation.id}: {violation}" for violation in found]

    # Requests

    def _request(self, operation: Operation, exchange: Exchange) -> Iterator[str]:
        described = [self._resolved(parameter) for parameter in operation.described.get("parameters", [])]
        in_path = operation.pattern.fullmatch(exchange.path)
        given = {("path", name): unquote(value) for name, value in (in_path.groupdict() if in_path else {}).items()}
        given |= {("query", name): value for name, value in exchange.query}
        known = {(one["in"], one["name"]): one for one in described}
        for place, value in given.items():
            if place not in known:
                yield f"the {place[0]} parameter {place[1]} is not known"
                continue
            schema = known[place]["schema"]
            yield from self._check(schema, _typed(value, schema), f"{place[0]} parameter {place[1]}")
        for place, one in known.items():
            if one.get("required") and place not in given:
                yield f"the {place[0]} parameter {place[1]} is missing"
        yield from self._request_body(operation, exchange)

    def _request_body(self, operation: Operation, exchange: Exchange) -> Iterator[str]:
        wanted = operation.described.get("requestBody")
        if not exchange.body:
            if wanted is not None and wanted.get("required"):
                yield "the request's body is missing"
            return
        if wanted is None:
            yield "the request has a body, but none is read"
            return
        yield from self._content(wanted["content"], exchange.headers, exchange.body, "request", WHOLE)

    # Answers

    def _answer(self, operation: Operation, exchange: Exchange) -> Iterator[str]:
        responses = operation.described["responses"]
        if str(exchange.status) in responses:
            described = self._resolved(responses[str(exchange.status)])
        elif exchange.status in self._anywhere:
            described = self._components["responses"][self._anywhere[exchange.status]]
        else:
            yield f"the status {exchange.status} is not one of {', '.join(responses)}"
            return
        if "content" in described:
            kind = PART if exchange.status >= 400 else WHOLE  # whatever a refusal says besides
            yield from self._content(described["content"], exchange.answer_headers, exchange.answer, "answer", kind)
        elif exchange.status == 204 and exchange.answer:
            yield "an answer with the status 204 has no body"

    def _content(
        self, described: JSON, headers: Mapping[str, str], body: bytes, which: str, kind: str
    ) -> Iterator[str]:
        content_type = headers.get("content-type", "").partition(";")[0]
        if content_type not in described:
            yield f"the {which}'s content type is {content_type!r}, not {' or '.join(described)}"
            return
        try:
            content = Exchange(method="", path="", status=0, answer=body).answered
        except DecodeError as error:
            yield f"the {which} is no JSON: {error}"
            return
        yield from self._check(described[content_type]["schema"], content, which, kind)

    # Schemas

    def _check(self, schema: JSON, value: Any, where: str, kind: str = WHOLE) -> Iterator[str]:
        """Schemas belong to the description, which lives as long as this: each is converted once."""
        if id(schema) not in self._validators:
            self._validators[id(schema)] = Draft202012Validator(
                self._converted(schema, kind), registry=self._registry, format_checker=_formats
            )
        for error in self._validators[id(schema)].iter_errors(value):
            worst = best_match([error])
            yield f"{where}{worst.json_path[1:]}: {_short(worst.message)}"

    def _resolved(self, node: JSON) -> JSON:
        while "$ref" in node:
            _, _, kind, name = node["$ref"].split("/")
            node = self._components[kind][name]
        return node

    def _component(self, uri: str) -> Resource[Any]:
        kind, _, name = uri.partition(":")
        contents = self._converted(self._components["schemas"][name], kind)
        return Resource(contents=contents, specification=DRAFT202012)

    def _converted(self, schema: JSON, kind: str) -> JSON:
        """In JSON Schema 2020-12, which has no `nullable`; of a WHOLE value, not of a PART that others complete."""
        if "$ref" in schema:
            return {"$ref": f"{kind}:{schema['$ref'].rpartition('/')[2]}"}
        converted = {key: value for key, value in schema.items() if key not in {"nullable", "example", "examples"}}
        if "properties" in schema:
            converted["properties"] = {name: self._converted(one, WHOLE) for name, one in schema["properties"].items()}
        for keyword in ("items", "additionalProperties"):
            if isinstance(schema.get(keyword), dict):
                converted[keyword] = self._converted(schema[keyword], WHOLE)
        combined = [keyword for keyword in _COMBINATIONS if keyword in schema]
        for keyword in combined:
            converted[keyword] = [self._converted(one, PART) for one in schema[keyword]]
        if kind == WHOLE and self._describes_properties(schema) and "additionalProperties" not in schema:
            converted["unevaluatedProperties" if combined else "additionalProperties"] = False
        return {"anyOf": [{"type": "null"}, converted]} if schema.get("nullable") else converted

    def _describes_properties(self, schema: JSON) -> bool:
        found = self._resolved(schema)
        parts = (part for keyword in _COMBINATIONS for part in found.get(keyword, []))
        return "properties" in found or any(self._describes_properties(part) for part in parts)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\?\{(\w+)\\?\}", r"(?P<\1>[^/]+)", re.escape(template).replace(r"\-", "-")))


def _typed(value: str, schema: JSON) -> Any:
    """A parameter is written as text; what it is to be read as, the schema says."""
    return int(value) if schema.get("type") == "integer" and value.isdecimal() else value


def _short(message: str) -> str:
    """Its end: an object that is not as it should be comes first, as a whole."""
    return message if len(message) <= LONGEST_MESSAGE else f"…{message[-LONGEST_MESSAGE:]}"
