"""What is counted in the logs is what the functions log, and every count is shown or alerts somebody."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import PermissionDenied
from msgspec.structs import replace
from terraform.planning import Plan
from unit.functions.scene import Scene

from local.world.vendors import REPOSITORY
from shared.cloud.channel import explain
from shared.cloud.firestore import READS
from shared.core.run import Stage, Status
from shared.errors import SignalboxError
from shared.runtime import log

TERRAFORM = Path(__file__).parents[2] / "terraform"
_TERM = re.compile(
    r'(?P<negated>NOT )?(?P<field>[A-Za-z_.]+)(?P<operator>=~|>=|=)(?P<value>"(?:[^"\\]|\\.)*"|[A-Z]+|[0-9]+)'
)
_SEVERITIES = ["DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"]


def matches(filter: str, entry: dict[str, Any]) -> bool:
    """As Cloud Logging understands the part of its language that the filters are written in."""
    terms = filter.split(" AND ")
    parsed = [_TERM.fullmatch(term) for term in terms]
    assert all(parsed), f"beyond this test: {filter}"
    return all(_holds(term.groupdict(), entry) is not bool(term["negated"]) for term in parsed if term)


def _holds(term: dict[str, str], entry: dict[str, Any]) -> bool:
    value: Any = entry
    for part in term["field"].split("."):
        value = value.get(part) if isinstance(value, dict) else None
    wanted = term["value"] if term["value"].isalpha() else json.loads(term["value"])
    match term["operator"]:
        case "=":
            return bool(value == wanted)
        case "=~":
            return isinstance(value, str) and re.search(wanted, value) is not None
    return _SEVERITIES.index(str(value)) >= _SEVERITIES.index(wanted)


def entry(line: dict[str, Any], function: str) -> dict[str, Any]:
    """As Cloud Run makes it of a line: the severity goes from the payload to the entry."""
    payload = {name: value for name, value in line.items() if name not in ("severity", "timestamp")}
    labels = {"service_name": f"signalbox-{function}"}
    resource = {"type": "cloud_run_revision", "labels": labels}
    return {"resource": resource, "severity": line["severity"], "jsonPayload": payload}


async def failed(scene: Scene) -> str:
    """The pull request was closed."""
    scene.github.close(REPOSITORY, scene.open_pull_request())
    assert (await scene.execute(scene.new_run(Stage.MERGE))).status is Status.FAILED
    return "merge"


async def succeeded(scene: Scene) -> str:
    run = scene.new_run(Stage.VERIFY)
    deployment = await scene.deployed()
    await scene.hold_target(run)
    verified = await scene.execute(replace(run, deployment=deployment))
    scene.pass_time(60)
    assert verified.status is Status.WAITING
    await scene.wake("verify", run.id)
    assert (await scene.run(run.id)).status is Status.SUCCEEDED
    return "verify"


async def swept(scene: Scene) -> str:
    assert (await scene.sweep()).is_success
    return "sweep"


async def denied(scene: Scene) -> str:
    """As the store itself says it, when Google says so."""
    error = explain(PermissionDenied("missing permission"), "Firestore get run-1", READS)

    async def refuse(*_: Any, **__: Any) -> None:
        raise error

    scene.store.get = refuse  # type: ignore[method-assign]
    assert isinstance(error, SignalboxError)
    assert (await scene.wake("merge", "run-1")).status_code == 503
    return "merge"


async def accepted(scene: Scene) -> str:
    scene.open_pull_request()
    await scene.github.tick()
    return "webhooks"


async def unsigned(scene: Scene) -> str:
    assert (await scene.web.post("/github-webhook", content=b"{}")).status_code == 401
    return "webhooks"


async def commanded(scene: Scene) -> str:
    assert (await scene.happen(scene.say(scene.open_pull_request(), "/deploy", "mallory"))).is_success
    return "dispatch"


async def complained(_: Scene) -> str:
    log.error("it does not work")
    return "deploy"


async def aging(scene: Scene) -> str:
    made = scene.clock.now() - timedelta(days=80)
    scene.services.secrets._source = Dating(scene.services.secrets._source, made)
    await scene.services.secrets.value("N8N-API")
    return "notify"


class Dating:
    """A source whose every secret was made at that time."""

    def __init__(self, source: Any, made: datetime) -> None:
        self._source = source
        self._made = made

    async def read(self, name: str) -> tuple[str, ...]:
        return await self._source.read(name)  # type: ignore[no-any-return]

    def made_at(self, _: str) -> datetime:
        return self._made


HAPPENINGS: dict[str, Callable[[Scene], Any]] = {
    "secrets_expiring": aging,
    "commands_refused": commanded,
    "errors": complained,
    "failed_runs": failed,
    "store_denied": denied,
    "succeeded_runs": succeeded,
    "sweeps": swept,
    "webhooks_accepted": accepted,
    "webhooks_refused": unsigned,
}


def counted(plan: Plan) -> dict[str, str]:
    return {str(one.key): one.values["filter"] for one in plan.of("google_logging_metric")}


@pytest.mark.parametrize("metric", HAPPENINGS)
async def test_what_happens_is_counted_once_by_its_metric(plans: dict[str, Plan], scene: Scene, metric: str) -> None:
    filter = counted(plans["ordinary"])[metric]
    function = await HAPPENINGS[metric](scene)
    entries = [entry(line, function) for line in scene.logged()]
    assert sum(matches(filter, one) for one in entries) == 1
    others = [one | {"resource": {"type": "cloud_run_revision", "labels": {"service_name": "else"}}} for one in entries]
    assert not any(matches(filter, one) for one in others)


def test_a_metric_counts_each_way_that_a_run_ends_and_nothing_is_left_untried(plans: dict[str, Plan]) -> None:
    filters = counted(plans["ordinary"])
    for status in (Status.SUCCEEDED, Status.FAILED, Status.ROLLED_BACK):
        line = {"severity": "INFO", "logger": "signalbox", "message": "…", "status": status.value}
        assert [name for name in filters if matches(filters[name], entry(line, "verify"))] == [f"{status}_runs"]
    assert set(filters) == {*HAPPENINGS, "rolled_back_runs"}


@pytest.mark.parametrize(("status", "errors"), [(500, ["errors"]), (503, [])])
def test_a_message_asked_for_once_more_is_no_error(plans: dict[str, Plan], status: int, errors: list[str]) -> None:
    """Cloud Run logs a line of its own for each request."""
    line = entry({"severity": "ERROR"}, "merge") | {"httpRequest": {"status": status}}
    filters = counted(plans["ordinary"])
    assert [name for name in filters if matches(filters[name], line)] == errors


def test_every_metric_is_shown_or_alerts(plans: dict[str, Plan]) -> None:
    plan = plans["ordinary"]
    shown = plan.only("google_monitoring_dashboard").values["dashboard_json"]
    alerting = json.dumps([one.values["conditions"] for one in plan.of("google_monitoring_alert_policy")])
    for one in plan.of("google_logging_metric"):
        assert f"user/{one.values['name']}\\" in shown + alerting


def test_the_dashboard_is_laid_out_without_overlap(plans: dict[str, Plan]) -> None:
    tiles = json.loads(plans["ordinary"].only("google_monitoring_dashboard").values["dashboard_json"])
    places = [(tile.get("xPos", 0), tile.get("yPos", 0)) for tile in tiles["mosaicLayout"]["tiles"]]
    assert len(set(places)) == len(places) == 8
    assert all(
        x + tile["width"] <= tiles["mosaicLayout"]["columns"]
        for (x, _), tile in zip(places, tiles["mosaicLayout"]["tiles"], strict=True)
    )


def leaves(value: Any) -> Iterator[Any]:
    """What there is at the ends of a JSON document, empty lists and objects too."""
    inside = list(value.values()) if isinstance(value, dict) else value
    if isinstance(inside, list) and inside:
        yield from (leaf for one in inside for leaf in leaves(one))
    else:
        yield value


def test_the_dashboard_says_nothing_that_google_leaves_out_of_its_answer(plans: dict[str, Plan]) -> None:
    """Or every plan would change it (hashicorp/terraform-provider-google, issue 16173)."""
    said = plans["ordinary"].only("google_monitoring_dashboard").values["dashboard_json"]
    assert [leaf for leaf in leaves(json.loads(said)) if not leaf] == []


def test_an_alert_waits_until_its_metric_is_known() -> None:
    written = (TERRAFORM / "monitoring.tf").read_text(encoding="utf-8")
    policies = written.split('\nresource "google_monitoring_alert_policy" ')[1:]
    assert len(policies) == 2
    assert all("  depends_on = [terraform_data.metrics_are_known]\n}" in policy for policy in policies)


def test_alerts_tell_by_mail_whom_they_are_given(plans: dict[str, Plan]) -> None:
    assert not list(plans["ordinary"].of("google_monitoring_notification_channel"))
    [channel] = plans["everything"].of("google_monitoring_notification_channel")
    assert channel.values["labels"] == {"email_address": "ada@acme.test"}
    policies = list(plans["everything"].of("google_monitoring_alert_policy"))
    assert len(policies) == 7
    assert all(one.values["documentation"][0]["content"] for one in policies)
