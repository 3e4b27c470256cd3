"""Where to return to, and whether: a pure decision on what Railway shows and what was verified."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from shared.core.observed import DeploymentState
from shared.core.outcome import Fail, Wait
from shared.core.reasons import Reason
from shared.core.run import Failure, Kind, Run, Stage, Verified
from shared.core.target import Health, Target


class NothingToDo(Struct, frozen=True):
    """The version to return to serves already."""

    serving: Verified


class Return(Struct, frozen=True):
    """Go back to `to`: by its kept image, or by rebuilding its commit."""

    to: Verified
    image: bool
    replaces: str | None
    """The commit that is rolled back."""
    error: Failure | None = None
    """Why, where the run does not know it yet."""


def plan(
    run: Run, target: Target, active: Sequence[DeploymentState], known: Sequence[DeploymentState]
) -> NothingToDo | Return | Wait | Fail:
    """`known` are the target's deployments, newest first, removed ones too; `active` those that serve, without one
    whose process has ended though no schedule says so: that is as bad as a crash.

    While two overlap, the newer one is about to serve alone, in whatever order Railway lists them. A deployment that is
    just being taken away cannot be returned to, and a moment later can.
    """
    live = [deployment for deployment in active if deployment.live]
    if run.unasked:
        return _from_probation(run, target, live, known)
    serving = max(live, key=lambda deployment: deployment.created_at, default=None)
    bad = serving or _crashed(known)
    to = _asked_for(run, target, bad) if run.kind is Kind.ROLLBACK else target.current
    if isinstance(to, Fail):
        return to
    stranger = _stranger(run, target, live)
    if stranger is not None and run.kind is Kind.DEPLOY:
        if to is None and run.deployment and stranger.id in run.deployment.baseline:
            return NothingToDo(_as_verified(stranger, run))
        return Fail(Reason.DEPLOYMENT_REPLACED, f"deployment {stranger.id[:8]} of another user is live; left alone")
    if to is None:
        return Fail(Reason.ROLLBACK_TARGET_MISSING, "no verified deployment of this target is known to return to")
    if serving is not None and serving.commit_sha == to.commit_sha:
        return NothingToDo(replace(to, deployment_id=serving.id))
    return _back(to, bad.commit_sha if run.kind is Kind.ROLLBACK and bad else run.commit_sha, known)


def _from_probation(
    run: Run, target: Target, live: Sequence[DeploymentState], known: Sequence[DeploymentState]
) -> NothingToDo | Return | Wait | Fail:
    """To the version verified before the one that lost its health, unless something has changed since it did.

    A user who asks for it once more, by a replay, knows of lock and health.
    """
    crashed = None if live else _crashed(known)
    bad, stranger = target.current, _stranger(run, target, [crashed] if crashed else live)
    if bad is None or bad.deployment_id != run.trigger.id:
        return Fail(Reason.DEPLOYMENT_REPLACED, f"another version was verified after {run.trigger.id[:8]}; left alone")
    if stranger is not None:
        return Fail(Reason.DEPLOYMENT_REPLACED, f"deployment {stranger.id[:8]} of another user is live; left alone")
    if run.trigger.source == "health" and target.lock is not None:
        return Fail(Reason.TARGET_LOCKED, f"locked by {target.lock.by}: {target.lock.reason}")
    if run.trigger.source == "health" and target.health.state == "healthy" and live:
        return NothingToDo(replace(bad, deployment_id=max(live, key=lambda one: one.created_at).id))
    to = next((verified for verified in target.verified if verified.commit_sha != bad.commit_sha), None)
    if to is None:
        return Fail(Reason.ROLLBACK_TARGET_MISSING, "no other version was verified here")
    way = _back(to, bad.commit_sha, known)
    return replace(way, error=_lost(bad, target.health)) if isinstance(way, Return) else way


def _lost(bad: Verified, health: Health) -> Failure:
    after = f", {(health.changed_at - bad.at).total_seconds():.0f} s after it was verified" if health.changed_at else ""
    migrated = ". It ran a pre-deploy command (a migration?), which is not undone" * bad.migrates
    return Failure(code=Reason.UNHEALTHY, message=f"{health.detail}{after}{migrated}", stage=Stage.VERIFY)


def _back(to: Verified, replaces: str | None, known: Sequence[DeploymentState]) -> Return | Wait:
    kept = next((deployment for deployment in known if deployment.id == to.deployment_id), None)
    if kept is not None and kept.status == "REMOVING":
        return Wait(message=f"{kept.id[:8]} is still being taken away", wake_in=5, otherwise=Reason.ROLLBACK_TIMEOUT)
    return Return(to=to, image=kept is not None and kept.can_rollback, replaces=replaces)


def _crashed(known: Sequence[DeploymentState]) -> DeploymentState | None:
    """What should serve and does not: the newest that was live and was not taken away."""
    return next((deployment for deployment in known if deployment.crashed or deployment.ended), None)


def _asked_for(run: Run, target: Target, bad: DeploymentState | None) -> Verified | Fail:
    """The commit named in the command, else the last verified version that is not the one serving (or crashed).

    A command that stood in the queue behind a deployment is done when that was rolled back meanwhile.
    """
    wanted = run.rollback.to_commit if run.rollback else None
    current = target.current
    returned = run.rollback.unless if run.rollback else None
    at_current = current is not None and bad is not None and bad.commit_sha == current.commit_sha
    if wanted is None and current is not None and at_current and returned == current.commit_sha:
        return current
    for verified in target.verified:
        if wanted is not None and verified.commit_sha.startswith(wanted):
            return verified
        if wanted is None and (bad is None or verified.commit_sha != bad.commit_sha):
            return verified
    known = ", ".join(dict.fromkeys(f"`{verified.commit_sha[:7]}`" for verified in target.verified)) or "none"
    asked = f"{wanted} was never verified here" if wanted else "no other version than the one that serves was verified"
    return Fail(Reason.ROLLBACK_TARGET_MISSING, f"{asked}; verified are: {known}")


def _stranger(run: Run, target: Target, live: Sequence[DeploymentState]) -> DeploymentState | None:
    """A deployment that serves, of another commit than the run's own and the target's last verified one.

    Railway itself redeploys a commit now and then, under a new id: that is no one else's.
    """
    deployments = {run.deployment.id if run.deployment else None}
    commits = {run.commit_sha}
    if target.current is not None:
        deployments.add(target.current.deployment_id)
        commits.add(target.current.commit_sha)
    others = (d for d in live if d.id not in deployments and (d.commit_sha is None or d.commit_sha not in commits))
    return next(others, None)


def _as_verified(deployment: DeploymentState, run: Run) -> Verified:
    return Verified(
        deployment_id=deployment.id,
        commit_sha=deployment.commit_sha or "",
        run_id=None,
        at=run.updated_at,
        migrates=deployment.migrates,
    )
