"""The simulated Railway's GraphQL API, executed against a true subset of Railway's schema; the status is always 200."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, GraphQLSchema, build_schema

from local.world import graphql, web
from local.world.graphql import Document
from local.world.railway.access import Access
from local.world.railway.deployment import ENDED, CustomDomain, Deployment
from local.world.railway.setup import SetupResolvers
from local.world.web import Handler, Request, Response, Router

if TYPE_CHECKING:
    from local.world.railway.server import RailwayWorld

SDL = Path(__file__).with_name("schema.graphql")
_ACTIVE = {"SUCCESS", "SLEEPING", "REMOVING"}
_CAPITAL = re.compile(r"([A-Z])")


@functools.cache
def load_schema() -> GraphQLSchema:
    """The schema, whose resolvers are called with Python's spelling of the arguments.

    Parsed once in a process: a world for each test would parse it anew, which takes longer than most tests.
    """
    schema = build_schema(SDL.read_text(encoding="utf-8"))
    for root in (schema.query_type, schema.mutation_type):
        for field in root.fields.values() if root else ():
            for name, argument in field.args.items():
                argument.out_name = _CAPITAL.sub(r"_\1", name).lower()
    return schema


def _valid(text: str) -> Document:
    """Raises GraphQLError for what is no document, or not one of this schema."""
    document = graphql.parse(text)
    for mistake in graphql.validate(load_schema(), document):
        raise GraphQLError(mistake.message, mistake.nodes, extensions={"code": "GRAPHQL_VALIDATION_FAILED"})
    return document


def endpoint(world: RailwayWorld) -> Handler:
    return Router([("POST", "/graphql/v2", _Endpoint(world).answer)])


class _Endpoint:
    """The HTTP side: credentials, documents, and Railway's form of errors."""

    def __init__(self, world: RailwayWorld) -> None:
        self._world = world
        self._schema = load_schema()
        resolvers = (_Resolvers(world), SetupResolvers(world))
        self._access = Access(world)
        root = {name: resolve for one in resolvers for name, resolve in one.root().items()}
        self._root = {name: self._access.guarded(name, resolve) for name, resolve in root.items()}
        self._traces = itertools.count(7850594425975341941)

    async def answer(self, request: Request) -> Response:
        passes, headers = self._world.limits.take()
        if not passes:
            return web.json({"data": None}, status=429, headers=headers)
        answer = self._execute(request)
        if headers:
            answer.headers.update(headers)
        return answer

    def _execute(self, request: Request) -> Response:
        try:
            caller = self._access.caller(request.headers)
            asked = request.json()
            document = _valid(asked["query"])
        except GraphQLError as error:
            return self._refused([error])
        except (ValueError, LookupError, TypeError):
            return self._refused([GraphQLError("Problem processing request")])
        result = graphql.execute(self._schema, document, self._root, context=caller, variables=asked.get("variables"))
        if not result.errors:
            return web.json({"data": result.data})
        return self._refused(result.errors)

    def _refused(self, errors: Sequence[GraphQLError]) -> Response:
        """Railway uses INTERNAL_SERVER_ERROR for business refusals, too."""
        problems = [
            {
                "extensions": {"code": "INTERNAL_SERVER_ERROR"},
                **error.formatted,
                "traceId": str(next(self._traces)),
            }
            for error in errors
        ]
        return web.json({"errors": problems, "data": None})


class _Resolvers:
    """One method for each root field."""

    def __init__(self, world: RailwayWorld) -> None:
        self._world = world

    def root(self) -> dict[str, Any]:
        return {
            "deployment": self._deployment,
            "deployments": self._page,
            "serviceInstance": self._instance,
            "buildLogs": self._build_log,
            "deploymentLogs": self._log,
            "serviceInstanceDeployV2": self._deploy,
            "deploymentRollback": lambda _, **target: self._world.rollback(**target),
            "deploymentCancel": lambda _, **target: self._world.cancel(**target),
            "deploymentApprove": lambda _, **target: self._world.approve(**target),
            "deploymentRedeploy": self._redeploy,
        }

    def _deployment(self, _: Any, id: str) -> dict[str, Any]:
        return self._view(self._world.deployment(id))

    def _deploy(self, _: Any, service_id: str, environment_id: str, commit_sha: str | None = None) -> str:
        return self._world.deploy(service_id, environment_id, commit_sha).id

    def _redeploy(self, _: Any, id: str, use_previous_image_tag: bool | None = False) -> dict[str, Any]:
        return self._view(self._world.redeploy(id, use_previous_image=bool(use_previous_image_tag)))

    def _build_log(self, _: Any, deployment_id: str, limit: int = 100) -> list[dict[str, Any]]:
        deployment = self._world.deployment(deployment_id)
        failed = deployment.plan.build == "fail" and deployment.status == "FAILED"
        return _entries(deployment, (*deployment.plan.build_log, *["the build failed"] * failed), limit)

    def _log(self, _: Any, deployment_id: str, limit: int = 100) -> list[dict[str, Any]]:
        deployment = self._world.deployment(deployment_id)
        ends = {"FAILED": ["the health check failed"], "CRASHED": ["the process exited with code 1"]}
        lines = (*deployment.plan.log, *ends.get(deployment.status, [])) if deployment.has_image else ()
        return _entries(deployment, lines, limit)

    def _page(self, _: Any, input: dict[str, Any], first: int = 100, after: str | None = None) -> dict[str, Any]:
        """Newest first."""
        return page([self._view(d) for d in self._world.deployments() if _matches(d, input)], first, after)

    def _instance(self, _: Any, service_id: str, environment_id: str) -> dict[str, Any]:
        service = self._world.service(service_id, environment_id)
        known = self._world.deployments(service_id, environment_id)
        return {
            "id": f"{service_id}@{environment_id}",
            "serviceId": service_id,
            "serviceName": service.name,
            "healthcheckPath": service.healthcheck_path,
            "healthcheckTimeout": 300,
            "overlapSeconds": service.overlap_seconds,
            "cronSchedule": service.cron_schedule,
            "sleepApplication": service.sleeps,
            "watchPatterns": list(service.watch_patterns),
            "source": {"repo": None if service.image else service.repository, "image": service.image},
            "latestDeployment": self._view(known[0]) if known else None,
            "activeDeployments": [self._view(d) for d in known if d.status in _ACTIVE],
            "domains": {
                "customDomains": [_custom_domain(one) for one in service.custom_domains],
                "serviceDomains": [{"domain": service.domain, "syncStatus": "ACTIVE"}] if service.domain else [],
            },
        }

    def _view(self, deployment: Deployment) -> dict[str, Any]:
        """`url` is null in every published answer; `meta` is half empty until the image is built."""
        service = deployment.service
        return {
            "id": deployment.id,
            "status": deployment.status,
            "createdAt": timestamp(deployment.created_at),
            "projectId": service.project_id,
            "environmentId": service.environment_id,
            "serviceId": service.service_id,
            "url": None,
            "staticUrl": service.domain,
            "canRollback": deployment.can_rollback(self._world.clock.now(), self._world.retention),
            "canRedeploy": deployment.can_redeploy,
            "deploymentStopped": deployment.status in ENDED or deployment.stopped,
            "instances": [{"id": f"{deployment.id}-1", "status": deployment.instance}] if deployment.instance else [],
            "meta": _meta(deployment),
        }


def _custom_domain(custom: CustomDomain) -> dict[str, Any]:
    arrived = "DNS_RECORD_STATUS_PROPAGATED" if custom.elsewhere is None else "DNS_RECORD_STATUS_REQUIRES_UPDATE"
    return {
        "domain": custom.domain,
        "syncStatus": "ACTIVE",
        "status": {
            "verified": custom.verified,
            "certificateStatus": f"CERTIFICATE_STATUS_TYPE_{custom.certificate}",
            "dnsRecords": [{"purpose": "DNS_RECORD_PURPOSE_TRAFFIC_ROUTE", "status": arrived}],
        },
    }


def _meta(deployment: Deployment) -> dict[str, Any]:
    service = deployment.service
    known = {
        "repo": service.repository,
        "branch": service.branch,
        "reason": "deploy",
        "commitHash": deployment.commit_sha,
        "rootDirectory": None,
    }
    if deployment.skipped_reason is not None:
        known["skippedReason"] = deployment.skipped_reason
    if not deployment.has_image:
        return known
    migration = {"preDeployCommand": ["migrate"]} if deployment.plan.migrates else {}
    checked = {"healthcheckPath": deployment.healthcheck_path} if deployment.healthcheck_path else {}
    manifest = {"build": {"builder": "DOCKERFILE"}, "deploy": {**checked, **migration}}
    in_file = {"healthcheckPath": service.file_healthcheck_path, **service.file_deploy}
    return {
        **known,
        "imageDigest": deployment.image,
        "serviceManifest": manifest,
        "configFile": deployment.config_file,
        "fileServiceManifest": {"deploy": in_file} if deployment.config_file else {},
    }


def _matches(deployment: Deployment, wanted: dict[str, Any]) -> bool:
    service = deployment.service
    status = wanted.get("status") or {}
    return (
        wanted.get("projectId") in {None, service.project_id}
        and wanted.get("environmentId") in {None, service.environment_id}
        and wanted.get("serviceId") in {None, service.service_id}
        and (wanted.get("includeDeleted") or deployment.status != "REMOVED")
        and (not status.get("in") or deployment.status in status["in"])
        and deployment.status not in (status.get("notIn") or ())
    )


def _entries(deployment: Deployment, lines: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """The last ones, and one more than asked for: Railway does that at times, as its CLI says."""
    entries = [
        {
            "message": line,
            "severity": "info",
            "timestamp": timestamp(deployment.created_at + timedelta(seconds=number)),
        }
        for number, line in enumerate(lines)
    ]
    return entries[-(limit + 1) :]


def page(nodes: list[dict[str, Any]], first: int, after: str | None) -> dict[str, Any]:
    """Part of a list; a cursor is the id of the one before."""
    start = next((position for position, node in enumerate(nodes, 1) if node["id"] == after), 0)
    found = nodes[start : start + first]
    return {
        "edges": [{"cursor": node["id"], "node": node} for node in found],
        "pageInfo": {
            "hasNextPage": start + first < len(nodes),
            "endCursor": found[-1]["id"] if found else None,
        },
    }


def timestamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
