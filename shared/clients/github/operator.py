"""What people ask of GitHub beside what the functions do: start a workflow, open a pull request, see the rate limits.

No function imports this, so none pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from msgspec import Meta, Struct

from shared.clients.github.answers import decode
from shared.clients.github.app import GitHubApp
from shared.errors import Refused

LAST_RESET = 4_102_444_800
"""The year 2100, in seconds since the epoch: no time that GitHub means."""


class PullRequestExists(Refused):
    """There is an open pull request of this branch into this base already."""


class WorkflowRun(Struct, frozen=True):
    """A run of a workflow that was started; `url` is for people."""

    id: int
    url: str


class OpenedPullRequest(Struct, frozen=True):
    number: int
    url: str
    head_sha: str


class Limit(Struct, frozen=True):
    """Of requests within an hour, for all that the installation does."""

    limit: int
    used: int
    remaining: int
    resets_at: datetime


class _Started(Struct):
    workflow_run_id: int
    html_url: str


class _Head(Struct):
    sha: str


class _Opened(Struct):
    number: int
    html_url: str
    head: _Head


class _Rate(Struct):
    limit: int
    used: int
    remaining: int
    reset: Annotated[int, Meta(ge=0, le=LAST_RESET)]


class _Rates(Struct):
    resources: dict[str, _Rate]


class GitHubOperator:
    """Raises what the methods of GitHub raise."""

    def __init__(self, app: GitHubApp) -> None:
        self._app = app

    async def start_workflow(
        self, repository: str, workflow: str, *, ref: str, inputs: Mapping[str, str] | None = None, details: bool = True
    ) -> WorkflowRun | None:
        """Run a workflow by its file's name (REST: "Create a workflow dispatch event"); None without `details`.

        The App needs actions: write. GitHub starts another run each time: after UnknownOutcome look first.
        """
        url = f"/repos/{repository}/actions/workflows/{quote(workflow, safe='')}/dispatches"
        body = {"ref": ref, "inputs": dict(inputs or {}), "return_run_details": details}
        response = await self._app.request("POST", url, repository=repository, changes=True, json=body)
        if response.status_code == 204:  # as it was for everyone until 2026, and is where no one asks for details
            return None
        started = decode(response, _Started, changes=True)
        return WorkflowRun(started.workflow_run_id, started.html_url)

    async def open_pull_request(
        self, repository: str, *, title: str, head: str, base: str, body: str = "", draft: bool = False
    ) -> OpenedPullRequest:
        """Raises PullRequestExists, so that asking twice leaves one. `GitHub.pull_request` reads its checks."""
        asked = {"title": title, "head": head, "base": base, "body": body, "draft": draft}
        try:
            response = await self._app.request(
                "POST", f"/repos/{repository}/pulls", repository=repository, changes=True, json=asked
            )
        except Refused as error:
            if error.status == 422 and "already exists" in str(error):
                raise PullRequestExists(str(error), status=422) from error
            raise
        opened = decode(response, _Opened, changes=True)
        return OpenedPullRequest(opened.number, opened.html_url, opened.head.sha)

    async def rate_limits(self, repository: str) -> dict[str, Limit]:
        """Of the installation on the repository, by resource: `core` is REST. Asking costs nothing."""
        response = await self._app.request("GET", "/rate_limit", repository=repository, changes=False)
        found = decode(response, _Rates, changes=False).resources
        return {
            name: Limit(rate.limit, rate.used, rate.remaining, datetime.fromtimestamp(rate.reset, UTC))
            for name, rate in found.items()
        }
