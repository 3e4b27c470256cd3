"""What follows from what: each stage, each outcome, with and without a way back."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from unit.building import (
    HEAD,
    MERGE,
    NOON,
    OLD,
    RUN,
    a_run,
    a_target,
    a_trigger,
    a_version,
    a_way_back,
    at,
    queued,
    terms,
)

from shared.core import pipeline, targets
from shared.core.outcome import Advance, Enqueue, Fail, Message, NotDeployed, Retry, Wait
from shared.core.pipeline import NOTIFY, Refusal
from shared.core.reasons import Reason
from shared.core.run import (
    Check,
    Deployment,
    EntryKind,
    Failure,
    HistoryEntry,
    Kind,
    Lease,
    Notified,
    Rollback,
    Run,
    Stage,
    Status,
    Verdict,
    Verification,
)
from shared.core.target import Lock, QueueEntry

STAGES = [Stage.MERGE, Stage.DEPLOY, Stage.MONITOR, Stage.VERIFY, Stage.ROLLBACK]
ENDED = [
    Status.SUCCEEDED,
    Status.FAILED,
    Status.ROLLED_BACK,
    Status.CANCELLED,
    Status.SUPERSEDED,
    Status.NOT_DEPLOYED,
]
BAD = [
    Reason.BUILD_FAILED,
    Reason.DEPLOY_FAILED,
    Reason.DEPLOY_SKIPPED,
    Reason.DEPLOY_CRASHED,
    Reason.DEPLOY_TIMEOUT,
    Reason.UNHEALTHY,
    Reason.WRONG_VERSION,
]
OTHERWISE = [Reason.DEPLOYMENT_REPLACED, Reason.NEWER_MERGE, Reason.LABEL_REMOVED]
"""Reasons to end without having failed."""
NOTIFIES = Message(NOTIFY, RUN)
END_CHANNELS = ("comment", "deployment", "n8n")
ANALYSED = ("failed", "rolled_back", "rollback_failed")


def wait(**changes) -> Wait:
    return Wait(**{"message": "not yet", "wake_in": 60, "otherwise": Reason.DEPLOY_TIMEOUT} | changes)


def keys(event: str, *channels: str) -> tuple[str, ...]:
    return tuple(f"{event}:{channel}" for channel in channels)


def end_keys(event: str) -> tuple[str, ...]:
    analysis = ("analysis",) if event.partition("@")[0] in ANALYSED else ()
    return keys(event, *END_CHANNELS, *analysis)


def apply(run: Run, outcome, target=None, now=NOON, **policy):
    return pipeline.apply(run, target or a_target(), outcome, terms(now, **policy))


class TestBegin:
    @pytest.mark.parametrize(("kind", "stage", "seconds"), [("deploy", "merge", 1800), ("rollback", "rollback", 600)])
    def test_a_run_begins_with_its_first_stage_and_owes_a_comment(self, kind, stage, seconds):
        new = a_run(Stage(stage), kind=Kind(kind), history=(), lease=None, stage_due=None, wake_at=None, deadline=None)

        begun = pipeline.begin(new, terms())

        assert begun.messages == (Message(stage, RUN), NOTIFIES)
        assert begun.target is None
        run = begun.run
        assert run.deadline == at(seconds)
        assert (run.stage_due, run.notify_due, run.wake_at) == (at(90), NOON, NOON)
        assert run.owed == ("started:comment",)
        assert run.history == (
            HistoryEntry(NOON, Stage(stage), Status.RUNNING, "requested by mona", EntryKind.REQUESTED),
        )


class TestClaim:
    def test_a_claim_leases_the_run_and_counts(self):
        run = a_run(lease=None, attempts=2, status=Status.WAITING, stage_due=NOON, wake_at=NOON)

        claimed = pipeline.claim(run, Stage.MERGE, "worker", terms())

        assert isinstance(claimed, Run)
        assert claimed.lease == Lease("worker", at(60))
        assert (claimed.attempts, claimed.status, claimed.updated_at) == (3, Status.RUNNING, NOON)
        assert claimed.stage_due == claimed.wake_at == at(150), "after the lease, were the worker to die"

    def test_a_claim_leaves_what_is_owed_to_people_due(self):
        run = a_run(lease=None, owed=("started:comment",), notify_due=at(5))

        claimed = pipeline.claim(run, Stage.MERGE, "worker", terms())

        assert isinstance(claimed, Run)
        assert claimed.wake_at == at(5)

    def test_a_run_in_the_queue_stays_queued_when_it_is_looked_at(self):
        claimed = pipeline.claim(a_run(lease=None, status=Status.QUEUED), Stage.MERGE, "worker", terms())

        assert isinstance(claimed, Run)
        assert claimed.status is Status.QUEUED

    @pytest.mark.parametrize("status", ENDED)
    def test_what_has_ended_is_never_claimed(self, status):
        run = a_run(Stage.DONE, status=status, lease=None, stage_due=None)

        for stage in STAGES:
            assert pipeline.claim(run, stage, "worker", terms()) == Refusal(f"the run has ended ({status})")

    @pytest.mark.parametrize(
        ("due", "called"),
        [(at(1), False), (NOON, True), (at(-1), True), (None, False)],
        ids=["early", "due", "late", "never"],
    )
    def test_a_message_for_another_stage_wakes_the_right_one_only_when_that_is_due(self, due, called):
        run = a_run(Stage.MONITOR, lease=None, stage_due=due)

        refusal = pipeline.claim(run, Stage.DEPLOY, "worker", terms())

        assert isinstance(refusal, Refusal)
        assert refusal.messages == ((Message("monitor", RUN),) if called else ())
        assert not refusal.busy, "the message has been served: it must not come again"

    def test_a_leased_run_is_busy_until_the_lease_has_passed(self):
        run = a_run(lease=Lease("other", at(10)))

        refusal = pipeline.claim(run, Stage.MERGE, "worker", terms(at(9.9)))
        claimed = pipeline.claim(run, Stage.MERGE, "worker", terms(at(10)))

        assert refusal == Refusal("another worker has the run until 12:00:10", busy=True)
        assert isinstance(claimed, Run)
        assert claimed.lease.owner == "worker"


class TestTaken:
    def test_a_run_whose_turn_has_come_gets_its_stage_s_whole_time(self):
        run = pipeline.taken(a_run(status=Status.QUEUED, deadline=at(80000)), terms())

        assert (run.status, run.deadline) == (Status.RUNNING, at(1800))
        assert run.history[-1] == HistoryEntry(
            NOON, Stage.MERGE, Status.RUNNING, "reached the front of the queue", EntryKind.CALLED
        )

    def test_a_run_that_never_stood_in_the_queue_is_left_as_it_is(self):
        run = a_run()

        assert pipeline.taken(run, terms()) is run


COMMANDED = Reason.ROLLED_BACK_BY_COMMAND
RESTORED = f"it answers; {MERGE[:7]} is quarantined, and nothing is deployed automatically until a user requests it"


class TestAdvance:
    @pytest.mark.parametrize(
        ("stage", "follows", "seconds", "owed"),
        [
            (Stage.MERGE, Stage.DEPLOY, 600, keys("merged", "comment")),
            (Stage.DEPLOY, Stage.MONITOR, 900, keys("deploying", "comment", "deployment")),
            (Stage.MONITOR, Stage.VERIFY, 300, keys("live", "comment")),
        ],
    )
    def test_the_next_stage_begins(self, stage, follows, seconds, owed):
        after = apply(a_run(stage, attempts=3), Advance("done so far"))

        run = after.run
        assert (run.stage, run.status, run.attempts, run.lease) == (follows, Status.RUNNING, 0, None)
        assert run.deadline == at(seconds)
        assert (run.stage_due, run.wake_at) == (at(90), NOON)
        assert run.owed == owed
        assert run.history[-1] == HistoryEntry(NOON, stage, Status.RUNNING, "done so far", EntryKind.ADVANCED)
        assert after.messages == (Message(follows, RUN), NOTIFIES)
        assert (after.target, after.again) == (None, False)

    def test_what_the_stage_found_out_is_kept(self):
        found = Deployment(id="d-new")

        after = apply(a_run(Stage.DEPLOY), Advance("started", {"deployment": found}))

        assert after.run.deployment == found

    def test_being_late_does_not_undo_what_was_done(self):
        assert apply(a_run(Stage.DEPLOY), Advance("done"), now=at(9999)).run.stage is Stage.MONITOR

    def test_verification_begins_without_the_looks_of_an_earlier_one(self):
        seen = Verification(failures=3, healthy_since=at(-100))

        assert apply(a_run(Stage.MONITOR, verification=seen), Advance("live")).run.verification is None
        assert apply(a_run(Stage.DEPLOY, verification=seen), Advance("started")).run.verification == seen

    def test_a_verified_deployment_stands_and_the_next_run_is_called(self):
        after = apply(a_run(Stage.VERIFY), Advance("healthy for 300 s"), a_target(queue=queued("next", "later")))

        run, target = after.run, after.target
        assert (run.stage, run.status, run.error) == (Stage.DONE, Status.SUCCEEDED, None)
        assert (run.stage_due, run.deadline, run.lease) == (None, None, None)
        assert run.owed == end_keys("succeeded")
        assert run.wake_at == run.notify_due == NOON
        assert run.history[-1] == HistoryEntry(
            NOON, Stage.VERIFY, Status.SUCCEEDED, "healthy for 300 s", EntryKind.ENDED
        )
        assert [version.commit_sha for version in target.verified] == [MERGE, OLD]
        assert (target.active, target.queue) == ("next", queued("later"))
        assert after.messages == (Message("merge", "next"), NOTIFIES)

    def test_a_rollback_that_was_needed_is_followed_on_the_restored_deployment(self):
        after = apply(
            a_run(Stage.ROLLBACK, deployment=Deployment(id="d-new")), Advance("asked", {"rollback": a_way_back()})
        )

        assert (after.run.stage, after.run.deadline) == (Stage.MONITOR, at(900))
        assert after.run.watched_deployment == "d-back"
        assert after.run.watched_commit == OLD
        assert after.run.owed == keys("rolling_back", "comment", "deployment")

    def test_the_restored_deployment_is_verified_without_a_bake(self):
        after = apply(a_run(Stage.MONITOR, rollback=a_way_back()), Advance("live"))

        assert (after.run.stage, after.run.deadline) == (Stage.VERIFY, at(300))

    def test_people_hear_once_that_a_run_is_rolling_back(self):
        told = {key: Notified(at(-5), "sent") for key in keys("rolling_back", "comment", "deployment")}

        after = apply(a_run(Stage.MONITOR, rollback=a_way_back(), notified=told), Advance("live"))

        assert after.run.owed == ()
        assert after.run.wake_at == at(90)
        assert after.messages == (Message("verify", RUN),)

    def test_when_the_old_version_serves_it_is_verified_at_once(self):
        serves = a_way_back(needed=False, deployment_id="d-old", requested_at=None)

        after = apply(a_run(Stage.ROLLBACK, deployment=Deployment(id="d-new")), Advance("serves", {"rollback": serves}))

        assert (after.run.stage, after.run.deadline) == (Stage.VERIFY, at(300))
        assert after.run.watched_deployment == "d-old"

    @pytest.mark.parametrize(
        ("kind", "reason", "needed", "status", "event", "message"),
        [
            (Kind.DEPLOY, Reason.UNHEALTHY, True, Status.ROLLED_BACK, "rolled_back", RESTORED),
            (Kind.ROLLBACK, COMMANDED, True, Status.SUCCEEDED, "rolled_back", RESTORED),
            (Kind.ROLLBACK, Reason.UNHEALTHY, True, Status.ROLLED_BACK, "rolled_back", RESTORED),
            (
                Kind.DEPLOY,
                Reason.UNHEALTHY,
                False,
                Status.FAILED,
                "failed",
                "the previous version is live and healthy; there was nothing to roll back",
            ),
            (Kind.ROLLBACK, COMMANDED, False, Status.SUCCEEDED, "succeeded", "that version is live already"),
            (
                Kind.ROLLBACK,
                Reason.UNHEALTHY,
                False,
                Status.SUCCEEDED,
                "succeeded",
                "healthy again: nothing was rolled back",
            ),
        ],
    )
    def test_the_end_of_the_way_back(self, kind, reason, needed, status, event, message):
        run = a_run(Stage.VERIFY, kind=kind, commit_sha=MERGE, rollback=a_way_back(needed=needed, reason=reason))

        after = apply(run, Advance("it answers"), a_target(queue=queued("next")))

        assert (after.run.stage, after.run.status) == (Stage.DONE, status)
        assert after.run.owed == end_keys(event)
        assert after.run.history[-1].message == message
        assert after.messages == (Message("merge", "next"), NOTIFIES)
        target = after.target
        assert target.active == "next"
        assert (target.current and target.current.deployment_id) == ("d-back" if needed else "d-old")
        assert [q.commit_sha for q in target.quarantined] == ([MERGE] if needed else [])
        assert (target.hold is not None) == needed

    def test_a_rolled_back_run_still_says_why(self):
        why = Failure(code=Reason.UNHEALTHY, message="503", stage=Stage.VERIFY)

        after = apply(a_run(Stage.VERIFY, rollback=a_way_back(), error=why), Advance("it answers"))

        assert after.run.error == why


class TestWait:
    @pytest.mark.parametrize("stage", STAGES)
    def test_the_run_is_looked_at_again(self, stage):
        after = apply(a_run(stage, attempts=4), wait(changes={"commit_sha": HEAD}), a_target(active="other"))

        run = after.run
        assert (run.stage, run.status, run.attempts, run.lease) == (stage, Status.WAITING, 0, None)
        assert (run.stage_due, run.wake_at, run.deadline) == (at(60), at(60), at(540))
        assert run.commit_sha == HEAD
        assert run.history[-1] == HistoryEntry(NOON, stage, Status.WAITING, "not yet", EntryKind.WAITING)
        assert (after.messages, after.target, after.again) == ((), None, False)

    def test_the_last_look_happens_at_the_deadline(self):
        after = apply(a_run(Stage.MONITOR), wait(), now=at(500))

        assert after.run.stage_due == after.run.wake_at == at(540)

    @pytest.mark.parametrize(("now", "ends"), [(at(539.9), False), (at(540), True), (at(1000), True)])
    def test_waiting_past_the_deadline_is_failing(self, now, ends):
        after = apply(a_run(Stage.MERGE), wait(otherwise=Reason.CHECKS_TIMEOUT), now=now)

        assert after.run.status.terminal is ends
        if ends:
            assert after.run.error == Failure(
                code=Reason.CHECKS_TIMEOUT, message="time ran out: not yet", stage=Stage.MERGE
            )

    def test_what_the_last_look_saw_is_kept(self):
        seen = Verification(checks=(Check("health", Verdict.FAIL, "503"),), failures=2)

        after = apply(
            a_run(Stage.VERIFY), wait(otherwise=Reason.UNHEALTHY, changes={"verification": seen}), now=at(540)
        )

        assert after.run.stage is Stage.ROLLBACK
        assert after.run.verification == seen

    def test_in_the_queue_time_running_out_is_the_queue_s(self):
        after = apply(a_run(status=Status.QUEUED), wait(otherwise=Reason.CHECKS_TIMEOUT), now=at(540))

        assert after.run.error.code is Reason.QUEUE_TIMEOUT

    def test_a_run_that_was_called_and_is_not_ready_lets_others_go_first(self):
        called = a_target(active=RUN, queue=queued("next"))

        after = apply(a_run(status=Status.QUEUED, deadline=at(5000)), wait(), called)

        assert (after.run.status, after.run.deadline) == (Status.WAITING, at(1800))
        assert (after.target.active, after.target.queue) == ("next", ())
        assert Message(Stage.MERGE, "next") in after.messages

    def test_a_run_that_has_the_target_and_must_wait_for_a_check_again_gives_it_up(self):
        after = apply(a_run(), wait(), a_target(active=RUN, queue=queued("next")))

        assert (after.run.status, after.run.deadline) == (Status.WAITING, at(540))
        assert after.target.active == "next"

    def test_a_run_that_stands_in_the_queue_and_is_not_ready_leaves_it(self):
        after = apply(a_run(status=Status.QUEUED), wait(), a_target(active="other", queue=queued(RUN)))

        assert after.run.status is Status.WAITING
        assert (after.target.active, after.target.queue) == ("other", ())

    def test_looking_again_at_the_same_is_no_history(self):
        once = apply(a_run(Stage.MONITOR), wait()).run
        twice = apply(once, wait(), now=at(60)).run
        other = apply(twice, wait(message="nearly"), now=at(120)).run
        back = apply(other, wait(), now=at(180)).run

        assert twice.history == once.history
        assert [entry.message for entry in back.history[1:]] == ["not yet", "nearly", "not yet"]

    def test_the_same_words_in_another_status_are_history(self):
        waiting = apply(a_run(Stage.MONITOR), wait(message="live")).run

        assert len(apply(waiting, Advance("live")).run.history) == len(waiting.history)
        claimed = replace(waiting, status=Status.RUNNING)
        assert len(apply(claimed, Advance("live")).run.history) == len(waiting.history) + 1

    def test_the_history_keeps_its_newest_entries(self):
        entries = tuple(HistoryEntry(at(n), Stage.MONITOR, Status.WAITING, str(n)) for n in range(200))

        history = apply(a_run(Stage.MONITOR, history=entries), wait()).run.history

        assert len(history) == 200
        assert (history[0].message, history[-1].message) == ("1", "not yet")

    def test_people_are_notified_once_where_the_stage_asks_for_it(self):
        first = apply(a_run(Stage.MONITOR), wait(tell="needs_approval"))
        told = replace(
            first.run, owed=(), notify_due=None, notified={k: Notified(NOON, "sent") for k in first.run.owed}
        )
        second = apply(told, wait(tell="needs_approval"), now=at(60))

        assert first.run.owed == keys("needs_approval", "comment", "n8n")
        assert (first.messages, first.run.wake_at, first.run.stage_due) == ((NOTIFIES,), NOON, at(60))
        assert (second.run.owed, second.messages, second.run.wake_at) == ((), (), at(120))

    def test_a_run_without_a_deadline_waits_as_asked(self):
        assert apply(a_run(deadline=None), wait(), now=at(10000)).run.stage_due == at(10060)


class TestRetry:
    @pytest.mark.parametrize("stage", STAGES)
    def test_without_a_named_time_the_queue_brings_it_again(self, stage):
        after = apply(a_run(stage, attempts=3, deadline=at(5000)), Retry("GitHub: 502"))

        run = after.run
        assert after.again
        assert (run.status, run.lease, run.attempts) == (Status.WAITING, None, 3)
        assert run.stage_due == run.wake_at == at(660), "beyond the next redelivery, so that the sweep does not join in"
        assert run.history[-1].message == "GitHub: 502"
        assert (after.messages, after.target) == ((), None)

    def test_at_a_named_time_the_sweep_does(self):
        after = apply(a_run(Stage.DEPLOY), Retry("Railway: 429", 120))

        assert not after.again
        assert after.run.stage_due == at(120)

    @pytest.mark.parametrize("named", [None, 600])
    def test_the_last_try_happens_at_the_deadline(self, named):
        assert apply(a_run(Stage.DEPLOY), Retry("Railway: 429", named)).run.stage_due == at(540)

    @pytest.mark.parametrize("named", [None, 30])
    def test_past_the_deadline_the_vendor_is_unavailable(self, named):
        after = apply(a_run(Stage.DEPLOY, attempts=99), Retry("Railway: 502", named), now=at(540))

        assert after.run.status is Status.FAILED
        assert after.run.error == Failure(
            code=Reason.VENDOR_UNAVAILABLE, message="time ran out: Railway: 502", stage=Stage.DEPLOY
        )
        assert not after.again, "the run has ended: the message is served"

    @pytest.mark.parametrize(("now", "ends"), [(540, False), (839, False), (840, True)])
    def test_a_refusal_before_moves_the_deadline_by_its_patience_at_most(self, now, ends):
        refused = a_run(Stage.VERIFY, refused_since=at(200), refusals=4)
        deadline = refused.deadline
        after = apply(refused, Retry("Railway: 502"), now=at(now))

        assert deadline == at(540)
        assert after.run.status.terminal is ends

    @pytest.mark.parametrize(("attempts", "ends"), [(9, False), (10, True), (11, True)])
    def test_attempts_are_used_up(self, attempts, ends):
        after = apply(a_run(Stage.DEPLOY, attempts=attempts), Retry("KeyError"))

        assert after.run.status.terminal is ends
        if ends:
            assert after.run.error.code is Reason.ATTEMPTS_EXHAUSTED
            assert after.run.error.message == f"tried {attempts} times: KeyError"

    def test_a_run_in_the_queue_stays_there(self):
        assert apply(a_run(status=Status.QUEUED), Retry("GitHub: 502")).run.status is Status.QUEUED

    @pytest.mark.parametrize("stage", [Stage.MONITOR, Stage.VERIFY])
    def test_our_own_blindness_rolls_nothing_back(self, stage):
        after = apply(a_run(stage, attempts=10), Retry("Railway: 502"))

        assert (after.run.status, after.run.rollback) == (Status.FAILED, None)


class TestEnqueue:
    behind = Enqueue("queued behind other", Reason.QUEUE_TIMEOUT)

    @pytest.mark.parametrize(
        ("stage", "kind"), [(Stage.MERGE, Kind.DEPLOY), (Stage.ROLLBACK, Kind.ROLLBACK)], ids=["deploy", "rollback"]
    )
    def test_the_run_stands_in_the_queue_and_people_hear_of_it(self, stage, kind):
        busy = a_target(active="other", queue=queued("earlier"))

        after = apply(a_run(stage, kind=kind, attempts=2), self.behind, busy)

        run = after.run
        assert (run.stage, run.status, run.attempts, run.lease) == (stage, Status.QUEUED, 0, None)
        assert (run.deadline, run.stage_due) == (at(86400), at(300))
        assert run.owed == keys("queued", "comment")
        assert after.messages == (NOTIFIES,)
        assert after.target.active == "other"
        assert after.target.queue == (*queued("earlier"), *queued(RUN, stage=stage))

    def test_merges_that_wait_already_look_at_the_newer_one(self):
        merge = QueueEntry("older", Stage.MERGE, OLD)
        busy = a_target(active="other", queue=(merge, *queued("command")))

        after = apply(a_run(commit_sha=MERGE), self.behind, busy)
        again = apply(after.run, self.behind, after.target)

        assert after.messages == (Message("merge", "older"), NOTIFIES)
        assert again.messages == ()

    def test_a_command_that_queues_makes_nobody_look(self):
        busy = a_target(active="other", queue=(QueueEntry("older", Stage.MERGE, OLD),))

        after = apply(a_run(commit_sha=MERGE, trigger=a_trigger("command")), self.behind, busy)

        assert after.messages == (NOTIFIES,)

    def test_looking_again_while_queued_changes_neither_place_nor_deadline(self):
        busy = a_target(active="other", queue=queued(RUN, "later"))

        after = apply(a_run(status=Status.QUEUED, deadline=at(5000)), self.behind, busy)

        assert after.target == busy
        assert (after.run.deadline, after.run.stage_due, after.run.owed) == (at(5000), at(300), ())

    def test_a_target_that_has_become_free_meanwhile_calls_at_once(self):
        after = apply(a_run(), self.behind, a_target(queue=queued("earlier")))

        assert (after.target.active, after.target.queue) == ("earlier", queued(RUN))
        assert Message(Stage.MERGE, "earlier") in after.messages

    def test_a_locked_target_is_given_up_by_the_run_that_was_called(self):
        locked = a_target(active=RUN, lock=Lock(by="ada", reason="the fair", at=NOON))

        after = apply(a_run(status=Status.QUEUED), Enqueue("locked", Reason.TARGET_LOCKED), locked)

        assert (after.target.active, after.target.queue) == (None, queued(RUN))

    def test_the_last_look_in_the_queue_happens_at_its_deadline(self):
        run = a_run(status=Status.QUEUED, deadline=at(100))

        assert apply(run, self.behind, a_target(active="other")).run.stage_due == at(100)

    @pytest.mark.parametrize("code", [Reason.QUEUE_TIMEOUT, Reason.TARGET_LOCKED])
    def test_nobody_queues_for_ever(self, code):
        busy = a_target(active="other", queue=queued("earlier", RUN))

        after = apply(a_run(status=Status.QUEUED), Enqueue("queued", code), busy, now=at(540))

        assert (after.run.status, after.run.error and after.run.error.code) == (Status.FAILED, code)
        assert (after.target.active, after.target.queue) == ("other", queued("earlier"))
        assert after.messages == (NOTIFIES,)

    def test_the_time_spent_waiting_for_checks_is_not_the_queue_s(self):
        after = apply(a_run(), self.behind, a_target(active="other"), now=at(540))

        assert (after.run.status, after.run.deadline) == (Status.QUEUED, at(540 + 86400))


class TestFail:
    tail = ("error: no such module",)

    @pytest.mark.parametrize("code", [c for c in Reason if c not in {*BAD, *OTHERWISE}])
    @pytest.mark.parametrize("stage", [Stage.MERGE, Stage.DEPLOY, Stage.MONITOR, Stage.VERIFY])
    def test_most_failures_end_the_run_and_free_the_target(self, stage, code):
        live = stage in (Stage.MONITOR, Stage.VERIFY)
        deployment = Deployment(id="d-new") if live else None

        after = apply(
            a_run(stage, deployment=deployment), Fail(code, "so it is", self.tail), a_target(queue=queued("next"))
        )

        run = after.run
        assert (run.stage, run.status) == (Stage.DONE, Status.FAILED)
        assert run.error == Failure(code=code, message="so it is", stage=stage, log_tail=self.tail)
        assert run.owed == end_keys("unverified" if live else "failed")
        assert (run.stage_due, run.deadline, run.rollback) == (None, None, None)
        assert run.history[-1] == HistoryEntry(NOON, stage, Status.FAILED, f"{code}: so it is", EntryKind.ENDED)
        assert (after.target.active, after.target.lock) == ("next", None)
        assert (after.target.hold is not None) == run.left_unverified == live, "held where ours may be live"
        assert after.target.verified == a_target().verified
        assert after.messages == (Message("merge", "next"), NOTIFIES)

    @pytest.mark.parametrize("code", [Reason.ATTEMPTS_EXHAUSTED, Reason.VENDOR_UNAVAILABLE, Reason.VENDOR_REFUSED])
    def test_giving_up_on_a_deployment_that_nobody_saw_looks_at_what_serves(self, code):
        run = a_run(Stage.DEPLOY, deployment=Deployment(requested_at=NOON))

        after = apply(run, Fail(code, "so it is"))

        assert (after.run.stage, after.run.rollback) == (Stage.ROLLBACK, Rollback(reason=code))

    @pytest.mark.parametrize("code", BAD)
    @pytest.mark.parametrize("stage", [Stage.DEPLOY, Stage.MONITOR, Stage.VERIFY])
    def test_a_bad_deployment_is_rolled_back(self, stage, code):
        seen = Verification(failures=3)
        run = a_run(stage, deployment=Deployment(id="d-new"), verification=seen)

        after = apply(run, Fail(code, "so it is", self.tail))

        assert (after.run.stage, after.run.status) == (Stage.ROLLBACK, Status.RUNNING)
        assert after.run.rollback == Rollback(reason=code)
        assert after.run.error == Failure(code=code, message="so it is", stage=stage, log_tail=self.tail)
        assert after.run.deadline == at(600)
        assert after.run.owed == keys("rolling_back", "comment", "deployment")
        assert after.run.verification == seen, "people still see which check failed"
        assert after.messages == (Message("rollback", RUN), NOTIFIES)
        assert after.target is None, "the run keeps the target"

    @pytest.mark.parametrize("code", BAD)
    def test_a_policy_can_leave_the_way_back_to_people(self, code):
        after = apply(a_run(Stage.VERIFY), Fail(code, "so it is"), rollback="off")

        assert (after.run.status, after.run.rollback) == (Status.FAILED, None)
        assert after.run.owed == end_keys("failed")

    @pytest.mark.parametrize("code", BAD)
    def test_without_a_deployment_there_is_nothing_to_take_back(self, code):
        after = apply(a_run(Stage.DEPLOY), Fail(code, "so it is"))

        assert (after.run.status, after.run.rollback) == (Status.FAILED, None)

    def test_a_refused_deployment_leaves_nothing_behind(self):
        run = a_run(Stage.DEPLOY, deployment=Deployment(requested_at=at(-1)))

        after = apply(run, Fail(Reason.DEPLOY_REFUSED, "no such commit", changes={"deployment": None}))

        assert (after.run.status, after.run.deployment) == (Status.FAILED, None)

    @pytest.mark.parametrize("rollback", [None, a_way_back()], ids=["going", "going back"])
    @pytest.mark.parametrize("kind", list(Kind))
    def test_whose_deployment_was_replaced_stands_aside(self, kind, rollback):
        run = a_run(Stage.MONITOR, kind=kind, deployment=Deployment(id="d-new"), rollback=rollback)

        after = apply(run, Fail(Reason.DEPLOYMENT_REPLACED, "somebody deployed"), a_target(queue=queued("next")))

        assert after.run.status is Status.SUPERSEDED
        assert after.run.owed == end_keys("superseded")
        assert (after.target.active, after.target.lock) == ("next", None)

    @pytest.mark.parametrize("target", [a_target(), a_target(active="other", queue=queued(RUN))])
    def test_a_label_that_was_taken_off_cancels_the_run_and_leaves_the_queue(self, target):
        after = apply(a_run(), Fail(Reason.LABEL_REMOVED, "not there any more"), target)

        assert (after.run.status, after.run.error.code) == (Status.CANCELLED, Reason.LABEL_REMOVED)
        assert after.run.owed == keys("cancelled", *END_CHANNELS)
        assert (after.target.active, after.target.queue) == (None if target.active == RUN else "other", ())

    @pytest.mark.parametrize("target", [a_target(), a_target(active="other", queue=queued(RUN))])
    def test_what_a_newer_merge_brings_along_ends_and_leaves_the_queue(self, target):
        after = apply(a_run(commit_sha=MERGE), Fail(Reason.NEWER_MERGE, "in another"), target)

        assert (after.run.status, after.run.error.code) == (Status.SUPERSEDED, Reason.NEWER_MERGE)
        assert after.run.owed == end_keys("superseded")
        assert (after.target.active, after.target.queue) == (None if target.active == RUN else "other", ())

    @pytest.mark.parametrize("code", BAD)
    @pytest.mark.parametrize("stage", [Stage.ROLLBACK, Stage.MONITOR, Stage.VERIFY])
    def test_a_rollback_is_never_rolled_back_but_locks_the_target(self, stage, code):
        run = a_run(stage, deployment=Deployment(id="d-new"), rollback=a_way_back())

        after = apply(run, Fail(code, "still bad"), a_target(queue=queued("next")))

        assert (after.run.stage, after.run.status) == (Stage.DONE, Status.FAILED)
        assert after.run.rollback == run.rollback
        assert after.run.error.code is code
        assert after.run.owed == end_keys("rollback_failed")
        target = after.target
        assert target.lock == Lock(by="signalbox", reason=f"{code}: still bad", at=NOON, run_id=RUN)
        assert (target.active, target.queue) == (None, queued("next")), "a locked target calls nobody"
        assert after.messages == (NOTIFIES,)

    def test_somebody_else_s_deployment_does_not_hide_why_ours_failed(self):
        failure = Failure(code=Reason.BUILD_FAILED, message="no", stage=Stage.MONITOR)
        run = a_run(Stage.ROLLBACK, error=failure, rollback=Rollback(reason=Reason.BUILD_FAILED))

        after = apply(run, Fail(Reason.DEPLOYMENT_REPLACED, "of somebody else"), a_target())

        assert (after.run.status, after.run.error) == (Status.FAILED, failure)
        assert after.run.owed == end_keys("failed")

    def test_the_end_of_another_attempt_is_told_although_the_first_ended_alike(self):
        told = {key: Notified(NOON, "sent") for key in end_keys("failed")}
        run = a_run(Stage.MERGE, attempt=2, notified=told)

        after = apply(run, Fail(Reason.CHECKS_FAILED, "test"), a_target())

        assert after.run.owed == end_keys("failed@2")

    def test_a_person_s_lock_is_not_forgotten_over_ours(self):
        run = a_run(Stage.ROLLBACK, rollback=a_way_back())
        locked = a_target(lock=Lock(by="ada", reason="the fair", at=NOON))

        after = apply(run, Fail(Reason.ROLLBACK_REFUSED, "no"), locked)

        assert after.target.lock.reason == "rollback_refused: no; locked before by ada: the fair"

    def test_finding_no_way_back_locks_the_target(self):
        run = a_run(Stage.ROLLBACK, deployment=Deployment(id="d-new"), rollback=Rollback(reason=Reason.UNHEALTHY))

        after = apply(run, Fail(Reason.ROLLBACK_TARGET_MISSING, "none is known"))

        assert after.target is not None
        assert after.target.lock is not None
        assert after.run.owed == end_keys("rollback_failed")

    def test_when_the_old_version_never_stopped_serving_nothing_is_locked(self):
        serves = a_way_back(needed=False, requested_at=None)

        after = apply(a_run(Stage.VERIFY, rollback=serves), Fail(Reason.UNHEALTHY, "503"))

        assert after.run.owed == end_keys("rollback_failed")
        assert after.target.lock is None

    @pytest.mark.parametrize("needed", [None, False], ids=["undecided", "not needed"])
    def test_a_rollback_asked_for_that_began_nothing_only_fails(self, needed):
        way = Rollback(reason=Reason.ROLLED_BACK_BY_COMMAND, needed=needed)
        run = a_run(Stage.ROLLBACK, kind=Kind.ROLLBACK, rollback=way)

        after = apply(run, Fail(Reason.ROLLBACK_TARGET_MISSING, "none is known"), a_target(queue=queued("next")))

        assert after.run.owed == end_keys("failed")
        assert (after.target.lock, after.target.active) == (None, "next")

    def test_a_rollback_asked_for_that_was_begun_and_fails_locks_the_target(self):
        run = a_run(Stage.MONITOR, kind=Kind.ROLLBACK, rollback=a_way_back())

        after = apply(run, Fail(Reason.DEPLOY_CRASHED, "crashed"))

        assert after.run.owed == end_keys("rollback_failed")
        assert after.target is not None
        assert after.target.lock is not None

    @pytest.mark.parametrize(
        ("needed", "code"), [(True, Reason.ROLLBACK_UNVERIFIED), (False, Reason.VERIFY_INCONCLUSIVE)]
    )
    def test_not_being_able_to_look_at_what_was_restored_is_not_nothing_was_rolled_back(self, needed, code):
        run = a_run(Stage.VERIFY, rollback=a_way_back(needed=needed))

        after = apply(run, Fail(Reason.VERIFY_INCONCLUSIVE, "no connection"))

        assert after.run.error.code is code
        assert after.run.history[-1].message == f"{code}: no connection"

    @pytest.mark.parametrize("outcome", [wait(otherwise=Reason.ROLLBACK_TIMEOUT), Retry("Railway: 502")])
    def test_a_way_back_that_takes_too_long_locks_the_target(self, outcome):
        run = a_run(Stage.ROLLBACK, deployment=Deployment(id="d-new"), rollback=Rollback(reason=Reason.UNHEALTHY))

        after = apply(run, outcome, now=at(540))

        assert after.target is not None
        assert after.target.lock is not None
        assert after.run.error.code in (Reason.ROLLBACK_TIMEOUT, Reason.VENDOR_UNAVAILABLE)

    def test_what_people_were_told_of_is_not_owed_again(self):
        run = a_run(owed=("started:comment",), notify_due=at(300), notified={"failed:n8n": Notified(at(-9), "sent")})

        after = apply(run, Fail(Reason.CHECKS_FAILED, "red"))

        assert after.run.owed == ("started:comment", "failed:comment", "failed:deployment", "failed:analysis")
        assert after.run.notify_due == after.run.wake_at == NOON


class TestJudge:
    @pytest.mark.parametrize("outcome", [Advance("done"), Fail(Reason.CHECKS_FAILED, "red")])
    def test_what_is_decided_stays_so(self, outcome):
        run = a_run(status=Status.QUEUED, attempts=99)

        assert pipeline.judge(run, outcome, terms(at(9999))) is outcome

    @pytest.mark.parametrize("outcome", [wait(), Retry("502"), Enqueue("queued", Reason.QUEUE_TIMEOUT)])
    def test_in_time_everything_may_go_on(self, outcome):
        assert pipeline.judge(a_run(status=Status.QUEUED), outcome, terms(at(539))) is outcome

    def test_judging_twice_is_judging_once(self):
        run, late = a_run(), terms(at(540))
        once = pipeline.judge(run, wait(), late)

        assert pipeline.judge(run, once, late) is once


@pytest.mark.parametrize(
    ("stage", "outcome", "touches"),
    [
        (Stage.MERGE, Advance("merged"), False),
        (Stage.ROLLBACK, Advance("asked"), False),
        (Stage.VERIFY, Advance("healthy"), True),
        (Stage.VERIFY, wait(), False),
        (Stage.MERGE, Retry("502"), False),
        (Stage.MERGE, Enqueue("queued", Reason.QUEUE_TIMEOUT), True),
        (Stage.MERGE, Fail(Reason.CHECKS_FAILED, "red"), True),
    ],
)
def test_the_target_is_read_only_where_the_outcome_concerns_it(stage, outcome, touches):
    assert pipeline.touches_target(a_run(stage), outcome) is touches


def test_a_hold_after_a_rollback_holds_the_run_that_is_called_next():
    """The next merge contains the bad commit: it must not follow on the heels of its rollback."""
    after = apply(a_run(Stage.VERIFY, rollback=a_way_back()), Advance("restored"), a_target(queue=queued("next")))
    assert after.target.active == "next"

    refused = targets.take(a_run(id="next"), after.target, NOON)
    asked = targets.take(a_run(id="next", trigger=a_trigger("command")), after.target, NOON)

    assert isinstance(refused, NotDeployed)
    assert refused.code is Reason.TARGET_HELD
    assert not isinstance(asked, Fail | Enqueue)
    assert (asked.active, asked.hold) == ("next", None)


def test_a_lease_that_ran_out_changes_nothing_about_the_outcome():
    stale = a_run(Stage.DEPLOY, lease=Lease("worker", NOON - timedelta(minutes=5)))

    assert apply(stale, Advance("started")) == apply(a_run(Stage.DEPLOY), Advance("started"))


def test_the_version_of_the_target_is_what_the_run_deployed():
    deployment = Deployment(id="d-new", url="https://web.example", migrates=True)

    after = apply(a_run(Stage.VERIFY, deployment=deployment), Advance("healthy"))

    assert after.target.current == a_version("d-new", MERGE, run_id=RUN, at=NOON, migrates=True)
    assert after.target.address == "https://web.example"


WAITS = Wait(message="Railway: needs approval", wake_in=60, otherwise=Reason.DEPLOY_TIMEOUT, suspends=True)
GOES_ON = replace(WAITS, message="Railway: building", suspends=False)


def test_while_a_person_is_waited_for_the_stages_time_stands_still():
    # Given a run whose deployment waits for an approval, seen a minute after its deadline
    waiting = apply(a_run(Stage.MONITOR, deadline=at(-60)), WAITS, approval_deadline=1000).run
    assert (waiting.status, waiting.deadline, waiting.suspended_since) == (Status.WAITING, at(1000), NOON)

    # When it is seen again, the time for that does not begin anew
    again = apply(replace(waiting, updated_at=at(10)), WAITS, now=at(500), approval_deadline=1000).run
    assert (again.deadline, again.suspended_since) == (at(1000), NOON)

    # Then what follows has the stage's whole time, however late it is seen
    on = apply(again, GOES_ON, now=at(2000), monitor_deadline=900).run
    assert (on.status, on.deadline, on.suspended_since) == (Status.WAITING, at(2900), None)


def test_an_approval_that_does_not_come_in_its_time_is_a_timeout():
    waiting = a_run(Stage.MONITOR, suspended_since=at(-1000), deadline=NOON)
    after = apply(waiting, WAITS).run
    assert (after.error.code, after.suspended_since) == (Reason.DEPLOY_TIMEOUT, None)


@pytest.mark.parametrize(
    ("code", "event", "kept"),
    [(Reason.TARGET_HELD, "held_back", 1), (Reason.NOTHING_TO_DEPLOY, "nothing_to_deploy", 0)],
)
def test_what_is_not_deployed_ends_without_an_error_and_frees_the_target(code, event, kept):
    run = a_run(commit_sha=MERGE, deployment=Deployment(awaited_since=NOON))
    after = apply(run, NotDeployed(code, "so it is"), a_target(queue=queued("next")))
    assert after.target is not None
    assert (after.run.status, after.run.reason, after.run.error) == (Status.NOT_DEPLOYED, code, None)
    assert (after.run.stage, after.run.deployment, after.target.active) == (Stage.DONE, None, "next")
    assert all(key.startswith(f"{event}:") for key in after.run.owed)
    assert [one.commit_sha for one in after.target.held_back] == [MERGE] * kept


def test_a_hold_keeps_a_merge_back_once_and_a_label_that_merged_nothing_not_at_all():
    held = NotDeployed(Reason.TARGET_HELD, "held back")
    first = apply(a_run(commit_sha=MERGE), held, a_target())
    assert first.target is not None
    again = apply(a_run(commit_sha=MERGE), held, first.target)
    unmerged = apply(a_run(trigger=a_trigger("label")), held, a_target())
    assert (len(again.target.held_back), unmerged.target.held_back) == (1, ())


def test_a_run_that_may_come_to_nothing_is_begun_quietly():
    assert pipeline.begin(a_run(owed=()), terms(), quietly=True).run.owed == ()


@pytest.mark.parametrize(("left", "kept"), [(100, 100), (0, pipeline.ONE_MORE_LOOK), (-5, pipeline.ONE_MORE_LOOK)])
@pytest.mark.parametrize("called", ["taken", "not ready after all"])
def test_the_queue_gives_a_stage_no_time_that_it_has_used(called, left, kept):
    """Found by simulation: two that let each other go first waited for ever, each time with all of their time."""
    # Given one whose stage had some time left when it was queued
    waiting = a_run(Stage.MERGE, status=Status.WAITING, deadline=NOON + timedelta(seconds=left))
    standing = apply(waiting, Enqueue("queued behind other", Reason.QUEUE_TIMEOUT), a_target(active="other")).run
    assert standing.status is Status.QUEUED

    # When an hour later reached the front of the queue, or it finds that it is not ready
    later = NOON + timedelta(hours=1)
    if called == "taken":
        after = pipeline.taken(standing, terms(later))
    else:
        after = apply(standing, wait(), a_target(active="other"), now=later).run

    # Then it has that, and no more; but for one more look
    assert (after.deadline, after.time_left) == (later + timedelta(seconds=kept), None)
    assert after.stage_due is None or after.stage_due <= after.deadline or called == "taken"
