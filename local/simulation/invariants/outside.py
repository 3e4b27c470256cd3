"""What must hold of all that leaves the house: messages, merges, deployments, notifications."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec import structs
from msgspec.structs import replace

from local.simulation.execution import Execution
from local.simulation.invariants.asking import Found, Question, ask, secrets_in
from local.simulation.invariants.documents import STAGES
from local.world.github.model import GITHUB_ACTIONS, PASSED, PullRequest
from local.world.railway.deployment import Plan
from shared.core.run import Kind, Run, Stage, Status
from shared.core.targets import AUTOMATIC, FOLLOWING

if TYPE_CHECKING:
    from local.simulation.bus import Published
    from local.simulation.witness import Made, Told, Witness

LEASE = 55.0
"""Seconds within which a worker may rely on its lease."""


# At every message


def messages_do_not_run_ahead(witness: Witness, _: Execution, message: Published) -> Iterator[str]:
    """A message says what is saved already: a run was at the stage it is woken for."""
    if message.topic in STAGES:
        run = msgspec.json.decode(message.data).get("run_id", "")
        if message.topic not in witness.stages[run]:
            yield f"{run} is woken for {message.topic}, where it was never saved to be"


def no_secrets_in_messages(_: Witness, __: Execution, message: Published) -> Iterator[str]:
    """Messages are kept for days, and read by people when they are dead letters."""
    yield from secrets_in(message.data, f"message {message.id}")


def message(witness: Witness, execution: Execution, published: Published) -> Found:
    return ask([messages_do_not_run_ahead, no_secrets_in_messages], witness, execution, published)


# At every line of the log


def no_secrets_in_the_log(line: str) -> Iterator[str]:
    """The log is read by more people than the secrets."""
    yield from secrets_in(line.encode(), f"the log's line {line[:80]}")


def line(text: str) -> Found:
    return ask([no_secrets_in_the_log], text)


# At every deployment that we asked for


def deployments_are_requested(witness: Witness, made: Made) -> Iterator[str]:
    """A deployment is of the commit, and for the target, of a run that is under way and has the target."""
    run, id = witness.run(made.execution.about), made.deployment.id[:8]
    if run is None or made.execution.function not in ("deploy", "rollback"):
        yield f"{id} was made by {made.execution.name}"
        return
    place = witness.configured.target(run.target)
    service = made.deployment.service
    if place is None or (place.service_id, place.environment_id) != (service.service_id, service.environment_id):
        yield f"{id} was made for {run.id} in another place"
    wanted = run.commit_sha if made.execution.function == "deploy" else _way_back(run)
    if made.deployment.commit_sha != wanted:
        yield f"{id} is of {made.deployment.commit_sha[:7]}, which {run.id} did not ask for"
    if (run.status.terminal or witness.target(run.target).active != run.id) and not made.execution.disturbed:
        yield f"{id} was made for {run.id}, which is {run.status}; active is {witness.target(run.target).active}"


def _begun_while_paused(witness: Witness, execution: Execution) -> Iterator[str]:
    """Whoever looks after an operator has paused a target begins nothing for it."""
    run = witness.run(execution.about)
    since = witness.paused.get(run.target) if run is not None else None
    if since is not None and execution.started > since:
        yield f"{execution.name} began something for a target that has been paused since {since:.0f} s"


def nothing_is_deployed_to_what_is_paused(witness: Witness, made: Made) -> Iterator[str]:
    """A deployment is begun only where nobody has paused the target."""
    yield from _begun_while_paused(witness, made.execution)


def nothing_is_merged_for_what_is_paused(witness: Witness, execution: Execution, _: PullRequest) -> Iterator[str]:
    """A merge is made only where nobody has paused the target."""
    yield from _begun_while_paused(witness, execution)


def one_deployment_per_attempt(witness: Witness, made: Made) -> Iterator[str]:
    """An attempt of a run makes at most one deployment, and at most one more to go back."""
    same = [
        one.deployment.id[:8]
        for one in witness.made
        if one.deployment.source == "API"
        and (one.execution.about, one.execution.function) == (made.execution.about, made.execution.function)
    ]
    run = witness.run(made.execution.about)
    if len(same) > (run.attempt if run is not None else 1):
        yield f"{made.execution.about} made {', '.join(same)} at {made.execution.function}"


def what_was_rolled_back_stays_away(witness: Witness, made: Made) -> Iterator[str]:
    """A quarantined commit is deployed only with a reason, and a held target only by command."""
    run = witness.run(made.execution.about)
    if run is None or made.execution.function != "deploy":
        return
    target = witness.target(run.target)
    if target.quarantine_of(made.deployment.commit_sha) and run.trigger.force is None:
        yield f"{run.id} deploys {made.deployment.commit_sha[:7]}, which is quarantined"
    if target.hold is not None and run.trigger.source in AUTOMATIC:
        yield f"{run.id} deploys by itself to {target.id}, which is held: {target.hold.reason}"


def nothing_older_is_deployed_by_itself(witness: Witness, made: Made) -> Iterator[str]:
    """A merge that is heard of late does not put an older version in the place of a newer one that a run verified."""
    run = witness.run(made.execution.about)
    if run is None or made.execution.function != "deploy" or run.trigger.source not in FOLLOWING:
        return
    current = witness.target(run.target).current
    repository = witness.vendors.repository
    if current and current.run_id and repository.compare(made.deployment.commit_sha, current.commit_sha) == "ahead":
        yield f"{run.id} deploys {made.deployment.commit_sha[:7]}, older than {current.commit_sha[:7]}, which serves"


def only_what_failed_is_rolled_back(witness: Witness, made: Made) -> Iterator[str]:
    """A deployment that was well is not taken back for want of sight, once it was seen at all."""
    run = witness.run(made.execution.about)
    replaced = _taken_back(run) if run is not None and made.execution.function == "rollback" else None
    if run is None or replaced is None:
        return
    if run.error is not None and run.error.stage is Stage.DEPLOY:
        return
    service = made.deployment.service
    if any(one.deployment.source != "API" and one.deployment.service is service for one in witness.made):
        return
    own = next((one.deployment for one in witness.made if one.deployment.id == replaced), None)
    if own is not None and own.live_at is not None and _is_well(own.plan):
        yield f"{run.id} rolls back {own.id[:8]}, with which nothing was wrong: {run.error}"


def what_railway_skips_is_not_deployed_by_itself(witness: Witness, made: Made) -> Iterator[str]:
    """What by Railway's word ran red, or has nothing to deploy, is deployed by us only when somebody asks for it."""
    run, new = witness.run(made.execution.about), made.deployment
    asked = run is None or made.execution.function != "deploy" or run.trigger.source not in AUTOMATIC
    if run is None or asked or made.execution.disturbed:  # asked for before, and carried out late
        return
    for other in witness.vendors.railway.deployments(new.service.service_id, new.service.environment_id):
        if other.status == "SKIPPED" and other.commit_sha == new.commit_sha:
            yield f"{run.id} deploys {new.commit_sha[:7]} by itself, which Railway skipped: {other.skipped_reason}"


def what_changes_nothing_is_not_deployed_by_itself(witness: Witness, made: Made) -> Iterator[str]:
    """A merge that touches no file that the service watches is deployed only when somebody asks for it.

    A file that cannot be read may be one of those.
    """
    run, new = witness.run(made.execution.about), made.deployment
    if run is None or made.execution.function != "deploy" or run.trigger.source not in AUTOMATIC - {"promotion"}:
        return
    files = merged_files(witness, new.commit_sha)
    known = run.id not in witness.unread_files
    if known and not watched(witness, run, files) and not made.execution.disturbed:
        yield f"{run.id} deploys {new.commit_sha[:7]} by itself, which changes {files} alone"


def nothing_passes_an_environment_unverified(witness: Witness, made: Made) -> Iterator[str]:
    """Where one environment comes after another, a commit is deployed that was verified in that one, and no other.

    An administrator can go past that with --force.
    """
    run, commit = witness.run(made.execution.about), made.deployment.commit_sha
    place = witness.configured.target(run.target) if run is not None else None
    if run is None or place is None or place.after is None or made.execution.function != "deploy":
        return
    stood: set[str | None] = {one.commit_sha for one in witness.target(place.after).verified}
    stood |= {one.commit_sha for one in witness.runs() if one.target == place.after and one.status is Status.SUCCEEDED}
    if commit not in stood and not run.trigger.out_of_order:
        yield f"{run.id} deploys {commit[:7]} to {place.id}, which was never verified in {place.before}"
    by_admin = witness.vendors.repository.collaborators.get(run.trigger.actor) == "admin"
    if run.trigger.out_of_order and not (by_admin and run.trigger.force):
        yield f"{run.id} goes past {place.before} for {run.trigger.actor}, by force {run.trigger.force!r}"


def merged_files(witness: Witness, commit: str) -> tuple[str, ...]:
    """What a merge in our repository changes, whatever it is called by now, and whoever has its old name."""
    return witness.vendors.github.merged_files(witness.vendors.repository.full_name, commit)


def watched(witness: Witness, run: Run, files: Collection[str]) -> bool:
    """Whether the run's service is deployed for these files: by its paths, else by Railway's watch patterns."""
    place = witness.configured.target(run.target)
    if place is None:
        return True
    service = witness.vendors.railway.service(place.service_id, place.environment_id)
    if place.paths is not None:
        service = structs.replace(service, watch_patterns=place.paths)
    return service.watches(files)


_DEPLOYMENT: list[Question[[Witness, Made]]] = [
    deployments_are_requested,
    one_deployment_per_attempt,
    what_was_rolled_back_stays_away,
    nothing_older_is_deployed_by_itself,
    only_what_failed_is_rolled_back,
    what_railway_skips_is_not_deployed_by_itself,
    what_changes_nothing_is_not_deployed_by_itself,
    nothing_is_deployed_to_what_is_paused,
    nothing_passes_an_environment_unverified,
]


def deployment(witness: Witness, made: Made) -> Found:
    return ask(_DEPLOYMENT, witness, made)


# At every call


def what_sleeps_or_runs_by_a_schedule_is_left_alone(witness: Witness, execution: Execution, host: str) -> Iterator[str]:
    """The sweep keeps no service awake that sleeps when idle, and looks at none between the ticks of its schedule."""
    if execution.function != "sweep":
        return
    for service in witness.vendors.railway.services:
        if service.domain == host and (service.sleeps or service.cron_schedule):
            yield f"the sweep looks at {host}, which {'sleeps when idle' if service.sleeps else 'runs by a schedule'}"


def call(witness: Witness, execution: Execution, host: str) -> Found:
    return ask([what_sleeps_or_runs_by_a_schedule_is_left_alone], witness, execution, host)


# At every merge that we make


def only_what_was_judged_is_merged(witness: Witness, execution: Execution, pull: PullRequest) -> Iterator[str]:
    """A merge is of the head that its run is about, with its checks passed, by the run that has the target."""
    run = witness.run(execution.about)
    if run is None or run.pull_request is None or run.pull_request.number != pull.number:
        yield f"#{pull.number} was merged by {execution.name}"
        return
    if pull.head_sha != run.pull_request.head_sha:
        yield f"#{pull.number} was merged at {pull.head_sha[:7]}, not at {run.pull_request.head_sha[:7]} as judged"
    if bad := [check.name for check in pull.head_checks() if check.conclusion not in PASSED]:
        yield f"#{pull.number} was merged although {bad} have not passed"
    if witness.target(run.target).active != run.id and not execution.disturbed:
        yield f"#{pull.number} was merged for {run.id}, which does not have its target"


def nothing_red_or_unseen_is_merged_by_us(witness: Witness, _: Execution, pull: PullRequest) -> Iterator[str]:
    """What CI had announced, or was about to begin, had ended and was green when we merged."""
    if pull.head_sha in witness.coming:
        yield f"#{pull.number} was merged before its checks had begun"
    for suite in pull.head_suites():
        status, conclusion = suite.state(pull.checks_of(suite))
        if suite.app_id == GITHUB_ACTIONS and (status != "completed" or conclusion not in PASSED):
            yield f"#{pull.number} was merged while a workflow of it was {conclusion or status}"


def runs_merge_what_they_were_asked_to(witness: Witness, execution: Execution, pull: PullRequest) -> Iterator[str]:
    """The head that a run merges is the one it began with, or what GitHub made of that at our request."""
    heads, bot = [pull.head_sha], witness.vendors.github.bot
    while (updated := pull.updates.get(heads[-1])) is not None and updated[0] == bot:
        heads.append(updated[1])
    if witness.asked.get(execution.about, pull.head_sha) not in heads:
        yield f"#{pull.number} was merged at {pull.head_sha[:7]}, which nobody asked {execution.about} to"


def of_a_fork_a_named_head_is_merged(witness: Witness, execution: Execution, pull: PullRequest) -> Iterator[str]:
    """By somebody with write permission, in full: whatever else is pushed there, nobody has seen."""
    run = witness.run(execution.about)
    if not pull.from_fork or run is None:
        return
    said = witness.vendors.repository.comments.get(int(run.trigger.id)) if run.trigger.source == "command" else None
    if said is None or witness.asked.get(run.id, "?") not in said.body:
        yield f"#{pull.number}, from a fork, was merged at {pull.head_sha[:7]} by {run.id}: {said and said.body}"


def merged_once(witness: Witness, _: Execution, pull: PullRequest) -> Iterator[str]:
    """A pull request is merged at most once."""
    if sum(number == pull.number for number, _, _ in witness.merges) > 1:
        yield f"#{pull.number} was merged again"


_MERGE: list[Question[[Witness, Execution, PullRequest]]] = [
    only_what_was_judged_is_merged,
    nothing_red_or_unseen_is_merged_by_us,
    runs_merge_what_they_were_asked_to,
    of_a_fork_a_named_head_is_merged,
    nothing_is_merged_for_what_is_paused,
    merged_once,
]


def merge(witness: Witness, execution: Execution, pull: PullRequest) -> Found:
    return ask(_MERGE, witness, execution, pull)


# At every notification that n8n takes


def notified_once(witness: Witness, told: Told, _: bytes) -> Iterator[str]:
    """Nobody is told twice, unless the first teller died, lost the answer or its lease: n8n knows no idempotency."""
    if told.execution.disturbed:
        return
    id, event = told.key.split(":") if told.key.count(":") == 1 else ("", "")
    recorded = witness.recorded.get((id, f"{event}:n8n"))
    looked = told.execution.started if told.execution.claimed is None else told.execution.claimed
    if recorded is not None and recorded <= looked:  # whoever looked before that could not know
        yield f"{told.key} is told again"
    for earlier in witness.told:
        usable = not earlier.execution.disturbed and told.at - earlier.execution.started < LEASE
        if earlier.key == told.key and earlier.execution is not told.execution and usable:
            yield f"{told.key} is told by {told.execution.token} while {earlier.execution.token} does so"
        if earlier.key == told.key and earlier.execution is told.execution:
            yield f"{told.key} is told twice by {told.execution.token}"


def no_secrets_in_notifications(_: Witness, told: Told, body: bytes) -> Iterator[str]:
    """A notification leaves the house."""
    yield from secrets_in(body, told.key)


def notification(witness: Witness, told: Told, body: bytes) -> Found:
    return ask([notified_once, no_secrets_in_notifications], witness, told, body)


def _is_well(plan: Plan) -> bool:
    """Nothing is wrong with it; listening late is not, within `verify_deadline`."""
    return replace(plan, listens_after=0.0, routed_after=0.0) == Plan()


def _taken_back(run: Run) -> str | None:
    """The deployment that is to be replaced without anybody having asked for it."""
    if run.kind is Kind.ROLLBACK:
        return run.trigger.id if run.unasked else None
    return run.deployment.id if run.deployment else None


def _way_back(run: Run) -> str | None:
    return run.rollback.to.commit_sha if run.rollback and run.rollback.to else None
