"""signalbox github: what an operator asks of GitHub as the App."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result
from unit.functions.scene import RecordingBus

from local.cli.github import github
from local.emulation.secrets import EnvironmentSecrets
from local.emulation.store import SqliteStore
from local.world.clock import VirtualClock
from local.world.faults import Fault
from local.world.github.server import GitHubWorld
from local.world.vendors import APP_ID, REPOSITORY, make_keys
from shared.runtime import services
from shared.runtime.config import Config
from shared.runtime.ports import Backend
from shared.runtime.services import Services
from shared.runtime.settings import Settings

KEYS = make_keys()


@pytest.fixture
def world() -> Iterator[GitHubWorld]:
    clock = VirtualClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    made = GitHubWorld(clock=clock, webhook_secret="-", app_id=APP_ID, public_key_pem=KEYS.public)
    made.add_repository(REPOSITORY, collaborators={})
    made.add_workflow(REPOSITORY, "release.yml")
    made.access.permissions["actions"] = "write"
    yield made
    services.install(None)


def ask(world: GitHubWorld, *words: str) -> Result:
    """As a process of its own."""
    backend = Backend(
        store=SqliteStore(":memory:"),
        bus=RecordingBus(),
        secrets=EnvironmentSecrets({"GITHUB_APP_PRIVATE_KEY": KEYS.private}),
        clock=world.clock,
    )
    networks = {"github": world.app}
    services.install(Services(Settings(github_app_id=APP_ID), Config(targets=()), backend, networks=networks))
    return CliRunner().invoke(github, words)


def test_a_workflow_is_started(world: GitHubWorld) -> None:
    told = ask(world, "run-workflow", REPOSITORY, "release.yml", "--input", "level=patch", "--input", "note=a=b")
    [run] = world.repository(REPOSITORY).dispatched
    assert (run.ref, run.inputs) == ("main", {"level": "patch", "note": "a=b"})
    assert told.output == f"https://github.com/{REPOSITORY}/actions/runs/{run.run_id}\n"


def test_an_input_without_a_value_starts_nothing(world: GitHubWorld) -> None:
    told = ask(world, "run-workflow", REPOSITORY, "release.yml", "--input", "level")
    assert (told.exit_code, world.repository(REPOSITORY).dispatched) == (2, [])
    assert "'level' is not of the form NAME=VALUE" in told.output


def test_a_refusal_is_told_with_what_to_do(world: GitHubWorld) -> None:
    told = ask(world, "run-workflow", REPOSITORY, "none.yml")
    assert told.exit_code == 1
    said, next_step = told.output.splitlines()
    assert said.startswith("Error: POST ")
    assert said.endswith("/actions/workflows/none.yml/dispatches: 404 Not Found")
    assert next_step == "See that the names are right, and that the App is installed on the repository."


def test_an_outage_says_to_come_again(world: GitHubWorld) -> None:
    world.app.faults.append(Fault(times=5))
    assert ask(world, "rate-limits", REPOSITORY).output.splitlines()[1:] == ["Do the same again a little later."]


def test_a_lost_answer_says_to_look_first(world: GitHubWorld) -> None:
    world.app.faults.append(Fault(when="dispatches", after_effect=True, lost=True))
    assert "check before you try again" in ask(world, "run-workflow", REPOSITORY, "release.yml").output
    assert len(world.repository(REPOSITORY).dispatched) == 1


def test_a_pull_request_is_opened_once(world: GitHubWorld) -> None:
    head = world.commit(REPOSITORY, "faster", "ada")
    words = ("open-pull-request", REPOSITORY, "--head", "faster", "--title", "Faster cart", "--draft")
    told, again = ask(world, *words), ask(world, *words)
    pull = world.pull(REPOSITORY, 1)
    assert told.output == f"https://github.com/{REPOSITORY}/pull/1\n"
    assert (pull.title, pull.head_sha, pull.draft) == ("Faster cart", head, True)
    assert (again.exit_code, len(world.repository(REPOSITORY).pulls)) == (1, 1)
    assert "already exists" in again.output


def test_what_is_left_of_the_limits(world: GitHubWorld) -> None:
    world.limits.limit = 60
    told = ask(world, "rate-limits", REPOSITORY)
    assert "core" in told.output
    assert "2026-11-22 13:00:00" in told.output
    assert json.loads(ask(world, "rate-limits", REPOSITORY, "--json").output)["core"]["remaining"] == 60
