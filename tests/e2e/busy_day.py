"""A busy day: vendors with several repositories, people with many pull requests, and every webhook's fate."""

import asyncio
import itertools
import random
from collections.abc import Iterator, Mapping

import httpx
from msgspec import Struct

from functions.webhooks import github
from local.emulation.vendors import ServedVendors
from shared.core.events import Event
from shared.core.target_config import TargetConfig

BRANCHES = {"production": "main", "staging": "staging"}
RULES = """
[policy]
health_path = "/health"
commit_field = "commit"
health_timeout = 4
bake = 1
settle = 1
poll = 1
merge_deadline = 300
deploy_deadline = 300
monitor_deadline = 300
verify_deadline = 300
rollback_deadline = 300
"""
STORIES = ("command", "merge", "twice", "command", "merge", "stranger", "command", "red", "merge", "closed")
"""How a pull request goes on: told to be deployed (once, or twice, or by one who may not), merged by hand, …"""
FATES: tuple[dict[str, str], ...] = ({}, {}, {}, {"health": "failing"}, {}, {}, {"build": "fail"})
"""What becomes of the next deployment of a pull request's service, in turn."""


def configuration(repositories: int, n8n: str) -> str:
    """signalbox.toml with two targets for each repository."""
    text = [RULES, f'[n8n]\nurl = "{n8n}"\n']
    for number in range(repositories):
        service = f'repositories."acme/shop-{number}".services.web'
        text.append(f'[{service}]\nproject_id = "project-{number}"\nservice_id = "service-{number}"\n')
        for name, branch in BRANCHES.items():
            text.append(f'[{service}.environments.{name}]\nenvironment_id = "{name}-{number}"\nbranch = "{branch}"\n')
    return "\n".join(text)


def furnish(vendors: ServedVendors, serving_commit: str) -> None:
    """Every configured repository with its people and rules, and every service with an application that answers."""
    vendors.furnish(serving_commit=serving_commit)
    for target in vendors.configured.targets:
        vendors.github.require_checks(target.repository, target.branch, ["test"])


class Sent(Struct):
    """One webhook on its way to us. `status` is None where nobody answered."""

    vendor: str
    guid: str
    event: str
    body: bytes
    status: int | None = None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Senders:
    """GitHub's and Railway's machines that send webhooks: some of GitHub's arrive twice, or once more later."""

    def __init__(self, url: str, vendors: ServedVendors, chance: random.Random, *, patient: bool) -> None:
        """`patient`: nobody presses "Redeliver" on GitHub for what was not taken."""
        self.sent: list[Sent] = []
        self._url = url
        self._vendors = vendors
        self._chance = chance
        self._patient = patient
        self._client = httpx.AsyncClient(timeout=10.0, trust_env=False)
        vendors.github.webhooks.deliver = self._from_github
        vendors.railway.deliver = self._from_railway

    @property
    def from_github(self) -> list[Sent]:
        return [sent for sent in self.sent if sent.vendor == "github"]

    @property
    def unanswered(self) -> int:
        return sum(sent.status is None for sent in self.sent)

    def accepted(self) -> Iterator[Event]:
        """What those that we took are about, each once."""
        unique = {sent.guid: sent for sent in self.from_github if sent.accepted}
        for sent in unique.values():
            if github.listened_to(sent.event, sent.body):
                event = github.normalise(sent.event, sent.body)
                if event is not None:
                    yield event

    def never_accepted(self) -> set[str]:
        """The guids of GitHub's webhooks that we have not taken yet."""
        return {sent.guid for sent in self.from_github} - {sent.guid for sent in self.from_github if sent.accepted}

    async def close(self) -> None:
        await self._client.aclose()

    async def _from_github(self, headers: dict[str, str], body: bytes) -> int:
        """The worst of the answers; raises httpx.TransportError where one of the copies had none."""
        guid, event = headers["X-GitHub-Delivery"], headers["X-GitHub-Event"]
        copies = [Sent("github", guid, event, body) for _ in range(self._chance.choice((1, 1, 1, 2)))]
        statuses = await asyncio.gather(
            *(self._post("/github-webhook", headers, sent) for sent in copies), return_exceptions=True
        )
        taken = all(sent.accepted for sent in copies)
        if self._chance.random() < 0.1 if taken else not self._patient:
            asyncio.get_running_loop().call_later(self._chance.uniform(0.5, 3), self._once_more, guid)
        return _worst(statuses)

    async def _from_railway(self, headers: Mapping[str, str], body: bytes) -> int:
        return await self._post("/railway-webhook", headers, Sent("railway", "", "", body))

    async def _post(self, path: str, headers: Mapping[str, str], sent: Sent) -> int:
        self.sent.append(sent)
        answer = await self._client.post(f"{self._url}{path}", headers=headers, content=sent.body)
        sent.status = answer.status_code
        return answer.status_code

    def _once_more(self, guid: str) -> None:
        """Somebody presses "Redeliver" on GitHub."""
        webhooks = self._vendors.github.webhooks
        attempt = next((one for one in webhooks.attempts() if one.webhook.guid == guid), None)
        if attempt is not None:
            webhooks.repeat(attempt.id)


def _worst(answers: list[int | BaseException]) -> int:
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return max(answer for answer in answers if isinstance(answer, int))


class People:
    """Everybody with a pull request, all at once, within so many seconds."""

    def __init__(self, vendors: ServedVendors, places: tuple[TargetConfig, ...], chance: random.Random) -> None:
        self._github = vendors.github
        self._railway = vendors.railway
        self._places = places
        self._chance = chance

    async def work(self, pulls: int, seconds: float) -> None:
        starts = sorted(self._chance.uniform(0, seconds * 0.8) for _ in range(pulls))
        in_turn = zip(itertools.cycle(STORIES), itertools.cycle(FATES), itertools.cycle(self._places), starts)
        async with asyncio.TaskGroup() as group:
            for number, (story, fate, place, start) in enumerate(itertools.islice(in_turn, pulls)):
                group.create_task(self._live_through(number, story, fate, place, start, seconds * 0.2))

    async def _live_through(
        self, number: int, story: str, fate: dict[str, str], place: TargetConfig, start: float, seconds: float
    ) -> None:
        """One pull request: opened, pushed to, checked, and then its story."""
        pauses = [self._chance.uniform(0, seconds / 3) for _ in range(3)]
        await asyncio.sleep(start)
        repository = place.repository
        pull = self._github.open_pull_request(
            repository, title=f"Change {number}", author="ada", branch=f"change-{number}", base=place.branch
        )
        self._github.report_check(repository, pull, "test", None)
        await asyncio.sleep(pauses[0])
        self._github.push(repository, pull)
        self._github.report_check(repository, pull, "test", None)
        self._github.comment(repository, pull, "looks good to me", "grace")
        await asyncio.sleep(pauses[1])
        self._github.report_check(repository, pull, "lint", "success")
        self._github.report_check(repository, pull, "test", "failure" if story == "red" else "success")
        self._github.review(repository, pull, "approved", "grace")
        await asyncio.sleep(pauses[2])
        if fate:
            self._railway.plan(place.service_id, **fate)
        self._conclude(repository, pull, story)

    def _conclude(self, repository: str, pull: int, story: str) -> None:
        match story:
            case "command" | "red":
                self._github.comment(repository, pull, "/deploy", "grace")
            case "twice":
                self._github.comment(repository, pull, "/deploy", "grace")
                self._github.comment(repository, pull, "/deploy", "ada")
            case "stranger":
                self._github.comment(repository, pull, "/deploy", "mallory")
                self._github.comment(repository, pull, "/deploy", "grace")
            case "merge":
                self._github.merge(repository, pull, "ada")
            case "closed":
                self._github.close(repository, pull)
                self._github.comment(repository, pull, "/deploy", "grace")
