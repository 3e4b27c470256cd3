"""The docs name what there is: a setting, reason, command or function that they do not know fails here."""

import inspect
import re
import tomllib
from pathlib import Path
from types import ModuleType

import click
import pytest
from unit.building import a_run, a_target
from unit.functions.scene import opened

from functions.dispatch.commands import USAGE
from functions.notify import weekly_report
from local import topology
from local.cli import COMMANDS, main
from local.cli.workflows import workflows
from local.demo.scenarios import SCENARIOS
from local.emulation import emulators
from local.emulation.backend import DIRECTORY
from local.emulation.backends import KINDS
from local.n8n import files
from local.n8n.opening import API_KEY
from local.simulation.invariants import documents, health, outside, railway, refusals, rest
from shared.cloud import DATABASE, FIRESTORE_EMULATOR, PUBSUB_EMULATOR, SECRET_VERSIONS
from shared.core import notices, weeks
from shared.core.notices import Notice, at_time
from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.target import Health
from shared.runs import texts
from shared.runtime import config, secrets
from shared.runtime.settings import Settings

ROOT = Path(__file__).parents[2]

LOCAL_VARIABLES = ("CLOUDSDK_ROOT_DIR", "JAVA_HOME", FIRESTORE_EMULATOR, PUBSUB_EMULATOR, API_KEY)
"""What only an operator's machine reads."""


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def shown(default: object) -> str:
    """A default as the docs write it."""
    if default is None or default == ():
        return "none"
    return str(default).lower() if isinstance(default, bool) else str(default).removesuffix(".0")


@pytest.mark.parametrize("field", Settings.__struct_fields__)
def test_environment_variables_and_their_defaults_are_documented(field: str) -> None:
    default = Settings.__struct_defaults__[Settings.__struct_fields__.index(field)]
    [row] = [line for line in page("docs/configuration.md").splitlines() if line.startswith(f"| `{field.upper()}` |")]
    assert row.split("|")[2].strip().strip("`") == shown(default)


@pytest.mark.parametrize("field", Policy.__struct_fields__)
def test_policy_keys_and_their_defaults_are_documented(field: str) -> None:
    default = getattr(Policy(), field)
    [row] = [line for line in page("docs/configuration.md").splitlines() if line.startswith(f"| `{field}` |")]
    assert row.split("|")[2].strip().strip("`") == shown(default)


def test_no_setting_is_documented_that_does_not_exist() -> None:
    known = {
        *Settings.__struct_fields__,
        *Policy.__struct_fields__,
        DATABASE.lower(),
        SECRET_VERSIONS.lower(),
        DIRECTORY.lower(),
        *(name.lower() for name in LOCAL_VARIABLES),
        *(n.lower() for n in secrets.NAMES),
    }
    rows = re.findall(r"^\| `([A-Za-z_-]+)` \|", page("docs/configuration.md"), re.MULTILINE)
    assert {row.lower() for row in rows} - known == set()


@pytest.mark.parametrize("name", LOCAL_VARIABLES)
def test_the_variables_of_an_operators_machine_are_documented(name: str) -> None:
    assert f"| `{name}` |" in page("docs/configuration.md")


@pytest.mark.parametrize("kind", KINDS)
def test_every_backend_is_documented_with_what_it_needs(kind: str) -> None:
    assert f"\n| `{kind}` |" in page("docs/local.md")


def test_how_to_install_the_emulators_is_documented() -> None:
    assert emulators.INSTALL in page("docs/local.md")


def test_the_readme_says_where_a_function_by_itself_listens_and_what_it_answers() -> None:
    _, _, after = page("README.md").partition("functions-framework --source functions/webhooks/main.py")
    [path] = re.findall(r"curl .* http://127\.0\.0\.1:8080(/\S+)", after)
    assert "401" in after.partition("curl")[0]
    assert any(path.startswith(known) for function in topology.load().functions for known in function.paths)


@pytest.mark.parametrize("name", secrets.NAMES)
def test_secrets_are_documented(name: str) -> None:
    assert f"| `{name}` |" in page("docs/configuration.md")


@pytest.mark.parametrize("reason", Reason)
def test_reasons_are_documented_with_their_next_step(reason: Reason) -> None:
    assert f"| `{reason}` | {reason.sentence} | {reason.advice} |" in page("docs/reasons.md")


@pytest.mark.parametrize("usage", USAGE.values())
def test_commands_are_documented(usage: str) -> None:
    assert f"| `{usage}` |" in page("docs/commands.md")


@pytest.mark.parametrize("function", topology.load().functions, ids=lambda function: function.name)
def test_functions_are_documented_with_what_calls_them(function: topology.Function) -> None:
    [row] = [line for line in page("docs/architecture.md").splitlines() if line.startswith(f"| `{function.name}` |")]
    if function.subscribes:
        assert f"topic `{function.subscribes}`" in row
    assert (function.schedule is not None) == ("Cloud Scheduler" in row)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_line_is_documented_with_its_options(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    lines = [line for line in page("docs/local.md").splitlines() if line.startswith(f"| `signalbox {command.name}")]
    shown = [param for param in command.params if not getattr(param, "hidden", False)]
    options = {name for param in shown for name in param.opts if name.startswith("--")}
    assert options <= set(re.findall(r"--[a-z-]+", "\n".join(lines)))


@pytest.mark.parametrize(
    ("heading", "payload"),
    [
        ("A run's notification", texts.notification(a_run(), Notice("succeeded"), "")),
        ("A target's notification", texts.target_notification(a_target(health=Health()), Notice("health_lost", "now"))),
        ("What is to be analysed", texts.pull_request_analysis("acme/shop", 7, "a" * 40)),
    ],
)
def test_what_n8n_gets_is_documented_field_by_field(heading: str, payload: dict[str, object]) -> None:
    assert fields_under(heading) == list(payload)


async def test_what_n8n_gets_of_a_week_is_documented_field_by_field() -> None:
    async with opened() as scene:
        assert fields_under("The weekly report") == list(
            await weekly_report.weekly(scene.services, Notice(weeks.EVENT, at_time(scene.clock.now())))
        )


def fields_under(heading: str) -> list[str]:
    section = page("docs/n8n.md").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize("key", config.N8n.__struct_fields__)
def test_what_may_be_said_of_n8n_is_documented(key: str) -> None:
    assert re.search(rf"^\| (`\[n8n\]`)? ?\| `{key}` \|", page("docs/configuration.md"), re.MULTILINE)
    assert f"n8n.{key} = " in page("docs/n8n.md")


def test_the_events_that_n8n_hears_of_are_documented() -> None:
    rows = "\n".join(line for line in page("docs/n8n.md").splitlines() if line.startswith("| `event` |"))
    assert set(re.findall(r"`([a-z_]+)`", rows)) - {"event"} == {
        event for event, to in notices.CHANNELS.items() if {notices.N8N, notices.ANALYSIS, notices.REPORT} & set(to)
    }


def test_workflows_are_documented_with_their_settings_and_credentials() -> None:
    rows = set(re.findall(r"^\| `([^`]+)` \|", page("docs/n8n.md"), re.MULTILINE))
    credentials = {
        reference["name"]
        for file in files.load()
        for node in file.document["nodes"]
        for reference in node.get("credentials", {}).values()
    }
    assert {file.stem for file in files.load()} | set(files.load_settings()) | credentials <= rows


@pytest.mark.parametrize("command", workflows.commands.values(), ids=lambda command: command.name)
def test_what_workflows_can_do_is_documented(command: click.Command) -> None:
    [row] = [
        line for line in page("docs/n8n.md").splitlines() if line.startswith(f"| `signalbox workflows {command.name}")
    ]
    said = row + "each command takes `--dir FOLDER` and `--json`"
    assert {name for param in command.params for name in param.opts if name.startswith("--")} <= set(
        re.findall(r"--[a-z-]+", said)
    )


def test_links_between_the_docs_lead_somewhere() -> None:
    for source in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(((?!https?://)[^)#]+)", source.read_text(encoding="utf-8")):
            assert (source.parent / link).exists(), f"{source.name}: {link}"


def test_the_example_in_the_docs_and_the_one_at_the_root_are_accepted() -> None:
    example, order, tokens = re.findall(r"```toml\n(.*?)```", page("docs/configuration.md"), re.DOTALL)
    assert config.parse(example).targets[0].policy.health_path == "/healthz"
    assert len(config.parse(tokens).railway_tokens) == 2
    service = example.partition("[repositories")[2].partition("paths")[0]
    ordered = config.parse(f"[repositories{service}{order}").targets
    assert [one.after for one in ordered] == [None, ordered[0].id]
    assert tomllib.loads(page("signalbox.toml"))
    assert config.load(ROOT / "signalbox.toml").targets
    for written in (config.parse(example), config.parse(tokens), config.load(ROOT / "signalbox.toml")):
        assert all(token.kind == "project" for token in written.railway_tokens)


def test_scenarios_named_in_the_readme_exist() -> None:
    named = re.findall(r"(?:--scenario |SCENARIO=)([a-z-]+)", page("README.md"))
    assert named
    assert set(named) <= set(SCENARIOS)


@pytest.mark.parametrize(
    "module",
    [documents, health, outside, railway, refusals, rest],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_what_the_simulation_checks_is_promised(module: ModuleType) -> None:
    checks = {
        name.replace("_", " ")
        for name, one in vars(module).items()
        if inspect.isfunction(one)
        and one.__module__ == module.__name__
        and one.__annotations__.get("return") == "Iterator[str]"
        and not name.startswith("_")
    }
    promised = set(re.findall(r"`([a-z0-9 ]+)`", page("docs/reliability.md")))
    assert len(checks) > (5 if module in (documents, outside, rest) else 1)
    assert checks - promised == set()


def test_each_line_of_the_threat_model_has_what_shows_it() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    checks = re.findall(r"`([a-z0-9 ]+)`", (ROOT / "docs/reliability.md").read_text(encoding="utf-8"))
    rows = [row for row in re.findall(r"^\| .+ \|$", page, re.MULTILINE) if "shown by" not in row]
    shown = [re.findall(r"`([^`]+)`", row.split(" | ")[-1]) for row in rows]
    proven = [found for found in shown if any(one.startswith("tests/") or one in checks for one in found)]
    assert len(proven) >= 25
    for found in proven:
        for one in found:
            file, _, name = one.partition("::")
            if not file.startswith("tests/"):
                assert one in checks, one
            else:
                source = (ROOT / file).read_text(encoding="utf-8")
                assert not name or re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), one


RESTORING = {
    "gcloud firestore export": {"--database", "--snapshot-time"},
    "gcloud firestore import": {"--database"},
    "gcloud firestore databases create": {"--database", "--location", "--type"},
    "gcloud firestore databases restore": {"--source-backup", "--destination-database"},
    "gcloud firestore databases describe": {"--database"},
    "gcloud firestore databases delete": {"--database"},
    "gcloud firestore databases update": {"--database", "--no-delete-protection"},
    "gcloud firestore backups list": {"--location"},
    "gcloud firestore operations list": {"--database"},
    "gcloud scheduler jobs pause": {"--location"},
    "gcloud scheduler jobs resume": {"--location"},
}
"""As `gcloud … --help` has them."""


def test_what_restores_the_documents_exists() -> None:
    page = (ROOT / "docs/restore.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"gcloud [^`\n]+", page)
    assert len(commands) >= len(RESTORING)
    for command in commands:
        [known] = [one for one in RESTORING if command.startswith(f"{one} ")]
        assert set(re.findall(r"--[a-z-]+", command)) <= RESTORING[known], command
