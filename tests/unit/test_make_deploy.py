"""make plan, deploy and destroy: what they ask of Terraform, by a stub that writes it down, and what they refuse."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"
TOOLS = ("make", "sh", "sed", "sort", "cat", "test", "touch", "git", "python3", "printf", "expr")
TERRAFORM = """#!/bin/sh
echo "terraform $*" >> said
case "$*" in *"state list"*) [ -f state ] && cat state;; esac
"""
SIGNALBOX = """#!/bin/sh
echo "signalbox $*" >> said
"""
STATE = """
data.google_project.this
google_firestore_database.this
google_firestore_index.this["runs created_at"]
google_project_service.this["run.googleapis.com"]
google_pubsub_topic.this["events"]
google_pubsub_topic.this["merge"]
google_secret_manager_secret.this["RAILWAY-API"]
module.function["webhooks"].google_cloudfunctions2_function.this
module.function["webhooks"].google_secret_manager_secret_iam_member.accessor["RAILWAY-API"]
"""


class Place:
    """A checkout with nothing in it but what make looks at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(MAKEFILE, folder)
        self.write("project.tfvars", 'region     = "r"\nproject_id = "acme-prod"\n')
        for name in (
            "pyproject.toml",
            "requirements/run.txt",
            "requirements/build.txt",
            ".venv/bin/python",
            ".venv/.run",
        ):
            self.write(name, "")
        self.program(".venv/bin/signalbox", SIGNALBOX)
        self.program("bin/terraform", TERRAFORM)
        for tool in TOOLS:
            if found := shutil.which(tool):
                (folder / "bin" / tool).symlink_to(found)

    def write(self, name: str, content: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
        return file

    def program(self, name: str, content: str) -> None:
        self.write(name, content).chmod(0o755)

    def make(self, *words: str) -> tuple[int, str, list[str]]:
        """The exit code, what it printed, and what was asked of Terraform and signalbox, without `init`."""
        result = subprocess.run(
            ["make", "--no-print-directory", *words],
            cwd=self.folder,
            env={"PATH": str(self.folder / "bin"), "HOME": os.environ.get("HOME", "/")},
            capture_output=True,
            text=True,
            check=False,
        )
        said = (self.folder / "said").read_text().splitlines() if (self.folder / "said").exists() else []
        return result.returncode, result.stdout + result.stderr, said


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


IN = "terraform -chdir=terraform"
BACKEND = "-backend-config=bucket=acme-prod-signalbox-state -backend-config=prefix=signalbox"
INIT = f"{IN} init -input=false -reconfigure {BACKEND}"
TFVARS = "TFVARS=project.tfvars"


def test_deploy_packs_and_leaves_the_question_to_terraform(place: Place) -> None:
    code, _, said = place.make("deploy", TFVARS)
    file = place.folder / "project.tfvars"
    assert (code, said) == (
        0,
        [INIT, "signalbox package", f"{IN} apply -var-file={file}", f"{IN} output webhook_urls"],
    )


def test_deploy_asks_nothing_when_told_so(place: Place) -> None:
    _, _, said = place.make("deploy", TFVARS, "AUTO=1")
    assert said[2].endswith("project.tfvars -input=false -auto-approve")


def test_another_configuration_and_another_bucket_may_be_named(place: Place) -> None:
    _, _, said = place.make("deploy", TFVARS, "CONFIG=other.toml", "STATE_BUCKET=elsewhere")
    assert "-backend-config=bucket=elsewhere" in said[0]
    assert said[1] == "signalbox package --config other.toml"


def test_a_plan_takes_no_lock_and_changes_nothing(place: Place) -> None:
    code, _, said = place.make("plan", TFVARS)
    assert (code, said[0]) == (0, INIT)
    assert [words.split()[2] for words in said if words.startswith(IN)] == ["init", "plan"]
    assert "-input=false -lock=false" in said[-1]


@pytest.mark.parametrize("target", ["plan", "deploy", "destroy"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name the project's settings: make {target} TFVARS=FILE.tfvars"),
        (("TFVARS=missing.tfvars",), "there is no file missing.tfvars"),
        (("TFVARS=empty.tfvars",), "empty.tfvars has no project_id, and no STATE_BUCKET is named"),
    ],
)
def test_without_its_settings_nothing_is_begun(place: Place, target: str, words: tuple[str, ...], said: str) -> None:
    place.write("empty.tfvars", 'region = "r"\n')
    code, printed, asked = place.make(target, *words)
    assert (code, asked) == (2, [])
    assert said.format(target=target) in printed


@pytest.mark.parametrize("target", ["plan", "deploy", "destroy"])
def test_without_terraform_it_says_so(place: Place, target: str) -> None:
    (place.folder / "bin/terraform").unlink()
    code, printed, asked = place.make(target, TFVARS)
    assert (code, asked) == (2, [])
    assert "terraform 1.9 or newer is needed" in printed


@pytest.mark.parametrize("failing", ["init", "package", "apply"])
def test_what_fails_ends_it(place: Place, failing: str) -> None:
    name, script = ("bin/terraform", TERRAFORM) if failing != "package" else (".venv/bin/signalbox", SIGNALBOX)
    place.program(name, f'{script}case "$*" in *{failing}*) exit 1;; esac\n')
    code, _, said = place.make("deploy", TFVARS)
    assert code == 2
    assert failing in said[-1]


# Taking it down


def test_destroy_keeps_documents_secrets_and_what_they_depend_on(place: Place) -> None:
    place.write("state", STATE)
    code, _, said = place.make("destroy", TFVARS)
    file = place.folder / "project.tfvars"
    assert (code, said[-1]) == (
        0,
        f"{IN} destroy -var-file={file} -target=google_pubsub_topic.this -target=module.function",
    )


def test_destroy_takes_everything_only_when_told_so(place: Place) -> None:
    place.write("state", STATE)
    _, _, said = place.make("destroy", TFVARS, "ALL=1", "AUTO=1")
    assert said[-1].endswith("project.tfvars -input=false -auto-approve")


@pytest.mark.parametrize("state", ["", "\n", "google_firestore_database.this\ndata.google_project.this\n"])
def test_destroy_without_anything_left_takes_nothing(place: Place, state: str) -> None:
    place.write("state", state)
    code, printed, said = place.make("destroy", TFVARS)
    assert code == 0
    assert "there is nothing left to take down" in printed
    assert not any("destroy" in words for words in said)


def test_destroy_that_cannot_see_what_there_is_takes_nothing(place: Place) -> None:
    code, _, said = place.make("destroy", TFVARS)
    assert code == 2
    assert said[-1] == f"{IN} state list"
