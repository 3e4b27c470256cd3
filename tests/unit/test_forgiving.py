"""Settings as people write them: understood where it is clear, refused with what to write where it is not."""

import base64
import contextlib
import re

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigError
from shared.runtime import config, forgiving, settings
from shared.runtime.config import parse

UUID = "0b5e1f6c-28d4-4a3b-9c1e-7f00aa112233"
DASHBOARD = f"https://railway.com/project/{UUID}/service/ABC-1?environmentId=env-1"
FILE = """
[repositories."{repository}".services.api]
project_id = '{project_id}'
service_id = '{service_id}'
{policy}
[repositories."{repository}".services.api.environments.production]
environment_id = '{environment_id}'
branch = '{branch}'
{more}
"""
GIVEN = {
    "repository": "acme/shop",
    "project_id": "p1",
    "service_id": "s1",
    "environment_id": "e1",
    "branch": "main",
    "policy": "",
    "more": "",
}


def target(**given):
    (found,) = parse(FILE.format(**GIVEN | given)).targets
    return found


def policy(text):
    return target(policy=f"policy = {{{text}}}").policy


def refused(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, "signalbox.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("acme/shop.git", "acme/shop"),
        ("https://github.com/acme/shop", "acme/shop"),
        ("https://github.com/acme/shop.git/", "acme/shop"),
        ("https://github.com/acme/shop/tree/main", "acme/shop"),
        ("git@github.com:acme/shop.git", "acme/shop"),
        ("github.com/acme/shop", "acme/shop"),
        ("/acme/shop/", "acme/shop"),
        (" acme/shop ", "acme/shop"),
        ("name_corp/shop", "name_corp/shop"),
        ("acme/shop.js", "acme/shop.js"),
    ],
)
def test_a_repository_is_known_by_its_name(written, meant):
    assert target(repository=written).repository == meant


@pytest.mark.parametrize("written", ["acme", "acme/", "/shop", "acme/shop/web", "acme /shop", "acme/.git", "acme/.."])
def test_what_is_no_repository_is_refused_with_the_form(written):
    assert 'write [repositories."owner/name"' in refused(FILE.format(**GIVEN | {"repository": written}))


def test_a_repository_under_two_names_is_refused():
    twice = FILE.format(**GIVEN) + FILE.format(**GIVEN | {"repository": "Acme/Shop.git"})

    assert 'repositories."Acme/Shop.git": is Acme/Shop, which is there already' in refused(twice)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("refs/heads/main", "main"),
        (" main\t", "main"),
        ('"main"', "main"),
        ("release/1.2", "release/1.2"),
        ("refs/heads/origin/main", "origin/main"),
        ("Main", "Main"),
    ],
)
def test_a_branch_is_known_by_its_name(written, meant):
    assert target(branch=written).branch == meant


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("origin/main", 'write "main"'),
        ("refs/tags/v1", "is no branch"),
        ("release/*", "without a pattern"),
        ("HEAD", "write it in full"),
        ("main branch", "is no name of a branch"),
        ("/main", "is no name of a branch"),
    ],
)
def test_what_is_no_branch_is_refused_with_what_to_write(written, advice):
    told = refused(FILE.format(**GIVEN | {"branch": written}))

    assert told.startswith('signalbox.toml: repositories."acme/shop".services.api.environments.production.branch: ')
    assert advice in told


@pytest.mark.parametrize(
    ("key", "written", "meant"),
    [
        ("project_id", f"  {UUID}\t", UUID),
        ("project_id", UUID.upper(), UUID),
        ("service_id", f'"{UUID}"', UUID),
        ("environment_id", f"\ufeff{UUID}\u200b", UUID),
        ("project_id", DASHBOARD, UUID),
        ("service_id", DASHBOARD, "ABC-1"),
        ("environment_id", DASHBOARD, "env-1"),
    ],
)
def test_an_id_is_taken_without_what_was_copied_along(key, written, meant):
    assert getattr(target(**{key: written}), key) == meant


@pytest.mark.parametrize(
    ("key", "written"),
    [("service_id", "…"), ("service_id", "my service"), ("service_id", "https://railway.com/project/x")],
)
def test_what_is_no_id_is_refused(key, written):
    assert f"services.api.{key}: " in refused(FILE.format(**GIVEN | {key: written}))


@pytest.mark.parametrize(
    ("written", "path", "url"),
    [
        ('health_path = "https://shop.example/healthz"', "/healthz", "https://shop.example"),
        ('health_path = "https://shop.example:8443/a?b=1"', "/a?b=1", "https://shop.example:8443"),
        ('health_path = "https://shop.example"', "/", "https://shop.example"),
        ('health_path = "healthz"', "/healthz", None),
        ('health_path = " /healthz "', "/healthz", None),
        ('health_path = "/v1.0/health"', "/v1.0/health", None),
        ('health_url = "https://shop.example/"', "/health", "https://shop.example"),
        ('health_url = "https://shop.example/live", health_path = "/live"', "/live", "https://shop.example"),
        ('health_url = "https://shop.example/base", health_path = "/live"', "/live", "https://shop.example/base"),
    ],
)
def test_where_the_health_is_may_be_written_as_one_address(written, path, url):
    found = policy(written)

    assert (found.health_path, found.health_url) == (path, url)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('health_path = "shop.example/healthz"', 'health_path: begins with a host: write "/healthz"'),
        ('health_path = "/health check"', "health_path: '/health check' is no path"),
        ('health_url = "shop.example"', 'write "https://shop.example"'),
        (
            'health_url = "https://shop.example/live"',
            'write health_url = "https://shop.example" and health_path = "/li',
        ),
        ('health_url = "https://me:pw@shop.example"', 'write scheme and host alone: "https://shop.example"'),
        (
            'health_url = "https://a.example", health_path = "https://b.example/x"',
            "names https://b.example, and health",
        ),
    ],
)
def test_an_address_that_would_be_dead_is_refused_with_what_to_write(written, told):
    assert told in refused(FILE.format(**GIVEN | {"policy": f"policy = {{{written}}}"}))


@pytest.mark.parametrize(
    ("written", "key", "meant"),
    [
        ('merge_method = "Squash"', "merge_method", "squash"),
        ("auto_deploy = false", "auto_deploy", "off"),
        ("rollback = false", "rollback", "off"),
        ('automatic = "no"', "automatic", False),
        ('bake = "300"', "bake", 300.0),
        ('failure_threshold = " 2 "', "failure_threshold", 2),
        ('ignored_checks = "lint"', "ignored_checks", ("lint",)),
        ('ignored_checks = [" lint\\n"]', "ignored_checks", ("lint",)),
        ('required_checks = "tests"', "required_checks", ("tests",)),
        ('required_checks = ["tests "]', "required_checks", ("tests",)),
        ('health_field = "$.state", health_value = "up"', "health_field", "state"),
        ('deploy_label = " ship it "', "deploy_label", "ship it"),
        ('commit_field = "$.build.commit"', "commit_field", "build.commit"),
        ('commit_header = "X-Commit: "', "commit_header", "X-Commit"),
    ],
)
def test_a_rule_is_understood_however_it_is_written(written, key, meant):
    assert getattr(policy(written), key) == meant


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            'merge_method = "fast-forward"',
            'merge_method: Invalid enum value \'fast-forward\': write one of "merge", "squash"',
        ),
        ("auto_deploy = true", 'auto_deploy: Invalid enum value True: write one of "off", "adopt"'),
        ('bake = "5m"', "bake: '5m': durations are in seconds"),
    ],
)
def test_a_rule_that_could_mean_two_things_is_refused(written, told):
    assert told in refused(FILE.format(**GIVEN | {"policy": f"policy = {{{written}}}"}))


@pytest.mark.parametrize(
    "url",
    [
        "https://n8n.example",
        "https://n8n.example/",
        "https://n8n.example/webhook",
        "https://n8n.example/webhook/",
        "https://n8n.example/webhook-test",
        "https://n8n.example/webhook/signalbox-notification",
        "https://n8n.example/api/v1",
        "https://n8n.example/home/workflows",
        "https://n8n.example/workflow/abc?x=1",
    ],
)
def test_n8n_is_found_by_any_address_of_it(url):
    found = parse(FILE.format(**GIVEN) + f'[n8n]\nurl = "{url}"').n8n

    assert found == config.N8n(url="https://n8n.example")


@pytest.mark.parametrize(
    "path", ["signal", "/signal", "webhook/signal", "/webhook/signal/", "https://n8n.example/webhook/signal"]
)
def test_a_webhook_of_n8n_is_known_by_its_path(path):
    found = parse(FILE.format(**GIVEN) + f'[n8n]\nurl = "https://n8n.example/sub"\nnotification = "{path}"').n8n

    assert (found.url, found.notification) == ("https://n8n.example/sub", "signal")


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('url = "n8n.example"', "n8n.url: 'n8n.example' is not a URL such as https://n8n.example: write \"https://n8n"),
        (
            'url = "http://n8n.example"',
            'n8n.url: is not encrypted, and our token would be sent there: write "https://n8n',
        ),
        (
            'url = "https://n8n.example/webhook/other"',
            'n8n.url: is one workflow\'s address: write "https://n8n.example"',
        ),
        (
            'url = "https://n8n.example"\nnotification = "https://b.example/webhook/x"',
            "is no address of a webhook at n8n",
        ),
        ('url = "https://n8n.example"\nweekly_report = "my report"', "n8n.weekly_report: 'my report' is no path"),
    ],
)
def test_an_address_of_n8n_that_is_not_clear_is_refused(table, told):
    assert told in refused(FILE.format(**GIVEN) + f"[n8n]\n{table}")


@pytest.mark.parametrize("kind", ["workspace", "Account", " account "])
def test_a_kind_of_token_is_understood(kind):
    assert parse(FILE.format(**GIVEN) + f'[railway]\ntoken = "{kind}"').railway.token == "account"


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "signalbox.toml"
    file.write_bytes(b"\xef\xbb\xbf" + FILE.format(**GIVEN).replace("\n", "\r\n").encode())

    assert config.load(file).targets[0].id == "acme:shop:api:production"


def test_a_file_in_another_encoding_is_refused_with_what_to_do(tmp_path):
    file = tmp_path / "signalbox.toml"
    file.write_bytes(FILE.format(**GIVEN).encode("utf-16"))

    with pytest.raises(ConfigError, match="save it as UTF-8"):
        config.load(file)


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        ("GITHUB_API_URL", "https://ghe.example/api/v3/", "https://ghe.example/api/v3"),
        ("GITHUB_API_URL", "https://ghe.example/api/graphql", "https://ghe.example/api/v3"),
        ("GITHUB_API_URL", "https://api.github.com/graphql", "https://api.github.com"),
        ("GITHUB_API_URL", "https://github.com", "https://api.github.com"),
        ("GITHUB_API_URL", "https://acme.ghe.com", "https://api.acme.ghe.com"),
        ("GITHUB_API_URL", '"https://api.github.com"\n', "https://api.github.com"),
        ("RAILWAY_API_URL", "https://backboard.railway.com", "https://backboard.railway.com/graphql/v2"),
        ("RAILWAY_API_URL", "https://backboard.railway.com/graphql/v2/", "https://backboard.railway.com/graphql/v2"),
        ("SIGNALBOX_CONSOLE_URL", "https://console.example/runs", "https://console.example"),
        ("SIGNALBOX_CONSOLE_URL", "https://console.example/", "https://console.example"),
        ("GITHUB_API_URL", "http://127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("GITHUB_API_URL", "http://localhost:8081", "http://localhost:8081"),
        ("RAILWAY_API_URL", "http://[::1]:8082/graphql/v2", "http://[::1]:8082/graphql/v2"),
        ("GITHUB_APP_ID", " Iv23liABC\r\n", "Iv23liABC"),
        ("GITHUB_APP_ID", "'123456'", "123456"),
        ("GOOGLE_CLOUD_PROJECT", "projects/my-project", "my-project"),
        ("SIGNALBOX_LOG_LEVEL", "warn", "WARNING"),
        ("SIGNALBOX_ALLOW_LOOPBACK", "Yes", True),
        ("SIGNALBOX_LIMIT", " 40 ", 40.0),
        ("SIGNALBOX_CONFIG", '"other.toml"', "other.toml"),
    ],
)
def test_a_variable_is_understood_however_it_is_written(name, written, meant):
    assert getattr(settings.read({name: written}), name.lower()) == meant


@pytest.mark.parametrize(
    ("name", "written", "told"),
    [
        ("GITHUB_API_URL", "api.github.com", 'write "https://api.github.com"'),
        ("RAILWAY_API_URL", "https://railway.com", 'write "https://backboard.railway.com/graphql/v2"'),
        ("GITHUB_APP_ID", "signalbox", "write the client id"),
        ("SIGNALBOX_LIMIT", "40s", "Expected `float`"),
        ("GITHUB_API_URL", "http://ghe.example", 'our token would be sent there: write "https://ghe.example"'),
        ("GITHUB_API_URL", "http://github.com", 'write "https://github.com"'),
        ("GITHUB_API_URL", "http://127.0.0.1.evil.test", 'write "https://127.0.0.1.evil.test"'),
        ("GITHUB_API_URL", "http://localhost.evil.test", "not encrypted"),
        (
            "RAILWAY_API_URL",
            "http://backboard.railway.com/graphql/v2",
            'write "https://backboard.railway.com/graphql/v2"',
        ),
    ],
)
def test_a_variable_that_is_not_clear_is_refused(name, written, told):
    with pytest.raises(ConfigError, match=rf"^environment variable {name}: .*{re.escape(told)}"):
        settings.read({name: written})


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
PACKED = base64.b64encode(PEM.encode()).decode()


@pytest.mark.parametrize(
    "stored",
    [
        PEM,
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\\n"),
        PEM.replace("\n", "\\r\\n"),
        f'"{PEM}"',
        '"' + PEM.replace("\n", "\\n") + '"',
        f"\ufeff{PEM}",
        PEM.replace("\n", " "),
        f"  {PEM}  ",
        "Here it is:\n" + PEM,
        PACKED,
        PACKED.rstrip("="),
        "\ufeff" + PACKED,
        base64.b64encode(b"\xef\xbb\xbf" + PEM.encode()).decode(),
        base64.urlsafe_b64encode(PEM.encode()).decode().rstrip("="),
        "\n".join(PACKED[at : at + 76] for at in range(0, len(PACKED), 76)) + "\n",
        base64.b64encode((PEM + "x").encode()).decode().rstrip("="),
        base64.b64encode((PEM + "xy").encode()).decode().rstrip("="),
    ],
)
def test_a_private_key_is_read_whatever_became_of_its_line_ends(stored):
    read = forgiving.private_key(stored)

    assert load_pem_private_key(read.encode(), None).private_numbers() == KEY.private_numbers()
    assert jwt.encode({}, read, algorithm="RS256")


@given(st.text())
def test_no_text_for_a_key_raises_anything_else(text):
    with contextlib.suppress(ValueError):
        forgiving.private_key(text)


@pytest.mark.parametrize("written", ["Bearer abc", "bearer  abc", "Authorization: Bearer abc", '"abc"', "abc\n", "abc"])
def test_a_token_is_sent_without_the_word_before_it(written):
    assert forgiving.token(written) == "abc"
