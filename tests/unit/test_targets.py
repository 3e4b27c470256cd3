"""Who has the target, who waits, and what is verified, locked, held or quarantined there."""

import pytest
from msgspec.structs import replace
from unit.building import (
    HEAD,
    MERGE,
    NOON,
    OLD,
    OLDER,
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

from shared.core import targets
from shared.core.outcome import Enqueue, Fail, Message, NotDeployed
from shared.core.reasons import Reason
from shared.core.run import Deployment, Kind, Stage
from shared.core.target import Health, Hold, Lock, Quarantine, QueueEntry, Target

LOCK = Lock(by="mona", reason="audit", at=at(-60))
HOLD = Hold(reason="another run was rolled back", at=at(-60), run_id="another")
QUARANTINE = Quarantine(commit_sha=MERGE, run_id="another", reason=Reason.UNHEALTHY, at=at(-60))
POLICY = terms().policy

merged = a_run(commit_sha=MERGE)
labelled = a_run(trigger=a_trigger("label"))
commanded = a_run(commit_sha=MERGE, trigger=a_trigger("command"))
forced = a_run(commit_sha=MERGE, trigger=a_trigger("command", force="a false alarm"))
going_back = a_run(Stage.ROLLBACK, kind=Kind.ROLLBACK, trigger=a_trigger("command"))


class TestTake:
    @pytest.mark.parametrize("run", [merged, commanded, forced, going_back])
    def test_a_free_target_is_the_run_s_own_and_the_run_leaves_the_queue(self, run):
        taken = targets.take(run, a_target(active=None, queue=queued("first", RUN, "last")), NOON)

        assert taken == a_target(active=RUN, queue=queued("first", "last"), updated_at=NOON)

    @pytest.mark.parametrize("run", [merged, commanded, forced, going_back])
    def test_taking_it_again_changes_nothing(self, run):
        mine = a_target(lock=LOCK)

        assert targets.take(run, mine, NOON) is mine

    @pytest.mark.parametrize("run", [merged, commanded, forced, going_back])
    def test_a_busy_target_is_queued_for(self, run):
        assert targets.take(run, a_target(active="other", lock=LOCK), NOON) == Enqueue(
            "queued behind other", Reason.QUEUE_TIMEOUT
        )

    @pytest.mark.parametrize("run", [merged, commanded, forced])
    def test_a_locked_target_is_queued_for(self, run):
        assert targets.take(run, a_target(active=None, lock=LOCK), NOON) == Enqueue(
            "queued: the target is locked: audit", Reason.TARGET_LOCKED
        )

    def test_a_lock_does_not_stop_the_way_back(self):
        taken = targets.take(going_back, a_target(active=None, lock=LOCK), NOON)

        assert taken == a_target(active=RUN, lock=LOCK, updated_at=NOON)

    @pytest.mark.parametrize("run", [merged, labelled], ids=["merge", "label"])
    @pytest.mark.parametrize("active", [None, RUN, "other"], ids=["free", "called from the queue", "busy"])
    def test_a_held_target_refuses_what_nobody_asked_for_just_now(self, run, active):
        refused = targets.take(run, a_target(active=active, hold=HOLD), NOON)

        assert refused == NotDeployed(Reason.TARGET_HELD, "the target is held: another run was rolled back")

    @pytest.mark.parametrize("active", [None, RUN], ids=["free", "called from the queue"])
    def test_a_deployment_asked_for_lifts_the_hold(self, active):
        taken = targets.take(commanded, a_target(active=active, hold=HOLD), NOON)

        assert taken == a_target(active=RUN, updated_at=NOON)

    def test_a_rollback_asked_for_does_not_lift_the_hold(self):
        taken = targets.take(going_back, a_target(active=None, hold=HOLD), NOON)

        assert taken == a_target(active=RUN, hold=HOLD, updated_at=NOON)

    @pytest.mark.parametrize("run", [merged, commanded], ids=["merged", "commanded"])
    @pytest.mark.parametrize("active", [None, RUN], ids=["free", "called from the queue"])
    def test_a_quarantined_commit_is_refused(self, run, active):
        refused = targets.take(run, a_target(active=active, quarantined=(QUARANTINE,)), NOON)

        assert refused == Fail(Reason.QUARANTINED, "2222222 was rolled back by another")

    @pytest.mark.parametrize("run", [forced, going_back, a_run(), a_run(commit_sha=OLD)])
    def test_a_reason_overrides_the_quarantine_and_other_commits_have_none(self, run):
        taken = targets.take(run, a_target(active=None, quarantined=(QUARANTINE,)), NOON)

        assert isinstance(taken, Target)
        assert taken.active == RUN


class TestQueue:
    def test_a_run_stands_at_the_end_with_the_stage_to_wake_it_in(self):
        after = targets.enqueue(going_back, a_target(active="other", queue=queued("first")), NOON)

        assert after.queue == (*queued("first"), *queued(RUN, stage=Stage.ROLLBACK))
        assert after.updated_at == NOON

    def test_a_run_keeps_its_place(self):
        standing = a_target(active="other", queue=queued(RUN, "last"))

        assert targets.enqueue(merged, standing, NOON) is standing

    def test_a_merge_stands_with_its_commit_and_a_command_does_not(self):
        busy = a_target(active="other")

        assert targets.enqueue(merged, busy, NOON).queue == (QueueEntry(RUN, Stage.MERGE, MERGE),)
        assert targets.enqueue(commanded, busy, NOON).queue == queued(RUN)

    def test_release_names_the_next(self):
        after, messages = targets.release(a_target(queue=queued("next", "last")), RUN, NOON)

        assert after == a_target(active="next", queue=queued("last"), updated_at=NOON)
        assert messages == (Message("merge", "next"),)

    def test_release_without_anybody_waiting_leaves_it_free(self):
        assert targets.release(a_target(), RUN, NOON) == (a_target(active=None, updated_at=NOON), ())

    def test_a_run_that_only_waited_leaves_the_queue_and_the_others_alone(self):
        after, messages = targets.release(a_target(active="other", queue=queued("first", RUN, "last")), RUN, NOON)

        assert (after.active, after.queue, messages) == ("other", queued("first", "last"), ())

    def test_nobody_is_called_to_a_locked_target_but_a_rollback(self):
        waiting = queued("next")
        assert targets.call_next(a_target(active=None, lock=LOCK, queue=waiting)) == (
            a_target(active=None, lock=LOCK, queue=waiting),
            (),
        )

        after, messages = targets.call_next(
            a_target(active=None, lock=LOCK, queue=(*waiting, *queued("back", stage=Stage.ROLLBACK)))
        )
        assert (after.active, after.queue) == ("back", waiting)
        assert messages == (Message("rollback", "back"),)

    def test_nobody_is_called_to_a_busy_target(self):
        busy = a_target(queue=queued("next"))

        assert targets.call_next(busy) == (busy, ())

    def test_called_in_order(self):
        target, order = a_target(queue=queued("a", "b", "c")), []
        while target.active:
            target, _ = targets.release(target, target.active, NOON)
            order.append(target.active)

        assert order == ["a", "b", "c", None]


class TestNewer:
    waiting = (QueueEntry("a", Stage.MERGE, OLDER), QueueEntry("b", Stage.MERGE), QueueEntry("c", Stage.MERGE, HEAD))

    def test_the_newest_that_waits_is_asked_about_first_and_what_serves_last(self):
        assert targets.newer(merged, a_target(queue=self.waiting)) == (HEAD, OLDER, OLD)

    def test_not_its_own_commit_nor_one_that_is_quarantined(self):
        own = QueueEntry(RUN, Stage.MERGE, MERGE)
        quarantine = replace(QUARANTINE, commit_sha=HEAD)
        target = a_target(queue=(*self.waiting, own), quarantined=(quarantine,), verified=(a_version("d", MERGE),))

        assert targets.newer(merged, target) == (OLDER,)

    @pytest.mark.parametrize("run", [commanded, a_run(), going_back], ids=["asked for", "not merged", "way back"])
    def test_nothing_overtakes_what_was_not_merged_to_be_deployed_by_itself(self, run):
        assert targets.newer(run, a_target(queue=self.waiting)) == ()

    def test_nothing_where_nothing_was_deployed_yet(self):
        assert targets.newer(merged, a_target(verified=())) == ()


class TestStanding:
    run = a_run(Stage.VERIFY, deployment=Deployment(id="d-new", url="https://web.example", migrates=True))

    def test_what_was_verified_is_the_current_version_and_lifts_what_stood_in_its_way(self):
        other = Quarantine(commit_sha=OLDER, run_id="x", reason=Reason.UNHEALTHY, at=NOON)
        before = a_target(hold=HOLD, rollbacks_in_a_row=2, quarantined=(QUARANTINE, other), lock=LOCK)

        after = targets.standing(before, self.run, NOON)

        assert after == a_target(
            verified=(a_version("d-new", MERGE, run_id=RUN, at=NOON, migrates=True), a_version()),
            address="https://web.example",
            quarantined=(other,),
            lock=LOCK,
        )

    @pytest.mark.parametrize(
        ("coming", "held", "stays"),
        [
            ("d-held", {"commit_sha": OLDER, "deployment_id": "d-held"}, True),
            ("d-held", {"commit_sha": OLDER}, True),
            ("d-newer", {"commit_sha": OLDER, "deployment_id": "d-held"}, False),
            (None, {"commit_sha": OLDER, "deployment_id": "d-held"}, False),
            ("d-held", {"commit_sha": MERGE, "deployment_id": "d-held"}, False),
            ("d-held", {"commit_sha": OLDER, "deployment_id": "d-held", "unverified": False}, False),
        ],
        ids=["it may come yet", "any may be it", "another one comes", "none comes", "of this commit", "rolled back"],
    )
    def test_a_hold_for_what_may_still_go_live_stays(self, coming, held, stays):
        hold = replace(HOLD, **{"unverified": True} | held)
        run = replace(self.run, deployment=replace(self.run.deployment, followed_by=coming))

        assert targets.standing(a_target(hold=hold), run, NOON).hold == (hold if stays else None)

    def test_the_newest_ten_are_kept(self):
        before = a_target(verified=tuple(a_version(f"d-{n}", f"{n:040x}") for n in range(10)))

        ids = [version.deployment_id for version in targets.standing(before, self.run, NOON).verified]

        assert ids == ["d-new", *(f"d-{n}" for n in range(9))]

    def test_a_deployment_verified_again_stands_once(self):
        before = a_target(verified=(a_version(), a_version("d-new", MERGE), a_version("d-older", OLDER)))

        ids = [version.deployment_id for version in targets.standing(before, self.run, NOON).verified]

        assert ids == ["d-new", "d-old", "d-older"]

    @pytest.mark.parametrize(
        "changes", [{"deployment": None}, {"deployment": Deployment()}, {"commit_sha": None}], ids=str
    )
    def test_nothing_stands_without_a_deployment(self, changes):
        with pytest.raises(AssertionError, match="verified without a deployment"):
            targets.standing(a_target(), a_run(Stage.VERIFY, **changes), NOON)


class TestRestored:
    def restored(self, before=None, policy=POLICY, **changes):
        run = a_run(Stage.VERIFY, **{"rollback": a_way_back()} | changes)
        return targets.restored(before or a_target(), run, NOON, policy)

    def test_the_old_version_is_current_as_its_new_deployment_and_the_bad_commit_is_quarantined(self):
        after = self.restored(a_target(verified=(a_version(migrates=True), a_version("d-older", OLDER))))

        assert after.verified == (a_version("d-back", OLD, run_id=RUN, at=NOON), a_version("d-older", OLDER))
        assert after.quarantined == (Quarantine(commit_sha=MERGE, run_id=RUN, reason=Reason.UNHEALTHY, at=NOON),)
        assert after.hold == Hold(reason=f"{RUN} was rolled back: unhealthy", at=NOON, run_id=RUN)
        assert after.rollbacks_in_a_row == 1

    def test_what_was_taken_back_is_never_returned_to(self):
        before = a_target(verified=(a_version("d-new", MERGE), a_version(), a_version("d-new-1", MERGE)))

        after = self.restored(before, kind=Kind.ROLLBACK, commit_sha=MERGE)

        assert [version.commit_sha for version in after.verified] == [OLD]

    @pytest.mark.parametrize(
        ("threshold", "before", "held"),
        [(0, 0, False), (0, 9, False), (1, 0, True), (2, 0, False), (2, 1, True), (2, 5, True)],
    )
    def test_the_target_is_held_after_so_many_rollbacks_in_a_row(self, threshold, before, held):
        policy = terms(hold_after_rollbacks=threshold).policy

        after = self.restored(a_target(rollbacks_in_a_row=before), policy)

        assert (after.hold is not None, after.rollbacks_in_a_row) == (held, before + 1)

    def test_a_rollback_lifts_no_hold(self):
        assert self.restored(a_target(hold=HOLD), terms(hold_after_rollbacks=0).policy).hold == HOLD

    @pytest.mark.parametrize("replaced", [None, OLD], ids=["nothing known", "the same commit"])
    def test_what_serves_is_not_quarantined(self, replaced):
        after = self.restored(a_target(quarantined=(QUARANTINE,)), commit_sha=replaced)

        assert after.quarantined == (QUARANTINE,)
        assert [version.commit_sha for version in after.verified] == [OLD]

    def test_a_commit_is_quarantined_once_and_the_newest_twenty_are_kept(self):
        others = tuple(
            Quarantine(commit_sha=f"{n:040x}", run_id="x", reason=Reason.UNHEALTHY, at=NOON) for n in range(19)
        )

        again = self.restored(a_target(quarantined=(*others, QUARANTINE)))
        full = self.restored(a_target(quarantined=(*others, a_quarantine := QUARANTINE)), commit_sha="5" * 40)

        assert [q.commit_sha for q in again.quarantined] == [MERGE, *(q.commit_sha for q in others)]
        assert again.quarantined[0].run_id == RUN
        assert len(full.quarantined) == 20
        assert a_quarantine not in full.quarantined

    @pytest.mark.parametrize(
        "way", [None, a_way_back(to=None), a_way_back(deployment_id=None)], ids=["none", "nowhere", "not begun"]
    )
    def test_nothing_is_restored_without_a_rollback(self, way):
        with pytest.raises(AssertionError, match="restored without a rollback"):
            self.restored(rollback=way)


class TestObserve:
    def look(self, before: Health, healthy: bool | None, threshold: int = 3) -> Target:
        return targets.observe(a_target(health=before), healthy, "503", NOON, threshold)

    @pytest.mark.parametrize(
        ("before", "healthy", "state", "failures", "owed"),
        [
            (Health(), True, "healthy", 0, None),
            (Health(), False, "unknown", 1, None),
            (Health(failures=2), False, "unhealthy", 3, "health_lost"),
            (Health(state="healthy"), True, "healthy", 0, None),
            (Health(state="healthy"), False, "healthy", 1, None),
            (Health(state="healthy", failures=1), True, "healthy", 0, None),
            (Health(state="healthy", failures=2), False, "unhealthy", 3, "health_lost"),
            (Health(state="unhealthy", failures=3), False, "unhealthy", 4, None),
            (Health(state="unhealthy", failures=4), True, "healthy", 0, "health_regained"),
        ],
    )
    def test_a_change_of_state_is_owed_to_people(self, before, healthy, state, failures, owed):
        after = self.look(before, healthy)

        assert after.health == Health(
            state=state,
            failures=failures,
            checked_at=NOON,
            changed_at=NOON if state != before.state else None,
            detail="503",
        )
        assert after.owed == ((f"{owed}@2026-07-01T12:00:00Z:n8n",) if owed else ())
        assert after.wake_at == after.notify_due == (NOON if owed else None)
        assert after.updated_at == NOON

    def test_not_knowing_changes_nothing_but_the_time(self):
        before = Health(state="healthy", failures=2, checked_at=at(-60), changed_at=at(-600), detail="200")

        after = self.look(before, None)

        assert after.health == Health(state="healthy", failures=2, checked_at=NOON, changed_at=at(-600), detail="503")
        assert after.owed == ()

    def test_the_same_state_keeps_since_when(self):
        assert self.look(Health(state="healthy", changed_at=at(-600)), True).health.changed_at == at(-600)

    def test_a_threshold_of_one_takes_the_first_failure(self):
        assert self.look(Health(state="healthy"), False, 1).health.state == "unhealthy"

    def test_each_loss_is_told_anew(self):
        first = self.look(Health(state="healthy", failures=2), False)
        second = targets.observe(first, True, "200", at(60), 3)

        assert second.owed == (
            "health_lost@2026-07-01T12:00:00Z:n8n",
            "health_regained@2026-07-01T12:01:00Z:n8n",
        )
