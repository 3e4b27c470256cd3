"""Labels that no webhook told of, or that had to wait: a pull request with one is looked at until it is answered."""

from __future__ import annotations

from functools import partial

from functions.sweep.each import each
from functions.sweep.memory import Memory
from functions.sweep.missed_merges import WEBHOOK_MAY_TAKE
from functions.sweep.snapshot import Snapshot
from shared.clients.github.activity import Open
from shared.runs.deploy_label import labelled
from shared.runtime.services import Services


async def answer_labels(services: Services, snapshot: Snapshot) -> int:
    """Look at each open pull request with a label that asks for its deployment, as its webhook would; how many.

    One that is answered is left alone until it changes.
    """
    asking = [
        target_config for target_config in services.config.targets if target_config.policy.deploy_label is not None
    ]
    return await each(
        sorted({target_config.repository for target_config in asking}), partial(_look_at_all, services, snapshot)
    )


async def _look_at_all(services: Services, snapshot: Snapshot, repository: str) -> int:
    asked = {target_config.policy.deploy_label for target_config in services.config.in_repository(repository)}
    names = {name.casefold() for name in asked if name is not None}
    before = services.clock.now() - WEBHOOK_MAY_TAKE
    asking = [
        pull
        for pull in (await snapshot.activity(repository)).open
        if pull.updated_at <= before and names & {label.casefold() for label in pull.labels}
    ]
    answered = services.kept(Memory).answered
    seen = answered.get(repository, {})
    due = [pull for pull in asking if seen.get(pull.number) != pull.updated_at]
    answered[repository] = {pull.number: pull.updated_at for pull in asking if pull not in due}
    return await each(due, partial(_look_at, services, repository))


async def _look_at(services: Services, repository: str, pull: Open) -> int:
    if await labelled(services, repository, pull.number):
        services.kept(Memory).answered[repository][pull.number] = pull.updated_at
    return 1
