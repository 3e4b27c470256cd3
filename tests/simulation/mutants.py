"""Deliberate faults in the code, to see that the invariants bite: each replaces a piece of it for the length of a run.

`found_by` is a seed that is known to find the fault; it is tried first, and others after it.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

import functions.dispatch.answering
import functions.dispatch.commands.deploy
import functions.dispatch.commands.given
import functions.merge.gate
import functions.merge.touched_files
import functions.sweep.drift
import functions.sweep.health
import functions.sweep.held_back
import functions.sweep.webhook_silence
import functions.verify.checks
import shared.clients.health_body
import shared.clients.railway.client
import shared.core.notices
import shared.core.pipeline
import shared.core.targets
import shared.runs.deploy_label
import shared.runs.railway_health_check
import shared.runs.repositories
import shared.runs.start
import shared.runs.texts
import shared.runtime.log
import shared.runtime.stage
from functions.dispatch import commands
from functions.verify.checks import Sight
from local.simulation.execution import Crash
from local.simulation.lean import replaced
from local.simulation.place import module
from local.simulation.simulation import Outcome, Simulation, simulate
from shared.clients import n8n
from shared.clients.github.client import GitHub
from shared.clients.railway.client import Railway
from shared.core.observed import Answer, DeploymentState
from shared.core.outcome import Fail, Rejected
from shared.core.pipeline import Terms
from shared.core.run import Rollback, Run, Stage, Verdict
from shared.core.target import Hold, Target
from shared.core.target_config import RailwayToken
from shared.errors import Conflict, Unavailable, UnknownOutcome
from shared.runtime.ports import Create
from shared.runtime.services import Services

Replacement = tuple[Any, str, Any]


class Mutant(Struct, frozen=True):
    """A fault: its name says what the code does wrong."""

    name: str
    found_by: int
    replacements: Callable[[], list[Replacement]]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        with replaced(self.replacements()):
            yield

    def find(self, seeds: range) -> Outcome | None:
        """The first of the seeds, the known one before all others, on which an invariant notices it.

        Raises Misfit for one that the code no longer has a place for: it fails where it should do wrong.
        """
        with self.applied(), _misfits() as misfits:
            for seed in (self.found_by, *seeds):
                outcome = simulate(seed)
                out = [one.detail for one in outcome.violations if "TypeError" in one.detail]
                if misfits or out:
                    raise Misfit(f"{self.name}: {[*misfits, *out][0]}")
                if outcome.violations:
                    return outcome
        return None


class Misfit(Exception):
    """A deliberate fault that does not fit the code any more."""


@contextlib.contextmanager
def _misfits() -> Iterator[list[str]]:
    """What is logged meanwhile of errors in the use of the code, which functions take for defects and survive."""
    found: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            if isinstance(error, TypeError | AttributeError | NameError):
                found.append(f"{type(error).__name__}: {error}")

    logger, ear = logging.getLogger("signalbox"), Ear()
    logger.addHandler(ear)
    try:
        yield found
    finally:
        logger.removeHandler(ear)


MUTANTS: list[Mutant] = []


def mutant(name: str, found_by: int) -> Callable[[Callable[[], list[Replacement]]], Callable[[], list[Replacement]]]:
    def register(replacements: Callable[[], list[Replacement]]) -> Callable[[], list[Replacement]]:
        MUTANTS.append(Mutant(name, found_by, replacements))
        return replacements

    return register


async def _look_away(*_: Any, **__: Any) -> int:
    """In the place of a part of the sweep, or of whoever is called: nothing is seen, nothing done."""
    return 0


@mutant("a claim does not look at the lease", 4)
def _no_lease() -> list[Replacement]:
    claim = shared.core.pipeline.claim
    return [(shared.core.pipeline, "claim", lambda run, *rest: claim(replace(run, lease=None), *rest))]


mutant("a worker that lost its lease saves all the same", 25)(
    lambda: [(shared.runtime.stage, "_owner", lambda _: "anybody")]
)
mutant("merges that no webhook told of are not looked for", 94)(
    lambda: [(module("sweep"), "start_unnoticed", _look_away)]
)
mutant("webhooks that did not get through are not asked for again", 1)(
    lambda: [(module("sweep"), "redeliver_missed", _look_away)]
)


@mutant("a stage waits on beyond its deadline", 9)
def _no_deadline() -> list[Replacement]:
    judge = shared.core.pipeline.judge
    return [(shared.core.pipeline, "judge", lambda run, *rest: judge(replace(run, deadline=None), *rest))]


@mutant("a merge that is heard of late replaces a newer one", 56)
def _late_merge() -> list[Replacement]:
    def newer(run: Run, target: Target) -> tuple[str, ...]:
        return found(run, replace(target, verified=()))

    found = shared.core.targets.newer
    return [(shared.core.targets, "newer", newer)]


@mutant("merges that wait are deployed one after the other", 0)
def _not_superseded() -> list[Replacement]:
    def newer(run: Run, target: Target) -> tuple[str, ...]:
        return found(run, replace(target, queue=()))

    found = shared.core.targets.newer
    return [(shared.core.targets, "newer", newer)]


@mutant("the next stage is woken before the run is saved", 0)
def _publish_first() -> list[Replacement]:
    async def save(claim: Any, outcome: Any) -> Any:
        terms = claim.terms
        await claim._services.publish(
            shared.core.pipeline.apply(claim.run, await claim.target(), outcome, terms).messages
        )
        return await conclude(claim, outcome)

    conclude = shared.runtime.stage.Claim.conclude
    return [(shared.runtime.stage.Claim, "conclude", save)]


mutant("no deployment of the commit is looked for before making one", 22)(
    lambda: [(module("deploy"), "find", lambda run, known: None)]
)


@mutant("a lost answer is taken for a call that never arrived", 22)
def _lost_is_not_sent() -> list[Replacement]:
    deploy = Railway.deploy

    async def send(railway: Any, **what: str) -> str:
        try:
            return await deploy(railway, **what)
        except UnknownOutcome as error:
            raise Unavailable(str(error)) from error

    return [(Railway, "deploy", send), (module("deploy"), "find", lambda run, known: None)]


@mutant("the time to be woken is forgotten", 0)
def _no_wake_at() -> list[Replacement]:
    def forget(document: Any) -> Any:
        return replace(document, wake_at=None)

    return [(one, "scheduled", forget) for one in (shared.core.notices, shared.core.pipeline)]


@mutant("the head that was judged is not named to GitHub", 28)
def _no_head() -> list[Replacement]:
    async def merge(github: Any, repository: str, number: int, *, head_sha: str, method: str) -> str:
        url = f"/repos/{repository}/pulls/{number}/merge"
        body = {"merge_method": method}
        response = await github.app.request("PUT", url, repository=repository, changes=True, json=body)
        return str(msgspec.json.decode(response.content)["sha"])

    return [(GitHub, "merge", merge)]


mutant("a run that has ended keeps its target", 0)(
    lambda: [(shared.core.targets, "release", lambda target, *_: (target, ()))]
)


@mutant("two workers tell people at once", 0)
def _no_notify_lease() -> list[Replacement]:
    claim = shared.core.notices.claim
    return [(shared.core.notices, "claim", lambda document, *rest: claim(replace(document, notify_lease=None), *rest))]


@mutant("what exists already is created under another name", 0)
def _create_twice() -> list[Replacement]:
    start = shared.runs.start.start

    async def insist(services: Any, run: Run) -> None:
        await start(services, run)
        with contextlib.suppress(Conflict):
            begun = shared.core.pipeline.begin(run, services.terms(run.target))
            await services.store.commit(Create(replace(begun.run, id=f"{run.id}-{services.token()}")))

    return [(shared.runs.start, "start", insist), (functions.dispatch.commands.deploy, "start", insist)]


@mutant("a rollback that fails is rolled back", 37)
def _rollback_of_rollback() -> list[Replacement]:
    give_up = shared.core.pipeline._not_restored

    def again(run: Run, rollback: Rollback, target: Target, message: str, terms: Any) -> Any:
        if run.stage is Stage.ROLLBACK:
            return give_up(run, rollback, target, message, terms)
        return shared.core.pipeline._enter(replace(run, rollback=rollback), Stage.ROLLBACK, message, terms)

    return [(shared.core.pipeline, "_not_restored", again)]


@mutant("not being able to look counts as unhealthy", 76)
def _inconclusive_fails() -> list[Replacement]:
    conclude = functions.verify.checks.conclude

    def judge(run: Run, checks: Any, *rest: Any) -> Any:
        unseen = {"health": Verdict.FAIL, "version": Verdict.NOT_RUN}
        judged = (
            replace(one, verdict=unseen.get(one.name, one.verdict)) if one.verdict is Verdict.INCONCLUSIVE else one
            for one in checks
        )
        return conclude(run, tuple(judged), *rest)

    return [(module("verify"), "conclude", judge)]


mutant("quarantine and hold are ignored", 27)(lambda: [(shared.core.targets, "refusal", lambda run, target: None)])


@mutant("a process that dies acknowledges its message", 6)
def _acknowledged_crash() -> list[Replacement]:
    push = Simulation._push

    async def acknowledge(simulation: Simulation, message: Any) -> bool:
        try:
            return await push(simulation, message)
        except Crash:
            return True

    return [(Simulation, "_push", acknowledge)]


mutant("the sweep wakes nobody", 0)(lambda: [(module("sweep"), "wake_due", _look_away)])


@mutant("attempts are never used up", 7)
def _endless() -> list[Replacement]:
    claim = shared.core.pipeline.claim

    def again(run: Run, *rest: Any) -> Any:
        return claim(replace(run, attempts=0), *rest)

    return [(shared.core.pipeline, "claim", again)]


mutant("the queue is never called", 0)(lambda: [(shared.core.targets, "call_next", lambda target: (target, ()))])


@mutant("a target that is taken is taken again", 0)
def _no_mutual_exclusion() -> list[Replacement]:
    take = shared.core.targets.take

    def through(run: Run, target: Target, now: Any, **adopting: Any) -> Any:
        return take(run, replace(target, active=None), now, **adopting)

    return [(shared.core.targets, "take", through)]


@mutant("a lock is ignored", 25)
def _no_lock() -> list[Replacement]:
    take = shared.core.targets.take

    def through(run: Run, target: Target, now: Any, **adopting: Any) -> Any:
        taken = take(run, replace(target, lock=None), now, **adopting)
        return replace(taken, lock=target.lock) if isinstance(taken, Target) else taken

    return [(shared.core.targets, "take", through)]


mutant("history is overwritten", 0)(lambda: [(shared.core.pipeline, "KEPT_HISTORY", 3)])


@mutant("nobody is told how a run ended", 0)
def _untold() -> list[Replacement]:
    owe = shared.core.pipeline.owe
    silent = {"failed", "succeeded", "rolled_back"}
    return [(shared.core.pipeline, "owe", lambda run, event, *rest: run if event in silent else owe(run, event, *rest))]


@mutant("a vendor's words are shown unmasked", 71)
def _unmasked() -> list[Replacement]:
    from shared.clients.github import answers as github_answers  # noqa: PLC0415 - only to be changed
    from shared.clients.railway import client as railway  # noqa: PLC0415 - only to be changed

    return [(one, "redact", str) for one in (github_answers, railway, shared.runtime.stage)]


@mutant("the log shows a vendor's words unmasked", 71)
def _plain_log() -> list[Replacement]:
    from shared.clients.github import answers as github_answers  # noqa: PLC0415 - only to be changed
    from shared.clients.railway import client as railway  # noqa: PLC0415 - only to be changed

    return [(one, "redact", str) for one in (github_answers, railway, shared.runtime.log)]


@mutant("whatever n8n answers with 200 counts as delivered", 37)
def _any_200_is_delivered() -> list[Replacement]:
    call = n8n.N8n.call

    async def believe(client: Any, *what: Any, **more: Any) -> str:
        try:
            return await call(client, *what, **more)
        except Unavailable as error:
            if "200 n8n is starting up" in str(error):
                return "0"
            raise

    return [(n8n.N8n, "call", believe)]


@mutant("a workflow that n8n does not know yet is given up", 138)
def _unknown_is_final() -> list[Replacement]:
    attempt = module("notify")._attempt

    async def give_up(sending: Any, *, within: float | None = None) -> str | None:
        noted: list[str] = []

        async def note() -> str:
            try:
                return str(await sending)
            except Unavailable as error:
                noted.append(str(error))
                raise

        outcome: str | None = await attempt(note(), within=within)
        return "given up" if outcome is None and any("404" in text for text in noted) else outcome

    return [(module("notify"), "_attempt", give_up)]


@mutant("a worker that tells too long ends the lease of the next", 121)
def _settles_for_others() -> list[Replacement]:
    settle = shared.core.notices.settle
    return [(shared.core.notices, "settle", lambda document, results, now, owner=None: settle(document, results, now))]


@mutant("what was verified is not recorded", 0)
def _wrong_record() -> list[Replacement]:
    def standing(target: Target, *_: Any) -> Target:
        return target

    return [(shared.core.targets, "standing", standing)]


mutant("nobody compares what serves with what is recorded", 16)(
    lambda: [(module("sweep"), "look_for_drift", _look_away)]
)
mutant("nobody is told of a drift", 16)(lambda: [(functions.sweep.drift, "owe", lambda target, *_: target)])
mutant("nobody listens whether GitHub still tells", 259)(lambda: [(module("sweep"), "listen", _look_away)])
mutant("nobody is told of a silence", 259)(
    lambda: [(functions.sweep.webhook_silence, "owe", lambda target, *_: target)]
)
mutant("what fails on probation stays", 23)(lambda: [(functions.sweep.health, "take_back_if_due", _look_away)])


@mutant("what is about to be done is not saved first", 0)
def _no_intent() -> list[Replacement]:
    async def forget(claim: Any, **changes: Any) -> None:
        claim.run = replace(claim.run, **changes)

    return [(shared.runtime.stage.Claim, "checkpoint", forget)]


mutant("whoever set a label is taken for somebody who may deploy", 7)(
    lambda: [(shared.runs.deploy_label, "MAY_DEPLOY", frozenset({"admin", "write", "read", "none"}))]
)
mutant("a label is never looked at", 3)(
    lambda: [(module("dispatch"), "labelled", _look_away), (module("sweep"), "answer_labels", _look_away)]
)
mutant("labels that no webhook told of are not looked for", 352)(
    lambda: [(module("sweep"), "answer_labels", _look_away)]
)


@mutant("a label starts a run each time that it is told of", 3)
def _label_again() -> list[Replacement]:
    begun: list[tuple[Any, str]] = []

    def anew(services: Any, *given: Any, **more: Any) -> Run:
        run = new(services, *given, **more)
        this = services.config, run.id  # the configuration is another each day
        if not any(day is this[0] and id == this[1] for day, id in begun):
            begun.append(this)
            return run
        again = replace(run.trigger, id=f"{run.trigger.id} {services.token()}")
        return replace(run, id=f"{run.id}-{services.token()}", trigger=again)

    new = shared.runs.deploy_label.new_run
    answers = shared.runs.deploy_label._answers
    return [
        (shared.runs.deploy_label, "new_run", anew),
        (shared.runs.deploy_label, "_answers", lambda run, *rest: answers(run, *rest) and not run.status.terminal),
    ]


@mutant("what Railway has skipped is deployed by itself", 5)
def _skipped_all_the_same() -> list[Replacement]:
    async def known(railway: Any, **where: Any) -> list[Any]:
        return [one for one in await deployments(railway, **where) if one.status != "SKIPPED"]

    deployments = Railway.deployments
    return [(Railway, "deployments", known)]


mutant("an approval has no more time than a build", 73)(
    lambda: [(shared.core.pipeline, "_changes_clocks", lambda run, outcome: False)]
)
mutant("every merge is deployed to every service", 25)(
    lambda: [(functions.merge.touched_files, "touched", lambda patterns, files: True)]
)
mutant("no merge has anything for a service", 12)(
    lambda: [(functions.merge.touched_files, "touched", lambda patterns, files: False)]
)


@mutant("one refusal deploys what a merge does not touch", 247)
def _in_doubt_at_once() -> list[Replacement]:
    async def touches(*which: Any, **_: Any) -> bool:
        return bool(await ask(*which, refused_long=True))

    ask = functions.merge.touched_files.touches
    return [(functions.merge.touched_files, "touches", touches)]


@mutant("what was held back and went live stays listed", 3139)
def _listed_for_ever() -> list[Replacement]:
    async def never(services: Any, snapshot: Any, place: Any) -> int:
        return 0

    return [(functions.sweep.held_back, "_strike_off", never)]


mutant("a version that nobody looked at is called healthy", 286)(
    lambda: [(functions.verify.checks, "_state", lambda _: "healthy")]
)
mutant("the sweep wakes what sleeps", 10)(lambda: [(functions.sweep.health, "unwatched", lambda target, policy: None)])


@mutant("a process that ends between the ticks of its schedule has failed", 47)
def _schedules_forgotten() -> list[Replacement]:
    def without(**seen: Any) -> Sight:
        return sight(**seen | {"cron_schedule": None})

    sight = module("verify").Sight
    return [(module("verify"), "Sight", without)]


mutant("a process that has ended passes for one that runs", 46)(
    lambda: [(DeploymentState, "ended", property(lambda _: False))]
)


@mutant("a process that has ended passes where nobody can look at it", 90)
def _ended_worker() -> list[Replacement]:
    def trusting(sight: Sight) -> Any:
        return railway(replace(sight, deployment=replace(sight.deployment, stopped=False)))

    railway = functions.verify.checks._railway
    return [(functions.verify.checks, "_railway", trusting)]


mutant("a merge that is kept back is forgotten", 27)(
    lambda: [(shared.core.targets, "keep_back", lambda target, run, now: target)]
)


@mutant("one refusal ends the run", 25)
def _one_refusal() -> list[Replacement]:
    judge = shared.core.pipeline.judge

    def at_once(run: Run, outcome: Any, terms: Any) -> Any:
        judged = judge(run, outcome, terms)
        return Fail(judged.code, judged.message) if isinstance(judged, Rejected) else judged

    return [(shared.core.pipeline, "judge", at_once)]


@mutant("refusals are never forgotten", 25)
def _counted_for_ever() -> list[Replacement]:
    apply = shared.core.pipeline.apply

    def remembering(run: Run, *rest: Any) -> Any:
        after = apply(run, *rest)
        if after.run.refusals or after.run.status.terminal:
            return after
        kept = replace(after.run, refused_since=run.refused_since, refusals=run.refusals)
        return replace(after, run=kept)

    return [(shared.core.pipeline, "apply", remembering)]


mutant("a run that gives up leaves the target free", 26)(
    lambda: [(shared.core.pipeline, "may_be_live", lambda *_: False)]
)
mutant("nobody is told that what is live is not verified", 26)(
    lambda: [(shared.runs.texts, "_severity", lambda *_: "info")]
)
mutant("a new head's checks are taken as they are", 21)(lambda: [(functions.merge.gate, "_settling", lambda *_: None)])


@mutant("a workflow that has listed no check is not waited for", 49)
def _unlisted() -> list[Replacement]:
    awaited = functions.merge.gate._is_awaited
    return [
        (functions.merge.gate, "_is_awaited", lambda suite, *rest: bool(suite.check_runs) and awaited(suite, *rest))
    ]


@mutant("a workflow of which a check has passed is taken for ended", 1)
def _one_check_is_enough() -> list[Replacement]:
    awaited = functions.merge.gate._is_awaited
    return [(functions.merge.gate, "_is_awaited", lambda suite, *rest: not suite.check_runs and awaited(suite, *rest))]


mutant("whoever moves the head is followed", 120)(lambda: [(module("merge"), "is_same_head", lambda *_: True)])
mutant("a domain is looked at wherever it leads", 58)(lambda: [(shared.clients.railway.client, "_doubt", lambda _: "")])


@mutant("what Railway's edge says by itself counts against the version", 76)
def _edge_is_the_version() -> list[Replacement]:
    verdict = Answer.verdict
    return [(Answer, "verdict", lambda answer, **_: verdict(answer, answered_before=True))]


@mutant("a 200 is healthy whatever its body says", 34)
def _body_not_read() -> list[Replacement]:
    well = shared.clients.health_body.Opinion(True)
    return [(shared.clients.health_body, "judge", lambda *_: well)]


@mutant("Railway's edge excuses a version that has answered before", 23)
def _edge_excuses() -> list[Replacement]:
    verdict = Answer.verdict
    return [(Answer, "verdict", lambda answer, **_: verdict(answer, answered_before=False))]


@mutant("the token of the first environment is used for all", 8)
def _first_token() -> list[Replacement]:
    def first(services: Any, _: Any) -> Any:
        return services.railway_with(services.config.targets[0].railway_token)

    return [(Services, "railway_for", first)]


mutant("the account token is used whatever an environment names", 5)(
    lambda: [(Services, "railway_for", lambda services, _: services.railway_with(RailwayToken()))]
)
mutant("a health check that is lost is not noted", 12)(
    lambda: [(module(stage), "noted", lambda *_: {}) for stage in ("monitor", "verify")]
)


@mutant("any version counts as not checked by Railway", 0)
def _always_lost() -> list[Replacement]:
    def unchecked(run: Run, deployment: DeploymentState) -> Any:
        return noted(run, replace(deployment, health_check=""))

    noted = shared.runs.railway_health_check.noted
    return [(module(stage), "noted", unchecked) for stage in ("monitor", "verify")]


@mutant("one null in a list makes the whole answer unreadable", 14)
def _strict_lists() -> list[Replacement]:
    from shared.clients import tolerant  # noqa: PLC0415 - only to be changed

    def strict(content: Any, type: Any, *, about: str) -> Any:
        return msgspec.json.decode(content, type=type)

    return [(tolerant, "decode", strict)]


@mutant("a check that cannot be read has passed", 66)
def _hidden_passes() -> list[Replacement]:
    from shared.clients.github import pull_request as github_pull_request  # noqa: PLC0415 - only to be changed

    passed = replace(github_pull_request._HIDDEN, state="passed")
    return [(github_pull_request, "_HIDDEN", passed)]


@mutant("a renamed repository is not known by its id", 6)
def _unknown_id() -> list[Replacement]:
    async def nobody(*_: Any) -> None:
        return None

    return [(shared.runs.repositories.Repositories, "with_id", nobody)]


mutant("nobody is told of a new name", 6)(lambda: [(shared.runs.repositories, "owe", lambda target, *_: target)])


@mutant("whoever has the name is taken for the repository", 70)
def _mistaken() -> list[Replacement]:
    async def by_name(services: Any, event: Any) -> Any:
        if services.config.in_repository(event.repository):
            return event
        return await meant(services, event)

    async def unknown(*_: Any) -> None:
        return None

    meant = shared.runs.repositories.meant
    return [(module("dispatch"), "meant", by_name), (shared.runs.repositories.Repositories, "of", unknown)]


@mutant("a command is not carried out without its reaction", 0)
def _no_reaction() -> list[Replacement]:
    async def insist(services: Any, comment: Any, places: Any) -> bool:
        await services.github.react(places[0].repository, comment.comment_id)
        return True

    return [(functions.dispatch.answering, "_react", insist)]


@mutant("what a webhook says of a comment is believed", 4)
def _believed() -> list[Replacement]:
    async def believe(services: Any, event: Any, _places: Any) -> Any:
        return functions.dispatch.commands.given.GivenCommand(
            comment_id=event.comment_id,
            number=event.number,
            author=event.author,
            body=event.body,
            url=event.url,
            written_at=services.clock.now(),
            outdated=None,
            confused=0,
        )

    return [(functions.dispatch.answering, "_read", believe)]


@mutant("anybody gives commands", 4)
def _anybody() -> list[Replacement]:
    async def write(*_: Any) -> str:
        return "write"

    return [(functions.dispatch.answering, "_permission", write)]


mutant("a comment that was edited counts", 134)(lambda: [(functions.dispatch.answering, "_outdated", lambda *_: None)])
mutant("a fork is merged at whatever head it has", 1)(
    lambda: [(functions.dispatch.commands.deploy, "_unconfirmed", lambda *_: None)]
)


@mutant("a label deploys a fork", 3)
def _fork_by_label() -> list[Replacement]:
    async def as_if_ours(services: Any, repository: str, number: int) -> bool:
        pull = await services.github.pull_request(repository, number)
        for place in services.config.in_repository(repository):
            if place.policy.deploy_label and pull.carries(place.policy.deploy_label) and pull.state == "open":
                await shared.runs.deploy_label._start(services, place, replace(pull, from_fork=False))
        return True

    return [(module("dispatch"), "labelled", as_if_ours)]


@mutant("a merge is believed from its webhook", 86)
def _believed_merge() -> list[Replacement]:
    async def believe(services: Any, repository: str, number: int) -> None:
        pull = await services.github.pull_request(repository, number)
        merged = replace(pull, merged=True, merge_sha=pull.merge_sha or pull.head_sha)
        for place in services.config.in_repository(repository):
            await shared.runs.start.deploy_merged(services, place, merged, merged.merge_sha)

    return [(module("dispatch"), "merged", believe)]


mutant("a pause stops nobody who has the target", 263)(lambda: [(shared.core.pipeline, "paused", lambda *_: None)])


@mutant("a paused target is taken", 43)
def _pause_untaken() -> list[Replacement]:
    def taken(run: Run, target: Target, now: datetime, *, adopting: bool = False) -> Any:
        found = take(run, replace(target, pause=None), now, adopting=adopting)
        return replace(found, pause=target.pause) if isinstance(found, Target) else found

    take = shared.core.targets.take
    return [(shared.core.targets, "take", taken)]


mutant("a verified version ends every hold", 201027859)(lambda: [(Hold, "outlasts", lambda *_: False)])


async def _in_order(*_: Any) -> None:
    """Whatever it is asked about, the environment before has verified it."""


async def _administrator(*given: Any) -> str | None:
    return "admin" if await _permission(*given) else None


def _alone(services: Services, target: str) -> Terms:
    return replace(_terms(services, target), followers=())


_permission, _terms = functions.dispatch.answering._permission, Services.terms
mutant("what one environment has not verified comes to the next", 10)(
    lambda: [
        (module("merge"), "unverified_before", _in_order),
        (module("deploy"), "unverified_before", _in_order),
        (functions.dispatch.commands.deploy, "unverified_before", _in_order),
    ]
)
mutant("what was verified goes no further", 10)(lambda: [(Services, "terms", _alone)])
mutant("anybody goes past the order of environments", 677)(
    lambda: [(functions.dispatch.answering, "_permission", _administrator)]
)
mutant("whoever lifts a hold lifts one that came later", 44645)(
    lambda: [(module, "since", lambda *_: None) for module in (commands.resume, commands.unlock)]
)
