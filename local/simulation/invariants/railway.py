"""What must hold of how Railway is asked, and of what people hear about its own health checks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from local.simulation.invariants.asking import Found, Question, ask
from local.world.railway.deployment import Deployment
from shared.core import notices
from shared.core.run import EntryKind, Run, Stage, Status

if TYPE_CHECKING:
    from local.simulation.witness import Witness

_LOST = "Railway no longer checks this service"


def each_environment_is_asked_about_with_its_own_token(witness: Witness) -> Iterator[str]:
    """No call is refused because its token is of another environment, or none at all."""
    yield from witness.vendors.railway.trespasses


def called(witness: Witness) -> Found:
    """After a call that reached a vendor."""
    return ask([each_environment_is_asked_about_with_its_own_token], witness)


def lost_health_checks_are_reported(witness: Witness) -> Iterator[str]:
    """The run of the first version that Railway did not check says so, and no run of one that it did check."""
    for run in witness.runs():
        said, made = _comment(witness, run), _made_by(witness, run)
        if said is None or made is None:
            continue
        if _LOST in said and made.healthcheck_path:
            yield f"{run.id} says that no health check is left, and {made.id[:8]} is checked at {made.healthcheck_path}"
        before = [one.deployment for one in witness.made if one.deployment.service is made.service]
        earlier = before[: before.index(made)] if made in before else before
        first = made.healthcheck_path is None and all(one.healthcheck_path for one in earlier)
        seen = _seen_at(run, made)
        if first and seen is not None and _LOST not in said and not _seen_before(witness, run, made, seen):
            yield f"{made.id[:8]} of {run.id} has lost its health check, which nobody told"


def _comment(witness: Witness, run: Run) -> str | None:
    """Of a run whose every notification on its pull request was taken by GitHub."""
    outcomes = {
        told.outcome for key, told in run.notified.items() if notices.Notice.read(key).channel == notices.COMMENT
    }
    comments = witness.vendors.repository.comments.values()
    found = [one.body for one in comments if one.by_app and f"<!-- signalbox:run:{run.id} -->" in one.body]
    return found[0] if len(found) == 1 and outcomes == {notices.SENT} else None


def _made_by(witness: Witness, run: Run) -> Deployment | None:
    id = run.deployment.id if run.deployment else None
    return next((one.deployment for one in witness.made if one.deployment.id == id), None)


def _seen_at(run: Run, made: Deployment) -> datetime | None:
    """When the run saw that its deployment went live: one that it gave up before that may have done so unseen."""
    went_on = (entry for entry in run.history if entry.stage in SEEN_AT and entry.kind is EntryKind.ADVANCED)
    return next((entry.at for entry in went_on if made.id[:8] in entry.message), None)


def _seen_before(witness: Witness, run: Run, made: Deployment, at: datetime) -> bool:
    """Whether the news was another run's, or there is nothing to compare with.

    A command may adopt what is live, and the run that follows a deployment first need not have been created first. What
    was live at the first contact with the service is all that is known of the time before.
    """
    others = [one for one in witness.runs() if one.target == run.target and one.id != run.id]
    same = (one for one in others if one.deployment is not None and one.deployment.id == made.id)
    if any(_told(witness, one) or ((seen := _seen_at(one, made)) is not None and seen < at) for one in same):
        return True
    first = all(one.status is not Status.SUCCEEDED for one in others if one.created_at < run.created_at)
    return first and made.source != "API" and made.live_at is not None and made.live_at < run.created_at


def _told(witness: Witness, run: Run) -> bool:
    return _LOST in (_comment(witness, run) or "")


SEEN_AT = (Stage.MONITOR, Stage.VERIFY)

AT_REST: list[Question[[Witness]]] = [lost_health_checks_are_reported]
