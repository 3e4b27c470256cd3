"""What is shown of a scenario: the lines of its timeline, and what it should come to."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Expectation(Struct, frozen=True):
    """Something the scenario should come to, and whether it did."""

    text: str
    held: bool


class Line(Struct, frozen=True):
    """One line of the timeline: what somebody did (`stage` None), a webhook, a run's history, or who was told."""

    at: datetime
    run_id: str | None
    stage: str | None
    status: str | None
    message: str
    seconds: float | None
    """Since the run's previous entry."""
