"""What the calls of our clients come to at the simulated n8n and at a real one: the same, or the former is wrong."""

import functools
import inspect
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Literal, TypeVar, cast

from msgspec import Struct, field

from shared.errors import SignalboxError

T = TypeVar("T")
Server = Literal["simulated", "real"]
SIMULATED: Server = "simulated"
REAL: Server = "real"


class Call(Struct, frozen=True):
    """A public method of a client, and the kind of its result or its error."""

    operation: str
    outcome: str


class Ledger(Struct):
    """By test: an operation that comes to one thing in one test may well come to another in the next."""

    made: dict[Server, defaultdict[str, Counter[Call]]] = field(
        default_factory=lambda: {SIMULATED: defaultdict(Counter), REAL: defaultdict(Counter)}
    )

    def watched(self, client: T, test: str, server: Server) -> T:
        """The client, of which every call from outside is noted."""
        return cast(T, _Watched(client, self.made[server][test]))

    def operations(self, server: Server) -> set[str]:
        return {call.operation for calls in self.made[server].values() for call in calls}

    def uncovered(self, *clients: type) -> list[str]:
        """The calls that not both were asked for."""
        both = self.operations(SIMULATED) & self.operations(REAL)
        return sorted({name for client in clients for name in operations_of(client)} - both)

    def same(self) -> Counter[str]:
        """How often each operation came to the same at both."""
        alike: Counter[str] = Counter()
        for test, calls in self.made[REAL].items():
            for call in calls.keys() & self.made[SIMULATED][test].keys():
                alike[call.operation] += calls[call]
        return alike

    def differences(self) -> Iterator[tuple[str, str]]:
        """The operation, and what it came to at only one of the two."""
        for server, other in ((SIMULATED, REAL), (REAL, SIMULATED)):
            for test, calls in self.made[server].items():
                for call in calls.keys() - self.made[other][test].keys():
                    yield call.operation, f"{test}: {call.operation} comes to {call.outcome} only at the {server} n8n"


def operations_of(client: type) -> list[str]:
    methods = inspect.getmembers(client, inspect.iscoroutinefunction)
    return [f"{client.__name__}.{name}" for name, _ in methods if not name.startswith("_") and name != "close"]


class _Watched:
    def __init__(self, client: Any, calls: Counter[Call]) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        operation = f"{type(self._client).__name__}.{name}"

        @functools.wraps(method)
        async def noted(*args: Any, **kwargs: Any) -> Any:
            try:
                result = await method(*args, **kwargs)
            except SignalboxError as error:
                self._calls[Call(operation, f"{type(error).__name__} {getattr(error, 'status', '')}".rstrip())] += 1
                raise
            self._calls[Call(operation, type(result).__name__)] += 1
            return result

        return noted if inspect.iscoroutinefunction(method) else method
