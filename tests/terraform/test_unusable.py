"""Where Terraform cannot be used its tests are skipped with the reason; where it is asked for, they fail with it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from terraform import planning

ROOT = Path(__file__).parents[2]
FINDS_NO_PROVIDER = '[ "$1" = version ] && exit 0; echo "no route to registry.terraform.io" >&2; exit 1'
CANNOT_START_IT = 'case "$1" in version|init) exit 0; esac; echo "the plugin did not respond" >&2; exit 1'
OFFLINE = """#!/bin/sh
# As tfcheck: tests what it is given, whatever became of the steps before.
cd "$2" && "$TERRAFORM" init && "$TERRAFORM" validate || "$TERRAFORM" test
"""


def script(file: Path, text: str) -> Path:
    file.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def bin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, with no Terraform in it, and nothing said about it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script(folder / "tfcheck", OFFLINE)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("SIGNALBOX_TFCHECK", raising=False)
    monkeypatch.delenv("SIGNALBOX_REQUIRE", raising=False)
    return folder


@pytest.mark.parametrize(
    ("terraform", "offline", "registry", "reason"),
    [
        (None, None, True, "there is no terraform on the PATH"),
        ("echo broken >&2; exit 1", None, True, "terraform version: broken"),
        ("exit 0", None, False, "neither SIGNALBOX_TFCHECK nor SIGNALBOX_REQUIRE=terraform says where the provider is"),
        (CANNOT_START_IT, None, True, "terraform validate: the plugin did not respond"),
        (FINDS_NO_PROVIDER, "tfcheck", False, "no route to registry.terraform.io"),
        ("exit 0", "nothing", False, "SIGNALBOX_TFCHECK names .*nothing, which cannot be run"),
    ],
)
def test_a_terraform_that_is_of_no_use_is_unavailable_and_says_why(
    bin: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    terraform: str | None,
    offline: str | None,
    registry: bool,
    reason: str,
) -> None:
    if terraform is not None:
        script(bin / "terraform", terraform)
    if offline is not None:
        monkeypatch.setenv("SIGNALBOX_TFCHECK", str(bin / offline))
    with pytest.raises(planning.Unavailable, match=reason):
        planning.make(tmp_path, registry=registry)


def outcomes() -> tuple[dict[str, int], str]:
    """How many tests came to what, and what was printed."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/terraform/test_wiring.py"]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    summary = done.stdout.splitlines()[-1]
    return {what.rstrip("s"): int(count) for count, what in re.findall(r"(\d+) (\w+)", summary)}, done.stdout


def test_every_test_is_skipped_where_the_plugin_does_not_start(bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a Terraform that cannot start its provider
    script(bin / "terraform", CANNOT_START_IT)
    monkeypatch.setenv("SIGNALBOX_TFCHECK", str(bin / "tfcheck"))

    # When the tests that read plans are run
    came_to, told = outcomes()

    # Then each that needs one is skipped, and says why
    assert came_to.keys() == {"passed", "skipped"}, told
    assert came_to["skipped"] > 20
    assert "the plugin did not respond" in told


def test_every_test_fails_where_terraform_is_asked_for(bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(bin / "terraform", FINDS_NO_PROVIDER)
    monkeypatch.setenv("SIGNALBOX_REQUIRE", "terraform")
    came_to, told = outcomes()
    assert came_to.get("error", 0) > 20, told
    assert "skipped" not in came_to
    assert "SIGNALBOX_REQUIRE asks for Terraform: terraform init: no route to registry.terraform.io" in told
