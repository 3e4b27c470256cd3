"""Changes of a target by commands that come close together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from functions.dispatch.commands.given import Asked
from shared.core.target import Hold, Lock, Target
from shared.core.target_config import TargetConfig
from shared.runtime.services import Services
from shared.runtime.update import amend

Stop = TypeVar("Stop", Hold, Lock)


def since(asked: Asked, stop: Stop | None) -> Stop | None:
    """The hold or lock, if it came after the comment was written: its author did not know of it."""
    return stop if stop is not None and stop.at > asked.comment.written_at else None


async def amend_in_order(
    services: Services, asked: Asked, target_config: TargetConfig, change: Callable[[Target], Target]
) -> None:
    """Change the target, unless a later comment has done so: two written in quick succession may come in any order."""
    at = asked.comment.comment_id

    def unless_overtaken(target: Target) -> Target:
        return target if target.last_command > at else replace(change(target), last_command=at)

    await amend(services.store, Target, target_config.id, unless_overtaken, missing=Target(id=target_config.id))
