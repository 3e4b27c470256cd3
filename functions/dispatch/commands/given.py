"""A command as it was given: the comment, the pull request, and the targets that it may mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from shared.core.observed import PullRequestState
from shared.core.run import Trigger
from shared.core.target_config import TargetConfig
from shared.runs.replying import reply
from shared.runtime.services import Services


class GivenCommand(Struct, frozen=True, kw_only=True):
    """A comment of a person that gives one, as GitHub shows it. `body` is the line with the command."""

    comment_id: int
    number: int
    author: str
    body: str
    url: str
    written_at: datetime
    outdated: str | None
    """Why it no longer counts."""
    confused: int
    """How many 😕 it has: one of ours says that it was refused for want of permission."""
    permission: str = ""
    """The author's in the repository, as GitHub said a moment ago."""


class Asked(Struct, frozen=True):
    """A command with what is known of where it was given."""

    comment: GivenCommand
    pull: PullRequestState
    target_configs: list[TargetConfig]
    commands: Mapping[str, str]
    """What each command does, by its usage."""

    async def reply(self, services: Services, text: str) -> None:
        await reply(services, self.target_configs[0], self.comment.number, to=self.comment.comment_id, text=text)


def trigger(comment: GivenCommand, force: str | None = None, *, out_of_order: bool = False) -> Trigger:
    return Trigger(
        source="command",
        actor=comment.author,
        id=str(comment.comment_id),
        url=comment.url,
        force=force,
        out_of_order=out_of_order,
    )
