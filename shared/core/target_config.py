"""A target as signalbox.toml describes it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from shared.core.policy import Policy

RAILWAY_API = "RAILWAY-API"
"""The secret that holds Railway's token for environments that name no other."""


class RailwayToken(Struct, frozen=True, order=True):
    """A token of Railway: the secret that holds it, and its kind, which decides the header it is sent in.

    A project token opens one environment of one project, an account or workspace token all that its owner has.
    Source: docs.railway.com/reference/public-api.
    """

    secret: str = RAILWAY_API
    kind: Literal["account", "project"] = "account"


class TargetConfig(Struct, frozen=True, kw_only=True):
    """A target as configured: its names, Railway's ids and token for it, the branch that goes there, its rules."""

    id: str
    repository: str
    service: str
    environment: str
    project_id: str
    service_id: str
    environment_id: str
    branch: str
    policy: Policy
    paths: tuple[str, ...] | None = None
    """What a merge has to change to be deployed here, in the form of .gitignore; None: as Railway's watch patterns say,
    and where there are none whatever it changes."""
    railway_token: RailwayToken = RailwayToken()
    after: str | None = None
    """The id of the target before it: a commit is deployed here only after it was verified there."""
    parallel: bool = False
    """Deployed at once with the other environments of the branch, in no order."""
    repository_id: int | None = None
    """GitHub's, where signalbox.toml says which repository of that name is meant."""

    @property
    def name(self) -> str:
        return f"{self.service}/{self.environment}"

    @property
    def before(self) -> str | None:
        """The name of the target before it."""
        return f"{self.service}/{self.after.rpartition(':')[2]}" if self.after else None

    @property
    def follows_merges(self) -> bool:
        """Whether each merge is deployed here by itself, and not after it was verified elsewhere."""
        return self.policy.automatic and self.after is None
