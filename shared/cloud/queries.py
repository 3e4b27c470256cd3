"""The Store's queries in Firestore's words.

Firestore sorts nulls before everything else, so a query that does not compare its order's field asks that it be there.
Source: firebase.google.com/docs/firestore/query-data/order-limit-data and /manage-data/data-types#value_type_ordering.
"""

from __future__ import annotations

import re
from typing import Any

from google.cloud.firestore_v1.types import Cursor, StructuredQuery, Value

from shared.cloud.documents import value_of
from shared.cloud.indexes import COLLECTIONS
from shared.runtime.ports import Condition, D, Document, Query

_FieldFilter = StructuredQuery.FieldFilter
_UnaryFilter = StructuredQuery.UnaryFilter
_OPERATORS = {
    "==": _FieldFilter.Operator.EQUAL,
    "<": _FieldFilter.Operator.LESS_THAN,
    "<=": _FieldFilter.Operator.LESS_THAN_OR_EQUAL,
    ">": _FieldFilter.Operator.GREATER_THAN,
    ">=": _FieldFilter.Operator.GREATER_THAN_OR_EQUAL,
}
_FIELD = re.compile(r"[a-z_]+(\.[a-z_]+)*")


def build(query: Query[D], *, limit: int, after: Cursor | None) -> StructuredQuery:
    """`after`: `behind` the last document of the page before. Raises ValueError for an unknown field."""
    kind, order_by = query.kind, query.order_by
    direction = StructuredQuery.Direction.DESCENDING if query.descending else StructuredQuery.Direction.ASCENDING
    filters = [_filter(kind, condition) for condition in query.where]
    if all(field != order_by for field, _, _ in query.where):
        filters.append(_unary(_field(kind, order_by), _UnaryFilter.Operator.IS_NOT_NULL))
    return StructuredQuery(
        from_=[StructuredQuery.CollectionSelector(collection_id=COLLECTIONS[kind])],
        where=StructuredQuery.Filter(
            composite_filter=StructuredQuery.CompositeFilter(
                op=StructuredQuery.CompositeFilter.Operator.AND, filters=filters
            )
        ),
        order_by=[
            StructuredQuery.Order(field=_field(kind, field), direction=direction) for field in (order_by, "__name__")
        ],
        start_at=after,
        limit=limit,
    )


def behind(order_by: str, document: Document, name: str) -> Cursor:
    """Just behind a document of this full name: by its value in the order, then by its name."""
    value: Any = document
    for part in order_by.split("."):
        value = getattr(value, part)
    return _cursor(Value.wrap(value_of(value)), name)


def behind_stored(order_by: str, stored: Any) -> Cursor:
    """The same for a document as Firestore has it (`Document.pb`), whether or not it can be read as one of ours."""
    fields = stored.fields
    *outer, last = order_by.split(".")
    for part in outer:
        fields = fields[part].map_value.fields
    return _cursor(Value.wrap(fields[last]), stored.name)


def _cursor(value: Value, name: str) -> Cursor:
    return Cursor(values=[value, Value(reference_value=name)], before=False)


def _filter(kind: type[Document], condition: Condition) -> StructuredQuery.Filter:
    name, comparison, value = condition
    field = _field(kind, name)
    if comparison not in _OPERATORS or (value is None and comparison != "=="):
        raise ValueError(f"cannot compare {name} {comparison} {value!r}")
    if value is None:
        return _unary(field, _UnaryFilter.Operator.IS_NULL)
    return StructuredQuery.Filter(
        field_filter=_FieldFilter(field=field, op=_OPERATORS[comparison], value=Value.wrap(value_of(value)))
    )


def _unary(field: StructuredQuery.FieldReference, op: Any) -> StructuredQuery.Filter:
    return StructuredQuery.Filter(unary_filter=_UnaryFilter(field=field, op=op))


def _field(kind: type[Document], name: str) -> StructuredQuery.FieldReference:
    known = _FIELD.fullmatch(name) and name.partition(".")[0] in (*kind.__struct_fields__, "__name__")
    if not known:
        raise ValueError(f"{kind.__name__} has no field {name!r}")
    return StructuredQuery.FieldReference(field_path=name)
