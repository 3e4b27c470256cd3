"""docs/security-checklist.md is what `signalbox doctor --checklist` prints, ticked by what the doctor found."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from local.cli import main
from local.doctor import Finding, Subject
from local.doctor.checklist import SECTIONS, shown
from local.doctor.findings import failed, ok, skipped, warning

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_is_printed() -> None:
    page = (ROOT / "docs/security-checklist.md").read_text(encoding="utf-8")
    assert page.endswith("\n".join(shown(None)).rstrip() + "\n")


def test_every_command_that_is_named_exists() -> None:
    commands = [part for boxes in SECTIONS.values() for box in boxes for part in box.command.split("; ") if part]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in commands:
        program, *words = command.split()
        if program == "signalbox":
            assert CliRunner().invoke(main, [*words[:1], "--help"]).exit_code == 0, command
        elif program == "make":
            assert words[0] in targets, command
        else:
            assert program in ("gh", "grep", "gcloud", "terraform"), command


@pytest.mark.parametrize(
    ("finding", "tick"),
    [
        (ok(Subject.GITHUB_WEBHOOK, "goes to https"), "x"),
        (warning(Subject.GITHUB_WEBHOOK, "none lately", "push"), " "),
        (failed(Subject.GITHUB_WEBHOOK, "not signed", "sign it"), " "),
        (skipped(Subject.GITHUB_WEBHOOK, "no App"), " "),
        (ok(Subject.STORE, "a query is answered"), " "),
    ],
)
def test_a_box_is_ticked_where_all_that_it_is_about_is_well(finding: Finding, tick: str) -> None:
    lines = list(shown([finding]))
    at = next(number for number, line in enumerate(lines) if "The App's webhook is signed" in line)
    assert lines[at].startswith(f"- [{tick}] ")
    if finding.state in ("warning", "failed"):
        assert lines[at + 1] == f"  - {finding.state}: GitHub webhook: {finding.detail}"
    assert sum(line.startswith("- [") for line in lines) == sum(map(len, SECTIONS.values()))
