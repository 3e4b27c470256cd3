"""dispatch: what an event means. Starts and wakes runs, and answers commands; always on what the API says now."""

from __future__ import annotations

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared import envelope, events, log
from shared.answering import answer
from shared.errors import BadInput, SecretMissing, TransientError, VendorError
from shared.events import (
    ChecksReported,
    CommentWritten,
    DeploymentChanged,
    Event,
    PullRequestChanged,
    PullRequestLabelled,
    PullRequestMerged,
    PullRequestOpened,
)
from shared.hearing import hear
from shared.labelling import labelled
from shared.reviewing import owe_analysis
from shared.run import Stage
from shared.services import Services, current, prepare
from shared.starting import merged, wake, wake_active

prepare()


@functions_framework.aio.http
async def dispatch(request: Request) -> Response:
    try:
        message = (await envelope.receive(request)).message
        event = events.decode(message.data)
    except BadInput as error:
        log.error("unusable event", reason=str(error))
        return JSONResponse({"error": "unusable event"}, status_code=400)
    try:
        services = current()
        await act(services, event)
        await hear(services, event, message.publish_time or services.clock.now())
    except TransientError as error:
        log.warning("again later", event=type(event).__name__, reason=str(error))
        return JSONResponse({"again": True}, status_code=503)
    except (VendorError, SecretMissing) as error:
        # A refusal too: an event is never dropped for a permission that somebody is about to grant.
        log.error("again later", event=type(event).__name__, reason=str(error))
        return JSONResponse({"again": True}, status_code=503)
    return JSONResponse({"again": False})


async def act(services: Services, event: Event) -> None:
    """Repeating an event changes nothing: runs are created by deterministic ids, and waking is only a look."""
    match event:
        case PullRequestMerged():
            await merged(services, event.repository, event.number)
        case PullRequestOpened():
            await owe_analysis(services, event.repository, event.number)
        case PullRequestChanged():
            await wake(services, event.repository, ("pull_request.number", "==", event.number))
            await labelled(services, event.repository, event.number)
            await owe_analysis(services, event.repository, event.number)
        case PullRequestLabelled():
            await labelled(services, event.repository, event.number, just_set=event)
        case ChecksReported():
            await wake(services, event.repository, ("pull_request.head_sha", "==", event.head_sha))
        case CommentWritten():
            await answer(services, event)
        case DeploymentChanged():
            await _deployment(services, event)


async def _deployment(services: Services, event: DeploymentChanged) -> None:
    """Only the target's active run can be waiting for a deployment, and only for its own or for one not known yet."""
    place = services.config.on_railway(event.environment_id, event.service_id)
    if place is None:
        return
    await wake_active(services, place.id, event.deployment_id, (Stage.DEPLOY, Stage.ROLLBACK))
