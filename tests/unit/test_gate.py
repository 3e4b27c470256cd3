"""May it be merged: for good no, not yet, or now."""

from __future__ import annotations

import pytest
from unit.building import HEAD, terms

from shared.clients.github_pull_request import CheckState, PullRequestState
from shared.errors import Code
from shared.gate import asked_by_label, judge
from shared.outcome import Fail, Retry, Wait
from shared.policy import Policy


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
        "from_fork": False,
        "labels": (),
        "checks": (),
    }
    return PullRequestState(**given | changes)


def checks(**states: str) -> tuple[CheckState, ...]:
    return tuple(
        CheckState(name=name, state=state, required=False, app_id=None, url=None) for name, state in states.items()
    )


def judged(required=(), ignored=(), **changes):
    return judge(a_pull(**changes), required, terms(ignored_checks=ignored, poll=45).policy)


def waiting_for(names: str) -> Wait:
    return Wait(message=f"waiting for {names}", wake_in=45, otherwise=Code.CHECKS_TIMEOUT)


@pytest.mark.parametrize(
    "changes", [{}, {"review": "approved"}, {"merge_state": "unstable"}, {"merge_state": "blocked"}]
)
def test_nothing_stands_in_the_way(changes):
    assert judged(**changes) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "closed"}, Code.PULL_REQUEST_CLOSED),
        ({"draft": True}, Code.PULL_REQUEST_DRAFT),
        ({"mergeable": False}, Code.NOT_MERGEABLE),
        ({"merge_queue": True}, Code.MERGE_REFUSED),
        ({"review": "changes_requested"}, Code.CHANGES_REQUESTED),
        ({"review": "review_required"}, Code.REVIEW_REQUIRED),
        ({"checks": checks(build="failed")}, Code.CHECKS_FAILED),
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
        ({"draft": True}, Code.PULL_REQUEST_DRAFT),
        ({"review": "review_required"}, Code.REVIEW_REQUIRED),
        ({"review": "changes_requested"}, Code.CHANGES_REQUESTED),
    ],
)
def test_what_people_may_still_change_is_waited_for_by_the_patient(changes, code):
    verdict = judge(a_pull(**changes), (), Policy(), patient=True)

    assert isinstance(verdict, Wait)
    assert verdict.otherwise is code


@pytest.mark.parametrize("changes", [{"mergeable": False}, {"merge_queue": True}, {"state": "closed"}])
def test_patience_does_not_mend_the_rest(changes):
    assert isinstance(judge(a_pull(**changes), (), Policy(), patient=True), Fail)


@pytest.mark.parametrize(
    ("label", "labels", "asked"),
    [("Ship it", ("ship IT",), True), ("ship it", ("ship", "it"), False), (None, ("ship it",), False)],
)
def test_a_label_asks_where_the_policy_names_it(label, labels, asked):
    assert asked_by_label(a_pull(labels=labels), Policy(deploy_label=label)) is asked


def test_a_closed_pull_request_is_that_before_anything_else():
    refused = judged(state="closed", draft=True, mergeable=False, checks=checks(build="failed"))

    assert isinstance(refused, Fail)
    assert refused.code is Code.PULL_REQUEST_CLOSED


@pytest.mark.parametrize(
    ("reported", "required", "ignored", "verdict"),
    [
        ({"build": "passed"}, ["build"], [], None),
        ({"build": "pending"}, [], [], waiting_for("build")),
        ({}, ["build"], [], waiting_for("build")),
        ({"unit": "pending", "build": "pending"}, ["lint", "build"], [], waiting_for("build, lint, unit")),
        (
            {"build": "failed", "unit": "pending", "lint": "failed"},
            ["e2e"],
            [],
            Fail(Code.CHECKS_FAILED, "failed: build, lint"),
        ),
        (
            {"build": "passed", "flaky": "failed", "slow": "pending"},
            ["build", "absent"],
            ["flaky", "slow", "absent"],
            None,
        ),
        ({"build": "failed"}, [], ["flaky"], Fail(Code.CHECKS_FAILED, "failed: build")),
    ],
)
def test_checks(reported, required, ignored, verdict):
    assert judged(required, tuple(ignored), checks=checks(**reported)) == verdict


def test_the_same_check_of_two_apps_passes_only_when_both_do():
    assert judged(checks=(*checks(build="passed"), *checks(build="failed"))) == Fail(
        Code.CHECKS_FAILED, "failed: build"
    )


def test_github_computes_whether_it_can_be_merged_when_first_asked():
    assert isinstance(judged(mergeable=None), Retry)
    assert isinstance(judged(mergeable=None, checks=checks(build="pending")), Wait)
