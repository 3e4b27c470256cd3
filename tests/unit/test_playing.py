"""Somebody's signalbox.toml as `signalbox up` plays it."""

import pytest

from local.emulation.played_config import SHORTEST_DEADLINE, emulated
from shared.core.policy import Policy
from shared.errors import ConfigError
from shared.runtime.config import Config, parse

FILE = """
[policy]
bake = 120
health_path = "/up"
deploy_label = "los \\"😀\\""
merge_deadline = 86400

[n8n]
url = "https://n8n.example.com"

[repositories."acme/shop".services.web]
project_id = "p"
service_id = "s"

[repositories."acme/shop".services.web.policy]
ignored_checks = ["lint", "docs"]
commit_field = "build.commit"

[repositories."acme/shop".services.web.environments.production]
environment_id = "e"
branch = "release"

[repositories."acme/shop".services.web.environments.production.policy]
health_url = "https://shop.example"
health_timeout = 7
poll = 30
automatic = false
"""
N8N = "http://127.0.0.1:9"


def played(**options: bool) -> Config:
    return parse(emulated(FILE, "signalbox.toml", n8n=N8N, **options))


def test_names_and_rules_stay_as_the_file_has_them() -> None:
    (target,), (own,) = played().targets, parse(FILE).targets
    assert (target.id, target.branch, target.service_id) == (own.id, "release", "s")
    for name in ("health_path", "health_timeout", "ignored_checks", "commit_field", "automatic", "merge_method"):
        assert getattr(target.policy, name) == getattr(own.policy, name)


def test_minutes_become_seconds_also_where_the_file_is_silent() -> None:
    [target] = played().targets
    assert target.policy.bake == 2.0
    assert target.policy.poll == 0.5
    assert target.policy.adopt_wait == Policy().adopt_wait / 60
    assert target.policy.merge_deadline == 1440.0


def test_deadlines_leave_a_slow_machine_its_time() -> None:
    [target] = played().targets
    assert target.policy.verify_deadline == SHORTEST_DEADLINE < Policy().verify_deadline


def test_times_may_be_kept() -> None:
    (target,), (own,) = played(real_time=True).targets, parse(FILE).targets
    assert (target.policy.bake, target.policy.merge_deadline) == (own.policy.bake, own.policy.merge_deadline)


@pytest.mark.parametrize("real_time", [True, False])
def test_nothing_outside_this_machine_is_reached(real_time: bool) -> None:
    configured = played(real_time=real_time)
    assert configured.n8n is not None
    assert configured.n8n.url == N8N
    assert configured.targets[0].policy.deploy_label == 'los "😀"'
    assert configured.targets[0].policy.health_url is None


def test_what_is_wrong_is_left_to_be_refused() -> None:
    with pytest.raises(ConfigError, match=r"policy\.bake"):
        parse(emulated(FILE.replace("bake = 120", 'bake = "long"'), "signalbox.toml", n8n=N8N))
    with pytest.raises(ConfigError, match=r"mine\.toml: not TOML"):
        emulated("[policy", "mine.toml", n8n=N8N)


@pytest.mark.parametrize("real_time", [False, True])
def test_no_address_of_the_real_world_is_left_however_it_is_written(real_time: bool) -> None:
    # Given a file that has whole addresses where a path is enough, and begins with a byte order mark
    text = FILE.replace('"/up"', '"https://shop.example/up"').replace("[n8n]", '[n8n]\nfailure_analysis = "why"')
    text = text.replace('failure_analysis = "', 'failure_analysis = "https://n8n.example.com/webhook/')
    assert parse(text.replace('health_url = "https://shop.example"', "")).targets[0].policy.health_url is not None

    # When it is played
    config = parse(emulated("\ufeff" + text, "signalbox.toml", n8n=N8N, real_time=real_time))

    # Then what is checked, and called, is on this machine
    assert (config.targets[0].policy.health_url, config.targets[0].policy.health_path) == (None, "/up")
    assert config.n8n is not None
    assert (config.n8n.url, config.n8n.failure_analysis) == (N8N, "why")


def test_a_time_in_quotes_is_shortened_too() -> None:
    text = FILE.replace("bake = 120", 'bake = "120"')
    assert parse(emulated(text, "signalbox.toml", n8n=N8N)).targets[0].policy.bake == 2.0
