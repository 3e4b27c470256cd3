"""n8n's public API as 2.8.4 or 2.41.1 has it, awkward parts included: workflows, credentials, executions.

Creating answers 200; names are not unique; what n8n adds to a workflow is refused when it is sent back; a workflow is
checked only when it is activated, and then not much; running executions are hidden; nothing here runs a workflow.
2.41.1 answers that a workflow is active, or is not any more, before its webhooks are; what differs otherwise is in
n8n_versions.py. All of it was seen at the real ones (docs/n8n.md).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field

from local.world import web
from local.world.n8n.versions import NEWEST, RULES, WEBHOOK, Document, Rules, Version
from local.world.n8n.webhooks import Webhooks, paths_of
from local.world.web import Request, Response

AUTHENTICATION = {"headerAuth": "httpHeaderAuth", "jwtAuth": "jwtAuth"}
"""The type of credential that a webhook needs, by how it is authenticated."""
TRIGGERS = (WEBHOOK, "n8n-nodes-base.scheduleTrigger")


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = web.json({"message": message}, status)


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
    version: Version = NEWEST
    webhooks: Webhooks = field(default_factory=Webhooks)
    workflows: dict[str, Document] = field(default_factory=dict)
    credentials: dict[str, Document] = field(default_factory=dict)
    executions: list[Executed] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def rules(self) -> Rules:
        return RULES[self.version]

    def active_at(self, path: str) -> Document | None:
        """The workflow, as it was when its webhook came to be at the path."""
        return self.webhooks.at(path)

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

    def answer(self, what: str, request: Request) -> Response:
        try:
            self._check_key(request)
            return self._answer(what, request)
        except _Refused as refused:
            return refused.answer

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("x-n8n-api-key")
        if given is None:
            raise _Refused(401, self.rules.without_key)
        if given != self.key:
            raise _Refused(401, self.rules.wrong_key)

    def _answer(self, what: str, request: Request) -> Response:
        raw = request.body
        try:
            body = json.loads(raw) if raw else {}
        except ValueError:
            return web.text("<pre>Internal Server Error</pre>", 500, kind="html")
        query = request.query
        kind, *rest = what.split("/")
        asked = (request.method, *rest)
        match kind:
            case "workflows":
                return web.json(self._about_workflows(asked, query, body))
            case "credentials":
                return web.json(self._about_credentials(asked, query, body))
            case "executions":
                return web.json(self._about_executions(asked, query))
        raise _Refused(404, "not found")

    def _about_workflows(self, asked: tuple[str, ...], query: Mapping[str, str], body: Any) -> Document:
        match asked:
            case ["GET"]:
                return self._page([*self.workflows.values()], query)
            case ["POST"]:
                return self._create(body)
            case ["GET", id]:
                return self._workflow(id)
            case ["PUT", id]:
                return self._replace(id, body)
            case ["DELETE", id]:
                return self._delete(id)
            case ["POST", id, "activate"]:
                return self._activate(id)
            case ["POST", id, "deactivate"]:
                return self._deactivate(id)
        raise _not_allowed(asked)

    def _about_credentials(self, asked: tuple[str, ...], query: Mapping[str, str], body: Any) -> Document:
        match asked:
            case ["GET"]:
                return self._page([_without_secrets(one) for one in self.credentials.values()], query)
            case ["POST"]:
                id = f"credential{next(self._ids):06}"
                self.credentials[id] = {"id": id, "name": body["name"], "type": body["type"], "data": body["data"]}
                return _without_secrets(self.credentials[id])
        raise _not_allowed(asked)

    def _about_executions(self, asked: tuple[str, ...], query: Mapping[str, str]) -> Document:
        match asked:
            case ["GET"]:
                return self._page([_shown(one, data=False) for one in self._listed(query)], query)
            case ["GET", id]:
                found = [one for one in self.executions if one.id == id]
                if not found:
                    raise _Refused(404, "Not Found")
                return _shown(found[0], data=query.get("includeData") == "true")
            case ["POST", id, "retry"]:
                if any(one.id == id and one.status == "success" for one in self.executions):
                    raise _Refused(self.rules.retry_of_a_success, "The execution succeeded, so it cannot be retried.")
        raise _not_allowed(asked)

    def _workflow(self, id: str) -> Document:
        if id not in self.workflows:
            raise _Refused(404, "Not Found")
        return self.workflows[id]

    def _create(self, body: Any) -> Document:
        id = f"workflow{next(self._ids):08}"
        made = {**self._checked(body), "id": id, "active": False, "createdAt": _now()}
        return self._keep(made)

    def _replace(self, id: str, body: Any) -> Document:
        there = self._workflow(id)
        changed = {**there, **self._checked(body)}
        if there["active"]:
            self._check_paths(changed)
            self.webhooks.register(changed, self.rules.switches_in)
        return self._keep(changed)

    def _delete(self, id: str) -> Document:
        workflow = self._workflow(id)
        if self.rules.keeps_what_is_active and workflow["active"]:
            raise _Refused(409, "Cannot delete a published workflow. Unpublish it before deleting.")
        if self.rules.keeps_what_is_active and self.webhooks.of(id):
            raise _Refused(409, "Workflow is still being unpublished. Please try again in a few moments.")
        self.webhooks.drop(id, 0.0)
        return self.workflows.pop(id)

    def _checked(self, body: Any) -> Document:
        problem = self.rules.problem(body)
        if problem is not None:
            raise _Refused(400, problem)
        return self.rules.completed(body)

    def _keep(self, document: Document) -> Document:
        """With what n8n adds."""
        settings = {**self.rules.added_settings, **document["settings"]}
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
                wanted = AUTHENTICATION[node["parameters"]["authentication"]]
                issue = f'Node "{node["name"]}":\n  - Missing required credential: {wanted}'
                raise _Refused(400, f"Cannot publish workflow: 1 node have configuration issues:\n\n{issue}")
        self._check_paths(workflow)
        workflow["active"] = True
        self.webhooks.register(workflow, self.rules.switches_in)
        return workflow

    def _check_paths(self, workflow: Document) -> None:
        """What is not there yet is no conflict: of two that want a path at the same time, the first has it."""
        for path in paths_of(workflow):
            other = self.active_at(path)
            if other is not None and other["id"] != workflow["id"]:
                raise _Refused(self.rules.conflict, "There is a conflict with one of the webhooks.")

    def _deactivate(self, id: str) -> Document:
        workflow = self._workflow(id)
        workflow["active"] = False
        self.webhooks.drop(id, self.rules.switches_in)
        return workflow

    def _page(self, rows: list[Any], query: Mapping[str, str]) -> Document:
        problem = self.rules.problem_of_a_list(query)
        if problem is not None:
            raise _Refused(400, problem)
        limit, cursor = self.rules.page(query), query.get("cursor")
        begin = int(cursor) if cursor else 0
        end = begin + limit
        return {"data": rows[begin:end], "nextCursor": str(end) if end < len(rows) else None}

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
