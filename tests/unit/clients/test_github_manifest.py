"""The code of GitHub's manifest flow, given in for the App's credentials."""

from datetime import timedelta

import pytest
from unit.clients.test_github import BASE_URL, clock, key, world  # noqa: F401 - the fixtures

from local.github_app.manifest import manifest
from local.world.faults import Fault
from local.world.github.access import Problem
from shared.clients.github.manifest import NewApp, convert
from shared.clients.http import Network
from shared.errors import NotFound, UnknownOutcome
from shared.runtime.redaction import MASK, redact

MANIFEST = manifest(name="Signalbox Acme", homepage="https://github.com/acme", webhook=None, workflows=False)


@pytest.fixture
def network(world) -> Network:  # noqa: F811
    return world.app


async def test_a_code_is_converted_to_the_apps_credentials(world, network):  # noqa: F811
    made = await convert(world.manifests.register(MANIFEST), base_url=BASE_URL, network=network)
    assert (made.slug, made.html_url) == ("signalbox-acme", "https://github.com/apps/signalbox-acme")
    assert made.pem.startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert made.webhook_secret


async def test_its_secrets_are_masked_from_then_on(world, network):  # noqa: F811
    made = await convert(world.manifests.register(MANIFEST), base_url=BASE_URL, network=network)
    assert redact(f"got {made.webhook_secret}") == f"got {MASK}"
    assert repr(made) == "NewApp('signalbox-acme')"


async def test_an_app_without_a_webhook_has_no_secret_for_it(world, network):  # noqa: F811
    without = {name: value for name, value in MANIFEST.items() if name != "hook_attributes"}
    made: NewApp = await convert(world.manifests.register(without), base_url=BASE_URL, network=network)
    assert made.webhook_secret is None


async def test_a_code_is_good_for_one_time_within_an_hour(world, clock, network):  # noqa: F811
    used, old = world.manifests.register(MANIFEST), world.manifests.register(MANIFEST)
    await convert(used, base_url=BASE_URL, network=network)
    clock.time += timedelta(hours=1)
    for code in (used, old, "made-up", "../app"):
        with pytest.raises(NotFound):
            await convert(code, base_url=BASE_URL, network=network)


async def test_a_lost_answer_may_have_used_the_code_up(world, network):  # noqa: F811
    code = world.manifests.register(MANIFEST)
    world.app.faults.append(Fault(when="/app-manifests/", lost=True, after_effect=True))
    with pytest.raises(UnknownOutcome):
        await convert(code, base_url=BASE_URL, network=network)
    with pytest.raises(NotFound):
        await convert(code, base_url=BASE_URL, network=network)


@pytest.mark.parametrize("hook", [{"active": False}, {"url": "http://localhost:8080/github-webhook"}])
def test_what_github_does_not_take_for_a_webhook(world, hook):  # noqa: F811
    with pytest.raises(Problem):
        world.manifests.register(MANIFEST | {"hook_attributes": hook})
