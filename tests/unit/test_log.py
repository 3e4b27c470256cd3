"""Logs: one JSON object per line, about the right run, without secrets."""

import asyncio
import hashlib
import io
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Struct

from shared.core.run import Stage
from shared.errors import ConfigError, Unavailable
from shared.runtime import log
from shared.runtime.redaction import MASK, remember
from shared.runtime.settings import Settings

SECRET = "tr0ub4dor-and-3"
SETTINGS = Settings(google_cloud_project="acme-prod", signalbox_log_level="DEBUG")


class Stream(io.StringIO):
    @property
    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.getvalue().split("\n")[:-1]]

    @property
    def line(self) -> dict:
        (line,) = self.lines
        return line


@pytest.fixture(autouse=True)
def _one_known_secret():
    remember(SECRET)


@pytest.fixture
def stream():
    """Logging goes there, and back to how it was."""
    root, ours = logging.getLogger(), logging.getLogger("signalbox")
    handlers, level = root.handlers[:], ours.level
    root.handlers[:] = []
    stream = Stream()
    log.configure(SETTINGS, stream)
    yield stream
    root.handlers[:] = handlers
    ours.setLevel(level)


class Coordinates(Struct):
    place: str
    access_token: str | None = None


# The shape


def test_a_line_is_what_cloud_logging_reads(stream):
    log.info("claimed", attempt=3, ready=True, wait=1.5)

    line = stream.line
    assert abs(datetime.fromisoformat(line.pop("timestamp")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert line == {
        "severity": "INFO",
        "message": "claimed",
        "logger": "signalbox",
        "attempt": 3,
        "ready": True,
        "wait": 1.5,
    }


def test_a_message_is_one_line_whatever_is_in_it(stream):
    log.info('100% of\n"it" \u2028 {x} %s', text="a\nb")

    assert stream.line["message"] == '100% of\n"it" \u2028 {x} %s'
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("severity", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_severities(stream, severity):
    getattr(log, severity.lower())("x")

    assert stream.line["severity"] == severity


def test_a_level_that_is_nobodys_is_default(stream):
    logging.getLogger("signalbox").log(25, "x")

    assert stream.line["severity"] == "DEFAULT"


def test_below_the_configured_level_nothing_is_logged(stream):
    log.configure(Settings(signalbox_log_level="warning"), stream)

    log.debug("x")
    log.info("x")
    log.warning("y")

    assert stream.line["message"] == "y"


def test_an_unknown_level_names_the_variable():
    with pytest.raises(ConfigError, match="SIGNALBOX_LOG_LEVEL"):
        log.configure(Settings(signalbox_log_level="LOUD"))


def test_configuring_again_does_not_log_twice(stream):
    again = Stream()
    log.configure(SETTINGS, again)

    log.info("x")

    assert (stream.lines, again.line["message"]) == ([], "x")


def test_without_a_stream_it_is_standard_error(stream, capsys):
    log.configure(SETTINGS)

    log.info("x")

    assert json.loads(capsys.readouterr().err)["message"] == "x"


def test_our_own_keys_win(stream):
    log.info("real", message="fake", severity="fake", timestamp="fake")

    assert (stream.line["message"], stream.line["severity"]) == ("real", "INFO")


def test_values_that_json_has_not(stream):
    at = datetime(2026, 7, 1, tzinfo=UTC)

    log.info(
        "x",
        at=at,
        stage=Stage.MERGE,
        raw=b"\xffabc",
        many=({"a": 1}, frozenset([2])),
        struct=Coordinates("here"),
        error=None,
        cause=Unavailable("down"),
        odd=timedelta(seconds=3),
        gone=None,
        bad=float("nan"),
    )

    line = stream.line
    assert line["at"] == "2026-07-01T00:00:00+00:00"
    assert line["stage"] == "merge"
    assert line["raw"] == "\ufffdabc"
    assert line["many"] == [{"a": 1}, [2]]
    assert line["struct"] == {"place": "here", "access_token": None}
    assert line["cause"] == "Unavailable: down"
    assert line["odd"] == "0:00:03"
    assert line["bad"] is None
    assert "gone" not in line


# The run


def test_the_context_says_which_run(stream):
    with log.context(run_id="r1", stage=Stage.DEPLOY, deployment_id=None):
        with log.context(deployment_id="d1", target="t1"):
            log.info("inner")
        log.info("outer", stage="other")
    log.info("outside")

    inner, outer, outside = stream.lines
    assert [inner[k] for k in ("run_id", "stage", "deployment_id", "target")] == ["r1", "deploy", "d1", "t1"]
    assert inner["correlation_id"] == "r1"
    trace = hashlib.sha256(b"r1").hexdigest()[:32]
    assert inner["logging.googleapis.com/trace"] == f"projects/acme-prod/traces/{trace}"
    assert (outer["run_id"], outer["stage"], "deployment_id" in outer) == ("r1", "other", False)
    assert not {"run_id", "correlation_id", "logging.googleapis.com/trace"} & outside.keys()


def test_without_a_project_there_is_no_trace(stream):
    log.configure(Settings(), stream)

    log.info("x", run_id="r1")

    assert stream.line["correlation_id"] == "r1"
    assert "logging.googleapis.com/trace" not in stream.line


async def test_runs_handled_at_once_do_not_mix(stream):
    barrier = asyncio.Barrier(2)

    async def handle(run_id: str) -> None:
        with log.context(run_id=run_id):
            await barrier.wait()
            log.info(run_id)

    await asyncio.gather(handle("r1"), handle("r2"))

    assert {line["message"]: line["run_id"] for line in stream.lines} == {"r1": "r1", "r2": "r2"}


def test_the_context_ends_with_an_error(stream):
    with pytest.raises(Unavailable), log.context(run_id="r1"):
        raise Unavailable("x")

    log.info("after")

    assert "run_id" not in stream.line


# Exceptions


def fail(error: Exception) -> None:
    raise error


def fail_with_causes() -> None:
    try:
        try:
            fail(ValueError(f"inner {SECRET}"))
        except ValueError as error:
            raise RuntimeError("Bearer abcdefgh12345678") from error
    except RuntimeError as error:
        note = KeyError(f"ghp_{'a' * 36}")
        note.add_note(f"noted {SECRET}")
        raise ExceptionGroup("several", [note, error]) from error


@pytest.mark.parametrize("severity", ["warning", "error", "critical"])
def test_an_exception_comes_with_its_stack_and_causes(stream, severity):
    try:
        fail_with_causes()
    except ExceptionGroup as error:
        getattr(log, severity)("failed", error=error, attempt=1)

    line = stream.line
    assert line["error"] == "ExceptionGroup: several (2 sub-exceptions)"
    assert line["attempt"] == 1
    for part in ("fail_with_causes", "ValueError: inner", "RuntimeError", "KeyError", "noted"):
        assert part in line["stack_trace"]


def test_the_exception_being_handled(stream):
    try:
        fail(Unavailable(""))
    except Unavailable:
        log.exception("failed", attempt=1)

    assert (stream.line["severity"], stream.line["error"], stream.line["attempt"]) == ("ERROR", "Unavailable", 1)
    assert "Traceback" in stream.line["stack_trace"]


def test_no_exception_no_stack(stream):
    log.exception("failed")
    logging.getLogger("signalbox").error("failed", exc_info=True)

    assert all("stack_trace" not in line for line in stream.lines)


# Leaks

LEAKS = (SECRET, "abcdefgh12345678", "a" * 36, "hunter2")


def leak_by_exception() -> None:
    try:
        fail_with_causes()
    except ExceptionGroup as error:
        log.error(f"failed: {error.exceptions}", error=error, error_text=str(error.exceptions[0]), cause=error)


def leak_by_library() -> None:
    library = logging.getLogger("httpx")
    library.warning("HTTP Request: POST %s %r", "https://x/?token=hunter2", {"secret": SECRET})
    library.warning("%(header)s", {"header": f"X-Webhook-Token: {SECRET}"})
    try:
        fail(OSError(f"postgres://u:hunter2@db {SECRET}"))
    except OSError:
        library.exception("query")


@pytest.mark.parametrize(
    "leak",
    [
        lambda: log.info(f"token is {SECRET}"),
        lambda: log.info("x", text=SECRET, nested={"list": [{"deep": (SECRET,)}], SECRET: 1}),
        lambda: log.info("x", token="hunter2", headers={"X-Webhook-Token": "hunter2", "ok": "yes"}),
        lambda: log.info("x", struct=Coordinates("here", "hunter2"), many=[Coordinates(SECRET)]),
        lambda: log.info("x", raw=SECRET.encode(), bytearray=bytearray(SECRET.encode()), path={SECRET}),
        lambda: log.info("x", cause=Unavailable(f"refused {SECRET}")),
        lambda: log.info("x", **{SECRET: "as a name"}),
        lambda: log.context(run_id=SECRET).__enter__() or log.info("x"),
        leak_by_exception,
        leak_by_library,
    ],
)
def test_no_secret_gets_into_a_line(stream, leak):
    with log.context(target=f"t {SECRET}"):
        leak()

    assert stream.lines
    assert not [secret for secret in LEAKS if secret in stream.getvalue()]
    assert MASK in stream.getvalue()


def test_a_record_that_cannot_be_formatted_shows_nothing_of_itself(stream, capsys, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [h for h in root.handlers if type(h).__module__ == "shared.runtime.log"])

    logging.getLogger("httpx").warning("%d items", SECRET)

    error = json.loads(capsys.readouterr().err)
    assert error == {"severity": "ERROR", "message": "a record of httpx was not logged: TypeError"}
    assert stream.getvalue() == ""
