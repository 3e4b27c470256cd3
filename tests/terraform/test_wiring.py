"""Topology, Terraform, local emulation, doctor and docs describe one and the same thing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from google.pubsub_v1.types import DeadLetterPolicy, PushConfig, Subscription
from terraform.planning import Plan, Resource

from local import topology
from local.doctor.google import _differences
from local.emulation.topics import push_subscription
from local.packaging import packages
from local.topology import Function
from shared import cloud
from shared.cloud.indexes import COLLECTIONS, COMPOSITE_INDEXES, Index
from shared.core.policy import DAY
from shared.core.run import Run
from shared.core.target import Target
from shared.runtime import config, secrets, settings
from shared.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT = "acme-project"
ADDRESS = "https://function.test"
TOPOLOGY = topology.load()
FUNCTIONS = {function.name: function for function in TOPOLOGY.functions}
OF_THE_CALLER = ("SIGNALBOX_CALLER", "SIGNALBOX_AUDIENCE", "SIGNALBOX_PRIVATE")
SUBSCRIBERS = [function for function in TOPOLOGY.functions if function.subscribes]


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def pushed(plan: Plan, function: Function) -> dict[str, Any]:
    return plan.only("google_pubsub_subscription", "push", function.name).values


def service(one: Resource) -> dict[str, Any]:
    [config] = one.values["service_config"]
    return dict(config)


def checks(plan: Plan, function: str) -> dict[str, str]:
    """What it is told of its caller."""
    [one] = [one for one in plan.of("google_cloudfunctions2_function") if one.function == function]
    variables = service(one)["environment_variables"]
    return {name: variables[name] for name in OF_THE_CALLER if name in variables}


def test_there_are_the_functions_of_the_topology_as_it_sizes_them(plans: dict[str, Plan]) -> None:
    made = {one.function: service(one) for one in plans["ordinary"].of("google_cloudfunctions2_function")}
    assert set(made) == set(FUNCTIONS)
    for name, function in FUNCTIONS.items():
        sizes = ("available_memory", "available_cpu", "max_instance_request_concurrency", "timeout_seconds")
        assert [made[name][size] for size in sizes] == [
            function.memory,
            function.cpu,
            function.concurrency,
            function.timeout,
        ]
        instances = (made[name]["min_instance_count"], made[name]["max_instance_count"])
        assert instances == (function.min_instances, function.max_instances)


def test_each_function_is_of_its_own_package_whose_hash_is_in_the_name(plans: dict[str, Plan], tmp_path: Path) -> None:
    built = {one.function: one.sha256 for one in packages.build(tmp_path)}
    for one in plans["ordinary"].of("google_cloudfunctions2_function"):
        [build] = one.values["build_config"]
        [source] = build["source"][0]["storage_source"]
        assert build["entry_point"] == one.function
        assert source["object"] == f"{one.function}/{built[str(one.function)]}.zip"
    assert all(
        one.values["source"].endswith(f"/{one.key}.zip") for one in plans["ordinary"].of("google_storage_bucket_object")
    )


def test_there_are_the_topics_of_the_topology_kept_for_a_seek(plans: dict[str, Plan]) -> None:
    topics = {one.key: one.values for one in plans["ordinary"].of("google_pubsub_topic", "this")}
    assert set(topics) == set(TOPOLOGY.topics)
    assert {one["name"] for one in topics.values()} == set(TOPOLOGY.topics)
    kept = {seconds(one["message_retention_duration"]) for one in topics.values()}
    assert kept == {TOPOLOGY.delivery.retention_days * DAY}


def test_dead_letters_are_kept_until_somebody_takes_them(plans: dict[str, Plan]) -> None:
    dead_letters = plans["ordinary"].only("google_pubsub_subscription", "dead_letters").values
    assert dead_letters["name"] == TOPOLOGY.dead_letters.subscription
    assert dead_letters["topic"] == f"projects/{PROJECT}/topics/{TOPOLOGY.dead_letters.topic}"
    assert seconds(dead_letters["message_retention_duration"]) == TOPOLOGY.dead_letters.retention_days * DAY
    assert dead_letters["push_config"] == []
    assert dead_letters["expiration_policy"] == [{"ttl": ""}]


def test_each_subscriber_has_a_subscription_and_nobody_else(plans: dict[str, Plan]) -> None:
    made = {one.function for one in plans["ordinary"].of("google_pubsub_subscription", "push")}
    assert made == {function.name for function in SUBSCRIBERS}


@pytest.mark.parametrize("function", SUBSCRIBERS, ids=lambda function: function.name)
def test_a_subscription_is_as_the_emulator_gets_it(plans: dict[str, Plan], function: Function) -> None:
    planned = pushed(plans["ordinary"], function)
    emulated = push_subscription(TOPOLOGY, function, ADDRESS, TOPOLOGY.delivery, PROJECT)
    token = emulated.push_config.oidc_token
    [push] = planned["push_config"]
    assert emulated.name == f"projects/{PROJECT}/subscriptions/{planned['name']}"
    assert emulated.topic == planned["topic"]
    assert push["oidc_token"][0]["service_account_email"] == token.service_account_email
    assert emulated.ack_deadline_seconds == planned["ack_deadline_seconds"]
    [dead_letters] = planned["dead_letter_policy"]
    assert emulated.dead_letter_policy.dead_letter_topic == dead_letters["dead_letter_topic"]
    assert emulated.dead_letter_policy.max_delivery_attempts == dead_letters["max_delivery_attempts"]
    assert emulated.message_retention_duration.total_seconds() == seconds(planned["message_retention_duration"])
    assert not emulated.expiration_policy.ttl
    assert planned["expiration_policy"] == [{"ttl": ""}]


@pytest.mark.parametrize("function", TOPOLOGY.functions, ids=lambda function: function.name)
def test_a_function_knows_the_token_of_its_caller(plans: dict[str, Plan], function: Function) -> None:
    known = checks(plans["ordinary"], function.name)
    if not function.is_called:
        assert known == {}
        return
    assert known["SIGNALBOX_CALLER"] == f"{function.caller}@{PROJECT}.iam.gserviceaccount.com"
    assert re.fullmatch(rf"https://signalbox-{function.name}-\w+\.[a-z0-9-]+\.run\.app", known["SIGNALBOX_AUDIENCE"])
    assert known["SIGNALBOX_PRIVATE"] == str(not function.public).lower()
    if function.subscribes is not None:
        [push] = pushed(plans["ordinary"], function)["push_config"]
        assert push["oidc_token"][0]["audience"] == known["SIGNALBOX_AUDIENCE"]


@pytest.mark.parametrize("function", SUBSCRIBERS, ids=lambda function: function.name)
def test_the_doctor_finds_nothing_wrong_with_a_subscription(plans: dict[str, Plan], function: Function) -> None:
    planned = pushed(plans["ordinary"], function)
    [push], [dead_letters] = planned["push_config"], planned["dead_letter_policy"]
    there = Subscription(
        name=planned["name"],
        topic=planned["topic"],
        push_config=PushConfig(
            push_endpoint=ADDRESS,
            oidc_token=PushConfig.OidcToken(service_account_email=push["oidc_token"][0]["service_account_email"]),
        ),
        ack_deadline_seconds=planned["ack_deadline_seconds"],
        dead_letter_policy=DeadLetterPolicy(**dead_letters),
    )
    assert _differences(TOPOLOGY, function, there) == []


@pytest.mark.parametrize("function", SUBSCRIBERS, ids=lambda function: function.name)
def test_a_subscription_backs_off_and_waits_for_the_function(plans: dict[str, Plan], function: Function) -> None:
    planned = pushed(plans["ordinary"], function)
    [retry] = planned["retry_policy"]
    delivery = TOPOLOGY.delivery
    assert (seconds(retry["minimum_backoff"]), seconds(retry["maximum_backoff"])) == (
        delivery.min_backoff,
        delivery.max_backoff,
    )
    assert planned["ack_deadline_seconds"] >= function.timeout


def test_the_schedules_are_those_of_the_topology(plans: dict[str, Plan]) -> None:
    jobs = {one.key: one.values for one in plans["ordinary"].of("google_cloud_scheduler_job")}
    assert {name: job["schedule"] for name, job in jobs.items()} == {
        name: function.schedule for name, function in FUNCTIONS.items() if function.schedule
    }
    for name, job in jobs.items():
        [target] = job["http_target"]
        account = f"{FUNCTIONS[str(name)].caller}@{PROJECT}.iam.gserviceaccount.com"
        assert (target["http_method"], target["oidc_token"][0]["service_account_email"]) == ("POST", account)
        assert target["oidc_token"][0]["audience"] == checks(plans["ordinary"], str(name))["SIGNALBOX_AUDIENCE"]
        assert seconds(job["attempt_deadline"]) > FUNCTIONS[str(name)].timeout


def test_there_are_containers_for_the_secrets_and_no_values(plans: dict[str, Plan]) -> None:
    made = {one.values["secret_id"] for one in plans["ordinary"].of("google_secret_manager_secret")}
    assert made == {*secrets.NAMES, *config.load(ROOT / "signalbox.toml").secrets}
    for plan in plans.values():
        assert not list(plan.of("google_secret_manager_secret_version"))
    assert {one.key for one in plans["everything"].of("google_secret_manager_secret")} == made - {"N8N-API"}


@pytest.mark.parametrize("run", ["ordinary", "everything"])
def test_a_function_can_start_with_its_environment(plans: dict[str, Plan], run: str) -> None:
    environments = [
        {name: value for name, value in service(one)["environment_variables"].items() if name not in OF_THE_CALLER}
        for one in plans[run].of("google_cloudfunctions2_function")
    ]
    assert all(one == environments[0] for one in environments)
    read = settings.read(environments[0])
    assert read.google_cloud_project == PROJECT
    assert read.github_app_id
    assert read.signalbox_redelivery == Settings().signalbox_redelivery > TOPOLOGY.delivery.max_backoff
    assert re.fullmatch(r"https://signalbox-console-\w+\.[a-z0-9-]+\.run\.app", read.signalbox_console_url)
    assert read.signalbox_log_level == ("DEBUG" if run == "everything" else "INFO")
    cloud.open_backend(environments[0])
    if run == "everything":
        assert environments[0]["SIGNALBOX_DATABASE"] == "signalbox"
        assert environments[0]["SIGNALBOX_SECRET_VERSIONS"] == "N8N-API=latest,RAILWAY-PRODUCTION=3"


def test_every_variable_that_functions_read_can_be_set_and_no_other(plans: dict[str, Plan]) -> None:
    one = plans["everything"].only("google_cloudfunctions2_function", function="merge")
    allowed = page("terraform/variables.tf").partition('variable "settings"')[2].partition("nullable")[2]
    can_be_set = set(service(one)["environment_variables"]) | set(re.findall(r'"([A-Z_]+)"', allowed))
    never = {"SIGNALBOX_BACKEND", "SIGNALBOX_CONFIG", "SIGNALBOX_ALLOW_LOOPBACK"}
    known = {name.upper() for name in Settings.__struct_fields__} | {cloud.DATABASE, cloud.SECRET_VERSIONS}
    assert can_be_set == known - never


def test_a_stage_is_stopped_before_its_function_and_before_its_message_comes_again() -> None:
    assert Settings().signalbox_limit < min(function.timeout for function in SUBSCRIBERS)
    assert Settings().signalbox_limit < TOPOLOGY.delivery.ack_deadline


def test_the_indexes_are_those_of_the_code() -> None:
    described = json.loads(page("terraform/indexes.json"))
    indexes = [
        Index(one["collection"], tuple((field["path"], field["order"]) for field in one["fields"])) for one in described
    ]
    assert indexes == list(COMPOSITE_INDEXES)


def test_the_indexes_are_made(plans: dict[str, Plan]) -> None:
    planned = {
        Index(
            one.values["collection"],
            tuple((field["field_path"], field["order"]) for field in one.values["fields"]),
        )
        for one in plans["ordinary"].of("google_firestore_index")
    }
    assert planned == set(COMPOSITE_INDEXES)


def test_documents_that_expire_are_deleted_then(plans: dict[str, Plan]) -> None:
    expiring = {COLLECTIONS[kind] for kind in (Run, Target) if "expire_at" in kind.__struct_fields__}
    rules = [one.values for one in plans["ordinary"].of("google_firestore_field")]
    assert {(one["collection"], one["field"]) for one in rules} == {(name, "expire_at") for name in expiring}
    assert all(len(one["ttl_config"]) == 1 for one in rules)


def test_the_database_is_protected_and_can_have_another_name(plans: dict[str, Plan]) -> None:
    ordinary = plans["ordinary"].only("google_firestore_database").values
    assert (ordinary["name"], ordinary["delete_protection_state"]) == ("(default)", "DELETE_PROTECTION_ENABLED")
    everything = plans["everything"]
    assert everything.only("google_firestore_database").values["name"] == "signalbox"
    of_it = [*everything.of("google_firestore_index"), *everything.of("google_firestore_field")]
    assert {one.values["database"] for one in of_it} == {"signalbox"}


@pytest.mark.parametrize("name", ["variables", "outputs"])
def test_the_page_about_terraform_names_what_goes_in_and_what_comes_out(name: str) -> None:
    declared = re.findall(r'^(?:variable|output) "(\w+)"', page(f"terraform/{name}.tf"), re.MULTILINE)
    section = page("terraform/README.md").split(f"\n## {name.capitalize()}\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == declared


def test_the_page_about_terraform_names_every_alert(plans: dict[str, Plan]) -> None:
    titles = {
        one.values["display_name"].removeprefix("Signalbox: ")
        for one in plans["ordinary"].of("google_monitoring_alert_policy")
    }
    section = page("terraform/README.md").split("\n## Alerts\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| ([a-zA-Z ]+) \|", section, re.MULTILINE)) - {"alert"} == titles
