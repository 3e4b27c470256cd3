"""What an application says of itself in the body of its health answer. Pure.

A body counts when it is a JSON object; anything else is judged by the HTTP status alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from shared.runtime.redaction import redact
from shared.runtime.unreadable import UNREADABLE

FAILURE_WORDS = frozenset(
    {
        "bad",
        "broken",
        "crashed",
        "critical",
        "dead",
        "down",
        "error",
        "errored",
        "fail",
        "failed",
        "failing",
        "failure",
        "fatal",
        "ko",
        "nok",
        "not_healthy",
        "not_ok",
        "offline",
        "out_of_service",
        "outage",
        "unavailable",
        "unhealthy",
    }
)
"""Values of `status` that mean failure, in lower case and with `_` for a space or hyphen.

They are the words of what people use: the health+json draft (fail, error, down), Spring Boot Actuator (DOWN,
OUT_OF_SERVICE), ASP.NET Core (Unhealthy), NestJS Terminus (error), Docker (unhealthy), Consul (critical).
"""
WARNING_WORDS = frozenset({"warn", "warning", "degraded", "impaired", "partial"})
"""The service works, and says that something is not as it should be: it passes, and the word is shown."""
_PLAIN_WORDS = frozenset({"ok", "pass", "passed", "passing", "up", "healthy", "alive", "running", "ready", "success"})
"""Nothing to show."""
DRAFT_MEDIA_TYPE = "application/health+json"
LONGEST_SHOWN = 40
MOST_CHECKS = 500
"""Nested checks that are looked at; a body has at most 64 KiB."""


class Opinion(Struct, frozen=True):
    """Whether the body says that the application is well, and what it says, for people ("" when there is nothing)."""

    healthy: bool
    said: str = ""


class HealthRule(Struct, frozen=True):
    """`health_field` and `health_value` of the policy: healthy means that this field has exactly this value."""

    field: str
    value: str | bool | int | float


def decode(body: bytes) -> Any:
    """The JSON of the body. None where it is not JSON (or is `null`)."""
    try:
        return msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except UNREADABLE:
        return None


def at_path(value: Any, path: str) -> Any:
    """The value at a dotted path of objects; None where there is none."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def judge(value: Any, rule: HealthRule | None, media_type: str = "") -> Opinion:
    """What the decoded body says; the rule alone decides where there is one.

    Without a rule a `status` of FAILURE_WORDS, or `false`, is a failure. So is a nested check that failed, where the
    body has the form of the health+json draft (datatracker.ietf.org/doc/draft-inadarei-api-health-check, section 4:
    `checks` holds lists of objects, each with its own `status`), unless the service sums it up as a warning itself.
    """
    if rule is not None:
        return _by_rule(value, rule)
    status = value.get("status") if isinstance(value, dict) else None
    if isinstance(status, dict):  # Spring Boot's Status, serialized as a bean: {"code": "DOWN", "description": ""}
        status = status.get("code")
    word = _word(status)
    if status is False or word in FAILURE_WORDS:
        nested = next(_failed_checks(value, media_type), None)
        return Opinion(False, f"status {_shown(status)}" + (f", check {nested}" if nested else ""))
    if word in WARNING_WORDS:
        return Opinion(True, f"status {_shown(status)}")
    failed = next(_failed_checks(value, media_type), None) if word else None
    if failed is not None:
        return Opinion(False, f"check {failed}")
    return Opinion(True, f"status {_shown(status)}" if word and word not in _PLAIN_WORDS else "")


def _by_rule(value: Any, rule: HealthRule) -> Opinion:
    found = at_path(value, rule.field)
    if found is None:
        return Opinion(False, f"without a field {rule.field}")
    if _same(found, rule.value):
        return Opinion(True)
    return Opinion(False, f"{rule.field} is {_shown(found)}, not {_shown(rule.value)}")


def _same(found: Any, wanted: str | bool | int | float) -> bool:
    """Exactly: `true` is not 1, and "1" is neither."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return isinstance(found, str) == isinstance(wanted, str) and found == wanted


def _failed_checks(value: Any, media_type: str) -> Iterator[str]:
    """The nested checks that say they failed, each with its word, where the body has the draft's form."""
    checks = value.get("checks") if isinstance(value, dict) else None
    if not isinstance(checks, dict):
        return
    said_so = media_type.partition(";")[0].strip().lower() == DRAFT_MEDIA_TYPE
    left = MOST_CHECKS
    for name, entries in checks.items():
        listed = entries if isinstance(entries, list) else [entries] if said_so else []
        for entry in listed[:left]:
            status = entry.get("status") if isinstance(entry, dict) else None
            if _word(status) in FAILURE_WORDS:
                yield f"{_shown(name)} is {_shown(status)}"
        left = max(0, left - len(listed))


def _word(status: Any) -> str:
    return status.strip().lower().replace(" ", "_").replace("-", "_") if isinstance(status, str) else ""


def _shown(value: Any) -> str:
    """Other people's words in our texts: masked, on one line, and short."""
    if isinstance(value, str):
        return redact(" ".join(value.split()))[:LONGEST_SHOWN]
    if value is None or isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()[:LONGEST_SHOWN]
    return "an object" if isinstance(value, dict) else "a list"
