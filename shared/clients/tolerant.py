"""Reading a vendor's answer: what cannot be read in a list is left out, and the rest goes on.

GraphQL allows null among the entries of nearly every list (GitHub's schema: `nodes: [CheckRun]`), and vendors add kinds
of entries that no one announced. One of them must not hide all the others. So this is done once, for every list of
every answer, by the answer's type: no one has to think of it where a list is declared.

A list whose entries may be None (`list[Check | None]`) keeps a None in the place of what cannot be read, for whoever
has to count it: to the gate, a check that cannot be read is one that has not passed.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec.structs import fields

from shared.runtime import log
from shared.runtime.unreadable import UNREADABLE

T = TypeVar("T")
_LISTS = (list, tuple, set, frozenset)


def decode(content: bytes | msgspec.Raw, type: type[T], *, about: str) -> T:
    """The JSON as `type`; `about` names the answer in the log. Raises what UNREADABLE holds.

    An answer in which all can be read costs nothing more than msgspec's own decoding.
    """
    try:
        return msgspec.json.decode(content, type=type)
    except msgspec.ValidationError as error:
        kept = _without_unreadable(content, type, about)
        if kept is None:
            raise
        try:
            return msgspec.json.decode(kept, type=type)
        except UNREADABLE:
            raise error from None


def _without_unreadable(content: bytes | msgspec.Raw, type: Any, about: str) -> bytes | None:
    """The content without the entries that cannot be read; None when it is not they that are wrong."""
    sieve = _Sieve()
    try:
        kept = msgspec.json.encode(sieve.sift(msgspec.json.decode(content), type, "$"))
    except (*UNREADABLE, ValueError, OverflowError):  # what JSON can hold, but msgspec cannot write
        return None
    for where, reason in sieve.left_out.items():
        log.warning("a part of an answer cannot be read, and is left out", answer=about, part=where, reason=reason)
    return kept if sieve.left_out else None


class _Sieve:
    """Walks an answer beside its type, from the outside in; `left_out`: where, and one of the reasons."""

    def __init__(self) -> None:
        self.left_out: dict[str, str] = {}

    def sift(self, value: Any, kind: Any, where: str) -> Any:
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.sift(value, args[0], where)
        if origin in (Union, types.UnionType):
            return self._any_of(value, args, where)
        if value is None and origin in _LISTS:  # GitHub's lists themselves may be null: `nodes: [CheckRun]`
            self.left_out[where] = "null, where a list is expected"
            return [None] if type(None) in get_args(args[0]) else []
        if isinstance(value, list) and origin in _LISTS and args:
            return list(self._entries(value, args[0], f"{where}[…]"))
        if isinstance(value, dict) and origin is dict:
            return {name: self.sift(one, args[1], f"{where}.…") for name, one in value.items()}
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            known = {field.encode_name: field.type for field in fields(kind)}
            return {
                name: self.sift(one, known[name], f"{where}.{name}") if name in known else one
                for name, one in value.items()
            }
        return value

    def _entries(self, values: list[Any], kind: Any, where: str) -> Iterator[Any]:
        may_be_none = type(None) in get_args(kind)
        for value in values:
            kept = self.sift(value, kind, where)
            reason = _unreadable(kept, kind)
            if reason is None:
                yield kept
                continue
            self.left_out[where] = reason
            if may_be_none:
                yield None

    def _any_of(self, value: Any, kinds: tuple[Any, ...], where: str) -> Any:
        """Of a union, the member that can be read, also one that can once something was left out of it."""
        if value is None:
            return None
        before = dict(self.left_out)
        for kind in (kind for kind in kinds if kind is not type(None)):
            self.left_out = dict(before)
            kept = self.sift(value, kind, where)
            if _unreadable(kept, kind) is None:
                return kept
        self.left_out = before
        return value


def _unreadable(value: Any, kind: Any) -> str | None:
    """Why it is not of that kind."""
    try:
        msgspec.json.decode(msgspec.json.encode(value), type=kind)
    except UNREADABLE as error:
        return str(error)
    return None
