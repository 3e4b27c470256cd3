"""Environments in order: a commit is deployed to one only after it was verified in the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.core.run import Kind, Run, Stage, Status, Trigger, Verified, run_id
from shared.core.target import Target
from shared.core.target_config import TargetConfig


def misplaced(target: TargetConfig, of_service: Sequence[TargetConfig]) -> tuple[str, str] | None:
    """What is wrong with this target's place among the environments of its service: the end of its key, and why.

    Environments that follow one branch come one after another, or say that they need no order.
    """
    beside = {one.id: one for one in of_service if one.branch == target.branch and one is not target}
    names = ", ".join(one.environment for one in beside.values()) or "there is none"
    if target.after is None:
        if not beside or target.parallel or any(one.after == target.id for one in beside.values()):
            return None
        first = next(iter(beside.values())).environment
        return "", (
            f"follows the branch {target.branch}, as other environments do ({names}), and names no order. Write "
            f'`after = "{first}"` to deploy a commit here once it was verified there, or `parallel = true` in each '
            "environment that needs no order"
        )
    if target.parallel:
        return ".parallel", "contradicts `after`: keep one of the two"
    if target.after not in beside:
        return ".after", f"is no other environment of this service on the branch {target.branch} ({names})"
    if target.policy.auto_deploy == "adopt":
        return ".after", 'needs auto_deploy = "off": Railway deploys each push by itself, and waits for no environment'
    if target.policy.promote_after > target.policy.approval_deadline:
        return ".policy.promote_after", "is longer than approval_deadline, after which a run gives up waiting"
    seen, one = [target.id], beside.get(target.after)
    while one is not None and one.id not in seen:
        seen.append(one.id)
        one = beside.get(one.after or "")
        if one is None and beside[seen[-1]].after == target.id:
            return ".after", "comes round to itself"
    return None


def verified_in(before: Target, commit_sha: str) -> Verified | None:
    """The commit as it was verified in the environment before, unless it was rolled back there since."""
    if before.quarantine_of(commit_sha) is not None:
        return None
    return next((one for one in before.verified if one.commit_sha == commit_sha), None)


def ready_at(verified: Verified, target: TargetConfig) -> datetime:
    """When a commit that was verified in the environment before may be deployed here."""
    return verified.at + timedelta(seconds=target.policy.promote_after)


def follow_up(run: Run, target: TargetConfig, now: datetime) -> Run:
    """The run for the environment after the one in which the run verified its commit: for exactly that commit."""
    trigger = Trigger(source="promotion", actor=run.trigger.actor, id=f"{run.id} {run.attempt}", url=run.trigger.url)
    number = run.pull_request.number if run.pull_request else 0
    return Run(
        id=run_id(target.id, number, f"{trigger.source} {trigger.id}"),
        kind=Kind.DEPLOY,
        target=target.id,
        repository=target.repository,
        service=target.service,
        environment=target.environment,
        pull_request=run.pull_request,
        commit_sha=run.commit_sha,
        touches=run.touches,
        trigger=trigger,
        stage=Stage.MERGE,
        status=Status.RUNNING,
        created_at=now,
        updated_at=now,
        expire_at=now + (run.expire_at - run.created_at),
    )


def announced(followers: Sequence[TargetConfig]) -> str:
    """What becomes of a commit that was verified, in the environments after this one: a sentence, or nothing."""
    by_itself = [f"`{one.name}`" for one in followers if one.policy.promotion == "automatic"]
    by_command = [
        f"comment `/promote {one.before} {one.environment}` to deploy it to `{one.name}`"
        for one in followers
        if one.policy.promotion == "command"
    ]
    said = f"{' and '.join(by_itself)} {'follows' if len(by_itself) == 1 else 'follow'} with the same commit"
    return "; ".join(([said] if by_itself else []) + by_command)
