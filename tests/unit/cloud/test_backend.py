"""The factory that SIGNALBOX_BACKEND names by default: nothing is loaded before it is used, everything is closed."""

import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.firestore_v1.types import CommitRequest, CommitResponse, GetDocumentRequest, RunQueryRequest
from google.cloud.secretmanager_v1.types import AccessSecretVersionRequest, AccessSecretVersionResponse, SecretPayload
from google.pubsub_v1.types import PublishRequest, PublishResponse
from grpc import StatusCode
from rpc import Refusal, serving

from shared.cloud import open_backend, secrets
from shared.core.target import Target
from shared.errors import ConfigError
from shared.runtime.clock import SystemClock
from shared.runtime.ports import Create, Query

ACCESS = "/google.cloud.secretmanager.v1.SecretManagerService/AccessSecretVersion"


@pytest.fixture
def credentials(tmp_path, monkeypatch):
    """A service account's key file, made up: enough to open connections that nobody uses."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    path = tmp_path / "key.json"
    account = {"type": "service_account", "client_email": "x@acme.iam.gserviceaccount.com", "private_key": pem}
    path.write_text(json.dumps({**account, "token_uri": "https://127.0.0.1:9/token", "project_id": "acme"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))


def test_a_project_is_required():
    with pytest.raises(ConfigError, match="GOOGLE_CLOUD_PROJECT"):
        open_backend({})


@pytest.mark.parametrize("versions", ["RAILWAY-API", "RAILWAY-API=", "=3", "a=1,b", "railway api=1"])
def test_pinned_versions_are_checked(versions):
    with pytest.raises(ConfigError, match="SIGNALBOX_SECRET_VERSIONS"):
        open_backend({"GOOGLE_CLOUD_PROJECT": "acme", "SIGNALBOX_SECRET_VERSIONS": versions})


def test_opening_loads_no_client_and_using_one_loads_only_that():
    script = """
import asyncio, sys
from shared.cloud import open_backend
from shared.errors import Unavailable
from shared.core.run import Run
environ = {"GOOGLE_CLOUD_PROJECT": "acme", "PUBSUB_EMULATOR_HOST": "127.0.0.1:9"}
loaded = lambda: [name for name in ("grpc", "google.cloud.firestore_v1", "google.pubsub_v1") if name in sys.modules]
async def main():
    backend = open_backend(environ)
    print(loaded())
    try:
        await backend.bus.publish("events", b"x", {})
    except Unavailable:
        print(loaded())
    await backend.close()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)

    assert done.stdout.splitlines() == ["[]", "['grpc', 'google.pubsub_v1']"]


async def test_each_client_is_opened_once_and_closed(monkeypatch, credentials):
    async with serving() as server:

        async def commit(_request):
            return CommitResponse()

        async def missing(_request):
            raise Refusal(StatusCode.NOT_FOUND)

        async def nothing(_request):
            return []

        async def publish(_request):
            return PublishResponse(message_ids=["1"])

        async def access(request):
            return AccessSecretVersionResponse(payload=SecretPayload(data=request.name.encode()))

        server.on("/google.firestore.v1.Firestore/Commit", CommitRequest, commit)
        server.on("/google.firestore.v1.Firestore/GetDocument", GetDocumentRequest, missing)
        server.on("/google.firestore.v1.Firestore/RunQuery", RunQueryRequest, nothing, stream=True)
        server.on("/google.pubsub.v1.Publisher/Publish", PublishRequest, publish)
        server.on(ACCESS, AccessSecretVersionRequest, access)
        opened = []

        def connect(_transport, _endpoint, connect=secrets.connect):
            opened.append(connect(_transport, server.address))
            return opened[-1]

        for module in ("firestore", "pubsub", "secrets"):
            monkeypatch.setattr(f"shared.cloud.{module}.connect", connect)
        pins = " RAILWAY-API=3, n8n_api = latest , RAILWAY-PRODUCTION=2"
        backend = open_backend({"GOOGLE_CLOUD_PROJECT": "acme", "SIGNALBOX_SECRET_VERSIONS": pins})

        for _ in range(2):
            assert await backend.store.commit(Create(Target(id="t"))) == ()
            assert await backend.store.get(Target, "t") is None
            assert await backend.store.query(Query(Target, order_by="wake_at")) == []
            assert await backend.bus.publish("events", b"x", {}) == "1"
            assert await backend.secrets.read("N8N-API") == ("projects/acme/secrets/N8N-API/versions/latest",)
        assert await backend.secrets.read("RAILWAY-API") == ("projects/acme/secrets/RAILWAY-API/versions/3",)
        of_an_environment = "RAILWAY-PRODUCTION"
        assert await backend.secrets.read(of_an_environment) == (
            f"projects/acme/secrets/{of_an_environment}/versions/2",
        )
        assert isinstance(backend.clock, SystemClock)
        assert len(opened) == 3

        await backend.close()
        assert [channel.get_state().name for channel in opened] == ["SHUTDOWN"] * 3


async def test_without_credentials_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    backend = open_backend({"GOOGLE_CLOUD_PROJECT": "acme"})

    with pytest.raises(ConfigError, match=r"Application Default Credentials: .*none\.json"):
        await backend.store.get(Target, "t")
    with pytest.raises(ConfigError, match="Application Default Credentials"):
        await backend.bus.publish("events", b"x", {})
    with pytest.raises(ConfigError, match="Application Default Credentials"):
        await backend.secrets.read("N8N-API")
    await backend.close()


async def test_with_credentials_it_connects_to_google(credentials):
    backend = open_backend({"GOOGLE_CLOUD_PROJECT": "acme"})

    store = backend.store

    assert store._client.transport.host == "firestore.googleapis.com:443"
    await backend.close()


@pytest.mark.parametrize(
    ("variable", "database"), [({}, "(default)"), ({"SIGNALBOX_DATABASE": "signalbox"}, "signalbox")]
)
async def test_the_database_can_be_another_than_the_default_one(variable, database, monkeypatch):
    monkeypatch.setattr("shared.cloud.firestore.READ_TIMEOUT", 60.0)  # on a slow machine, too
    async with serving() as server:
        asked = []

        async def missing(request):
            asked.append(request.name)
            raise Refusal(StatusCode.NOT_FOUND)

        server.on("/google.firestore.v1.Firestore/GetDocument", GetDocumentRequest, missing)
        environ = {"GOOGLE_CLOUD_PROJECT": "acme", "FIRESTORE_EMULATOR_HOST": server.address, **variable}
        backend = open_backend(environ)

        assert await backend.store.get(Target, "t") is None
        await backend.close()

    assert asked == [f"projects/acme/databases/{database}/documents/targets/t"]
