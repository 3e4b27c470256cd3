"""Replaying changes nothing that has happened; a new attempt does what is still to be done. On both backends."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local import topology
from local.demo.driver import PREVIOUS_COMMIT, Scene
from local.emulation.host import Options, running
from local.operating.workplace import open_place
from local.world.vendors import REPOSITORY
from shared.core.run import Run, Status


@pytest.fixture(params=["embedded", "emulators"])
def options(request: pytest.FixtureRequest, tmp_path: Path) -> Options:
    hosts = request.getfixturevalue("google").environ if request.param == "emulators" else None
    return Options(folder=tmp_path, backend=request.param, emulators=hosts)


@asynccontextmanager
async def playing(options: Options) -> AsyncIterator[Scene]:
    async with running(options) as host:
        host.vendors.furnish(serving_commit=PREVIOUS_COMMIT)
        yield Scene(host, tell=lambda line: None)


def happened(scene: Scene) -> dict[str, Any]:
    """Everything that the vendors have to show."""
    return {
        "merges": list(scene.github.merges),
        "deployments": [deployment.id for deployment in scene.railway.created],
        "rollbacks": [deployment.id for deployment in scene.railway.rollbacks],
        "comments": {number: scene.github.comments(REPOSITORY, number) for number in (1, 2, 3)},
        "github deployments": [(d.sha, [s["state"] for s in d.statuses]) for d in scene.github.deployments(REPOSITORY)],
        "notifications": [payload["key"] for payload in scene.n8n.notifications],
        "telegram": len(scene.host.vendors.telegram.messages),
        "serving": scene.serving_commit,
    }


async def a_days_work(scene: Scene) -> None:
    """A deployment by command, one that is rolled back, commands that were refused or answered at once."""
    first = scene.open_pull_request()
    scene.comment(first, "/deploy")
    await scene.ended()
    scene.plan(health="failing")
    second = scene.open_pull_request(title="A worse one")
    scene.merge(second)
    await scene.ended(2)
    third = scene.open_pull_request(title="Refused", check="failure")
    scene.comment(third, "/deploy", author="mallory")
    scene.comment(third, "/deploy")
    await scene.ended(3)
    scene.comment(third, "/lock production the fair")
    scene.comment(third, "/unlock production")
    await scene.quiet()


async def test_replaying_all_of_the_last_day_changes_nothing(options: Options) -> None:
    async with playing(options) as scene:
        # Given a day on which much happened, and one who was refused has been given write access since
        await a_days_work(scene)
        before = happened(scene)
        runs = {run.id: run for run in await scene.runs()}
        target = await scene.target()
        scene.github.repository(REPOSITORY).collaborators["mallory"] = "admin"

        # When every message of the day is delivered again
        place = open_place(options.folder, {})
        since = datetime.now(UTC) - timedelta(days=1)
        subscriptions = [function.name for function in topology.load().functions if function.subscribes]
        counts = [await place.messages.replay(name, since) for name in subscriptions]
        await place.close()
        await scene.quiet()

        # Then nothing happened that had not happened before
        assert options.backend == "emulators" or sum(count or 0 for count in counts) > 20
        assert happened(scene) == before
        assert {run.id: run for run in await scene.runs()} == runs
        assert (await scene.target()).verified == target.verified
        assert (await scene.target()).lock is None


async def test_a_failed_run_is_attempted_once_more(options: Options) -> None:
    async with playing(options) as scene:
        # Given a run whose build failed
        scene.plan(build="fail")
        sha = scene.merge(scene.open_pull_request())
        failed = await scene.ended()
        assert failed.status is Status.FAILED

        # When it is replayed
        shown = await _signalbox("replay", failed.id, "--json", folder=options.folder)
        assert json.loads(shown)["attempt"] == 2
        run: Run = await scene.until(lambda runs: runs[-1].status.terminal and not runs[-1].owed)

        # Then it ends well, in the same document with the old history, told anew, and with one more deployment
        assert run.id == failed.id
        assert run.status is Status.SUCCEEDED
        assert run.history[: len(failed.history)] == failed.history
        assert scene.serving_commit == sha
        assert len(scene.railway.created) == 2
        assert [payload["event"] for payload in scene.n8n.notifications] == ["failed", "succeeded"]


async def test_a_run_that_has_not_ended_is_not_replayed(options: Options) -> None:
    async with playing(options) as scene:
        scene.comment(scene.open_pull_request(check=None), "/deploy")
        waiting = await scene.until(lambda runs: runs[-1].status is Status.WAITING)
        refused = await _signalbox("replay", waiting.id, folder=options.folder, fails=True)
        assert "not_replayable: the run has not ended" in refused


async def _signalbox(*words: str, folder: Path, fails: bool = False) -> str:
    """The command in a process of its own, while the emulation goes on in this one."""

    command = Path(sys.executable).with_name("signalbox")
    process = await asyncio.create_subprocess_exec(
        command, *words, "--dir", str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (process.returncode != 0) == fails, err.decode()
    return (err if fails else out).decode()
