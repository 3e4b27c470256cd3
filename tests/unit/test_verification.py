"""Does the deployment hold: each check's four verdicts, and what a look means in time."""

import pytest
from msgspec.structs import replace
from unit.building import MERGE, NOON, OLD, a_deployment, a_run, a_version, a_way_back, at, terms

from functions.verify.checks import Sight, assess, conclude
from shared.core.observed import Answer
from shared.core.outcome import Advance, Fail, Wait
from shared.core.reasons import Reason
from shared.core.run import Check, Stage, Verdict, Verification

PASS, FAIL, INCONCLUSIVE, NOT_RUN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_RUN
IN_TEN_MINUTES = at(600)
SHOWS = {"commit_field": "commit"}

railway_well = Check("railway", PASS, "d-new is SUCCESS")
railway_unclear = Check("railway", INCONCLUSIVE, "d-new is DEPLOYING")
new_answers = Check("version", PASS, "2222222 answers")
old_answers = Check("version", FAIL, "3333333 answers instead of 2222222")
no_version = Check("version", NOT_RUN, "the service does not show its commit")
well = Check("health", PASS, "200 OK")
sick = Check("health", FAIL, "503 Service Unavailable")
unreached = Check("health", INCONCLUSIVE, "not reached: no route")
private = Check("health", NOT_RUN, "the service has no public address")

ALL_WELL = (railway_well, new_answers, well)


def answer(**changes) -> Answer:
    return Answer(**{"reached": True, "status": 200, "healthy": True, "commit": MERGE, "detail": "200 OK"} | changes)


def a_look(commit=MERGE, run=None, **changes):
    """The verdicts of one look, by check."""
    policy = terms(**SHOWS).policy
    sight = Sight(a_deployment(), answer(commit=commit, **changes))
    return {check.name: check for check in assess(run or a_run(Stage.VERIFY), policy, sight)}


class TestRailway:
    @pytest.mark.parametrize(
        ("status", "verdict"),
        [
            ("SUCCESS", PASS),
            ("SLEEPING", PASS),
            ("DEPLOYING", INCONCLUSIVE),
            ("NEEDS_APPROVAL", INCONCLUSIVE),
            ("SOMETHING_NEW", INCONCLUSIVE),
        ],
    )
    def test_only_what_railway_calls_live_passes(self, status, verdict):
        checks = assess(a_run(Stage.VERIFY), terms().policy, Sight(a_deployment("0123456789", status), None))

        assert checks[0] == Check("railway", verdict, f"01234567 is {status}")

    def test_the_checks_come_in_the_order_in_which_they_mean_something(self):
        assert list(a_look()) == ["railway", "version", "health"]


class TestVersion:
    @pytest.mark.parametrize("commit", [MERGE, MERGE[:7], "ABCDEF1" + "0" * 33, "abcdef1"])
    def test_the_new_commit_answers_whole_or_short_in_either_case(self, commit):
        run = a_run(Stage.VERIFY, commit_sha=MERGE if commit[0] == "2" else "abcdef1" + "0" * 33)

        assert a_look(commit, run)["version"] == Check("version", PASS, f"{commit[:7]} answers")

    @pytest.mark.parametrize("commit", [OLD, MERGE[:6], MERGE + "0", "v1.2.3", MERGE[1:] + "9", "x" * 500])
    def test_another_commit_fails(self, commit):
        check = a_look(commit)["version"]

        assert check.verdict is FAIL
        assert "answers instead of 2222222" in check.detail
        assert len(check.detail) < 80

    def test_a_healthy_answer_without_the_commit_is_not_the_new_version(self):
        assert a_look(None)["version"] == Check("version", FAIL, "no commit answers instead of 2222222")

    def test_an_unhealthy_answer_may_lack_the_commit(self):
        assert a_look(None, healthy=False)["version"] == Check("version", NOT_RUN, "the answer shows no commit")

    def test_an_unhealthy_answer_of_another_version_says_nothing_of_ours(self):
        assert a_look(OLD, healthy=False)["version"].verdict is FAIL

    def test_an_old_version_may_not_show_its_commit_yet(self):
        restored = a_run(Stage.VERIFY, rollback=a_way_back())

        assert a_look(None, restored)["version"].verdict is NOT_RUN
        assert a_look(OLD, restored)["version"].verdict is PASS
        assert a_look(MERGE, restored)["version"].verdict is FAIL

    def test_what_cannot_be_reached_says_nothing(self):
        check = a_look(None, reached=False, healthy=False, detail="not reached")["version"]

        assert check == Check("version", INCONCLUSIVE, "not reached")

    @pytest.mark.parametrize(
        ("policy", "run", "seen"),
        [
            ({}, a_run(Stage.VERIFY), answer()),
            (SHOWS, a_run(Stage.VERIFY), None),
            (SHOWS, a_run(Stage.VERIFY, commit_sha=None), answer()),
            (SHOWS, a_run(Stage.VERIFY, rollback=a_way_back(to=None)), answer()),
            (SHOWS, a_run(Stage.VERIFY, rollback=a_way_back(to=a_version(commit_sha=""))), answer()),
        ],
        ids=["not configured", "private", "no commit", "nowhere to return to", "an unknown commit to return to"],
    )
    def test_it_is_not_run_where_there_is_nothing_to_compare(self, policy, run, seen):
        checks = assess(run, terms(**policy).policy, Sight(a_deployment(), seen))

        assert checks[1] == no_version

    def test_a_header_serves_as_well_as_a_field(self):
        policy = terms(commit_header="X-Commit").policy

        assert assess(a_run(Stage.VERIFY), policy, Sight(a_deployment(), answer()))[1] == new_answers


class TestHealth:
    @pytest.mark.parametrize(
        ("seen", "expected"),
        [
            (None, private),
            (answer(), well),
            (answer(healthy=False, status=503, detail="503 Service Unavailable"), sick),
            (answer(healthy=False, reached=False, status=None, detail="not reached: no route"), unreached),
            (
                answer(healthy=False, status=None, detail="no complete answer"),
                Check("health", FAIL, "no complete answer"),
            ),
        ],
        ids=["private", "healthy", "unhealthy", "unreached", "silent"],
    )
    def test_each_verdict(self, seen, expected):
        assert assess(a_run(Stage.VERIFY), terms().policy, Sight(a_deployment(), seen))[2] == expected


EDGE = {
    "status": 404,
    "healthy": False,
    "by_edge": True,
    "commit": None,
    "url": "https://shop.example/health",
    "detail": "404 Not Found, from Railway's edge",
}
EDGE_SAYS = "404 Not Found, from Railway's edge, at https://shop.example/health"


class TestEdge:
    """Railway's edge answers by itself while nothing listens: that is not the version speaking."""

    def judge(self, before=None, now=NOON, deadline=IN_TEN_MINUTES, **seen):
        run = a_run(Stage.VERIFY, verification=before, deadline=deadline)
        heard = answer(**seen)
        rules = terms(now, **SHOWS)
        checks = assess(run, rules.policy, Sight(a_deployment(), heard))
        return conclude(run, checks, rules, heard)

    def test_it_is_inconclusive_and_waits_for_the_deadline(self):
        outcome = self.judge(Verification(failures=0), **EDGE)

        assert isinstance(outcome, Wait)
        assert (outcome.message, outcome.otherwise) == (f"not listening yet: {EDGE_SAYS}", Reason.UNHEALTHY)
        seen = outcome.changes["verification"]
        assert [check.verdict for check in seen.checks] == [PASS, INCONCLUSIVE, INCONCLUSIVE]
        assert (seen.failures, seen.answered) == (0, False)

    def test_however_often_it_answers_the_threshold_does_not_count_it(self):
        seen = None
        for minute in range(9):
            outcome = self.judge(seen, at(60 * minute), **EDGE)
            assert isinstance(outcome, Wait)
            seen = outcome.changes["verification"]

    @pytest.mark.parametrize(
        "first", [{}, {"healthy": False, "status": 500}, {"healthy": False, "status": 302, "commit": None}]
    )
    def test_once_the_version_has_answered_it_is_a_failure(self, first):
        answered = self.judge(None, **first).changes["verification"]

        outcome = self.judge(answered, at(60), **EDGE)

        assert answered.answered
        assert outcome.changes["verification"].failures == answered.failures + 1
        assert outcome.changes["verification"].checks[-1] == Check("health", FAIL, EDGE_SAYS)

    def test_an_answer_of_the_old_version_is_none_of_the_new(self):
        old = self.judge(None, commit=OLD).changes["verification"]

        outcome = self.judge(old, at(60), **EDGE)

        assert not old.answered
        assert outcome.changes["verification"].failures == 0

    def test_a_bake_of_before_this_was_recorded_counts_as_an_answer(self):
        outcome = self.judge(Verification(healthy_since=NOON), at(60), **EDGE)

        assert outcome.changes["verification"].failures == 1

    def test_the_applications_own_502_counts_at_once(self):
        own = {**EDGE, "by_edge": False, "status": 502}

        assert self.judge(None, **own).changes["verification"].failures == 1

    def test_no_connection_stays_a_question_when_time_is_up(self):
        outcome = self.judge(None, reached=False, healthy=False, status=None, commit=None, detail="not reached")

        assert outcome.otherwise is Reason.VERIFY_INCONCLUSIVE


class TestAddress:
    def test_the_check_says_where_it_looked(self):
        checks = a_look(url="https://shop.example/health")

        assert checks["health"] == Check("health", PASS, "200 OK, at https://shop.example/health")

    def test_the_wrong_version_says_where_it_answered(self):
        check = a_look(OLD, url="https://shop.example/health")["version"]

        assert check.detail == f"{OLD[:12]} answers instead of 2222222 at https://shop.example/health"

    def test_domains_that_lead_elsewhere_are_named_where_nothing_else_is(self):
        sight = Sight(a_deployment(), None, unused=("www.shop.example",))

        check = assess(a_run(Stage.VERIFY), terms().policy, sight)[2]

        assert check.verdict is NOT_RUN
        assert "www.shop.example" in check.detail


def looked(checks, *, now=NOON, failures=0, healthy_since=None, deadline=IN_TEN_MINUTES, run=None, **policy):
    """What follows from a look, ten minutes before the deadline unless said otherwise; the bake takes five."""
    before = Verification(failures=failures, healthy_since=healthy_since)
    run = replace(run or a_run(Stage.VERIFY), verification=before, deadline=deadline)
    return conclude(run, checks, terms(now, **policy))


class TestWell:
    def test_the_first_good_look_begins_the_bake(self):
        outcome = conclude(a_run(Stage.VERIFY, verification=None), ALL_WELL, terms())

        assert outcome == Wait(
            message="healthy; must stay healthy for 300 s",
            wake_in=60,
            otherwise=Reason.VERIFY_INCONCLUSIVE,
            changes={
                "verification": Verification(checks=ALL_WELL, healthy_since=NOON, looked_at=NOON),
                "deadline": at(300 + 300),
            },
        )

    def test_a_bake_that_begins_late_has_all_its_time(self):
        outcome = conclude(a_run(Stage.VERIFY, verification=None, deadline=at(300)), ALL_WELL, terms(at(299)))

        assert isinstance(outcome, Wait)
        assert outcome.changes["deadline"] == at(299 + 300 + 300)

    def test_the_last_look_of_the_bake_comes_at_its_end(self):
        outcome = looked(ALL_WELL, now=at(270), healthy_since=NOON)

        assert isinstance(outcome, Wait)
        assert outcome.wake_in == 30

    @pytest.mark.parametrize(("now", "done"), [(299.9, False), (300, True), (301, True)])
    def test_what_stays_healthy_through_the_bake_has_passed(self, now, done):
        outcome = looked(ALL_WELL, now=at(now), healthy_since=NOON)

        assert isinstance(outcome, Advance if done else Wait)
        if done:
            assert outcome.message == "healthy for 300 s"
            assert outcome.changes["verification"].checks == ALL_WELL

    def test_without_a_bake_one_good_look_is_enough(self):
        assert looked(ALL_WELL, bake=0).message == "healthy"

    def test_the_restored_version_needs_no_bake(self):
        outcome = looked(ALL_WELL, run=a_run(Stage.VERIFY, rollback=a_way_back()))

        assert isinstance(outcome, Advance)
        assert outcome.message == "the restored version is healthy"

    @pytest.mark.parametrize("checks", [(railway_well, no_version, well), (railway_well, no_version, private)])
    def test_what_is_not_run_does_not_stand_in_the_way(self, checks):
        assert isinstance(looked(checks, healthy_since=at(-300)), Advance)

    def test_a_good_look_forgets_the_failures_but_not_the_bake(self):
        outcome = looked(ALL_WELL, failures=2, healthy_since=at(-100))

        assert outcome.changes["verification"] == Verification(
            checks=ALL_WELL, failures=0, healthy_since=at(-100), looked_at=NOON
        )

    def test_a_failed_look_ends_the_bake_which_then_begins_anew(self):
        relapsed = looked((railway_well, new_answers, sick), now=at(200), healthy_since=NOON)
        seen = relapsed.changes["verification"]
        assert (seen.healthy_since, seen.relapses, seen.failures) == (None, 1, 1)

        run = a_run(Stage.VERIFY, verification=seen, deadline=IN_TEN_MINUTES)
        again = conclude(run, ALL_WELL, terms(at(260)))

        assert isinstance(again, Wait)
        assert again.changes["verification"].healthy_since == at(260)
        assert "deadline" not in again.changes, "what never stays healthy has an end"
        assert again.otherwise is Reason.UNHEALTHY

    def test_the_time_in_which_nothing_was_seen_is_no_bake(self):
        before = Verification(checks=ALL_WELL, healthy_since=NOON, looked_at=at(60))
        blind = (railway_well, no_version, unreached)
        run = a_run(Stage.VERIFY, verification=before, deadline=IN_TEN_MINUTES)

        first = conclude(run, blind, terms(at(120)))
        assert first.changes["verification"].healthy_since == at(60)
        run = replace(run, verification=first.changes["verification"])
        second = conclude(run, ALL_WELL, terms(at(180)))

        assert isinstance(second, Wait)
        assert second.changes["verification"].healthy_since == at(120)


class TestOverlap:
    """Railway keeps the old version up for a while, so another commit's answer is waited out, but not for ever."""

    checks = (railway_well, old_answers, well)

    @pytest.mark.parametrize("failures", [0, 2])
    def test_the_old_version_may_answer_at_first(self, failures):
        outcome = looked(self.checks, failures=failures)

        assert outcome == Wait(
            message="version: 3333333 answers instead of 2222222",
            wake_in=60,
            otherwise=Reason.WRONG_VERSION,
            changes={"verification": Verification(checks=self.checks, failures=failures, looked_at=NOON)},
        )

    @pytest.mark.parametrize(("failures", "fails"), [(0, False), (1, False), (2, True)])
    def test_once_the_new_version_has_answered_the_old_one_is_a_failure(self, failures, fails):
        outcome = looked(self.checks, failures=failures, healthy_since=at(-60))

        assert isinstance(outcome, Fail) is fails
        assert outcome.changes["verification"].failures == failures + 1
        if fails:
            assert outcome.code is Reason.WRONG_VERSION


class TestFailing:
    checks = (railway_well, new_answers, sick)

    @pytest.mark.parametrize("healthy_since", [None, at(-60)], ids=["before the bake", "in the bake"])
    @pytest.mark.parametrize(
        ("failures", "threshold", "fails"), [(0, 3, False), (1, 3, False), (2, 3, True), (0, 1, True)]
    )
    def test_so_many_failed_looks_in_a_row_are_a_failure(self, healthy_since, failures, threshold, fails):
        outcome = looked(self.checks, failures=failures, healthy_since=healthy_since, failure_threshold=threshold)

        relapses = 1 if healthy_since else 0
        seen = Verification(checks=self.checks, failures=failures + 1, looked_at=NOON, relapses=relapses)
        if fails:
            said = f"503 Service Unavailable ({failures + 1} failed checks in a row)"
            assert outcome == Fail(Reason.UNHEALTHY, said, changes={"verification": seen})
        else:
            assert outcome == Wait(
                message="health: 503 Service Unavailable",
                wake_in=60,
                otherwise=Reason.UNHEALTHY,
                changes={"verification": seen},
            )

    def test_in_the_bake_the_threshold_decides_and_not_the_time(self):
        outcome = looked(self.checks, now=at(300), healthy_since=at(250))

        assert isinstance(outcome, Wait)
        assert outcome.wake_in == 60

    def test_a_fail_counts_even_where_something_else_is_unclear(self):
        outcome = looked((railway_unclear, no_version, sick))

        assert isinstance(outcome, Wait)
        assert outcome.otherwise is Reason.UNHEALTHY

    def test_the_wrong_version_s_illness_is_not_ours(self):
        outcome = looked((railway_well, old_answers, sick), failures=2)

        assert isinstance(outcome, Wait)
        assert outcome.otherwise is Reason.WRONG_VERSION


class TestUnclear:
    """Our own blindness waits, and ends by telling a person; it never counts against the deployment."""

    @pytest.mark.parametrize(
        ("checks", "message"),
        [
            ((railway_unclear, new_answers, well), "cannot tell: d-new is DEPLOYING"),
            ((railway_well, no_version, unreached), "cannot tell: not reached: no route"),
        ],
    )
    @pytest.mark.parametrize("failures", [0, 2])
    def test_it_waits_and_leaves_the_counts_alone(self, checks, message, failures):
        outcome = looked(checks, failures=failures, healthy_since=at(-60))

        assert outcome == Wait(
            message=message,
            wake_in=60,
            otherwise=Reason.VERIFY_INCONCLUSIVE,
            changes={
                "verification": Verification(checks=checks, failures=failures, healthy_since=at(-60), looked_at=NOON)
            },
        )

    def test_a_run_without_a_deadline_waits(self):
        outcome = looked((railway_well, no_version, unreached), now=at(9999), deadline=None)

        assert isinstance(outcome, Wait)
