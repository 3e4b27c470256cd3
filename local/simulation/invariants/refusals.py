"""What must hold at rest after vendors refused, now and then or all day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from local.simulation.invariants.asking import Question
from local.simulation.invariants.documents import SKEW
from local.world.railway.deployment import Deployment
from shared.core.reasons import Reason
from shared.core.run import Run, Status
from shared.core.target_config import TargetConfig

if TYPE_CHECKING:
    from local.simulation.witness import Witness

_REFUSED = frozenset({Reason.VENDOR_REFUSED, Reason.DEPLOY_REFUSED, Reason.ROLLBACK_REFUSED})


def one_refusal_is_no_verdict(witness: Witness) -> Iterator[str]:
    """No run ends refused, unless the vendor refused its stage all day."""
    for run in witness.runs():
        refused = run.error is not None and run.error.code in _REFUSED
        if run.error is not None and refused and run.error.stage != witness.refused_all_day:
            yield f"{run.id} ended as {run.error.code} at {run.error.stage}: {run.error.message}"


def nothing_bad_serves_unwatched(witness: Witness) -> Iterator[str]:
    """What a run of ours left live without verifying it keeps the target held or locked, and people know."""
    for place in witness.configured.targets:
        serving = _live(witness, place)
        run = _whose(witness, place, serving) if serving is not None else None
        if serving is None or run is None or run.status not in (Status.FAILED, Status.CANCELLED):
            continue
        what = f"{serving.id[:8]} of {run.id} ({run.error.code if run.error else run.status}) serves {place.id}"
        target = witness.target(place.id)
        if target.hold is None and target.lock is None and not _opened(witness, run):
            yield f"{what}, which is free"
        told = (sent for sent in witness.vendors.n8n.notifications if sent.get("run_id") == run.id)
        if not any(sent["severity"] == "critical" for sent in told):
            yield f"{what}, and nobody was told that it is critical"


def _live(witness: Witness, place: TargetConfig) -> Deployment | None:
    known = witness.vendors.railway.deployments(place.service_id, place.environment_id)
    return next((one for one in known if one.status in ("SUCCESS", "SLEEPING")), None)


def _whose(witness: Witness, place: TargetConfig, serving: Deployment) -> Run | None:
    """The run that made or followed it last; None when what is live was verified, or is nobody's."""
    current = witness.target(place.id).current
    if current is not None and (current.deployment_id == serving.id or current.commit_sha == serving.commit_sha):
        return None
    made_by = next((one.execution.about for one in witness.made if one.deployment is serving), None)
    runs = [run for run in witness.runs() if run.target == place.id]
    followed = [run for run in runs if serving.id in _brought(run)]
    return max(followed or [run for run in runs if run.id == made_by], key=lambda run: run.updated_at, default=None)


def _brought(run: Run) -> tuple[str | None, ...]:
    """The deployments that the run made or adopted, not one that served all along when it came to take its own back."""
    own = run.deployment.id if run.deployment else None
    restored = run.rollback.deployment_id if run.rollback and run.rollback.needed is not False else None
    return own, restored


def _opened(witness: Witness, run: Run) -> bool:
    """Whether somebody commented /unlock or /resume after the run had ended: who does so takes over."""
    ended = run.history[-1].at - SKEW
    said = witness.vendors.repository.comments.values()
    return any(one.body.startswith(("/unlock", "/resume")) and one.created_at >= ended for one in said)


AT_REST: list[Question[[Witness]]] = [one_refusal_is_no_verdict, nothing_bad_serves_unwatched]
