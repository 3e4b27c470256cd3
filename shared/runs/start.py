"""How runs come to be, and how they are woken."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from shared.core import pipeline
from shared.core.observed import PullRequestState, is_same_head
from shared.core.outcome import Message
from shared.core.run import Kind, PullRequest, Rollback, Run, Stage, Status, Trigger, run_id
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.errors import Conflict, Unavailable
from shared.runtime import log
from shared.runtime.ports import Condition, Create, Query
from shared.runtime.services import Services

RETENTION = timedelta(days=90)


async def merged(services: Services, repository: str, number: int) -> None:
    """A pull request is said to be merged: if it is, each target of its base branch gets a run for the merge commit.
    Targets that come after others get theirs once it was verified there.

    A run that a command started for this head of it, or that merged it, is woken instead.
    """
    target_configs = services.config.in_repository(repository)
    if not target_configs:
        return
    pull = await services.github.pull_request(target_configs[0].repository, number)
    if not pull.merged:
        log.info("not merged after all", repository=repository, number=number)
        return
    if pull.merge_sha is None:
        raise Unavailable(f"pull request {number} is merged, and GitHub does not say as which commit")
    for target_config in target_configs:
        if target_config.branch == pull.base and target_config.follows_merges:
            await deploy_merged(services, target_config, pull, pull.merge_sha)


async def deploy_merged(
    services: Services, target_config: TargetConfig, pull: PullRequestState, commit: str
) -> Literal["started", "under way", "known"]:
    """`under way`: by a run that is about this merge, though it may not know the merge commit yet."""
    for run in await runs_of(services, target_config, pull.number):
        if run.kind is not Kind.DEPLOY:
            continue
        if not run.status.terminal and _is_about(run, pull, commit):
            await services.publish([Message(run.stage, run.id)])
            return "known" if run.commit_sha == commit else "under way"
        if run.commit_sha == commit:
            log.info("deployed already", run_id=run.id)
            return "known"
    trigger = Trigger(source="merge", actor=pull.merged_by or pull.author, id=commit, url=pull.url)
    await start(services, new_run(services, target_config, pull, trigger))
    return "started"


def _is_about(run: Run, pull: PullRequestState, commit: str) -> bool:
    """Whether the run will see this merge through: one that a command requested an earlier head refuses to."""
    if run.commit_sha is not None:
        return run.commit_sha == commit
    return run.pull_request is not None and is_same_head(run.pull_request.head_sha, pull)


async def runs_of(services: Services, target_config: TargetConfig, number: int) -> list[Run]:
    """The pull request's runs for a target, newest first."""
    found = await services.store.query(
        Query(
            Run,
            (
                ("target", "==", target_config.id),
                ("pull_request.number", "==", number),
            ),
            order_by="created_at",
            descending=True,
            limit=20,
        )
    )
    return [one.document for one in found]


async def latest_of(services: Services, target_config: TargetConfig) -> list[Run]:
    """The target's runs, newest first, as many as could be under way or in its queue."""
    found = await services.store.query(
        Query(Run, (("target", "==", target_config.id),), order_by="created_at", descending=True, limit=50)
    )
    return [one.document for one in found]


def new_run(
    services: Services,
    target_config: TargetConfig,
    pull: PullRequestState | PullRequest,
    trigger: Trigger,
    *,
    back: Rollback | None = None,
) -> Run:
    """A run that is not saved yet: with `back`, a rollback. For a merged pull request it names the merge commit."""
    now = services.clock.now()
    return Run(
        id=run_id(target_config.id, pull.number, f"{trigger.source} {trigger.id}"),
        kind=Kind.ROLLBACK if back else Kind.DEPLOY,
        target=target_config.id,
        repository=target_config.repository,
        service=target_config.service,
        environment=target_config.environment,
        pull_request=PullRequest(
            number=pull.number,
            title=pull.title,
            author=pull.author,
            head_sha=pull.head_sha,
            base=pull.base,
            url=pull.url,
            public=pull.public,
        ),
        commit_sha=pull.merge_sha if isinstance(pull, PullRequestState) and not back else None,
        trigger=trigger,
        stage=Stage.ROLLBACK if back else Stage.MERGE,
        status=Status.RUNNING,
        rollback=back,
        created_at=now,
        updated_at=now,
        expire_at=now + RETENTION,
    )


async def start(services: Services, run: Run) -> None:
    """Create the run and wake its first stage; when it exists already, only wake it."""
    begun = pipeline.begin(run, services.terms(run.target), quietly=_may_come_to_nothing(services, run))
    try:
        await services.store.commit(Create(begun.run))
    except Conflict:
        found = await services.store.get(Run, run.id)
        if found is not None and not found.document.status.terminal:
            await services.publish([Message(found.document.stage, run.id)])
        return
    with log.context(run_id=run.id):
        log.info("run started", kind=run.kind, target=run.target, trigger=run.trigger.source, actor=run.trigger.actor)
        await services.publish(begun.messages)


def _may_come_to_nothing(services: Services, run: Run) -> bool:
    """Whether it may turn out that the merge has nothing for the target: of each service of a monorepo people do not
    want to read that."""
    target_config = services.config.target(run.target)
    merged = run.kind is Kind.DEPLOY and run.trigger.source == "merge"
    return merged and target_config is not None and services.config.is_selective(target_config)


async def wake(services: Services, repository: str, about: Condition) -> None:
    """Wake the repository's runs that wait before their merge and meet the condition."""
    target_configs = services.config.in_repository(repository)
    if not target_configs:
        return
    here: Condition = ("repository", "==", target_configs[0].repository)
    found = await services.store.query(
        Query(
            Run,
            (
                here,
                about,
                ("stage", "==", Stage.MERGE),
            ),
            order_by="created_at",
            descending=True,
        )
    )
    await services.publish(Message(one.document.stage, one.document.id) for one in found)


async def wake_active(services: Services, target: str, deployment: str, expecting: tuple[Stage, ...]) -> None:
    """Wake the run that has the target, if the deployment is its own or it expects one in such a stage."""
    target_config = await services.store.get(Target, target)
    if target_config is None or target_config.document.active is None:
        return
    found = await services.store.get(Run, target_config.document.active)
    if found is None or found.document.status.terminal:
        return
    run = found.document
    if run.watched_deployment == deployment or run.stage in expecting:
        await services.publish([Message(run.stage, run.id)])
