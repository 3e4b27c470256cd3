"""signalbox.toml and the environment: what is accepted can be worked with, and everything else is a ConfigError."""

import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fuzz.inputs import Path as Place
from fuzz.inputs import fuzzed, mutated, odd_texts, paths_of, whole_texts
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import asdict
from networks import replying

from local.world.clock import VirtualClock
from shared.errors import ConfigError
from shared.runtime import config, settings
from shared.runtime.config import Config
from shared.runtime.ports import Backend, can_be_id
from shared.runtime.services import Services
from shared.runtime.settings import Settings

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OUT = replying(lambda _: httpx.Response(500))
FULL = tomllib.loads("""
railway = { token = "project" }
n8n = { url = "https://n8n.test", notification = "signalbox-notification" }
[policy]
bake = 30.0
merge_method = "rebase"
ignored_checks = ["lint"]
[repositories."acme/shop".policy]
failure_threshold = 2
health_url = "https://shop.test"
[repositories."acme/shop".services.web]
project_id = "project"
service_id = "service"
policy = { commit_header = "x-commit", commit_field = "build.commit", health_path = "/health", poll = 5 }
[repositories."acme/shop".services.web.environments.production]
environment_id = "environment"
branch = "main"
parallel = true
policy = { auto_deploy = "adopt", adopt_wait = 10, queue_deadline = 600, max_attempts = 5, hold_after_rollbacks = 2 }
[repositories."acme/shop".services.web.environments.staging]
environment_id = "other"
parallel = true
railway_token_secret = "RAILWAY-STAGING"
""")
READ: list[Place] = [path for path in paths_of(FULL) if len(path) > 1]


def toml_of(document: Any) -> str:
    """A document as TOML, all in inline tables; what TOML cannot say is left out."""
    if not isinstance(document, dict):
        return f"x = {_inline(document)}\n"
    return "".join(f"{_key(name)} = {_inline(value)}\n" for name, value in document.items() if value is not None)


def _inline(value: Any) -> str:
    match value:
        case dict():
            return (
                "{"
                + ", ".join(f"{_key(name)} = {_inline(one)}" for name, one in value.items() if one is not None)
                + "}"
            )
        case list():
            return "[" + ", ".join(_inline(one) for one in value if one is not None) + "]"
        case float():
            return repr(value) if "e" not in repr(value) else format(value, ".1f")
        case str():
            return _key(value)
    return json.dumps(value)


def _key(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def expect_usable(configured: Config) -> None:
    """Every time can be reckoned with, every name is one, and every address can be called."""
    assert configured.targets
    for target in configured.targets:
        assert can_be_id(target.id)
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,255}", target.railway_token.secret)
        assert target in configured.railway_tokens[target.railway_token]
        assert configured.target(target.id) is target
        (target.policy.commit_header or "").encode("ascii")
        for value in asdict(target.policy).values():
            if isinstance(value, float):
                assert NOW + timedelta(seconds=value) >= NOW
    expect_clients(services_of(configured))


@fuzzed(400)
@given(document=mutated(FULL, READ), cut=st.none() | st.integers(0, 400))
def test_a_file_that_is_nearly_right_is_read_or_refused(document, cut):
    text = toml_of(document)
    read(text if cut is None else text[:cut] + text[cut + 1 :])


@fuzzed(150)
@given(text=st.text() | odd_texts | st.text(alphabet="[]{}=.\"'\\#\n 019abTZ:-+_,", max_size=60))
@example(text="x = " + "[" * 5000)
@example(text="x = " + "{a=" * 5000)
@example(text="x." * 5000 + "x = 1")
@example(text="x = " + "9" * 5000)
@example(text="x = 0x" + "f" * 5000)
@example(text="x = 9999-99-99")
def test_any_text_is_read_or_refused(text):
    read(text)


@fuzzed(60)
@given(content=st.binary(max_size=60))
def test_any_file_is_read_or_refused(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "signalbox.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        config.load(path)


def read(text: str) -> None:
    try:
        configured = config.parse(text)
    except ConfigError as error:
        assert str(error)
    else:
        expect_usable(configured)


VARIABLES = [name.upper() for name in settings.Settings.__struct_fields__]
environments = st.dictionaries(
    st.sampled_from(VARIABLES),
    st.sampled_from(
        ["1", "60.5", "-1", "0", "inf", "nan", "1e400", "1e30", "true", "TRUE", "https://x.test", "http://["]
    )
    | st.sampled_from(
        ["https://a b", "https://\x7f", "ftp://x.test", "https://x.test:99999", "::", "a:b:c", ":", "INFO"]
    )
    | whole_texts
    | st.just("\udcff"),
    max_size=4,
)


@fuzzed(300)
@given(environ=environments)
@example(environ={"SIGNALBOX_REDELIVERY": "\udcff"})
@example(environ={"SIGNALBOX_VISIBLE": "nan"})
@example(environ={"SIGNALBOX_VISIBLE": "inf"})
@example(environ={"GITHUB_API_URL": "https://["})
def test_any_environment_is_read_or_refused(environ):
    try:
        given = settings.read(environ)
    except ConfigError as error:
        assert any(name in str(error) for name in environ)
        return
    for seconds in (given.signalbox_redelivery, given.signalbox_unclaimed, given.signalbox_visible):
        assert NOW + timedelta(seconds=seconds) >= NOW
    expect_clients(services_of(config.parse(toml_of(FULL)), given))


def services_of(configured: Config, given: Settings | None = None) -> Services:
    backend: Any = Backend(store=None, bus=None, secrets=None, clock=VirtualClock(NOW))  # type: ignore[arg-type]
    return Services(given or Settings(), configured, backend, networks={"github": OUT, "railway": OUT, "n8n": OUT})


def expect_clients(services: Services) -> None:
    """All clients can be made of these settings."""
    assert services.github
    for target in services.config.targets:
        assert services.railway_for(target)
    assert services.n8n or services.config.n8n is None
