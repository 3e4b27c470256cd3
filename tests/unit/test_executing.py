"""Executing a workflow on an n8n that dies meanwhile; the rest is tested against the real one, in tests/contract."""

from typing import Any, cast

import pytest

from local.n8n import executing
from local.n8n.api import Api, Execution
from local.n8n.executing import execute
from shared.clients.n8n import N8n
from shared.errors import Unavailable, UnknownOutcome

WORKFLOW: dict[str, Any] = {
    "id": "w",
    "name": "a workflow",
    "nodes": [{"name": "Webhook", "type": "n8n-nodes-base.webhook", "parameters": {"path": "p", "httpMethod": "POST"}}],
}
DIED = Execution("7", "crashed")


class Dies:
    """An n8n that is killed by the call, is away for a while, and lists what died with it a few looks after."""

    def __init__(self, *, away: int, late: int) -> None:
        self.called, self.looks, self.away, self.late = False, 0, away, late

    async def call(self, *_: object, **__: object) -> str:
        self.called = True
        raise UnknownOutcome("no answer: ReadError")

    async def executions(self, *_: object, **__: object) -> list[Execution]:
        if not self.called:
            return []
        self.looks += 1
        if self.looks <= self.away:
            raise Unavailable("not reached")
        return [DIED] if self.looks > self.away + self.late else []

    async def execution(self, *_: object, **__: object) -> Execution:
        return DIED


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "LOOK_AGAIN", 0.01)
    for name in ("SHOWN_WITHIN", "RECOVERED_WITHIN"):
        monkeypatch.setattr(executing, name, 0.3)


async def test_what_died_is_found_though_listed_a_moment_after_a_long_absence() -> None:
    n8n = Dies(away=50, late=3)

    done = await execute(cast(Api, n8n), cast(N8n, n8n), WORKFLOW, {})

    assert (done.execution, done.status, done.succeeded) == ("7", "crashed", False)
    assert "no answer" in done.answer


async def test_what_is_not_listed_in_time_was_not_begun() -> None:
    n8n = Dies(away=3, late=100_000)

    with pytest.raises(UnknownOutcome):
        await execute(cast(Api, n8n), cast(N8n, n8n), WORKFLOW, {})
