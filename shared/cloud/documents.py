"""Documents as Firestore holds them: native types, times as timestamps (microseconds), and back, strictly.

The protobuf messages are filled directly: through the client library's own helpers a run of ordinary length took 1.6 ms
to encode, this way 0.2 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from google.cloud.firestore_v1.types import Value

from shared.core.run import Run
from shared.core.target import Target
from shared.errors import Refused
from shared.runtime.ports import Document

D = TypeVar("D", Run, Target)


def encode(document: Document, fields: Any) -> None:
    """Put a document's fields into a protobuf map of values. Raises ValueError for a time without zone."""
    plain: dict[str, Any] = msgspec.to_builtins(document, builtin_types=(datetime,))
    for name, value in plain.items():
        _put(fields[name], value)


def decode(kind: type[D], fields: Mapping[str, Any], id: str) -> D:
    """Raises Refused when it is no such document: another program wrote it, or a newer version of us."""
    try:
        return msgspec.convert({name: _take(value) for name, value in fields.items()}, kind)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:  # the others for times that Python has not
        raise Refused(f"{kind.__name__} {id} cannot be read: {error}") from error


def value_of(plain: Any) -> Any:
    """A protobuf value of a str, int, bool, float, datetime, enum or None."""
    value = Value.pb(Value())
    _put(value, plain if isinstance(plain, datetime) else msgspec.to_builtins(plain))
    return value


def _put(target: Any, value: Any) -> None:  # noqa: C901 - one case per type
    match value:
        case None:
            target.null_value = 0
        case bool():
            target.boolean_value = value
        case int():
            target.integer_value = value
        case float():
            target.double_value = value
        case str():
            target.string_value = value
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"{value} has no time zone")
            target.timestamp_value.FromDatetime(value)
        case dict():
            target.map_value.SetInParent()
            for name, inner in value.items():
                _put(target.map_value.fields[name], inner)
        case _:
            target.array_value.SetInParent()
            for inner in value:
                _put(target.array_value.values.add(), inner)


def _take(value: Any) -> Any:
    held = value.WhichOneof("value_type")
    match held:
        case "null_value" | None:
            return None
        case "timestamp_value":
            return value.timestamp_value.ToDatetime(tzinfo=UTC)
        case "map_value":
            return {name: _take(inner) for name, inner in value.map_value.fields.items()}
        case "array_value":
            return [_take(inner) for inner in value.array_value.values]
        case _:
            return getattr(value, held)
