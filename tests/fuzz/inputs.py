"""What the fuzz tests feed in: real documents with something wrong in them, and odd values from everywhere.

Purely arbitrary bytes are refused at the first byte; what finds things is nearly right.
"""

import copy
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from msgspec import Struct

LONG = os.environ.get("SIGNALBOX_FUZZ") == "long"
"""For hours, and differently each time; otherwise for seconds, and the same in every run."""
DEEP = 3000
"""Deeper than any recursive reader can follow."""
Path = tuple[str | int, ...]
Mutation = Callable[[Any], Any]


def fuzzed(examples: int) -> settings:
    """The settings of a fuzz test, as a decorator; `examples` in the short form."""
    return settings(
        max_examples=examples * 2000 if LONG else examples,
        derandomize=not LONG,
        database=settings.default.database if LONG else None,  # type: ignore[union-attr]
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )


odd_texts = st.sampled_from(
    [
        *("", " ", "\x00", "\n", "a\x00b", "\ud800", "\udfff x", "\u202e", "é", "İ", "²", "٣", "\ufeff"),
        *("/", "..", ".", "__x__", "a/b", "%00", "%ff", "//", "?", "#", "[", "https://[::1", "http://\x7f"),
        *("null", "0", "-1", "1e999", "NaN", "true", "9" * 30, "9" * 5000, "x" * 3000, "𐍈" * 400),
        *("2026-11-22T12:00:00Z", "0001-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
        *("/deploy", "/ ", "<!-- signalbox:run:x -->"),
    ]
)
whole_texts = (odd_texts | st.text(max_size=20)).filter(lambda text: text == text.encode(errors="ignore").decode())
"""Without lone surrogates, which neither UTF-8 nor TOML can hold."""
odd_numbers = st.sampled_from([0, -1, 2, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, -(2**63) - 1, 0.5, 1e308, -0.0])
scalars = st.none() | st.booleans() | odd_numbers | st.integers() | st.floats(allow_nan=False) | odd_texts | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)

command_words = st.sampled_from(
    [
        *("/deploy", "/rollback", "/lock", "/unlock", "/Deploy", "/", "/deploys"),
        *("production", "web/production", "web", "x", "--force", "to", "0000000", "ABCDEF0123", "a" * 41),
        *("--", "-", "\u2028", "\x1c", "because", "<b>", "@grace", "$"),
    ]
)
command_lines = st.lists(command_words | whole_texts, max_size=6).map(" ".join)


def text_of(value: Any) -> bytes:
    """JSON, however deep; lone surrogates as escapes."""
    return json.dumps(value).encode()


def paths_of(value: Any, at: Path = ()) -> list[Path]:
    """Every place in a document, itself included."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    return [at, *(path for key, one in inner for path in paths_of(one, (*at, key)))]


def put(document: Any, path: Path, change: Mutation) -> Any:
    """The document with what is at the path changed; as it was where there is no such path any more."""
    if not path:
        return change(document)
    inner: Any = document
    try:
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = change(inner[path[-1]])
    except (KeyError, IndexError, TypeError):
        pass
    return document


def _without(document: Any, path: Path) -> Any:
    inner: Any = document
    try:
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
    except (KeyError, IndexError, TypeError):
        pass
    return document


@st.composite
def mutated(draw: st.DrawFn, document: Any, read: Sequence[Path] = ()) -> Any:
    """The document with up to three places odd, wrong or missing, most of them among those that are `read`."""
    document = copy.deepcopy(document)
    anywhere = st.sampled_from(paths_of(document))
    places = anywhere | st.sampled_from(read) | st.sampled_from(read) if read else anywhere
    for _ in range(draw(st.integers(0, 3))):
        path = draw(places)
        what = draw(st.sampled_from(["odd", "odd", "other", "gone"]))
        if what == "gone" and path:
            document = _without(document, path)
        elif what == "other":
            value = draw(values)
            document = put(document, path, lambda _, value=value: value)
        else:
            document = put(document, path, lambda old: draw(_odd(old)))
    return document


def _odd(old: Any) -> st.SearchStrategy[Any]:
    """Another value of the same type."""
    match old:
        case bool():
            return st.just(not old)
        case int() | float():
            return odd_numbers
        case str():
            return odd_texts | st.text(max_size=20)
        case list():
            return st.sampled_from([[], old * 2, old[:1] * 150, [old], [None]])
        case dict():
            return st.sampled_from([{}, {"x": old}, {**old, "": None}])
    return scalars


class Spoiling(Struct, frozen=True):
    """What is done to the bytes of a document: nothing, or something that JSON does not allow."""

    name: str
    apply: Callable[[bytes], bytes]

    def __repr__(self) -> str:
        return self.name


spoilings = st.sampled_from(
    [
        *[Spoiling("as it is", bytes)] * 6,
        Spoiling("cut off", lambda body: body[: len(body) // 2]),
        Spoiling("nothing", lambda _: b""),
        Spoiling("with a byte order mark", lambda body: b"\xef\xbb\xbf" + body),
        Spoiling("in UTF-16", lambda body: body.decode().encode("utf-16")),
        Spoiling("with invalid UTF-8", lambda body: body.replace(b'"', b'"\xff\xc0', 3)),
        Spoiling("with invalid UTF-8 at the end", lambda body: body[:-3] + b"\xed\xa0\x80" + body[-3:]),
        Spoiling("with NUL", lambda body: body.replace(b"e", b"\x00", 1)),
        Spoiling("followed by more", lambda body: body + b"{}"),
        Spoiling("with a field twice", lambda body: body.replace(b"{", b'{"action":1,"number":"x",', 1)),
        Spoiling("with every field twice", lambda body: body[:-1] + b"," + body[1:] if body[:1] == b"{" else body),
        Spoiling(
            "within a deep field", lambda body: body.replace(b"{", b'{"deep":' + b"[" * DEEP + b"]" * DEEP + b",", 1)
        ),
        Spoiling("within deep objects", lambda body: b'{"a":' * DEEP + body + b"}" * DEEP),
        Spoiling("with a field too deep to skip", lambda body: b'{"x":' + b"[" * 200_000),
        Spoiling("with a huge number", lambda body: body.replace(b": 1", b": " + b"1" * 6000, 1)),
        Spoiling("with NaN", lambda body: body.replace(b": 1", b": NaN", 1)),
    ]
)


@st.composite
def bodies(draw: st.DrawFn, document: Any, read: Sequence[Path] = ()) -> bytes:
    """The document as bytes, spoiled in one way or another."""
    return draw(spoilings).apply(text_of(draw(mutated(document, read))))
