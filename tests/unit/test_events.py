"""Events survive the way through the queue; junk is refused as such."""

import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from functions.webhooks import payload
from shared.core.events import (
    ChecksReported,
    CommentWritten,
    DeploymentChanged,
    Event,
    PullRequestChanged,
    PullRequestMerged,
    PullRequestOpened,
)
from shared.errors import BadInput
from shared.runtime import envelope


def numbers_of(kind: type[Event]) -> dict[str, st.SearchStrategy[int]]:
    """msgspec's bounds are none that hypothesis knows."""
    return {name: st.integers(1, 2**63 - 1) for name in ("number", "comment_id") if name in kind.__struct_fields__}


def texts_of(kind):
    patterns = {"name": r"\A[A-Za-z0-9_-]{1,255}\Z", "made_on": r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z"}
    return {field: st.from_regex(patterns[field]) for field in patterns if field in kind.__struct_fields__}


some_events = st.one_of(*(st.builds(kind, **numbers_of(kind), **texts_of(kind)) for kind in typing.get_args(Event)))

TOO_DEEP = b'{"type":"checks_reported","repository":"acme/shop","more":' + b"[" * 100_000


@given(some_events)
def test_what_is_sent_arrives(event):
    assert envelope.decode_event(envelope.encode_event(event)) == event


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (PullRequestMerged(repository="acme/shop", number=42), "pull_request_merged"),
        (PullRequestChanged(repository="acme/shop", number=42), "pull_request_changed"),
        (PullRequestOpened(repository="acme/shop", number=42), "pull_request_opened"),
        (ChecksReported(repository="acme/shop", head_sha="1" * 40), "checks_reported"),
        (
            CommentWritten(repository="acme/shop", number=42, comment_id=7, author="mona", body="/deploy", url=""),
            "comment_written",
        ),
        (
            DeploymentChanged(environment_id="e", service_id="s", deployment_id="d", event="deployment.deployed"),
            "deployment_changed",
        ),
    ],
)
def test_the_names_on_the_wire_stay(event, kind):
    """A message of the version before this one may still be in the queue."""
    assert msgspec.json.decode(envelope.encode_event(event))["type"] == kind


def test_fields_of_a_later_version_are_passed_over():
    later = b'{"type":"checks_reported","repository":"acme/shop","head_sha":"1","more":{"a":[1]}}'

    assert envelope.decode_event(later) == ChecksReported(repository="acme/shop", head_sha="1")


@given(st.binary())
def test_junk_is_bad_input(data):
    with pytest.raises(BadInput, match="not an event"):
        envelope.decode_event(data)


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=20))
def test_json_that_is_no_event_is_bad_input(value):
    with pytest.raises(BadInput):
        envelope.decode_event(msgspec.json.encode(value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"type":"rejoiced"}',
        b'{"type":"checks_reported","repository":"acme/shop"}',
        b'{"type":"pull_request_merged","repository":"acme/shop","number":"42"}',
        b'{"type":"pull_request_merged","repository":"acme/shop","number":' + b"9" * 5000 + b"}",
        b'{"type":"checks_reported","repository":"\xff","head_sha":"1"}',
        TOO_DEEP,
    ],
    ids=["empty", "bare", "unknown", "incomplete", "mistyped", "huge number", "not utf-8", "too deep"],
)
def test_what_cannot_be_used_is_bad_input(data):
    with pytest.raises(BadInput):
        envelope.decode_event(data)


class Inner(Struct):
    id: int


class Outer(Struct):
    inner: Inner
    name: str = ""


class TestParse:
    def test_the_body_as_a_struct(self):
        assert payload.parse(b'{"inner":{"id":1},"more":2}', Outer) == Outer(inner=Inner(id=1))

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (b"{}", "inner"),
            (b'{"inner":{}}', "inner.id"),
            (b'{"inner":{"id":"1"}}', "inner.id"),
            (b'{"inner":null}', "inner"),
            (b'{"inner":{"id":1},"name":3}', "name"),
            (b"[]", ""),
            (b"nonsense", ""),
            (b"", ""),
            (b'{"more":' + b"[" * 100_000, ""),
        ],
    )
    def test_the_field_is_named(self, body, field):
        with pytest.raises(BadInput) as caught:
            payload.parse(body, Outer)

        assert caught.value.field == field
        assert str(caught.value).startswith(f"{field}: " if field else ("body: ", "the body is not JSON"))

    @pytest.mark.parametrize(("body", "field"), [(b"{}", "outer.inner"), (b"[]", "outer"), (b"{", "outer")])
    def test_a_part_is_named_with_where_it_stands(self, body, field):
        with pytest.raises(BadInput) as caught:
            payload.parse(body, Outer, "outer")

        assert caught.value.field == field
