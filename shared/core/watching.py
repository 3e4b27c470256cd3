"""Whether the sweep checks a target's health, and what is shown of that health. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from shared.core.policy import Policy
from shared.core.target import Health, Target


def unwatched(target: Target, policy: Policy) -> str | None:
    """Why the sweep does not check the target's health; None when it does."""
    if not policy.watch:
        return "`policy.watch` is false"
    return target.left_alone


def shown_health(target: Target, policy: Policy) -> Health:
    """The health as people are shown it: what is not looked at any more is not known, whatever was seen before."""
    why = unwatched(target, policy)
    if why is None:
        return target.health
    return replace(target.health, state="unknown", failures=0, detail=f"not checked: {why}")
