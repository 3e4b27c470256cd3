"""Who asks the simulated GitHub, and what they may see: the App by its signed token, an installation by its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import jwt

from local.world.github.model import Ids, Repository
from local.world.github.payloads import JSON, client_id, installation_id, stamp
from local.world.web import Request
from shared.runtime.ports import Clock

TOKEN_LIFETIME = timedelta(hours=1)
PERMISSIONS = {
    **dict.fromkeys(("metadata", "checks", "statuses"), "read"),
    **dict.fromkeys(("contents", "pull_requests", "issues", "deployments"), "write"),
}
EVENTS = ("pull_request", "pull_request_review", "issue_comment", "check_suite", "status", "repository")
_DOCS = "https://docs.github.com/rest"


class Problem(Exception):
    """An answer that is not a success."""

    def __init__(
        self, status: int, message: str, errors: list[JSON] | None = None, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.content: JSON = {"message": message, "documentation_url": _DOCS, "status": str(status)}
        if errors:
            self.content["errors"] = errors


class Access:
    """Checks credentials and gives out installation tokens; each is for all repositories of one owner."""

    def __init__(
        self,
        *,
        clock: Clock,
        ids: Ids,
        app_id: str,
        public_key_pem: str | None,
        repositories: dict[str, Repository],
        moved: dict[str, int],
    ) -> None:
        self._clock = clock
        self._ids = ids
        self._app_id = app_id
        self._repositories = repositories
        self._moved = moved
        self.public_key_pem = public_key_pem
        self.permissions = dict(PERMISSIONS)
        """What the installations were granted."""
        self.events = list(EVENTS)
        """What the App subscribes to."""
        self.tokens: dict[str, tuple[str, datetime]] = {}
        """The owner each token is for, and when it expires."""

    def visible(self, request: Request) -> Callable[[str], Repository | None]:
        """Finds repositories by `owner/name` among those the request's installation token can see."""
        owner = self.owner(request)

        def visible(name: str) -> Repository | None:
            found = self.find(name)
            return found if found is not None and found.owner.lower() == owner else None

        return visible

    def find(self, name: str) -> Repository | None:
        """By `owner/name`, also one that the repository had before another one took it; or by its id in digits."""
        known = self._repositories.get(name.lower())
        id = int(name) if name.isdigit() else self._moved.get(name.lower())
        return known or next((repo for repo in self._repositories.values() if repo.id == id), None)

    def owner(self, request: Request) -> str:
        """Whose installation's token it is."""
        owner, expires_at = self.tokens.get(_bearer(request), ("", self._clock.now()))
        if self._clock.now() >= expires_at:
            raise Problem(401, "Bad credentials")
        return owner

    def check_app(self, request: Request) -> None:
        """RS256 by our key, issued by the App in the past, for at most ten minutes from now."""
        claims = self._claims(_bearer(request))
        now = self._clock.now().timestamp()
        if claims.get("iss") not in self._own_ids():
            raise Problem(401, "Integration not found")
        if not now < claims.get("exp", 0) <= now + 600:
            raise Problem(401, "'Expiration time' claim ('exp') is too far in the future or in the past")
        if claims.get("iat", now + 1) > now:
            raise Problem(401, "'Issued at' claim ('iat') must be an Integer representing the past")

    def _claims(self, token: str) -> JSON:
        """Without a key there is nothing to check the signature by."""
        key = self.public_key_pem
        try:
            if key is None:
                content = token.split(".")[1]
                claims: JSON = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
                return claims
            options: Any = {"verify_exp": False, "verify_iat": False}
            return jwt.decode(token, key, algorithms=["RS256"], options=options)
        except (jwt.InvalidTokenError, ValueError, LookupError) as error:
            raise Problem(401, "A JSON web token could not be decoded") from error

    def _own_ids(self) -> set[str]:
        return {self._app_id, *([client_id(int(self._app_id))] if self._app_id.isdigit() else [])}

    def mint(self, installation: int) -> JSON:
        """A token of the new, long shape; GitHub calls it opaque."""
        owners = {repo.owner.lower() for repo in self._repositories.values()}
        owner = next((owner for owner in owners if installation_id(owner) == installation), None)
        if owner is None:
            raise Problem(404, "Not Found")
        claims = base64.urlsafe_b64encode(json.dumps({"jti": self._ids.sha(), "for": owner}).encode()).decode()
        token = f"ghs_{self._app_id}_eyJhbGciOiJFUzI1NiJ9.{claims.rstrip('=')}.{self._ids.sha() * 2}"
        expires_at = self._clock.now() + TOKEN_LIFETIME
        self.tokens[token] = (owner, expires_at)
        return {
            "token": token,
            "expires_at": stamp(expires_at),
            "permissions": self.permissions,
            "repository_selection": "all",
        }


def _bearer(request: Request) -> str:
    if not request.headers.get("user-agent"):
        wanted = "Please make sure your request has a User-Agent header"
        raise Problem(403, f"Request forbidden by administrative rules. {wanted}")
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in {"bearer", "token"}:
        raise Problem(401, "Requires authentication")
    return credential
