"""Every scenario, over real HTTP: functions-framework apps and simulated vendors; some on the emulators, too."""

import pytest

from functions.notify.main import NO_ANALYSIS
from local.demo.play import perform
from local.demo.scenarios import SCENARIOS
from local.emulation.backends import Kind

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


ON_THE_EMULATORS = {
    "happy": "every topic once, pushed by Pub/Sub, and each stage's documents in Firestore",
    "checks-slow": "a run that waits is found by the sweep's query of what is due, and goes on",
    "duplicate-storm": "five of each message at once: commits whose preconditions fail, queries in between",
    "vendor-outage": "503 is no ack: Pub/Sub delivers again, a second later and in its own order",
    "quarantine": "three runs on one target, one after the other, the second and third by comment; a rollback",
}
"""Played on Google's emulators as well, and what of them it meets there.

Where the backends differ is in how documents are written, found and fought over, and in how messages arrive, come
again and overtake each other. What a scenario is about besides is decided above the ports and is the same on both;
tests/contract holds both to the same behaviour port by port, and test_replaying.py and test_killed.py play on both.
"""
NOTHING_WENT_WRONG = {"sent", "nothing was deployed", "nothing to say", NO_ANALYSIS}
"""How a notification ends when it was sent, or was not wanted."""


def test_every_promised_scenario_exists() -> None:
    assert set(SCENARIOS) >= PROMISED


@pytest.mark.parametrize(
    ("name", "backend"),
    [*((name, "embedded") for name in SCENARIOS), *((name, "emulators") for name in ON_THE_EMULATORS)],
)
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
