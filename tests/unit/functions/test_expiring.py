"""People hear of a secret that is about to be too old, once a day, whichever function reads it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from unit.functions.scene import REPOSITORY, TARGET, Scene

from shared.core.events import SecretExpiring
from shared.errors import Unavailable
from shared.runtime import envelope
from shared.runtime.secrets import MAX_AGE, NOTICE, Secrets


class Dating:
    """A source that knows when each secret was made; `ages` in days."""

    def __init__(self, source: Any, now: datetime) -> None:
        self._source = source
        self._now = now
        self.ages: dict[str, float] = {}

    async def read(self, name: str) -> tuple[str, ...]:
        return await self._source.read(name)

    def made_at(self, name: str) -> datetime | None:
        return self._now - timedelta(days=self.ages[name]) if name in self.ages else None


@pytest.fixture
def dating(scene: Scene) -> Dating:
    source = Dating(scene.services.secrets._source, scene.clock.now())
    scene.services.secrets._source = source
    return source


LIMIT = (MAX_AGE - NOTICE) / timedelta(days=1)


@pytest.mark.parametrize(("age", "warned"), [(0, False), (LIMIT - 0.01, False), (LIMIT, True), (400, True)])
async def test_a_secret_is_warned_of_from_two_weeks_before_its_limit(
    scene: Scene, dating: Dating, age: float, warned: bool
) -> None:
    dating.ages["RAILWAY-API"] = age
    await scene.services.secrets.value("RAILWAY-API")
    lines = scene.logged("a secret is about to expire")
    assert [(line["secret"], line["severity"], line["limit"]) for line in lines] == [
        ("RAILWAY-API", "WARNING", 90)
    ] * warned
    assert bool(scene.services.secrets.expiring()) is warned


async def test_it_is_logged_once_a_day_however_often_it_is_read(scene: Scene, dating: Dating) -> None:
    dating.ages["RAILWAY-API"] = 80
    for _ in range(48):
        await scene.services.secrets.value("RAILWAY-API")
        scene.services.secrets.clear()
        scene.pass_time(3600)
    assert len(scene.logged("a secret is about to expire")) in (2, 3)


async def test_a_rotated_secret_is_warned_of_no_more(scene: Scene, dating: Dating) -> None:
    dating.ages["RAILWAY-API"] = 80
    await scene.services.secrets.value("RAILWAY-API")
    dating.ages["RAILWAY-API"] = 0
    scene.services.secrets.clear()
    await scene.services.secrets.value("RAILWAY-API")
    assert scene.services.secrets.expiring() == []


async def test_the_sweep_tells_of_what_it_reads_once_a_day(scene: Scene, dating: Dating) -> None:
    dating.ages["github-app-private-key"] = 80
    await scene.services.secrets.value("github-app-private-key")
    for _ in range(3):
        await scene.sweep()
    await scene.settle()
    assert scene.told() == ["secret_expiring"]
    [told] = scene.n8n.notifications
    assert "github-app-private-key, made on 2026-09-03" in told["text"]
    assert "signalbox secrets rotate github-app-private-key" in told["text"]
    assert told["severity"] == "warning"

    scene.pass_time(86400)
    scene.services.secrets.clear()
    await scene.services.secrets.value("github-app-private-key")
    await scene.sweep()
    await scene.settle()
    assert scene.told() == ["secret_expiring"] * 2


async def test_webhooks_which_writes_no_documents_has_dispatch_tell(scene: Scene, dating: Dating) -> None:
    dating.ages["GITHUB-WEBHOOK-SECRET"] = 85
    for _ in range(3):
        scene.github.comment(REPOSITORY, scene.open_pull_request(), "/lock x", "grace")
        await scene.live(1)
    sent = [envelope.decode_event(one.data) for one in scene.bus.published if one.topic == "events"]
    assert sum(isinstance(one, SecretExpiring) for one in sent) == 1
    await scene.settle()
    assert scene.told() == ["secret_expiring"]


async def test_a_webhook_is_taken_though_nobody_can_be_told(scene: Scene, dating: Dating, monkeypatch: Any) -> None:
    dating.ages["GITHUB-WEBHOOK-SECRET"] = 85
    publish = scene.bus.publish

    async def without(topic: str, data: bytes, attributes: Any) -> str:
        if attributes.get("event") == "secret_expiring":
            raise Unavailable("down")
        return await publish(topic, data, attributes)

    monkeypatch.setattr(scene.bus, "publish", without)
    scene.open_pull_request()
    await scene.live(1)
    assert scene.logged("could not publish that a secret is about to expire")
    assert scene.services.secrets.expiring()


async def test_an_event_about_a_secret_that_is_not_used_says_nothing(scene: Scene) -> None:
    answer = await scene.happen(SecretExpiring(name="SOMETHING-ELSE", made_on="2026-01-01"))
    assert (answer.status_code, (await scene.target(TARGET)).owed) == (200, ())


@pytest.mark.parametrize("name", ["", "a b", "<b>", "x" * 300])
async def test_an_event_with_no_name_of_a_secret_is_unusable(scene: Scene, name: str) -> None:
    assert (await scene.happen(SecretExpiring(name=name, made_on="2026-01-01"))).status_code == 400


async def test_notify_tells_of_its_own(scene: Scene, dating: Dating) -> None:
    dating.ages["N8N-API"] = 80
    await scene.ship()
    scene.pass_time(60)
    await scene.settle()
    assert "secret_expiring" in scene.told()


async def test_a_source_that_knows_no_ages_warns_of_nothing(scene: Scene) -> None:
    secrets = Secrets(scene.services.secrets._source, scene.clock)
    await secrets.value("N8N-API")
    assert secrets.expiring() == []
