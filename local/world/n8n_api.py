"""n8n's public API as 2.8.4 has it, awkward parts included: workflows, credentials, executions.

Creating answers 200; names are not unique; what n8n adds to a workflow is refused when it is sent back; a workflow is
checked only when it is activated, and then not much; running executions are hidden; nothing here runs a workflow.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

Document = dict[str, Any]
LARGEST_PAGE = 250
WEBHOOK = "n8n-nodes-base.webhook"
TRIGGERS = (WEBHOOK, "n8n-nodes-base.scheduleTrigger")
_REQUIRED = ("name", "nodes", "connections", "settings")
_READ_ONLY = ("id", "active", "createdAt", "updatedAt", "tags")
_ACCEPTED = (*_REQUIRED, "staticData", "shared")


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = JSONResponse({"message": message}, status)


class Executed(Struct):
    """An execution. `headers` and `body` are what came to the webhook."""

    id: str
    workflow: str
    status: str
    headers: dict[str, str]
    body: Any
    error: str = ""
    last_node: str = "Webhook"

    def end(self, status: str, *, at: str, error: str = "") -> None:
        self.status, self.last_node, self.error = status, at, error


class PublicApi(Struct):
    """What the server keeps, and what it answers below `/api/v1`."""

    key: str
    workflows: dict[str, Document] = field(default_factory=dict)
    credentials: dict[str, Document] = field(default_factory=dict)
    executions: list[Executed] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def active_at(self, path: str) -> Document | None:
        """The workflow whose webhook has the path. One without `webhookId` is elsewhere, as the real one's is."""
        return next((one for one in self.workflows.values() if one["active"] and path in _paths(one)), None)

    def lacks_credentials(self, workflow: Document) -> bool:
        """Whether its webhook refers to a credential that is not there, which is noticed at the first call."""
        references = [
            c for node in workflow["nodes"] if node["type"] == WEBHOOK for c in node.get("credentials", {}).values()
        ]
        return any(reference.get("id") not in self.credentials for reference in references)

    def run(self, workflow: str, headers: Mapping[str, str], body: Any) -> Executed:
        """The record of an execution that begins now."""
        begun = Executed(str(len(self.executions) + 1), workflow, "running", dict(headers), body)
        self.executions.append(begun)
        return begun

    async def answer(self, what: str, request: Request) -> Response:
        try:
            self._check_key(request)
            return await self._answer(what, request)
        except _Refused as refused:
            return refused.answer

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("x-n8n-api-key")
        if given is None:
            raise _Refused(401, "'X-N8N-API-KEY' header required")
        if given != self.key:
            raise _Refused(401, "unauthorized")

    async def _answer(self, what: str, request: Request) -> Response:
        raw = await request.body()
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            return HTMLResponse("<pre>Internal Server Error</pre>", 500)
        query = dict(request.query_params)
        kind, *rest = what.split("/")
        asked = (request.method, *rest)
        match kind:
            case "workflows":
                return JSONResponse(self._about_workflows(asked, query, body))
            case "credentials":
                return JSONResponse(self._about_credentials(asked, query, body))
            case "executions":
                return JSONResponse(self._about_executions(asked, query))
        raise _Refused(404, "not found")

    def _about_workflows(self, asked: tuple[str, ...], query: Mapping[str, str], body: Any) -> Document:
        match asked:
            case ["GET"]:
                return _page([*self.workflows.values()], query)
            case ["POST"]:
                return self._create(body)
            case ["GET", id]:
                return self._workflow(id)
            case ["PUT", id]:
                return self._replace(id, body)
            case ["DELETE", id]:
                return self.workflows.pop(self._workflow(id)["id"])
            case ["POST", id, "activate"]:
                return self._activate(id)
            case ["POST", id, "deactivate"]:
                return self._deactivate(id)
        raise _not_allowed(asked)

    def _about_credentials(self, asked: tuple[str, ...], query: Mapping[str, str], body: Any) -> Document:
        match asked:
            case ["GET"]:
                return _page([_without_secrets(one) for one in self.credentials.values()], query)
            case ["POST"]:
                id = f"credential{next(self._ids):06}"
                self.credentials[id] = {"id": id, "name": body["name"], "type": body["type"], "data": body["data"]}
                return _without_secrets(self.credentials[id])
        raise _not_allowed(asked)

    def _about_executions(self, asked: tuple[str, ...], query: Mapping[str, str]) -> Document:
        match asked:
            case ["GET"]:
                return _page([_shown(one, data=False) for one in self._listed(query)], query)
            case ["GET", id]:
                found = [one for one in self.executions if one.id == id]
                if not found:
                    raise _Refused(404, "Not Found")
                return _shown(found[0], data=query.get("includeData") == "true")
        raise _not_allowed(asked)

    def _workflow(self, id: str) -> Document:
        if id not in self.workflows:
            raise _Refused(404, "Not Found")
        return self.workflows[id]

    def _create(self, body: Any) -> Document:
        id = f"workflow{next(self._ids):08}"
        made = {**_checked(body), "id": id, "active": False, "createdAt": _now()}
        return self._keep(made)

    def _replace(self, id: str, body: Any) -> Document:
        there = self._workflow(id)
        return self._keep({**there, **_checked(body)})

    def _keep(self, document: Document) -> Document:
        """With what n8n adds."""
        settings = {"callerPolicy": "workflowsFromSameOwner", "availableInMCP": False, **document["settings"]}
        added = {"isArchived": False, "triggerCount": 0, "versionId": f"v{next(self._ids)}", "meta": None}
        kept = {"staticData": None, "pinData": None, **document, **added, "settings": settings, "updatedAt": _now()}
        self.workflows[document["id"]] = kept
        return kept

    def _activate(self, id: str) -> Document:
        workflow = self._workflow(id)
        if not any(node["type"] in TRIGGERS for node in workflow["nodes"]):
            raise _Refused(400, "Workflow cannot be activated because it has no trigger node.")
        for node in workflow["nodes"]:
            if "authentication" in node["parameters"] and not node.get("credentials"):
                issue = f'Node "{node["name"]}":\n  - Missing required credential: httpHeaderAuth'
                raise _Refused(400, f"Cannot publish workflow: 1 node have configuration issues:\n\n{issue}")
        for path in _paths(workflow):
            other = self.active_at(path)
            if other is not None and other is not workflow:
                raise _Refused(400, "There is a conflict with one of the webhooks.")
        workflow["active"] = True
        return workflow

    def _deactivate(self, id: str) -> Document:
        workflow = self._workflow(id)
        workflow["active"] = False
        return workflow

    def _listed(self, query: Mapping[str, str]) -> list[Executed]:
        """Newest first; those that run only when they are asked for."""
        wanted, workflow = query.get("status"), query.get("workflowId")
        return [
            one
            for one in reversed(self.executions)
            if workflow in (None, one.workflow) and (one.status == wanted if wanted else one.status != "running")
        ]


def _not_allowed(asked: tuple[str, ...]) -> _Refused:
    return _Refused(405, f"{asked[0]} method not allowed")


def _without_secrets(credential: Document) -> Document:
    return {name: value for name, value in credential.items() if name != "data"}


def _checked(body: Any) -> Document:
    """A deep copy of what may be sent. One problem is told at a time."""
    if not isinstance(body, dict):
        raise _Refused(400, "request/body must be object")
    for name in _REQUIRED:
        if name not in body:
            raise _Refused(400, f"request/body must have required property '{name}'")
    for name in body:
        if name in _READ_ONLY:
            raise _Refused(400, f"request/body/{name} is read-only")
        if name not in _ACCEPTED:
            raise _Refused(400, "request/body must NOT have additional properties")
    return copy.deepcopy(body)


def _paths(workflow: Document) -> list[str]:
    """Where its webhooks answer: below the workflow's id and the node's name, without a `webhookId`."""
    return [
        node["parameters"]["path"]
        if node.get("webhookId")
        else f"{workflow['id']}/{node['name'].lower()}/{node['parameters']['path']}"
        for node in workflow["nodes"]
        if node["type"] == WEBHOOK
    ]


def _page(rows: list[Any], query: Mapping[str, str]) -> Document:
    limit, cursor = int(query.get("limit", 100)), query.get("cursor")
    if limit > LARGEST_PAGE:
        raise _Refused(400, f"request/query/limit must be <= {LARGEST_PAGE}")
    begin = int(cursor) if cursor else 0
    end = begin + limit
    return {"data": rows[begin:end], "nextCursor": str(end) if end < len(rows) else None}


def _shown(one: Executed, *, data: bool) -> Document:
    shown = {"id": one.id, "workflowId": one.workflow, "status": one.status, "finished": one.status == "success"}
    if not data:
        return shown
    arrived = {"data": {"main": [[{"json": {"headers": one.headers, "body": one.body}}]]}}
    error = {"error": {"message": one.error}} if one.error else {}
    result = {"runData": {"Webhook": [arrived]}, "lastNodeExecuted": one.last_node, **error}
    return {**shown, "data": {"resultData": result}}


def _now() -> str:
    return datetime.now(UTC).isoformat()
