"""What an instance has: opened from its environment or refused with the reason, used, and closed at the end."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from networks import replying
from unit.functions.scene import TARGET, RecordingBus, Scene, ScriptedStore

from local.emulation.secrets import EnvironmentSecrets
from local.world.clock import VirtualClock
from shared.core.outcome import Message
from shared.core.pipeline import Pace
from shared.core.policy import Policy
from shared.errors import ConfigError, TransientError
from shared.runtime import config, log
from shared.runtime.ports import Backend
from shared.runtime.services import Services, current, install, open_services, prepare
from shared.runtime.settings import Settings

CONFIG = """
[repositories."acme/shop".services.web]
project_id = "p"
service_id = "s"
[repositories."acme/shop".services.web.environments.production]
environment_id = "e"
"""


def backend(environ: Mapping[str, str]) -> Backend:
    """A factory as SIGNALBOX_BACKEND names one."""
    clock = VirtualClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    STORES.append(ScriptedStore())
    return Backend(store=STORES[-1], bus=RecordingBus(), secrets=EnvironmentSecrets(environ), clock=clock)


STORES: list[ScriptedStore] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Not every test gets to close what it opened."""
    yield
    while STORES:
        asyncio.run(STORES.pop().close())


HERE = f"{__name__}:backend"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "signalbox.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return {"SIGNALBOX_CONFIG": str(path), "SIGNALBOX_BACKEND": HERE}


@pytest.fixture
def _uninstalled() -> Any:
    install(None)
    yield
    install(None)


async def test_services_are_opened_from_the_environment(environ: dict[str, str]) -> None:
    environ |= {"SIGNALBOX_REDELIVERY": "3", "SIGNALBOX_UNCLAIMED": "2", "SIGNALBOX_VISIBLE": "1"}
    environ |= {"SIGNALBOX_LIMIT": "5"}
    opened = open_services(environ)
    assert [target.id for target in opened.config.targets] == [TARGET]
    assert opened.pace == Pace(redelivery=3, unclaimed=2, limit=5, lease=6, visible=1)
    assert opened.n8n is None
    await opened.close()


@pytest.mark.parametrize(
    "named",
    ["shared.errors:", "nowhere_to_be_found:x", "shared.errors:nothing", "shared.errors", ":open", ".relative:x", ":"],
)
def test_a_backend_that_cannot_be_found_is_refused_by_name(environ: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match="SIGNALBOX_BACKEND"):
        open_services(environ | {"SIGNALBOX_BACKEND": named})


async def test_a_backend_is_found_by_its_former_name_with_a_word(
    environ: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    former = {**environ, "SIGNALBOX_BACKEND": "local.backend:open_backend", "SIGNALBOX_LOCAL_DIR": str(tmp_path)}
    opened = open_services(former)
    await opened.close()
    assert "a backend has another name now" in caplog.text


def test_a_configuration_that_is_missing_or_wrong_is_refused_by_file(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        open_services(environ | {"SIGNALBOX_CONFIG": "nowhere.toml"})
    Path(environ["SIGNALBOX_CONFIG"]).write_text("repositories = 5", encoding="utf-8")
    with pytest.raises(ConfigError, match="repositories"):
        open_services(environ)


def test_a_setting_that_is_wrong_is_refused_by_name(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="SIGNALBOX_VISIBLE"):
        open_services(environ | {"SIGNALBOX_VISIBLE": "soon"})


@pytest.mark.usefixtures("_uninstalled")
async def test_an_instance_opens_its_services_once(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    first = current()
    assert current() is first
    install(None)
    second = current()
    assert second is not first
    await first.close()
    await second.close()


@pytest.mark.usefixtures("_uninstalled")
def test_a_function_refuses_to_start_on_a_wrong_configuration(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    prepare()
    Path(environ["SIGNALBOX_CONFIG"]).write_text("", encoding="utf-8")
    with pytest.raises(ConfigError):
        prepare()
    install(open_services(environ | {"SIGNALBOX_CONFIG": _written(environ)}))
    prepare()  # what was installed counts, not the file
    log.configure(Settings())


CALLED = {
    "SIGNALBOX_CALLER": "signalbox-merge-caller@p.iam.gserviceaccount.com",
    "SIGNALBOX_AUDIENCE": "https://m.test",
}


@pytest.mark.usefixtures("_uninstalled")
@pytest.mark.parametrize("missing", CALLED)
def test_a_deployed_function_that_is_called_does_not_start_without_knowing_by_whom(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name, value in {**environ, **CALLED, "K_SERVICE": "signalbox-merge"}.items():
        monkeypatch.setenv(name, value)
    prepare(called=True)
    monkeypatch.delenv(missing)
    prepare()  # one that is called by people or vendors
    with pytest.raises(ConfigError, match=r"SIGNALBOX_CALLER and SIGNALBOX_AUDIENCE.*terraform apply"):
        prepare(called=True)
    log.configure(Settings())


@pytest.mark.usefixtures("_uninstalled")
def test_where_nothing_is_deployed_it_says_that_anybody_is_served(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    prepare(called=True)
    assert "every caller is served" in capsys.readouterr().err
    log.configure(Settings())


def _written(environ: Mapping[str, str]) -> str:
    other = Path(environ["SIGNALBOX_CONFIG"]).with_name("other.toml")
    other.write_text(CONFIG, encoding="utf-8")
    return str(other)


async def test_what_opens_something_is_forgotten_when_an_instance_closes(scene: Scene) -> None:
    scene.open_pull_request()
    await scene.services.github.pull_request("acme/shop", 1)
    await scene.services.secrets.value("RAILWAY-API")
    app = scene.services.github.app
    assert app._tokens
    assert scene.services.secrets._cache
    await scene.services.close()
    assert not app._tokens
    assert not app._installations
    assert not scene.services.secrets._cache


async def test_a_message_says_on_its_outside_what_it_is_about(scene: Scene) -> None:
    assert await scene.services.publish([Message("merge", "r"), Message("notify", target_id="t")])
    assert [(one.topic, one.attributes) for one in scene.bus.published] == [
        ("merge", {"stage": "merge", "run_id": "r"}),
        ("notify", {"stage": "notify", "target_id": "t"}),
    ]


async def test_a_message_that_cannot_be_sent_is_left_to_the_sweep_and_the_others_are_sent(scene: Scene) -> None:
    scene.bus.incidents.before(1, TransientError("full"))
    assert await scene.services.publish([Message("merge", "a"), Message("deploy", "b")]) is False
    assert [one.about for one in scene.bus.published] == [("deploy", "b")]
    assert "full" in scene.logged("the sweep will")[0]["reason"]


async def test_nothing_to_send_is_sent(scene: Scene) -> None:
    assert await scene.services.publish([]) is True


def test_a_target_that_is_no_longer_configured_is_judged_by_the_default_policy() -> None:
    services = Services(Settings(), config.parse(CONFIG + "\n[policy]\nbake = 1"), backend({}))
    assert services.terms(TARGET).policy.bake == 1
    assert services.terms("acme:shop:web:gone").policy == Policy()
    assert services.terms(TARGET).now == services.clock.now()


def test_no_two_workers_have_the_same_name() -> None:
    services = Services(Settings(), config.parse(CONFIG), backend({}))
    assert len({services.token() for _ in range(100)}) == 100


async def test_closing_closes_what_was_opened_and_nothing_else() -> None:
    with_n8n = config.parse(CONFIG + '\n[n8n]\nurl = "https://n8n.test"')
    bus = RecordingBus()
    parts = backend({})
    services = Services(
        Settings(),
        with_n8n,
        Backend(store=parts.store, bus=bus, secrets=parts.secrets, clock=parts.clock),
        networks={"probe": replying(lambda _: httpx.Response(200))},
    )
    assert (await services.probe.look("https://x.test/", timeout=1)).healthy
    assert services.n8n is not None
    await services.close()
    assert bus.closed
    assert "github" not in services.__dict__
    with pytest.raises(RuntimeError, match="closed"):
        await services.n8n.registered("x")


@pytest.mark.parametrize("function", ["webhooks", "dispatch", "console"])
def test_what_may_call_no_vendor_begins_without_their_clients(function: str) -> None:
    root = Path(__file__).parents[2]
    script = f"import sys, functions.{function}.main; print('httpx' in sys.modules)"
    environ = {**os.environ, "SIGNALBOX_CONFIG": str(root / "signalbox.toml")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=environ, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == ["False"]
