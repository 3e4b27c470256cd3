"""webhooks: take GitHub's and Railway's webhooks, verify them, and publish what they are about."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.webhooks import github, railway, signed_body
from functions.webhooks.signed_body import Bodies, NotRead, Signatures
from shared.core.events import ChecksReported, DeploymentChanged, Event, PullRequestOpened, SecretExpiring
from shared.errors import BadInput, SecretMissing, TransientError
from shared.runtime import envelope, log
from shared.runtime.secrets import GITHUB_WEBHOOK_SECRET, RAILWAY_WEBHOOK_SECRET
from shared.runtime.services import Services, current, prepare

prepare()

LONGEST_DELIVERY = 100
"""Characters: a GUID has 36, and an attribute of a message takes 1024 bytes."""
TOPIC = "events"
BODIES = Bodies()


@functions_framework.aio.http
async def webhooks(request: Request) -> Response:
    path = request.scope["path"]  # not that of request.url, which cannot be had when the query is not UTF-8
    receive = {"/github-webhook": from_github, "/railway-webhook": from_railway}.get(path)
    if receive is None:
        return _answer(404, "there is no such webhook")
    if request.method != "POST":
        return JSONResponse({"error": "POST only"}, status_code=405, headers={"Allow": "POST"})
    try:
        return await receive(request, current())
    except NotRead as error:
        log.warning("webhook refused: not read to its end", path=path, reason=str(error))
        return _answer(error.status, str(error))
    except BadInput as error:
        log.warning("webhook refused: unusable", path=path, field=error.field, reason=str(error))
        return _answer(400, str(error))
    except TransientError as error:
        log.error("webhook not taken: it could not be made durable", path=path, reason=str(error))
        return _answer(503, "not taken; send it again")


async def from_github(request: Request, services: Services) -> Response:
    """Nothing is read of what has no signature, or is an event that Signalbox ignores whatever it says."""
    delivery = request.headers.get("x-github-delivery", "")[:LONGEST_DELIVERY]
    signature = request.headers.get("x-hub-signature-256", "")
    if not github.is_signature(signature):
        return _unsigned(delivery, signature)
    event = request.headers.get("x-github-event")
    if event and not github.may_matter(event):
        return _answer(202, "event ignored")
    made = Signatures(await _secrets(services, GITHUB_WEBHOOK_SECRET))
    body = await BODIES.read(request, signed_body.LARGEST, made)
    if not made.include(signature):
        return _unsigned(delivery, signature)
    if not event:
        raise BadInput("the header X-GitHub-Event is missing", "X-GitHub-Event")
    body = github.content(body, request.headers.get("content-type", ""))
    if not github.listened_to(event, body):
        return _answer(202, "event ignored")
    normalised = github.normalise(event, body)
    return await _accept(services, normalised, delivery)


def _unsigned(delivery: str, signature: str) -> Response:
    log.warning("webhook refused: not signed by GitHub", delivery=delivery, signed=bool(signature))
    return _answer(401, "the signature is missing or wrong")


async def from_railway(request: Request, services: Services) -> Response:
    header = request.headers.get("x-webhook-secret", "")
    authorization = request.headers.get("authorization", "")
    if not railway.sent_with(await _secrets(services, RAILWAY_WEBHOOK_SECRET), header, authorization):
        log.warning("webhook refused: it does not bring Railway's secret")
        return _answer(401, "the secret is missing or wrong")
    body = await BODIES.read(request, signed_body.LARGEST_FROM_RAILWAY)
    return await _accept(services, railway.normalise(body), "")


async def _accept(services: Services, event: Event | None, delivery: str) -> Response:
    """Publish, and only then answer: what was answered 2xx is durable."""
    if event is None or not _interests(services, event):
        return _answer(202, "event ignored")
    if not _known(services, event):
        log.info("webhook about something not in signalbox.toml", delivery=delivery)
        return _answer(202, "not configured here")
    name = type(event).__struct_config__.tag
    id = await services.bus.publish(TOPIC, envelope.encode_event(event), {"event": str(name), "delivery": delivery})
    log.info("webhook accepted", event=name, delivery=delivery, message_id=id)
    await _tell_of_ages(services)
    return _answer(202, "accepted")


async def _tell_of_ages(services: Services) -> None:
    """Of the secrets that only this function reads. It writes no documents, so dispatch sees to it."""
    for aged in services.secrets.expiring():
        event = SecretExpiring(name=aged.name, made_on=aged.made_on)
        try:
            await services.bus.publish(TOPIC, envelope.encode_event(event), {"event": "secret_expiring"})
        except TransientError as error:
            log.warning("could not publish that a secret is about to expire", secret=aged.name, reason=str(error))
            return
        services.secrets.told(aged)


def _interests(services: Services, event: Event) -> bool:
    n8n = services.config.n8n
    analysed = n8n is not None and n8n.pull_request_analysis is not None
    return analysed or not isinstance(event, PullRequestOpened)


def _known(services: Services, event: Event) -> bool:
    """Or perhaps: one that has been renamed has another name here, and dispatch knows it by its id.

    Of what happens in repositories that no one configured, checks are by far the most; a run looks again by itself.
    """
    if isinstance(event, SecretExpiring):  # no webhook is normalised to it
        return False
    if isinstance(event, DeploymentChanged):
        return services.config.on_railway(event.environment_id, event.service_id) is not None
    if services.config.in_repository(event.repository):
        return True
    return event.repository_id is not None and not isinstance(event, ChecksReported)


async def _secrets(services: Services, name: str) -> tuple[str, ...]:
    """No secret means that every webhook is refused."""
    try:
        return await services.secrets.values(name)
    except SecretMissing as error:
        log.error("a webhook secret is not configured, so every webhook is refused", reason=str(error))
        return ()


def _answer(status: int, message: str) -> Response:
    return JSONResponse({"message" if status < 400 else "error": message}, status_code=status)
