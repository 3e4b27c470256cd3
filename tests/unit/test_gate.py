"""May it be merged: for good no, not yet, or now."""

from datetime import UTC, datetime, timedelta

import pytest
from unit.building import HEAD, terms

from functions.merge.gate import REPORTS_WITHIN, Behind, Look, judge, shortfall
from shared.clients.github.client import RequiredCheck
from shared.core.observed import CheckState, PullRequestState, SuiteState, asked_by_label, is_same_head
from shared.core.outcome import Fail, Retry, Wait
from shared.core.policy import Policy
from shared.core.reasons import Reason

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OLD = NOW - timedelta(days=1)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def a_pull(**changes) -> PullRequestState:
    """One that may be merged."""
    given = {
        "number": 42,
        "title": "Sell socks",
        "author": "mona",
        "url": "https://github.com/acme/shop/pull/42",
        "state": "open",
        "draft": False,
        "merged": False,
        "merge_sha": None,
        "head_sha": HEAD,
        "base": "main",
        "mergeable": True,
        "merge_state": "clean",
        "review": None,
        "merge_queue": False,
        "public": False,
        "from_fork": False,
        "labels": (),
        "checks": (),
        "recorded_at": OLD,
    }
    return PullRequestState(**given | changes)


CONCLUSIONS = {"passed": "success", "failed": "failure", "pending": None}


def a_check(name: str, state: str, **changes) -> CheckState:
    given = {"required": False, "app_id": 1, "url": None, "conclusion": CONCLUSIONS[state]}
    return CheckState(name=name, state=state, **given | changes)


def checks(**states: str) -> tuple[CheckState, ...]:
    return tuple(a_check(name, state) for name, state in states.items())


def a_suite(status: str, **changes) -> SuiteState:
    given = {"app": "GitHub Actions", "slug": "github-actions", "created_at": OLD}
    return SuiteState(status=status, **given | changes)


def of_silent_app(seconds: float) -> SuiteState:
    return a_suite("queued", app="Codecov", slug="codecov", created_at=ago(seconds))


def judged(required=(), ignored=(), first=NOW, policy=None, **changes):
    rules = {"ignored_checks": ignored, "poll": 45} | (policy or {})
    demanded = [RequiredCheck(name) if isinstance(name, str) else name for name in required]
    return judge(a_pull(**changes), demanded, terms(**rules).policy, Look(NOW, first))


def waiting_for(names: str) -> Wait:
    return Wait(message=f"waiting for {names}", wake_in=45, otherwise=Reason.CHECKS_TIMEOUT)


@pytest.mark.parametrize(
    "changes", [{}, {"review": "approved"}, {"merge_state": "unstable"}, {"merge_state": "blocked"}]
)
def test_nothing_stands_in_the_way(changes):
    assert judged(**changes) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "closed"}, Reason.PULL_REQUEST_CLOSED),
        ({"draft": True}, Reason.PULL_REQUEST_DRAFT),
        ({"mergeable": False}, Reason.NOT_MERGEABLE),
        ({"merge_queue": True}, Reason.MERGE_REFUSED),
        ({"review": "changes_requested"}, Reason.CHANGES_REQUESTED),
        ({"review": "review_required"}, Reason.REVIEW_REQUIRED),
        ({"checks": checks(build="failed")}, Reason.CHECKS_FAILED),
    ],
)
@pytest.mark.parametrize("mergeable", [True, None], ids=["computed", "computing"])
def test_what_waiting_does_not_mend(changes, code, mergeable):
    refused = judged(**{"mergeable": mergeable} | changes)

    assert isinstance(refused, Fail)
    assert refused.code is code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"draft": True}, Reason.PULL_REQUEST_DRAFT),
        ({"review": "review_required"}, Reason.REVIEW_REQUIRED),
        ({"review": "changes_requested"}, Reason.CHANGES_REQUESTED),
    ],
)
def test_what_people_may_still_change_is_waited_for_by_the_patient(changes, code):
    verdict = judge(a_pull(**changes), (), Policy(), Look(NOW, NOW), patient=True)

    assert isinstance(verdict, Wait)
    assert verdict.otherwise is code


@pytest.mark.parametrize("changes", [{"mergeable": False}, {"merge_queue": True}, {"state": "closed"}])
def test_patience_does_not_mend_the_rest(changes):
    assert isinstance(judge(a_pull(**changes), (), Policy(), Look(NOW, NOW), patient=True), Fail)


@pytest.mark.parametrize(
    ("label", "labels", "asked"),
    [("Ship it", ("ship IT",), True), ("ship it", ("ship", "it"), False), (None, ("ship it",), False)],
)
def test_a_label_asks_where_the_policy_names_it(label, labels, asked):
    assert asked_by_label(a_pull(labels=labels), Policy(deploy_label=label)) is asked


def test_a_closed_pull_request_is_that_before_anything_else():
    refused = judged(state="closed", draft=True, mergeable=False, checks=checks(build="failed"))

    assert isinstance(refused, Fail)
    assert refused.code is Reason.PULL_REQUEST_CLOSED


@pytest.mark.parametrize(
    ("reported", "required", "ignored", "verdict"),
    [
        ({"build": "passed"}, ["build"], [], None),
        ({"build": "pending"}, [], [], waiting_for("build")),
        ({}, ["build"], [], waiting_for("build (not reported yet)")),
        (
            {"unit": "pending", "build": "pending"},
            ["lint", "build"],
            [],
            waiting_for("build, lint (not reported yet), unit"),
        ),
        (
            {"build": "failed", "unit": "pending", "lint": "failed"},
            ["e2e"],
            [],
            Fail(Reason.CHECKS_FAILED, "failed: build (failure), lint (failure)"),
        ),
        (
            {"build": "passed", "flaky": "failed", "slow": "pending"},
            ["build", "absent"],
            ["flaky", "slow", "absent"],
            None,
        ),
        ({"build": "failed"}, [], ["flaky"], Fail(Reason.CHECKS_FAILED, "failed: build (failure)")),
    ],
)
def test_checks(reported, required, ignored, verdict):
    assert judged(required, tuple(ignored), checks=checks(**reported)) == verdict


def test_the_same_check_of_two_apps_passes_only_when_both_do():
    assert judged(checks=(*checks(build="passed"), *checks(build="failed"))) == Fail(
        Reason.CHECKS_FAILED, "failed: build (failure)"
    )


def test_github_computes_whether_it_can_be_merged_when_first_asked():
    assert isinstance(judged(mergeable=None), Retry)
    assert isinstance(judged(mergeable=None, checks=checks(build="pending")), Wait)


@pytest.mark.parametrize("conclusion", ["action_required", "timed_out", "startup_failure", "stale"])
def test_the_reason_shows_how_a_check_ended(conclusion):
    failed = judged(checks=(a_check("tests", "failed", conclusion=conclusion),))

    assert failed == Fail(Reason.CHECKS_FAILED, f"failed: tests ({conclusion})")


@pytest.mark.parametrize(
    ("reported", "verdict"),
    [
        (a_check("tests", "passed", app_id=1), None),
        (a_check("tests", "passed", app_id=2), waiting_for("tests of the App 1 (not reported yet)")),
        (a_check("tests", "passed", app_id=None), waiting_for("tests of the App 1 (not reported yet)")),
        (a_check("tests", "passed", app_id=None, required=True), None),
    ],
    ids=["its App", "another App", "somebody's status", "a status that GitHub takes for it"],
)
def test_another_apps_check_of_that_name_does_not_count(reported, verdict):
    assert judged([RequiredCheck("tests", 1)], checks=(reported,)) == verdict


@pytest.mark.parametrize(
    ("suite", "named"),
    [
        (a_suite("queued"), "GitHub Actions (announced, no check listed yet)"),
        (a_suite("pending"), "GitHub Actions (announced, no check listed yet)"),
        (a_suite("in_progress", check_runs=1), "GitHub Actions (not finished)"),
        (a_suite("in_progress", check_runs=1, app="CI", slug="ci"), "CI (not finished)"),
        (of_silent_app(REPORTS_WITHIN - 1), "Codecov (announced, no check listed yet)"),
        (a_suite("unknown", app="a check suite that GitHub does not show", slug=None), "a check suite that GitHub"),
    ],
)
@pytest.mark.parametrize("reported", [{}, {"quick": "passed"}], ids=["no check", "a quick check"])
def test_what_is_announced_is_waited_for(suite, named, reported):
    verdict = judged(checks=checks(**reported), suites=(suite,))

    assert isinstance(verdict, Wait)
    assert (verdict.otherwise, named in verdict.message) == (Reason.CHECKS_TIMEOUT, True)


@pytest.mark.parametrize(
    ("suite", "rules"),
    [
        (of_silent_app(REPORTS_WITHIN), {}),
        (of_silent_app(1), {"required_checks": ("tests",)}),
        (of_silent_app(1), {"ignored_checks": ("Codecov",)}),
        (a_suite("queued"), {"ignored_checks": ("github-actions",)}),
        (a_suite("completed", conclusion="success", check_runs=2), {}),
        (a_suite("completed", conclusion="failure", check_runs=2), {}),
    ],
    ids=[
        "silent",
        "silent beside named checks",
        "ignored by name",
        "ignored by slug",
        "finished",
        "judged by its checks",
    ],
)
def test_a_suite_of_which_nothing_is_to_come_holds_nothing(suite, rules):
    assert judged(checks=checks(tests="passed"), suites=(suite,), policy=rules) is None


def test_a_workflow_under_way_holds_beside_named_checks_too():
    verdict = judged(checks=checks(tests="passed"), suites=(a_suite("queued"),), policy={"required_checks": ("tests",)})

    assert isinstance(verdict, Wait)


@pytest.mark.parametrize("conclusion", ["startup_failure", "action_required", "failure", "cancelled"])
def test_a_workflow_that_ended_without_a_check_is_red(conclusion):
    failed = judged(suites=(a_suite("completed", conclusion=conclusion),))

    assert failed == Fail(Reason.CHECKS_FAILED, f"failed: GitHub Actions ({conclusion})")


def test_a_workflow_cancelled_for_a_newer_one_is_not_red():
    cancelled = a_suite("completed", conclusion="cancelled")
    newer = a_suite("completed", conclusion="success", check_runs=1, created_at=ago(600))

    assert judged(suites=(cancelled, newer), checks=checks(tests="passed")) is None


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [
        (ago(10), waiting_for("tests (cancelled, not started again yet)")),
        (ago(REPORTS_WITHIN), Fail(Reason.CHECKS_FAILED, "failed: tests (cancelled)")),
        (None, Fail(Reason.CHECKS_FAILED, "failed: tests (cancelled)")),
    ],
)
def test_a_cancelled_check_is_waited_for_a_while(ended, verdict):
    assert judged(checks=(a_check("tests", "failed", conclusion="cancelled", ended_at=ended),)) == verdict


@pytest.mark.parametrize(
    ("recorded", "first", "settle", "left"),
    [
        (ago(20), ago(50), 60, 40),
        (None, ago(50), 60, 10),
        (None, NOW, 60, 45),
        (ago(60), NOW, 60, None),
        (OLD, NOW, 60, None),
        (None, ago(60), 60, None),
        (ago(20), NOW, 0, None),
        (ago(-30), NOW, 60, 45),
    ],
    ids=[
        "new",
        "unrecorded",
        "first look",
        "settled",
        "old",
        "unrecorded and settled",
        "not asked for",
        "clocks differ",
    ],
)
@pytest.mark.parametrize("reported", [{}, {"quick": "passed"}], ids=["no check", "a quick check"])
def test_a_new_head_is_given_time_for_checks_to_begin(recorded, first, settle, left, reported):
    rules = {"settle": settle}
    verdict = judged(first=first, recorded_at=recorded, checks=checks(**reported), policy=rules)

    assert (verdict.wake_in if isinstance(verdict, Wait) else verdict) == left


def test_named_checks_need_no_time_to_settle():
    rules = {"required_checks": ("tests",)}

    assert judged(recorded_at=None, checks=checks(tests="passed"), policy=rules) is None
    assert judged(recorded_at=None, policy=rules) == waiting_for("tests (not reported yet)")


def test_a_branch_that_must_be_up_to_date_is_updated_where_that_is_wanted():
    assert judged(merge_state="behind", policy={"update_branch": True}) == Behind()
    assert judged(merge_state="behind", checks=checks(slow="pending"), policy={"update_branch": True}) == Behind()
    waiting = judged(merge_state="behind")
    assert isinstance(waiting, Wait)
    assert (waiting.otherwise, "up to date" in waiting.message) == (Reason.MERGE_REFUSED, True)


def test_a_red_branch_is_not_updated():
    red = judged(merge_state="behind", checks=checks(tests="failed"), policy={"update_branch": True})

    assert isinstance(red, Fail)


def test_the_head_that_we_had_updated_is_the_same_head():
    assert is_same_head(HEAD, a_pull())
    assert is_same_head("before", a_pull(own_update_of="before"))
    assert not is_same_head("before", a_pull())


@pytest.mark.parametrize(
    ("changes", "rules", "amiss"),
    [
        ({}, {}, None),
        ({"checks": checks(tests="passed")}, {}, None),
        ({"checks": checks(tests="failed", lint="pending")}, {}, "lint (not finished), tests (failure)"),
        ({"checks": checks(tests="failed")}, {"ignored_checks": ("tests",)}, None),
        ({}, {"required_checks": ("tests",)}, "tests (not reported)"),
        ({"suites": (a_suite("queued"),)}, {}, "GitHub Actions (not finished)"),
        ({"suites": (a_suite("completed", conclusion="startup_failure"),)}, {}, "GitHub Actions (startup_failure)"),
        ({"suites": (of_silent_app(1),)}, {}, None),
        ({"suites": (a_suite("queued", created_at=NOW),)}, {}, None),
        ({"checks": (a_check("clean up", "failed", known_at=NOW),)}, {}, None),
    ],
)
def test_what_had_not_passed_when_people_merged(changes, rules, amiss):
    merged = a_pull(state="closed", merged=True, merged_at=ago(10), **changes)

    assert shortfall(merged, Policy(**rules)) == amiss
