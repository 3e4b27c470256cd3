"""What has to hold at the end of a day on which functions were killed, asked of our documents and of the vendors.

Each question yields what is wrong, in words; nothing when all is well.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from e2e.busy_day import Senders
from msgspec import Struct

from local.emulation.vendors import ServedVendors
from local.world.github.model import PASSED, PullRequest
from local.world.railway.deployment import Plan
from shared.core import commands, notices
from shared.core.events import CommentWritten, PullRequestMerged
from shared.core.reasons import Reason
from shared.core.run import Kind, Run, Stage, Status
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.runs import texts

FOLLOWS = {
    Stage.MERGE: {Stage.DEPLOY},
    Stage.DEPLOY: {Stage.MONITOR, Stage.ROLLBACK},
    Stage.MONITOR: {Stage.VERIFY, Stage.ROLLBACK},
    Stage.VERIFY: {Stage.ROLLBACK},
    Stage.ROLLBACK: {Stage.MONITOR, Stage.VERIFY},
}
ENDINGS = {
    Status.SUCCEEDED: "succeeded",
    Status.FAILED: "failed",
    Status.ROLLED_BACK: "rolled_back",
    Status.SUPERSEDED: "superseded",
    Status.NOT_DEPLOYED: "held_back",
}
WITHOUT_DEPLOYMENT = {Reason.CHECKS_FAILED, Reason.NEWER_MERGE, Reason.QUARANTINED}
"""Why a run of these people may end before it deploys anything."""


class Day(Struct, frozen=True, kw_only=True):
    """Everything there is to see."""

    runs: Sequence[Run]
    targets: Sequence[Target]
    places: Sequence[TargetConfig]
    vendors: ServedVendors
    senders: Senders
    kills: Mapping[str, int]

    def comments(self, repository: str, number: int) -> list[str]:
        """Ours."""
        said = self.vendors.github.repository(repository).comments.values()
        return [comment.body for comment in said if comment.pull == number and comment.by_app]


def unfinished(day: Day) -> list[str]:
    """What is still to come."""
    return [text for question in (_accepted_but_unheard, _under_way, _occupied) for text in question(day)]


def broken(day: Day) -> list[str]:
    """What must never be."""
    questions = (
        _refused_webhooks,
        _gaps_in_history,
        _undeserved_endings,
        _merges,
        _deployments,
        _what_serves,
        _comments,
        _github_deployments,
        _notifications,
    )
    return [f"{question.__name__.strip('_')}: {text}" for question in questions for text in question(day)]


# Still to come


def _accepted_but_unheard(day: Day) -> Iterator[str]:
    """A merge that we heard of leads to a run, a command to a run or a reply, or to 😕 for who may not."""
    for event in day.senders.accepted():
        if isinstance(event, PullRequestMerged):
            pull = day.vendors.github.pull(event.repository, event.number)
            if not any(_sees_to(run, event.repository, pull) for run in day.runs):
                yield f"{event.repository}#{event.number} was merged, and there is no run"
        if isinstance(event, CommentWritten) and commands.is_command(event.body):
            replied = _count(day.comments(event.repository, event.number), texts.reply_marker(event.comment_id))
            started = sum(run.trigger.id == str(event.comment_id) for run in day.runs)
            repository = day.vendors.github.repository(event.repository)
            if repository.collaborators.get(event.author) not in ("admin", "write"):
                if "confused" not in repository.comments[event.comment_id].reactions:
                    yield f"{event.repository}#{event.number}: {event.body} of {event.author} has no reaction"
                if replied + started:
                    yield f"{event.repository}#{event.number}: {event.body} of {event.author} had an effect"
                continue
            if replied + started == 0:
                yield f"{event.repository}#{event.number}: nobody answered {event.body} of {event.author}"


def _sees_to(run: Run, repository: str, pull: PullRequest) -> bool:
    return (run.repository, run.commit_sha) == (repository, pull.merge_sha)


def _under_way(day: Day) -> Iterator[str]:
    for run in day.runs:
        if not run.status.terminal:
            yield f"{run.id} is at {run.stage} ({run.status})"
        elif (run.wake_at, run.lease, run.notify_lease, run.owed) != (None, None, None, ()):
            yield f"{run.id} has ended and still owes {run.owed or 'something'}"


def _occupied(day: Day) -> Iterator[str]:
    for target in day.targets:
        if target.active or target.queue or target.owed or target.wake_at:
            yield f"{target.id} is taken by {target.active}, queue {target.queue}, owes {target.owed}"


# Never to be


def _refused_webhooks(day: Day) -> Iterator[str]:
    """A genuine webhook is taken, or was not able to be."""
    for status, count in Counter(sent.status for sent in day.senders.sent).items():
        if status is not None and status != 202 and status < 500:
            yield f"{count} were answered {status}"


def _gaps_in_history(day: Day) -> Iterator[str]:
    for run in day.runs:
        history = run.history
        if not history[0].message.startswith("requested by") or history[-1].status is not run.status:
            yield f"{run.id} does not begin or does not end"
        for before, after in pairwise(history):
            if after.stage not in {before.stage} | FOLLOWS[before.stage] or after.at < before.at:
                yield f"{run.id} went from {before.stage} ({before.at}) to {after.stage} ({after.at})"


def _undeserved_endings(day: Day) -> Iterator[str]:
    """A run ends as its deployment deserves, or its pull request where nothing was deployed."""
    made = {deployment.id: deployment for deployment in day.vendors.railway.created}
    for run in day.runs:
        deployment = made.get(run.deployment.id or "") if run.deployment else None
        if deployment is None:
            held = run.status is Status.NOT_DEPLOYED and run.reason is Reason.TARGET_HELD
            if not held and (run.error is None or run.error.code not in WITHOUT_DEPLOYMENT):
                yield f"{run.id} deployed nothing and ended as {run.status}: {run.error}"
        elif run.status is not _deserved(deployment.plan):
            yield f"{run.id} ended as {run.status} with {deployment.plan}: {run.error}"


def _deserved(plan: Plan) -> Status:
    if plan.build == "fail":
        return Status.FAILED
    return Status.ROLLED_BACK if plan.health == "failing" else Status.SUCCEEDED


def _merges(day: Day) -> Iterator[str]:
    """Once, at the head that was judged, with its checks passed."""
    calls = [c for c in day.vendors.github.app.calls if c.path.endswith("/merge") and c.status == 200]
    for path, count in Counter(call.path for call in calls).items():
        if count > 1:
            yield f"{path} succeeded {count} times"
    for call in calls:
        _, owner, name, _, number, _ = call.path.strip("/").split("/")
        pull = day.vendors.github.pull(f"{owner}/{name}", int(number))
        gated = {run.pull_request.head_sha for run in day.runs if run.pull_request and run.commit_sha == pull.merge_sha}
        if {json.loads(call.body)["sha"], pull.head_sha} - gated:
            yield f"{call.path} was of another head than {gated}"
        if any(check.conclusion not in PASSED for check in pull.head_checks()):
            yield f"{call.path} came before the checks had passed"


def _deployments(day: Day) -> Iterator[str]:
    """One for each run that asked for one, one more where it went back, and no other."""
    asked = [run.deployment.id for run in day.runs if run.deployment and not run.deployment.adopted]
    back = [run.rollback.deployment_id for run in day.runs if run.rollback and run.rollback.needed]
    for what, wanted, reasons in (("deployment", asked, {"deploy", "redeploy"}), ("rollback", back, {"rollback"})):
        made = [d.id for d in day.vendors.railway.created if d.reason in reasons]
        for id, difference in (Counter(made) - Counter(wanted)).items():
            yield f"nobody asked for the {what} {id}, made {difference} times too often"
        for id in Counter(wanted) - Counter(made):
            yield f"the {what} {id} does not exist"


def _what_serves(day: Day) -> Iterator[str]:
    places = {place.id: place for place in day.places}
    for target in day.targets:
        place = places[target.id]
        serving = day.vendors.railway.serving(place.service_id, place.environment_id)
        recorded = target.current.deployment_id if target.current else None
        if recorded is not None and (serving is None or serving.id != recorded):
            yield f"{target.id} records {recorded}, and {serving.id if serving else None} serves"
        if target.lock is not None:
            yield f"{target.id} is locked: {target.lock.reason}"


def _comments(day: Day) -> Iterator[str]:
    """One for each run, edited to how it ended; one reply to a comment, unless it has its run."""
    for run in day.runs:
        number = run.pull_request.number if run.pull_request else 0
        said = [text for text in day.comments(run.repository, number) if texts.run_marker(run.id) in text]
        if len(said) != 1:
            yield f"{run.id} has {len(said)} comments"
        elif said[0] != texts.comment(run, ""):
            yield f"{run.id} has a comment that does not show how it ended:\n{said[0]}"
    for repository in day.vendors.github.repositories.values():
        for comment in repository.comments.values():
            replied = _count(day.comments(repository.full_name, comment.pull), texts.reply_marker(comment.id))
            started = sum(run.trigger.id == str(comment.id) for run in day.runs)
            if replied + started > 1:
                yield f"{comment.body} of {comment.author} has {replied} replies and {started} runs"


def _github_deployments(day: Day) -> Iterator[str]:
    for repository in day.vendors.github.repositories.values():
        shown = Counter((deployment.sha, deployment.environment) for deployment in repository.deployments)
        for (sha, environment), count in shown.items():
            if count > 1:
                yield f"{sha[:7]} in {environment} is shown {count} times"
        for deployment in repository.deployments:
            if not deployment.statuses or deployment.statuses[-1]["state"] == "in_progress":
                yield f"{deployment.sha[:7]} in {deployment.environment} is shown as under way"


def _notifications(day: Day) -> Iterator[str]:
    """Every ending is told; by its key each is one, and it comes again only where a teller was killed."""
    n8n = day.vendors.n8n
    told: dict[str, list[object]] = {}
    for payload, headers in zip(n8n.notifications, n8n.headers, strict=True):
        told.setdefault(headers["idempotency-key"], []).append(payload)
    for key, payloads in told.items():
        if any(payload != payloads[0] for payload in payloads):
            yield f"{key} does not always say the same: {payloads}"
        if len(payloads) > 1 + day.kills.get("notify", 0):
            yield f"{key} came {len(payloads)} times"
    sent = {
        f"{run.id}:{key.removesuffix(f':{notices.N8N}')}"
        for run in day.runs
        for key, notified in run.notified.items()
        if key.endswith(f":{notices.N8N}") and notified.outcome == notices.SENT
    }
    if set(told) != sent:
        yield f"n8n was told {set(told) ^ sent} otherwise than the runs say"
    for run in day.runs:
        back = run.kind is Kind.ROLLBACK and run.status is Status.SUCCEEDED
        if f"{run.id}:{'rolled_back' if back else ENDINGS.get(run.status)}" not in told:
            yield f"nobody was told how {run.id} ended: {run.status}"


def _count(texts: Sequence[str], marker: str) -> int:
    return sum(marker in text for text in texts)
