"""dispatch: what an event means. Starts and wakes runs, and answers commands; always on what the API says now."""

from __future__ import annotations

from datetime import datetime, timedelta

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.dispatch.answering import answer
from functions.dispatch.arrivals import hear
from shared.core.events import (
    ChecksReported,
    CommentWritten,
    DeploymentChanged,
    Event,
    PullRequestChanged,
    PullRequestLabelled,
    PullRequestMerged,
    PullRequestOpened,
    RepositoryEvent,
    RepositoryMoved,
    SecretExpiring,
)
from shared.core.run import Stage
from shared.errors import (
    BadInput,
    NotFound,
    PullRequestUnknown,
    SecretMissing,
    TransientError,
    Unavailable,
    VendorError,
)
from shared.runs.deploy_label import labelled
from shared.runs.expiring_secrets import owe_one
from shared.runs.pull_request_analysis import owe_analysis
from shared.runs.repositories import meant
from shared.runs.start import merged, wake, wake_active
from shared.runtime import caller, envelope, log
from shared.runtime.services import Services, current, prepare

prepare(called=True)

MAY_BE_YOUNGER = timedelta(seconds=30)
"""How long after its webhook GitHub may not know a pull request yet, by another of its servers."""


@functions_framework.aio.http
async def dispatch(request: Request) -> Response:
    services = current()
    if refused := await caller.refuse(request, services):
        return refused
    try:
        message = (await envelope.receive(request)).message
        event = envelope.decode_event(message.data)
    except BadInput as error:
        log.error("unusable event", reason=str(error))
        return JSONResponse({"error": "unusable event"}, status_code=400)
    try:
        known = await meant(services, event) if isinstance(event, RepositoryEvent) else event
        if known is None:
            return JSONResponse({"again": False})
        event = known
        try:
            await act(services, event)
        except NotFound as error:
            if not await _is_about_nothing(services, event, message.publish_time, error):
                raise
            log.warning("an event about a pull request that GitHub does not know", reason=str(error))
        await hear(services, event, message.publish_time or services.clock.now())
    except TransientError as error:
        log.warning("again later", event=type(event).__name__, reason=str(error))
        return JSONResponse({"again": True}, status_code=503)
    except (VendorError, SecretMissing) as error:
        # A refusal too: an event is never dropped for a permission that may be granted soon.
        log.error("again later", event=type(event).__name__, reason=str(error))
        return JSONResponse({"again": True}, status_code=503)
    return JSONResponse({"again": False})


async def _is_about_nothing(services: Services, event: Event, published_at: datetime | None, error: NotFound) -> bool:
    """Whether GitHub has no such pull request: to ask again would change nothing.

    A pull request may be known a moment later than its webhook arrives, so a young event is tried again. A repository
    that is not found is another matter: the App may be about to be installed on it.
    """
    number = getattr(event, "number", None)
    if not isinstance(event, RepositoryEvent) or number is None:
        return False
    if published_at is not None and services.clock.now() - published_at < MAY_BE_YOUNGER:
        raise Unavailable(f"not known to GitHub yet: {error}") from error
    if isinstance(error, PullRequestUnknown):
        return True
    try:
        await services.github.pull_request(event.repository, number)
    except PullRequestUnknown:
        return True
    except NotFound:
        return False
    return False


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
            await labelled(services, event.repository, event.number)
        case ChecksReported():
            await wake(services, event.repository, ("pull_request.head_sha", "==", event.head_sha))
        case CommentWritten():
            await answer(services, event)
        case RepositoryMoved():
            log.info("a repository was renamed or transferred", repository=event.repository)
        case DeploymentChanged():
            await _deployment(services, event)
        case SecretExpiring():
            await owe_one(services, event.name, event.made_on)


async def _deployment(services: Services, event: DeploymentChanged) -> None:
    """Only the target's active run can be waiting for a deployment, and only for its own or for one not known yet."""
    target_config = services.config.on_railway(event.environment_id, event.service_id)
    if target_config is None:
        return
    await wake_active(services, target_config.id, event.deployment_id, (Stage.DEPLOY, Stage.ROLLBACK))
