"""What each stage may touch stands in the signature of its handler, and agrees with the secrets that it is granted."""

import importlib
import inspect
from typing import Any

import pytest

from local import topology
from shared.core.run import Stage
from shared.core.target_config import RAILWAY_API
from shared.runtime.secrets import GITHUB_APP_PRIVATE_KEY

HANDLERS = {
    "merge": ("merge_when_ready", ["Claim", "GitHub", "WatchPatterns"]),
    "deploy": ("start_or_adopt", ["Claim", "Railway", "Probe"]),
    "monitor": ("follow", ["Claim", "Railway"]),
    "verify": ("look_and_judge", ["Claim", "Railway", "Probe"]),
    "rollback": ("go_back", ["Claim", "Railway"]),
}
SECRET_OF = {"GitHub": GITHUB_APP_PRIVATE_KEY, "Railway": RAILWAY_API, "WatchPatterns": RAILWAY_API}


def handler(name: str) -> Any:
    return getattr(importlib.import_module(f"functions.{name}.main"), HANDLERS[name][0])


def test_every_stage_is_listed() -> None:
    assert set(HANDLERS) == {stage.value for stage in Stage} - {"done"}


@pytest.mark.parametrize("name", HANDLERS)
def test_a_handler_takes_what_it_uses(name: str) -> None:
    parameters = inspect.signature(handler(name)).parameters.values()
    assert [parameter.annotation for parameter in parameters] == HANDLERS[name][1]


@pytest.mark.parametrize("name", HANDLERS)
def test_what_a_handler_takes_is_what_its_function_is_granted(name: str) -> None:
    [function] = [one for one in topology.load().functions if one.name == name]
    assert {SECRET_OF[taken] for taken in HANDLERS[name][1] if taken in SECRET_OF} == set(function.secrets)


@pytest.mark.parametrize("name", HANDLERS)
def test_only_the_door_opens_clients(name: str) -> None:
    """Services are handed to `handle`, which takes the clients out of them, and to nothing else of a stage."""
    module = importlib.import_module(f"functions.{name}.main")
    takers = {
        one
        for one, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and any(parameter.annotation == "Services" for parameter in inspect.signature(value).parameters.values())
    }
    assert takers == {"handle"}
