"""The example values go together, and are accepted by whoever reads them."""

import re
from pathlib import Path

from local.packaging import packages
from shared.runtime import config

EXAMPLES = Path(__file__).parents[2] / "terraform" / "examples"


def given(name: str) -> str:
    [value] = re.findall(rf'^\s*{name}\s*= "(.*)"$', (EXAMPLES / "project38.tfvars").read_text(), re.MULTILINE)
    return str(value)


def test_the_example_configuration_is_accepted_and_of_the_same_repository() -> None:
    loaded = config.load(EXAMPLES / "signalbox.toml")
    assert {target.repository for target in loaded.targets} == {given("github_repository")}


def test_the_example_configuration_has_no_token_wider_than_its_targets() -> None:
    tokens = config.load(EXAMPLES / "signalbox.toml").railway_tokens
    assert {(token.secret, token.kind) for token in tokens} == {("RAILWAY-PRODUCTION", "project")}


def test_the_example_configuration_can_be_packed(tmp_path: Path) -> None:
    assert packages.build(tmp_path, config=EXAMPLES / "signalbox.toml")


def test_the_first_users_values_are_in_the_example() -> None:
    assert given("project_id") == "project38-483612"
    assert (given("pool"), given("provider")) == ("github-pool", "github-provider")
    assert given("deployer") == "claude-code-agent@project38-483612.iam.gserviceaccount.com"
    [target] = config.load(EXAMPLES / "signalbox.toml").targets
    assert target.project_id == "95ec21cc-9ada-41c5-8485-12f9a00e0116"
    assert target.environment_id == "99c99a18-aea2-4d01-9360-6a93705102a0"
