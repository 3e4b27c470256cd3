"""What real vendors answer at a bad moment, being well again at the next call. One more answer is one more line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from local.world.faults import Fault

JSON, HTML, TEXT = "application/json; charset=utf-8", "text/html; charset=utf-8", "text/plain"
PAGE = b"<!DOCTYPE html><html><head><title>Access denied</title></head><body>One moment.</body></html>"


class Answer(Struct, frozen=True, kw_only=True):
    """An answer to any call of a vendor. `to`: to its GraphQL alone, or to its REST alone. `type`: of its body."""

    name: str
    status: int
    body: bytes
    type: str = JSON
    to: str = ""

    def fits(self, path: str) -> bool:
        return self.to in ("", "graphql" if path.startswith("/graphql") else "rest")

    def as_fault(self, when: str, times: int = 1) -> Fault:
        return Fault(when=when, times=times, status=self.status, headers={"content-type": self.type}, body=self.body)


def _said(name: str, status: int, **content: Any) -> Answer:
    return Answer(name=name, status=status, body=json.dumps(content).encode(), to="" if status == 401 else "rest")


def _errors(message: str, **more: Any) -> Answer:
    """GraphQL's form, with HTTP 200."""
    content = {"data": None, "errors": [{"message": message, **more}]}
    return Answer(name=message.lower(), status=200, body=json.dumps(content).encode(), to="graphql")


PASSING_REFUSALS: Mapping[str, tuple[Answer, ...]] = {
    "github": (
        _said("bad credentials", 401, message="Bad credentials"),
        _said("not accessible", 403, message="Resource not accessible by integration"),
        _said("not found", 404, message="Not Found"),
        _said("submitted too quickly", 422, message="Validation Failed: was submitted too quickly"),
        Answer(name="a page with 403", status=403, type=HTML, body=PAGE),
        Answer(name="a page with 404", status=404, type=HTML, body=PAGE),
        _errors("Something went wrong while executing your query."),
        _errors("An internal error occurred", type="INTERNAL"),
        _errors("The query took too long", type="TIMEOUT"),
        _errors("Resource not accessible by integration", type="FORBIDDEN"),
        _errors("Could not resolve to a Repository", type="NOT_FOUND"),
        _errors("It was submitted too quickly"),
    ),
    "railway": (
        _errors("Not Authorized"),
        _errors("Project Token not found"),
        _errors("Deployment not found"),
        _errors("The service cannot do this now", extensions={"code": "INTERNAL_SERVER_ERROR"}),
        _errors("You are deploying too quickly"),
        Answer(name="unauthorized", status=401, body=b""),
        Answer(name="a page with 403", status=403, type=HTML, body=PAGE),
        Answer(name="cloudflare", status=403, type=TEXT, body=b"error code: 1010"),
        Answer(name="a page with 404", status=404, type=HTML, body=PAGE),
    ),
    "n8n": (
        _said("wrong token", 403, message="Authorization data is wrong!"),
        _said("not registered", 404, message="The requested webhook is not registered."),
        Answer(name="a page with 403", status=403, type=HTML, body=PAGE),
        Answer(name="a page with 404", status=404, type=HTML, body=PAGE),
    ),
}
"""By vendor. None of them has had an effect."""
