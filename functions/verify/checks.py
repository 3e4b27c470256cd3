"""Does the deployment hold? The checks of one look, and what follows from them. Pure.

Only a *fail* counts against a deployment. *Inconclusive* is our own blindness: it waits, and ends by telling a person.
Railway's edge answering by itself is inconclusive while the version has not answered yet, which `verify_deadline` ends:
by then the version was to listen, so that it has failed. Once the version has answered, it is a failed check: the
application went away.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from shared.core.observed import Answer, DeploymentState
from shared.core.outcome import Advance, Fail, Wait
from shared.core.pipeline import Terms
from shared.core.policy import Policy
from shared.core.reasons import Reason
from shared.core.run import Check, Run, Verdict, Verification

SHORTEST_COMMIT = 7
_RAILWAY, _VERSION, _HEALTH = "railway", "version", "health"
_CODES = {"railway": Reason.DEPLOY_CRASHED, "version": Reason.WRONG_VERSION}
"""What a failed check means for the deployment; that of the health: unhealthy."""


class Sight(Struct, frozen=True):
    """What was seen in one look; `answer` is None for a service that has no public address.

    `unused` are custom domains at which it was not looked, since they may lead elsewhere.
    """

    deployment: DeploymentState
    answer: Answer | None
    unused: tuple[str, ...] = ()
    cron_schedule: str | None = None
    """By which the service runs: then its process ends after each tick, and answers nothing in between."""


def assess(run: Run, policy: Policy, sight: Sight) -> tuple[Check, ...]:
    """The checks in the order in which they mean something."""
    answered = _has_answered(run.verification or Verification())
    return (
        _railway(sight),
        _version(run, policy, sight.answer, answered),
        _health(sight, answered),
    )


def conclude(run: Run, checks: tuple[Check, ...], terms: Terms, answer: Answer | None = None) -> Advance | Wait | Fail:
    """Advance once all has been well for the bake; Fail at the failure threshold; otherwise wait.

    `answer` is what the checks were made of: it tells whether the version has answered by now, and whether it is
    Railway's edge that is waited for.
    """
    before = _with(run.verification or Verification(), checks, answer)
    bad = next((check for check in checks if check.verdict is Verdict.FAIL), None)
    unclear = next((check for check in checks if check.verdict is Verdict.INCONCLUSIVE), None)
    if bad is not None:
        return _failing(before, bad, checks, terms)
    if unclear is not None:
        seen = replace(before, checks=checks, healthy_since=_moved_on(before, terms), looked_at=terms.now)
        if answer is not None and answer.by_edge and unclear.name != _RAILWAY:
            return _waiting(seen, f"not listening yet: {unclear.detail}", Reason.UNHEALTHY, terms)
        return _waiting(seen, f"cannot tell: {unclear.detail}", Reason.VERIFY_INCONCLUSIVE, terms)
    return _baking(run, before, checks, terms)


def _has_answered(before: Verification) -> bool:
    """A bake that has begun says so too: documents of before `answered` have nothing else."""
    return before.answered or before.healthy_since is not None or before.relapses > 0


def _with(before: Verification, checks: tuple[Check, ...], answer: Answer | None) -> Verification:
    """Whether the version has answered: not when Railway's edge did, or another version."""
    another = any(check.name == _VERSION and check.verdict is Verdict.FAIL for check in checks)
    answers = answer is not None and answer.by_application and not another
    return replace(before, answered=before.answered or answers)


def _moved_on(before: Verification, terms: Terms) -> datetime | None:
    """The bake's beginning, later by the time since the last look: it counts only between two good looks."""
    if before.healthy_since is None or before.looked_at is None:
        return before.healthy_since
    return before.healthy_since + (terms.now - before.looked_at)


def _railway(sight: Sight) -> Check:
    """A process that has ended is no service any more, unless it is begun by a schedule."""
    name, deployment = "railway", sight.deployment
    if deployment.ended and not sight.cron_schedule:
        return Check(
            name, Verdict.FAIL, f"the process of {deployment.id[:8]} has ended, and no schedule starts it again"
        )
    if deployment.live:
        return Check(name, Verdict.PASS, f"{deployment.id[:8]} is {deployment.status}")
    return Check(name, Verdict.INCONCLUSIVE, f"{deployment.id[:8]} is {deployment.status}")


def _version(run: Run, policy: Policy, answer: Answer | None, answered: bool) -> Check:
    name, wanted = _VERSION, run.watched_commit
    if answer is None or not wanted or not (policy.commit_field or policy.commit_header):
        return Check(name, Verdict.NOT_RUN, "the service does not show its commit")
    if answer.verdict(answered_before=answered) is Verdict.INCONCLUSIVE:
        return Check(name, Verdict.INCONCLUSIVE, answer.said)
    if answer.commit is None and (run.rollback is not None or not answer.healthy):
        return Check(name, Verdict.NOT_RUN, "the answer shows no commit")
    shown = answer.commit or "no commit"
    if len(shown) >= SHORTEST_COMMIT and wanted.startswith(shown.lower()):
        return Check(name, Verdict.PASS, f"{shown[:7]} answers")
    where = f" at {answer.url}" if answer.url else ""
    return Check(name, Verdict.FAIL, f"{shown[:12]} answers instead of {wanted[:7]}{where}")


def _health(sight: Sight, answered: bool) -> Check:
    answer = sight.answer
    if sight.cron_schedule:
        return Check(_HEALTH, Verdict.NOT_RUN, f"not checked: the service runs by its schedule {sight.cron_schedule}")
    if answer is None:
        doubted = f" that certainly leads to it: not {', '.join(sight.unused)}" if sight.unused else ""
        return Check(_HEALTH, Verdict.NOT_RUN, f"the service has no public address{doubted}")
    return Check(_HEALTH, answer.verdict(answered_before=answered), answer.said)


def _failing(before: Verification, bad: Check, checks: tuple[Check, ...], terms: Terms) -> Wait | Fail:
    """The old version may answer for a while after the new one went live; an unhealthy answer counts at once."""
    code = _CODES.get(bad.name, Reason.UNHEALTHY)
    baking = before.healthy_since is not None
    overlap = code is Reason.WRONG_VERSION and not baking and not before.relapses
    failures = before.failures if overlap else before.failures + 1
    seen = Verification(
        checks=checks,
        failures=failures,
        looked_at=terms.now,
        relapses=before.relapses + (1 if baking else 0),
        answered=before.answered,
    )
    if failures >= terms.policy.failure_threshold:
        return Fail(code, f"{bad.detail} ({failures} failed checks in a row)", changes={"verification": seen})
    return _waiting(seen, f"{bad.name}: {bad.detail}", code, terms)


def _waiting(seen: Verification, message: str, code: Reason, terms: Terms) -> Wait:
    return Wait(message=message, wake_in=terms.policy.poll, otherwise=code, changes={"verification": seen})


def _baking(run: Run, before: Verification, checks: tuple[Check, ...], terms: Terms) -> Advance | Wait:
    """The bake begins with a good look, and the first time gets a deadline of its own.

    After a relapse it starts again, but within that deadline: what does not stay healthy for a whole bake is not.
    """
    bake = timedelta(seconds=terms.policy.bake if run.rollback is None else 0.0)
    blind = any(check.verdict is Verdict.INCONCLUSIVE for check in before.checks)
    since = (_moved_on(before, terms) if blind else before.healthy_since) or terms.now
    seen = Verification(
        checks=checks, healthy_since=since, looked_at=terms.now, relapses=before.relapses, answered=before.answered
    )
    left = since + bake - terms.now
    if left <= timedelta(0):
        return Advance(_held(run, seen, bake.total_seconds()), {"verification": seen})
    first = before.healthy_since is None and not before.relapses
    deadline = {"deadline": since + bake + timedelta(seconds=terms.policy.verify_deadline)} if first else {}
    return Wait(
        message=f"{_state(seen)}; must stay {'live' if seen.unseen else 'healthy'} for {bake.total_seconds():g} s",
        wake_in=min(terms.policy.poll, left.total_seconds()),
        otherwise=Reason.UNHEALTHY if before.relapses else Reason.VERIFY_INCONCLUSIVE,
        changes={"verification": seen, **deadline},
    )


def _state(seen: Verification) -> str:
    """Nothing is called healthy that was not looked at."""
    return "live, not checked" if seen.unseen else "healthy"


def _held(run: Run, seen: Verification, bake: float) -> str:
    restored = "the restored version is " if run.rollback else ""
    if seen.unseen:
        return f"{restored}{_state(seen)}" + (f": Railway has called it live for {bake:g} s" if bake else "")
    return f"{restored}{_state(seen)}" + (f" for {bake:g} s" if bake else "")
