"""The pages for people who change Signalbox name what is there."""

import re
from pathlib import Path

import pytest
import yaml
from msgspec.structs import fields

from functions.dispatch.commands import COMMANDS
from shared.core.commands import NAMES
from shared.core.notices import CHANNELS
from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import Stage

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
SECTIONS = dict(re.findall(r"^### … (.+?)\n\n(.*?)(?=\n##|\Z)", CONTRIBUTING, flags=re.MULTILINE | re.DOTALL))


def files(section: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", SECTIONS[section], flags=re.MULTILINE)


def text(file: str) -> str:
    return (ROOT / file).read_text()


def test_it_says_how_to_add_each_kind_of_thing() -> None:
    assert set(SECTIONS) == {
        "a command",
        "a stage",
        "a reason",
        "a setting",
        "a notification channel",
        "a vendor call",
    }


@pytest.mark.parametrize("section", SECTIONS)
def test_every_file_of_a_list_exists(section: str) -> None:
    assert [file for file in files(section) if not (ROOT / file).is_file()] == []
    assert len(files(section)) >= 2


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_in_every_file_of_its_list(name: str) -> None:
    own = {"functions/dispatch/commands/unlock.py": f"functions/dispatch/commands/{name}.py"}
    listed = [own.get(file, file) for file in files("a command")]
    assert [file for file in listed if name not in text(file)] == []
    assert {"NAME", "USAGE", "EXAMPLES", "parse", "handle"} <= set(dir(COMMANDS[name]))
    assert tuple(COMMANDS) == NAMES


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.DONE])
def test_each_stage_is_in_every_file_of_its_list(stage: Stage) -> None:
    own = {"functions/monitor/main.py": f"functions/{stage}/main.py"}
    listed = [own.get(file, file) for file in files("a stage")]
    assert [file for file in listed if not re.search(rf"\b{stage}", text(file), re.IGNORECASE)] == []


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_in_every_file_of_its_list(reason: Reason) -> None:
    assert [file for file in files("a reason") if reason not in text(file)] == []


@pytest.mark.parametrize("name", [field.name for field in fields(Policy)])
def test_each_rule_of_a_target_is_where_the_list_says(name: str) -> None:
    assert name in text("shared/core/policy.py")
    assert f"`{name}`" in text("docs/configuration.md")


@pytest.mark.parametrize("channel", sorted({channel for channels in CHANNELS.values() for channel in channels}))
def test_each_channel_is_delivered(channel: str) -> None:
    assert re.search(rf"\b{channel.upper()}\b", text("functions/notify/main.py"))


def test_every_example_of_a_command_is_read_as_that_command() -> None:
    from functions.dispatch.commands import parse  # noqa: PLC0415 - the names above are what is documented

    for name, module in COMMANDS.items():
        assert module.EXAMPLES
        for example in module.EXAMPLES:
            assert type(parse(example)).__name__.lower() == name, example


def test_hooks_are_local_and_fetch_nothing() -> None:
    repos = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert [repo["repo"] for repo in repos] == ["local"]
    hooks = {hook["id"]: hook for hook in repos[0]["hooks"]}
    assert set(hooks) == {"ruff", "format", "mypy", "zizmor", "secret-scan"}
    assert {hook["language"] for hook in hooks.values()} == {"system"}
    assert "--offline" in hooks["zizmor"]["entry"]


def test_the_module_of_a_function_is_described_with_all_its_variables_and_outputs() -> None:
    module = "terraform/modules/function"
    described = re.findall(r"^\| `(\w+)` \| (.+) \|$", text(f"{module}/README.md"), flags=re.MULTILINE)
    pattern = r'^(?:variable|output) "(\w+)" \{\n  description = "([^"]*)"'
    both = text(f"{module}/variables.tf") + text(f"{module}/outputs.tf")
    assert described == re.findall(pattern, both, flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "README.md"])
def test_links_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)", text(name))
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_changelog_begins_with_what_is_not_released() -> None:
    assert re.findall(r"^## \[(.+?)\]", text("CHANGELOG.md"), flags=re.MULTILINE)[0] == "Unreleased"
    assert "Apache License" in text("LICENSE")
