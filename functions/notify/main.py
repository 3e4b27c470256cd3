"""notify: tell people what a run or target owes them: a comment, a GitHub deployment status, n8n."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import functions_framework.aio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.notify import weekly_report
from shared.clients.github.client import DeploymentState
from shared.core import notices
from shared.core.notices import ANALYSIS, COMMENT, DEPLOYMENT, N8N, REPORT, SENT, Notice
from shared.core.outcome import Message
from shared.core.pipeline import NOTIFY
from shared.core.reasons import Reason
from shared.core.run import Kind, Run, Status
from shared.core.target import Target
from shared.errors import BadInput, SecretMissing, TransientError, Unauthorized, VendorError, is_locked
from shared.runs import pull_request_analysis, texts
from shared.runs.expiring_secrets import owe_expiring
from shared.runtime import caller, envelope, log
from shared.runtime.ports import D
from shared.runtime.services import Services, current, prepare
from shared.runtime.update import amend

prepare(called=True)

Results = dict[Notice, str | None]
"""What became of each: how it ended, or None to try it again."""
Deliver = Callable[[Services, D, Results], Awaitable[None]]
NOT_CONFIGURED = "n8n is not configured"
LOCKED = "the conversation is locked"
NO_ANALYSIS = "no analysis is configured"
ANALYSED_WITHIN = 40.0
"""Seconds: more than the workflow takes, and less than the limit of one execution."""
TASK = "signalbox"


@functions_framework.aio.http
async def notify(request: Request) -> Response:
    services = current()
    if refused := await caller.refuse(request, services):
        return refused
    try:
        message = envelope.stage_message(await envelope.receive(request))
    except BadInput as error:
        log.error("unusable notify message", reason=str(error))
        return JSONResponse({"error": "unusable notify message"}, status_code=400)
    with log.context(run_id=message.run_id, stage=NOTIFY):
        try:
            await tell(services, message)
        except TransientError as error:
            log.warning("again later", reason=str(error))
            return JSONResponse({"again": True}, status_code=503)
        except VendorError as error:  # of the store: a document that cannot be read, a role that is missing
            log.error("again later", reason=str(error))
            return JSONResponse({"again": True}, status_code=503)
    return JSONResponse({"again": False})


async def tell(services: Services, message: Message) -> None:
    """Deliver what is owed. Several pushes at once are harmless: one has the lease, and looks again when done."""
    if message.run_id:
        await _settle(services, Run, message.run_id, deliver_for_run, message)
        await owe_expiring(services)
    elif message.target_id:
        await _settle(services, Target, message.target_id, deliver_for_target, message)


async def _settle(services: Services, kind: type[D], id: str, deliver: Deliver[D], message: Message) -> None:
    owner, lasting = services.token(), timedelta(seconds=services.pace.lease)

    def claim(document: D) -> D | None:
        return notices.claim(document, owner, services.clock.now(), lasting) if document.owed else None

    claimed = await amend(services.store, kind, id, claim)
    if claimed is None:
        return
    results: Results = dict.fromkeys(notices.owed_by(claimed))
    try:
        # Shorter than the lease: whoever has it next must not tell the same while this one still does.
        async with asyncio.timeout(services.pace.limit):
            await deliver(services, claimed, results)
    except TimeoutError:
        log.warning("sending notifications took too long; the rest is sent later", limit=services.pace.limit)
    for notice, result in results.items():
        log.info("notification", key=str(notice), result=result or "to be tried again")
    settled = await amend(
        services.store, kind, id, lambda document: notices.settle(document, results, services.clock.now(), owner)
    )
    if settled is not None and settled.notify_due is not None and settled.notify_due <= services.clock.now():
        await services.publish([message])


async def deliver_for_run(services: Services, run: Run, results: Results) -> None:
    """Fill in the results. A comment and a status show the run as it is now, so one serves all that are owed.

    GitHub and n8n are told at once, so that neither waits for the other where it does not answer.
    """
    await asyncio.gather(_on_github(services, run, results), _by_n8n(services, run, results))
    for notice in _by(ANALYSIS, results):  # last: it takes longest
        results[notice] = await _attempt(_analyse(services, run, notice))


def _by(channel: str, results: Results) -> list[Notice]:
    return [notice for notice in results if notice.channel == channel]


async def _on_github(services: Services, run: Run, results: Results) -> None:
    """The comment gets half of the time at most: the deployment has its turn however long the comment takes."""
    for channel, send in ((COMMENT, _comment), (DEPLOYMENT, _deployment_status)):
        owed = _by(channel, results)
        if owed:
            within = services.pace.limit / 2
            results.update(dict.fromkeys(owed, await _attempt(send(services, run), within=within)))


async def _by_n8n(services: Services, run: Run, results: Results) -> None:
    for notice in _by(N8N, results):
        payload = texts.notification(run, notice, services.settings.signalbox_console_url)
        results[notice] = await _attempt(_call_n8n(services, payload))


async def deliver_for_target(services: Services, target: Target, results: Results) -> None:
    """Fill in the results. What takes longest comes last, so that it keeps no alarm from being told."""
    for channel, send in ((N8N, _target_news), (REPORT, _report), (ANALYSIS, _review)):
        for notice in _by(channel, results):
            results[notice] = await _attempt(send(services, target, notice))


async def _attempt(sending: Awaitable[str], *, within: float | None = None) -> str | None:
    """How it ended, or None to try again: also after a refusal, which a person may fix meanwhile.

    `within`: seconds it gets. A locked conversation is no fault, and is locked on purpose: there it ends.
    """
    try:
        async with asyncio.timeout(within):
            return await sending
    except TimeoutError:
        log.warning("a notification took too long", limit=within)
    except Unauthorized as error:
        if is_locked(error):
            log.warning("a notification was refused: the conversation is locked", reason=str(error))
            return LOCKED
        log.error("a notification was refused", reason=str(error))
    except (VendorError, SecretMissing) as error:
        log.error("a notification was refused", reason=str(error))
    except TransientError as error:
        log.warning("a notification could not be delivered", reason=str(error))
    return None


def _log_is_for_all(services: Services, run: Run) -> bool:
    """Whether everybody who can read the pull request may read the end of the log."""
    public = run.pull_request is not None and run.pull_request.public
    return services.terms(run.target).policy.log_shown(public=public) == "comment"


async def _comment(services: Services, run: Run) -> str:
    if run.pull_request is None:
        return "no pull request"
    body = texts.comment(run, services.settings.signalbox_console_url, show_log=_log_is_for_all(services, run))
    marker = texts.run_marker(run.id)
    number = run.pull_request.number
    if run.reason is Reason.NOTHING_TO_DEPLOY and not await services.github.has_comment(
        run.repository, number, marker=marker
    ):
        return "nothing to say"
    await services.github.upsert_comment(run.repository, run.pull_request.number, marker=marker, body=body)
    return SENT


async def _deployment_status(services: Services, run: Run) -> str:
    """GitHub's own record of the deployment, found by commit, task and environment, set to what the run is now."""
    if run.commit_sha is None or (run.deployment is None and run.rollback is None):
        return "nothing was deployed"
    find = {"sha": run.commit_sha, "task": TASK, "environment": f"{run.service}/{run.environment}"}
    id = await services.github.find_deployment(run.repository, **find)
    if id is None and run.reason is not None:
        return "nothing was deployed"
    if id is None:
        id = await services.github.create_deployment(
            run.repository, **find, description=f"Signalbox {run.id}", payload={"run_id": run.id}
        )
    state = _state(run)
    if await services.github.deployment_state(run.repository, id) != state:
        await services.github.set_deployment_status(
            run.repository,
            id,
            state=state,
            description=texts.description(run),
            environment_url=run.address or (run.deployment.url if run.deployment else None) or "",
            log_url=texts.run_url(run.id, services.settings.signalbox_console_url),
        )
    return SENT


def _state(run: Run) -> DeploymentState:
    if not run.status.terminal:
        return "in_progress"
    if run.status is Status.SUCCEEDED and run.kind is Kind.DEPLOY:
        return "success"
    return "failure" if run.status is Status.FAILED else "inactive"


async def _analyse(services: Services, run: Run, notice: Notice) -> str:
    """Have the end of the log explained on the pull request, by a workflow that does so once per run and attempt."""
    n8n, settings = services.n8n, services.config.n8n
    if n8n is None or settings is None or settings.failure_analysis is None:
        return NO_ANALYSIS
    if run.pull_request is None or run.error is None or not run.error.log_tail:
        return "there is no log to analyse, or no pull request to write to"
    if not _log_is_for_all(services, run):  # the explanation quotes it, on the pull request
        return "the log is not shown on the pull request"
    payload = texts.notification(run, notice, services.settings.signalbox_console_url)
    key = f"{payload['key']}:{ANALYSIS}"
    await n8n.call(settings.failure_analysis, payload, idempotency_key=key, within=ANALYSED_WITHIN)
    return SENT


async def _review(services: Services, target: Target, notice: Notice) -> str:
    """Have a pull request analysed, by a workflow that writes its comment once per head."""
    n8n, settings, target_config = services.n8n, services.config.n8n, services.config.target(target.id)
    if n8n is None or settings is None or settings.pull_request_analysis is None or target_config is None:
        return NO_ANALYSIS
    payload = texts.pull_request_analysis(target_config.repository, *pull_request_analysis.analysed(notice.occurrence))
    key = str(payload["key"])
    await n8n.call(settings.pull_request_analysis, payload, idempotency_key=key, within=ANALYSED_WITHIN)
    return SENT


async def _report(services: Services, _: Target, notice: Notice) -> str:
    n8n, settings = services.n8n, services.config.n8n
    if n8n is None or settings is None or settings.weekly_report is None:
        return "no report is configured"
    payload = await weekly_report.weekly(services, notice)
    await n8n.call(settings.weekly_report, payload, idempotency_key=str(payload["key"]))
    return SENT


async def _target_news(services: Services, target: Target, notice: Notice) -> str:
    return await _call_n8n(services, texts.target_notification(target, notice))


async def _call_n8n(services: Services, payload: dict[str, object]) -> str:
    n8n, settings = services.n8n, services.config.n8n
    if n8n is None or settings is None:
        return NOT_CONFIGURED
    await n8n.call(settings.notification, payload, idempotency_key=str(payload["key"]))
    return SENT
