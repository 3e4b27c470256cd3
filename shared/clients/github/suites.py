"""Check suites: what an App has announced of a commit, before and beside the check runs in it.

GitHub opens one for each workflow run of Actions, and on every push one for each other App that may write checks,
whether or not that App will ever report anything (docs: "Using the REST API to interact with checks").
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from shared.core.observed import SuiteState

UNREADABLE_SUITE = "a check suite that GitHub does not show"


class _App(Struct, rename="camel"):
    slug: str = ""
    name: str = ""
    database_id: int | None = None
    client_id: str | None = None


class _CheckRuns(Struct, rename="camel"):
    total_count: int


class Suite(Struct, rename="camel"):
    """As GraphQL shows it."""

    status: str
    conclusion: str | None = None
    created_at: Annotated[datetime, Meta(tz=True)] | None = None
    app: _App | None = None
    check_runs: _CheckRuns | None = None

    def is_of(self, app: str) -> bool:
        """By either id of the App."""
        return self.app is not None and app in {str(self.app.database_id), self.app.client_id}


class _PageInfo(Struct, frozen=True, rename="camel"):
    has_next_page: bool = False
    end_cursor: str | None = None


class CheckSuites(Struct, rename="camel"):
    page_info: _PageInfo = _PageInfo()
    nodes: list[Suite | None] = []


def state_of(suite: Suite | None) -> SuiteState:
    """None: GitHub lists it and does not show it."""
    if suite is None:
        return SuiteState(app=UNREADABLE_SUITE, slug=None, status="unknown")
    return SuiteState(
        app=(suite.app.name or suite.app.slug) if suite.app else "an App that is gone",
        slug=suite.app.slug if suite.app else None,
        status=suite.status.lower(),
        conclusion=suite.conclusion.lower() if suite.conclusion else None,
        check_runs=suite.check_runs.total_count if suite.check_runs else 0,
        created_at=suite.created_at,
    )
