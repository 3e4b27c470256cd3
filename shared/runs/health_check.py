"""Where a target answers, and one look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from shared.clients.health_body import HealthRule
from shared.clients.probe import Answer
from shared.core.policy import Policy
from shared.runtime.config import TargetConfig
from shared.runtime.redaction import shown_url
from shared.runtime.services import Services

if TYPE_CHECKING:  # only who calls Railway pays for its client
    from shared.clients.railway.client import ServiceState


def address_of(services: Services, place: TargetConfig, service: ServiceState) -> str | None:
    """Scheme and host: as configured, else the service's own domain; None for a private service."""
    if place.policy.health_url is not None:
        return place.policy.health_url.rstrip("/")
    return services.probe.address(service.host, "").rstrip("/") if service.host else None


async def look(services: Services, place: TargetConfig, address: str) -> Answer:
    """Ask the health path once. Raises nothing: what cannot be reached is in the answer."""
    policy = place.policy
    url = f"{address}/{policy.health_path.lstrip('/')}"
    answer = await services.probe.look(
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
