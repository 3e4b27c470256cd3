"""Requests to GitHub as a GitHub App: as the App itself, or as its installation on a repository."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct

from shared.clients.github.answers import decode, moved_to, named_wait, raise_refusal
from shared.clients.http import HttpClient, Network, Response
from shared.errors import NotFound, Unauthorized
from shared.runtime import forgiving
from shared.runtime.ports import Clock
from shared.runtime.redaction import remember
from shared.runtime.secrets import GITHUB_APP_PRIVATE_KEY, Secrets

HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
RENEW_BEFORE = timedelta(minutes=5)


class _Installation(Struct):
    id: int


class _Token(Struct):
    token: Annotated[str, Meta(pattern="^[!-~]+$")]
    """What a header can hold."""
    expires_at: Annotated[datetime, Meta(tz=True)]


class Repository(Protocol):
    """Which repository a name in our settings means: its id, and what GitHub calls it now."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...


Identify = Callable[[str], Awaitable[Repository | None]]
"""By the name in our settings; None where it is not known yet."""
LOOK_AGAIN = timedelta(minutes=1)
REDIRECTS = 3
_MOVED = (301, 302, 307, 308)


class _Named(Struct):
    full_name: str


class GitHubApp:
    """Sends with the right credential, and once more with a new one when GitHub answers 401.

    An installation token lives an hour and is shared by all callers until five minutes before its end
    (docs: "Generating an installation access token for a GitHub App").
    """

    def __init__(
        self,
        *,
        base_url: str,
        app_id: str,
        secrets: Secrets,
        clock: Clock,
        identify: Identify | None = None,
        network: Network | None = None,
    ) -> None:
        self.app_id = app_id
        self._identify = identify
        self._names: dict[tuple[int, str], str] = {}
        """What repositories are called now, by their ids and what they were called when they were not found."""
        self._looked: dict[int, datetime] = {}
        self._http = HttpClient(base_url, headers=HEADERS, network=network)
        self._secrets = secrets
        self._clock = clock
        self._installations: dict[str, int] = {}
        self._tokens: dict[int, _Token] = {}
        self._minting = asyncio.Lock()

    async def request(
        self, method: str, url: str, *, repository: str | None, changes: bool, **request: Any
    ) -> Response:
        """Send as the installation on `repository`, or as the App itself when that is None; the answer is a 2xx.

        A repository that was renamed or transferred is requested by its new name. Redirects are followed on GitHub's
        own origin: what answers with one has done nothing, so even a change may be sent again
        (docs: "Best practices for using the REST API", follow redirects).

        Raises what `send` and `raise_refusal` raise, SecretMissing, and Unauthorized for an unusable private key.
        """
        if repository is None:
            return await self._request(method, url, None, changes, request)
        try:
            return await self._request_of(repository, method, url, changes, request)
        except NotFound:
            if not await self.has_moved(repository):
                raise
            return await self._request_of(repository, method, url, changes, request)

    async def _request_of(
        self, repository: str, method: str, url: str, changes: bool, request: dict[str, Any]
    ) -> Response:
        named = await self.name(repository)
        return await self._request(
            method, url.replace(f"/repos/{repository}/", f"/repos/{named}/", 1), named, changes, request
        )

    async def name(self, repository: str) -> str:
        """What GitHub calls the repository that has this name in our settings."""
        known = await self.identity(repository)
        if known is None:
            return repository
        return self._names.get((known.id, known.name), known.name)

    async def has_moved(self, repository: str) -> bool:
        """Whether a repository that was not found is called otherwise now; looked at once a minute at most.

        From then on it is requested by that name. A transfer has another owner, whose installation is another one: no
        redirect leads there with the token of the old.
        """
        known, now = await self.identity(repository), self._clock.now()
        if known is None or now - self._looked.get(known.id, now - LOOK_AGAIN) < LOOK_AGAIN:
            return False
        self._looked[known.id] = now
        before = await self.name(repository)
        try:
            self._names[known.id, known.name] = await self.name_of(known.id)
        except NotFound:
            return False
        return await self.name(repository) != before

    async def identity(self, repository: str) -> Repository | None:
        return await self._identify(repository) if self._identify else None

    async def name_of(self, id: int) -> str:
        """`owner/name` of the repository with this id, whoever has it now.

        GitHub's redirects of renamed repositories lead to the addresses by id that are used here. Raises NotFound where
        it is deleted, or where its owner has not installed the App.
        """
        found = await self._request("GET", f"/repositories/{id}/installation", None, False, {})
        token = await self._token_of(decode(found, _Installation, changes=False).id)
        remember(token.token)
        response = await self._send("GET", f"/repositories/{id}", token.token, False, {})
        raise_refusal(response, self._clock.now(), changes=False)
        return decode(response, _Named, changes=False).full_name

    async def _request(
        self, method: str, url: str, repository: str | None, changes: bool, request: dict[str, Any]
    ) -> Response:
        credential = await self._credential(repository)
        response = await self._send(method, url, credential, changes, request)
        again = response.status_code == 401
        if again:  # refused before any effect, so even a change may be sent again
            self._forget(repository, credential)
            response = await self._send(method, url, await self._credential(repository), changes, request)
        raise_refusal(response, self._clock.now(), changes=changes, fresh=again and repository is not None)
        return response

    def _address(self, url: str) -> str:
        """Of GraphQL, on GitHub Enterprise Server `/api/graphql`, which is not below `/api/v3` as all else is.

        Source: docs.github.com/enterprise-server/graphql/guides/forming-calls-with-graphql.
        """
        base = self._http.base_url.rstrip("/")
        return f"{base.removesuffix('/v3')}{url}" if url == "/graphql" and base.endswith("api/v3") else url

    async def close(self) -> None:
        self._tokens.clear()
        self._installations.clear()
        await self._http.close()

    async def _send(self, method: str, url: str, credential: str, changes: bool, request: dict[str, Any]) -> Response:
        headers, url = {"Authorization": f"Bearer {credential}"}, self._address(url)
        for _ in range(REDIRECTS):
            response = await self._http.send(
                method, url, changes=changes, limit_wait=self._limit_wait, headers=headers, **request
            )
            moved = moved_to(response) if response.status_code in _MOVED else None
            if moved is None:
                break
            url = moved
        return response

    def _limit_wait(self, response: Response) -> float | None:
        return named_wait(response, self._clock.now())

    async def _credential(self, repository: str | None) -> str:
        return await self._sign() if repository is None else await self._installation_token(repository)

    def _forget(self, repository: str | None, refused: str) -> None:
        """Drop a refused credential and what it came from; a newer one that another caller minted meanwhile stays."""
        self._secrets.clear()
        if repository is not None:
            installation = self._installations.get(_owner(repository), 0)
            if installation in self._tokens and self._tokens[installation].token == refused:
                del self._tokens[installation]
                del self._installations[_owner(repository)]

    async def _installation_token(self, repository: str) -> str:
        async with self._minting:
            token = self._tokens.get(self._installations.get(_owner(repository), 0))
            if token is None or token.expires_at - self._clock.now() <= RENEW_BEFORE:
                token = await self._mint(repository)
            return token.token

    async def _mint(self, repository: str) -> _Token:
        known = _owner(repository) in self._installations
        installation = await self._installation(repository)
        try:
            token = await self._token_of(installation)
        except NotFound:  # the App was installed again since
            if not known:
                raise
            del self._installations[_owner(repository)]
            installation = await self._installation(repository)
            token = await self._token_of(installation)
        remember(token.token)
        self._tokens[installation] = token
        return token

    async def _token_of(self, installation: int) -> _Token:
        url = f"/app/installations/{installation}/access_tokens"
        response = await self._request("POST", url, None, False, {})
        return decode(response, _Token, changes=False)

    async def _installation(self, repository: str) -> int:
        owner = _owner(repository)
        if owner not in self._installations:
            response = await self._request("GET", f"/repos/{repository}/installation", None, False, {})
            self._installations[owner] = decode(response, _Installation, changes=False).id
        return self._installations[owner]

    async def _sign(self) -> str:
        """A JSON web token for the next nine minutes (docs: "Generating a JSON Web Token (JWT) for a GitHub App")."""
        import jwt  # noqa: PLC0415 - with cryptography the slowest import here, paid by whoever calls GitHub
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415

        now = int(self._clock.now().timestamp())
        claims = {"iat": now - 60, "exp": now + 540, "iss": self.app_id}
        stored = await self._secrets.value(GITHUB_APP_PRIVATE_KEY)
        try:
            return jwt.encode(claims, _parsed(_pem(stored)), algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError, UnsupportedAlgorithm):
            wanted = "an RSA private key as PEM, or as base64 of it"
            raise Unauthorized(f"the secret {GITHUB_APP_PRIVATE_KEY} is not usable: it must hold {wanted}") from None


def _owner(repository: str) -> str:
    return repository.partition("/")[0].lower()


@functools.lru_cache(maxsize=2)
def _parsed(pem: str) -> Any:
    """The private key, parsed and checked once: OpenSSL takes tens of milliseconds, and PyJWT asks it twice.

    Raises what `jwt.encode` raises for a key that it cannot use.
    """
    import jwt  # noqa: PLC0415 - as in _sign

    return jwt.get_algorithm_by_name("RS256").prepare_key(pem)


def _pem(stored: str) -> str:
    """Raises ValueError when it is neither PEM nor base64 of it."""
    pem = forgiving.private_key(stored)
    remember(pem)
    return pem
