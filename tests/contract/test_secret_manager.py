"""What every SecretSource promises, and Secret Manager's client against a server with the published method names."""

import asyncio

import pytest
from google.cloud.secretmanager_v1.types import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
    ListSecretVersionsRequest,
    ListSecretVersionsResponse,
    SecretPayload,
    SecretVersion,
)
from grpc import StatusCode
from rpc import Refusal, Server, serving

from local.emulation.secrets import EnvironmentSecrets
from shared.cloud import secrets
from shared.cloud.secrets import SecretManager
from shared.errors import SecretMissing, Unavailable

SERVICE = "/google.cloud.secretmanager.v1.SecretManagerService/"
LIST, ACCESS = f"{SERVICE}ListSecretVersions", f"{SERVICE}AccessSecretVersion"
State = SecretVersion.State


class Vault:
    """Secret Manager as documented: versions newest first, a filter, pages, and no value of a disabled version."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.versions: dict[str, list[tuple[bytes, State]]] = {}
        """By secret, oldest first."""
        self.refusal: dict[str, Refusal] = {}
        self.disabled_meanwhile: set[str] = set()
        server.on(LIST, ListSecretVersionsRequest, self._list)
        server.on(ACCESS, AccessSecretVersionRequest, self._access)

    def add(self, secret: str, value: bytes, state: State = State.ENABLED) -> None:
        self.versions.setdefault(f"projects/acme/secrets/{secret}", []).append((value, state))

    async def _list(self, request: ListSecretVersionsRequest) -> ListSecretVersionsResponse:
        self._check(LIST)
        assert request.filter == "state:ENABLED"
        versions = self._versions(request.parent)
        start = int(request.page_token or 0)
        page = [
            SecretVersion(name=f"{request.parent}/versions/{number}", state=state)
            for number, (_, state) in reversed(list(enumerate(versions, 1)))
            if state is State.ENABLED
        ]
        stop = start + 2  # a server may send fewer than were asked for
        more = str(stop) if len(page) > stop else ""
        return ListSecretVersionsResponse(versions=page[start:stop], next_page_token=more)

    async def _access(self, request: AccessSecretVersionRequest) -> AccessSecretVersionResponse:
        self._check(ACCESS)
        secret, _, number = request.name.partition("/versions/")
        versions = self._versions(secret)
        at = len(versions) if number == "latest" else int(number)
        if at > len(versions):
            raise Refusal(StatusCode.NOT_FOUND, f"Secret Version [{request.name}] not found.")
        value, state = versions[at - 1]
        if state is not State.ENABLED or request.name in self.disabled_meanwhile:
            raise Refusal(StatusCode.FAILED_PRECONDITION, f"Secret Version [{request.name}] is in DISABLED state.")
        return AccessSecretVersionResponse(name=request.name, payload=SecretPayload(data=value))

    def _check(self, method: str) -> None:
        if method in self.refusal:
            raise self.refusal[method]

    def _versions(self, secret: str) -> list[tuple[bytes, State]]:
        if secret not in self.versions:
            raise Refusal(StatusCode.NOT_FOUND, f"Secret [{secret}] not found.")
        return self.versions[secret]


@pytest.fixture
async def vault():
    async with serving() as server:
        yield Vault(server)


@pytest.fixture
async def open_source(vault):
    opened = []

    def open(**pinned: str) -> SecretManager:
        pins = {name.replace("_", "-"): version for name, version in pinned.items()}
        opened.append(SecretManager("acme", pins, endpoint=vault.server.address))
        return opened[-1]

    yield open
    for source in opened:
        await source.close()


# Every source


@pytest.mark.parametrize("kind", ["environment", "secret-manager"])
async def test_a_value_is_read_and_a_missing_one_is_named(kind, vault, open_source):
    vault.add("N8N-API", "schlüssel".encode())
    source = EnvironmentSecrets({"N8N_API": "schlüssel"}) if kind == "environment" else open_source()

    assert await source.read("N8N-API") == ("schlüssel",)
    with pytest.raises(SecretMissing, match="RAILWAY-API"):
        await source.read("RAILWAY-API")


# Secret Manager


async def test_every_enabled_version_is_accepted_newest_first(vault, open_source):
    for value in (b"one", b"two", b"three", b"four"):
        vault.add("N8N-API", value)
    vault.add("N8N-API", b"five", State.DISABLED)
    vault.add("RAILWAY-API", b"other")

    assert await open_source().read("N8N-API") == ("four", "three", "two")


async def test_old_versions_that_are_destroyed_do_not_count(vault, open_source):
    vault.add("N8N-API", b"one", State.DESTROYED)
    vault.add("N8N-API", b"two")

    assert await open_source().read("N8N-API") == ("two",)


@pytest.mark.parametrize(("pin", "value"), [("1", "one"), ("latest", "two")])
async def test_a_pinned_secret_has_one_value_and_needs_no_list(vault, open_source, pin, value):
    vault.add("N8N-API", b"one")
    vault.add("N8N-API", b"two")

    assert await open_source(N8N_API=pin).read("N8N-API") == (value,)
    assert vault.server.count(LIST) == 0


async def test_no_enabled_version_is_a_missing_secret(vault, open_source):
    vault.add("N8N-API", b"one", State.DISABLED)

    with pytest.raises(SecretMissing, match="no enabled version"):
        await open_source().read("N8N-API")
    with pytest.raises(SecretMissing, match="no enabled version"):
        await open_source(N8N_API="1").read("N8N-API")
    with pytest.raises(SecretMissing, match="not found"):
        await open_source(N8N_API="7").read("N8N-API")


async def test_a_version_disabled_between_list_and_access_is_left_out(vault, open_source):
    vault.add("N8N-API", b"one")
    vault.add("N8N-API", b"two")
    vault.disabled_meanwhile = {"projects/acme/secrets/N8N-API/versions/2"}

    assert await open_source().read("N8N-API") == ("one",)


@pytest.mark.parametrize(("method", "role"), [(LIST, "secretmanager.viewer"), (ACCESS, "secretmanager.secretAccessor")])
async def test_a_denied_permission_names_the_role(vault, open_source, method, role):
    vault.add("N8N-API", b"one")
    vault.refusal[method] = Refusal(StatusCode.PERMISSION_DENIED, "Permission denied")

    with pytest.raises(SecretMissing, match=rf"N8N-API.*{role}"):
        await open_source().read("N8N-API")


async def test_what_is_not_text_is_missing(vault, open_source):
    vault.add("N8N-API", b"\xff\xfe")

    with pytest.raises(SecretMissing, match="versions/1 is not text"):
        await open_source().read("N8N-API")


async def test_a_service_that_stays_away_is_unavailable(vault, open_source, monkeypatch):
    monkeypatch.setattr(secrets.RETRY, "_timeout", 0.1)
    vault.add("N8N-API", b"one")
    vault.refusal[ACCESS] = Refusal(StatusCode.UNAVAILABLE, "backend is restarting")

    with pytest.raises(Unavailable, match="backend is restarting"):
        await open_source().read("N8N-API")
    assert vault.server.count(ACCESS) > 1, "reading may be repeated"


async def test_a_service_that_is_silent_is_unavailable(vault, open_source, monkeypatch):
    monkeypatch.setattr(secrets, "TIMEOUT", 0.05)

    async def silent(_request):
        await asyncio.Event().wait()

    vault.server.on(LIST, ListSecretVersionsRequest, silent)
    with pytest.raises(Unavailable, match="DEADLINE_EXCEEDED"):
        await open_source().read("N8N-API")
