"""Secrets: read once in five minutes, masked from then on, forgotten when a vendor refuses them."""

from datetime import UTC, datetime

import pytest

from local.emulation.secrets import EnvironmentSecrets
from local.world.clock import VirtualClock
from shared.errors import SecretMissing, Unavailable
from shared.runtime.clock import SystemClock
from shared.runtime.redaction import MASK, redact
from shared.runtime.secrets import LIFETIME, NAMES, Secrets


class Source:
    def __init__(self, *values: str) -> None:
        self.values = values
        self.reads: list[str] = []
        self.down = False

    async def read(self, name: str) -> tuple[str, ...]:
        self.reads.append(name)
        if self.down:
            raise Unavailable("secret manager")
        return self.values


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 7, 1, tzinfo=UTC))


async def test_a_secret_is_read_once_in_its_lifetime(clock):
    source = Source("newest-value", "older-value")
    secrets = Secrets(source, clock)

    assert await secrets.values("N8N-API") == ("newest-value", "older-value")
    clock.advance(LIFETIME.total_seconds() - 1)
    assert await secrets.value("N8N-API") == "newest-value"
    assert source.reads == ["N8N-API"]

    source.values = ("rotated-value",)
    clock.advance(1)
    assert await secrets.value("N8N-API") == "rotated-value"


async def test_each_secret_is_kept_by_its_name(clock):
    source = Source("one-value")
    secrets = Secrets(source, clock)

    await secrets.value("N8N-API")
    await secrets.value("RAILWAY-API")

    assert source.reads == ["N8N-API", "RAILWAY-API"]


async def test_after_clear_it_is_read_anew(clock):
    source = Source("first-value")
    secrets = Secrets(source, clock)
    await secrets.value("N8N-API")
    source.values = ("second-value",)

    secrets.clear()

    assert await secrets.value("N8N-API") == "second-value"


async def test_every_value_read_is_masked(clock):
    await Secrets(Source("newest-value", "older-value"), clock).value("N8N-API")

    assert redact("newest-value older-value") == f"{MASK} {MASK}"


async def test_the_newline_of_a_pasted_value_is_no_part_of_it(clock):
    assert await Secrets(Source("the-value\n", "\n"), clock).values("N8N-API") == ("the-value",)


@pytest.mark.parametrize("values", [(), ("",), (" \n",)])
async def test_a_secret_without_a_value_is_missing(clock, values):
    with pytest.raises(SecretMissing, match="N8N-API"):
        await Secrets(Source(*values), clock).value("N8N-API")


async def test_a_failure_is_not_remembered(clock):
    source = Source("the-value")
    secrets = Secrets(source, clock)
    source.down = True
    with pytest.raises(Unavailable):
        await secrets.value("N8N-API")
    source.down = False

    assert await secrets.value("N8N-API") == "the-value"


# Out of the environment


@pytest.mark.parametrize("name", NAMES)
async def test_a_secret_is_the_variable_of_its_name(name):
    environ = {name.upper().replace("-", "_"): "the-value"}

    assert await EnvironmentSecrets(environ).read(name) == ("the-value",)


@pytest.mark.parametrize("environ", [{}, {"GITHUB_APP_PRIVATE_KEY": ""}, {"GITHUB_APP_PRIVATE_KEY": " \n"}])
async def test_a_variable_that_is_not_set_names_itself(environ):
    with pytest.raises(SecretMissing, match=r"github-app-private-key.*GITHUB_APP_PRIVATE_KEY"):
        await EnvironmentSecrets(environ).read("github-app-private-key")


# Clocks


def test_a_virtual_clock_moves_when_told(clock):
    before = clock.now()
    assert clock.now() == before

    clock.advance(90)

    assert (clock.now() - before).total_seconds() == 90
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_the_system_clock_tells_utc():
    assert SystemClock().now().tzinfo is UTC
