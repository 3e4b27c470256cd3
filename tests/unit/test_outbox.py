"""What is owed is delivered, tried again, and in the end given up; a run and a target owe alike."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from unit.building import NOON, RUN, a_run, a_target, at

from shared.core import notices
from shared.core.notices import GIVE_UP_AFTER, SENT, Notice
from shared.core.run import Lease, Notified, Run

KEYS = ("cancelled:comment", "cancelled:deployment", "cancelled:n8n")


@pytest.fixture(params=["run", "target"])
def document(request):
    """One that is not to be woken for anything but what it owes."""
    return a_run(stage_due=None, wake_at=None) if request.param == "run" else a_target()


def settle(document, results, *rest):
    return notices.settle(document, {Notice.read(key): outcome for key, outcome in results.items()}, *rest)


@pytest.fixture
def owing(document):
    return notices.owe(document, "cancelled", NOON)


class TestOwe:
    @pytest.mark.parametrize(
        ("event", "keys"),
        [
            (("started", NOON), ("started:comment",)),
            (
                ("rolled_back", NOON),
                ("rolled_back:comment", "rolled_back:deployment", "rolled_back:n8n", "rolled_back:analysis"),
            ),
            (("health_lost", NOON, "2026-07-01T12:00:00Z"), ("health_lost@2026-07-01T12:00:00Z:n8n",)),
        ],
    )
    def test_every_channel_of_the_event_is_owed_at_once(self, document, event, keys):
        owing = notices.owe(document, *event)

        assert owing.owed == keys
        assert owing.notify_due == owing.wake_at == NOON

    def test_what_is_owed_or_told_is_not_owed_again(self, owing):
        told = replace(owing, owed=KEYS[1:], notified={KEYS[0]: Notified(at(-5), SENT)}, notify_due=at(300))

        assert notices.owe(told, "cancelled", NOON) is told

    def test_only_what_is_missing_is_added_behind_the_rest(self, document):
        partly = replace(document, owed=("started:comment",), notified={KEYS[1]: Notified(at(-5), SENT)})

        assert notices.owe(partly, "cancelled", NOON).owed == ("started:comment", KEYS[0], KEYS[2])

    @pytest.mark.parametrize(
        "notice",
        [Notice("started", "", "comment"), Notice("secret_expiring", "N8N-API 2026-07-01 2026-09-29", "n8n")],
    )
    def test_a_notice_is_read_as_it_was_written(self, notice):
        assert Notice.read(str(notice)) == notice

    def test_an_event_nobody_knows_is_a_defect(self, document):
        with pytest.raises(KeyError):
            notices.owe(document, "rejoiced", NOON)

    def test_every_event_is_heard_of_somewhere(self):
        assert all(notices.CHANNELS.values())
        assert {channel for channels in notices.CHANNELS.values() for channel in channels} == {
            "comment",
            "deployment",
            "n8n",
            "analysis",
            "report",
        }


class TestScheduled:
    @pytest.mark.parametrize(
        ("stage", "notify", "wake"),
        [(10, 20, 10), (20, 10, 10), (None, 10, 10), (10, None, 10), (None, None, None)],
    )
    def test_a_run_is_woken_for_the_earlier_of_the_two(self, stage, notify, wake):
        def due(seconds):
            return None if seconds is None else at(seconds)

        assert notices.scheduled(a_run(stage_due=due(stage), notify_due=due(notify))).wake_at == due(wake)

    def test_a_target_is_woken_for_what_it_owes(self):
        assert notices.scheduled(a_target(notify_due=at(5))).wake_at == at(5)
        assert notices.scheduled(a_target(wake_at=at(5))).wake_at is None


class TestClaim:
    def test_one_worker_delivers(self, owing):
        claimed = notices.claim(owing, "first", NOON)

        assert claimed.notify_lease == Lease("first", at(60))
        assert claimed.notify_due == claimed.wake_at == at(60), "should the worker die"
        assert notices.claim(claimed, "second", at(59.9)) is None

    def test_the_same_worker_may_look_again_and_another_once_the_lease_is_over(self, owing):
        claimed = notices.claim(owing, "first", NOON)
        assert claimed is not None

        again, other = notices.claim(claimed, "first", at(5)), notices.claim(claimed, "second", at(60))

        assert again.notify_lease == Lease("first", at(65))
        assert other.notify_lease == Lease("second", at(120))

    def test_a_run_s_stage_is_not_put_off(self):
        claimed = notices.claim(a_run(owed=KEYS, stage_due=at(10)), "first", NOON)

        assert claimed.wake_at == at(10)


class TestSettle:
    def test_what_was_sent_is_told_and_nothing_more_is_due(self, owing):
        claimed = notices.claim(owing, "first", NOON)

        settled = settle(claimed, {KEYS[0]: SENT, KEYS[1]: SENT, KEYS[2]: "n8n is not configured"}, at(2))

        assert settled.owed == ()
        assert settled.notified == {
            KEYS[0]: Notified(at(2), SENT),
            KEYS[1]: Notified(at(2), SENT),
            KEYS[2]: Notified(at(2), "n8n is not configured"),
        }
        assert (settled.notify_due, settled.notify_lease, settled.notify_attempts) == (None, None, 0)
        assert settled.wake_at is None

    def test_what_was_not_delivered_is_tried_again_soon_when_something_else_was(self, owing):
        before = replace(owing, notify_attempts=7)

        settled = settle(before, {KEYS[0]: SENT, KEYS[1]: None, KEYS[2]: None}, NOON)

        assert settled.owed == KEYS[1:]
        assert (settled.notify_attempts, settled.notify_due, settled.wake_at) == (0, at(15), at(15))

    @pytest.mark.parametrize(
        ("tried", "pause"), [(0, 30), (1, 60), (2, 120), (4, 480), (5, 900), (9, 900), (10, 900), (98, 900)]
    )
    def test_pauses_grow_to_a_quarter_of_an_hour(self, owing, tried, pause):
        settled = settle(replace(owing, notify_attempts=tried), dict.fromkeys(KEYS), NOON)

        assert settled.notify_attempts == tried + 1
        assert settled.notify_due == at(pause)
        assert settled.owed == KEYS

    def test_after_about_a_day_it_is_given_up_and_says_so(self, owing):
        settled = settle(replace(owing, notify_attempts=GIVE_UP_AFTER - 1), dict.fromkeys(KEYS), NOON)

        assert settled.owed == ()
        assert {told.outcome for told in settled.notified.values()} == {"given up after 100 tries"}
        assert (settled.notify_due, settled.notify_attempts, settled.wake_at) == (None, 0, None)

    def test_a_try_that_delivers_is_never_the_last(self, owing):
        results = {KEYS[0]: SENT, KEYS[1]: None, KEYS[2]: None}

        settled = settle(replace(owing, notify_attempts=GIVE_UP_AFTER - 1), results, NOON)

        assert settled.owed == KEYS[1:]

    def test_what_became_owed_meanwhile_is_delivered_at_once(self, document):
        tried = notices.owe(document, "started", NOON)
        meanwhile = notices.owe(tried, "merged", at(1))

        settled = settle(meanwhile, {"started:comment": SENT}, at(2))

        assert settled.owed == ("merged:comment",)
        assert settled.notify_due == settled.wake_at == at(2)

    def test_a_worker_that_comes_too_late_leaves_the_next_one_its_lease(self, owing):
        """Found by simulation: it freed the lease of the worker that was telling people by then, and a third began."""
        overtaken = notices.claim(notices.claim(owing, "first", NOON), "second", at(61))

        settled = settle(overtaken, {KEYS[0]: SENT, KEYS[1]: None, KEYS[2]: None}, at(62), "first")

        assert settled.owed == KEYS[1:]
        assert settled.notified == {KEYS[0]: Notified(at(62), SENT)}
        assert (settled.notify_lease, settled.notify_due) == (Lease("second", at(121)), at(121))
        assert settle(overtaken, dict.fromkeys(KEYS, SENT), at(62), "first").notify_due is None
        assert settle(overtaken, dict.fromkeys(KEYS, SENT), at(62), "second").notify_lease is None

    def test_giving_up_does_not_reach_what_was_never_tried(self, document):
        meanwhile = replace(document, owed=("started:comment", "merged:comment"), notify_attempts=GIVE_UP_AFTER - 1)

        settled = settle(meanwhile, {"started:comment": None}, NOON)

        assert settled.owed == ("merged:comment",)
        assert settled.notify_due == NOON

    def test_settling_twice_is_harmless(self, owing):
        results = dict.fromkeys(KEYS, SENT)
        once = settle(owing, results, NOON)

        assert settle(once, results, NOON) == once

    def test_a_run_is_still_woken_for_its_stage(self):
        settled = settle(a_run(owed=KEYS, stage_due=at(90)), dict.fromkeys(KEYS, SENT), NOON)

        assert isinstance(settled, Run)
        assert (settled.id, settled.wake_at) == (RUN, at(90))


def test_giving_up_takes_about_a_day(owing):
    now, tried = NOON, owing
    while tried.owed:
        now = tried.notify_due
        tried = settle(tried, dict.fromkeys(tried.owed), now)

    assert timedelta(hours=22) < now - NOON < timedelta(hours=26)
