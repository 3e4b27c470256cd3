"""Which target a command means."""

from __future__ import annotations

from collections.abc import Sequence

from shared.core.reasons import Reason
from shared.core.target_config import TargetConfig
from shared.runs.replying import Declined
from shared.runtime.escaping import code


def choose(name: str | None, candidates: Sequence[TargetConfig]) -> TargetConfig | Declined:
    """The target that is meant: the one named, else the only one, else the only production."""
    named = [target for target in candidates if name is None or names(name, target)]
    if name is None and len(named) > 1:
        named = [target for target in named if target.environment == "production"] or named
    if len(named) == 1:
        return named[0]
    if named:
        known = ", ".join(f"`{target.name}`" for target in named)
        return Declined(Reason.TARGET_AMBIGUOUS, f"several targets are possible; there are: {known}")
    known = ", ".join(f"`{target.name}`" for target in candidates) or "none"
    what = f"{code(name)} is no target here" if name else "no target is named"
    return Declined(Reason.TARGET_AMBIGUOUS, f"{what}; there are: {known}")


def choose_on(branch: str, name: str | None, candidates: Sequence[TargetConfig]) -> TargetConfig | Declined:
    """As `choose`, of those that are deployed from the branch; of others the reply names the branch."""
    here = [target for target in candidates if target.branch == branch]
    if any(name is None or names(name, target) for target in here):
        return choose(name, here)
    elsewhere = [target for target in candidates if name is None or names(name, target)]
    if not elsewhere:
        return choose(name, candidates)
    branches = dict.fromkeys(target.branch for target in elsewhere)
    shown = "; ".join(
        f"from `{one}`: {', '.join(f'`{target.name}`' for target in elsewhere if target.branch == one)}"
        for one in branches
    )
    return Declined(
        Reason.BRANCH_NOT_DEPLOYED, f"this pull request goes into {code(branch)}, and what is deployed is {shown}"
    )


def names(name: str, target: TargetConfig) -> bool:
    return name in (target.name, target.environment, target.service)
