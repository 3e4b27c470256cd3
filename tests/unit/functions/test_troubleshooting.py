"""docs/troubleshooting.md quotes the log: each quotation is produced here, word for word, and each alert is in it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.api_core.exceptions import PermissionDenied
from msgspec.structs import replace
from networks import replying
from unit.functions.scene import Scene

from local.world.faults import Fault
from shared.cloud.secrets import ACCESSOR, SecretManager, _missing
from shared.core.pipeline import Pace
from shared.core.run import Stage
from shared.errors import SecretMissing

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
Provoke = Callable[[Scene], Awaitable[object]]

_NAMES = (
    (r"/installations/\d+", "/installations/ID"),
    (r"\(trace \d+\)", "(trace NUMBER)"),
)


async def deploy(scene: Scene, *, looks: int = 6) -> None:
    scene.merge(scene.open_pull_request())
    for _ in range(looks):
        await scene.go_on()
        await scene.deliver()


def github(when: str, status: int, message: str, headers: Mapping[str, str] | None = None) -> Provoke:
    async def provoke(scene: Scene) -> None:
        body = {"message": message}
        scene.github.app.faults.append(
            Fault(when=when, status=status, times=100, body=body, headers=dict(headers or {}))
        )
        await deploy(scene)

    return provoke


async def unsigned(scene: Scene) -> None:
    await scene.web.post("/github-webhook", content=b"{}")


async def without_the_secret(scene: Scene) -> None:
    await scene.web.post("/railway-webhook", content=b"{}", headers={"X-Webhook-Secret": "wrong"})


async def refused_token(scene: Scene) -> None:
    scene.railway.token = "another"
    await deploy(scene)


async def stuck(scene: Scene) -> None:
    scene.configure(monitor_deadline=60)
    scene.railway.pace = timedelta(seconds=70)
    await deploy(scene, looks=200)


async def lost(scene: Scene) -> None:
    scene.configure(monitor_deadline=60)
    scene.railway.app.faults.append(Fault(when="serviceInstanceDeploy", lost=True, times=100))
    await deploy(scene, looks=200)


async def blind(scene: Scene) -> None:
    scene.blind = True
    scene.configure(verify_deadline=60)
    await deploy(scene, looks=200)


async def another_secret(scene: Scene) -> None:
    scene.n8n.token = "what-n8n-has-is-another-secret-0123"
    await deploy(scene, looks=30)


async def not_there(scene: Scene) -> None:
    scene.n8n.state = "inactive"
    await deploy(scene, looks=30)


async def silent(scene: Scene) -> None:
    def nothing(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("")

    scene.services._networks["n8n"] = replying(nothing)
    await deploy(scene, looks=30)


async def slow(scene: Scene) -> None:
    scene.services.pace = Pace(limit=5.0)
    scene.n8n.app.faults.append(Fault(slow=600, times=3))
    await deploy(scene, looks=30)


async def no_variable(scene: Scene) -> None:
    scene.secrets.pop("RAILWAY_API")
    await deploy(scene)


async def a_stranger(scene: Scene) -> None:
    scene.services.settings = replace(
        scene.services.settings, signalbox_caller="c@acme", signalbox_audience="https://m"
    )
    await scene.wake("merge", "run")


async def no_message(scene: Scene) -> None:
    await scene.push("merge", b"{}")


async def no_event(scene: Scene) -> None:
    await scene.push("dispatch", b"{}")


async def defect(scene: Scene) -> None:
    scene.services.__dict__["github"] = None
    await scene.execute(scene.new_run(Stage.MERGE))


TOKEN = "A JSON web token could not be decoded"
SLOW_DOWN = "You have exceeded a secondary rate limit"
SYMPTOMS: dict[str, tuple[Provoke, bool]] = {
    f"POST /app/installations/ID/access_tokens: 401 {TOKEN}": (github("/access_tokens", 401, TOKEN), True),
    "POST /app/installations/ID/access_tokens: 403 This installation has been suspended": (
        github("/access_tokens", 403, "This installation has been suspended"),
        True,
    ),
    "GET /repos/acme/shop/installation: 404 Not Found": (github("/installation", 404, "Not Found"), True),
    f"POST /graphql: 403 {SLOW_DOWN}": (github("graphql", 403, SLOW_DOWN, {"retry-after": "60"}), True),
    "webhook refused: not signed by GitHub": (unsigned, False),
    "webhook refused: it does not bring Railway's secret": (without_the_secret, False),
    "Railway Service: Not Authorized (trace NUMBER)": (refused_token, False),
    "time ran out: Railway: building": (stuck, False),
    "time ran out: the deploy request timed out; checking whether Railway started it": (lost, False),
    "time ran out: cannot tell: not reached: ConnectError no way out, at https://shop.up.railway.app/health": (
        blind,
        False,
    ),
    "n8n workflow signalbox-notification: 403 invalid signature": (another_secret, True),
    'n8n workflow signalbox-notification: 404 The requested webhook "POST signalbox-notification" is not registered.': (
        not_there,
        True,
    ),
    "n8n workflow signalbox-notification: no answer: ReadTimeout": (silent, True),
    "sending notifications took too long; the rest is sent later": (slow, False),
    "secret RAILWAY-API: set the environment variable RAILWAY_API": (no_variable, False),
    "a call that is not the caller's was refused": (a_stranger, False),
    "unusable stage message": (no_message, False),
    "not a stage message: Object missing required field `stage`": (no_message, True),
    "unusable event": (no_event, False),
    "unexpected error in a stage": (defect, False),
}
"""What is quoted, and whether it is the reason of the line and not its message."""


def quoted() -> set[str]:
    """The parts of the paragraphs' beginnings that are code."""
    beginnings = re.findall(r"\*\*(.+?)\*\*", PAGE, re.DOTALL)
    found = re.findall(r"(`+)(.+?)\1", "\n".join(one.replace("\n", " ") for one in beginnings))
    return {text.strip() for _, text in found}


@pytest.mark.parametrize(("symptom", "provoked"), SYMPTOMS.items(), ids=SYMPTOMS)
async def test_a_symptom_is_quoted_as_the_log_has_it(
    scene: Scene, symptom: str, provoked: tuple[Provoke, bool]
) -> None:
    provoke, is_reason = provoked
    await provoke(scene)
    lines = [said(line.get("reason", "") if is_reason else line["message"]) for line in scene.logged()]
    lines += [said(run.error.message) for run in await scene.runs() if run.error]
    assert symptom in lines, "\n".join(dict.fromkeys(lines))
    assert symptom in quoted()


def said(text: str) -> str:
    for pattern, name in _NAMES:
        text = re.sub(pattern, name, text)
    return text


async def test_a_secret_without_a_version_is_quoted_as_secret_manager_reads_it() -> None:
    class Nothing(SecretManager):
        def __init__(self) -> None:
            self._project, self._pinned = "acme", {}

        async def _enabled(self, name: str, secret: str) -> list[str]:
            return []

    with pytest.raises(SecretMissing) as missing:
        await Nothing().read("RAILWAY-API")
    assert str(missing.value) in quoted()
    denied = str(_missing("RAILWAY-API", PermissionDenied("Permission denied on resource"), ACCESSOR))
    assert any(denied.startswith(one) for one in quoted() if "PERMISSION_DENIED" in one), denied


def test_nothing_else_is_quoted() -> None:
    beside = {"again later", "a notification was refused", "403 jwt expired"}
    from_google = {one for one in quoted() if "projects/" in one or "PERMISSION_DENIED" in one}
    assert quoted() - SYMPTOMS.keys() - beside - from_google == set()


def test_every_alert_is_there() -> None:
    described = (ROOT / "terraform/monitoring.tf").read_text(encoding="utf-8")
    titles = re.findall(r'^\s+title\s+= "(.+)"', described, re.MULTILINE)
    titles += re.findall(r'display_name\s+= "Signalbox: ([^$"]+)"', described)
    assert len(titles) >= 6
    rows: list[Any] = re.findall(r"^\| (.+?) \| .+ \| .+ \|$", PAGE, re.MULTILINE)
    assert set(titles) <= set(rows)
