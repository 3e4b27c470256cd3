"""Which weeks are reported, and the event that each report is owed under."""

from __future__ import annotations

from datetime import datetime, timedelta

EVENT = "weekly_report"
WEEK = timedelta(days=7)
HOUR = 8
"""Of Monday, UTC: when a week ends."""


def latest_end(now: datetime) -> datetime:
    """When the week ended that ended last."""
    monday = now.replace(hour=HOUR, minute=0, second=0, microsecond=0) - timedelta(days=now.weekday())
    return monday if monday <= now else monday - WEEK
