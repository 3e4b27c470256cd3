"""The doctor: a project that is well, each thing that can be wrong with its next step, and no secret in any of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from msgspec.structs import replace
from networks import replying
from unit.functions.scene import START, TARGET, Scene, opened

from functions.webhooks.github import listened_to
from local.doctor import Finding, Project, Subject, examine, look_at
from local.doctor.github import LISTENED_TO, NEEDED
from local.github_app.manifest import NOWHERE
from local.world.faults import Fault
from local.world.github.access import EVENTS, PERMISSIONS
from local.world.railway.deployment import CustomDomain
from local.world.vendors import APP_ID, ENVIRONMENT, PROJECT, REPOSITORY, SERVICE, made_up_secrets
from shared.core.target import Target
from shared.runtime.config import Config

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "doctor.md").read_text(encoding="utf-8")
OWN = "RAILWAY-PRODUCTION"
MANIFEST = (
    "pull_request",
    "pull_request_review",
    "issue_comment",
    "push",
    "check_suite",
    "check_run",
    "repository",
    "status",
)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A project at work: a webhook of each vendor has arrived."""
    async with opened() as scene:
        settings(scene, signalbox_backend="local.emulation.backend:open_backend")
        scene.open_pull_request()
        await scene.github.tick()
        await scene.save(Target(id=TARGET, verified=(scene.serving(),), heard={"railway": START}))
        scene.use_project_token(OWN)
        del scene.secrets["RAILWAY_API"]
        yield scene


async def findings(scene: Scene) -> list[Finding]:
    """Of this scene; nothing in it is a secret, and every next step is in the docs."""
    project = Project(environ={}, services=scene.services, config=scene.services.config)
    found = await look_at(project)
    told = msgspec.json.encode(found).decode()
    for secret in scene.secrets.values():
        assert secret not in told
        assert secret.splitlines()[-1] not in told
    for finding in found:
        assert bool(finding.next_step) == (finding.state in {"warning", "failed"})
        assert finding.next_step in DOCS
    return found


async def found(scene: Scene, subject: Subject) -> tuple[str, str, str]:
    """State, detail and next step of the one finding of a subject."""
    (finding,) = [one for one in await findings(scene) if one.subject is subject]
    return finding.state, finding.detail, finding.next_step


@pytest.mark.parametrize("subject", Subject)
def test_each_subject_is_documented(subject: Subject) -> None:
    assert f"| `{subject}` |" in DOCS


def test_the_app_is_to_be_told_of_exactly_what_is_listened_to() -> None:
    assert set(LISTENED_TO) == {event for event in MANIFEST if listened_to(event, b"{}")}
    assert (set(EVENTS), PERMISSIONS) == (set(LISTENED_TO), NEEDED)


async def test_a_project_that_is_well(scene: Scene) -> None:
    told = await findings(scene)

    states = {one.subject: one.state for one in told}
    not_here = {Subject.TOPICS, Subject.SUBSCRIPTIONS}
    assert states == {
        subject: "skipped" if subject in not_here else "ok" for subject in Subject if subject != "configuration"
    }
    assert [one.subject for one in told] == sorted((one.subject for one in told), key=list(Subject).index)
    assert {one.about for one in told if one.subject.name.startswith("RAILWAY_")} == {OWN, TARGET}
    assert {one.about for one in told if one.subject is Subject.SECRET} >= {OWN, "github-app-private-key"}


async def test_nothing_is_changed(scene: Scene) -> None:
    scene.bus.take()
    before = (await scene.target(), await scene.runs(), scene.store.commits)
    calls = len(scene.github.app.calls)

    await findings(scene)

    assert (await scene.target(), await scene.runs(), scene.store.commits) == before
    assert scene.bus.published == []
    assert {call.method for call in scene.github.app.calls[calls:]} == {"GET"}
    assert all(b'"query":"query ' in call.body for call in scene.railway.app.calls)
    assert scene.n8n.notifications == []


Provoke = Callable[[Scene], Any]


def settings(scene: Scene, **changes: Any) -> None:
    scene.services.settings = replace(scene.services.settings, **changes)


def service(**changes: Any) -> Provoke:
    """Something about the service on Railway."""

    def change(scene: Scene) -> None:
        for name, value in changes.items():
            setattr(scene.railway_service, name, value)

    return change


def without(things: str, name: str) -> Provoke:
    """A permission or an event that the App lacks."""

    def change(scene: Scene) -> None:
        left = getattr(scene.github.access, things)
        left.remove(name) if isinstance(left, list) else left.update({name: "read"})

    return change


def one_for_all(is_one: Any, says: str) -> Provoke:
    """RAILWAY-API is used, as before: what kind of token it is, and what signalbox.toml says."""

    def change(scene: Scene) -> None:
        scene.token_secret = None
        scene.configure(more=f'[railway]\ntoken = "{says}"')
        scene.railway.token_kind = is_one
        scene.secrets["RAILWAY_API"] = scene.railway.token

    return change


def wide_token(scene: Scene) -> None:
    """An account's token in the secret that is to hold a project token."""
    scene.secrets["RAILWAY_PRODUCTION"] = scene.railway.token
    scene.railway.token_kind = "account"


def config_file(**changes: Any) -> Provoke:
    """What is live was configured by a file; the changes are to its deployment."""

    def change(scene: Scene) -> None:
        [live] = scene.railway.deployments(SERVICE, ENVIRONMENT)
        live.config_file, live.healthcheck_path = "/railway.json", "/api/health"
        scene.railway_service.file_healthcheck_path = "/api/health"
        for name, value in changes.items():
            setattr(scene.railway_service, name, value)

    return change


def fault(vendor: str, when: str, **fault: Any) -> Provoke:
    def change(scene: Scene) -> None:
        getattr(scene, vendor).app.faults.append(Fault(when=when, times=100, **fault))

    return change


def hook(**config: Any) -> Provoke:
    return fault("github", "/app/hook/config", status=200, body=config)


WELL = {"url": "https://signalbox.test/github-webhook", "content_type": "json", "secret": "********"}
PROBLEMS: dict[str, tuple[Subject, str, str, str, Provoke]] = {
    "a secret that is missing": (
        *(Subject.SECRET, "failed", "N8N_API", "Give the secret a version"),
        lambda scene: scene.secrets.pop("N8N_API"),
    ),
    "a secret that can be guessed": (
        *(Subject.SECRET, "warning", "of only 8 characters", "Make one with `openssl rand -hex 32`"),
        lambda scene: scene.secrets.update(RAILWAY_WEBHOOK_SECRET="password"),
    ),
    "a store that is down": (
        *(Subject.STORE, "failed", "the store is down", "Try again"),
        lambda scene: setattr(scene.store, "down", True),
    ),
    "another App's key": (
        *(Subject.GITHUB_APP, "failed", "Integration not found", "Compare GITHUB_APP_ID"),
        lambda scene: settings(scene, github_app_id="7"),
    ),
    "no App": (
        *(Subject.GITHUB_DELIVERIES, "skipped", "GITHUB_APP_ID is not set", ""),
        lambda scene: settings(scene, github_app_id=""),
    ),
    "an App that is not installed": (
        *(Subject.GITHUB_INSTALLATION, "failed", "404", "Install the App"),
        lambda scene: scene.github.repositories.clear(),
    ),
    "a suspended installation": (
        *(Subject.GITHUB_INSTALLATION, "failed", "suspended since 2026-11-20", "Unsuspend"),
        fault("github", "/installation", status=200, body={"id": 7, "suspended_at": "2026-11-20T00:00:00Z"}),
    ),
    "a permission that is too small": (
        *(Subject.GITHUB_PERMISSIONS, "failed", "missing: contents write (has read)", "Give the App"),
        without("permissions", "contents"),
    ),
    "an event that is not subscribed to": (
        *(Subject.GITHUB_EVENTS, "failed", "missing: status", "Subscribe"),
        without("events", "status"),
    ),
    "a webhook without an address": (*(Subject.GITHUB_WEBHOOK, "failed", "nowhere", "Set the webhook in"), hook()),
    "a webhook to somewhere else": (
        *(Subject.GITHUB_WEBHOOK, "failed", "goes to https://old.test/hook", "Set the webhook in"),
        hook(**WELL | {"url": "https://old.test/hook"}),
    ),
    "a webhook of an App that was just registered": (
        *(Subject.GITHUB_WEBHOOK, "failed", f"goes to {NOWHERE}", "Set the webhook in"),
        hook(**WELL | {"url": NOWHERE}),
    ),
    "a webhook in the open": (
        *(Subject.GITHUB_WEBHOOK, "failed", "goes to http://", "Set the webhook in"),
        hook(**WELL | {"url": "http://signalbox.test/github-webhook"}),
    ),
    "a webhook as a form": (
        *(Subject.GITHUB_WEBHOOK, "failed", "is sent as form", "Set the content type"),
        hook(**WELL | {"content_type": "form"}),
    ),
    "a webhook to any certificate": (
        *(Subject.GITHUB_WEBHOOK, "failed", "to whatever certificate", "Set the content type"),
        hook(**WELL | {"insecure_ssl": 1}),
    ),
    "a webhook without a secret": (
        *(Subject.GITHUB_WEBHOOK, "failed", "not signed", "Set the webhook's secret"),
        lambda scene: setattr(scene.github.webhooks, "secret", ""),
    ),
    "no webhook for three days": (
        *(Subject.GITHUB_DELIVERIES, "warning", "none in the last three days", "Push to a pull request"),
        lambda scene: scene.pass_time(4 * 86400),
    ),
    "no webhook today": (
        *(Subject.GITHUB_DELIVERIES, "ok", "the last was sent 2026-11-22 12:00 UTC", ""),
        lambda scene: scene.pass_time(2 * 86400),
    ),
    "GitHub is down": (
        *(Subject.GITHUB_APP, "failed", "502", "Try again"),
        fault("github", "", status=502),
    ),
    "a Railway token that is refused": (
        *(Subject.RAILWAY_TOKEN, "failed", "Project Token not found", "Make a new token"),
        lambda scene: scene.railway.project_tokens.clear(),
    ),
    "a project token that is called an account's": (
        *(Subject.RAILWAY_TOKEN, "failed", "of the kind project", "Say in signalbox.toml"),
        one_for_all("project", "account"),
    ),
    "an account's token that is called a project's": (
        *(Subject.RAILWAY_TOKEN, "failed", "of the kind account", "Say in signalbox.toml"),
        one_for_all("account", "project"),
    ),
    "a project token": (
        *(Subject.RAILWAY_TOKEN, "ok", f"a project token of the environment of {TARGET}", ""),
        one_for_all("project", "project"),
    ),
    "a token without a secret": (
        *(Subject.RAILWAY_TOKEN, "failed", "RAILWAY_PRODUCTION", "See the line of that secret"),
        lambda scene: scene.secrets.pop("RAILWAY_PRODUCTION"),
    ),
    "an account's token": (
        *(Subject.RAILWAY_TOKEN, "warning", "can delete, all that is in Workspace", "Replace it: make a project token"),
        one_for_all("account", "account"),
    ),
    "an account's token where a project token is named": (
        *(
            Subject.RAILWAY_TOKEN,
            "failed",
            "is a token of the kind account",
            "Give the secret a version with a project",
        ),
        wide_token,
    ),
    "a project token of another environment": (
        *(Subject.RAILWAY_TOKEN, "failed", f"of the project {PROJECT}, and not {TARGET}", "Give the secret a version"),
        lambda scene: scene.hold_project_token(OWN, "environment-other"),
    ),
    "an account's token that no target uses any more": (
        *(Subject.RAILWAY_TOKEN, "warning", "which no target uses", "Delete that token on Railway"),
        lambda scene: scene.secrets.update(RAILWAY_API=scene.railway.token),
    ),
    "a project that Railway shows no project token": (
        *(Subject.RAILWAY_IDS, "warning", "does not let a project token use `project`", "Look at it in Railway's"),
        lambda scene: scene.railway.refused_to_project_tokens.add("project"),
    ),
    "an auto-deploy that Railway shows no project token": (
        *(Subject.RAILWAY_AUTO_DEPLOY, "warning", "use `serviceInstanceAutoDeployStatus`", "Look at it in Railway's"),
        lambda scene: scene.railway.refused_to_project_tokens.add("serviceInstanceAutoDeployStatus"),
    ),
    "a project that is not there": (
        *(Subject.RAILWAY_IDS, "failed", "Project not found", "Compare the ids"),
        service(project_id="other"),
    ),
    "an environment that is not there": (
        *(Subject.RAILWAY_IDS, "failed", "no such environment", "Compare the ids"),
        service(environment_id="other"),
    ),
    "a service that is not there": (
        *(Subject.RAILWAY_IDS, "failed", "no such service", "Compare the ids"),
        service(service_id="other"),
    ),
    "an image": (
        *(Subject.RAILWAY_SOURCE, "failed", "from the image nginx:1", "Connect the service"),
        service(image="nginx:1"),
    ),
    "another repository": (
        *(Subject.RAILWAY_SOURCE, "failed", "connected to acme/other", "Connect the service"),
        service(repository="acme/other"),
    ),
    "no source": (
        *(Subject.RAILWAY_SOURCE, "failed", "connected to nothing", "Connect the service"),
        service(image="", repository=None),
    ),
    "no branch": (*(Subject.RAILWAY_BRANCH, "skipped", "Railway names none", ""), service(image="nginx:1")),
    "a private service": (
        *(Subject.RAILWAY_ADDRESS, "warning", "has no domain", "Give the service a domain"),
        service(domain=None),
    ),
    "a domain of the old host": (
        *(
            Subject.RAILWAY_ADDRESS,
            "warning",
            "shop.example is not used: its DNS record",
            "Nothing to do while the domain is being moved",
        ),
        service(custom_domains=[CustomDomain(domain="shop.example", elsewhere="0" * 40)]),
    ),
    "no health check": (
        *(Subject.RAILWAY_HEALTH_CHECK, "warning", "none is set", "Set the health check path"),
        service(healthcheck_path=None),
    ),
    "a health check that stands only in a file": (
        *(Subject.RAILWAY_HEALTH_CHECK, "warning", "none is set but in /railway.json", "Set the health check path"),
        config_file(healthcheck_path=None),
    ),
    "a file that Railway stops reading": (
        *(
            Subject.RAILWAY_CONFIG_FILE,
            "warning",
            "was configured by /railway.json, which Railway stops reading on 2026-12-01",
            "Set the same in the service's settings",
        ),
        config_file(),
    ),
    "a file that Railway stops reading, and the health check only there": (
        *(
            Subject.RAILWAY_CONFIG_FILE,
            "warning",
            "2026-12-01. The health check /api/health stands only there: a later deployment goes live without it",
            "Set the same in the service's settings",
        ),
        config_file(healthcheck_path=None),
    ),
    "nothing that is live": (
        *(Subject.RAILWAY_CONFIG_FILE, "skipped", "nothing is live", ""),
        lambda scene: setattr(scene.railway.deployments(SERVICE, ENVIRONMENT)[0], "status", "CRASHED"),
    ),
    "no overlap": (
        *(Subject.RAILWAY_OVERLAP, "warning", "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS", "Set the overlap"),
        service(overlap_seconds=None),
    ),
    "a service that cannot be read": (
        *(Subject.RAILWAY_OVERLAP, "skipped", "see Railway source", ""),
        fault("railway", "query Service(", status=500),
    ),
    "two deployments for each merge": (
        *(Subject.RAILWAY_AUTO_DEPLOY, "failed", "deployed twice", "Turn auto-deploy off"),
        service(auto_deploy=True),
    ),
    "nothing to adopt": (
        *(Subject.RAILWAY_AUTO_DEPLOY, "warning", "waited for 60 s in vain", "Turn auto-deploy on"),
        lambda scene: scene.configure(auto_deploy="adopt"),
    ),
    "another branch": (
        *(Subject.RAILWAY_BRANCH, "warning", "Railway deploys dev, and signalbox.toml main", "Name the same branch"),
        service(branch="dev"),
    ),
    "no webhook of Railway": (
        *(Subject.RAILWAY_WEBHOOK, "warning", "none has been noted", "Add a webhook"),
        lambda scene: scene.save(Target(id=TARGET)),
    ),
    "a workflow that is not active": (
        *(
            Subject.N8N_WORKFLOW,
            "failed",
            "no active workflow at signalbox-notification",
            "Run `signalbox workflows push`",
        ),
        lambda scene: setattr(scene.n8n, "state", "inactive"),
    ),
    "n8n is starting": (
        *(Subject.N8N_WORKFLOW, "failed", "still starting", "Try again"),
        lambda scene: setattr(scene.n8n, "state", "migrating"),
    ),
    "a workflow open to everybody": (
        *(Subject.N8N_WORKFLOW, "failed", "400 to a call with a wrong token", "Run `signalbox workflows push`"),
        fault("n8n", "", status=400, body={"ok": False}),
    ),
    "no n8n": (
        *(Subject.N8N_WORKFLOW, "skipped", "names no n8n", ""),
        lambda scene: scene.configure(n8n=False),
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
async def test_what_is_wrong_is_found_with_what_to_do(scene: Scene, problem: str) -> None:
    subject, state, detail, step, provoke = PROBLEMS[problem]
    done = provoke(scene)
    if asyncio.iscoroutine(done):
        await done

    told = [one for one in await findings(scene) if one.subject is subject]

    # Of several secrets, the one that is about it
    (finding,) = [one for one in told if one.state == state and detail in one.detail]
    assert finding.next_step.startswith(step) if step else finding.next_step == ""


async def test_webhooks_that_do_not_get_through(scene: Scene) -> None:
    # Given one webhook that was lost among those that arrived
    scene.github.webhooks.deliver = None
    scene.github.set_draft(REPOSITORY, 1)
    scene.github.push(REPOSITORY, 1)
    scene.github.webhooks.queue.pop()
    await scene.github.tick()
    assert (await found(scene, Subject.GITHUB_DELIVERIES))[:1] == ("warning",)

    # When most are lost
    for _ in range(10):
        scene.github.push(REPOSITORY, 1)
    await scene.github.tick()

    # Then that is a failure
    state, detail, step = await found(scene, Subject.GITHUB_DELIVERIES)
    assert (state, "of the last day did not get through" in detail) == ("failed", True)
    assert step.startswith("See the App's settings")


async def test_an_adopted_deployment_is_of_the_right_branch(scene: Scene) -> None:
    scene.configure(auto_deploy="adopt")
    scene.railway_service.auto_deploy = True
    assert (await found(scene, Subject.RAILWAY_AUTO_DEPLOY))[1] == "on, and adopted"
    assert (await found(scene, Subject.RAILWAY_BRANCH))[0] == "ok"

    scene.railway_service.branch = "dev"
    assert (await found(scene, Subject.RAILWAY_BRANCH))[0] == "failed"


STAGING = (
    f'[repositories."{REPOSITORY}".services.web.environments.staging]\nparallel = true\nenvironment_id = "elsewhere"'
)


async def test_one_project_token_for_two_environments(scene: Scene) -> None:
    # Given a file of before, by which one project token is to open both
    one_for_all("project", "project")(scene)
    scene.token_secret = None
    scene.configure(more=f'[railway]\ntoken = "project"\n{STAGING}')

    # Then doctor says which environment it opens, and which it does not
    state, detail, step = await found(scene, Subject.RAILWAY_TOKEN)
    assert (state, step.partition(",")[0]) == (
        "failed",
        "Give the secret a version with a project token of that environment",
    )
    assert detail == f"opens the environment {ENVIRONMENT} of the project {PROJECT}, and not acme:shop:web:staging"


async def test_each_environments_token_is_looked_at_by_itself(scene: Scene) -> None:
    # Given two environments, of which one has the token of the other
    scene.hold_project_token("RAILWAY-STAGING", ENVIRONMENT)
    scene.configure(more=f'{STAGING}\nrailway_token_secret = "RAILWAY-STAGING"')

    # When the project is looked at
    told = {one.about: one for one in await findings(scene) if one.subject is Subject.RAILWAY_TOKEN}

    # Then each secret has its line
    assert (told[OWN].state, told["RAILWAY-STAGING"].state) == ("ok", "failed")
    assert told["RAILWAY-STAGING"].detail.endswith("and not acme:shop:web:staging")


async def test_an_account_token_is_never_ok(scene: Scene) -> None:
    one_for_all(None, "account")(scene)
    scene.configure(more=STAGING)
    states = [one.state for one in await findings(scene) if one.subject is Subject.RAILWAY_TOKEN]
    assert states == ["warning"]


async def test_after_that_day_a_config_file_is_no_longer_read(scene: Scene) -> None:
    # Given a service whose start command and health check stand in a file
    config_file(healthcheck_path=None)(scene)
    scene.railway_service.file_deploy = {"startCommand": "serve", "preDeployCommand": None}

    # When Railway has stopped reading it
    scene.pass_time(9 * 86400)
    told = [one for one in await findings(scene) if one.subject is Subject.RAILWAY_CONFIG_FILE]

    # Then it says so, and what is lost with it
    assert [one.state for one in told] == ["warning"]
    assert told[0].detail.startswith("what is live names /railway.json, which Railway no longer reads since 2026-12-01")
    assert told[0].detail.endswith("unless the service's settings say the same: deploy.startCommand")


async def test_a_configuration_in_typescript_stays(scene: Scene) -> None:
    config_file()(scene)
    scene.railway.deployments(SERVICE, ENVIRONMENT)[0].config_file = ".railway/railway.ts"
    assert (await found(scene, Subject.RAILWAY_CONFIG_FILE))[0] == "ok"


async def test_a_deployment_that_went_by_without_a_webhook(scene: Scene) -> None:
    later = replace(scene.serving(), at=START + timedelta(days=3))
    await scene.save(replace(await scene.target(), verified=(later,)))

    state, detail, step = await found(scene, Subject.RAILWAY_WEBHOOK)

    assert (state, detail) == ("warning", "the last arrived 2026-11-22 12:00 UTC, before the last deployment")
    assert step.startswith("Add a webhook")


# From the environment


def environment(folder: Path, text: str, **more: str) -> dict[str, str]:
    path = folder / "signalbox.toml"
    path.write_text(text, encoding="utf-8")
    return {
        **made_up_secrets(),
        "GITHUB_APP_ID": APP_ID,
        "SIGNALBOX_BACKEND": "local.emulation.backend:open_backend",
        "SIGNALBOX_CONFIG": str(path),
        "SIGNALBOX_LOCAL_DIR": str(folder / "store"),
        **more,
    }


GOOD = f"""
[repositories."{REPOSITORY}".services.web]
project_id = "{PROJECT}"
service_id = "{SERVICE}"
environments.production.environment_id = "{ENVIRONMENT}"
"""
NOBODY = {name: replying(lambda _: httpx.Response(503)) for name in ("github", "railway", "n8n")}


async def test_every_problem_of_the_configuration_is_told_at_once(tmp_path: Path) -> None:
    wrong = GOOD.replace("project_id", "projectid") + '\n[repositories.shop]\n[n8n]\nadress = "x"\n'
    environ = environment(
        tmp_path, wrong, SIGNALBOX_VISIBLE="soon", SIGNALBOX_LOG_LEVEL="LOUD", GITHUB_APP_ID="", RAILWAY_API=""
    )

    told = await examine(environ, networks=NOBODY)

    details = [one.detail for one in told if one.subject is Subject.CONFIGURATION]
    wanted = ("SIGNALBOX_LOG_LEVEL", "SIGNALBOX_VISIBLE", ".services.web: Object", 'repositories."shop"', "n8n: Obj")
    assert [next((part for part in wanted if part in detail), detail) for detail in details] == [
        *("SIGNALBOX_LOG_LEVEL", "SIGNALBOX_VISIBLE", ".services.web: Object", 'repositories."shop"', "n8n: Obj")
    ]
    assert {one.state for one in told if one.subject is not Subject.CONFIGURATION} == {"skipped"}


async def test_what_does_not_need_the_targets_is_looked_at_without_them(tmp_path: Path) -> None:
    told = await examine(environment(tmp_path, "nonsense =", GITHUB_APP_ID=""), networks=NOBODY)

    states = {one.subject: one.state for one in told}
    assert [one.detail for one in told if "GITHUB_APP_ID: is not set" in one.detail]
    assert (states[Subject.CONFIGURATION], states[Subject.SECRET], states[Subject.STORE]) == ("failed", "ok", "ok")
    assert (states[Subject.RAILWAY_TOKEN], states[Subject.N8N_WORKFLOW]) == ("skipped", "skipped")
    assert Subject.RAILWAY_IDS not in states


async def test_a_backend_that_cannot_be_opened(tmp_path: Path) -> None:
    environ = environment(tmp_path, GOOD, SIGNALBOX_BACKEND="")

    told = await examine(environ, networks=NOBODY)

    assert (told[0].subject, told[0].state) == (Subject.CONFIGURATION, "failed")
    assert "GOOGLE_CLOUD_PROJECT" in told[0].detail
    assert told[0].next_step in DOCS
    assert {one.state for one in told[1:]} == {"skipped"}


async def test_a_good_configuration_names_its_targets(tmp_path: Path) -> None:
    told = await examine(environment(tmp_path, GOOD), networks=NOBODY)

    assert (told[0].state, told[0].detail) == ("ok", f"{tmp_path / 'signalbox.toml'}: {TARGET}")
    assert {one.state for one in told if one.subject is Subject.RAILWAY_BRANCH} == {"failed"}


async def test_a_probation_that_nothing_watches_is_pointed_out(tmp_path: Path) -> None:
    in_vain = "policy = { watch = false, probation = 600 }\n" + GOOD

    told = await examine(environment(tmp_path, in_vain), networks=NOBODY)

    assert [one.detail for one in told if one.state == "warning" and one.subject is Subject.CONFIGURATION] == [
        f"{TARGET}: probation = 600 has no effect with watch = false: nothing is checked"
    ]


async def test_a_renamed_setting_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.runtime.config.RENAMED", {"soak": "bake"})

    told = await examine(environment(tmp_path, "policy = { soak = 5 }\n" + GOOD), networks=NOBODY)

    assert [one.detail for one in told if one.state == "warning" and one.subject is Subject.CONFIGURATION] == [
        f"{tmp_path / 'signalbox.toml'}: policy.soak is called bake now; rename it, though it still works"
    ]


async def test_without_targets_nothing_of_railway_is_asked(scene: Scene) -> None:
    project = Project(environ={}, services=scene.services, config=None)
    scene.services.config = Config(targets=())

    told = await look_at(project)

    assert not [one for one in told if one.state == "failed"]
    assert scene.railway.app.calls == []


@pytest.mark.parametrize("name", ["failure_analysis", "pull_request_analysis", "weekly_report"])
async def test_each_workflow_of_signalbox_toml_is_looked_at(scene: Scene, name: str) -> None:
    scene.use_workflow(**{name: "another-path"})
    there = [one for one in await findings(scene) if one.subject is Subject.N8N_WORKFLOW]
    scene.n8n.other = None
    gone = [one for one in await findings(scene) if one.subject is Subject.N8N_WORKFLOW]

    assert [(one.about, one.state) for one in there] == [("notification", "ok"), (name, "ok")]
    assert [(one.about, one.state) for one in gone] == [("notification", "ok"), (name, "failed")]
    assert gone[1].detail == "no active workflow at another-path"
    assert scene.n8n.asked == [], "nothing was run"
