"""The topology in Pub/Sub's emulator: topics and subscriptions as Terraform makes them in the cloud.

Unlike production the emulator sends no OIDC token and no `deliveryAttempt` in a push, and does not refuse values out of
range (measured with version 0.8.20).

Nor have the subscriptions a retry policy: with one, that version loses messages. What was refused twice it files under
the time at which it is due, and a timer takes it from there. When two messages got the same millisecond, each look for
work files them once more; the timer finds them gone the second time, and a NullPointerException (in nackMessage of
MessageBacklog), which nobody logs, ends it. From then on nothing comes again that this subscription is refused twice.
Of 25 times that five messages were refused twice at once, 13 lost some. A seek while a message is filed does the same,
and an answer after the ack deadline to a message that had been refused before. Without a policy nothing is filed, and
every refusal is followed by another push after a second.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc.aio  # type: ignore[import-untyped]
from google.api_core.exceptions import GoogleAPICallError
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcAsyncIOTransport
from google.pubsub_v1.types import (
    DeadLetterPolicy,
    ExpirationPolicy,
    PushConfig,
    Subscription,
    Topic,
)

from local.topology import Addresses, Delivery, Function, Topology, audience, push_endpoint
from shared.cloud.channel import EMULATOR_OPTIONS
from shared.errors import Unavailable

RETENTION = timedelta(days=7)
"""The emulator's longest."""
TIMEOUT = 10.0


class Clients:
    """Both of Google's clients on one connection to the emulator."""

    def __init__(self, channel: Any) -> None:
        self.publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        self.subscriber = SubscriberAsyncClient(transport=SubscriberGrpcAsyncIOTransport(channel=channel))


@asynccontextmanager
async def clients(host: str) -> AsyncIterator[Clients]:
    """Raises Unavailable for whatever goes wrong inside."""
    async with grpc.aio.insecure_channel(host, options=EMULATOR_OPTIONS) as channel:
        try:
            yield Clients(channel)
        except GoogleAPICallError as error:
            raise Unavailable(f"the Pub/Sub emulator at {host}: {error}") from error


async def create_topics_and_subscriptions(
    topology: Topology, addresses: Addresses, delivery: Delivery, project: str, *, host: str
) -> None:
    """Every topic, a push subscription per subscribing function, and the pull subscription of the dead letters.

    To be done once per project, or after a reset. Raises Unavailable.
    """
    async with clients(host) as google:
        for topic in topology.all_topics:
            await google.publisher.create_topic(Topic(name=topic_path(project, topic)), timeout=TIMEOUT)
        for function in topology.functions:
            if function.subscribes is not None:
                subscription = push_subscription(topology, function, addresses, delivery, project)
                await google.subscriber.create_subscription(subscription, timeout=TIMEOUT)
        dead_letters = Subscription(
            name=subscription_path(project, topology.dead_letters.subscription),
            topic=topic_path(project, topology.dead_letters.topic),
            message_retention_duration=min(timedelta(days=topology.dead_letters.retention_days), RETENTION),
            expiration_policy=ExpirationPolicy(),
        )
        await google.subscriber.create_subscription(dead_letters, timeout=TIMEOUT)


def push_subscription(
    topology: Topology, function: Function, addresses: Addresses, delivery: Delivery, project: str
) -> Subscription:
    """An expiration policy without a time to live never expires. No retry policy: see above."""
    endpoint = push_endpoint(addresses, function.name)
    return Subscription(
        name=subscription_path(project, function.name),
        topic=topic_path(project, function.subscribes or ""),
        push_config=PushConfig(
            push_endpoint=endpoint,
            oidc_token=PushConfig.OidcToken(
                service_account_email=f"{function.caller}@{project}.iam.gserviceaccount.com",
                audience=audience(addresses, function.name),
            ),
        ),
        ack_deadline_seconds=int(delivery.ack_deadline),
        dead_letter_policy=DeadLetterPolicy(
            dead_letter_topic=topic_path(project, topology.dead_letters.topic),
            max_delivery_attempts=delivery.max_attempts,
        ),
        retain_acked_messages=True,
        message_retention_duration=min(timedelta(days=delivery.retention_days), RETENTION),
        expiration_policy=ExpirationPolicy(),
    )


async def delete_all(host: str, project: str) -> None:
    """Every subscription and topic, and with them their messages. Raises Unavailable."""
    async with clients(host) as google:
        async for subscription in await google.subscriber.list_subscriptions(project=f"projects/{project}"):
            await google.subscriber.delete_subscription(subscription=subscription.name, timeout=TIMEOUT)
        async for topic in await google.publisher.list_topics(project=f"projects/{project}"):
            await google.publisher.delete_topic(topic=topic.name, timeout=TIMEOUT)


def topic_path(project: str, topic: str) -> str:
    return f"projects/{project}/topics/{topic}"


def subscription_path(project: str, subscription: str) -> str:
    return f"projects/{project}/subscriptions/{subscription}"
