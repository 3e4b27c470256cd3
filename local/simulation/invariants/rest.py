"""What must hold once everything has come to rest, and still after old messages came once more."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from functions.dispatch.commands import parse
from functions.dispatch.commands.deploy import Deploy
from functions.dispatch.commands.promote import Promote
from functions.sweep.webhook_silence import EARLY
from local.simulation.execution import START
from local.simulation.invariants import health, railway, refusals
from local.simulation.invariants.asking import Found, Question, ask
from local.simulation.invariants.outside import merged_files, watched
from local.simulation.place import LABEL
from local.simulation.railway_habits import WAITS
from local.world.github.model import Comment, Labelling, PullRequest, Repository
from local.world.railway.deployment import Deployment
from local.world.vendors import REPOSITORY
from shared.core import notices
from shared.core.commands import command_line
from shared.core.reasons import Reason
from shared.core.run import EntryKind, Kind, Run, Stage, Status
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.core.targets import FOLLOWING

if TYPE_CHECKING:
    from local.simulation.witness import Witness

SKEW = timedelta(seconds=10)
"""More than any two clocks differ."""


def every_run_has_ended(witness: Witness) -> Iterator[str]:
    """Nothing is left under way."""
    yield from (f"{run.id} is at {run.stage} ({run.status})" for run in witness.runs() if not run.status.terminal)


GRACE = 1800.0
"""Seconds by which a run may miss the deadline of its stage: a lost message, its redelivery or the next sweeps, and the
worst of clocks. A stage that can do nothing looks a last time at its deadline."""


def runs_keep_their_deadlines(witness: Witness, now: datetime) -> Iterator[str]:
    """No run stays where it is long after the time for that is up."""
    for run in witness.runs():
        if run.deadline is not None and (now - run.deadline).total_seconds() > GRACE:
            yield f"{run.id} is at {run.stage} ({run.status}), which was to end at {run.deadline:%H:%M:%S}"
        if run.deadline is None and not run.status.terminal:
            yield f"{run.id} is at {run.stage} ({run.status}) without a deadline"


def in_time(witness: Witness, now: datetime) -> Found:
    return ask([runs_keep_their_deadlines], witness, now)


def every_target_is_free(witness: Witness) -> Iterator[str]:
    """Nobody has a target, and nobody waits for one."""
    for target in witness.store.all(Target):
        if target.active or target.queue:
            yield f"{target.id} is taken by {target.active}, queue {target.queue}"


def merges_are_deployed(witness: Witness) -> Iterator[str]:
    """A merge has a run of its commit for each target of its branch, whether or not anybody told of it."""
    commits = {(run.target, run.commit_sha) for run in witness.runs() if run.kind is Kind.DEPLOY}
    for pull in _repository(witness).pulls.values():
        for place in witness.configured.targets:
            expected = pull.merged and place.branch == pull.base and place.follows_merges
            if expected and (place.id, pull.merge_sha) not in commits:
                yield f"#{pull.number} was merged as {str(pull.merge_sha)[:7]} and {place.id} has no run of it"


def accepted_commands_are_answered(witness: Witness) -> Iterator[str]:
    """A command that was heard, of somebody who may, has a run or a reply; in a locked conversation, its effect."""
    for event in _accepted(witness, "CommentWritten"):
        said = _repository(witness).comments.get(event.comment_id)
        if said is None or said.author not in _deployers(witness) or command_line(said.body) is None:
            continue  # whatever the webhook said
        started = any(run.trigger.id == str(event.comment_id) for run in witness.runs())
        marker = f"<!-- signalbox:reply:{event.comment_id} -->"
        if not started and _pull(witness, event.number).locked and _done_silently(witness, event.comment_id):
            continue
        if not started and all(marker not in said for said in _comments(witness, event.number)):
            yield f"nobody answered {event.body} of {event.author} on #{event.number}"


def commands_are_given_by_who_may(witness: Witness) -> Iterator[str]:
    """A command's run, and what it did to a target, is as a person with write permission wrote it, unedited, there.

    What a webhook or a message says of a comment decides nothing.
    """
    repository, may = _repository(witness), _deployers(witness)
    for run in witness.runs():
        if run.trigger.source != "command" or run.pull_request is None:
            continue
        said = repository.comments.get(int(run.trigger.id))
        if said is None or not _given(said, may) or said.author != run.trigger.actor:
            yield f"{run.id} was started by comment {run.trigger.id}, as if of {run.trigger.actor}: {said}"
            continue
        deploys = isinstance(parse(command_line(said.body) or ""), Deploy | Promote)
        if (said.pull, deploys) != (run.pull_request.number, run.kind is Kind.DEPLOY):
            yield f"{run.id} was started by {said.body} on #{said.pull}"
    for target in witness.store.all(Target):
        said = repository.comments.get(target.last_command)
        if target.last_command and (said is None or not _given(said, may)):
            yield f"{target.id} was changed by comment {target.last_command}: {said}"


def _given(said: Comment, may: Collection[str]) -> bool:
    return said.author in may and said.updated_at == said.created_at and command_line(said.body) is not None


def only_what_was_merged_is_deployed_as_a_merge(witness: Witness) -> Iterator[str]:
    """Whatever a webhook says, a run of a merge is of one that GitHub knows."""
    pulls = _repository(witness).pulls
    for run in witness.runs():
        if run.trigger.source == "merge" and run.pull_request and not pulls[run.pull_request.number].merged:
            yield f"{run.id} is of a merge of #{run.pull_request.number}, which is not merged"


def _deployers(witness: Witness) -> set[str]:
    people = _repository(witness).collaborators.items()
    return {who for who, permission in people if permission in ("admin", "write")}


def _done_silently(witness: Witness, comment: int) -> bool:
    """Refused, as the log says, or a change that a target has seen, or a later one, or an answer it could not give."""
    known = (target.last_command >= comment or comment in target.silent for target in witness.store.all(Target))
    return comment in witness.refused or any(known)


def renames_are_followed(witness: Witness) -> Iterator[str]:
    """What a repository is called now is recorded, and people were told once of each new name."""
    name = witness.vendors.repository.full_name
    target = witness.target(witness.configured.in_repository(REPOSITORY)[0].id)
    known = target.repository
    if name != REPOSITORY and (known is None or known.name != name):
        yield f"the repository is called {name}, and {known and known.name} is recorded"
        return
    told = sum(told.key == f"{target.id}:repository_renamed@{name}" for told in witness.told)
    if name != REPOSITORY and not told:
        yield f"the repository is called {name}, and nobody was told"


def nothing_foreign_is_done(witness: Witness) -> Iterator[str]:
    """A repository that has the name that ours had is not deployed from, commanded from, or written to."""
    own, foreign = witness.vendors.repository, witness.vendors.github.repository(REPOSITORY)
    for run in witness.runs():
        if run.commit_sha in witness.foreign:
            yield f"{run.id} is of {run.commit_sha}, which was merged elsewhere"
        if run.trigger.source == "command" and int(run.trigger.id) not in own.comments:
            yield f"{run.id} was requested by a comment elsewhere"
    if foreign is own:
        return
    for lock in (target.lock for target in witness.store.all(Target)):
        said = foreign.comments.values()
        if (
            lock is not None
            and lock.run_id is None
            and any(one.created_at <= lock.at for one in said)
            and not any(one.body.startswith("/lock") for one in own.comments.values())
        ):
            yield f"{lock.by} locked a target by a comment elsewhere"
    yield from (f"we wrote elsewhere: {one.body[:60]}" for one in foreign.comments.values() if one.by_app)


def accepted_labels_are_answered(witness: Witness) -> Iterator[str]:
    """A label that was heard of and is still there has a run about its head, or a reply to who may not deploy."""
    for event in _accepted(witness, "PullRequestLabelled"):
        pull = _pull(witness, event.number)
        if pull.state != "open" or pull.head_sha != event.head_sha or event.label not in pull.labels:
            continue
        if pull.from_fork or len(pull.labellings) > 1:  # of which only the first may have been heard of
            continue
        answered = {
            run.target for run in witness.runs() if run.pull_request and run.pull_request.head_sha == pull.head_sha
        }
        replied = any(Reason.NOT_AUTHORIZED in said for said in _comments(witness, event.number))
        firsts = [place for place in witness.configured.targets if place.after is None]
        asked = [place.id for place in firsts if place.branch == pull.base]
        if not replied and not pull.locked and set(asked) - answered:
            yield f"nobody answered the label on #{event.number}"


def labels_are_answered(witness: Witness) -> Iterator[str]:
    """A label that asks for a deployment has its run or reply, whether or not anybody told of it. Not on a fork."""
    repository = _repository(witness)
    for pull in repository.pulls.values():
        waits = pull.state != "open" or pull.draft or repository.review_decision(pull) not in (None, "APPROVED")
        set_by = next((one for one in reversed(pull.labellings) if one.label == LABEL), None)
        if waits or pull.from_fork or set_by is None or LABEL not in pull.labels or set_by.by.endswith("[bot]"):
            continue
        if pull.locked or any(
            f"<!-- signalbox:reply:LE_{set_by.id} -->" in said for said in _comments(witness, pull.number)
        ):
            continue
        for place in witness.configured.targets:
            asked = place.branch == pull.base and place.policy.deploy_label is not None and place.after is None
            if asked and not any(_answers(witness, run, place, pull, set_by) for run in witness.runs()):
                yield f"nobody answered the label on #{pull.number} for {place.id}"


def _answers(witness: Witness, run: Run, place: TargetConfig, pull: PullRequest, set_by: Labelling) -> bool:
    about = run.pull_request is not None and run.pull_request.head_sha == pull.head_sha and run.target == place.id
    commanded = run.kind is Kind.DEPLOY and run.trigger.source == "command" and run.history[-1].at >= set_by.at
    return about and (commanded or run.trigger.id == f"LE_{set_by.id} {witness.asked[run.id]}")


def a_label_starts_one_run(witness: Witness) -> Iterator[str]:
    """A setting of the label begins one run for each target and head, however often it is looked at."""
    begun: dict[tuple[str, str, str], list[str]] = {}
    for run in witness.runs():
        if run.trigger.source == "label":
            setting = run.trigger.id.split(" ")[0]
            begun.setdefault((run.target, setting, witness.asked[run.id]), []).append(run.id)
    yield from (f"a label on {target} began {ids}" for (target, _, _), ids in begun.items() if len(ids) > 1)


def labels_are_set_by_who_may(witness: Witness) -> Iterator[str]:
    """A run that a label began was requested by somebody with write permission."""
    may = _deployers(witness)
    for run in witness.runs():
        if run.trigger.source == "label" and run.trigger.actor not in may:
            yield f"{run.id} was requested by {run.trigger.actor}, who may not"


def a_newer_merge_brings_older_ones_along(witness: Witness) -> Iterator[str]:
    """A merge whose turn comes while a newer one waits that contains it ends for that reason, and for no other."""
    repository = _repository(witness)
    merged = [run for run in witness.runs() if run.commit_sha and run.kind is Kind.DEPLOY]
    for run in merged:
        newer = [
            one
            for one in merged
            if one.target == run.target and repository.compare(run.commit_sha or "", one.commit_sha or "") == "ahead"
        ]
        if run.error is not None and run.error.code is Reason.NEWER_MERGE and not newer:
            yield f"{run.id} was superseded, and no newer merge contains {run.commit_sha}"
        if run.trigger.source in FOLLOWING and run.deployment is not None and (turn := _its_turn(run)) is not None:
            brings = (one for one in newer if one.trigger.source in FOLLOWING and one.touches is not False)
            waiting = (one.id for one in brings if _waited(witness, one, turn))
            yield from (f"{run.id} was deployed while {id} waited, which contains it" for id in waiting)


def _its_turn(run: Run) -> datetime | None:
    return next((entry.at for entry in run.history if entry.kind is EntryKind.CALLED), None)


def _waited(witness: Witness, run: Run, at: datetime) -> bool:
    """Whether it stood in the queue at that moment; whoever put it there may have been frozen before it was saved."""
    if witness.enqueued.get(run.id, at) >= at - SKEW:
        return False
    waits = [(entry.at, after.at) for entry, after in pairwise(run.history) if entry.status is Status.QUEUED]
    return any(since < at < until for since, until in waits)


def what_was_verified_goes_on(witness: Witness) -> Iterator[str]:
    """A commit that was verified goes on to each environment that comes next by itself, once; a rollback does not."""
    for run in witness.runs():
        goes_on = run.kind is Kind.DEPLOY and run.status is Status.SUCCEEDED
        for place in witness.configured.followers(run.target):
            there = [one for one in witness.runs() if one.target == place.id]  # a retried one keeps the id alone
            own = [one for one in there if one.trigger.id.split(" ")[0] == run.id]
            wanted = goes_on and place.policy.promotion == "automatic"
            if len(own) != wanted:
                yield f"{run.id} is {run.status}, and {len(own)} runs go on with it to {place.id}"
            strange = [one for one in own if one.commit_sha != run.commit_sha]
            yield from (f"{one.id} is of {one.commit_sha}, not {run.commit_sha}" for one in strange)


def one_comment_per_run(witness: Witness) -> Iterator[str]:
    """A run has one comment on its pull request, unless GitHub took one and did not say so in time."""
    for run in witness.runs():
        if run.pull_request is None:
            continue
        marker = f"<!-- signalbox:run:{run.id} -->"
        found = sum(marker in said for said in _comments(witness, run.pull_request.number))
        if found > 1 + witness.lost[run.id, "comments"]:
            yield f"{run.id} has {found} comments"
        untold = _pull(witness, run.pull_request.number).locked or run.reason is Reason.NOTHING_TO_DEPLOY
        if found == 0 and not untold:
            yield f"{run.id} has no comment"


def one_github_deployment_per_commit(witness: Witness) -> Iterator[str]:
    """GitHub shows a commit's deployment to an environment once, unless it did not say in time that it had it."""
    seen: dict[tuple[str, str], int] = {}
    for shown in _repository(witness).deployments:
        seen[shown.sha, shown.environment] = seen.get((shown.sha, shown.environment), 0) + 1
    for (sha, environment), count in seen.items():
        lost = sum(witness.lost[run.id, "deployments"] for run in witness.runs() if run.commit_sha == sha)
        if count > 1 + lost:
            yield f"{sha[:7]} in {environment} is shown {count} times"


def every_notification_is_sent(witness: Witness) -> Iterator[str]:
    """Every ending reached n8n, and nothing is owed any more."""
    keys = {told.key for told in witness.told}
    documents: list[Run | Target] = [*witness.runs(), *map(witness.target, (p.id for p in witness.configured.targets))]
    for one in documents:
        if one.owed:
            yield f"{one.id} still owes {one.owed}"
        for key, notified in one.notified.items():
            notice = notices.Notice.read(key)
            if notice.channel == notices.N8N and f"{one.id}:{notice.name}" not in keys:
                yield f"{one.id} says of {key}: {notified.outcome}, and n8n does not have it"


def what_is_recorded_serves(witness: Witness) -> Iterator[str]:
    """What serves was verified last; or that it was not is recorded, and people were told."""
    told = {told.key for told in witness.told}
    for place in witness.configured.targets:
        target = witness.target(place.id)
        current, recorded, serving = target.current, target.serving, _live(witness, place)
        if current is None:
            continue
        what = f"{serving.id[:8]} of {serving.commit_sha[:7]} serves" if serving else "nothing serves"
        same = serving is not None and (serving.id == current.deployment_id or serving.commit_sha == current.commit_sha)
        if same and recorded.drifting_since is not None:
            yield f"{what} {place.id}, as it should, and drift is recorded since {recorded.drifting_since:%H:%M:%S}"
        if same:
            continue
        known = recorded.drifting_since is not None and recorded.deployment_id == (serving.id if serving else None)
        news = [one for one in map(notices.Notice.read, target.notified) if one.event == "drifted"]
        reported = serving is not None and _failed_aloud(witness, place, serving.id, serving.commit_sha)
        if not known or not (reported or any(f"{target.id}:{one.name}" in told for one in news)):
            yield f"{what} {place.id}, {current.commit_sha[:7]} is recorded, and {'not told' if known else 'unnoticed'}"


def _failed_aloud(witness: Witness, place: TargetConfig, deployment: str, commit: str) -> bool:
    """Whether the critical notification of a run was about this version: its rollback failed, or it was left."""
    told = {told.key.partition("@")[0] for told in witness.told}
    critical = ("rollback_failed", "unverified", "failed")
    for run in witness.runs():
        own = {run.deployment.id if run.deployment else None, run.rollback.deployment_id if run.rollback else None}
        about = deployment in own or commit == run.commit_sha  # Railway deploys a commit anew by itself
        if run.target == place.id and about and any(f"{run.id}:{event}" in told for event in critical):
            return True
    return False


def what_we_deployed_is_recorded(witness: Witness) -> Iterator[str]:
    """What a run deployed and serves was verified, or the run failed and said so."""
    for place in witness.configured.targets:
        serving, current = _live(witness, place), witness.target(place.id).current
        made = next((one for one in witness.made if one.deployment is serving), None)
        if serving is None or current is None or serving.id == current.deployment_id:
            continue
        if made is None or made.deployment.source != "API":
            continue
        run = witness.run(made.execution.about)
        if run is None or run.status is not Status.FAILED or run.error is None:
            who = run.id if run else None
            yield f"{serving.id[:8]} of {who} serves {place.id}, recorded is {current.deployment_id[:8]}"


def _live(witness: Witness, place: TargetConfig) -> Deployment | None:
    known = witness.vendors.railway.deployments(place.service_id, place.environment_id)
    live = (one for one in known if one.status in ("SUCCESS", "SLEEPING"))
    return next((one for one in live if not one.stopped or one.service.cron_schedule), None)


def what_changes_something_is_deployed(witness: Witness) -> Iterator[str]:
    """Only what touches none of the files that the service watches ends for that reason."""
    for run in witness.runs():
        if run.reason is not Reason.NOTHING_TO_DEPLOY or run.commit_sha is None:
            continue
        files = merged_files(witness, run.commit_sha)
        skipped = any(
            one.deployment.commit_sha == run.commit_sha and one.deployment.status == "SKIPPED" for one in witness.made
        )
        if watched(witness, run, files) and not skipped:
            yield f"{run.id} had nothing to deploy, and changes {files}"


def what_waits_for_people_is_not_cut_short(witness: Witness) -> Iterator[str]:
    """What Railway does not go on with, for want of an approval, of CI or of builds, is not cancelled meanwhile.

    Unless the run had given it up before it was seen, or somebody requested a rollback meanwhile.
    """
    requested = {run.target for run in witness.runs() if run.kind is Kind.ROLLBACK and not run.unasked}
    for deployment, status in witness.vendors.railway.cancelled:
        runs = (run for run in witness.runs() if run.deployment is not None and run.deployment.id == deployment.id)
        run = next(runs, None)
        if run is not None and run.target in requested:
            continue
        if status in WAITS and run is not None and run.error is not None and run.error.stage is Stage.MONITOR:
            yield f"{deployment.id[:8]} of {run.id} was cancelled while it was {status}"


def what_a_hold_keeps_back_is_listed(witness: Witness) -> Iterator[str]:
    """A merge that a hold kept back is on its target's list until a version that contains it was verified."""
    repository = _repository(witness)
    for run in witness.runs():
        if run.reason is not Reason.TARGET_HELD or run.commit_sha is None:
            continue
        target = witness.target(run.target)
        current = target.current.commit_sha if target.current else ""
        brought = repository.compare(run.commit_sha, current) in ("ahead", "identical")
        listed = any(one.commit_sha == run.commit_sha for one in target.held_back)
        bad = target.quarantine_of(run.commit_sha) is not None
        unsure = target.hold is not None and target.hold.unverified  # another version may be live instead
        if listed and brought and not unsure:
            yield f"{run.commit_sha[:7]} is live on {target.id}, and listed as held back"
        if not listed and not brought and not bad and not _was_live(witness, target, run.commit_sha):
            yield f"{run.id} was held back, and is on no list"


def _was_live(witness: Witness, target: Target, commit: str) -> bool:
    """Whether a version with the commit was verified at any time, though another is live now."""
    repository = _repository(witness)
    runs = (run for run in witness.runs() if run.target == target.id and run.status is Status.SUCCEEDED)
    stood = [run.commit_sha for run in runs if run.commit_sha and run.kind is Kind.DEPLOY]
    return any(repository.compare(commit, one) in ("ahead", "identical") for one in stood if one != commit)


def missed_webhooks_are_requested(witness: Witness) -> Iterator[str]:
    """What GitHub could not deliver has arrived since."""
    attempts = witness.vendors.github.webhooks.attempts()
    arrived = {attempt.webhook.guid for attempt in attempts if attempt.status == "OK"}
    for guid in sorted({attempt.webhook.guid for attempt in attempts} - arrived):
        yield f"webhook {guid} never arrived, and nobody asks for it"


def silences_are_reported(witness: Witness) -> Iterator[str]:
    """When GitHub has told nothing since something happened, that is recorded, and people know."""
    pulls = _repository(witness).pulls.values()
    merged = [pull.closed_at for pull in pulls if pull.merged and pull.closed_at is not None]
    happened = max([*merged, *(pull.created_at for pull in pulls)], default=None)
    target = witness.target(witness.configured.in_repository(REPOSITORY)[0].id)
    if happened is None or happened <= (target.listened_since or START) + SKEW:
        return
    attempts = witness.vendors.github.webhooks.attempts()
    own = [one for one in attempts if one.webhook.repository == witness.vendors.repository.id]
    if any(attempt.delivered_at >= happened - EARLY for attempt in own):
        return
    told = any(told.key.startswith(f"{target.id}:webhooks_lost@") for told in witness.told)
    if target.deaf is None or not told:
        yield f"GitHub has told nothing since {happened:%H:%M:%S}, {'and nobody knows' if target.deaf else 'unnoticed'}"


def no_dead_letters(witness: Witness) -> Iterator[str]:
    """Nothing that we published ourselves is given up."""
    yield from (f"{dead.topic} {dead.data.decode()}" for dead in witness.dead_letters())


_AT_REST: list[Question[[Witness]]] = [
    every_run_has_ended,
    every_target_is_free,
    merges_are_deployed,
    accepted_commands_are_answered,
    commands_are_given_by_who_may,
    only_what_was_merged_is_deployed_as_a_merge,
    accepted_labels_are_answered,
    labels_are_answered,
    a_label_starts_one_run,
    labels_are_set_by_who_may,
    what_was_verified_goes_on,
    a_newer_merge_brings_older_ones_along,
    one_comment_per_run,
    one_github_deployment_per_commit,
    every_notification_is_sent,
    what_is_recorded_serves,
    what_we_deployed_is_recorded,
    what_changes_something_is_deployed,
    what_waits_for_people_is_not_cut_short,
    what_a_hold_keeps_back_is_listed,
    missed_webhooks_are_requested,
    silences_are_reported,
    renames_are_followed,
    nothing_foreign_is_done,
    no_dead_letters,
    *health.AT_REST,
    *refusals.AT_REST,
    *railway.AT_REST,
]


def at_rest(witness: Witness) -> Found:
    return ask(_AT_REST, witness)


def effects(witness: Witness) -> dict[str, int]:
    """What the outside world has seen of us, counted."""
    return {
        "runs": len(witness.runs()),
        "merges": len(witness.merges),
        "deployments": len(witness.made),
        "notifications": len([told for told in witness.told if told.key.count(":") == 1]),
        "comments": len(_repository(witness).comments),
    }


def old_messages_change_nothing(witness: Witness, before: dict[str, int]) -> Iterator[str]:
    """A message that comes again days later is a look, and no more."""
    for what, count in effects(witness).items():
        if count != before[what]:
            yield f"there were {before[what]} {what}, and are {count}"


def after_replay(witness: Witness, before: dict[str, int]) -> Found:
    return ask([old_messages_change_nothing], witness, before) + at_rest(witness)


def _accepted(witness: Witness, kind: str) -> list[Any]:
    """Of those about the repository that is deployed from."""
    own = witness.vendors.repository.id
    found: list[Any] = [event for event in witness.accepted.values() if type(event).__name__ == kind]
    return [event for event in found if event.repository_id == own]


def _repository(witness: Witness) -> Repository:
    return witness.vendors.repository


def _pull(witness: Witness, number: int) -> PullRequest:
    return witness.vendors.repository.pulls[number]


def _comments(witness: Witness, number: int) -> list[str]:
    said = _repository(witness).comments.values()
    return [comment.body for comment in said if comment.pull == number and comment.by_app]
