"""signalbox runs: the runs of a place, and what drifts there."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace
from rich.console import Console
from unit.building import a_run, a_target, at

from local.cli import output
from local.cli.runs import runs
from local.emulation.backend import DOCUMENTS
from local.emulation.store import SqliteStore
from local.operating.workplace import Left, leave_behind
from shared.core.target import HeldBack, Hold, Serving
from shared.runtime import config
from shared.runtime.ports import Create, Document

CONFIGURATION = """
[repositories."acme/shop".services.web]
project_id = "p"
service_id = "s"

[repositories."acme/shop".services.web.environments.production]
environment_id = "e"
"""
[PLACE] = config.parse(CONFIGURATION).targets
STRANGE = Serving(deployment_id="d-strange", commit_sha="9" * 40, drifting_since=at(0))
DRIFTING = replace(a_target(active=None), id=PLACE.id, serving=STRANGE)


def listed(folder: Path, *documents: Document, words: tuple[str, ...] = ()) -> Result:
    leave_behind(folder, Left(backend="embedded"), CONFIGURATION)

    async def save() -> None:
        store = SqliteStore(folder / DOCUMENTS)
        await store.commit(*map(Create, documents))
        await store.close()

    asyncio.run(save())
    return CliRunner().invoke(runs, ["--dir", str(folder), *words])


def test_what_drifts_is_named_below_the_runs(tmp_path: Path) -> None:
    shown = listed(tmp_path, a_run(), DRIFTING).output

    assert a_run().id in shown
    assert f"! {PLACE.id} has drifted: deployment d-strang of 9999999 is live, and 3333333 was verified last." in shown


def test_what_a_hold_keeps_back_is_named_with_it(tmp_path: Path) -> None:
    hold = Hold(reason="r was rolled back: unhealthy", at=at(0), run_id="r")
    kept = HeldBack(commit_sha="4" * 40, run_id="s", at=at(0), number=4, title="Faster cart")
    shown = listed(tmp_path, replace(DRIFTING, serving=Serving(), hold=hold, held_back=(kept,))).output

    assert f"! {PLACE.id} is held: r was rolled back: unhealthy; it has merges that are not deployed yet" in shown
    assert "#4 Faster cart (4444444)" in shown


def test_what_does_not_is_not_named(tmp_path: Path) -> None:
    assert listed(tmp_path, replace(DRIFTING, serving=Serving())).output == "no runs yet\n"


def test_the_json_is_of_runs_alone(tmp_path: Path) -> None:
    assert len(json.loads(listed(tmp_path, a_run(), DRIFTING, words=("--json",)).output)) == 1


@pytest.mark.parametrize(
    ("width", "titles"), [(200, list(output._RUN)), (80, ["run", "kind", "status", "commit", "last"])]
)
def test_a_narrow_terminal_shows_fewer_columns_whole(width: int, titles: list[str]) -> None:
    out = Console(width=width, file=io.StringIO())
    run = a_run()
    output.runs(out, [run])
    first, *rows = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert first.split() == " ".join(titles).split()
    assert rows[0].startswith(f"{run.id} ")
    assert run.status in rows[0]
