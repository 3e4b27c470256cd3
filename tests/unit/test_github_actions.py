"""The workflows of GitHub Actions: what they run is what there is, pinned, with the fewest permissions."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"(?P<action>[\w-]+/[\w-]+)@(?P<commit>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)")
WRITES = {("deploy", "plan", "id-token"), ("deploy", "comment", "pull-requests"), ("deploy", "apply", "id-token")}
"""Which job may write what; `id-token` writes nothing, it lets the job sign in elsewhere."""
TERRAFORM = ROOT / "terraform"


def loaded(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file in FILES:
        yield from ((file.stem, name, job) for name, job in loaded(file)["jobs"].items())


def steps() -> list[dict[str, Any]]:
    return [step for _, _, job in jobs() for step in job["steps"]]


def made(text: str) -> set[str]:
    """The targets of make that a script or workflow calls."""
    calls = re.findall(r"(?:^|run:|then|;) *make (?:-C \w+ )?([a-z0-9][a-z0-9 -]*)", text, re.MULTILINE)
    return {target for call in calls for target in call.split()}


MADE_IN_CI = made((ROOT / ".ci/run").read_text(encoding="utf-8"))
MADE_IN_WORKFLOWS = {target for file in FILES for target in made(file.read_text(encoding="utf-8"))}


def test_there_are_the_workflows_that_the_docs_name() -> None:
    assert [file.stem for file in FILES] == ["ci", "deploy", "security"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_action_is_pinned_by_a_commit_and_says_its_version(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text(encoding="utf-8"))
    assert used
    assert [use for use in used if not PINNED.fullmatch(use)] == []


def test_an_action_has_one_version_everywhere() -> None:
    pins: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for file in FILES:
        for found in PINNED.finditer(file.read_text(encoding="utf-8")):
            pins[found["action"]].add((found["commit"], found["version"]))
    assert {action: pin for action, pin in pins.items() if len(pin) > 1} == {}
    assert len({commit for [(commit, _)] in pins.values()}) == len(pins)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_workflow_has_no_permission_of_its_own(file: Path) -> None:
    assert loaded(file)["permissions"] == {}


def test_each_job_has_only_the_permissions_that_it_is_known_for_and_ends() -> None:
    writes = set()
    for workflow, name, job in jobs():
        assert job["timeout-minutes"] <= 90
        assert set(job["permissions"].values()) <= {"read", "write"}
        writes |= {(workflow, name, what) for what, level in job["permissions"].items() if level == "write"}
    assert writes == WRITES


def test_no_checkout_leaves_its_token_behind() -> None:
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert [step for step in checkouts if step["with"].get("persist-credentials") is not False] == []


def test_nothing_is_filled_into_a_script() -> None:
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []


# No drift


@pytest.mark.parametrize("target", sorted(MADE_IN_WORKFLOWS | MADE_IN_CI))
def test_each_target_of_make_exists(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_github_runs_whatever_the_projects_own_script_does() -> None:
    assert {"lint", "coverage", "tf-check", "tf-scan", "n8n"} <= MADE_IN_CI
    assert made((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")) >= MADE_IN_CI


def test_every_supported_python_is_tested() -> None:
    matrix = loaded(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert matrix == ["3.11", "3.12", "3.13"]
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_way_back_is_there_before_anything_is_changed() -> None:
    job = loaded(ROOT / ".github/workflows/deploy.yml")["jobs"]["apply"]
    scripts = [step.get("run", "") for step in job["steps"]]
    [build], [apply] = ([n for n, run in enumerate(scripts) if run.startswith(start)] for start in GOOD_THEN_NEW)
    assert build < apply
    assert job["environment"] == "signalbox"
    assert job["concurrency"] == {"group": "signalbox", "cancel-in-progress": False}


GOOD_THEN_NEW = ("make -C good package", "make -C new deploy")


def test_the_deployer_signs_in_nowhere_but_in_the_environment() -> None:
    asked = {
        (name, step["with"]["service_account"])
        for _, name, job in jobs()
        for step in job["steps"]
        if step.get("uses", "").startswith("google-github-actions/auth@")
    }
    assert asked == {("plan", "${{ vars.GCP_PLANNER }}"), ("apply", "${{ vars.GCP_DEPLOYER }}")}
    deploying = loaded(ROOT / ".github/workflows/deploy.yml")["jobs"]
    assert "github.event_name != 'pull_request' && github.ref == 'refs/heads/main'" in deploying["apply"]["if"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in deploying["plan"]["if"]


# What is kept current


def test_dependabot_looks_at_whatever_is_pinned() -> None:
    updates = loaded(ROOT / ".github/dependabot.yml")["updates"]
    looked_at = {
        (update["package-ecosystem"], folder)
        for update in updates
        for folder in (*update.get("directories", ()), *([update["directory"]] if "directory" in update else ()))
    }
    kept_old = "oldest"  # an n8n that people still have
    packages = [file.parent for file in ROOT.glob("tests/n8n/*/package.json") if file.parent.name != kept_old]
    terraform = {file.parent for file in TERRAFORM.rglob("versions.tf") if ".terraform" not in file.parts}
    assert looked_at >= {
        ("github-actions", "/"),
        ("pip", "/requirements"),
        *(("npm", f"/{folder.relative_to(ROOT).as_posix()}") for folder in packages),
        *(("terraform", f"/{folder.relative_to(ROOT).as_posix()}") for folder in terraform),
    }


# What it names of the Terraform configuration


@pytest.mark.parametrize("kind", ["output", "variable"])
def test_what_is_named_of_terraform_is_there(kind: str) -> None:
    sources = [ROOT / "Makefile", ROOT / ".github/workflows/deploy.yml", ROOT / "docs/deployment.md"]
    text = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    declared = "\n".join(file.read_text(encoding="utf-8") for file in TERRAFORM.glob("*.tf"))
    patterns = {
        "output": r"output (?:-raw |-json )?([a-z]+_[a-z_]+)",
        "variable": r"^([a-z]+_[a-z_]+) += ",
    }
    named = set(re.findall(patterns[kind], text, re.MULTILINE))
    assert named
    assert [name for name in named if f'{kind} "{name}"' not in declared] == []
