"""The way to a vendor: slow, lossy, with answers that come too late, and the caller may die around each call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote

import httpx
import msgspec
from msgspec.structs import replace

from local.simulation.chance import Chance
from local.simulation.execution import Execution, check_alive, die, freeze
from local.world.refusals import PASSING_REFUSALS, Answer
from shared.clients.http import Network, Request, Response

_READ = {
    "crash before": 0.003,
    "not reached": 0.004,
    "server error": 0.006,
    "limited": 0.004,
    "no answer": 0.003,
    "error in a 200": 0.003,
    "refused": 0.0006,
    "freeze": 0.001,
}
_CHANGE = {
    "crash before": 0.008,
    "crash after": 0.014,
    "not reached": 0.006,
    "server error": 0.006,
    "server error, applied": 0.01,
    "limited": 0.006,
    "no answer": 0.005,
    "no answer, applied": 0.012,
    "no answer, applied late": 0.01,
    "error in a 200": 0.004,
    "error in a 200, applied": 0.006,
    "refused": 0.001,
    "freeze": 0.002,
}
_LISTS = {
    "github": {"a null in each list": 0.004, "no check is shown": 0.06},
    "railway": {"a null in each list": 0.01},
}
_MATTERS = ("contexts", "commits", "timelineItems")
"""Lists of which an entry that cannot be read is waited for: there is none in them for good."""
_POISON = {"server error": 0.7, "crash before": 0.3}
_BLIND = {"not reached": 0.8}
_REFUSED = 0.008
"""How often a call is answered with one of the passing refusals, all of them together."""
_TIMEOUT = 20.0
"""The clients' own (shared/clients/http.py)."""
_SLOWEST = 50.0
"""An effect shows at the latest so long after it was asked for: less than `Pace.visible`."""


class Watch(Protocol):
    """Is shown each call that reached a vendor, each change of which the caller learns nothing, and each list with a
    null in it."""

    def called(self, execution: Execution, request: Request) -> None: ...

    def troubled(self, execution: Execution, request: Request) -> None: ...

    def blurred(self, execution: Execution, request: Request) -> None: ...


class Wire:
    """One instance's connection to one vendor. An application that is looked at can only be unreachable.

    `poisoned` is a function (or the `probe`) whose calls fail; `refusing`, one whose calls Railway refuses all day.
    `nulls`: there is one in each list, as GraphQL allows, but for those of which it would be waited for.
    """

    def __init__(
        self,
        vendor: str,
        network: Network,
        chance: Chance,
        watch: Watch,
        weather: float,
        poisoned: str | None,
        refusing: str | None = None,
        *,
        nulls: bool = False,
    ) -> None:
        self._nulls = nulls
        self._lists = {what: odds * weather for what, odds in _LISTS.get(vendor, {}).items()}
        self._vendor = vendor
        self._network = network
        self._chance = chance
        self._watch = watch
        self._poisoned = poisoned
        self._refusing = refusing if vendor == "railway" else None
        self._refusals = {path: _fitting(vendor, path, weather) for path in ("/graphql", "/")}
        self._respite: dict[tuple[str, str], list[Execution]] = {}
        """By function and what it is about: the execution that was refused last, and the one after it."""
        self._read = {what: odds * weather for what, odds in _READ.items()}
        self._change = {what: odds * weather for what, odds in _CHANGE.items()}
        self._probe = {what: _READ[what] * 3 * weather for what in ("crash before", "not reached")}

    async def __call__(self, request: Request) -> Response:
        execution = check_alive()
        refusal = self._refusal(execution, request)
        if refusal is not None:
            await asyncio.sleep(0.3)
            check_alive()
            return Response(refusal.status, {"content-type": refusal.type}, refusal.body, request)
        label, odds = self._kind(request)
        if self._poisoned and not self._chance.calm:
            if self._vendor == "application" and self._poisoned == "probe":
                odds = _BLIND
            elif self._vendor != "application" and self._poisoned == execution.function:
                odds = _POISON
        what, value = self._chance.incident(f"{self._vendor} {label} in {execution.function}", odds)
        if value < 0.5:  # half of the time is lost on the way there, half on the way back
            await asyncio.sleep(0.02 + 0.6 * value)
            check_alive()
        if what is None:
            response = await self._reach(execution, request)
            if value >= 0.5:
                await asyncio.sleep(0.6 * value - 0.25)
                check_alive()
            return response
        execution.disturbed += 1
        return await self._trouble(execution, request, what, value)

    def _refusal(self, execution: Execution, request: Request) -> Answer | None:
        """An answer that says no, and has no effect; it passes."""
        answers, odds = self._refusals["/graphql" if path_of(request).startswith("/graphql") else "/"]
        if not answers or self._chance.calm:
            return None
        if self._refusing == execution.function:
            return next(iter(answers.values()))
        if self._spared(execution):
            return None
        what, _ = self._chance.incident(f"refusal by {self._vendor} in {execution.function}", odds)
        if what is None:
            return None
        self._respite[execution.function, execution.about] = [execution]
        return answers[what]

    def _spared(self, execution: Execution) -> bool:
        """Whether the same work was refused just now: for the rest of that execution and the whole of the next."""
        respite = self._respite.get((execution.function, execution.about), [])
        if not respite or execution in respite:
            return bool(respite)
        respite.append(execution)
        if len(respite) > 2:
            del self._respite[execution.function, execution.about]
            return False
        return True

    def _kind(self, request: Request) -> tuple[str, Mapping[str, float]]:
        if self._vendor == "application":
            return "look", self._probe
        asks = request.method == "GET" or b'"query":"query' in request.body or b"\\nquery (" in request.body
        return ("read", self._read) if asks else ("change", self._change)

    async def _reach(self, execution: Execution, request: Request) -> Response:
        response = await self._network(request)
        self._watch.called(execution, request)
        if not self._lists or self._kind(request)[0] != "read":
            return response
        what, _ = self._chance.incident(f"lists of {self._vendor} in {execution.function}", self._lists)
        if what is None and not (self._nulls and "/rules/" not in path_of(request)):
            return response
        if what != "no check is shown":
            self._watch.blurred(execution, request)
        document = msgspec.json.decode(response.content)
        if what == "no check is shown":
            document = _without_checks(document)
        elif what is not None:
            document = _with_nulls(document, ())
        else:
            document = _with_nulls(document, _MATTERS)
        return replace(response, content=msgspec.json.encode(document))

    async def _trouble(self, execution: Execution, request: Request, what: str, value: float) -> Response:
        self._watch.troubled(execution, request)
        if what == "freeze":
            await freeze(30 + 200 * value)
            check_alive()
            return await self._reach(execution, request)
        if what == "crash before":
            raise die(execution)
        if what == "not reached":
            raise httpx.ConnectError("no route")
        if what.endswith("applied") or what == "crash after":
            await self._reach(execution, request)
        if what.endswith("applied late"):
            late = self._late(execution, request, _TIMEOUT + (_SLOWEST - _TIMEOUT) * value)
            asyncio.get_running_loop().create_task(late)
        if what == "crash after":
            raise die(execution)
        if what.startswith("no answer"):
            await asyncio.sleep(_TIMEOUT)
            check_alive()
            raise httpx.ReadTimeout("no answer")
        return self._bad_answer(request, what.partition(",")[0], value)

    async def _late(self, execution: Execution, request: Request, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._reach(execution, request)

    def _bad_answer(self, request: Request, what: str, value: float) -> Response:
        """A refusal repeats what it was sent with, as some do: none of it may be shown to anybody."""
        if what == "limited":
            wait = {"retry-after": str(int(5 + 60 * value))}
            return Response(429, wait, b'{"message": "slow down"}', request)
        if what == "error in a 200" and path_of(request).startswith("/graphql"):
            problem = {"message": "Problem processing request", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}
            return Response(200, {}, msgspec.json.encode({"errors": [problem], "data": None}), request)
        if what == "refused" and self._vendor != "n8n":
            sent = request.headers
            text = f"cannot do this with {sent.get('authorization') or sent.get('project-access-token', '')}"
            if path_of(request).startswith("/graphql"):
                return Response(200, {}, msgspec.json.encode({"errors": [{"message": text}], "data": None}), request)
            return Response(422, {}, msgspec.json.encode({"message": text}), request)
        return Response(502, {}, b"bad gateway", request)


def _fitting(vendor: str, path: str, weather: float) -> tuple[dict[str, Answer], dict[str, float]]:
    """The refusals that the vendor may answer there, by name, and the odds of each."""
    found = {one.name: one for one in PASSING_REFUSALS.get(vendor, ()) if one.fits(path)}
    return found, {name: _REFUSED * weather / len(found) for name in found}


def _with_nulls(document: object, leaving: tuple[str, ...]) -> object:
    """With a null at the end of each list, but for those below the fields to leave alone."""
    if isinstance(document, list):
        return [*(_with_nulls(one, leaving) for one in document), None]
    if not isinstance(document, dict):
        return document
    return {key: value if key in leaving else _with_nulls(value, leaving) for key, value in document.items()}


def _without_checks(document: object) -> object:
    """With a null in the place of each check."""
    if not isinstance(document, dict):
        return document
    contexts = document.get("contexts")
    if isinstance(contexts, dict):
        return {**document, "contexts": {**contexts, "nodes": [None for _ in contexts["nodes"]]}}
    return {
        key: [_without_checks(one) for one in value] if isinstance(value, list) else _without_checks(value)
        for key, value in document.items()
    }


def host_of(request: Request) -> str:
    return request.url.split("/", 3)[2]


def path_of(request: Request) -> str:
    return unquote("/" + request.url.split("/", 3)[3].partition("?")[0])
