"""Where a target answers, and one look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from shared.clients.health_body import HealthRule
from shared.clients.probe import Probe
from shared.core.observed import Answer
from shared.core.policy import Policy
from shared.runtime.redaction import shown_url

if TYPE_CHECKING:  # only who calls Railway pays for its client
    from shared.core.observed import ServiceState


def address_of(probe: Probe, policy: Policy, service: ServiceState) -> str | None:
    """Scheme and host: as configured, else the service's own domain; None for a private service."""
    if policy.health_url is not None:
        return policy.health_url.rstrip("/")
    return probe.address(service.host, "").rstrip("/") if service.host else None


async def look(probe: Probe, policy: Policy, address: str) -> Answer:
    """Ask the health path once. Raises nothing: what cannot be reached is in the answer."""
    url = f"{address}/{policy.health_path.lstrip('/')}"
    answer = await probe.look(
        url,
        timeout=policy.health_timeout,
        commit_field=policy.commit_field,
        commit_header=policy.commit_header,
        health=_rule(policy),
    )
    return replace(answer, url=shown_url(url))


def _rule(policy: Policy) -> HealthRule | None:
    """Both or neither: the configuration is refused otherwise."""
    if policy.health_field is None or policy.health_value is None:
        return None
    return HealthRule(policy.health_field, policy.health_value)
