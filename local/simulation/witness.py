"""Sees everything that happens, remembers what the invariants need, and holds each step against them."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from local.simulation import invariants
from local.simulation.bus import Published
from local.simulation.execution import NOBODY, START, Execution, current
from local.simulation.place import Vendors
from local.simulation.store import MemoryStore
from local.simulation.wire import host_of, path_of
from local.world.railway.deployment import Deployment
from local.world.vendors import REPOSITORY
from shared.clients.http import Request
from shared.core import events
from shared.core.run import Run
from shared.core.target import Target
from shared.runtime import envelope
from shared.runtime.config import Config
from shared.runtime.ports import Document


class Violation(Struct, frozen=True):
    """What did not hold, when, and in what way."""

    invariant: str
    at: float
    detail: str


class Step(Struct, frozen=True):
    """One thing that happened: who did what."""

    at: float
    who: str
    what: str

    def __str__(self) -> str:
        minutes, seconds = divmod(self.at, 60)
        return f"{int(minutes):4d}:{seconds:06.3f}  {self.who:<44} {self.what}"


class Told(Struct, frozen=True):
    """A notification as n8n took it."""

    key: str
    execution: Execution
    at: float


class Made(Struct, frozen=True):
    """A deployment, and which execution asked for it (NOBODY: people, or Railway itself)."""

    deployment: Deployment
    execution: Execution
    at: float


class Witness:
    """`violations`: what did not hold, in order. `steps`: all that happened."""

    def __init__(self, configured: Config, refused_all_day: str | None = None) -> None:
        self.configured = configured
        self.refused_all_day = refused_all_day
        """The function that Railway refuses everything; all other refusals pass."""
        self.store = MemoryStore(self.committed)
        self.steps: list[Step] = []
        self.violations: list[Violation] = []
        self.stages: defaultdict[str, set[str]] = defaultdict(set)
        """The stages that each run was ever saved at."""
        self.claims: Counter[str] = Counter()
        """Claims of each run since its last other commit."""
        self.made: list[Made] = []
        self.told: list[Told] = []
        self.recorded: dict[tuple[str, str], float] = {}
        """When each notification of a run was first recorded as told, or given up."""
        self.enqueued: dict[str, datetime] = {}
        """When each run first stood in a queue."""
        self.merges: list[tuple[int, str, Execution]] = []
        self.coming: set[str] = set()
        """Heads on which CI is about to begin."""
        self.asked: dict[str, str] = {}
        """The head that each run was begun for."""
        self.lost: Counter[tuple[str, str]] = Counter()
        """Changes at GitHub of which the teller of a run never learned, by run and by what was made."""
        self.accepted: dict[bytes, events.Event] = {}
        """Events that were made durable."""
        self.dead: list[Published] = []
        self.foreign: set[str] = set()
        """What was merged in a repository that took the name of ours over."""
        self.refused: set[int] = set()
        """Comments whose commands were refused, as the log says."""
        self.looked: set[str] = set()
        """Runs that looked at their application, and had an answer."""
        self.paused: dict[str, float] = {}
        """Since when each target is paused."""
        self.unread_files: set[str] = set()
        """Runs that could not read all of what their merge changes."""
        self._vendors: Vendors | None = None
        self._time = asyncio.get_running_loop().time

    def watch(self, vendors: Vendors) -> None:
        self._vendors = vendors
        vendors.github.on_merge.append(self._pushed)

    @property
    def vendors(self) -> Vendors:
        if self._vendors is None:
            raise AssertionError("nothing to watch yet")
        return self._vendors

    @property
    def now(self) -> float:
        return self._time()

    def note(self, who: str, what: str) -> None:
        self.steps.append(Step(self.now, who, what))

    def check(self, found: Sequence[tuple[str, str]]) -> None:
        self.violations += [Violation(name, self.now, detail) for name, detail in found]

    # What is shown to it

    def committed(self, execution: Execution, changes: Sequence[tuple[Document | None, Document]]) -> None:
        for before, after in changes:
            self.note(execution.name, _described(before, after))
            if isinstance(after, Run):
                self.stages[after.id].add(after.stage)
                if after.pull_request is not None:
                    self.asked.setdefault(after.id, after.pull_request.head_sha)
                claimed = after.lease is not None and (not isinstance(before, Run) or before.lease != after.lease)
                same_worker = isinstance(before, Run) and _owner(before) == _owner(after)
                if claimed and not same_worker:
                    self.claims[after.id] += 1
                elif not isinstance(before, Run) or _progress(before) != _progress(after):
                    self.claims[after.id] = 0
        self._follow_pauses([after for _, after in changes if isinstance(after, Target)])
        for before, after in changes:
            if isinstance(after, Run):
                self._follow_telling(execution, before, after)
            self.check(invariants.commit(self, execution, before, after))
            for entry in after.queue if isinstance(after, Target) else ():
                self.enqueued.setdefault(entry.run_id, START + timedelta(seconds=self.now))

    def _follow_pauses(self, written: Sequence[Target]) -> None:
        for target in written:
            if target.pause is None:
                self.paused.pop(target.id, None)
            else:
                self.paused.setdefault(target.id, self.now)

    def _follow_telling(self, execution: Execution, before: Document | None, after: Run) -> None:
        earlier = before.notify_lease if isinstance(before, Run) else None
        if after.notify_lease is not None and after.notify_lease != earlier:
            execution.claimed = self.now
        for key in after.notified:
            self.recorded.setdefault((after.id, key), self.now)

    def published(self, execution: Execution, message: Published) -> None:
        self.note(execution.name, f"publishes {message.topic} #{message.id} {_about(message.data)}")
        if message.topic == "events":
            self.accepted[message.data] = envelope.decode_event(message.data)
        self.check(invariants.message(self, execution, message))

    def logged(self, line: str) -> None:
        self.check(invariants.line(line))
        if '"command refused"' in line:
            self.refused.add(msgspec.json.decode(line)["comment"])

    def called(self, execution: Execution, request: Request) -> None:
        """After a call that reached a vendor."""
        self.note(execution.name, f"calls {request.method} {host_of(request)}{path_of(request)}")
        if execution.function == "verify" and self.vendors.is_application(host_of(request)):
            self.looked.add(execution.about)
        self.check(invariants.call(self, execution, host_of(request)))
        self.check(invariants.called(self))
        self.look(execution)

    def look(self, execution: Execution = NOBODY) -> None:
        """See what is new at the vendors."""
        for deployment in self.vendors.railway.created[len(self.made) :]:
            made = Made(deployment, execution, self.now)
            self.made.append(made)
            what = f"deployment {deployment.id[:8]} of {deployment.commit_sha[:7]} to {deployment.service.name}"
            self.note(execution.name, f"{what} ({deployment.source})")
            if deployment.source == "API":
                self.check(invariants.deployment(self, made))
        for payload in self.vendors.n8n.notifications[len(self.told) :]:
            told = Told(str(payload["key"]), execution, self.now)
            self.check(invariants.notification(self, told, msgspec.json.encode(payload)))
            self.told.append(told)
            self.note(execution.name, f"n8n is told {told.key}")

    def _pushed(self, repository: str, sha: str, branch: str) -> None:
        execution = current.get()
        own = self.vendors.repository
        if repository != own.full_name:
            self.foreign.add(sha)
            return
        _, number, _ = self.vendors.github.merges[-1]
        self.merges.append((number, sha, execution))
        self.note(execution.name, f"#{number} is merged as {sha[:7]}")
        if execution is not NOBODY:
            self.check(invariants.merge(self, execution, own.pulls[number]))
        self.vendors.railway.push(REPOSITORY, branch, sha, self.vendors.github.merged_files(repository, sha))
        self.look()

    def troubled(self, execution: Execution, request: Request) -> None:
        """A change whose caller will not know what became of it."""
        self.lost[execution.about, path_of(request).rpartition("/")[2]] += 1

    def blurred(self, execution: Execution, request: Request) -> None:
        """A list of which not every entry can be read."""
        if path_of(request).endswith("/files"):
            self.unread_files.add(execution.about)

    # What the invariants ask

    def run(self, id: str) -> Run | None:
        return self.store.peek(Run, id)

    def target(self, id: str) -> Target:
        return self.store.peek(Target, id) or Target(id=id)

    def dead_letters(self) -> list[Published]:
        return self.dead

    def runs(self) -> list[Run]:
        return self.store.all(Run)


def _owner(run: Run) -> str | None:
    return run.lease.owner if run.lease else None


def _progress(run: Run) -> object:
    """What a stage's own result changes: a run that waits has got somewhere, one that is tried again has not."""
    return run.stage, run.attempts if run.attempts == 0 else 1, run.status.terminal


def _about(data: bytes) -> str:
    return data.decode()[:120]


def _described(before: Document | None, after: Document) -> str:
    if isinstance(after, Run):
        owner = after.lease.owner if after.lease else "nobody"
        verb = "updates" if before else "creates"
        last = after.history[-1].message if after.history else ""
        return f"{verb} {after.id}: {after.stage}/{after.status} lease {owner} owed {len(after.owed)} · {last}"
    waiting = ",".join(entry.run_id for entry in after.queue)
    return f"updates {after.id}: active {after.active} queue [{waiting}] lock {after.lock is not None}"
