"""A scenario of the demo, played on a virtual clock and told as a text: what people see of it, in order.

The scenarios are those of local/demo/scenarios.py; they play in the scene of the functions' tests.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, cast

from msgspec import Struct
from unit.functions.scene import API, STAGING, START, Published, opened
from unit.functions.scene import Scene as Functions

from local.demo import driver as demo
from local.demo.scenarios import Scenario
from local.emulation.host import Host
from local.world.vendors import REPOSITORY
from shared.core.run import Run

SLOWER = 30
"""The demo's seconds are so many here: ordinary lengths for a pace of five seconds."""
PATIENCE = 2 * 3600.0
_KNOWN = re.compile(
    r"(?P<commit>\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])(?:[0-9a-f]{40}|[0-9a-f]{7})\b)"
    r"|(?<=-pr\d-)(?P<run>[0-9a-f]{10})\b"
    r"|\b(?P<d>de91[0-9a-f]{4})(?:-[0-9a-f-]{27})?\b"
    r"|\b(?P<comment>1000\d{3})\b"
)


class Options(Struct, frozen=True):
    copies: int


class Stage(Functions):
    """The functions and vendors, as what the demo's scene takes for a host; `watch` is called after each message."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(serving_commit=demo.PREVIOUS_COMMIT)
        self.options = Options(scenario.copies)
        self.vendors = self
        self.watch: Callable[[], Any] | None = None
        self.blind = not scenario.reachable
        self.railway_service.auto_deploy = scenario.auto_deploy
        self.configure(
            bake=scenario.bake * SLOWER,
            settle=scenario.settle,
            verify_deadline=scenario.verify_deadline * SLOWER,
            auto_deploy="adopt" if scenario.auto_deploy else "off",
            deploy_label="ship it",
            **self._laid_out(scenario),
        )

    def _laid_out(self, scenario: Scenario) -> dict[str, Any]:
        """With what there is to deploy to beside production of `web`; the policy for it."""
        if scenario.layout == "in order":
            self.put_staging_first(serving_commit=demo.PREVIOUS_COMMIT)
            return {"more": STAGING.format(branch="main").replace("parallel = true", "")}
        if scenario.layout == "two services":
            self.add_api(serving_commit=demo.PREVIOUS_COMMIT)
            return {
                "more": API.replace('"service-api"', '"service-api"\npaths = ["api/**", "common/**"]'),
                "paths": ["web/**", "common/**"],
            }
        return {}

    async def _delivered(self, published: Published, attempt: int) -> bool:
        answers = [await super(Stage, self)._delivered(published, attempt) for _ in range(self.options.copies)]
        if self.watch is not None:
            await self.watch()
        return all(answers)


class Story(demo.Scene):
    """The demo's scene on the stage's clock, and what came of it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(cast(Host, stage), self._note)
        self._stage = stage
        self._seen: dict[object, str] = {}
        self._names = {demo.PREVIOUS_COMMIT[:7]: "commit-0"}
        self._named: Counter[str] = Counter()
        self.lines: list[str] = []
        stage.watch = self._look

    def say(self, message: str) -> None:
        self._note(demo.Line(self._stage.clock.now(), None, None, None, message, None))

    def merge(self, number: int, by: str = "ada") -> str:
        sha = super().merge(number, by)
        self._seen.update(self._effects())  # what people do themselves is said already
        return sha

    async def until(self, reached: Callable[[list[Run]], bool]) -> Run:
        patient_until = self._stage.clock.now().timestamp() + PATIENCE
        while self._stage.clock.now().timestamp() < patient_until:
            await self._stage.deliver()
            await self._look()
            runs = await self.runs()
            if runs and reached(runs):
                return runs[-1]
            await self._stage.go_on()
        raise TimeoutError(f"not reached within {PATIENCE:g} s")

    async def quiet(self) -> None:
        for _ in range(3):
            await self._stage.go_on()
            await self._stage.deliver()
        await self._look()

    async def end(self) -> None:
        """What holds at the end, and what was expected."""
        target = await self.target()
        lock, hold = target.lock, target.hold
        left = [
            f"in the end {self.serving_commit or 'nothing'} serves",
            *(f"the target is locked: {lock.reason}" for lock in [lock] if lock),
            *(f"the target is held: {hold.reason}" for hold in [hold] if hold),
            *(f"{one.commit_sha} is quarantined: {one.reason}" for one in target.quarantined),
            *(f"{run.id}: {run.status}" for run in await self.runs()),
        ]
        came_true = [f"{'✓' if one.held else '✗'} {one.text}" for one in self.expectations]
        self.lines += ["", *map(self._normal, left), "", *map(self._normal, came_true)]

    # What there is to tell

    def _note(self, line: demo.Line) -> None:
        what = f"{line.stage:<9} {line.status:<11} " if line.stage else ""
        self._tell_at(line.at, f"{what}{line.message}")

    async def _look(self) -> None:
        """Tell what is new: of the runs, and at the vendors."""
        for run in await self.runs():
            for at in range(self._told.get(run.id, 0), len(run.history)):
                entry = run.history[at]
                self._note(demo.Line(entry.at, run.id, entry.stage, entry.status, entry.message, None))
            self._told[run.id] = len(run.history)
        for key, text in self._effects():
            if self._seen.get(key) != text:
                self._seen[key] = text
                self._tell_at(self._stage.clock.now(), text)

    def _effects(self) -> Iterator[tuple[object, str]]:
        """Everything at the vendors that Signalbox brought about, under a key that stays."""
        github, railway = self.github, self.railway
        for _, number, sha in github.merges:
            yield ("merge", number), f"  GitHub: #{number} is merged as {sha[:7]}"
        for nth, (_, id, content) in enumerate(github.reactions):
            yield ("reaction", nth), f"  GitHub: reaction {content} to comment {id}"
        for made in railway.created:
            yield ("made", made.id), f"  Railway: {made.reason} of {made.commit_sha[:7]} as {made.id} by {made.source}"
        for deployment in github.deployments(REPOSITORY):
            for nth, status in enumerate(deployment.statuses):
                said = f"{status['state']}: {status['description']}"
                yield ("status", deployment.id, nth), f"  GitHub: deployment of {deployment.environment} is {said}"
        for id, comment in github.repository(REPOSITORY).comments.items():
            if comment.by_app:
                yield ("comment", id), f"  GitHub: comment on #{comment.pull}\n{_indented(comment.body)}"
        for nth, sent in enumerate(self.n8n.notifications):
            said = "\n".join(f"{name}: {sent[name]}" for name in ("text", "message", "next_step") if sent.get(name))
            yield ("n8n", nth), f"  n8n: {sent['event']} ({sent['severity']})\n{_indented(said)}"

    def _tell_at(self, at: datetime, text: str) -> None:
        seconds = int((at - START).total_seconds())
        first, *more = self._normal(text).split("\n")
        self.lines += [f"{seconds // 60:3}:{seconds % 60:02}  {first}".rstrip(), *(line.rstrip() for line in more)]

    def _normal(self, text: str) -> str:
        """Hashes and numbers by the order in which they came up: they say nothing, and change with everything."""
        return _KNOWN.sub(self._name, text)

    def _name(self, found: re.Match[str]) -> str:
        kind = str(found.lastgroup)
        key = found[kind][:7] if kind == "commit" else found[kind]
        if key not in self._names:
            self._named[kind] += 1
            self._names[key] = f"{kind}-{self._named[kind]}"
        return self._names[key]


def _indented(text: str) -> str:
    """Without a comment's timeline, which is told already, and its marker, which nobody sees."""
    lines = [line for line in text.split("\n") if line and not line.startswith(("|", "<!-- signalbox"))]
    return "\n".join(f"           | {line}" for line in lines)


async def tell(scenario: Scenario) -> str:
    """The scenario's story, with what it expected and whether that came true."""
    async with opened(functools.partial(Stage, scenario)) as stage:
        story = Story(stage)
        await scenario.play(story)
        await story.end()
        return "\n".join([f"{scenario.name}: {scenario.summary}", "", *story.lines]) + "\n"
