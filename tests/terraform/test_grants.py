"""Least privilege, both ways: what the plan grants is what the code of each function uses, and what calls it needs."""

import itertools
from typing import Any

import pytest
from msgspec import Struct
from terraform.planning import Plan, Resource
from terraform.usage import Use

from local import topology
from local.packaging import packages
from local.topology import Function
from shared.core.target_config import RAILWAY_API
from shared.runtime import config

PROJECT = "acme-project"
TOPOLOGY = topology.load()
FUNCTIONS = {function.name: function for function in TOPOLOGY.functions}
SUBSCRIBERS = [function for function in TOPOLOGY.functions if function.subscribes]
STORE = {"read": "roles/datastore.viewer", "write": "roles/datastore.user"}
EXPRESSION = f'resource.name == "projects/{PROJECT}/databases/(default)"'
TOKENS = {token.secret for token in config.load(packages.ROOT / packages.CONFIG).railway_tokens}
"""The secrets of Railway's tokens in the signalbox.toml that is packed."""
PUBSUB = "pubsub"
"""Pub/Sub's own service account, whose name has the number of the project."""


class Grant(Struct, frozen=True, order=True):
    """`on` is a topic, a secret, `project`, or whatever else has grants."""

    member: str
    role: str
    on: str
    condition: str = ""


def account(id: str) -> str:
    return f"serviceAccount:{id}@{PROJECT}.iam.gserviceaccount.com"


def runtime(function: str) -> str:
    return account(f"signalbox-{function}")


def granted(plan: Plan) -> list[Grant]:
    """Every grant that the plan makes."""
    others = ("custom_role", "audit_config")
    return [
        grant(one) for one in plan.resources if "_iam_" in one.type and not any(other in one.type for other in others)
    ]


def grant(one: Resource) -> Grant:
    assert one.type.endswith("_iam_member"), "others take away what somebody else has granted"
    values = one.values
    [condition] = values.get("condition") or [{}]
    member = PUBSUB if values["member"].endswith("@gcp-sa-pubsub.iam.gserviceaccount.com") else values["member"]
    return Grant(member, values.get("role", ""), on(one), condition.get("expression", ""))


def on(one: Resource) -> str:
    """By key where the thing itself has its name only once it is made."""
    match one.type:
        case "google_project_iam_member":
            return f"project {one.values['project']}"
        case "google_secret_manager_secret_iam_member":
            return str(one.values["secret_id"])
        case "google_cloud_run_v2_service_iam_member":
            return f"service {one.values['name']}"
        case "google_pubsub_topic_iam_member":
            return f"topic {one.values['topic'].removeprefix(f'projects/{PROJECT}/topics/')}"
        case "google_pubsub_subscription_iam_member":
            return f"subscription {one.values['subscription']}"
        case "google_storage_bucket_iam_member":
            return f"bucket {one.values['bucket']}"
        case "google_artifact_registry_repository_iam_member":
            return f"repository {one.values['repository']}"
        case "google_service_account_iam_member":
            return f"account of {one.function or 'build'} {one.key or ''}".strip()
    raise AssertionError(f"who grants by {one.type}?")


def of_store(uses: set[Use], function: str) -> str:
    names = {use.name for use in uses if (use.function, use.what) == (function, "store")}
    return "write" if "write" in names else "read" if "read" in names else "none"


def what_is_used(uses: set[Use]) -> set[Grant]:
    """The grants that the code of the functions needs."""
    grants = set()
    for use in uses:
        if use.what == "publish":
            grants.add(Grant(runtime(use.function), "roles/pubsub.publisher", f"topic {use.name}"))
        if use.what == "secret":
            secrets = TOKENS if use.name == RAILWAY_API else {use.name}
            roles = ("roles/secretmanager.secretAccessor", "roles/secretmanager.viewer")
            of = itertools.product(roles, (f"projects/{PROJECT}/secrets/{name}" for name in secrets))
            grants |= {Grant(runtime(use.function), role, secret) for role, secret in of}
    for function in FUNCTIONS:
        role = STORE.get(of_store(uses, function))
        if role:
            grants.add(Grant(runtime(function), role, f"project {PROJECT}", EXPRESSION))
    return grants


def calls() -> set[Grant]:
    """Who may call which function: its own subscription or schedule, and everybody the webhooks."""
    callers = {function.name: account(function.caller) for function in FUNCTIONS.values() if called(function)}
    callers |= {function.name: "allUsers" for function in FUNCTIONS.values() if function.public}
    return {Grant(member, "roles/run.invoker", f"service signalbox-{name}") for name, member in callers.items()}


def called(function: Function) -> bool:
    return function.subscribes is not None or function.schedule is not None


def dead_letters() -> set[Grant]:
    taken = {Grant(PUBSUB, "roles/pubsub.subscriber", f"subscription {function.name}") for function in SUBSCRIBERS}
    return taken | {Grant(PUBSUB, "roles/pubsub.publisher", f"topic {TOPOLOGY.dead_letters.topic}")}


def is_of_a_function(one: Grant) -> bool:
    return one.member in {runtime(name) for name in FUNCTIONS}


async def test_the_code_uses_what_the_topology_names(used: set[Use]) -> None:
    named = {Use(name, "publish", topic) for name, function in FUNCTIONS.items() for topic in function.publishes}
    named |= {Use(name, "secret", secret) for name, function in FUNCTIONS.items() for secret in function.secrets}
    assert {use for use in used if use.what != "store"} == named
    assert {name: of_store(used, name) for name in FUNCTIONS} == {
        name: function.store for name, function in FUNCTIONS.items()
    }


async def test_each_function_is_granted_what_its_code_uses_and_no_more(plans: dict[str, Plan], used: set[Use]) -> None:
    assert {one for one in granted(plans["ordinary"]) if is_of_a_function(one)} == what_is_used(used)


def test_each_function_is_called_by_its_own_caller_alone(plans: dict[str, Plan]) -> None:
    assert {one for one in granted(plans["ordinary"]) if one.role == "roles/run.invoker"} == calls()


def test_pubsub_may_move_dead_letters_and_nothing_else(plans: dict[str, Plan]) -> None:
    assert {one for one in granted(plans["ordinary"]) if one.member == PUBSUB} == dead_letters()


def test_whoever_builds_may_read_sources_write_images_and_log(plans: dict[str, Plan]) -> None:
    build = [one for one in granted(plans["ordinary"]) if one.member == account("signalbox-build")]
    assert sorted((one.role, one.on.partition(" ")[0], bool(one.condition)) for one in build) == [
        ("roles/artifactregistry.writer", "repository", False),
        ("roles/logging.logWriter", "project", False),
        ("roles/storage.objectViewer", "bucket", False),
        ("roles/storage.objectViewer", "project", True),
    ]


async def test_nobody_else_is_granted_anything(plans: dict[str, Plan], used: set[Use]) -> None:
    grants = granted(plans["ordinary"])
    build = {one for one in grants if one.member == account("signalbox-build")}
    assert len(grants) == len(set(grants))
    assert set(grants) == what_is_used(used) | calls() | dead_letters() | build


def test_on_the_project_functions_have_firestore_only(plans: dict[str, Plan]) -> None:
    on_project = [one for one in granted(plans["ordinary"]) if one.on.startswith("project ") and is_of_a_function(one)]
    assert {one.role for one in on_project} == set(STORE.values())
    assert all(one.condition == EXPRESSION for one in on_project)


def test_no_account_is_shared(plans: dict[str, Plan]) -> None:
    functions = list(plans["ordinary"].of("google_cloudfunctions2_function"))
    accounts = {one.values["service_config"][0]["service_account_email"] for one in functions}
    assert len(accounts) == len(functions) == len(FUNCTIONS)


def test_no_function_reads_the_account_token_that_no_target_uses(plans: dict[str, Plan]) -> None:
    assert {"RAILWAY-PRODUCTION"} == TOKENS
    assert not [one for one in granted(plans["ordinary"]) if one.on.endswith("/RAILWAY-API")]


def test_a_pinned_secret_is_not_listed(plans: dict[str, Plan]) -> None:
    pinned = "projects/acme-project/secrets/RAILWAY-PRODUCTION"
    roles = {one.role for one in granted(plans["everything"]) if one.on == pinned}
    assert roles == {"roles/secretmanager.secretAccessor"}


@pytest.mark.parametrize("run", ["ordinary", "everything"])
def test_one_function_is_public(plans: dict[str, Plan], run: str) -> None:
    everybody = [one for one in granted(plans[run]) if one.member.startswith("all")]
    assert [(one.member, one.on) for one in everybody] == [("allUsers", "service signalbox-webhooks")]
    open_to = {name: "ALLOW_ALL" for name, function in FUNCTIONS.items() if function.public}
    if run == "everything":
        open_to["console"] = "ALLOW_ALL"
    assert ingress(plans[run]) == dict.fromkeys(FUNCTIONS, "ALLOW_INTERNAL_ONLY") | open_to


def ingress(plan: Plan) -> dict[str | None, Any]:
    return {
        one.function: one.values["service_config"][0]["ingress_settings"]
        for one in plan.of("google_cloudfunctions2_function")
    }


def test_the_console_opens_for_its_members_alone(plans: dict[str, Plan]) -> None:
    may = {one.member for one in granted(plans["everything"]) if one.on == "service signalbox-console"}
    assert may == {"user:ada@acme.test", account("deployer")}


def test_the_deployer_is_granted_nothing_unless_asked_for(plans: dict[str, Plan]) -> None:
    assert not [one for one in granted(plans["ordinary"]) if one.member == account("deployer")]


def test_the_deployer_can_make_every_kind_of_thing_that_there_is(plans: dict[str, Plan]) -> None:
    """And each of its roles is for one: resources that have another kind of grant stand in deployer.tf beside it."""
    plan = plans["everything"]
    elsewhere = {
        "google_project_iam_member",
        "google_project_iam_audit_config",
        "google_firestore_backup_schedule",
        "google_firestore_database",
        "google_secret_manager_secret",
        "google_secret_manager_secret_iam_member",
        "google_storage_bucket",
        "google_storage_bucket_iam_member",
        "google_storage_bucket_object",
        "google_billing_budget",  # on the billing account: see budget.tf
        "terraform_data",  # nothing at Google
    }
    covered = {kind for kinds in plan.outputs["deployer_roles"].values() for kind in kinds}
    assert covered.isdisjoint(elsewhere)
    assert covered | elsewhere == {one.type for one in plan.resources}


def test_the_deployer_acts_as_the_accounts_of_the_functions_alone(plans: dict[str, Plan]) -> None:
    acts = {one.on for one in granted(plans["everything"]) if one.role == "roles/iam.serviceAccountUser"}
    callers = {f"account of {name} caller" for name, function in FUNCTIONS.items() if called(function)}
    assert acts == {"account of build"} | callers | {f"account of {name} runtime" for name in FUNCTIONS}
    assert "roles/iam.serviceAccountUser" not in plans["everything"].outputs["deployer_roles"]


def test_the_deployer_may_pass_on_only_the_roles_that_are_needed_on_the_project(plans: dict[str, Plan]) -> None:
    [limit] = [one for one in granted(plans["everything"]) if one.role == "roles/resourcemanager.projectIamAdmin"]
    needed = {one.role for one in granted(plans["ordinary"]) if one.on.startswith("project ")}
    assert set(limit.condition.partition("hasOnly([")[2].removesuffix("])").replace("'", "").split(", ")) == needed
