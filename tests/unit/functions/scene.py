"""A scene: the ten functions in this process, among simulated vendors, on a clock that only the test moves."""

import asyncio
import base64
import contextlib
import functools
import io
import json
import logging
import selectors
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from local import topology
from local.emulation.functions import Router
from local.emulation.secrets import EnvironmentSecrets
from local.emulation.store import SqliteStore
from local.world.application import Application
from local.world.clock import VirtualClock
from local.world.faults import Faulty
from local.world.vendors import (
    APP_ID,
    ENVIRONMENT,
    PROJECT,
    REPOSITORY,
    SERVICE,
    Keys,
    Vendors,
    made_up_secrets,
    make_keys,
    variable,
)
from shared.clients.http import Request, Response
from shared.core import events
from shared.core.outcome import Message
from shared.core.pipeline import begin
from shared.core.run import Deployment, Kind, PullRequest, Run, Stage, Status, Trigger, Verified
from shared.core.target import Target, target_id
from shared.errors import TransientError, Unavailable
from shared.runtime import config, envelope, log, services
from shared.runtime.ports import Backend, Create, Found, Query, Update
from shared.runtime.services import Services
from shared.runtime.settings import Settings

D = TypeVar("D", Run, Target)

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TARGET = target_id(REPOSITORY, "web", "production")
STAGING_TARGET = target_id(REPOSITORY, "web", "staging")
OLD, NEW, OTHER = "0" * 40, "a" * 40, "b" * 40
DOMAIN = "shop.up.railway.app"
CONSOLE = "https://console.test"
RAILWAY_PACE = 5.0

CONFIG = f"""
[policy]
{{policy}}

{{n8n}}

[repositories."{REPOSITORY}".services.web]
project_id = "{PROJECT}"
service_id = "{SERVICE}"

[repositories."{REPOSITORY}".services.web.environments.production]
environment_id = "{ENVIRONMENT}"
{{order}}
{{token}}

{{more}}
"""
STAGING = f"""
[repositories."{REPOSITORY}".services.web.environments.staging]
environment_id = "environment-staging"
branch = "{{branch}}"
parallel = true
"""
API = f"""
[repositories."{REPOSITORY}".services.api]
project_id = "{PROJECT}"
service_id = "service-api"

[repositories."{REPOSITORY}".services.api.environments.production]
environment_id = "{ENVIRONMENT}"
"""
"""A second service of the repository."""
POLICY = {"commit_field": "commit", "bake": 30, "poll": 10, "failure_threshold": 2, "settle": 0}


class Crash(BaseException):
    """The process dies here: nothing of ours may catch it."""


class Published(Struct, frozen=True):
    """A message as it was handed to the bus."""

    topic: str
    data: bytes
    attributes: dict[str, str]

    @property
    def about(self) -> tuple[str, str]:
        """The topic, and the run or target."""
        message = msgspec.json.decode(self.data, type=Message)
        return self.topic, message.run_id or message.target_id or ""


Incident = BaseException | Callable[[], Awaitable[None]]


class Incidents:
    """What happens around the calls of a double, by how many calls from now on."""

    def __init__(self) -> None:
        self._calls = 0
        self._planned: defaultdict[tuple[int, bool], list[Incident]] = defaultdict(list)

    def before(self, nth: int, incident: Incident) -> None:
        self._planned[self._calls + nth, False].append(incident)

    def after(self, nth: int, incident: Incident) -> None:
        self._planned[self._calls + nth, True].append(incident)

    @property
    def happened(self) -> bool:
        """Whether all that was planned has come about."""
        return not self._planned

    async def around(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self._calls += 1
        now = self._calls
        await self._happen(now, False)
        answer = await call()
        await self._happen(now, True)
        return answer

    async def _happen(self, now: int, afterwards: bool) -> None:
        for incident in self._planned.pop((now, afterwards), ()):
            if isinstance(incident, BaseException):
                raise incident
            await incident()


class RecordingBus:
    """The Bus that keeps what it is handed in `published`; `down`: it refuses everything; `slow`: seconds it takes."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self.down = False
        self.slow = 0.0
        self.incidents = Incidents()
        self.closed = False

    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        async def append() -> str:
            self.published.append(Published(topic, data, dict(attributes)))
            return str(len(self.published))

        if self.down:
            raise TransientError("the bus is down")
        if self.slow:
            await asyncio.sleep(self.slow)
        return str(await self.incidents.around(append))

    async def close(self) -> None:
        self.closed = True

    def take(self) -> list[Published]:
        """What was published since the last time."""
        taken, self.published = self.published, []
        return taken


class ScriptedStore:
    """SQLite's store, whose commits meet `incidents`; `down`: it cannot be reached; `reads`: of single documents."""

    def __init__(self) -> None:
        self.real = SqliteStore(":memory:")
        self.down = False
        self.incidents = Incidents()
        self.commits = 0
        self.reads = 0

    async def get(self, kind: type[D], id: str) -> Found[D] | None:
        self._reach()
        self.reads += 1
        return await self.real.get(kind, id)

    async def commit(self, *writes: Create | Update) -> tuple[Any, ...]:
        self._reach()
        self.commits += 1
        return tuple(await self.incidents.around(lambda: self.real.commit(*writes)))

    async def query(self, query: Query[D]) -> Sequence[Found[D]]:
        self._reach()
        return await self.real.query(query)

    async def close(self) -> None:
        await self.real.close()

    def _reach(self) -> None:
        if self.down:
            raise Unavailable("the store is down")


class Scene:
    """Everything a test needs to say what is given and to see what came of it."""

    def __init__(self, *, serving_commit: str = OLD) -> None:
        self.clock = VirtualClock(START)
        self.store = ScriptedStore()
        self.bus = RecordingBus()
        self.keys = _keys()
        self.secrets = {**_values(), "GITHUB_APP_PRIVATE_KEY": self.keys.private}
        configured = _config(POLICY)
        self.vendors = Vendors(
            configured,
            self.secrets,
            clock=self.clock,
            deliver=self._deliver,
            pace=RAILWAY_PACE,
            public_key=self.keys.public,
        )
        self.vendors.add_services(serving_commit=serving_commit, domain=lambda _: DOMAIN)
        self.vendors.push_what_is_merged()
        self.github, self.railway, self.n8n = self.vendors.github, self.vendors.railway, self.vendors.n8n
        self.railway_service = self.railway.service(SERVICE, ENVIRONMENT)
        self.application = Faulty(self.vendors.applications[TARGET].handle)
        self.token_secret: str | None = None
        """What signalbox.toml names as the secret of production's project token."""
        self.order = "parallel = true"
        """How signalbox.toml puts production among the environments."""
        self.others: dict[str, Faulty] = {}
        """Applications beside the first, by how their hosts begin."""
        self.blind = False
        """The prober cannot reach anything."""
        self.services = Services(
            Settings(github_app_id=APP_ID, signalbox_console_url=CONSOLE),
            configured,
            Backend(store=self.store, bus=self.bus, secrets=EnvironmentSecrets(self.secrets), clock=self.clock),
            networks={
                "github": self.github.app,
                "railway": self.railway.app,
                "n8n": self.n8n.app,
                "probe": self._visit,
            },
        )
        self.log = io.StringIO()
        self.dead: list[Published] = []
        """Messages given up after their last attempt."""
        self._again: list[tuple[float, int, Published]] = []
        """When to deliver once more, the attempt, and what."""
        self._next_sweep = START.timestamp() + 60
        services.install(self.services)
        self.functions = _functions()
        self.web = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.functions), base_url="http://functions.test"
        )

    def configure(self, *, n8n: bool = True, more: str = "", paths: Sequence[str] | None = None, **policy: Any) -> None:
        """A new signalbox.toml, with these rules on top of the scene's own; None takes one away."""
        self.services.config = _config(
            POLICY | policy, n8n=n8n, more=more, token=self.token_secret, paths=paths, order=self.order
        )

    def use_project_token(self, secret: str = "RAILWAY-PRODUCTION") -> None:
        """For production, in a secret of its own."""
        self.hold_project_token(secret)
        self.token_secret = secret
        self.configure()

    def put_staging_first(self, policy: str = "", *, serving_commit: str = OLD, **rules: Any) -> None:
        """Before production, on the same branch. `policy` is staging's own, `rules` are those of all."""
        self.order = 'after = "staging"'
        self.configure(more=STAGING.format(branch="main").replace("parallel = true", policy), **rules)
        staging = self.services.config.target(STAGING_TARGET)
        self.railway.add_service(
            project_id=PROJECT,
            environment_id=staging.environment_id,
            environment_name="staging",
            service_id=SERVICE,
            name="web",
            repository=REPOSITORY,
            domain=f"staging.{DOMAIN}",
            serving_commit=serving_commit,
        )
        application = Application(self.railway, service_id=SERVICE, environment_id=staging.environment_id)
        self.others["staging"] = Faulty(application.handle)

    def add_api(self, *, serving_commit: str = OLD) -> None:
        """Another service of the repository, in the same environment, as API has it in signalbox.toml."""
        self.railway.add_service(
            project_id=PROJECT,
            environment_id=ENVIRONMENT,
            service_id="service-api",
            name="api",
            repository=REPOSITORY,
            domain=f"api.{DOMAIN}",
            serving_commit=serving_commit,
        )
        application = Application(self.railway, service_id="service-api", environment_id=ENVIRONMENT)
        self.others["api"] = Faulty(application.handle)

    def hold_project_token(self, secret: str, environment_id: str = ENVIRONMENT) -> None:
        """The secret holds a project token, which opens that environment."""
        value = _project_token(secret)
        self.secrets[variable(secret)] = value
        self.railway.project_tokens[value] = (PROJECT, environment_id)

    def use_workflow(self, policy: Mapping[str, Any] | None = None, **paths: str) -> None:
        """Of n8n, beside the notification's: at this path, which signalbox.toml names under this key."""
        self.configure(**policy or {})
        n8n = self.services.config.n8n
        assert n8n is not None
        self.services.config = replace(self.services.config, n8n=replace(n8n, **paths))
        [self.n8n.other] = paths.values()

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def live(self, seconds: float) -> None:
        """Time passes, and the vendors do what falls due."""
        self.clock.advance(seconds)
        await self.railway.tick()
        await self.github.tick()

    # Calling the functions

    async def push(
        self, function: str, data: bytes, *, attempt: int = 1, published_at: datetime | None = None
    ) -> httpx.Response:
        """As Pub/Sub pushes to the function's subscription."""
        at = {} if published_at is None else {"publishTime": published_at.isoformat()}
        body = {
            "message": {"data": base64.b64encode(data).decode(), "messageId": "1", "attributes": {}, **at},
            "subscription": f"projects/local/subscriptions/{function}",
            "deliveryAttempt": attempt,
        }
        return await self.web.post(f"/functions/{function}", json=body)

    async def wake(self, stage: str, run_id: str) -> httpx.Response:
        return await self.push(stage, envelope.encode(Message(stage, run_id)))

    async def patiently(self, stage: str, run_id: str) -> Run:
        """Wake the stage whenever it is due, as long as it is refused; the run once it is not, or has ended."""
        while (run := await self.run(run_id)).refused_since is not None and not run.status.terminal:
            assert run.stage_due is not None
            await self.live(max(0.0, (run.stage_due - self.clock.now()).total_seconds()))
            await self.wake(stage, run_id)
        return run

    async def happen(self, event: events.Event) -> httpx.Response:
        return await self.push("dispatch", envelope.encode_event(event))

    async def sweep(self, *, after: float = 0.0) -> httpx.Response:
        """`after` so many seconds."""
        self.pass_time(after)
        return await self.web.post("/functions/sweep")

    async def ship(self) -> None:
        """A pull request is opened and merged, and all comes to rest."""
        self.merge(self.open_pull_request())
        await self.settle()

    async def execute(self, run: Run, *, stage: Stage | None = None) -> Run:
        """Save the run, wake its stage once, and return what it is then."""
        await self.save(run)
        await self.wake(stage or run.stage, run.id)
        return await self.run(run.id)

    async def settle(self, *, hours: float = 3.0) -> None:
        """Deliver, redeliver, sweep and let time pass until no run and no target has anything left to do."""
        end = self.clock.now().timestamp() + hours * 3600
        self._next_sweep = self.clock.now().timestamp() + 60
        while True:
            await self.deliver()
            if await self.at_rest():
                return
            assert self.clock.now().timestamp() < end, f"unfinished after {hours} hours: {await self.unfinished()}"
            await self.go_on()

    async def deliver(self) -> None:
        """Deliver what was published, what that causes, and what is due once more."""
        now = self.clock.now().timestamp()
        queue = [(attempt, published) for due, attempt, published in self._again if due <= now]
        self._again = [entry for entry in self._again if entry[0] > now]
        while queue := [*((1, published) for published in self.bus.take()), *queue]:
            for attempt, published in queue:
                if not await self._delivered(published, attempt):
                    if attempt >= _topology().delivery.max_attempts:
                        self.dead.append(published)
                    else:
                        self._again.append((now + min(600, 10 * 2 ** (attempt - 1)), attempt + 1, published))
            queue = []

    async def go_on(self) -> None:
        """A little time passes; the vendors and the scheduler do what falls due."""
        await self.live(RAILWAY_PACE)
        if self.clock.now().timestamp() >= self._next_sweep:
            self._next_sweep += 60
            with contextlib.suppress(Crash):
                await self.sweep()

    async def at_rest(self) -> bool:
        return not self._again and not self.github.webhooks.queue and not await self.unfinished()

    async def _delivered(self, published: Published, attempt: int) -> bool:
        function = _subscribers()[published.topic]
        try:
            answer = await self.push(function, published.data, attempt=attempt)
        except Crash:
            return False
        return answer.is_success

    async def unfinished(self) -> list[str]:
        found = [run.id for run in await self.runs() if not run.status.terminal or run.wake_at is not None]
        target = await self.target()
        return found + [target.id] * (target.wake_at is not None)

    # What is given

    async def save(self, *documents: Run | Target) -> None:
        """Write the documents, whatever is there."""
        for document in documents:
            found = await self.store.real.get(type(document), document.id)
            write = Create(document) if found is None else Update(document, found.version)
            await self.store.real.commit(write)

    def open_pull_request(self, *, files: tuple[str, ...] = ("src/app.py",), **checks: str | None) -> int:
        """With these check runs, by name."""
        number = self.github.open_pull_request(REPOSITORY, title="Faster cart", author="grace", files=files)
        for name, conclusion in (checks or {"tests": "success"}).items():
            self.github.report_check(REPOSITORY, number, name, conclusion)
        self.github.pull(REPOSITORY, number).mergeable_known = True
        return number

    def merge(self, number: int, by: str = "grace") -> str:
        return self.github.merge(REPOSITORY, number, by)

    def say(self, number: int, body: str, by: str = "grace") -> events.CommentWritten:
        """A comment, as the event that comes of it."""
        id = self.github.comment(REPOSITORY, number, body, by)
        return events.CommentWritten(
            repository=REPOSITORY, number=number, comment_id=id, author=by, body=body, url=f"https://github.test/{id}"
        )

    def new_run(self, stage: Stage, **changes: Any) -> Run:
        """A deploy run at the stage, with its stage's deadline."""
        now = self.clock.now()
        run = Run(
            id="production-pr1-0123456789",
            kind=Kind.DEPLOY,
            target=TARGET,
            repository=REPOSITORY,
            service="web",
            environment="production",
            pull_request=PullRequest(
                number=1, title="Faster cart", author="grace", head_sha=OTHER, base="main", url="https://github.test/1"
            ),
            commit_sha=NEW,
            trigger=Trigger(source="merge", actor="grace", id=NEW, url="https://github.test/1"),
            stage=stage,
            status=Status.RUNNING,
            created_at=now,
            updated_at=now,
            expire_at=now,
        )
        begun = begin(replace(run, **changes), self.services.terms(TARGET)).run
        return replace(begun, owed=(), notify_due=None, wake_at=begun.stage_due)

    def serving(self) -> Verified:
        """What serves from the start, as a verified version."""
        first = self.railway.deployments(SERVICE, ENVIRONMENT)[-1]
        return Verified(deployment_id=first.id, commit_sha=first.commit_sha, run_id=None, at=START)

    async def hold_target(self, run: Run, **changes: Any) -> None:
        """The run has the target, which is served by its last verified version."""
        await self.save(Target(id=TARGET, active=run.id, verified=(self.serving(),), **changes))

    async def deployed(self, commit: str = NEW, *, until: str = "SUCCESS", **plan: Any) -> Deployment:
        """A deployment on Railway that has come as far as `until`, as a run records it."""
        if plan:
            self.railway.plan(SERVICE, **plan)
        made = self.railway.deploy(SERVICE, ENVIRONMENT, commit)
        while made.status != until:
            await self.live(RAILWAY_PACE)
        return Deployment(id=made.id)

    # What came of it

    async def run(self, id: str) -> Run:
        found = await self.store.real.get(Run, id)
        assert found is not None, f"there is no run {id}"
        return found.document

    async def runs(self) -> list[Run]:
        return [found.document for found in await self.store.real.query(Query(Run, order_by="created_at"))]

    async def the_run(self) -> Run:
        (run,) = await self.runs()
        return run

    async def target(self, id: str = TARGET) -> Target:
        found = await self.store.real.get(Target, id)
        return found.document if found else Target(id=id)

    def comments(self, number: int = 1) -> list[str]:
        """Ours on the pull request."""
        said = self.github.repository(REPOSITORY).comments.values()
        return [comment.body for comment in said if comment.pull == number and comment.by_app]

    def calls(self, vendor: Faulty, what: str) -> int:
        """How many of the vendor's calls had this in their method, path or body."""
        return sum(what in f"{call.method} {call.path}\n{call.body.decode()}" for call in vendor.calls)

    def told(self) -> list[str]:
        """The events that n8n was told of."""
        return [notification["event"] for notification in self.n8n.notifications]

    def logged(self, message: str = "") -> list[dict[str, Any]]:
        """The log's lines whose message holds the text."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if message in line["message"]]

    # The machinery

    async def _visit(self, sent: Request) -> Response:
        if self.blind:
            raise httpx.ConnectError("no way out")
        beginning = sent.url.split("/")[2].partition(".")[0]
        return await self.others.get(beginning, self.application)(sent)

    async def _deliver(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        try:
            return (await self.web.post(path, headers=dict(headers), content=body)).status_code
        except Crash:
            return 502


S = TypeVar("S", bound=Scene)


@contextlib.asynccontextmanager
async def opened(make: Callable[[], S] = Scene) -> AsyncIterator[S]:  # type: ignore[assignment]
    """A scene whose services the functions use, and whose log is its own."""
    logger, root = logging.getLogger("signalbox"), logging.getLogger()
    handlers, level = list(root.handlers), logger.level
    scene = make()
    log.configure(Settings(), scene.log)
    try:
        yield scene
    finally:
        services.install(None)
        await scene.web.aclose()
        await scene.services.close()
        root.handlers[:] = handlers
        logger.setLevel(level)


class _Impatient(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Notes for how long it was asked to wait instead of waiting."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None:
            self.skipped += timeout
        return ready


class ImpatientLoop(asyncio.SelectorEventLoop):
    """An event loop that skips every wait for a time: nothing here waits for anything outside of the process."""

    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        return super().time() + self._impatient.skipped


IMPATIENT = ("asyncio", {"loop_factory": ImpatientLoop})
"""What the fixture anyio_backend returns for tests that skip waits."""


@functools.cache
def _functions() -> Router:
    return Router(_topology())


@functools.cache
def _topology() -> topology.Topology:
    return topology.load()


@functools.cache
def _subscribers() -> dict[str, str]:
    """The function that subscribes to a topic."""
    return {function.subscribes: function.name for function in _topology().functions if function.subscribes}


@functools.cache
def _values() -> dict[str, str]:
    """The same in every scene: each value that was ever read is masked from then on, and costs."""
    return made_up_secrets()


@functools.cache
def _project_token(secret: str) -> str:
    return made_up_secrets(secret)[variable(secret)]


@functools.cache
def _keys() -> Keys:
    return make_keys()


def _config(
    policy: Mapping[str, Any],
    *,
    n8n: bool = True,
    more: str = "",
    token: str | None = None,
    paths: Sequence[str] | None = None,
    order: str = "parallel = true",
) -> config.Config:
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in policy.items() if value is not None)
    own = f'railway_token_secret = "{token}"' if token else ""
    server = '[n8n]\nurl = "https://n8n.test"' if n8n else ""
    text = CONFIG.format(policy=lines, n8n=server, more=more, token=own, order=order)
    if paths is not None:
        text = text.replace(f'service_id = "{SERVICE}"', f'service_id = "{SERVICE}"\npaths = {json.dumps(list(paths))}')
    return config.parse(text, "the scene's signalbox.toml")
