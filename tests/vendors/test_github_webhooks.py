"""GitHub's webhooks: its published examples come in, and what the simulated GitHub sends is as its schemas say."""

import functools
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError, best_match
from msgspec.structs import replace
from unit.functions.scene import Scene, opened
from vendors import packages, report
from vendors.playing import played

from local.demo.scenarios import SCENARIOS
from local.world.github.hooks import Webhook
from local.world.vendors import REPOSITORY
from shared.core.events import (
    ChecksReported,
    CommentWritten,
    DeploymentChanged,
    Event,
    PullRequestChanged,
    PullRequestLabelled,
    PullRequestMerged,
)
from shared.runtime import envelope

JSON = dict[str, Any]
RECEIVED, SENT = "GitHub's webhooks, received", "GitHub's webhooks, simulated"
EXAMPLES = "Codertocat/Hello-World"
MORE = f"""
[repositories."{EXAMPLES}".services.web]
project_id = "p"
service_id = "s"

[repositories."{EXAMPLES}".services.web.environments.production]
environment_id = "e"
branch = "master"
"""


# What comes in


def changed(example: JSON) -> Event:
    return PullRequestChanged(repository=EXAMPLES, number=example["pull_request"]["number"])


EXPECTED: dict[tuple[str, str], Callable[[JSON], Event | None]] = {
    **{("pull_request", action): changed for action in ("closed", "synchronize", "reopened", "ready_for_review")},
    ("pull_request", "unlabeled"): changed,
    ("pull_request", "labeled"): lambda example: PullRequestLabelled(
        repository=EXAMPLES,
        number=example["pull_request"]["number"],
        label=example["label"]["name"],
        head_sha=example["pull_request"]["head"]["sha"],
    ),
    **{("pull_request_review", action): changed for action in ("submitted", "dismissed")},
    ("check_suite", "completed"): lambda example: ChecksReported(
        repository=EXAMPLES, head_sha=example["check_suite"]["head_sha"]
    ),
    ("status", ""): lambda example: ChecksReported(repository=EXAMPLES, head_sha=example["sha"]),
}
"""What an example of an event and action is normalised to; nothing comes of all the others."""


@pytest.fixture(scope="module")
def examples(published) -> dict[str, list[JSON]]:
    """By event."""
    found = msgspec.json.decode(published(packages.WEBHOOKS_EXAMPLES))
    return {event["name"]: event["examples"] for event in found}


@pytest.fixture
async def scene():
    async with opened() as scene:
        scene.configure(more=MORE)
        yield scene


async def heard(scene: Scene, event: str, example: JSON) -> Event | None:
    """Send it, signed; what is published then."""
    body = json.dumps(example).encode()
    secret = scene.secrets["GITHUB_WEBHOOK_SECRET"].encode()
    headers = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-Hub-Signature-256": f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}",
    }
    answer = await scene.web.post("/github-webhook", headers=headers, content=body)
    assert answer.is_success, f"{event} {example.get('action')}: {answer.status_code} {answer.text}"
    published = scene.bus.take()
    found = envelope.decode_event(published[0].data) if published else None
    if found is None or isinstance(found, DeploymentChanged) or found.repository != EXAMPLES:
        return None
    assert found.repository_id == example["repository"]["id"]
    return replace(found, repository_id=None)


async def test_every_published_example_is_taken_and_means_what_it_should(scene, examples):
    assert (len(examples), sum(map(len, examples.values()))) == (58, 329)
    wrong = []
    for event, bodies in examples.items():
        for example in bodies:
            expected = EXPECTED.get((event, example.get("action", "")), lambda _: None)(example)
            found = await heard(scene, event, example)
            told = [] if found == expected else [f"{event} {example.get('action')}: {found} instead of {expected}"]
            wrong += report.record(RECEIVED, event, 1, told)
    assert wrong == []


async def test_all_that_is_listened_to_has_an_example(examples):
    known = {(event, example.get("action", "")) for event, bodies in examples.items() for example in bodies}
    assert set(EXPECTED) <= known


async def test_a_merge_of_which_there_is_no_example(scene, examples):
    [closed, *_] = [example for example in examples["pull_request"] if example["action"] == "closed"]
    merged = closed | {"pull_request": closed["pull_request"] | {"merged": True, "merge_commit_sha": "a" * 40}}
    assert await heard(scene, "pull_request", merged) == PullRequestMerged(repository=EXAMPLES, number=2)


async def test_a_command_of_which_there_is_no_example(scene, examples):
    created = examples["issue_comment"][0]
    address = {"url": "https://api.github.com/repos/Codertocat/Hello-World/pulls/1"}
    issue, comment = created["issue"] | {"pull_request": address}, created["comment"] | {"body": "/deploy"}
    assert await heard(scene, "issue_comment", created | {"issue": issue, "comment": comment}) == CommentWritten(
        repository=EXAMPLES,
        number=issue["number"],
        comment_id=comment["id"],
        author="Codertocat",
        body="/deploy",
        url=comment["html_url"],
    )


async def test_an_example_that_is_spoilt_is_noticed(scene, examples):
    spoilt = {key: value for key, value in examples["status"][0].items() if key != "sha"}
    with pytest.raises(AssertionError, match=r"status None: 400 .*sha"):
        await heard(scene, "status", spoilt)


# What the simulated GitHub sends


LATER = {"client_id"}
"""Of an App: GitHub's OpenAPI description has it, these schemas are from before."""


class Schemas:
    def __init__(self, published: bytes) -> None:
        self._whole = msgspec.json.decode(published)

    def violations(self, webhook: Webhook) -> list[str]:
        name = f"{webhook.event}${webhook.action or 'event'}"
        found = self._validator(name).iter_errors(msgspec.json.decode(webhook.body))
        worst = (best_match([error]) for error in found)
        return [f"{name}: {error.json_path}: {error.message[-300:]}" for error in worst if not _later(error)]

    @functools.cache  # noqa: B019 - there is one of these
    def _validator(self, name: str) -> Draft7Validator:
        return Draft7Validator({"$ref": f"#/definitions/{name}", "definitions": self._whole["definitions"]})


def _later(error: ValidationError) -> bool:
    """Whether this is only about what GitHub added after the schemas were written."""
    if error.validator != "additionalProperties" or not isinstance(error.schema, dict):
        return False
    return set(error.instance) - set(error.schema["properties"]) <= LATER


@pytest.fixture(scope="module")
def schemas(published) -> Schemas:
    return Schemas(published(packages.WEBHOOKS_SCHEMAS))


def judged(schemas: Schemas, webhooks: list[Webhook]) -> list[str]:
    assert webhooks
    return [
        violation
        for webhook in webhooks
        for violation in report.record(
            SENT, f"{webhook.event} {webhook.action or ''}".strip(), 1, schemas.violations(webhook)
        )
    ]


async def all_that_happens() -> list[Webhook]:
    async with opened() as scene:
        github, number = scene.github, scene.open_pull_request(tests=None, lint="failure")
        github.set_draft(REPOSITORY, number)
        github.rename(REPOSITORY, "acme/store", "ada")
        github.rename("acme/store", "globex/store", "ada")
        github.rename("globex/store", REPOSITORY, "ada")
        github.mark_ready(REPOSITORY, number)
        github.label(REPOSITORY, number, "ship it", "ada")
        github.unlabel(REPOSITORY, number, "ship it", "ada")
        github.commit(REPOSITORY, "next", "ada")
        github.set_base(REPOSITORY, number, "next", "grace")
        github.push(REPOSITORY, number)
        github.report_check(REPOSITORY, number, "tests", "success")
        for state in ("pending", "success", "failure"):
            github.report_status(REPOSITORY, number, "ci", state)
        for state in ("approved", "changes_requested"):
            github.review(REPOSITORY, number, state, "ada")
        comment = github.comment(REPOSITORY, number, "/deploy", "grace")
        github.edit_comment(REPOSITORY, comment, "/deploy production", "grace")
        github.comment(REPOSITORY, number, "Deploying", github.bot, by_app=True)
        scene.merge(number)
        github.close(REPOSITORY, scene.open_pull_request())
        return github.webhooks.queue


async def test_whatever_happens_is_sent_as_the_schemas_say(schemas):
    assert judged(schemas, await all_that_happens()) == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_sends_what_the_schemas_say(schemas, name):
    assert judged(schemas, played(name).webhooks) == []


async def test_a_wrong_webhook_is_noticed(schemas):
    [opening, *_] = await all_that_happens()
    body = msgspec.json.decode(opening.body)
    del body["pull_request"]["head"]
    wrong = msgspec.structs.replace(opening, body=msgspec.json.encode(body))
    assert "'head' is a required property" in str(schemas.violations(wrong))
