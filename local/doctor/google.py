"""Google's side: the store answers, and topics and subscriptions are what functions/topology.yaml says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from local import topology
from local.doctor.findings import Check, Finding, Project, Subject, failed, ok, skipped
from local.topology import Function, Topology
from shared.core.run import Run
from shared.runtime.ports import Query

if TYPE_CHECKING:
    from google.pubsub_v1.types import Subscription

    from local.emulation.topics import Clients

CLOUD = "shared.cloud:open_backend"
LISTING = 10.0
"""Seconds for a list."""

MAKE_STORE = "Make the Firestore database, and give the reader roles/datastore.viewer."
APPLY = "Apply the Terraform of this project: it makes both as functions/topology.yaml says."
MAY_LIST = "Give the reader roles/pubsub.viewer on the project."


def checks(project: Project) -> list[Check]:
    store = Check(subjects=(Subject.STORE,), find=partial(_store, project), refused=MAKE_STORE)
    both = (Subject.TOPICS, Subject.SUBSCRIPTIONS)
    return [store, Check(subjects=both, find=partial(_messaging, project), refused=MAY_LIST)]


async def _store(project: Project) -> list[Finding]:
    found = await project.services.store.query(Query(Run, order_by="created_at", descending=True, limit=1))
    return [ok(Subject.STORE, f"answers; the last run is {found[0].document.id}" if found else "answers; no run yet")]


async def _messaging(project: Project) -> list[Finding]:
    if project.services.settings.signalbox_backend != CLOUD:
        return [
            skipped(subject, "only looked at in a Google Cloud project")
            for subject in (Subject.TOPICS, Subject.SUBSCRIPTIONS)
        ]
    described, path = topology.load(), f"projects/{project.services.settings.google_cloud_project}"
    async with _clients(project) as google:
        topics = {
            _short(topic.name) async for topic in await google.publisher.list_topics(project=path, timeout=LISTING)
        }
        subscriptions = {
            _short(one.name): one
            async for one in await google.subscriber.list_subscriptions(project=path, timeout=LISTING)
        }
    return [_topics(described, topics), *_subscriptions(described, subscriptions)]


@asynccontextmanager
async def _clients(project: Project) -> AsyncIterator[Clients]:
    """Raises our error for Google's."""
    from google.pubsub_v1.services.publisher.transports import (  # noqa: PLC0415 - a second, paid only where needed
        PublisherGrpcAsyncIOTransport,
    )

    from local.emulation.topics import Clients  # noqa: PLC0415 - as above
    from shared.cloud import PUBSUB_EMULATOR  # noqa: PLC0415
    from shared.cloud.channel import FAILURES, connect, explain  # noqa: PLC0415

    async with connect(PublisherGrpcAsyncIOTransport, project.environ.get(PUBSUB_EMULATOR) or None) as channel:
        try:
            yield Clients(channel)
        except FAILURES as error:
            raise explain(error, "Pub/Sub", "roles/pubsub.viewer on the project") from error


def _topics(described: Topology, there: set[str]) -> Finding:
    missing = [topic for topic in described.all_topics if topic not in there]
    if missing:
        return failed(Subject.TOPICS, f"missing: {', '.join(missing)}", APPLY)
    return ok(Subject.TOPICS, f"all {len(described.all_topics)} are there")


def _subscriptions(described: Topology, there: dict[str, Subscription]) -> list[Finding]:
    wrong = {
        function.name: differences
        for function in described.functions
        if function.subscribes is not None
        and (differences := _differences(described, function, there.get(function.name)))
    }
    if described.dead_letters.subscription not in there:
        wrong[described.dead_letters.subscription] = ["it does not exist"]
    told = "; ".join(f"{name}: {', '.join(differences)}" for name, differences in wrong.items())
    if told:
        return [failed(Subject.SUBSCRIPTIONS, told, APPLY)]
    return [ok(Subject.SUBSCRIPTIONS, f"all are there: {', '.join(sorted(there))}")]


def _differences(described: Topology, function: Function, there: Subscription | None) -> list[str]:
    """Of a function's push subscription from what it should be."""
    if there is None:
        return ["it does not exist"]
    policy, delivery = there.dead_letter_policy, described.delivery
    held = {
        f"it is of the topic {_short(there.topic)}": _short(there.topic) == function.subscribes,
        "it has no push endpoint": bool(there.push_config.push_endpoint),
        "its pushes carry no identity (OIDC)": bool(there.push_config.oidc_token.service_account_email),
        f"its ack deadline is {there.ack_deadline_seconds} s": there.ack_deadline_seconds == int(delivery.ack_deadline),
        "it has no dead letter topic": _short(policy.dead_letter_topic) == described.dead_letters.topic,
        f"it gives up after {policy.max_delivery_attempts} attempts": (
            policy.max_delivery_attempts == delivery.max_attempts
        ),
    }
    return [difference for difference, holds in held.items() if not holds]


def _short(path: str) -> str:
    """`projects/p/topics/events` is `events`."""
    return path.rpartition("/")[2]
