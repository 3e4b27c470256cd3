"""Every scenario, over real HTTP: functions-framework apps and simulated vendors, embedded and on the emulators."""

from __future__ import annotations

import pytest

from functions.notify.main import NO_ANALYSIS
from local.engines import KINDS, Kind
from local.performance import perform
from local.scenarios import SCENARIOS

PROMISED = {
    "happy",
    "command",
    "unhealthy",
    "wrong-version",
    "prober-blind",
    "build-fails",
    "crash-after-live",
    "checks-fail",
    "checks-slow",
    "merge-conflict",
    "head-moved",
    "duplicate-storm",
    "auto-deploy",
    "vendor-outage",
    "rollback-fails",
    "quarantine",
}


NOTHING_WENT_WRONG = {"sent", "nothing was deployed", NO_ANALYSIS}
"""How a notification ends when it was sent, or was not wanted."""


def test_every_promised_scenario_exists() -> None:
    assert set(SCENARIOS) >= PROMISED


@pytest.mark.parametrize("backend", KINDS)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_scenario_ends_as_it_should(name: str, backend: Kind, request: pytest.FixtureRequest) -> None:
    # When it is played
    hosts = request.getfixturevalue("google").environ if backend == "emulators" else None
    report = await perform(SCENARIOS[name], lambda line: None, lambda host: None, backend=backend, emulators=hosts)

    # Then all that it expects has come true, and nothing is left over
    assert [expectation.text for expectation in report.expectations if not expectation.held] == []
    assert report.as_expected
    assert report.target.active is None
    assert report.target.queue == ()
    for run in report.runs:
        assert run.status.terminal
        assert (run.wake_at, run.lease, run.notify_lease, run.owed) == (None, None, None, ())
        assert {notified.outcome for notified in run.notified.values()} <= NOTHING_WENT_WRONG
