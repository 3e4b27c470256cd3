"""signalbox.toml: read into targets, or refused whole with the key that is wrong."""

import re
import tomllib

import pytest

from shared.core.policy import Policy
from shared.errors import ConfigError
from shared.runtime import config as configuration
from shared.runtime.config import N8n, Railway, load, parse

SMALLEST = """
[repositories."acme/shop".services.api]
project_id = "p1"
service_id = "s1"
environments.production.environment_id = "e1"
"""
FULL = """
[policy]
bake = 1.0
poll = 1.0
merge_method = "merge"

[railway]
token = "project"

[n8n]
url = "https://n8n.example"

[repositories."acme/shop".policy]
poll = 2.0
bake = 2.0

[repositories."acme/shop".services.api]
project_id = "p1"
service_id = "s1"
policy.bake = 3.0

[repositories."acme/shop".services.api.environments.production]
environment_id = "e1"
policy.health_path = "/healthz"

[repositories."acme/shop".services.api.environments.staging]
environment_id = "e2"
branch = "develop"
policy.bake = 4.0
"""


def test_the_smallest_file_that_deploys_something():
    config = parse(SMALLEST)

    (target,) = config.targets
    assert (target.id, target.name, target.branch) == ("acme:shop:api:production", "api/production", "main")
    assert (target.project_id, target.service_id, target.environment_id) == ("p1", "s1", "e1")
    assert (config.railway, config.n8n) == (Railway(token="account"), None)


@pytest.mark.parametrize("paths", [["apps/api/**"], ["**", "!docs/**"], []])
def test_a_service_names_its_paths_for_all_of_its_environments(paths):
    given = SMALLEST + f"paths = {paths}\nenvironments.staging = {{ environment_id = 'e2', branch = 'next' }}\n"
    assert [target.paths for target in parse(given).targets] == [tuple(paths)] * 2


@pytest.mark.parametrize("paths", [["!docs/**"], [""], ["v[9-0]"]])
def test_paths_that_can_match_nothing_are_refused(paths):
    with pytest.raises(ConfigError, match=r"services\.api\.paths: .*"):
        parse(SMALLEST + f"paths = {paths}\n")


def test_a_merge_may_have_nothing_for_one_of_several_services_or_one_with_paths():
    other = SMALLEST.replace("api", "web").replace("s1", "s2")
    several, one, named, all_of_it = (
        parse(text)
        for text in (SMALLEST + other, SMALLEST, SMALLEST + "paths = ['a']", SMALLEST + "paths = []" + other)
    )
    assert [config.is_selective(config.targets[0]) for config in (several, one, named, all_of_it)] == [
        *(True, False, True, False)
    ]


def test_the_nearest_policy_wins():
    production, staging = parse(FULL).targets

    assert [production.policy.merge_method, production.policy.poll, production.policy.bake] == ["merge", 2.0, 3.0]
    assert [staging.policy.merge_method, staging.policy.poll, staging.policy.bake] == ["merge", 2.0, 4.0]
    assert (production.policy.health_path, staging.policy.health_path) == ("/healthz", "/health")
    assert staging.branch == "develop"


def test_vendors():
    config = parse(FULL)

    assert config.railway.token == "project"
    assert config.n8n == N8n(url="https://n8n.example", notification="signalbox-notification")


def test_targets_are_found_by_what_others_call_them():
    config = parse(FULL)
    production, staging = config.targets

    assert config.target("acme:shop:api:staging") is staging
    assert config.target("acme:shop:api:nowhere") is None
    assert config.in_repository("Acme/Shop") == [production, staging]
    assert config.in_repository("acme/other") == []
    assert config.on_railway("e2", "s1") is staging
    assert config.on_railway("s1", "e2") is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("repositories =", "not TOML"),
        ("", "top level: Object missing required field `repositories`"),
        ("[repositories]", "repositories: names no service"),
        ('[repositories."acme/shop".services]', "repositories: names no service"),
        ('[repositories."acme".services]', r'repositories\."acme": is not of the form owner/name'),
        ('[repositories."acme/shop"]', r'repositories\."acme/shop": Object missing required field `services`'),
        ("polices = 1\n" + SMALLEST, "top level: Object contains unknown field `polices`"),
        (SMALLEST.replace("services.api", "services.API"), r"services\.API: a name is 1 to 39"),
        (SMALLEST.replace("service_id", "serviceid"), r"services\.api: Object "),
        (SMALLEST.replace(".production.", ".Prod."), r"environments\.Prod: a name is"),
        (SMALLEST.replace("environment_id", "id"), r"environments\.production: Object "),
        (SMALLEST.replace('"e1"', "1"), r"environments\.production\.environment_id: Expected `str`, got `int`"),
        (SMALLEST + "policy.bakes = 1.0", r"services\.api\.policy\.bakes: there is no such rule"),
        (SMALLEST + "policy.bake = -1.0", r"services\.api\.policy\.bake: Expected `float` >= 0"),
        ("policy.bakes = 1\n" + SMALLEST, r"policy\.bakes: there is no such rule"),
        ("policy.bake = -1\n" + SMALLEST, r"policy\.bake: Expected `float` >= 0"),
        ('[repositories."acme/shop".policy]\nx = 1\n' + SMALLEST, r'repositories\."acme/shop"\.policy\.x: there is no'),
        (SMALLEST + "environments.production.policy.x = 1", r"environments\.production\.policy\.x: there is no such"),
        (
            SMALLEST + 'environments.b = { environment_id = "e1", branch = "next" }',
            r"environments\.b: is the same Railway service.*production",
        ),
        ('railway.token = "x"\n' + SMALLEST, r"railway\.token: Invalid enum value 'x'"),
        ("[n8n]\n" + SMALLEST, "n8n: Object missing required field `url`"),
    ],
)
def test_what_is_wrong_is_named(text, complaint):
    with pytest.raises(ConfigError, match=f"^pipeline.toml: .*{complaint}"):
        parse(text, "pipeline.toml")


DURATIONS = [name for name in Policy.__struct_fields__ if isinstance(getattr(Policy(), name), float)]


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e300", "3e6"])
@pytest.mark.parametrize("key", DURATIONS)
def test_a_duration_ends(key, value):
    with pytest.raises(ConfigError, match=rf"^signalbox\.toml: policy\.{key}: "):
        parse(f"policy.{key} = {value}\n{SMALLEST}")


def test_a_queued_run_may_wait_for_a_month():
    assert parse(f"policy.queue_deadline = 2_592_000\n{SMALLEST}").targets[0].policy.queue_deadline == 2_592_000


@pytest.mark.parametrize("key", ["project_id", "service_id", "environment_id", "branch"])
def test_nothing_is_no_id_and_no_branch(key):
    emptied = re.sub(rf'{key} = "\w+"', f'{key} = ""', SMALLEST + 'environments.production.branch = "main"')
    with pytest.raises(ConfigError, match=rf"\.{key}: Expected `str` of length >= 1$"):
        parse(emptied)


@pytest.mark.parametrize(
    "url",
    ["", "shop.example", "//shop.example", "ftp://shop.example", "https://", "http://[::1", "http://a b", "http://a:x"],
)
def test_an_address_is_a_url_with_a_host(url):
    with pytest.raises(ConfigError) as caught:
        parse(f'policy.health_url = "{url}"\nn8n.url = "{url}"\n{SMALLEST}')

    keys = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert keys == ["policy.health_url", "n8n.url"]


@pytest.mark.parametrize("value", ['"green"', "true", "1", "0.5"])
def test_a_field_of_the_health_answer_can_decide(value):
    (target,) = parse(f'policy.health_field = "app.state"\npolicy.health_value = {value}\n{SMALLEST}').targets

    assert (target.policy.health_field, target.policy.health_value) == ("app.state", tomllib.loads(f"v={value}")["v"])


def test_the_value_may_stand_nearer_than_the_field():
    nearer = 'policy.health_field = "state"\n' + SMALLEST + 'policy.health_value = "green"\n'

    assert parse(nearer).targets[0].policy.health_value == "green"


@pytest.mark.parametrize(
    ("given", "missing"), [('health_field = "state"', "health_value"), ('health_value = "green"', "health_field")]
)
def test_a_health_field_and_its_value_go_together(given, missing):
    with pytest.raises(ConfigError, match=rf"policy\.{missing}: health_field and health_value go together"):
        parse(f"policy.{given}\n{SMALLEST}")


def test_a_file_is_read(tmp_path):
    path = tmp_path / "signalbox.toml"
    path.write_text(SMALLEST)

    assert load(path) == parse(SMALLEST)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "signalbox.toml"
    with pytest.raises(ConfigError, match=r"signalbox\.toml: cannot be read"):
        load(path)

    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"signalbox\.toml: cannot be read"):
        load(path)


def test_every_problem_is_told_at_once():
    wrong = SMALLEST.replace("project_id", "projectid") + '[repositories.shop]\n[railway]\ntoken = "x"\n[n8n]\n'

    with pytest.raises(ConfigError) as caught:
        parse(wrong)

    keys = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert keys == ['repositories."acme/shop".services.api', 'repositories."shop"', "railway.token", "n8n"]


# Railway's tokens

TWO = (
    SMALLEST
    + """environments.production.railway_token_secret = "RAILWAY-PRODUCTION"
environments.staging.environment_id = "e2"
environments.staging.branch = "next"
"""
)


def tokens(text: str) -> dict[str, tuple[str, str]]:
    """By the names of the targets: the secret, and the kind of the token in it."""
    return {one.name: (one.railway_token.secret, one.railway_token.kind) for one in parse(text).targets}


def test_a_file_without_a_token_uses_the_account_token():
    assert tokens(SMALLEST) == {"api/production": ("RAILWAY-API", "account")}


def test_one_project_token_for_everything_is_sent_as_one():
    assert set(tokens(FULL).values()) == {("RAILWAY-API", "project")}


def test_an_environment_that_names_its_secret_has_a_project_token_in_it():
    assert tokens(TWO) == {
        "api/production": ("RAILWAY-PRODUCTION", "project"),
        "api/staging": ("RAILWAY-API", "account"),
    }


def test_the_secrets_of_a_file_are_those_that_its_targets_use():
    others = {"N8N-API", "github-app-private-key", "GITHUB-WEBHOOK-SECRET", "RAILWAY-WEBHOOK-SECRET"}
    own = TWO + 'environments.staging.railway_token_secret = "RAILWAY-STAGING"\n'

    assert set(parse(TWO).secrets) == others | {"RAILWAY-API", "RAILWAY-PRODUCTION"}
    assert set(parse(own).secrets) == others | {"RAILWAY-PRODUCTION", "RAILWAY-STAGING"}
    assert [[t.name for t in targets] for targets in parse(own).railway_tokens.values()] == [
        ["api/production"],
        ["api/staging"],
    ]


def test_services_of_one_environment_share_its_token():
    other = """
[repositories."acme/shop".services.web]
project_id = "p1"
service_id = "s2"
environments.production = { environment_id = "e1", railway_token_secret = "RAILWAY-PRODUCTION" }
"""
    [(token, targets)] = list(parse(TWO.partition("environments.staging")[0] + other).railway_tokens.items())
    assert (token.secret, len(targets)) == ("RAILWAY-PRODUCTION", 2)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("RAILWAY.STAGING", "a secret's name is 1 to 255 letters, digits, hyphens and underscores"),
        ("", "Expected `str` of length >= 1"),
        ("N8N-API", "N8N-API is another secret: name one of its own, such as RAILWAY-PRODUCTION"),
        (
            "RAILWAY-PRODUCTION",
            "RAILWAY-PRODUCTION is named by acme:shop:api:production too, and a project token opens",
        ),
        ("railway_production", "railway_production is too much like RAILWAY-PRODUCTION of acme:shop:api:production"),
    ],
)
def test_a_secret_that_cannot_be_meant_is_refused(secret, reason):
    with pytest.raises(ConfigError) as caught:
        parse(TWO + f'environments.staging.railway_token_secret = "{secret}"\n')

    key, told = str(caught.value).removeprefix("signalbox.toml: ").split(": ", 1)
    assert key == 'repositories."acme/shop".services.api.environments.staging.railway_token_secret'
    assert told.startswith(reason)


def test_the_account_token_cannot_be_named_as_a_project_token_beside():
    text = TWO.replace("RAILWAY-PRODUCTION", "RAILWAY-API")
    with pytest.raises(ConfigError, match="RAILWAY-API is the account token of other targets: name another secret"):
        parse(text)


@pytest.fixture
def renamed(monkeypatch):
    names = {"soak": "bake", "project": "project_id", "analysis": "failure_analysis", "kind": "token"}
    monkeypatch.setattr(configuration, "RENAMED", names)


@pytest.mark.usefixtures("renamed")
def test_a_setting_works_under_its_former_name_and_is_notified_once():
    present = (
        SMALLEST
        + """policy.bake = 3.0
[policy]
bake = "2"
[railway]
token = "workspace"
[n8n]
url = "https://n8n.example"
failure_analysis = "/failed"
"""
    )
    former = present
    for old, new in configuration.RENAMED.items():
        former = former.replace(f"{new} =", f"{old} =")

    told, expected = parse(former), parse(present)

    assert (told.targets, told.railway, told.n8n) == (expected.targets, expected.railway, expected.n8n)
    assert expected.renamed == ()
    service = 'repositories."acme/shop".services.api'
    assert told.renamed == tuple(
        f"{old} is called {new} now; rename it, though it still works"
        for old, new in [
            ("policy.soak", "bake"),
            (f"{service}.project", "project_id"),
            (f"{service}.policy.soak", "bake"),
            ("railway.kind", "token"),
            ("n8n.analysis", "failure_analysis"),
        ]
    )


@pytest.mark.usefixtures("renamed")
def test_a_setting_under_both_names_is_refused():
    with pytest.raises(ConfigError, match=r"^signalbox\.toml: policy\.soak: is called bake now, .*: remove soak$"):
        parse(SMALLEST + "[policy]\nsoak = 1\nbake = 2\n")


# Environments in order


def ordered(production: str = "", staging: str = "", qa: str | None = None) -> str:
    environments = {"production": production, "staging": staging} | ({} if qa is None else {"qa": qa})
    tables = (
        f'[repositories."acme/shop".services.api.environments.{name}]\nenvironment_id = "{name}"\n{rules}\n'
        for name, rules in environments.items()
    )
    service = '[repositories."acme/shop".services.api]\nproject_id = "p"\nservice_id = "s"\n'
    return service + "".join(tables)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        (ordered('after = "staging"'), {"production": "staging"}),
        (ordered('after = " Staging "'), {"production": "staging"}),
        (ordered('after = "qa"', "", 'after = "staging"'), {"production": "qa", "qa": "staging"}),
        (ordered('after = "staging"', "", "parallel = true"), {"production": "staging"}),
        (ordered('after = "staging"', "", 'branch = "next"'), {"production": "staging"}),
        (ordered("parallel = true", 'parallel = "yes"'), {}),
        (ordered("", 'branch = "next"'), {}),
    ],
)
def test_environments_come_in_the_order_that_is_named(text, after):
    config = parse(text)

    found = {one.environment: one.after for one in config.targets if one.after}
    assert found == {name: f"acme:shop:api:{before}" for name, before in after.items()}
    for name, before in after.items():
        assert name in [one.environment for one in config.followers(f"acme:shop:api:{before}")]


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        (ordered(), "production", 'names no order. Write `after = "staging"`.* or `parallel = true`'),
        (ordered("parallel = true"), "staging", "names no order"),
        (ordered('after = "staging"', "", ""), "qa", "names no order"),
        (ordered('after = "test"'), "production.after", r"is no other environment .* \(staging\)"),
        (ordered('after = "production"'), "production.after", "is no other environment"),
        (ordered('after = "staging"', 'branch = "next"'), "production.after", "on the branch main .there is none"),
        (ordered('after = "staging"', 'after = "production"'), "staging.after", "comes round to itself"),
        (ordered('after = "qa"', 'after = "production"', 'after = "staging"'), "qa.after", "comes round to itself"),
        (ordered('after = "staging"\nparallel = true'), "production.parallel", "contradicts `after`"),
        (ordered('after = "staging"\npolicy.auto_deploy = "adopt"'), "production.after", 'auto_deploy = "off"'),
        (
            ordered('after = "staging"\npolicy = { promote_after = 90000, approval_deadline = 86400 }'),
            "production.policy.promote_after",
            "longer than approval_deadline",
        ),
    ],
)
def test_environments_in_no_order_are_refused_with_what_to_write(text, key, said):
    with pytest.raises(ConfigError) as caught:
        parse(text)

    lines = dict(line.removeprefix("signalbox.toml: ").split(": ", 1) for line in str(caught.value).splitlines())
    assert re.search(said, lines[f'repositories."acme/shop".services.api.environments.{key}'])
