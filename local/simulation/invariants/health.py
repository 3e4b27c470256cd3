"""What must hold at rest of versions that are not well, and of those that nobody could look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from local.simulation.invariants.asking import Question
from shared.core.run import Stage, Status

if TYPE_CHECKING:
    from local.simulation.witness import Witness

SKEW = timedelta(seconds=10)
"""More than any two clocks differ."""
_HEALTHY = re.compile(r"\bhealthy\b")


def what_says_it_is_unhealthy_never_stands(witness: Witness) -> Iterator[str]:
    """A version whose health answer says that it is unhealthy is neither deployed with success nor returned to.

    Nobody asks it where a schedule begins the process, or where Railway gives it no address.
    """
    made = {one.deployment.id: one.deployment for one in witness.made}
    for run in witness.runs():
        stood = made.get(run.watched_deployment or "")
        good = run.status in (Status.SUCCEEDED, Status.ROLLED_BACK) and (not run.rollback or run.rollback.needed)
        asked = stood is not None and not stood.service.cron_schedule and stood.service.domain is not None
        if good and asked and stood is not None and stood.plan.health != "ok":
            yield f"{run.id} ended {run.status} with {stood.id[:8]}, whose health is {stood.plan.health}"


def what_has_ended_never_stands(witness: Witness) -> Iterator[str]:
    """A version whose process had ended at the last look is neither deployed with success nor returned to."""
    made = {one.deployment.id: one.deployment for one in witness.made}
    for run in witness.runs():
        stood = made.get(run.watched_deployment or "")
        looked = run.verification.looked_at if run.verification else None
        if run.status not in (Status.SUCCEEDED, Status.ROLLED_BACK) or looked is None or stood is None:
            continue
        if stood.service.cron_schedule:  # which begins it anew
            continue
        if stood.ended_at is not None and stood.ended_at < looked - SKEW:
            yield f"{run.id} ended {run.status} with {stood.id[:8]}, which had ended at {stood.ended_at:%H:%M:%S}"


def nothing_unseen_is_called_healthy(witness: Witness) -> Iterator[str]:
    """A run says that a version is healthy only when it has looked at the application itself."""
    for run in witness.runs():
        judged = (entry.message for entry in run.history if entry.stage is Stage.VERIFY)
        said = [message for message in judged if _HEALTHY.search(message)]
        if said and run.id not in witness.looked:
            yield f"{run.id} never looked, and says: {said[-1]}"


def losses_of_health_are_noticed(witness: Witness) -> Iterator[str]:
    """What was verified and has crashed since is known to be unhealthy."""
    for place in witness.configured.targets:
        serving, target = (
            witness.vendors.railway.serving(place.service_id, place.environment_id),
            witness.target(place.id),
        )
        watched = target.current is not None and target.address is not None and target.active is None
        watched = watched and target.left_alone is None
        ended = serving is not None and (serving.status == "CRASHED" or serving.stopped)
        if serving is not None and ended and watched and target.health.state != "unhealthy":
            yield f"{serving.id[:8]} of {place.id} has ended, and its health is {target.health.state}"


def what_fails_on_probation_is_rolled_back(witness: Witness) -> Iterator[str]:
    """What a run deployed and lost its health so soon does not stay without an attempt to take it back."""
    for place in witness.configured.targets:
        target, policy = witness.target(place.id), place.policy
        current, lost_at = target.current, target.health.changed_at
        if current is None or current.run_id is None or target.rollbacks_in_a_row or target.lock:
            continue
        if target.health.state != "unhealthy" or lost_at is None or policy.rollback == "off":
            continue
        if all(verified.commit_sha == current.commit_sha for verified in target.verified):  # there is no way back
            continue
        soon = policy.probation and lost_at <= current.at + timedelta(seconds=policy.probation)
        if soon and not any(run.trigger.id == current.deployment_id for run in witness.runs()):
            yield f"{current.run_id} lost its health at {lost_at:%H:%M} on probation and serves {place.id}"


AT_REST: list[Question[[Witness]]] = [
    what_says_it_is_unhealthy_never_stands,
    what_has_ended_never_stands,
    nothing_unseen_is_called_healthy,
    losses_of_health_are_noticed,
    what_fails_on_probation_is_rolled_back,
]
