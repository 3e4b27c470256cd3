"""What differs between the versions of n8n that are played; each line of it was seen at the real ones (docs/n8n.md)."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

Version = Literal["2.8.4", "2.41.1"]
OLDEST: Version = "2.8.4"
NEWEST: Version = "2.41.1"
Document = dict[str, Any]
WEBHOOK = "n8n-nodes-base.webhook"
LARGEST_PAGE = 250
_REQUIRED = ("name", "nodes", "connections", "settings")
_ADDED = ("id", "active", "createdAt", "updatedAt", "tags")
_ADDED_TOO = ("versionId", "meta", "isArchived", "triggerCount")
_LISTED_BY = ("limit", "cursor", "active", "name", "tags", "excludePinnedData", "workflowId", "status", "includeData")


class Rules(Struct, frozen=True, kw_only=True):
    """One version. `switches_in`: seconds from the answer until a webhook follows (0.15 to 0.6 were seen)."""

    accepted: tuple[str, ...]
    """What may be sent of a workflow."""
    read_only: tuple[str, ...]
    added_settings: Mapping[str, Any] = {}
    without_key: str = "Unauthorized"
    wrong_key: str = "Unauthorized"
    conflict: int = 409
    """The status when another workflow has the path."""
    retry_of_a_success: int = 409
    switches_in: float = 0.0
    keeps_what_is_active: bool = True
    """Whether an active workflow is not deleted."""
    checks_connections: bool = True
    gives_webhook_ids: bool = True
    """Whether a webhook without `webhookId` is given one; else it answers at another address."""
    strict_lists: bool = False
    """Whether a list is refused that is requested by an unknown parameter, or for too many at once."""
    failed_before_answer: tuple[int, Document | None] = (500, {"message": "Error in workflow"})
    """Status and body when a workflow fails before it answers."""

    def problem(self, body: Any) -> str | None:
        """Why a workflow is refused: one problem at a time."""
        if not isinstance(body, dict):
            return "request/body must be object"
        for name in _REQUIRED:
            if name not in body:
                return f"request/body must have required property '{name}'"
        for name in body:
            if name in self.read_only:
                return f"request/body/{name} is read-only"
            if name not in self.accepted:
                return self._unknown(name)
        return self._loose_end(body["connections"]) if self.checks_connections else None

    def _unknown(self, name: str) -> str:
        if self.strict_lists:
            return "request/body must NOT have additional properties"
        return f"request/body Unrecognized key(s) in object: '{name}'"

    def _loose_end(self, connections: Document) -> str | None:
        for node, kinds in connections.items():
            for kind, outputs in kinds.items():
                for output, links in enumerate(outputs):
                    for number, link in enumerate(links or ()):
                        if "index" not in link:
                            where = f"connections.{node}.{kind}[{output}][{number}].index"
                            return f"Workflow structure is invalid. {where} (invalid_type): Required"
        return None

    def completed(self, body: Document) -> Document:
        """A deep copy of what was sent, with what n8n gives its nodes."""
        kept = copy.deepcopy(body)
        for node in kept["nodes"]:
            if self.gives_webhook_ids and node["type"] == WEBHOOK:
                node.setdefault("webhookId", str(uuid.uuid4()))
        return kept

    def problem_of_a_list(self, query: Mapping[str, str]) -> str | None:
        if not self.strict_lists:
            return None
        if unknown := next((name for name in query if name not in _LISTED_BY), None):
            return f"Unknown query parameter '{unknown}'"
        if int(query.get("limit", 100)) > LARGEST_PAGE:
            return f"request/query/limit must be <= {LARGEST_PAGE}"
        return None

    def page(self, query: Mapping[str, str]) -> int:
        return min(int(query.get("limit", 100)), LARGEST_PAGE)


RULES: Mapping[Version, Rules] = {
    "2.8.4": Rules(
        accepted=(*_REQUIRED, "staticData", "shared"),
        read_only=_ADDED,
        added_settings={"callerPolicy": "workflowsFromSameOwner", "availableInMCP": False},
        without_key="'X-N8N-API-KEY' header required",
        wrong_key="unauthorized",
        conflict=400,
        retry_of_a_success=400,
        keeps_what_is_active=False,
        checks_connections=False,
        gives_webhook_ids=False,
        strict_lists=True,
        failed_before_answer=(200, None),
    ),
    "2.41.1": Rules(
        accepted=(*_REQUIRED, "staticData", "shared", "pinData", "nodeGroups"),
        read_only=(*_ADDED, *_ADDED_TOO),
        switches_in=0.15,
    ),
}
