"""The GitHub App's manifest against what the code asks and hears, the page with the button, and the files it leaves."""

import asyncio
import html
import json
import os
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from vendors.github import OPERATIONS

from functions.webhooks import github
from local.cli.github_app import github_app
from local.doctor.github import LISTENED_TO, NEEDED, PATH
from local.emulation.serving import bind, served, served_by, url_of
from local.github_app import credentials
from local.github_app.manifest import NOWHERE, WORKFLOWS, manifest
from local.github_app.page import Page
from local.world.github.access import EVENTS
from local.world.github.server import GitHubWorld
from shared.clients.github.manifest import NewApp
from shared.runtime.clock import SystemClock

LEVELS = ("read", "write")
NONE: Mapping[str, str] = {}
"""Asked as the App itself, or with no credential at all."""
COMMENTS = {"issues": "write", "pull_requests": "write"}
"""A comment on a pull request stands under both."""
REQUIRED: Mapping[str, Mapping[str, str]] = {
    "actions/create-workflow-dispatch": {"actions": "write"},
    "apps/create-from-manifest": NONE,
    "apps/create-installation-access-token": NONE,
    "apps/get-authenticated": NONE,
    "apps/get-repo-installation": NONE,
    "apps/get-webhook-config-for-app": NONE,
    "apps/list-webhook-deliveries": NONE,
    "apps/redeliver-webhook-delivery": NONE,
    "issues/create-comment": COMMENTS,
    "issues/list-comments": {"issues": "read", "pull_requests": "read"},
    "issues/get-comment": {"issues": "read", "pull_requests": "read"},
    "issues/update-comment": COMMENTS,
    "pulls/create": {"pull_requests": "write"},
    "pulls/list-files": {"pull_requests": "read"},
    "pulls/merge": {"contents": "write"},
    "pulls/update-branch": {"contents": "write", "pull_requests": "write"},
    "rate-limit/get": NONE,
    "reactions/create-for-issue-comment": COMMENTS,
    "reactions/list-for-issue-comment": {"issues": "read", "pull_requests": "read"},
    "repos/compare-commits-with-basehead": {"contents": "read"},
    "repos/create-deployment": {"deployments": "write"},
    "repos/create-deployment-status": {"deployments": "write"},
    "repos/get": {"metadata": "read"},
    "repos/get-branch-rules": {"metadata": "read"},
    "repos/get-collaborator-permission-level": {"metadata": "read"},
    "repos/list-deployment-statuses": {"deployments": "read"},
    "repos/list-deployments": {"deployments": "read"},
    # The pull request's own fields, and StatusCheckRollup with its CheckRun and StatusContext.
    "graphql": {"pull_requests": "read", "checks": "read", "statuses": "read"},
}
"""Source: docs.github.com/rest/authentication/permissions-required-for-github-apps; for GraphQL, which GitHub documents
no such table for, the permissions of the REST operations that show the same."""
HEARD_WITH: Mapping[str, str] = {
    "check_suite": "checks",
    "issue_comment": "issues",
    "pull_request": "pull_requests",
    "pull_request_review": "pull_requests",
    "repository": "metadata",
    "status": "statuses",
}
"""The permission without which an App cannot subscribe (docs.github.com/webhooks/webhook-events-and-payloads)."""


def made(**changes) -> dict[str, object]:
    return manifest(**{"name": "n", "homepage": "https://x.test", "webhook": None, "workflows": False, **changes})


# What it asks for, and what is used


def test_every_operation_of_the_client_has_its_permissions() -> None:
    assert set(REQUIRED) == {*OPERATIONS, "graphql"}


def test_it_asks_for_exactly_the_permissions_that_are_used() -> None:
    used: dict[str, str] = {}
    for permissions in REQUIRED.values():
        for name, level in permissions.items():
            used[name] = max(used.get(name, level), level, key=LEVELS.index)
    assert made(workflows=True)["default_permissions"] == used
    assert made()["default_permissions"] == {name: used[name] for name in used if name not in WORKFLOWS}


def test_it_asks_for_exactly_the_events_that_are_heard() -> None:
    heard = {event for event in HEARD_WITH if github.listened_to(event, b"{}")}
    assert made()["default_events"] == list(LISTENED_TO)
    assert set(LISTENED_TO) == heard == set(github._READERS) == set(github._LISTENED) == set(EVENTS)


def test_each_event_comes_with_a_permission_that_it_asks_for() -> None:
    assert set(HEARD_WITH) == set(LISTENED_TO)
    assert set(HEARD_WITH.values()) <= set(NEEDED)


def test_workflows_are_asked_for_only_when_told() -> None:
    assert "actions" not in NEEDED
    assert made(workflows=True)["default_permissions"] == NEEDED | WORKFLOWS


@pytest.mark.parametrize("permission", [*NEEDED, *WORKFLOWS])
def test_the_permissions_are_documented(permission: str) -> None:
    docs = (Path(__file__).parents[2] / "docs/deployment.md").read_text(encoding="utf-8")
    assert f"`{permission}`" in docs


# The command that prints it


def ran(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(github_app, words, env=environment)


def test_the_manifest_is_printed_as_github_takes_it() -> None:
    url = f"https://signalbox-webhooks-abc.a.run.app{PATH}"
    printed = json.loads(ran("manifest", "--json", "--url", url, "--name", "acme", "--organization", "acme").output)
    assert printed == made(name="acme", homepage="https://github.com/acme", webhook=url)
    GitHubWorld(clock=SystemClock(), webhook_secret="").manifests.register(printed)


def test_the_manifest_is_printed_to_be_read() -> None:
    shown = ran("manifest").output
    assert f"webhook      {NOWHERE}\n" in shown
    assert all(f"{name}: {level}" in shown for name, level in NEEDED.items())
    assert ", ".join(LISTENED_TO) in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--url", "http://x.test/github-webhook"), "not an https address"),
        (("--url", "https://x.test/"), "that ends with /github-webhook"),
        (("--url", "https://x.test:port/github-webhook"), "Invalid"),
        (("--name", "x" * 35), "1 to 34 characters"),
        (("--organization", "acme/shop"), "not the name of an organization"),
    ],
)
def test_what_github_would_refuse_is_refused(words: tuple[str, ...], said: str) -> None:
    refused = ran("manifest", *words)
    assert refused.exit_code == 2
    assert said in " ".join(refused.output.split())


# The page with the button


class Form:
    """The page's form, as a browser reads it."""

    def __init__(self, page: str) -> None:
        [(action, manifest)] = re.findall(r'<form method="post" action="(.*?)">\n<input .*? value="(.*?)">', page)
        self.action, self.manifest = httpx.URL(html.unescape(action)), json.loads(html.unescape(manifest))


@pytest.mark.parametrize(
    ("organization", "path"), [(None, "/settings/apps/new"), ("acme", "/organizations/acme/settings/apps/new")]
)
async def test_the_button_takes_the_manifest_to_github(organization: str | None, path: str) -> None:
    page = Page(made(name='"> <b>'), organization=organization, origin="http://127.0.0.1:1")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=page), base_url="http://127.0.0.1:1") as browser:
        answer = await browser.get("/")
    form = Form(answer.text)
    assert (form.action.host, form.action.path) == ("github.com", path)
    assert form.manifest == made(name='"> <b>') | {"redirect_url": "http://127.0.0.1:1/created"}
    assert "<b>" not in answer.text


async def test_the_code_is_taken_only_with_the_state_that_went_out() -> None:
    page = Page(made(), organization=None, origin="http://127.0.0.1:1")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=page), base_url="http://127.0.0.1:1") as browser:
        state = Form((await browser.get("/")).text).action.params["state"]
        for wrong in ({"code": "c"}, {"code": "c", "state": "guessed"}, {"code": "<b>", "state": state}):
            assert (await browser.get("/created", params=wrong)).status_code == 400
        assert not page.code.done()
        for code in ("first", "second"):
            assert (await browser.get("/created", params={"code": code, "state": state})).status_code == 200
    assert await page.code == "first"


# From the click to the files


async def clicked(output: asyncio.StreamReader, world: GitHubWorld) -> None:
    """A browser that is shown the page, presses the button, and is sent back by GitHub."""
    address = re.findall(r"http://\S+", (await output.readline()).decode())[0]
    async with httpx.AsyncClient() as browser:
        form = Form((await browser.get(address)).text)
        code = world.manifests.register(form.manifest)
        back = {"code": code, "state": form.action.params["state"]}
        assert (await browser.get(form.manifest["redirect_url"], params=back)).status_code == 200


async def test_one_click_makes_the_app_and_leaves_its_credentials_in_files(tmp_path: Path) -> None:
    world = GitHubWorld(clock=SystemClock(), webhook_secret="")
    listening, folder = bind(), tmp_path / "credentials"
    async with served((served_by(world.app), listening)):
        program = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("signalbox"), "github-app", "create"),
            *("--out", str(folder)),
            env=dict(os.environ) | {"GITHUB_API_URL": url_of(listening), "PYTHONUNBUFFERED": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        await clicked(program.stdout, world)
        told = (await program.communicate())[0].decode()

    [answer] = world.manifests.converted
    assert program.returncode == 0, told
    assert (folder / "github-app-private-key").read_text() == answer["pem"]
    assert (folder / "GITHUB-WEBHOOK-SECRET").read_text() == answer["webhook_secret"]
    for secret in (answer["webhook_secret"], answer["client_secret"], *answer["pem"].splitlines()[1:]):
        assert secret not in told
    assert f'github_app_id = "{answer["client_id"]}"' in told
    for name in credentials.FILES:
        assert f"gcloud secrets versions add {name} --data-file={folder / name}\n" in told
    assert "paste the address" in told


def test_a_code_that_github_does_not_take_is_told(tmp_path: Path) -> None:
    async def refused() -> Result:
        world, listening = GitHubWorld(clock=SystemClock(), webhook_secret=""), bind()
        async with served((served_by(world.app), listening)):
            words = ("convert", "made-up", "--out", str(tmp_path))
            return await asyncio.to_thread(ran, *words, GITHUB_API_URL=url_of(listening))

    result = asyncio.run(refused())
    assert result.exit_code == 1
    assert "GitHub does not take the code (used, or an hour old)" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("secret", ["made-by-github", None])
def test_only_the_owner_can_read_the_files(tmp_path: Path, secret: str | None) -> None:
    folder = tmp_path / "credentials"
    app = NewApp(client_id="i", slug="s", html_url="https://x.test", pem="the key", webhook_secret=secret)
    umask = os.umask(0)
    try:
        credentials.make_folder(folder)
        by_github = credentials.keep(folder, app)
    finally:
        os.umask(umask)

    assert by_github == (secret is not None)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    kept = (folder / "GITHUB-WEBHOOK-SECRET").read_text()
    assert kept == secret if secret else len(kept) > 30


def test_credentials_that_are_there_are_not_written_over_and_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / credentials.FILES[0]).write_text("needed")
    refused = ran("convert", "code", "--out", str(tmp_path), GITHUB_API_URL="http://127.0.0.1:1")
    assert refused.exit_code == 1
    assert "is there already" in refused.output
    assert (tmp_path / credentials.FILES[0]).read_text() == "needed"
