"""The shell around a stage: decode, claim, run, commit, publish. The only place that knows all five steps.

The answer to the push is the acknowledgement: 200 done, 503 bring it again later, 400 unusable (after the
subscription's attempts it is a dead letter). A crash anywhere leaves a run whose `wake_at` the sweep finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import cached_property
from typing import Any

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.core import pipeline, targets
from shared.core.outcome import Fail, Message, Outcome, Rejected, Retry
from shared.core.pipeline import Refusal, Terms, Transition
from shared.core.reasons import Reason
from shared.core.run import Lease, Run, Stage
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.errors import BadInput, Conflict, Final, SecretMissing, TransientError, VendorError
from shared.runtime import caller, envelope, log
from shared.runtime.ports import Create, Found, Update
from shared.runtime.redaction import redact
from shared.runtime.services import Services, current
from shared.runtime.update import COLLISIONS, pause

LONGEST_MESSAGE = 1000
"""Characters of a message or a line of a log that a run keeps."""


class LeaseLost(TransientError):
    """Another worker has taken the run over: what this one found out no longer counts."""


class Overtaken(Exception):
    """Something newer came to the target while the run was judged by what was there before."""


class Claim:
    """A run leased to this execution. Every write checks that the lease is still ours."""

    def __init__(self, services: Services, found: Found[Run]) -> None:
        self._services = services
        self.run = found.document
        self._version = found.version

    @cached_property
    def target_config(self) -> TargetConfig:
        """The run's target in signalbox.toml: the shell runs no handler for a target that is not there."""
        configured = self._services.config.target(self.run.target)
        if configured is None:
            raise AssertionError(f"{self.run.target} is not in signalbox.toml")
        return configured

    @property
    def terms(self) -> Terms:
        return self._services.terms(self.run.target)

    async def target(self) -> Target:
        """The run's target as it is now."""
        return (await _read_target(self._services, self.run.target)).document

    async def target_before(self) -> Target | None:
        """The target in which the run's commit has to be verified first, as it is now."""
        before = self.target_config.after
        return (await _read_target(self._services, before)).document if before else None

    async def wake_suspended(self) -> None:
        """Wake the run that has the target, if its time stands still because Railway builds nothing for it yet."""
        active = (await self.target()).active
        found = await self._services.store.get(Run, active) if active is not None else None
        if found is not None and found.document.suspended_since is not None:
            await self._services.publish([Message(found.document.stage, found.document.id)])

    async def checkpoint(self, **changes: Any) -> None:
        """Save fields of the run, such as an intent, before the effect they describe; the lease starts again."""

        def change(run: Run, _: Target) -> Transition:
            lease = Lease(run.lease.owner if run.lease else "", self.terms.after(self.terms.pace.lease))
            return Transition(replace(run, lease=lease, **changes))

        await self._save(change)

    async def amend_target(self, change: Callable[[Target], Target]) -> None:
        """Save a change of the target."""
        await self._save(lambda run, target: Transition(run, change(target)), with_target=True)

    async def take_target(self, cleared: Collection[str] | None = None) -> Outcome | None:
        """Take the target for the run. None once it has it; otherwise what the stage is to return.

        `cleared` are commits of `targets.newer` that do not contain the run's. Raises Overtaken when there are others.
        """
        refused: Outcome | None = None

        def change(run: Run, target: Target) -> Transition:
            nonlocal refused
            if cleared is not None and not set(targets.newer(run, target)) <= set(cleared):
                raise Overtaken
            adopting = self.terms.policy.auto_deploy == "adopt"
            taken = targets.take(run, target, self.terms.now, adopting=adopting)
            if not isinstance(taken, Target):
                refused = taken
                return Transition(run)
            refused = None
            return Transition(pipeline.taken(run, self.terms), taken)

        await self._save(change, with_target=True)
        return refused

    async def conclude(self, outcome: Outcome) -> Transition:
        """Commit what follows from the outcome, run and target in one."""
        terms, outcome = self.terms, presentable(outcome)
        if terms.policy.show_log == "off" and isinstance(outcome, Fail):
            outcome = replace(outcome, log_tail=())
        touches = pipeline.touches_target(self.run, pipeline.judge(self.run, outcome, terms))
        return await self._save(lambda run, target: pipeline.apply(run, target, outcome, terms), with_target=touches)

    async def _save(self, change: Callable[[Run, Target], Transition], *, with_target: bool = False) -> Transition:
        """Apply a change to the run (and target) as they are and commit it; again when another writer came first."""
        for collision in range(COLLISIONS):
            await pause(collision)
            if collision:
                await self._reload()
            found = await _read_target(self._services, self.run.target) if with_target else _blank(self.run.target)
            transition = change(self.run, found.document)
            writes = self._writes(transition, found)
            try:
                versions = await self._services.store.commit(*writes) if writes else ()
            except Conflict:
                continue
            if writes:
                self.run, self._version = transition.run, versions[0]
            return transition
        raise LeaseLost(f"{self.run.id} changed {COLLISIONS} times while it was to be saved")

    def _writes(self, transition: Transition, found: Found[Target]) -> list[Create | Update]:
        """The run first, even where it stays as it is: its version is what tells that the lease is still ours."""
        begun = [Create(run) for run in transition.begun]
        target = transition.target if transition.target != found.document else None
        if target is None:
            return [] if transition.run == self.run else [Update(transition.run, self._version), *begun]
        changed = Create(target) if found.version is None else Update(target, found.version)
        return [Update(transition.run, self._version), changed, *begun]

    async def _reload(self) -> None:
        found = await self._services.store.get(Run, self.run.id)
        if found is None or _owner(found.document) != _owner(self.run):
            raise LeaseLost(f"another worker has taken over {self.run.id}")
        self.run, self._version = found.document, found.version


def presentable(outcome: Outcome) -> Outcome:
    """What ends up in the run document, and in front of people: no secrets, and nothing endless."""
    clean = replace(outcome, message=redact(outcome.message)[:LONGEST_MESSAGE])
    if isinstance(clean, Fail):
        return replace(clean, log_tail=tuple(redact(line)[:LONGEST_MESSAGE] for line in clean.log_tail))
    return clean


Handler = Callable[[Claim, Services], Awaitable[Outcome]]


async def serve(request: Request, stage: Stage, handler: Handler) -> Response:
    """Answer one push of a stage's subscription."""
    services = current()
    if refused := await caller.refuse(request, services):
        return refused
    try:
        run_id = await _run_id(request)
    except BadInput as error:
        log.error("unusable stage message", stage=stage, reason=str(error))
        return JSONResponse({"error": "unusable stage message"}, status_code=400)
    with log.context(run_id=run_id, stage=stage):
        return await _answer(services, stage, handler, run_id)


async def _run_id(request: Request) -> str:
    """Raises BadInput."""
    message = envelope.stage_message(await envelope.receive(request))
    if not message.run_id:
        raise BadInput("the message names no run")
    return message.run_id


async def _answer(services: Services, stage: Stage, handler: Handler, run_id: str) -> Response:
    try:
        again = await execute(services, stage, handler, run_id)
    except (TransientError, Conflict) as error:
        log.warning("again later", reason=str(error))
        again = True
    except VendorError as error:  # of the store: a document that cannot be read, a role that is missing
        log.error("again later", reason=str(error))
        again = True
    return JSONResponse({"again": again}, status_code=503 if again else 200)


async def execute(services: Services, stage: Stage, handler: Handler, run_id: str) -> bool:
    """One execution of a stage for a run; True when the message has to come again.

    Raises TransientError or Conflict when the store cannot be used; the run is then as it was before, or leased.
    """
    claimed = await _claim(services, stage, run_id)
    if isinstance(claimed, Refusal):
        log.info("nothing to do", reason=claimed.reason)
        await services.publish(claimed.messages)
        return claimed.busy
    with log.context(deployment_id=claimed.run.watched_deployment, target=claimed.run.target):
        outcome = await _outcome(claimed, services, handler)
        transition = await claimed.conclude(outcome)
        log.info(
            outcome.message,
            outcome=type(outcome).__name__.lower(),
            next_stage=transition.run.stage,
            status=transition.run.status,
        )
        await services.publish(transition.messages)
        return transition.again


async def _claim(services: Services, stage: Stage, run_id: str) -> Claim | Refusal:
    for _ in range(COLLISIONS):
        found = await services.store.get(Run, run_id)
        if found is None:
            return Refusal(f"no run {run_id!r}")
        terms = services.terms(found.document.target)
        claimed = pipeline.claim(found.document, stage, services.token(), terms)
        if isinstance(claimed, Refusal):
            return claimed
        try:
            (version,) = await services.store.commit(Update(claimed, found.version))
        except Conflict:
            continue
        return Claim(services, Found(claimed, version))
    return Refusal(f"{run_id} changed {COLLISIONS} times while it was to be claimed", busy=True)


async def _outcome(claim: Claim, services: Services, handler: Handler) -> Outcome:
    run, terms = claim.run, claim.terms
    if services.config.target(run.target) is None:
        return Fail(Reason.TARGET_UNKNOWN, f"signalbox.toml no longer has the target {run.target}")
    if run.attempts > terms.policy.max_attempts:
        return Fail(Reason.ATTEMPTS_EXHAUSTED, f"{run.attempts - 1} executions of {run.stage} ended without a result")
    try:
        async with asyncio.timeout(terms.pace.limit):
            return await _guarded(claim, services, handler)
    except TimeoutError:
        return Retry(f"{run.stage} did not finish within {terms.pace.limit:g} s")


async def _guarded(claim: Claim, services: Services, handler: Handler) -> Outcome:
    """The handler's outcome, with every error turned into one. The only broad `except` of the project stands here."""
    try:
        return await handler(claim, services)
    except LeaseLost:
        raise
    except TransientError as error:
        return Retry(str(error), error.retry_after)
    except SecretMissing as error:
        return Retry(str(error))
    except Final as error:
        return Fail(Reason.VENDOR_REFUSED, str(error))
    except VendorError as error:
        return Rejected(str(error))
    except Exception as error:  # noqa: BLE001 - a defect must not strand the run: it is tried again, then given up
        log.exception("unexpected error in a stage")
        return Retry(f"unexpected {type(error).__name__}; see the log")


async def _read_target(services: Services, id: str) -> Found[Target]:
    return await services.store.get(Target, id) or _blank(id)


def _blank(id: str) -> Found[Target]:
    return Found(Target(id=id), None)


def _owner(run: Run) -> str | None:
    return run.lease.owner if run.lease else None
