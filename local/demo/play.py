"""Plays one scenario on a fresh emulation and reports how it ended."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from local.cli.timeline import Expectation, Line
from local.demo.driver import PREVIOUS_COMMIT, Scene
from local.demo.scenarios import Scenario
from local.emulation.backends import Kind
from local.emulation.host import Host, Options, running
from local.world.vendors import REPOSITORY
from shared.core.run import Run
from shared.core.target import Target

NOWHERE = "127.0.0.1:1"
"""A port that nobody listens on."""


class Report(Struct, frozen=True, kw_only=True):
    """One JSON document: how the scenario ended, and everything it left behind."""

    scenario: str
    as_expected: bool
    expectations: list[Expectation]
    runs: list[Run]
    target: Target
    vendors: dict[str, Any]


async def perform(
    scenario: Scenario,
    tell: Callable[[Line], None],
    started: Callable[[Host], None],
    *,
    backend: Kind = "embedded",
    emulators: Mapping[str, str] | None = None,
) -> Report:
    """Set up, play, look, tear down. `started` is called once everything has an address.

    Raises ConfigError when the emulators are asked for and are not to be had.
    """
    with tempfile.TemporaryDirectory(prefix="signalbox-demo-") as folder:
        options = Options(
            folder=Path(folder),
            backend=backend,
            emulators=emulators,
            bake=scenario.bake,
            settle=scenario.settle,
            verify_deadline=scenario.verify_deadline,
            auto_deploy=scenario.auto_deploy,
            layout=scenario.layout,
            copies=scenario.copies,
        )
        async with running(options) as host:
            domain = None if scenario.reachable else NOWHERE
            host.vendors.furnish(serving_commit=PREVIOUS_COMMIT, domain=domain)
            started(host)
            scene = Scene(host, tell)
            try:
                await scenario.play(scene)
            except TimeoutError as error:
                scene.expect(f"the story comes to its end ({error})", held=False)
            return await _report(scenario, scene)


async def _report(scenario: Scenario, scene: Scene) -> Report:
    return Report(
        scenario=scenario.name,
        as_expected=bool(scene.expectations) and all(expectation.held for expectation in scene.expectations),
        expectations=scene.expectations,
        runs=await scene.runs(),
        target=await scene.target(),
        vendors=_side_effects(scene),
    )


def _side_effects(scene: Scene) -> dict[str, Any]:
    """What the vendors have to show for it."""
    github, railway = scene.github, scene.railway
    pulls = github.repository(REPOSITORY).pulls
    return {
        "github": {
            "merges": [{"pull_request": number, "commit_sha": sha} for _, number, sha in github.merges],
            "comments": {str(number): github.comments(REPOSITORY, number) for number in pulls},
            "reactions": [content for _, _, content in github.reactions],
            "deployments": msgspec.to_builtins(github.deployments(REPOSITORY)),
        },
        "railway": {
            "deployments": [
                {"id": made.id, "commit_sha": made.commit_sha, "status": made.status, "reason": made.reason}
                for made in railway.created
            ],
            "calls": len(railway.app.calls),
        },
        "n8n": {"notifications": scene.n8n.notifications},
        "telegram": {"messages": [sent.plain for sent in scene.host.vendors.telegram.messages]},
    }
