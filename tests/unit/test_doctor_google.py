"""The doctor on topics and subscriptions, against a server with Pub/Sub's published method names."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from google.pubsub_v1.types import (
    DeadLetterPolicy,
    ListSubscriptionsRequest,
    ListSubscriptionsResponse,
    ListTopicsRequest,
    ListTopicsResponse,
    PushConfig,
    Subscription,
    Topic,
)
from grpc import StatusCode
from rpc import Refusal, Server, serving
from unit.functions.scene import opened

from local import topology
from local.doctor import Finding, Project, Subject, examine, findings
from local.doctor.google import checks
from local.emulation.topics import push_subscription, topic_path

ROOT = Path(__file__).parents[2]
PROJECT = "acme"
URL = "https://signalbox.test"


class PubSub:
    """A project with everything that the topology describes."""

    def __init__(self, server: Server) -> None:
        described = topology.load()
        self.server = server
        self.refusal: Refusal | None = None
        self.topics = [Topic(name=topic_path(PROJECT, name)) for name in described.all_topics]
        functions = [function for function in described.functions if function.subscribes]
        self.subscriptions = [
            push_subscription(described, function, URL, described.delivery, PROJECT) for function in functions
        ]
        self.subscriptions.append(Subscription(name=f"projects/{PROJECT}/subscriptions/dead-letters"))
        server.on("/google.pubsub.v1.Publisher/ListTopics", ListTopicsRequest, self._list_topics)
        server.on("/google.pubsub.v1.Subscriber/ListSubscriptions", ListSubscriptionsRequest, self._list_subscriptions)

    def subscription(self, name: str) -> Subscription:
        return next(one for one in self.subscriptions if one.name.endswith(f"/{name}"))

    async def _list_topics(self, request: ListTopicsRequest) -> ListTopicsResponse:
        if self.refusal:
            raise self.refusal
        assert request.project == f"projects/{PROJECT}"
        start = int(request.page_token or 0)
        more = str(start + 5) if start + 5 < len(self.topics) else ""
        return ListTopicsResponse(topics=self.topics[start : start + 5], next_page_token=more)

    async def _list_subscriptions(self, request: ListSubscriptionsRequest) -> ListSubscriptionsResponse:
        return ListSubscriptionsResponse(subscriptions=self.subscriptions)


@pytest.fixture
async def pubsub() -> AsyncIterator[PubSub]:
    async with serving() as server:
        yield PubSub(server)


async def look(pubsub: PubSub) -> dict[Subject, Finding]:
    async with opened() as scene:
        scene.services.settings = type(scene.services.settings)(google_cloud_project=PROJECT)
        environ = {"PUBSUB_EMULATOR_HOST": pubsub.server.address}
        project = Project(environ=environ, services=scene.services, config=None)
        _, messaging = checks(project)
        return {finding.subject: finding for finding in await findings.carry_out(messaging)}


async def test_everything_is_there(pubsub: PubSub) -> None:
    found = await look(pubsub)

    assert {subject: finding.state for subject, finding in found.items()} == {
        Subject.TOPICS: "ok",
        Subject.SUBSCRIPTIONS: "ok",
    }
    assert {name.rpartition("/")[2] for name, _ in pubsub.server.requests} == {"ListTopics", "ListSubscriptions"}


async def test_missing_topics_are_named(pubsub: PubSub) -> None:
    pubsub.topics = [topic for topic in pubsub.topics if not topic.name.endswith(("/merge", "/dead-letters"))]

    found = (await look(pubsub))[Subject.TOPICS]

    assert (found.state, found.detail) == ("failed", "missing: merge, dead-letters")
    assert found.next_step.startswith("Apply the Terraform")


WRONG: dict[str, Callable[[Subscription], None]] = {
    "it is of the topic deploy": lambda one: setattr(one, "topic", topic_path(PROJECT, "deploy")),
    "it has no push endpoint": lambda one: setattr(one.push_config, "push_endpoint", ""),
    "its pushes carry no identity (OIDC)": lambda one: setattr(one, "push_config", PushConfig(push_endpoint=URL)),
    "its ack deadline is 10 s": lambda one: setattr(one, "ack_deadline_seconds", 10),
    "it has no dead letter topic, it gives up after 0 attempts": lambda one: setattr(
        one, "dead_letter_policy", DeadLetterPolicy()
    ),
}


@pytest.mark.parametrize("difference", WRONG)
async def test_each_difference_of_a_subscription_is_told(pubsub: PubSub, difference: str) -> None:
    WRONG[difference](pubsub.subscription("merge"))

    found = (await look(pubsub))[Subject.SUBSCRIPTIONS]

    assert (found.state, found.detail) == ("failed", f"merge: {difference}")


async def test_missing_subscriptions_are_named(pubsub: PubSub) -> None:
    pubsub.subscriptions = pubsub.subscriptions[1:-1]

    found = (await look(pubsub))[Subject.SUBSCRIPTIONS]

    assert found.detail == "dispatch: it does not exist; dead-letters: it does not exist"


async def test_who_may_not_list_is_told_the_role(pubsub: PubSub) -> None:
    pubsub.refusal = Refusal(StatusCode.PERMISSION_DENIED, "no")

    found = await look(pubsub)

    assert found[Subject.TOPICS].state == "failed"
    assert found[Subject.TOPICS].next_step == "Give the reader roles/pubsub.viewer on the project."
    assert found[Subject.SUBSCRIPTIONS].state == "skipped"


async def test_without_credentials_each_line_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    environ = {"GOOGLE_CLOUD_PROJECT": PROJECT, "GITHUB_APP_ID": "1", "SIGNALBOX_CONFIG": str(ROOT / "signalbox.toml")}

    found = {finding.subject: finding for finding in await examine(environ)}

    for subject in (Subject.SECRET, Subject.STORE, Subject.TOPICS, Subject.GITHUB_APP):
        assert found[subject].state == "failed"
        assert "none.json" in found[subject].detail
        assert "gcloud auth application-default login" in found[subject].next_step
