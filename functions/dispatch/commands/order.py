"""Whether a commit may come to an environment, or has to be verified in another one first."""

from __future__ import annotations

from shared.core.observed import PullRequestState
from shared.core.promotion import verified_in
from shared.core.reasons import Reason
from shared.core.target import Target
from shared.core.target_config import TargetConfig
from shared.runs.replying import Declined
from shared.runtime.services import Services


async def unverified_before(services: Services, target_config: TargetConfig, pull: PullRequestState) -> Declined | None:
    """Why the pull request's commit may not be deployed there yet, with the command that comes first."""
    if target_config.after is None:
        return None
    found = await services.store.get(Target, target_config.after)
    commit = pull.merge_sha if pull.merged else None
    if found is not None and commit is not None and verified_in(found.document, commit) is not None:
        return None
    what = f"{commit[:7]} is not verified there" if commit else "nothing of this pull request is verified there"
    message = f"`{target_config.name}` comes after `{target_config.before}`, and {what}"
    return Declined(Reason.NOT_VERIFIED_BEFORE, message, f"/deploy {target_config.before}")
