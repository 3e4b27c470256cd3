"""signalbox secrets: what is told of ages, and that a rotation leaves no moment without a secret that works."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from click.testing import CliRunner, Result
from google.cloud.secretmanager_v1.types import (
    AddSecretVersionRequest,
    DisableSecretVersionRequest,
    EnableSecretVersionRequest,
    ListSecretVersionsRequest,
    ListSecretVersionsResponse,
    SecretVersion,
)
from grpc import StatusCode
from msgspec.structs import replace
from rpc import Refusal, Server, serving

from local.cli import main
from local.cli import secrets as commands
from local.doctor import Finding, Subject
from local.operating.rotation import kinds
from local.operating.rotation.versions import GoogleVersions, Version
from shared.errors import Refused, SecretMissing, Unauthorized
from shared.runtime import config
from shared.runtime.secrets import LIFETIME

TOML = """
[n8n]
url = "https://n8n.example"
[repositories."acme/shop".services.web]
project_id = "p"
service_id = "s"
environments.production = { environment_id = "e", railway_token_secret = "RAILWAY-PRODUCTION" }
"""
NAMES = ("github-app-private-key", "GITHUB-WEBHOOK-SECRET", "RAILWAY-WEBHOOK-SECRET", "N8N-API", "RAILWAY-PRODUCTION")
NOW = datetime.now(UTC)


class Vault:
    """Secret Manager, as far as the commands know it. `refuses` is what it does not let anybody do."""

    def __init__(self) -> None:
        self.versions: dict[str, list[Version]] = {
            name: [Version(number=1, state="enabled", created_at=NOW - timedelta(days=10))] for name in NAMES
        }
        self.values: list[tuple[str, bytes]] = []
        self.refuses: str | None = None
        self.closed = False

    async def list(self, name: str) -> tuple[Version, ...]:
        if name not in self.versions:
            raise SecretMissing(f"secret {name}: not found")
        return tuple(reversed(self.versions[name]))

    async def add(self, name: str, value: bytes) -> int:
        if self.refuses == "add":
            raise Unauthorized("PERMISSION_DENIED (needs roles/secretmanager.admin)")
        self.values.append((name, value))
        number = len(self.versions[name]) + 1
        self.versions[name].append(Version(number=number, state="enabled", created_at=datetime.now(UTC)))
        return number

    async def disable(self, name: str, number: int) -> None:
        if self.refuses == "disable":
            raise Refused("no")
        found = self.versions[name][number - 1]
        self.versions[name][number - 1] = Version(number=number, state="disabled", created_at=found.created_at)

    async def enable(self, name: str, number: int) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        self.closed = True

    def age(self, name: str, by: timedelta) -> None:
        """Every version is older by that."""
        self.versions[name] = [replace(one, created_at=one.created_at - by) for one in self.versions[name]]

    def enabled(self, name: str) -> list[int]:
        return [one.number for one in self.versions[name] if one.state == "enabled"]


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Vault:
    (tmp_path / "signalbox.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "acme")
    made = Vault()
    monkeypatch.setattr(commands, "_open", lambda: made)
    return made


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the doctor finds: all is well."""
    found = [
        Finding(subject=subject, about=about, state="ok", detail="")
        for subject in Subject
        for about in ("RAILWAY-PRODUCTION", "acme:shop:web:production")
    ]

    async def examine(environ: Any) -> list[Finding]:
        assert environ["SIGNALBOX_BACKEND"] == "shared.cloud:open_backend"
        return found

    async def signed(_: Any) -> list[Finding]:
        return []

    monkeypatch.setattr(commands, "examine", examine)
    monkeypatch.setattr(commands, "_signed_call", signed)
    return found


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["secrets", *arguments], input=typed)


@pytest.mark.parametrize(
    ("days", "state", "code"),
    [(0, "ok", 0), (75, "ok", 0), (76, "expiring", 0), (89, "expiring", 0), (90, "expired", 1)],
)
def test_an_age_is_held_against_the_limit(vault: Vault, days: int, state: str, code: int) -> None:
    vault.versions["N8N-API"] = [
        Version(number=1, state="enabled", created_at=NOW - timedelta(days=400)),
        Version(number=2, state="enabled", created_at=NOW - timedelta(days=days, minutes=1)),
        Version(number=3, state="disabled", created_at=NOW),
    ]
    told = run("status", "--json")
    assert told.exit_code == code
    assert f'"name": "N8N-API",\n    "state": "{state}",\n    "days": {days}' in told.output
    shown = run("status").output
    assert [line.split()[0] for line in shown.splitlines()[1:6]] == sorted(NAMES, key=shown.index)
    assert ("secrets rotate N8N-API" in shown) == (state != "ok")


def test_another_limit_and_a_secret_that_is_missing(vault: Vault) -> None:
    del vault.versions["RAILWAY-PRODUCTION"]
    told = run("status", "--limit", "5")
    assert told.exit_code == 1
    assert "RAILWAY-PRODUCTION has no enabled version: `gcloud secrets versions add" in told.output
    assert told.output.count("expired") == 4
    assert vault.closed


@pytest.mark.parametrize("name", NAMES)
def test_a_rotation_adds_proves_and_disables(vault: Vault, proof: list[Finding], name: str) -> None:
    # Given a value on standard input: the first half
    first = run("rotate", name, typed="a-new-value-0123456789\n")
    assert (first.exit_code, vault.enabled(name), vault.values) == (0, [1, 2], [(name, b"a-new-value-0123456789")])
    assert "a-new-value" not in first.output
    assert f"gcloud secrets versions disable 2 --secret={name}" in first.output
    assert f"secrets rotate {name}" in first.output

    # Then it goes on from there, once every function has read it, and adds nothing again
    vault.age(name, LIFETIME)
    assert f"secrets rotate {name} --yes" in run("rotate", name).output
    second = run("rotate", name, "--yes")
    assert (second.exit_code, vault.enabled(name), len(vault.values)) == (0, [2], 1)
    assert "version 2 is new, 1 old" in second.output
    assert f"gcloud secrets versions enable 1 --secret={name}" in second.output
    assert kinds.afterwards(name) in second.output


def test_what_does_not_work_disables_nothing(vault: Vault, proof: list[Finding]) -> None:
    run("rotate", "RAILWAY-PRODUCTION", typed="new")
    subject = Subject.RAILWAY_TOKEN
    proof.append(Finding(subject=subject, about="RAILWAY-PRODUCTION", state="failed", detail="not authorized"))
    proof.append(Finding(subject=subject, about="RAILWAY-OTHER", state="failed", detail="another's"))
    told = run("rotate", "RAILWAY-PRODUCTION", "--yes")
    assert (told.exit_code, vault.enabled("RAILWAY-PRODUCTION")) == (1, [1, 2])
    assert "not authorized" in told.output
    assert "another's" not in told.output
    assert "or go back: gcloud secrets versions disable 2 --secret=RAILWAY-PRODUCTION" in told.output


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("state", ["skipped", None])
def test_what_was_not_looked_at_is_no_proof(
    vault: Vault, proof: list[Finding], name: str, state: Literal["skipped"] | None
) -> None:
    # Given a doctor that left the subject out, as without GITHUB_APP_ID, or has nothing to say of it
    run("rotate", name, typed="rubbish")
    vault.age(name, LIFETIME)
    proof[:] = [replace(one, state=state, detail="not set") for one in proof if state is not None]

    # When the rotation goes on
    told = run("rotate", name, "--yes")

    # Then the old version stays, and the way back is said
    assert (told.exit_code, vault.enabled(name)) == (1, [1, 2])
    assert f"version 2 of {name} was not tried" in told.output
    assert f"or go back: gcloud secrets versions disable 2 --secret={name}" in told.output


def test_what_another_token_opens_keeps_nobody_from_rotating_this_one(vault: Vault, proof: list[Finding]) -> None:
    run("rotate", "RAILWAY-PRODUCTION", typed="new")
    proof.append(Finding(subject=Subject.RAILWAY_IDS, about="acme:shop:web:staging", state="failed", detail="gone"))
    told = run("rotate", "RAILWAY-PRODUCTION", "--yes")
    assert (told.exit_code, vault.enabled("RAILWAY-PRODUCTION")) == (0, [2])


@pytest.mark.parametrize("name", ["GITHUB-WEBHOOK-SECRET", "RAILWAY-WEBHOOK-SECRET"])
def test_a_webhook_has_its_new_secret_only_once_functions_know_it(
    vault: Vault, proof: list[Finding], name: str
) -> None:
    # Given a new version that a function may not have read yet
    first = run("rotate", name, typed="new-value")
    assert (first.exit_code, "Do not use it before" in first.output) == (0, True)
    assert kinds.kind_of(name).give not in first.output

    # When somebody goes on too early, then the old version stays
    vault.age(name, LIFETIME - timedelta(seconds=30))
    early = run("rotate", name, "--yes")
    assert (early.exit_code, vault.enabled(name)) == (1, [1, 2])

    # And afterwards it is given, and nothing is claimed that nobody can see
    vault.age(name, timedelta(seconds=30))
    later = run("rotate", name, "--yes")
    assert (later.exit_code, vault.enabled(name)) == (0, [2])
    assert kinds.kind_of(name).give in later.output
    assert kinds.kind_of(name).unseen in later.output
    assert "version 2 works" not in later.output


@pytest.mark.parametrize("pins", ["N8N-API=1", "n8n_api=latest"])
def test_a_pinned_secret_is_not_rotated(vault: Vault, monkeypatch: pytest.MonkeyPatch, pins: str) -> None:
    monkeypatch.setenv("SIGNALBOX_SECRET_VERSIONS", pins)
    told = run("rotate", "N8N-API", typed="new-value")
    assert (told.exit_code, vault.enabled("N8N-API"), vault.values) == (1, [1], [])
    assert "change the number in secret_versions, and apply" in told.output


@pytest.mark.parametrize("typed", ["", " \n", "x" * (64 * 1024 + 1)])
def test_no_value_changes_nothing(vault: Vault, proof: list[Finding], typed: str) -> None:
    told = run("rotate", "N8N-API", typed=typed)
    assert (told.exit_code, vault.enabled("N8N-API")) == (1, [1])
    assert "nothing was changed" in told.output


@pytest.mark.parametrize("refuses", ["add", "disable"])
def test_a_refusal_is_said_in_a_sentence(vault: Vault, proof: list[Finding], refuses: str) -> None:
    vault.refuses = refuses
    first = run("rotate", "N8N-API", typed="new-value")
    last = run("rotate", "N8N-API", "--yes") if refuses == "disable" else first
    assert last.exit_code == 1
    assert "Traceback" not in last.output
    assert last.output.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("name", NAMES)
def test_the_steps_are_told_beforehand(vault: Vault, name: str) -> None:
    told = run("rotate", name, "--dry-run")
    assert told.exit_code == 0
    assert kinds.kind_of(name).make in told.output
    assert kinds.kind_of(name).give in told.output
    assert vault.enabled(name) == [1]


def test_a_name_that_is_not_used(vault: Vault) -> None:
    told = run("rotate", "RAILWAY-STAGING")
    assert told.exit_code == 2
    assert "uses no secret RAILWAY-STAGING" in told.output


def test_without_a_project_ages_are_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given variables of this machine
    (tmp_path / "signalbox.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    for name in NAMES:
        monkeypatch.setenv(name.upper().replace("-", "_"), "a-value-of-this-machine")

    # When all are set, then it is said that nobody knows how old they are
    told = run("status")
    assert told.exit_code == 0
    assert "Ages are not known" in told.output
    assert "a-value-of-this-machine" not in told.output
    assert json.loads(run("status", "--json").output)[0]["state"] == "unknown"

    # And one that is not set is missing; a rotation needs a project
    monkeypatch.delenv("N8N_API")
    told = run("status")
    assert (told.exit_code, "set the environment variable N8N_API" in told.output) == (1, True)
    assert "set GOOGLE_CLOUD_PROJECT" in run("rotate", "N8N-API", typed="new-value").output


def test_versions_are_shown_with_those_disabled_and_what_rotates_them(vault: Vault) -> None:
    vault.versions["N8N-API"] = [
        Version(number=1, state="destroyed", created_at=NOW - timedelta(days=300)),
        Version(number=2, state="disabled", created_at=NOW - timedelta(days=200)),
        Version(number=3, state="enabled", created_at=NOW - timedelta(days=100)),
    ]
    [told] = [one for one in json.loads(run("status", "--json").output) if one["name"] == "N8N-API"]
    assert (told["enabled"], told["disabled"], told["state"]) == ([3], [2], "expired")
    assert told["rotated_by"].endswith("secrets rotate N8N-API")


def test_every_secret_of_the_configuration_has_a_kind() -> None:
    assert set(kinds.names_of(config.parse(TOML, "x"))) == set(NAMES)
    assert "N8N-API" not in kinds.names_of(config.parse(TOML.replace('[n8n]\nurl = "https://n8n.example"', ""), "x"))


SERVICE = "/google.cloud.secretmanager.v1.SecretManagerService/"


async def test_versions_are_those_of_secret_manager() -> None:
    made: list[SecretVersion] = []

    def version(number: int, state: SecretVersion.State) -> SecretVersion:
        name = f"projects/acme/secrets/N8N-API/versions/{number}"
        return SecretVersion(name=name, state=state, create_time=NOW)

    async def listed(_: Any) -> ListSecretVersionsResponse:
        return ListSecretVersionsResponse(versions=made)

    async def add(request: AddSecretVersionRequest) -> SecretVersion:
        if request.payload.data == b"refused":
            raise Refusal(StatusCode.PERMISSION_DENIED, "no")
        made.append(version(len(made) + 1, SecretVersion.State.ENABLED))
        return made[-1]

    async def change(request: Any) -> SecretVersion:
        number = int(request.name.rpartition("/")[2])
        if number > len(made):
            raise Refusal(StatusCode.NOT_FOUND, "no such version")
        disable = isinstance(request, DisableSecretVersionRequest)
        made[number - 1] = version(number, SecretVersion.State.DISABLED if disable else SecretVersion.State.ENABLED)
        return made[number - 1]

    async with serving() as server:
        _answer(server, listed, add, change)
        versions = GoogleVersions("acme", endpoint=server.address)
        assert [await versions.add("N8N-API", b"one"), await versions.add("N8N-API", b"two")] == [1, 2]
        await versions.disable("N8N-API", 1)
        assert [(one.number, one.state) for one in await versions.list("N8N-API")] == [(2, "enabled"), (1, "disabled")]
        assert (await versions.list("N8N-API"))[0].created_at == NOW
        await versions.enable("N8N-API", 1)
        assert {one.state for one in await versions.list("N8N-API")} == {"enabled"}
        with pytest.raises(Unauthorized, match=r"roles/secretmanager\.admin"):
            await versions.add("N8N-API", b"refused")
        with pytest.raises(Refused, match="version 7 of N8N-API"):
            await versions.disable("N8N-API", 7)
        await versions.close()


def _answer(server: Server, listed: Any, add: Any, change: Any) -> None:
    server.on(f"{SERVICE}ListSecretVersions", ListSecretVersionsRequest, listed)
    server.on(f"{SERVICE}AddSecretVersion", AddSecretVersionRequest, add)
    server.on(f"{SERVICE}DisableSecretVersion", DisableSecretVersionRequest, change)
    server.on(f"{SERVICE}EnableSecretVersion", EnableSecretVersionRequest, change)
