"""Only a function's own subscription or schedule is served, by the OIDC token that it brings."""

import base64
import functools
import json
import time
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.oauth2 import id_token
from msgspec.structs import replace
from networks import replying
from unit.functions.scene import START, Scene

from local import topology
from shared.errors import Unavailable
from shared.runtime.caller import REMOVED

TOPOLOGY = topology.load()
CALLED = [one for one in TOPOLOGY.functions if one.is_called]
CALLER = "signalbox-merge-caller@acme-project.iam.gserviceaccount.com"
AUDIENCE = "https://signalbox-merge-123456789012.us-central1.run.app"
PATH = "/functions/merge"
MESSAGE = {"message": {"data": base64.b64encode(b'{"stage": "merge", "run_id": "none"}').decode()}}


@functools.cache
def google() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def somebody() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def certificate(key: rsa.RSAPrivateKey) -> str:
    """As Google answers: of its own making, for about two weeks."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federated-signon.system.gserviceaccount.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(START).not_valid_after(START + timedelta(days=14))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


class Certificates:
    """Google's address of the keys: what it answers, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.headers = {"cache-control": "public, max-age=20000, must-revalidate"}
        self.keys = {"k1": google()}
        self.body: bytes | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == id_token._GOOGLE_OAUTH2_CERTS_URL
        self.asked += 1
        body = self.body or json.dumps({id: certificate(key) for id, key in self.keys.items()}).encode()
        return httpx.Response(self.status, content=body, headers=self.headers)


@pytest.fixture
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture
def checked(scene: Scene, certificates: Certificates) -> Scene:
    """As deployed: it knows its caller, and checks signatures unless a test says that Cloud Run has done so."""
    scene.services.settings = replace(
        scene.services.settings, signalbox_caller=CALLER, signalbox_audience=AUDIENCE, signalbox_private=False
    )
    scene.services._networks["google"] = replying(certificates)
    return scene


def private(scene: Scene) -> None:
    scene.services.settings = replace(scene.services.settings, signalbox_private=True)


def token(scene: Scene, *, kid: str = "k1", key: Any = None, alg: str = "RS256", **changes: Any) -> str:
    now = int(scene.clock.now().timestamp())
    claims = {
        "aud": AUDIENCE,
        "azp": "113774264463038321964",
        "email": CALLER,
        "email_verified": True,
        "exp": now + 3600,
        "iat": now,
        "iss": "https://accounts.google.com",
        "sub": "113774264463038321964",
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key or google(), algorithm=alg, headers={"kid": kid})


def stripped(token: str) -> str:
    return f"{token.rpartition('.')[0]}.{REMOVED}"


async def call(scene: Scene, authorization: str | None, path: str = PATH) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return await scene.web.post(path, json=MESSAGE, headers=headers)


@pytest.mark.parametrize("function", CALLED, ids=lambda function: function.name)
async def test_every_function_that_is_called_refuses_a_call_without_a_token(checked: Scene, function: Any) -> None:
    answer = await call(checked, None, f"/functions/{function.name}")
    assert (answer.status_code, answer.json()) == (401, {"error": "not authorized"})
    assert checked.store.reads == 0


async def test_its_caller_is_served(checked: Scene, certificates: Certificates) -> None:
    answer = await call(checked, f"Bearer {token(checked)}")
    assert (answer.status_code, answer.json()) == (200, {"again": False})
    assert certificates.asked == 1


@pytest.mark.parametrize("issuer", ["https://accounts.google.com", "accounts.google.com"])
async def test_a_private_function_serves_a_token_whose_signature_cloud_run_has_checked(
    checked: Scene, certificates: Certificates, issuer: str
) -> None:
    private(checked)
    answer = await call(checked, f"bearer {stripped(token(checked, iss=issuer))}")
    assert answer.status_code == 200
    assert certificates.asked == 0


async def test_a_token_without_a_signature_is_nothing_where_anybody_may_call(checked: Scene) -> None:
    answer = await call(checked, f"Bearer {stripped(token(checked))}")
    assert answer.status_code == 401
    assert "no signature" in checked.log.getvalue()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "of another account": (
        {"email": "signalbox-deploy-caller@acme-project.iam.gserviceaccount.com"},
        "is of signalbox-deploy",
    ),
    "of no account": ({"email": None}, "is of no account"),
    "of an account that is not verified": ({"email_verified": False}, "not of signalbox-merge"),
    "for another function": (
        {"aud": "https://signalbox-deploy-123456789012.us-central1.run.app"},
        "is for https://signalbox-deploy",
    ),
    "for a path": ({"aud": f"{AUDIENCE}/functions/merge"}, "is for"),
    "for several": ({"aud": [AUDIENCE, "https://evil.test"]}, "cannot be read"),
    "for nobody": ({"aud": None}, "cannot be read"),
    "expired": ({"exp": 1}, "expired"),
    "without an end": ({"exp": None}, "cannot be read"),
    "of the future": ({"iat": 32503680000, "exp": 32503683600}, "in the future"),
    "of another issuer": ({"iss": "https://evil.test"}, "not Google's"),
    "of an issuer that looks alike": ({"iss": "https://accounts.google.com.evil.test"}, "not Google's"),
}


@pytest.mark.parametrize("removed", [False, True], ids=["signed", "stripped"])
@pytest.mark.parametrize(("changes", "reason"), WRONG.values(), ids=WRONG)
async def test_a_token_that_is_not_the_callers_is_refused(
    checked: Scene, changes: dict[str, Any], reason: str, removed: bool
) -> None:
    made = token(checked, **changes)
    if removed:
        private(checked)
        made = stripped(made)
    answer = await call(checked, f"Bearer {made}")
    assert answer.status_code == 401
    assert reason in checked.log.getvalue()
    assert made not in checked.log.getvalue()


def _part(part: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("private_function", [False, True], ids=["public", "private"])
async def test_a_token_of_no_algorithm_or_another_is_refused(checked: Scene, private_function: bool) -> None:
    if private_function:
        private(checked)
    body = token(checked).split(".")[1]
    secret = google().public_key().public_numbers().n.to_bytes(256, "big")
    for made in (
        f"{_part({'alg': 'none', 'kid': 'k1'})}.{body}.",
        f"{_part({'alg': 'none', 'kid': 'k1'})}.{body}.{REMOVED}",
        f"{_part({'alg': 'nOnE', 'kid': 'k1'})}.{body}.{REMOVED}",
        f"{_part({'kid': 'k1'})}.{body}.{REMOVED}",
        token(checked, alg="HS256", key=secret),
    ):
        assert (await call(checked, f"Bearer {made}")).status_code == 401


@pytest.mark.parametrize("private_function", [False, True], ids=["public", "private"])
async def test_a_signature_that_is_there_is_always_checked(checked: Scene, private_function: bool) -> None:
    if private_function:
        private(checked)
    head, body, signature = token(checked).split(".")
    forged = f"{head}.{_part({'email': CALLER})}.{signature}"
    for made in (token(checked, key=somebody()), f"{head}.{body}.AAAA", f"{head}.{body}.", forged):
        assert (await call(checked, f"Bearer {made}")).status_code == 401


NO_TOKENS = (
    *("", "Bearer", "Bearer ", "Basic YTpi", "Bearer x", "Bearer a.b", "Bearer a.b.c.d", "Bearer .."),
    "Bearer é.é.é",
    "Bearer " + "a." * 50_000,
)


@pytest.mark.parametrize("authorization", NO_TOKENS, ids=range(len(NO_TOKENS)))
async def test_what_is_no_token_is_refused(checked: Scene, authorization: str) -> None:
    answer = await checked.web.post(PATH, json=MESSAGE, headers={"Authorization": authorization.encode()})
    assert answer.status_code == 401


async def test_a_key_that_google_does_not_have_is_looked_for_once_a_minute(
    checked: Scene, certificates: Certificates
) -> None:
    assert (await call(checked, f"Bearer {token(checked)}")).status_code == 200
    for _ in range(20):
        assert (await call(checked, f"Bearer {token(checked, kid='k2', key=somebody())}")).status_code == 401
    assert certificates.asked == 1  # just now

    certificates.keys["k2"] = somebody()
    checked.clock.advance(61)
    assert (await call(checked, f"Bearer {token(checked, kid='k2', key=somebody())}")).status_code == 200
    assert certificates.asked == 2


async def test_keys_are_kept_as_long_as_google_says(checked: Scene, certificates: Certificates) -> None:
    certificates.headers = {"cache-control": "public, max-age=300"}
    for _ in range(5):
        assert (await call(checked, f"Bearer {token(checked)}")).status_code == 200
    assert certificates.asked == 1

    certificates.keys = {"k2": somebody()}  # the first is withdrawn
    checked.clock.advance(301)
    assert (await call(checked, f"Bearer {token(checked)}")).status_code == 401
    assert certificates.asked == 2


@pytest.mark.parametrize(
    ("status", "body"), [(503, b""), (404, b""), (200, b"<html>"), (200, b'{"k1": 5}'), (200, b'{"k1": "no key"}')]
)
async def test_a_message_comes_again_while_googles_keys_cannot_be_had(
    checked: Scene, certificates: Certificates, status: int, body: bytes
) -> None:
    certificates.status, certificates.body = status, body
    answer = await call(checked, f"Bearer {token(checked)}")
    assert (answer.status_code, answer.json()) == (503, {"again": True})


async def test_to_check_a_stripped_token_takes_next_to_nothing(checked: Scene) -> None:
    from shared.runtime import caller  # noqa: PLC0415

    private(checked)
    authorization = f"Bearer {stripped(token(checked))}"
    begun = time.perf_counter()
    for _ in range(1000):
        await caller.check(authorization, checked.services)
    assert (time.perf_counter() - begun) / 1000 < 0.002


async def test_keys_without_a_lifetime_are_kept_for_an_hour(checked: Scene, certificates: Certificates) -> None:
    certificates.headers = {}
    await checked.services.google_keys.key("k1")
    checked.clock.advance(3599)
    await checked.services.google_keys.key("k1")
    assert certificates.asked == 1
    checked.clock.advance(2)
    certificates.status = 500
    with pytest.raises(Unavailable):
        await checked.services.google_keys.key("k1")
