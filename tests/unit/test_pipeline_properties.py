"""Whatever the stages say, in whatever order: what holds of every run and its target."""

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from unit.building import MERGE, NOON, RUN, TARGET, a_run, a_target, a_trigger, a_version, a_way_back, at, terms

from shared.core import notices, pipeline, targets
from shared.core.outcome import Advance, Enqueue, Fail, Message, Outcome, Rejected, Retry, Wait
from shared.core.pipeline import NOTIFY, Terms
from shared.core.reasons import Reason
from shared.core.run import Deployment, Kind, Run, Stage, Status, Verification
from shared.core.target import Lock, QueueEntry, Target
from shared.runs import texts as texts_of

OTHER = "production-pr43-bbbbbbbbbb"
LONGEST = 1800 + 120 + 900 + 600 + 600 + 900 + 600
"""All the stages of a run that deploys and goes back, with the default policy."""

texts = st.sampled_from(["building", "502", "all well"])
codes = st.sampled_from(list(Reason))
waits = st.builds(
    Wait,
    message=texts,
    wake_in=st.floats(0.5, 5000),
    otherwise=codes,
    tell=st.sampled_from([None, None, "needs_approval"]),
)
retries = st.builds(Retry, texts, st.none() | st.floats(0.5, 5000))
fails = st.builds(Fail, codes, texts)
rejections = st.builds(Rejected, texts, st.sampled_from([Reason.VENDOR_REFUSED, Reason.DEPLOY_REFUSED]))
refusing = waits | retries | fails | rejections


def advance(run: Run, needed: bool) -> Advance:
    """With what the stage would have found out."""
    if run.stage is Stage.MERGE:
        return Advance("merged", {"commit_sha": MERGE})
    if run.stage is Stage.DEPLOY:
        return Advance("started", {"deployment": Deployment(id="d-new")})
    if run.stage is Stage.ROLLBACK:
        reason = run.rollback.reason if run.rollback else Reason.UNHEALTHY
        return Advance("back", {"rollback": a_way_back(reason=reason, needed=needed)})
    return Advance("well", {"verification": Verification(healthy_since=NOON)} if run.stage is Stage.VERIFY else {})


class OneRun(RuleBasedStateMachine):
    """A run and its target, a rival for the target, a person at the lock, and time."""

    run: Run
    target: Target
    now: datetime

    @initialize(kind=st.sampled_from(list(Kind)), source=st.sampled_from(["merge", "command"]), busy=st.booleans())
    def begin(self, kind: Kind, source: str, busy: bool) -> None:
        self.now = NOON
        stage = Stage.ROLLBACK if kind is Kind.ROLLBACK else Stage.MERGE
        new = a_run(stage, kind=kind, trigger=a_trigger(source), lease=None, attempts=0, stage_due=None, history=())
        self.target = a_target(active=OTHER if busy else None)
        self.run = pipeline.begin(new, self.terms).run
        self.ended_as: Run | None = None
        self.rollbacks = 0

    @property
    def terms(self) -> Terms:
        return terms(self.now)

    @rule(seconds=st.floats(0.1, 4000))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.run.wake_at is not None)
    @rule()
    def the_sweep_comes(self) -> None:
        self.now = max(self.now, self.run.wake_at)

    @precondition(lambda self: not self.run.status.terminal)
    @rule(draw=st.data())
    def a_stage_runs(self, draw: st.DataObject) -> None:
        claimed = pipeline.claim(self.run, self.run.stage, "worker", self.terms)
        if not isinstance(claimed, Run):
            assert claimed.busy
            return
        self.run = claimed
        if draw.draw(st.booleans(), label="crashes"):
            return
        outcome = self.take_or(
            draw.draw(waits | retries | fails | rejections | st.booleans().map(lambda n: advance(claimed, n)))
        )
        self.commit(outcome)

    def take_or(self, outcome: Outcome) -> Outcome:
        """Merge and a rollback asked for take the target first."""
        first = self.run.stage is Stage.MERGE or (
            self.run.stage is Stage.ROLLBACK and self.run.kind is Kind.ROLLBACK and self.target.active != RUN
        )
        if not isinstance(outcome, Advance) or not first:
            return outcome
        taken = targets.take(self.run, self.target, self.now)
        if not isinstance(taken, Target):
            return taken
        self.run, self.target = pipeline.taken(self.run, self.terms), taken
        return outcome

    def commit(self, outcome: Outcome) -> None:
        before = self.run
        judged = pipeline.judge(before, outcome, self.terms)
        after = pipeline.apply(before, self.target, outcome, self.terms)
        if not pipeline.touches_target(before, judged):
            blank = Target(id=TARGET)
            assert after == pipeline.apply(before, blank, outcome, self.terms)
            assert after.target is None
        self.rollbacks += after.run.stage is Stage.ROLLBACK and before.stage is not Stage.ROLLBACK
        self.run, self.target = after.run, after.target or self.target
        self.check_messages(after.messages)
        assert self.run.lease is None
        overtime = self.run.refused_since is not None
        again, passed = self.terms.after(660), self.run.deadline is not None and self.run.deadline <= self.terms.now
        due = again if overtime and passed else min(self.run.deadline or again, again)
        assert after.again is False or self.run.stage_due == due
        assert self.run.stage_due is None or overtime or self.run.stage_due <= self.run.deadline
        assert overtime == (isinstance(judged, Rejected) or (isinstance(judged, Retry) and before.refusals > 0))

    def check_messages(self, messages: tuple[Message, ...]) -> None:
        """To the run itself, about its stage and what it owes, or to the run that has just been given the target."""
        for message in messages:
            own = message in (Message(self.run.stage, RUN), Message(NOTIFY, RUN))
            assert own or message == Message(Stage.MERGE, self.target.active)
        assert (Message(NOTIFY, RUN) in messages) <= bool(self.run.owed)

    @rule()
    def somebody_is_told(self) -> None:
        claimed = notices.claim(self.run, "notifier", self.now)
        assert claimed is not None
        self.run = notices.settle(claimed, dict.fromkeys(notices.owed_by(claimed), notices.SENT), self.now)

    @precondition(lambda self: self.target.active == OTHER)
    @rule()
    def the_rival_ends(self) -> None:
        self.target, _ = targets.release(self.target, OTHER, self.now)

    @precondition(lambda self: not any(entry.run_id == OTHER for entry in self.target.queue))
    @rule()
    def the_rival_comes(self) -> None:
        if self.target.active is None and self.target.lock is None:
            self.target = replace(self.target, active=OTHER)
        elif self.target.active != OTHER:
            self.target = replace(self.target, queue=(*self.target.queue, QueueEntry(OTHER, Stage.MERGE)))

    @rule()
    def a_person_locks(self) -> None:
        self.target = replace(self.target, lock=Lock(by="mona", reason="audit", at=self.now))

    @rule()
    def a_person_unlocks(self) -> None:
        self.target, _ = targets.call_next(replace(self.target, lock=None, hold=None))

    @invariant()
    def what_goes_on_is_woken(self) -> None:
        if not self.run.status.terminal:
            assert self.run.stage_due is not None
            assert self.run.deadline is not None
        due = [each for each in (self.run.stage_due, self.run.notify_due) if each is not None]
        assert self.run.wake_at == (min(due) if due else None)
        assert (self.run.notify_due is not None) == bool(self.run.owed)

    @invariant()
    def what_has_ended_is_over(self) -> None:
        if not self.run.status.terminal:
            assert self.run.stage is not Stage.DONE
            return
        assert self.run.stage is Stage.DONE
        assert (self.run.stage_due, self.run.deadline, self.run.lease) == (None, None, None)
        assert self.target.active != RUN
        assert all(entry.run_id != RUN for entry in self.target.queue)
        self.ended_as = self.ended_as or self.run
        assert (self.run.status, self.run.history) == (self.ended_as.status, self.ended_as.history)
        for stage in Stage:
            assert not isinstance(pipeline.claim(self.run, stage, "worker", self.terms), Run)

    @invariant()
    def a_rollback_happens_once(self) -> None:
        assert self.rollbacks <= (self.run.kind is Kind.DEPLOY)

    @invariant()
    def owed_is_not_told(self) -> None:
        assert not set(self.run.owed) & set(self.run.notified)
        assert len(set(self.run.owed)) == len(self.run.owed)

    @invariant()
    def who_waits_does_not_have_it(self) -> None:
        assert all(entry.run_id != self.target.active for entry in self.target.queue)

    @invariant()
    def nothing_is_noted_twice_in_a_row(self) -> None:
        said = [(entry.stage, entry.status, entry.message) for entry in self.run.history]
        assert all(one != next_one for one, next_one in itertools.pairwise(said))


OneRun.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestOneRun = OneRun.TestCase


def lived(kind: Kind, answers: st.SearchStrategy[Outcome | None], data: st.DataObject) -> tuple[Run, datetime, int]:
    """A run woken whenever it is due, until it ends; None as an answer advances it."""
    stage = Stage.ROLLBACK if kind is Kind.ROLLBACK else Stage.MERGE
    new = a_run(stage, kind=kind, lease=None, attempts=0, stage_due=None, history=())
    now, target = NOON, a_target()
    run = pipeline.begin(new, terms(now)).run
    for executions in range(1, 10_000):
        now = max(now, run.stage_due or now)
        claimed = pipeline.claim(run, run.stage, "worker", terms(now))
        assert isinstance(claimed, Run)
        outcome = data.draw(answers) or advance(claimed, needed=True)
        after = pipeline.apply(claimed, target, outcome, terms(now))
        run, target = after.run, after.target or target
        if run.status.terminal:
            assert target.active is None
            return run, now, executions
    raise AssertionError(f"still at {run.stage}")


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(list(Kind)),
    data=st.data(),
    wake_in=st.floats(20, 5000),
    otherwise=st.sampled_from([Reason.DEPLOY_TIMEOUT, Reason.VERIFY_INCONCLUSIVE, Reason.CHECKS_TIMEOUT]),
)
def test_whoever_waits_and_fails_and_tries_again_ends_in_time(kind, data, wake_in, otherwise):
    wait = Wait(message="not yet", wake_in=wake_in, otherwise=otherwise)
    answers = st.sampled_from([wait, Retry("502"), Retry("429", wake_in), None])

    run, ended, _ = lived(kind, answers, data)

    assert ended <= at(LONGEST)
    assert run.status.terminal


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(list(Kind)), data=st.data(), wake_in=st.floats(20, 5000))
def test_a_run_that_only_waits_ends_at_the_very_deadline_of_its_stage(kind, data, wake_in):
    wait = Wait(message="not yet", wake_in=wake_in, otherwise=Reason.VENDOR_UNAVAILABLE)

    _, ended, executions = lived(kind, st.just(wait), data)

    assert ended == at(600 if kind is Kind.ROLLBACK else 1800)
    assert executions > 1


@given(
    stage=st.sampled_from([Stage.MERGE, Stage.DEPLOY, Stage.MONITOR, Stage.VERIFY, Stage.ROLLBACK]),
    status=st.sampled_from([Status.QUEUED, Status.RUNNING]),
    attempts=st.integers(1, 12),
    now=st.floats(0, 1000),
    outcome=waits | retries | fails | rejections | st.builds(Enqueue, texts, codes) | st.none(),
    queue=st.lists(st.sampled_from([RUN, OTHER, "later"]), unique=True),
    active=st.sampled_from([None, RUN, OTHER]),
    locked=st.booleans(),
)
def test_the_shell_need_not_read_a_target_that_is_not_touched(
    stage, status, attempts, now, outcome, queue, active, locked
):
    rollback = a_way_back() if stage is Stage.ROLLBACK else None
    run = a_run(stage, status=status, attempts=attempts, deployment=Deployment(id="d-new"), rollback=rollback)
    given_outcome = outcome or advance(run, needed=True)
    place = Target(
        id=TARGET,
        active=active,
        queue=tuple(QueueEntry(id, Stage.MERGE) for id in queue if id != active),
        lock=Lock(by="mona", reason="audit", at=NOON) if locked else None,
        verified=(a_version(),),
    )

    judged = pipeline.judge(run, given_outcome, terms(at(now)))
    with_it = pipeline.apply(run, place, given_outcome, terms(at(now)))
    without = pipeline.apply(run, Target(id=TARGET), given_outcome, terms(at(now)))

    if not pipeline.touches_target(run, judged):
        assert with_it == without
        assert with_it.target is None
    if with_it.run.status.terminal:
        assert with_it.target.active != RUN
        assert all(entry.run_id != RUN for entry in with_it.target.queue)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_rollback_that_fails_in_any_stage_and_way_ends_the_run(kind):
    for stage in (Stage.ROLLBACK, Stage.MONITOR, Stage.VERIFY):
        for code in Reason:
            run = a_run(stage, kind=kind, deployment=Deployment(id="d-new"), rollback=a_way_back())
            assert pipeline.apply(run, a_target(), Fail(code, "no"), terms()).run.status.terminal


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(list(Kind)), data=st.data(), wake_in=st.floats(20, 5000))
def test_whoever_is_refused_now_and_then_ends_all_the_same(kind, data, wake_in):
    wait = Wait(message="not yet", wake_in=wake_in, otherwise=Reason.VERIFY_INCONCLUSIVE)
    answers = st.sampled_from([wait, Rejected("no"), Retry("502"), None])

    run, ended, _ = lived(kind, answers, data)

    # each pause for a refusal is shorter than the patience, and is followed by one that counts
    assert run.status.terminal
    assert ended <= at(LONGEST * 6)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(list(Kind)),
    patience=st.floats(1, 5000),
    poll=st.floats(1, 100),
    deadline=st.floats(-100, 100_000),
    stage=st.sampled_from([Stage.MERGE, Stage.DEPLOY, Stage.MONITOR, Stage.VERIFY, Stage.ROLLBACK]),
)
def test_a_refusal_counts_once_it_has_lasted_and_not_before(kind, patience, poll, deadline, stage):
    run = a_run(stage, kind=kind, deadline=at(deadline), rollback=a_way_back() if stage is Stage.ROLLBACK else None)
    now = NOON
    for looks in range(1, 10_000):
        given_terms = terms(now, refusal_patience=patience, poll=poll)
        judged = pipeline.judge(run, Rejected("no", Reason.DEPLOY_REFUSED), given_terms)
        lasted = (now - NOON).total_seconds()
        assert isinstance(judged, Fail) == (lasted >= patience and looks >= 3)
        if isinstance(judged, Fail):
            assert judged.code is Reason.DEPLOY_REFUSED
            assert lasted <= patience + 2 * max(poll, 5)
            return
        run = pipeline.apply(run, a_target(), Rejected("no"), given_terms).run
        assert not run.status.terminal
        now = run.stage_due


LOOKED = {
    Reason.BUILD_FAILED,
    Reason.DEPLOY_FAILED,
    Reason.DEPLOY_SKIPPED,
    Reason.DEPLOYMENT_REPLACED,
    Reason.NEWER_MERGE,
}
"""Reasons of a run that knows that nothing of its own is live."""


LONG_REFUSED = {"refusals": 5, "refused_since": at(-3600)}
GIVING_UP = [
    *(Fail(code, "so it is") for code in Reason if code is not Reason.LABEL_REMOVED),
    Retry("502"),
    Rejected("Not Authorized"),
    *(
        Wait(message="not yet", wake_in=60, otherwise=code)
        for code in (Reason.DEPLOY_TIMEOUT, Reason.VERIFY_INCONCLUSIVE)
    ),
]
NOTHING_BEGUN = a_way_back(needed=None, requested_at=None)


@pytest.mark.parametrize("outcome", GIVING_UP, ids=lambda outcome: f"{type(outcome).__name__} {outcome}"[:40])
@pytest.mark.parametrize("refused", [{}, LONG_REFUSED], ids=["", "refused"])
def test_who_gives_up_never_leaves_its_own_free_and_unsaid(outcome, refused):
    for stage, policy, deployment, rollback, target in itertools.product(
        [Stage.DEPLOY, Stage.MONITOR, Stage.VERIFY, Stage.ROLLBACK],
        ["automatic", "off"],
        [Deployment(requested_at=NOON), Deployment(id="d-new"), Deployment(id="d-new", adopted=True)],
        [None, NOTHING_BEGUN, a_way_back(), a_way_back(requested_at=None)],
        [a_target(), a_target(verified=()), a_target(lock=Lock(by="mona", reason="audit", at=NOON))],
    ):
        # given a run that has asked for a deployment, or follows one, on its way there or back; its time is up
        back = rollback or NOTHING_BEGUN if stage is Stage.ROLLBACK else rollback
        given_run = {"deployment": deployment, "rollback": back, "deadline": NOON, "attempts": 10}
        run, its_terms = a_run(stage, **given_run | refused), terms(at(4000), rollback=policy)

        # when it ends
        judged = pipeline.judge(run, outcome, its_terms)
        after = pipeline.apply(run, target, outcome, its_terms)
        if not after.run.status.terminal or not isinstance(judged, Fail) or judged.code in LOOKED:
            continue

        # then the target is held or locked because of it, and people hear of it as critical
        assert RUN in {one.run_id for one in (after.target.hold, after.target.lock) if one is not None}
        notice = next(one for one in notices.owed_by(after.run) if one.channel == notices.N8N)
        assert texts_of.notification(after.run, notice, "")["severity"] == "critical"


@pytest.mark.parametrize(
    "code", [Reason.VENDOR_REFUSED, Reason.QUEUE_TIMEOUT, Reason.ATTEMPTS_EXHAUSTED, Reason.TARGET_HELD]
)
@pytest.mark.parametrize("stage", [Stage.MERGE, Stage.DEPLOY])
@pytest.mark.parametrize("auto_deploy", ["adopt", "off"])
@pytest.mark.parametrize("source", ["merge", "command"])
def test_what_railway_deploys_by_itself_is_not_left_unsaid(code, stage, auto_deploy, source):
    run = a_run(stage, trigger=a_trigger(source))

    after = pipeline.apply(run, a_target(), Fail(code, "no"), terms(auto_deploy=auto_deploy))

    merged = source == "merge" or stage is Stage.DEPLOY
    held = auto_deploy == "adopt" and merged and code is not Reason.TARGET_HELD
    assert (after.target.hold is not None) == after.run.left_unverified == held


@pytest.mark.parametrize("needed", [None, True])
@pytest.mark.parametrize("source", ["health", "command"])
def test_a_rollback_that_was_not_begun_is_said_as_what_it_is(needed, source):
    # given a rollback that could not be asked for: one by command, or of what lost its health on probation
    reason = Reason.UNHEALTHY if source == "health" else Reason.ROLLED_BACK_BY_COMMAND
    back = a_way_back(reason=reason, needed=needed, requested_at=None)
    run = a_run(Stage.ROLLBACK, kind=Kind.ROLLBACK, rollback=back, trigger=a_trigger(source))

    after = pipeline.apply(run, a_target(), Fail(Reason.VENDOR_REFUSED, "no"), terms())

    # then what is known to be bad is locked, what lost its health held, and what somebody only wished away left
    assert (after.target.lock is not None) == (needed is True)
    assert (after.target.hold is not None) == (needed is None and source == "health")
