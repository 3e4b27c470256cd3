"""What an application says of itself in its health answer."""

from typing import Any

import pytest

from shared.clients.health_body import HealthRule, decode, judge

DRAFT = "application/health+json; charset=utf-8"


def draft(status: str, *components: str) -> dict[str, Any]:
    return {"status": status, "checks": {"db:responseTime": [{"status": one} for one in components]}}


@pytest.mark.parametrize(
    "word",
    [
        *(
            "unhealthy",
            "Unhealthy",
            "fail",
            "failed",
            "FAILING",
            "down",
            "DOWN",
            "error",
            " critical ",
            "OUT_OF_SERVICE",
        ),
        *("not-ok", "not healthy", "dead", "unavailable", "offline", "fatal"),
    ],
)
def test_a_word_of_failure_is_a_failure(word: str) -> None:
    opinion = judge({"status": word}, None)

    assert (opinion.healthy, opinion.said) == (False, f"status {word.strip()}")


def test_a_status_with_a_code_is_judged_by_the_code() -> None:
    assert judge({"status": {"code": "DOWN", "description": ""}}, None).said == "status DOWN"
    assert judge({"status": {"code": "UP", "description": ""}}, None).healthy


def test_a_status_that_is_false_is_a_failure() -> None:
    assert judge({"status": False}, None).said == "status false"


@pytest.mark.parametrize("word", ["degraded", "warn", "WARNING", "Degraded"])
def test_a_warning_passes_and_is_shown(word: str) -> None:
    opinion = judge({"status": word}, None)

    assert (opinion.healthy, opinion.said) == (True, f"status {word}")


@pytest.mark.parametrize(
    "value",
    [
        *(None, "unhealthy", ["fail"], 503, {}, {"status": None}, {"status": True}, {"status": 200}),
        *({"status": {"text": "fail"}}, {"state": "fail"}, {"status": "ok"}, {"status": "UP"}, {"status": "pass"}),
    ],
)
def test_anything_else_is_left_to_the_http_status(value: Any) -> None:
    opinion = judge(value, None)

    assert (opinion.healthy, opinion.said) == (True, "")


def test_a_word_that_nobody_knows_passes_and_is_shown() -> None:
    opinion = judge({"status": "warming up"}, None)

    assert (opinion.healthy, opinion.said) == (True, "status warming up")


class TestNestedChecks:
    """draft-inadarei-api-health-check: `checks` holds lists of components, each with a status."""

    def test_one_that_failed_fails_the_whole(self) -> None:
        opinion = judge(draft("pass", "pass", "fail"), None)

        assert (opinion.healthy, opinion.said) == (False, "check db:responseTime is fail")

    def test_the_failed_one_is_named_beside_the_status(self) -> None:
        assert judge(draft("fail", "down"), None).said == "status fail, check db:responseTime is down"

    def test_a_service_that_sums_it_up_as_a_warning_passes(self) -> None:
        assert judge(draft("warn", "fail"), None).healthy

    def test_other_shapes_are_not_the_draft(self) -> None:
        spring = {"status": "UP", "checks": {"mail": {"status": "DOWN"}}}

        assert judge(spring, None, "application/json").healthy
        assert not judge(spring, None, DRAFT).healthy, "unless the media type says that it is"

    @pytest.mark.parametrize("checks", [None, [], "x", {"a": None}, {"a": [None, 3, []]}, {"a": [{}]}])
    def test_checks_of_any_shape_are_read_without_harm(self, checks: Any) -> None:
        assert judge({"status": "pass", "checks": checks}, None, DRAFT).healthy


class TestRule:
    @pytest.mark.parametrize(
        ("found", "wanted", "healthy"),
        [
            *(("green", "green", True), ("Green", "green", False), ("red", "green", False)),
            *((True, True, True), (False, True, False), (1, True, False), (True, 1, False)),
            *((0, 0, True), (0.0, 0, True), ("0", 0, False), (0, "0", False), (None, "x", False), ({}, "x", False)),
        ],
    )
    def test_the_field_has_exactly_the_value(self, found: Any, wanted: Any, healthy: bool) -> None:
        assert judge({"app": {"state": found}}, HealthRule("app.state", wanted)).healthy is healthy

    def test_it_alone_decides(self) -> None:
        rule = HealthRule("ready", True)

        assert judge({"status": "fail", "ready": True}, rule).healthy
        assert not judge({"status": "ok", "ready": False}, rule).healthy

    @pytest.mark.parametrize("value", [None, {}, {"app": "x"}, "green", []])
    def test_an_answer_without_the_field_is_a_failure(self, value: Any) -> None:
        assert judge(value, HealthRule("app.state", "green")).said == "without a field app.state"

    def test_it_says_what_it_found(self) -> None:
        assert judge({"state": "red"}, HealthRule("state", "green")).said == "state is red, not green"


def test_what_is_shown_is_short_masked_and_on_one_line() -> None:
    said = judge({"status": "not known\n\nghp_" + "x" * 30 + " " + "y" * 500}, None).said

    assert "ghp_" not in said
    assert "\n" not in said
    assert len(said) < 60


@pytest.mark.parametrize("body", [b"", b"OK", b"<html>", b"null", b"\xff", b"[" * 100_000, b'{"status": '])
def test_what_is_not_json_says_nothing(body: bytes) -> None:
    assert decode(body) is None


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert decode(b'\xef\xbb\xbf{"status": "fail"}') == {"status": "fail"}
