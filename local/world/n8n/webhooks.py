"""Which webhooks an n8n has at this moment: 2.41 changes them in the background, tenths of a second after the answer.

Then the old webhook goes first, and the new one comes a moment later. Of two workflows with one path the first has it.
"""

from __future__ import annotations

import asyncio
import copy

from msgspec import Struct, field

from local.world.n8n.versions import WEBHOOK, Document


class _Change(Struct, frozen=True):
    """From then on the workflow has these webhooks; with None it has none."""

    at: float
    workflow: str
    document: Document | None


class Webhooks(Struct):
    """By the time of the running loop."""

    _there: dict[str, Document] = field(default_factory=dict)
    """The live workflows, by their ids."""
    _coming: list[_Change] = field(default_factory=list)

    def register(self, workflow: Document, after: float) -> None:
        """The webhooks of the workflow, as it is now, in the place of those that it has."""
        now = _now()
        if after:
            self._coming.append(_Change(now + after / 2, workflow["id"], None))
        self._coming.append(_Change(now + after, workflow["id"], copy.deepcopy(workflow)))

    def drop(self, workflow: str, after: float) -> None:
        self._coming.append(_Change(_now() + after / 2, workflow, None))

    def at(self, path: str) -> Document | None:
        self._go_on()
        return next((one for one in self._there.values() if path in paths_of(one)), None)

    def of(self, workflow: str) -> bool:
        """Whether it has any, or is about to lose or get them."""
        self._go_on()
        return workflow in self._there or any(change.workflow == workflow for change in self._coming)

    def _go_on(self) -> None:
        now = _now()
        due = sorted((change for change in self._coming if change.at <= now), key=lambda change: change.at)
        self._coming = [change for change in self._coming if change.at > now]
        for change in due:
            self._there.pop(change.workflow, None)
            if change.document is not None and not self._taken(change.document):
                self._there[change.workflow] = change.document

    def _taken(self, workflow: Document) -> bool:
        return any(set(paths_of(workflow)) & set(paths_of(other)) for other in self._there.values())


def paths_of(workflow: Document) -> list[str]:
    """Where its webhooks answer: below the workflow's id and the node's name, without a `webhookId`."""
    return [
        node["parameters"]["path"]
        if node.get("webhookId")
        else f"{workflow['id']}/{node['name'].lower()}/{node['parameters']['path']}"
        for node in workflow["nodes"]
        if node["type"] == WEBHOOK
    ]


def _now() -> float:
    return asyncio.get_running_loop().time()
