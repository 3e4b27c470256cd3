"""Structured logs: one JSON object per line, as Cloud Logging reads it, with the run it belongs to and no secrets.

    with log.context(run_id=run.id, stage=run.stage, deployment_id=run.watched_deployment):
        log.info("claimed", attempt=3)

Messages, fields and stack traces are redacted, those of libraries that log through the root logger too.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, TextIO

import msgspec

from shared.errors import ConfigError
from shared.runtime.escaping import json_text
from shared.runtime.redaction import MASK, names_secret, redact
from shared.runtime.settings import Settings

_logger = logging.getLogger("signalbox")
_context: ContextVar[Mapping[str, Any]] = ContextVar("signalbox_log_context", default=MappingProxyType({}))
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_SEVERITIES = {level: name for name, level in _LEVELS.items()}


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Log to `stream` (standard error) from now on, instead of where an earlier call said. Raises ConfigError."""
    level = _LEVELS.get(settings.signalbox_log_level.upper())
    if level is None:
        raise ConfigError(f"environment variable SIGNALBOX_LOG_LEVEL: not one of {', '.join(_LEVELS)}")
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(formatter(settings.google_cloud_project))
    root = logging.getLogger()
    for earlier in [h for h in root.handlers if isinstance(h, _Handler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    _logger.setLevel(level)


def formatter(project: str = "") -> logging.Formatter:
    """What makes the lines; with a Google Cloud project, those of a run form one trace there."""
    return _Formatter(project)


@contextmanager
def context(**fields: Any) -> Iterator[None]:
    """Add these fields to everything logged inside, also by tasks that are started there; None adds nothing."""
    token = _context.set({**_context.get(), **_given(fields)})
    try:
        yield
    finally:
        _context.reset(token)


def debug(message: str, /, **fields: Any) -> None:
    _log(logging.DEBUG, message, None, fields)


def info(message: str, /, **fields: Any) -> None:
    _log(logging.INFO, message, None, fields)


def warning(message: str, /, *, error: BaseException | None = None, **fields: Any) -> None:
    """`error`: logged with its stack and its causes."""
    _log(logging.WARNING, message, error, fields)


def error(message: str, /, *, error: BaseException | None = None, **fields: Any) -> None:
    """`error`: logged with its stack and its causes."""
    _log(logging.ERROR, message, error, fields)


def exception(message: str, /, **fields: Any) -> None:
    """An error with the exception that is being handled."""
    _log(logging.ERROR, message, sys.exc_info()[1], fields)


def critical(message: str, /, *, error: BaseException | None = None, **fields: Any) -> None:
    """`error`: logged with its stack and its causes."""
    _log(logging.CRITICAL, message, error, fields)


def trace_id(run_id: str) -> str:
    """The run's trace: the same in every function and on every attempt."""
    return hashlib.sha256(run_id.encode()).hexdigest()[:32]


def _log(level: int, message: str, error: BaseException | None, fields: Mapping[str, Any]) -> None:
    if _logger.isEnabledFor(level):
        # The message is an argument, so that a percent sign in it is not taken for a placeholder.
        _logger.log(level, "%s", message, exc_info=error, extra={"fields": _given(fields)}, stacklevel=3)


LONGEST_TRACE = 16_384
"""Characters of a stack trace, of which Error Reporting needs the whole."""


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Says that a record was lost. logging's own would show its arguments, which no one has redacted."""
        kind = type(sys.exc_info()[1]).__name__
        sys.stderr.write(f'{{"severity": "ERROR", "message": "a record of {record.name} was not logged: {kind}"}}\n')


class _Formatter(logging.Formatter):
    def __init__(self, project: str) -> None:
        super().__init__()
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        """Our own keys win over a field of the same name."""
        fields = _clean_mapping({**_context.get(), **getattr(record, "fields", {})})
        own = {
            "severity": _SEVERITIES.get(record.levelno, "DEFAULT"),
            "message": redact(record.getMessage()),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "logger": record.name,
        }
        line = {**fields, **own, **self._correlation(fields), **_exception(record)}
        return json_text(msgspec.json.encode(line).decode())

    def _correlation(self, fields: Mapping[str, Any]) -> dict[str, str]:
        run_id = fields.get("run_id")
        if not isinstance(run_id, str):
            return {}
        if not self._project:
            return {"correlation_id": run_id}
        trace = f"projects/{self._project}/traces/{trace_id(run_id)}"
        return {"correlation_id": run_id, "logging.googleapis.com/trace": trace}


def _exception(record: logging.LogRecord) -> dict[str, str]:
    """What Error Reporting groups by: the stack under `stack_trace`."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return {}
    return {"error": _summary(error), "stack_trace": redact("".join(traceback.format_exception(error)), LONGEST_TRACE)}


def _summary(error: BaseException) -> str:
    return redact(f"{type(error).__name__}: {error}".removesuffix(": "))


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _clean_mapping(fields: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        redact(str(name)): MASK if names_secret(str(name)) and value else _clean(value)
        for name, value in fields.items()
    }


def _clean(value: Any) -> Any:
    """The value as JSON can hold it, every text in it redacted."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, msgspec.Struct):
        return _clean_mapping(msgspec.structs.asdict(value))
    if isinstance(value, Mapping):
        return _clean_mapping(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return _summary(value) if isinstance(value, BaseException) else redact(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.isoformat() if isinstance(value, datetime) else str(value)
