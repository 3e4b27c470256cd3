"""What a document owes to people: recorded with the change that causes it, delivered later, at least once.

Pure, like the pipeline it serves. A run and a target owe in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from shared.core.run import Lease, Notified, Run
from shared.core.target import Target

D = TypeVar("D", Run, Target)

COMMENT, N8N, DEPLOYMENT, ANALYSIS, REPORT = "comment", "n8n", "deployment", "analysis", "report"
CHANNELS: dict[str, tuple[str, ...]] = {
    "started": (COMMENT,),
    "queued": (COMMENT,),
    "merged": (COMMENT,),
    "deploying": (COMMENT, DEPLOYMENT),
    "live": (COMMENT,),
    "needs_approval": (COMMENT, N8N),
    "rolling_back": (COMMENT, DEPLOYMENT),
    "succeeded": (COMMENT, DEPLOYMENT, N8N),
    "failed": (COMMENT, DEPLOYMENT, N8N, ANALYSIS),
    "unverified": (COMMENT, DEPLOYMENT, N8N),
    "rolled_back": (COMMENT, DEPLOYMENT, N8N, ANALYSIS),
    "rollback_failed": (COMMENT, DEPLOYMENT, N8N, ANALYSIS),
    "superseded": (COMMENT, DEPLOYMENT, N8N),
    "cancelled": (COMMENT, DEPLOYMENT, N8N),
    "held_back": (COMMENT, DEPLOYMENT, N8N),
    "nothing_to_deploy": (COMMENT, DEPLOYMENT),
    "health_lost": (N8N,),
    "health_regained": (N8N,),
    "drifted": (N8N,),
    "drift_ended": (N8N,),
    "merge_unread": (N8N,),
    "repository_renamed": (N8N,),
    "repository_replaced": (N8N,),
    "webhooks_lost": (N8N,),
    "webhooks_regained": (N8N,),
    "secret_expiring": (N8N,),
    "pull_request": (ANALYSIS,),
    "weekly_report": (REPORT,),
}
"""Every event people are notified of, and where."""

GIVE_UP_AFTER = 100
"""Tries without one delivery before what is owed is given up: about a day, at the longest pause between tries."""
LONGEST_PAUSE = timedelta(minutes=15)
LEASE = timedelta(seconds=60)
SENT = "sent"
KEPT = 60
"""How many notifications a document remembers to have told: more than one run has, and a target's latest."""


class Notice(Struct, frozen=True):
    """A notification about an event, by one channel.

    `occurrence` tells events of the same name apart: the attempt of a run, a time, or what it is about. Documents and
    payloads hold it as text, `event@occurrence:channel`, which is written and read here alone.
    """

    event: str
    occurrence: str = ""
    channel: str = ""

    @classmethod
    def read(cls, key: str) -> Notice:
        name, _, channel = key.rpartition(":")
        event, _, occurrence = name.partition("@")
        return cls(event, occurrence, channel)

    @property
    def name(self) -> str:
        """The event and its occurrence: the same in every channel."""
        return f"{self.event}@{self.occurrence}" if self.occurrence else self.event

    def __str__(self) -> str:
        return f"{self.name}:{self.channel}"


Results = Mapping[Notice, str | None]
"""What became of each delivery tried: why it ended (`sent`, or why not), or None to try again later."""


def at_time(moment: datetime) -> str:
    """The occurrence of an event that happens at a time."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def notices_of(event: str, occurrence: str = "") -> list[Notice]:
    """One for each channel of the event."""
    return [Notice(event, occurrence, channel) for channel in CHANNELS[event]]


def owed_by(document: Run | Target) -> list[Notice]:
    return [Notice.read(key) for key in document.owed]


def owe(document: D, event: str, now: datetime, occurrence: str = "") -> D:
    """Record that people are to be notified of an event; once owed or sent, it is not owed again."""
    keys = [str(notice) for notice in notices_of(event, occurrence)]
    missing: tuple[str, ...] = tuple(key for key in keys if key not in document.owed and key not in document.notified)
    if not missing:
        return document
    return scheduled(replace(document, owed=(*document.owed, *missing), notify_due=now))


def scheduled(document: D) -> D:
    """With `wake_at` as the earliest of what is due."""
    due = [document.notify_due, document.stage_due if isinstance(document, Run) else None]
    return replace(document, wake_at=min((at for at in due if at is not None), default=None))


def claim(document: D, owner: str, now: datetime, lasting: timedelta = LEASE) -> D | None:
    """Lease the deliveries to one worker; None while another has them."""
    lease = document.notify_lease
    if lease is not None and lease.until > now and lease.owner != owner:
        return None
    until = now + lasting
    return scheduled(replace(document, notify_lease=Lease(owner, until), notify_due=until))


def settle(document: D, results: Results, now: datetime, owner: str | None = None) -> D:
    """Record what became of each delivery tried.

    What was owed meanwhile stays owed. After GIVE_UP_AFTER tries without a delivery the rest is given up, and says so.
    Where another worker than `owner` has the lease by now, that one keeps it, and sees to the rest.
    """
    tried = {str(notice): outcome for notice, outcome in results.items()}
    ended = {key: outcome for key, outcome in tried.items() if outcome is not None}
    if owner is not None and document.notify_lease is not None and document.notify_lease.owner != owner:
        return _settled_late(document, ended, now)
    attempts = 0 if ended else document.notify_attempts + 1
    if attempts >= GIVE_UP_AFTER:
        ended = dict.fromkeys(tried, f"given up after {attempts} tries")
    left = tuple(key for key in document.owed if key not in ended)
    fresh = any(key not in tried for key in left)
    pause = min(LONGEST_PAUSE, timedelta(seconds=15) * 2 ** min(attempts, 10))
    settled = replace(
        document,
        owed=left,
        notified=_with(document, ended, now),
        notify_lease=None,
        notify_attempts=attempts if left else 0,
        notify_due=None if not left else now if fresh else now + pause,
    )
    return scheduled(settled)


def _settled_late(document: D, ended: Mapping[str, str], now: datetime) -> D:
    left = tuple(key for key in document.owed if key not in ended)
    due = document.notify_due if left else None
    return scheduled(replace(document, owed=left, notified=_with(document, ended, now), notify_due=due))


def _with(document: Run | Target, ended: Mapping[str, str], now: datetime) -> dict[str, Notified]:
    return _latest({**document.notified, **{key: Notified(now, outcome) for key, outcome in ended.items()}})


def _latest(notified: dict[str, Notified]) -> dict[str, Notified]:
    if len(notified) <= KEPT:
        return notified
    return dict(sorted(notified.items(), key=lambda item: item[1].at)[-KEPT:])
