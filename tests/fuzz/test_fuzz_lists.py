"""In every list of every answer that a client reads, what cannot be read is left out, and the rest is read as it was.

The answer types are found, not listed: a list that somebody declares tomorrow is tried too.
"""

import importlib
import inspect
import json
import pkgutil
import types
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from fuzz.inputs import fuzzed
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

import local.n8n.api
import shared.clients
from shared.clients import tolerant
from shared.clients.answers import Rule

LISTS = (list, tuple, set, frozenset)
TEXTS = {"^[!-~]+$": "ghs_token"}
"""Of the patterns that answers have, a text of each."""
NO_ANSWERS = {Rule}
"""Structs of the clients that are never read from JSON."""
JUNK = (None, 7, "x", [[]], {}, {"node": None}, {"__typename": "SomethingNew"}, True, {"id": {}})


def modules() -> Iterator[types.ModuleType]:
    for found in pkgutil.walk_packages(shared.clients.__path__, "shared.clients."):
        yield importlib.import_module(found.name)
    yield local.n8n.api


def answers() -> list[type[msgspec.Struct]]:
    """Every struct that a client's module defines and that has a list somewhere inside."""
    found = [
        kind
        for module in modules()
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__ and has_list(kind)
        if kind not in NO_ANSWERS
    ]
    return sorted(set(found), key=lambda kind: (kind.__module__, kind.__name__))


def has_list(kind: Any) -> bool:
    if get_origin(kind) in LISTS:
        return True
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return any(has_list(field.type) for field in fields(kind))
    return any(has_list(inner) for inner in get_args(kind) if inner is not Ellipsis)


def written(value: Any) -> bytes:
    """As msgspec writes it, since what is kept raw is compared byte for byte."""
    return json.dumps(value, separators=(",", ":")).encode()


def readable(value: Any, kind: Any) -> bool:
    try:
        msgspec.json.decode(json.dumps(value).encode(), type=kind)
    except msgspec.DecodeError:
        return False
    return True


@st.composite
def pairs(draw: st.DrawFn, kind: Any) -> tuple[Any, Any]:
    """An answer of this type with things in its lists that cannot be read, and the same without."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        patterns = [meta.pattern for meta in args[1:] if isinstance(meta, msgspec.Meta) and meta.pattern]
        return (TEXTS[patterns[0]],) * 2 if patterns else draw(pairs(args[0]))
    if origin in (Union, types.UnionType):
        return draw(pairs(draw(st.sampled_from(args))))
    if origin is Literal:
        return (draw(st.sampled_from(args)),) * 2
    if origin in LISTS:
        return draw(lists(args[0]))
    if origin is dict:
        one = draw(pairs(args[1]))
        return {"name": one[0]}, {"name": one[1]}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return draw(structs(kind))
    plain: dict[Any, Any] = {str: "text", int: 3, float: 1.5, bool: True, type(None): None, Any: {"x": [None]}}
    plain |= {datetime: datetime(2026, 11, 25, tzinfo=UTC).isoformat(), msgspec.Raw: {"x": [None]}}
    return (plain[kind],) * 2


@st.composite
def structs(draw: st.DrawFn, kind: type[msgspec.Struct]) -> tuple[Any, Any]:
    found = [(field.encode_name, draw(pairs(field.type))) for field in fields(kind)]
    config = kind.__struct_config__
    tag = {config.tag_field: config.tag} if config.tag_field else {}
    return tag | {name: one for name, (one, _) in found}, tag | {name: other for name, (_, other) in found}


@st.composite
def lists(draw: st.DrawFn, kind: Any) -> tuple[list[Any], list[Any]]:
    junk = [one for one in JUNK if not readable(one, kind)]
    spoiled, clean = [], []
    for is_junk in draw(st.lists(st.booleans(), max_size=4)):
        if is_junk and junk:
            spoiled.append(draw(st.sampled_from(junk)))
            clean += [None] * (type(None) in get_args(kind))
        else:
            one, other = draw(pairs(kind))
            spoiled.append(one)
            clean.append(other)
    return spoiled, clean


@pytest.mark.parametrize("kind", answers(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
@fuzzed(40)
@given(data=st.data())
def test_what_cannot_be_read_in_a_list_is_left_out(kind: Any, data: st.DataObject) -> None:
    # given an answer with some junk in its lists
    spoiled, clean = data.draw(pairs(kind))

    # when it is read
    read = tolerant.decode(written(spoiled), kind, about="a test")

    # then it is the answer without the junk
    assert read == msgspec.json.decode(written(clean), type=kind)


def test_the_answers_that_matter_most_are_among_them() -> None:
    names = {kind.__name__ for kind in answers()}
    assert {"PullRequestAnswer", "ActivityAnswer", "LabellingAnswer", "Page", "Service", "_Rule", "App"} <= names


def test_nothing_else_than_a_list_is_forgiving() -> None:
    with pytest.raises(msgspec.ValidationError, match="name"):
        tolerant.decode(
            b'{"name": null, "environments": {"edges": [null]}}', shared.clients.railway.wire.Project, about=""
        )
