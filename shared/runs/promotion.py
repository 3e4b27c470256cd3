"""Whether a run may deploy its commit yet, where the commit has to be verified in another environment first."""

from __future__ import annotations

from shared.core import promotion
from shared.core.outcome import Fail, Wait
from shared.core.reasons import Reason
from shared.runtime.stage import Claim


async def unverified_before(claim: Claim, commit: str | None) -> Fail | Wait | None:
    """Why not, or what to wait for; None when it may.

    `commit` is None for a pull request that is not merged, whose commit is nowhere yet.
    """
    before, target_config = await claim.target_before(), claim.target_config
    if before is None or claim.run.trigger.out_of_order:
        return None
    verified = promotion.verified_in(before, commit) if commit else None
    if verified is None:
        what = f"{commit[:7]} is not verified" if commit else "nothing of this pull request is verified"
        return Fail(Reason.NOT_VERIFIED_BEFORE, f"{what} in {target_config.before}, which comes first")
    ready = promotion.ready_at(verified, target_config)
    left = (ready - claim.terms.now).total_seconds()
    if left <= 0:
        return None
    return Wait(
        message=f"verified in {target_config.before}; deployed here from {ready:%Y-%m-%d %H:%M:%S} UTC on",
        wake_in=left,
        otherwise=Reason.NOT_VERIFIED_BEFORE,
        suspends=True,
    )
