"""What a stage can say of a run, and the message that wakes the next one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from shared.core.reasons import Reason


class Message(Struct, frozen=True):
    """What travels between functions: which run (or target) is to be looked at, and by which stage (also its topic)."""

    stage: str
    run_id: str | None = None
    target_id: str | None = None


class Advance(Struct, frozen=True):
    """The stage is done."""

    message: str
    changes: Mapping[str, Any] = {}


class Wait(Struct, frozen=True, kw_only=True):
    """Not yet: look again in `wake_in` seconds at the latest. `otherwise` is what it means when time runs out."""

    message: str
    wake_in: float
    otherwise: Reason
    changes: Mapping[str, Any] = {}
    tell: str | None = None
    """An event people are notified about, once."""
    suspends: bool = False
    """The stage's time stands still: it waits for a person, or for builds that Railway has paused."""


class Fail(Struct, frozen=True):
    """The stage cannot be done. `message` ends up in front of people."""

    code: Reason
    message: str
    log_tail: tuple[str, ...] = ()
    changes: Mapping[str, Any] = {}


class NotDeployed(Struct, frozen=True):
    """Nothing is to be deployed, and nothing failed. `message` ends up in front of people."""

    code: Reason
    message: str
    changes: Mapping[str, Any] = {}


class Retry(Struct, frozen=True):
    """Something passing went wrong; the shell makes this of a TransientError or an unexpected one."""

    message: str
    retry_after: float | None = None


class Rejected(Struct, frozen=True):
    """A vendor refused what the stage asked of it. One refusal is no verdict: `code` is what it means once it lasts."""

    message: str
    code: Reason = Reason.VENDOR_REFUSED


class Enqueue(Struct, frozen=True):
    """The target is not to be had now: the run stands in its queue."""

    message: str
    otherwise: Reason


Outcome = Advance | Wait | Fail | NotDeployed | Retry | Rejected | Enqueue
