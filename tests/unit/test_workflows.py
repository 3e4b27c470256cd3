"""`signalbox workflows`: what it prints, its exit codes, and the next step when something is wrong."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from networks import replying
from threads import in_a_thread

from local.cli import main
from local.emulation.serving import served_by
from local.n8n import delivery, files
from local.n8n.api import Api
from local.world.faults import Fault
from local.world.n8n.server import CHAT, N8nWorld
from local.world.n8n.versions import NEWEST, RULES, Version
from local.world.n8n.webhooks import Webhooks
from local.world.telegram import TelegramWorld
from shared.clients.http import Request, Response
from shared.clients.n8n import N8n as N8nClient
from shared.errors import ConfigError, Refused
from shared.runtime.config import N8n

TOKEN, KEY = "the-token-of-the-webhooks", "the-api-key"
NAMES = ["deployment-notification", "failure-analysis", "pull-request-analysis", "weekly-report"]
SETTINGS = f"""
telegram_chat_id = "{CHAT}"
anthropic_model = "claude-of-the-tests"
anthropic_url = "https://anthropic.test/"
github_url = "https://github.test"
"""
TOML = """
[n8n]
url = "{url}"
notification = "{path}"

[repositories."acme/shop".services.web]
project_id = "p"
service_id = "s"

[repositories."acme/shop".services.web.environments.production]
environment_id = "e"
"""
Command = Callable[..., Result]
Trouble = Callable[[N8nWorld, dict[str, Any], Path], object]


@pytest.fixture
def version() -> Version:
    return NEWEST


@pytest.fixture
def world(version: Version) -> N8nWorld:
    world = N8nWorld(token=TOKEN, path=None, telegram=TelegramWorld(token="1:abc"), api_key=KEY, version=version)
    for number, (type, name) in enumerate(credentials()):
        world.api.credentials[f"c{number}"] = {"id": f"c{number}", "name": name, "type": type, "data": {}}
    return world


def credentials() -> list[tuple[str, str]]:
    """All that the workflows ask for."""
    documents = [file.document for file in files.load()]
    asked = [node.get("credentials", {}) for document in documents for node in document["nodes"]]
    return sorted({(type, reference["name"]) for one in asked for type, reference in one.items()})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the workflows, with settings."""
    copied = Path(shutil.copytree(files.FOLDER, tmp_path / "workflows"))
    (copied / files.SETTINGS).write_text(SETTINGS)
    return copied


class Address:
    """One for all tests, each of which puts its own n8n behind it."""

    world: N8nWorld
    url: str

    async def network(self, sent: Request) -> Response:
        return await self.world.app(sent)


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    address = Address()
    with in_a_thread(served_by(address.network)) as address.url:
        yield address


@pytest.fixture
def environ(world: N8nWorld, address: Address, tmp_path: Path) -> dict[str, str | None]:
    address.world = world
    config = tmp_path / "signalbox.toml"
    config.write_text(TOML.format(url=address.url, path="our-own-path"))
    return {"SIGNALBOX_CONFIG": str(config), "N8N_API_KEY": KEY, "N8N_API": TOKEN, "GOOGLE_CLOUD_PROJECT": None}


@pytest.fixture
def command(folder: Path, environ: dict[str, str | None]) -> Command:
    def run(*words: str, **more: Any) -> Result:
        return CliRunner().invoke(main, ["workflows", *words, "--dir", str(folder)], env=environ, **more)

    return run


@pytest.mark.parametrize("version", RULES)
def test_push_list_diff_and_pull(command: Command, folder: Path, world: N8nWorld) -> None:
    assert "missing" in command("list").stdout
    assert command("diff").exit_code == 1

    pushed = command("push")

    assert pushed.exit_code == 0, pushed.output
    assert "deployment-notification: created, active at /webhook/our-own-path" in pushed.stdout
    assert "unchanged" in command("push", "weekly-report").stdout
    assert (command("diff").exit_code, command("diff").stdout) == (0, "")
    listed = command("list").stdout
    assert listed.count("as the file") == 4
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert command("pull").stdout.splitlines() == [f"{name}: as it was" for name in NAMES]
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert world.notifications == [], "nothing was run"


def test_a_setting_that_changed_differs_and_is_pushed(command: Command, folder: Path, world: N8nWorld) -> None:
    command("push")
    (folder / files.SETTINGS).write_text(SETTINGS.replace(CHAT, "@another"))

    differs = command("diff", "weekly-report")
    [state] = json.loads(command("diff", "weekly-report", "--json").stdout)

    assert differs.exit_code == 1
    assert f'-              "value": "{CHAT}"' in differs.stdout
    assert '+              "value": "@another"' in differs.stdout
    assert state["differs"] == differs.stdout.rstrip("\n")
    assert [one["done"] for one in json.loads(command("push", "--json").stdout)].count("updated") == 2


def test_what_was_changed_in_n8n_is_pulled(command: Command, folder: Path, world: N8nWorld) -> None:
    command("push")
    [there] = [one for one in world.api.workflows.values() if one["name"].endswith("delivery report")]
    there["settings"]["executionTimeout"] = 77

    pulled = json.loads(command("pull", "--json").stdout)

    assert [one["workflow"] for one in pulled if one["changed"]] == ["weekly-report"]
    assert json.loads((folder / "weekly-report.json").read_text())["settings"]["executionTimeout"] == 77
    assert command("diff").exit_code == 0


@pytest.mark.parametrize("version", RULES)
def test_execute_runs_the_workflow_and_says_how_it_ended(command: Command, tmp_path: Path, world: N8nWorld) -> None:
    command("push")
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps({"key": "k", "event": "failed", "text": "hello"}))

    fine = command("execute", "deployment-notification", "--payload", str(payload))
    refused = command("execute", "deployment-notification", "--payload", "-", input='{"key": "k"}')
    as_json = command("execute", "deployment-notification", "--json")

    assert (fine.exit_code, fine.stdout) == (0, "execution 1: success\n")
    assert refused.exit_code == 1
    assert refused.stdout.startswith("execution 2: error\n  Refuse: The notification has no key, event or text\n")
    assert "400 invalid_notification" in refused.stdout
    assert (as_json.exit_code, json.loads(as_json.stdout)["ok"]) == (1, False)
    assert len(world.notifications) == 1


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_payload_that_is_no_json_object_is_not_sent(command: Command, text: str) -> None:
    refused = command("execute", "weekly-report", "--payload", "-", input=text)
    assert refused.exit_code == 2
    assert "JSON" in refused.stderr


def set_world_state(state: Any) -> Trouble:
    return lambda world, environ, folder: setattr(world, "state", state)


def set_credentials(count: int) -> Trouble:
    """So many for GitHub."""

    def change(world: N8nWorld, environ: dict[str, Any], folder: Path) -> None:
        known = world.api.credentials
        [github] = [one for one in known.values() if one["name"] == "Signalbox GitHub"]
        del known[github["id"]]
        known.update({f"g{number}": {**github, "id": f"g{number}"} for number in range(count)})

    return change


def no_n8n(world: N8nWorld, environ: dict[str, Any], folder: Path) -> None:
    config = Path(environ["SIGNALBOX_CONFIG"])
    config.write_text("".join(config.read_text().partition("[repositories")[1:]))


def no_setting(world: N8nWorld, environ: dict[str, Any], folder: Path) -> None:
    (folder / files.SETTINGS).write_text(SETTINGS.replace("https://github.test", ""))


LOST = Fault(when="POST /api/v1/workflows", status=502, after_effect=True)
TROUBLES: dict[str, Trouble] = {
    "no key": lambda world, environ, folder: environ.pop("N8N_API_KEY"),
    "wrong key": lambda world, environ, folder: environ.update(N8N_API_KEY="another"),
    "down": lambda world, environ, folder: world.app.faults.append(Fault(status=503)),
    "starting": set_world_state("starting"),
    "migrating": set_world_state("migrating"),
    "credential": set_credentials(0),
    "two credentials": set_credentials(2),
    "setting": no_setting,
    "no n8n": no_n8n,
    "lost": lambda world, environ, folder: world.app.faults.append(copy.deepcopy(LOST)),
}


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("no key", "environment variable N8N_API_KEY: set it to an API key of http"),
        ("wrong key", "401 Unauthorized\nSee that N8N_API_KEY is an API key of this n8n"),
        ("down", "503\nSee that n8n runs at the url of [n8n]"),
        ("starting", "n8n is still starting\nSee that n8n runs"),
        ("migrating", "n8n is still starting\nSee that n8n runs"),
        ("credential", "failure-analysis: n8n has no credential 'Signalbox GitHub' of type httpHeaderAuth: make it"),
        ("two credentials", "n8n has 2 credentials 'Signalbox GitHub' of type httpHeaderAuth: rename all but one"),
        ("setting", "failure-analysis: setting github_url is empty: give it a value in settings.toml"),
        ("no n8n", "has no table [n8n]"),
        ("lost", "Nothing is lost: look with `signalbox workflows list`, then do the same again."),
    ],
)
def test_what_is_wrong_is_told_with_the_next_step(
    command: Command, environ: dict[str, Any], folder: Path, world: N8nWorld, trouble: str, said: str
) -> None:
    TROUBLES[trouble](world, environ, folder)

    refused = command("push")

    assert refused.exit_code == 1
    assert said in refused.stderr
    assert KEY not in refused.output
    if trouble != "lost":
        assert world.api.workflows == {}, "nothing was changed"


def test_a_push_whose_answer_was_lost_is_completed_by_the_next(command: Command, world: N8nWorld) -> None:
    world.app.faults.append(copy.deepcopy(LOST))
    assert command("push").exit_code == 1

    assert command("push").exit_code == 0

    assert len(world.api.workflows) == 4


def test_an_active_workflow_whose_webhook_n8n_lost_is_activated_again(
    command: Command, world: N8nWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "ACTIVATED_AGAIN_AFTER", 0.1)
    command("push", "weekly-report")
    world.api.webhooks = Webhooks()

    again = command("push", "weekly-report")

    assert again.exit_code == 0, again.output
    assert "weekly-report: unchanged, active at /webhook/signalbox-weekly-report" in again.stdout


def test_a_webhook_that_another_workflow_got_first_is_told_with_n8ns_reason(
    command: Command, world: N8nWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that want one path at the same time are both told that they are active."""
    monkeypatch.setattr(delivery, "ACTIVATED_AGAIN_AFTER", 0.1)
    command("push", "weekly-report")
    [report] = world.api.workflows.values()
    world.api.webhooks = Webhooks(_there={"other": {**report, "id": "other"}})
    monkeypatch.setattr(N8nClient, "registered", _none_registered)

    refused = command("push", "weekly-report")

    assert refused.exit_code == 1
    assert "409 There is a conflict with one of the webhooks.\nAnother workflow of this n8n has" in refused.stderr


@pytest.mark.parametrize(("version", "status"), [("2.8.4", 400), ("2.41.1", 409)])
def test_a_path_that_another_workflow_has_is_told_with_what_to_do(
    command: Command, world: N8nWorld, status: int
) -> None:
    command("push", "weekly-report")
    [report] = world.api.workflows.values()
    report["name"] = "Somebody's own"

    refused = command("push", "weekly-report")

    assert refused.exit_code == 1
    assert f"{status} There is a conflict with one of the webhooks." in refused.stderr
    assert "has signalbox-weekly-report: change it there, or in [n8n] of signalbox.toml." in refused.stderr


@pytest.mark.parametrize("version", RULES)
def test_a_change_that_n8n_refuses_leaves_what_was_there(command: Command, folder: Path, world: N8nWorld) -> None:
    command("push", "weekly-report")
    [report] = world.api.workflows.values()
    before = copy.deepcopy(report["nodes"])
    (folder / files.SETTINGS).write_text(SETTINGS.replace(CHAT, "@another"))
    refusal = {"message": "request/body is not liked"}
    world.app.faults.append(Fault(when="PUT /api/v1/workflows", status=400, body=refusal))

    refused = command("push", "weekly-report")

    assert refused.exit_code == 1
    assert "400 request/body is not liked" in refused.stderr
    [report] = world.api.workflows.values()
    assert (report["active"], report["nodes"]) == (True, before)


@pytest.mark.parametrize("version", RULES)
def test_a_webhook_whose_credential_was_made_anew_is_pushed(command: Command, world: N8nWorld) -> None:
    command("push", "weekly-report")
    known = world.api.credentials
    [old] = [id for id, one in known.items() if one["name"] == "Signalbox webhook"]
    known["new"] = {**known.pop(old), "id": "new"}

    pushed = command("push", "weekly-report")

    assert pushed.exit_code == 0, pushed.output
    assert "weekly-report: updated" in pushed.stdout


async def _none_registered(*_: object) -> bool:
    """As long as the other's webhook is not there either."""
    return False


def test_what_is_pushed_while_n8n_is_upgraded_is_told_and_completed_by_the_next(
    command: Command, world: N8nWorld
) -> None:
    world.api.version = "2.8.4"
    command("push", "weekly-report")
    world.state = "migrating"
    assert "n8n is still starting" in command("push").stderr

    world.api.version, world.state = "2.41.1", "active"
    pushed = command("push")

    assert pushed.exit_code == 0, pushed.output
    assert "weekly-report: unchanged" in pushed.stdout
    assert command("list").stdout.count("as the file") == 4


def test_unknown_workflows_are_refused(command: Command) -> None:
    refused = command("push", "weekly", "weekly-report")
    assert refused.exit_code == 2
    assert "there is no workflow weekly; there are deployment-notification," in refused.stderr


# The files

ALL = files.load()


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.stem)
def test_a_file_is_as_pull_would_write_it_and_holds_nothing_of_a_server(file: files.WorkflowFile) -> None:
    text = (files.FOLDER / f"{file.stem}.json").read_text(encoding="utf-8")
    assert text == files.text_of(file.document)
    assert files.take_back(file.document, {}) == file.document
    assert "$env" not in text
    assert "$credentials" not in text


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.stem)
def test_every_workflow_asks_for_the_token_and_shows_its_failures(file: files.WorkflowFile) -> None:
    nodes = {node["name"]: node for node in file.document["nodes"]}
    links = {name: outgoing["main"] for name, outgoing in file.document["connections"].items()}
    webhook = nodes["Webhook"]
    assert webhook["parameters"]["authentication"] == "jwtAuth"
    assert webhook["credentials"]["jwtAuth"]["name"] == "Signalbox webhook"
    assert webhook["webhookId"]
    for outgoing in links.values():
        assert all(set(link) == {"node", "type", "index"} and link["node"] in nodes for out in outgoing for link in out)
    calls = [name for name, node in nodes.items() if node.get("onError") == "continueErrorOutput"]
    assert set(calls) == {n for n, node in nodes.items() if node["type"].endswith((".httpRequest", ".telegram"))}
    for name in calls:
        [then] = (link["node"] for link in links[name][1])
        if nodes[then]["type"] == "n8n-nodes-base.if":  # one kind of failure that can be got around
            [[_], [otherwise]] = links[then]
            then = otherwise["node"]
        assert then == "Respond Failed"
    for name, node in nodes.items():
        code = node["parameters"].get("options", {}).get("responseCode", 200) if "espond" in node["type"] else 200
        if code >= 300:
            [[ending]] = links[name]
            assert nodes[ending["node"]]["type"] == "n8n-nodes-base.stopAndError"


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.stem)
def test_no_answer_that_breaks_off_is_waited_for(file: files.WorkflowFile) -> None:
    """n8n waits five minutes for the rest of one whose form it is to find out: its time limit is for the headers."""
    calls = [node for node in file.document["nodes"] if node["type"].endswith(".httpRequest")]
    for node in calls:
        options = node["parameters"]["options"]
        assert options["response"]["response"]["responseFormat"] in ("json", "text"), node["name"]
        assert options["timeout"] <= 60_000, node["name"]


def test_paths_of_signalbox_toml_are_used_and_taken_back() -> None:
    ours = {name: f"our-{number}" for number, name in enumerate(files.PATHS)}
    paths = files.paths_of(N8n(url="https://n8n.test", **ours))
    known = tuple(files.Credential(f"id{n}", name, type) for n, (type, name) in enumerate(credentials()))
    settings = {"anthropic_model": "m", "anthropic_url": "a", "github_url": "g", "telegram_chat_id": "c"}
    settings["repositories"] = "acme/shop"

    filled = [files.fill_in(file, files.Filling(settings=settings, credentials=known, paths=paths)) for file in ALL]

    assert sorted(map(str, map(files.webhook_path, filled))) == sorted(ours.values())
    assert [files.take_back(one, paths) for one in filled] == [file.document for file in ALL]


def test_every_workflow_has_a_key_in_signalbox_toml_and_its_nodes_ids_of_their_own() -> None:
    assert sorted(map(str, (files.webhook_path(file.document) for file in ALL))) == sorted(files.PATHS.values())
    assert set(files.PATHS) == set(N8n.__struct_fields__) - {"url"}
    for file in ALL:
        ids = [node["id"] for node in file.document["nodes"]]
        assert len(set(ids)) == len(ids), file.stem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1", "a: is not a text"),
        ('a = "=x"', "begins with `=`"),
        ('a = " =x"', "begins with `=`"),
        ("a =", "cannot be read"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / files.SETTINGS).write_text(text)
    with pytest.raises(ConfigError, match=said):
        files.load_settings(tmp_path)


async def test_a_workflow_that_is_no_object_is_refused() -> None:
    api = Api(url="http://n8n.test", key="k", network=replying(lambda _: httpx.Response(200, json=[])))
    with pytest.raises(Refused, match="of another form"):
        await api.workflow("1")
    await api.close()


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"type": "t", "parameters": {}}, r"missing required field `name` - at `\$\.nodes\[0\]`"),
        ({"name": "n", "type": "t", "parameters": {"path": 7}}, r"\$\.nodes\[0\]\.parameters\.path"),
        ({"name": "Settings", "type": "t", "parameters": {"assignments": [7]}}, r"\.parameters\.assignments"),
        ({"name": "n", "type": "t", "parameters": {}, "credentials": {"t": {"id": 1}}}, r"\.credentials"),
    ],
)
def test_a_workflow_of_another_form_is_refused_with_the_place(tmp_path: Path, node: object, said: str) -> None:
    workflow = {"name": "x", "nodes": [node], "connections": {}, "settings": {}}
    (tmp_path / "x.json").write_text(json.dumps(workflow))
    with pytest.raises(ConfigError, match=rf"x\.json: .*{said}"):
        files.load(tmp_path)


def test_a_webhook_without_a_path_and_settings_without_any_are_nothing_to_fill_in(tmp_path: Path) -> None:
    nodes = [{"name": name, "type": files.WEBHOOK, "parameters": {}} for name in ("Webhook", files.SETTINGS_NODE)]
    workflow = {"name": "x", "nodes": nodes, "connections": {}, "settings": {}}
    (tmp_path / "x.json").write_text(json.dumps(workflow))
    [file] = files.load(tmp_path)
    assert files.fill_in(file, files.Filling(settings={}, credentials=())) == workflow
    assert files.webhook_path(workflow) is None


def test_a_folder_or_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no workflow in it"):
        files.load(tmp_path)
    (tmp_path / "x.json").write_text('{"name": "x", "id": "1"}')
    with pytest.raises(ConfigError, match="and nothing else"):
        files.load(tmp_path)
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        files.load(tmp_path)
