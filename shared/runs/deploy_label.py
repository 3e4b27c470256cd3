"""A label on a pull request that asks for its deployment for as long as it is there, as /deploy does once.

Whenever something happens to the pull request that may have made it ready, GitHub is asked whether the label is on it
and who set it. So no one waits for anything, and a webhook that repeats, or comes late, changes nothing.
"""

from __future__ import annotations

from shared.core.observed import Labelling, PullRequestState, asked_by_label, is_same_head
from shared.core.reasons import Reason
from shared.core.run import Kind, Run, Trigger
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.runs import texts
from shared.runs.replying import MAY_DEPLOY, Declined, alone, reply
from shared.runs.start import new_run, runs_of, start
from shared.runtime import log
from shared.runtime.services import Services


async def labelled(services: Services, repository: str, number: int) -> bool:
    """Start the runs that the pull request's labels ask for, one for each target, head, and setting of the label.

    Whether all is answered; not while a run is under way after which the label is to be looked at again.
    """
    target_configs = [
        target_config
        for target_config in services.config.in_repository(repository)
        if target_config.policy.deploy_label is not None and target_config.after is None
    ]
    if not target_configs:
        return True
    pull = await services.github.pull_request(target_configs[0].repository, number)
    answered = True
    for target_config in target_configs:
        asked = target_config.branch == pull.base and asked_by_label(pull, target_config.policy)
        if asked and _ready(pull):
            answered &= await _start(services, target_config, pull)
    return answered


def _ready(pull: PullRequestState) -> bool:
    """But for its checks, which a run waits for. What people have to do first may take days, and they are heard of."""
    return pull.state == "open" and not pull.draft and pull.review in (None, "approved")


async def _start(services: Services, target_config: TargetConfig, pull: PullRequestState) -> bool:
    """Unless a run has answered to it, or is still under way, for which it has to wait."""
    set_by = await services.github.labelled(
        target_config.repository, pull.number, target_config.policy.deploy_label or ""
    )
    if set_by is None or not set_by.by_person:
        log.info("a label that no person set", repository=target_config.repository, number=pull.number)
        return True
    answers = [run for run in await runs_of(services, target_config, pull.number) if _answers(run, pull, set_by)]
    if answers:
        return all(run.status.terminal for run in answers)
    permission = await services.github.permission(target_config.repository, set_by.actor)
    if permission not in MAY_DEPLOY:
        message = f"{set_by.actor}, who set the label, has permission `{permission}`; `write` is needed"
        await _reply(services, target_config, pull, set_by, Declined(Reason.NOT_AUTHORIZED, message))
        return True
    if pull.from_fork:  # whose author may have pushed since: GitHub has no time of a push that they cannot choose
        message = f"a label deploys no fork, whose author can push at any time; the head is {pull.head_sha} now"
        usage = f"/deploy {target_config.service}/{target_config.environment} {pull.head_sha}"
        await _reply(services, target_config, pull, set_by, Declined(Reason.HEAD_UNCONFIRMED, message, usage))
        return True
    trigger = Trigger(source="label", actor=set_by.actor, id=f"{set_by.id} {pull.head_sha}", url=pull.url)
    await start(services, new_run(services, target_config, pull, trigger))
    return True


def _answers(run: Run, pull: PullRequestState, set_by: Labelling) -> bool:
    """Whether it is about this head and under way, a command's that was under way after the label was set, or this
    setting's own, which came to this head by bringing the branch up to date."""
    if run.kind is not Kind.DEPLOY or run.pull_request is None:
        return False
    if not run.status.terminal:
        return is_same_head(run.pull_request.head_sha, pull)
    own = run.trigger.source == "label" and run.trigger.id.split(" ")[0] == set_by.id
    commanded = run.trigger.source == "command" and run.history[-1].at >= set_by.at
    return run.pull_request.head_sha == pull.head_sha and (own or commanded)


async def _reply(
    services: Services, target_config: TargetConfig, pull: PullRequestState, set_by: Labelling, refused: Declined
) -> None:
    """Once, however often the label is looked at, for whichever target; where there is no reply that is remembered."""
    first, marker = services.config.in_repository(target_config.repository)[0], texts.reply_marker(set_by.id)
    found = await services.store.get(Target, first.id)
    if found is not None and set_by.id in found.document.silent:
        return
    if await services.github.has_comment(target_config.repository, pull.number, marker=marker):
        return
    log.info("label refused", code=refused.code, actor=set_by.actor)
    async with alone(services, set_by.id, first):
        text = texts.refusal(refused.code, refused.message, refused.usage)
        await reply(services, first, pull.number, to=set_by.id, text=text)
