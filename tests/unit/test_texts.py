"""What people read: complete, short enough, and without secrets."""

import json

import msgspec
import pytest
from msgspec.structs import replace
from unit.building import MERGE, NOON, RUN, TARGET, a_run, a_target, a_trigger, a_version, a_way_back, at

from functions.dispatch.commands import USAGE
from shared.core import notices
from shared.core.notices import Notice
from shared.core.reasons import Reason
from shared.core.run import (
    Check,
    Deployment,
    Failure,
    HistoryEntry,
    Kind,
    Rollback,
    Run,
    Stage,
    Status,
    Verdict,
    Verification,
)
from shared.core.target import Deaf, Health, Serving
from shared.runs import texts

CONSOLE = "https://console.example/"
TOKEN = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"
CUT_OFF_KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEAsecretsecretsecret"
GITHUB_TAKES = 65_535

FOR_N8N = [event for event, channels in notices.CHANNELS.items() if notices.N8N in channels]


def a_failure(code: Reason = Reason.UNHEALTHY, message: str = "503", *log_tail: str) -> Failure:
    return Failure(code=code, message=message, stage=Stage.VERIFY, log_tail=log_tail)


UNSEEN = Verification(checks=(Check("health", Verdict.NOT_RUN, "the service has no public address"),))


def ended(status: Status, **changes) -> Run:
    return a_run(Stage.VERIFY, **{"status": status} | changes)


@pytest.mark.parametrize("code", Reason)
def test_every_reason_has_a_next_step_that_is_shown_wherever_the_reason_is(code):
    failed = ended(Status.FAILED, error=a_failure(code))
    advice = code.advice

    assert advice.endswith((".", "?"))
    for text in (texts.comment(failed, CONSOLE), texts.refusal(code, "so it is")):
        assert f"**`{code}`**" in text
        assert advice in text
    assert texts.notification(failed, Notice("failed"), CONSOLE)["next_step"] == advice


def test_what_was_not_deployed_says_why_in_every_text():
    history = (
        *a_run().history,
        HistoryEntry(at(0), Stage.MERGE, Status.NOT_DEPLOYED, "held back: @team was rolled back"),
    )
    run = ended(Status.NOT_DEPLOYED, reason=Reason.TARGET_HELD, history=history)
    advice = Reason.TARGET_HELD.advice

    told = texts.notification(run, Notice("held_back"), CONSOLE)

    assert (told["severity"], told["reason"], told["next_step"]) == ("info", "target_held", advice)
    assert told["message"] == "held back: @team was rolled back"
    assert f"**`target_held`** held back: @\u200bteam was rolled back\n\n{advice}" in texts.comment(run, CONSOLE)


@pytest.mark.parametrize(
    ("run", "headline"),
    [
        (a_run(), "🚂 deploying to **web/production**"),
        (a_run(status=Status.WAITING), "🚂 deploying to **web/production**"),
        (a_run(status=Status.QUEUED), "⏳ queued for **web/production**"),
        (a_run(Stage.ROLLBACK, rollback=Rollback(reason=Reason.UNHEALTHY)), "↩️ rolling back on **web/production**"),
        (a_run(Stage.MONITOR, rollback=a_way_back()), "↩️ rolling back on **web/production**"),
        (ended(Status.SUCCEEDED), "✅ deployed to **web/production**"),
        (ended(Status.ROLLED_BACK, rollback=a_way_back()), "↩️ rolled back on **web/production**"),
        (ended(Status.CANCELLED), "⏹️ cancelled on **web/production**"),
        (ended(Status.SUPERSEDED), "⏭️ superseded on **web/production**"),
        (ended(Status.NOT_DEPLOYED, reason=Reason.NOTHING_TO_DEPLOY), "▫️ nothing to deploy to **web/production**"),
        (ended(Status.NOT_DEPLOYED, reason=Reason.TARGET_HELD), "⏸️ held back from **web/production**"),
        (ended(Status.FAILED, deployment=None), "❌ not deployed to **web/production**"),
        (ended(Status.FAILED, deployment=Deployment()), "❌ not deployed to **web/production**"),
        (ended(Status.FAILED), "❌ not deployed to **web/production**"),
        (ended(Status.FAILED, error=a_failure()), "❔ deployed, but not verified, on **web/production**"),
        (
            ended(Status.FAILED, error=a_failure(Reason.VERIFY_INCONCLUSIVE), left_unverified=True),
            "🚨 live, but not verified, on **web/production**",
        ),
        (
            ended(
                Status.FAILED,
                error=Failure(code=Reason.VENDOR_REFUSED, message="no", stage=Stage.MONITOR),
                left_unverified=True,
            ),
            "🚨 maybe live, and not verified, on **web/production**",
        ),
        (
            ended(Status.FAILED, error=a_failure(Reason.UNHEALTHY), left_unverified=True),
            "🚨 unhealthy, and still live on **web/production**",
        ),
        (ended(Status.FAILED, rollback=a_way_back(needed=False)), "❌ not deployed to **web/production**"),
        (a_run(Stage.ROLLBACK, kind=Kind.ROLLBACK), "↩️ rolling back to an earlier version on **web/production**"),
        (ended(Status.SUCCEEDED, kind=Kind.ROLLBACK), "↩️ rolled back to an earlier version on **web/production**"),
        (ended(Status.FAILED, kind=Kind.ROLLBACK), "❌ not rolled back to an earlier version on **web/production**"),
        (ended(Status.SUPERSEDED, kind=Kind.ROLLBACK), "⏭️ not rolled back to an earlier version on **web/production**"),
        (
            ended(Status.ROLLED_BACK, kind=Kind.ROLLBACK, rollback=a_way_back()),
            "↩️ rolled back to an earlier version on **web/production**",
        ),
        (
            ended(Status.SUCCEEDED, kind=Kind.ROLLBACK, rollback=a_way_back(needed=False)),
            "✅ healthy again on **web/production**",
        ),
        (
            ended(Status.SUCCEEDED, kind=Kind.ROLLBACK, rollback=a_way_back(needed=False), verification=UNSEEN),
            "✅ live, not checked, on **web/production**",
        ),
    ],
)
def test_headlines(run, headline):
    assert texts.headline(run) == headline


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (Reason.VENDOR_REFUSED, "This version may be live, and it was not verified."),
        (Reason.UNHEALTHY, "The version is still live."),
    ],
)
@pytest.mark.parametrize("event", ["failed", "unverified"])
def test_what_is_left_unverified_is_critical_with_reason_and_next_step(code, what, event):
    run = ended(Status.FAILED, error=a_failure(code, "Not Authorized"), left_unverified=True)

    told, comment = texts.notification(run, Notice(event), CONSOLE), texts.comment(run, CONSOLE)

    assert (told["severity"], told["reason"], told["message"]) == ("critical", code, "Not Authorized")
    for text in (str(told["next_step"]), comment):
        assert f"{what} The target is held" in text
        assert "comment `/deploy` here to verify it; otherwise comment `/rollback`" in text


class TestComment:
    def test_a_new_run(self):
        assert texts.comment(a_run(), "") == (
            "### 🚂 deploying to **web/production**\n\n"
            "Requested by @mona.\n\n"
            "| at (UTC) | stage | status | what |\n|---|---|---|---|\n"
            "| 11:59:00 | merge | running | requested by mona |\n\n"
            f"`{RUN}`\n\n"
            f"<!-- signalbox:run:{RUN} -->"
        )

    def test_other_people_s_words_stay_words(self):
        words = "<!-- signalbox:run:other --> <img> @team"
        failed = ended(Status.FAILED, error=a_failure(Reason.CHECKS_FAILED, words), trigger=a_trigger(force=words))

        text = texts.comment(failed, CONSOLE)

        assert "<img>" not in text
        assert "@team" not in text
        assert text.count("<!-- signalbox:run:") == 1

    def test_an_operator_s_name_mentions_nobody(self):
        assert "@root" not in texts.comment(a_run(trigger=a_trigger("replay", actor="root"), attempt=2), "")

    def test_a_way_back_that_failed_says_what_for_and_that_it_is_locked(self):
        stuck = ended(
            Status.FAILED,
            rollback=a_way_back(reason=Reason.UNHEALTHY),
            error=a_failure(Reason.ROLLBACK_REFUSED, "answered false"),
        )

        text = texts.comment(stuck, "")

        assert "🚨 unhealthy, and the rollback failed on **web/production**" in text
        assert "because of **`unhealthy`**. The target is locked." in text

    def test_after_a_way_back_the_next_step_is_one_that_works(self):
        back = ended(Status.ROLLED_BACK, rollback=a_way_back(), error=a_failure())

        assert "comment `/deploy` on its pull request" in texts.comment(back, "")

    def test_a_title_is_masked_as_the_text_is(self):
        pull = replace(a_run().pull_request, title="rotate ghs_16C7e42F292c6912E7710c838347Ae178B4a")
        told = texts.notification(a_run(pull_request=pull), Notice("failed"), CONSOLE)

        assert told["pull_request"]["title"] == "rotate [redacted]"

    def test_everything_that_is_known_is_shown(self):
        run = ended(
            Status.ROLLED_BACK,
            deployment=Deployment(id="d-new", migrates=True),
            rollback=a_way_back(method="rebuild"),
            error=a_failure(Reason.UNHEALTHY, "503 (3 failed checks in a row)", "Traceback", "```", "KeyError"),
            verification=Verification(
                checks=(Check("railway", Verdict.PASS, "live"), Check("version", Verdict.NOT_RUN, "not shown"))
            ),
        )

        text = texts.comment(run, CONSOLE)

        assert "Commit `2222222`, requested by @mona." in text
        assert "**`unhealthy`** 503 (3 failed checks in a row)" in text
        assert "The last verified version `3333333` was restored. It is rebuilt with today's variables" in text
        assert "⚠️ The deployment ran a pre-deploy command" in text
        assert "Latest checks:\n- ✅ railway: live\n- ▫️ version: not shown" in text
        assert "````text\nTraceback\n```\nKeyError\n````\n</details>" in text
        assert f"[{RUN}](https://console.example/runs/{RUN})" in text

    @pytest.mark.parametrize(
        ("run", "sentence"),
        [
            (a_run(Stage.MONITOR, rollback=a_way_back()), "The last verified version `3333333` is to be restored."),
            (
                ended(Status.FAILED, rollback=a_way_back()),
                "The last verified version `3333333` was not restored.",
            ),
            (
                ended(Status.SUCCEEDED, kind=Kind.ROLLBACK, rollback=a_way_back()),
                "The last verified version `3333333` was restored.",
            ),
            (
                ended(Status.FAILED, rollback=a_way_back(needed=False)),
                "The previous version `3333333` stayed live: there was nothing to roll back.",
            ),
        ],
    )
    def test_the_way_back(self, run, sentence):
        assert f"\n\n{sentence}\n\n" in texts.comment(run, "")

    def test_before_it_is_known_where_to_nothing_is_said_of_the_way_back(self):
        run = a_run(Stage.ROLLBACK, rollback=Rollback(reason=Reason.UNHEALTHY))

        assert "version" not in texts.comment(run, "")

    def test_the_same_run_is_always_shown_the_same(self):
        assert texts.comment(a_run(), CONSOLE) == texts.comment(a_run(owed=("started:comment",)), CONSOLE)

    def test_a_message_cannot_break_the_table(self):
        run = a_run(history=(HistoryEntry(NOON, Stage.MERGE, Status.WAITING, "a|b\nc"),))

        assert "| 12:00:00 | merge | waiting | a\\|b c |" in texts.comment(run, "")

    def test_the_largest_run_fits_and_is_still_found_by_its_marker(self):
        run = ended(
            Status.FAILED,
            history=tuple(HistoryEntry(at(n), Stage.MONITOR, Status.WAITING, f"{n} " + "|" * 300) for n in range(200)),
            error=a_failure(Reason.BUILD_FAILED, "m" * 100_000, *["l" * 500] * 30),
            rollback=a_way_back(),
            verification=Verification(checks=(Check("health", Verdict.FAIL, "d" * 300),) * 3),
        )

        text = texts.comment(run, CONSOLE)

        assert len(text) < GITHUB_TAKES
        assert text.endswith(texts.run_marker(RUN))
        assert "| 199 " in text
        assert "| 139 " not in text, "the newest entries are shown"

    @pytest.mark.parametrize("secret", [f"token {TOKEN}", f"https://mona:{TOKEN}@github.com", CUT_OFF_KEY])
    def test_secrets_are_masked_wherever_they_are(self, secret):
        run = ended(
            Status.FAILED,
            history=(HistoryEntry(NOON, Stage.VERIFY, Status.FAILED, secret),),
            error=a_failure(Reason.UNHEALTHY, secret, "before", *secret.split("\n"), "after"),
            verification=Verification(checks=(Check("health", Verdict.FAIL, secret),)),
        )

        text = texts.comment(run, CONSOLE)

        assert TOKEN not in text
        assert "MIIE" not in text
        assert text.count("[redacted]") + text.count("\\[redacted\\]") == 4
        assert text.endswith(
            f"\n```\n</details>\n\n[{RUN}](https://console.example/runs/{RUN})\n\n{texts.run_marker(RUN)}"
        )

    def test_a_secret_is_masked_before_a_text_is_cut(self):
        spaced = "x" * 192 + " " + TOKEN
        run = a_run(history=(HistoryEntry(NOON, Stage.MERGE, Status.WAITING, spaced),))

        assert "ghs_" not in texts.comment(run, "")


class TestRefusal:
    def test_the_reason_the_usage_and_the_next_step(self):
        assert texts.refusal(Reason.COMMAND_INVALID, "a lock needs a reason", USAGE["lock"]) == (
            "**`command_invalid`** a lock needs a reason\n\n"
            "Usage: `/lock [service/][environment] <reason>`\n\n"
            "See the usage above."
        )

    def test_without_usage_and_secrets(self):
        text = texts.refusal(Reason.VENDOR_REFUSED, f"token {TOKEN}")

        assert "Usage" not in text
        assert TOKEN not in text


class TestDescription:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, "requested by mona"),
            ({"error": a_failure(Reason.BUILD_FAILED, "exit 1")}, "build_failed: exit 1"),
            ({"error": a_failure(Reason.BUILD_FAILED, "x" * 500)}, "build_failed: " + "x" * 126),
            (
                {"error": a_failure(Reason.BUILD_FAILED, "x" * 120 + " " + TOKEN)},
                "build_failed: " + "x" * 120 + " [reda",
            ),
        ],
    )
    def test_at_most_140_characters_without_secrets(self, changes, expected):
        text = texts.description(ended(Status.FAILED, **changes))

        assert text == expected
        assert len(text) <= 140


class TestNotification:
    @pytest.mark.parametrize("event", [event for event in FOR_N8N if not event.startswith("health_")])
    @pytest.mark.parametrize(
        "run",
        [
            a_run(),
            a_run(pull_request=None, deployment=None),
            ended(Status.FAILED, error=a_failure(Reason.UNHEALTHY, "503", "a", "b"), rollback=a_way_back()),
        ],
        ids=["new", "bare", "failed"],
    )
    def test_every_event_of_a_run_is_plain_json(self, event, run):
        payload = texts.notification(run, Notice(event), CONSOLE)

        assert json.loads(msgspec.json.encode(payload)) == json.loads(json.dumps(payload))
        assert payload["key"] == f"{RUN}:{event}"
        assert payload["event"] == event
        assert payload["severity"] in ("info", "warning", "error", "critical")

    def test_what_it_says(self):
        run = ended(Status.ROLLED_BACK, error=a_failure(Reason.UNHEALTHY, "503", "a", "b"), rollback=a_way_back())

        payload = texts.notification(run, Notice("rolled_back"), CONSOLE)

        expected = {
            "key": f"{RUN}:rolled_back",
            "event": "rolled_back",
            "severity": "error",
            "text": "↩️ rolled back on web/production (unhealthy): requested by mona · #42 Sell socks · 2222222 · mona "
            "· https://web.example",
            "address": "https://web.example",
            "run_id": RUN,
            "status": "rolled_back",
            "repository": "acme/shop",
            "service": "web",
            "environment": "production",
            "pull_request": {
                "number": 42,
                "title": "Sell socks",
                "url": "https://github.com/acme/shop/pull/42",
            },
            "commit_sha": MERGE,
            "deployment_id": "d-back",
            "actor": "mona",
            "reason": "unhealthy",
            "message": "503",
            "next_step": Reason.UNHEALTHY.advice,
            "log_tail": ["a", "b"],
            "url": f"https://console.example/runs/{RUN}",
        }
        assert {field: payload[field] for field in expected} == expected, "fields may join, none may leave"

    def test_a_rollback_by_hand_that_went_well_is_no_error(self):
        by_hand = ended(Status.SUCCEEDED, kind=Kind.ROLLBACK, rollback=a_way_back())

        assert texts.notification(by_hand, Notice("rolled_back"), CONSOLE)["severity"] == "info"

    @pytest.mark.parametrize(
        ("run", "console", "url"),
        [
            (a_run(), "https://console.example", f"https://console.example/runs/{RUN}"),
            (a_run(), "", "https://github.com/acme/shop/pull/42"),
            (a_run(pull_request=None), "", ""),
        ],
    )
    def test_it_leads_to_the_console_else_to_the_pull_request(self, run, console, url):
        assert texts.notification(run, Notice("failed"), console)["url"] == url

    def test_a_failed_rollback_is_critical(self):
        assert texts.notification(a_run(), Notice("rollback_failed"), "")["severity"] == "critical"
        assert texts.notification(a_run(), Notice("succeeded"), "")["severity"] == "info"

    @pytest.mark.parametrize("secret", [f"token {TOKEN}", CUT_OFF_KEY])
    def test_secrets_are_masked(self, secret):
        run = ended(
            Status.FAILED,
            history=(HistoryEntry(NOON, Stage.VERIFY, Status.FAILED, secret),),
            error=a_failure(Reason.UNHEALTHY, secret, "before", *secret.split("\n")),
        )

        sent = json.dumps(texts.notification(run, Notice("failed"), CONSOLE))

        assert TOKEN not in sent
        assert "MIIE" not in sent
        assert sent.count("[redacted]") == 3

    def test_sending_it_again_sends_the_same(self):
        assert texts.notification(a_run(), Notice("failed"), "") == texts.notification(a_run(), Notice("failed"), "")


@pytest.mark.parametrize(
    ("event", "severity", "text"),
    [
        ("health_lost", "error", f"{TARGET} is unhealthy: 503 token [redacted] · https://web.example"),
        ("health_regained", "info", f"{TARGET} is healthy again: 503 token [redacted] · https://web.example"),
        (
            "webhooks_lost",
            "error",
            f"{TARGET} receives no webhooks from GitHub: 401 for 10 minutes. "
            "Run `signalbox doctor`, and check Recent Deliveries in the GitHub App's settings.",
        ),
        ("webhooks_regained", "info", f"{TARGET} receives GitHub's webhooks again"),
    ],
)
def test_what_is_told_of_a_target(event, severity, text):
    target = a_target(
        health=Health(detail=f"503 token {TOKEN}"),
        deaf=Deaf(since=NOON, reason="401 for 10 minutes"),
        address="https://web.example",
    )

    payload = texts.target_notification(target, Notice(event, "2026-07-01T12:00:00Z"))

    assert event in FOR_N8N
    assert json.loads(msgspec.json.encode(payload)) == payload
    assert payload == {
        "key": f"{TARGET}:{event}@2026-07-01T12:00:00Z",
        "event": event,
        "severity": severity,
        "text": text,
        "target": TARGET,
        "commit_sha": a_version().commit_sha,
        "url": "https://web.example",
        "address": "https://web.example",
    }


def test_the_address_is_not_said_twice():
    target = a_target(health=Health(detail="503, at https://web.example/health"), address="https://web.example")

    text = texts.target_notification(target, Notice("health_lost", "2026-07-01T12:00:00Z"))["text"]

    assert text == f"{TARGET} is unhealthy: 503, at https://web.example/health"


class TestAddress:
    """People are told where the service answers: comment and notification link to it."""

    def test_the_comment_names_it(self):
        assert "\n\nAddress: https://shop.example\n\n" in texts.comment(a_run(address="https://shop.example"), CONSOLE)

    def test_the_notification_names_it(self):
        payload = texts.notification(
            ended(Status.SUCCEEDED, address="https://shop.example"), Notice("succeeded"), CONSOLE
        )

        assert payload["address"] == "https://shop.example"
        assert payload["text"].endswith(" · mona · https://shop.example")

    def test_a_run_of_before_has_it_in_its_deployment(self):
        run = a_run(deployment=Deployment(id="d-new", url="https://shop.example"))

        assert texts.notification(run, Notice("live"), "")["address"] == "https://shop.example"

    def test_a_private_service_has_none(self):
        assert texts.notification(a_run(), Notice("live"), "")["address"] == ""
        assert "Address" not in texts.comment(a_run(), CONSOLE)

    def test_a_password_in_it_is_not_shown(self):
        run = a_run(address="https://me:hidden-word@shop.example")

        assert "hidden-word" not in texts.comment(run, CONSOLE)
        assert texts.notification(run, Notice("live"), "")["address"] == "https://shop.example"


@pytest.mark.parametrize(
    ("serving", "shown", "commit"),
    [
        (Serving(deployment_id="d-strange", commit_sha=MERGE), "deployment d-strang of 2222222 is live", MERGE),
        (Serving(deployment_id="d-strange"), "deployment d-strang is live", None),
        (Serving(), "nothing is live", None),
    ],
)
def test_a_drift_is_told_with_what_serves_and_what_to_do(serving, shown, commit):
    target = a_target(serving=replace(serving, drifting_since=NOON))

    payload = texts.target_notification(target, Notice("drifted", "2026-07-01T12:00:00Z"))

    assert payload["text"].startswith(f"{TARGET} has drifted: {shown}, and 3333333 was verified last. ")
    assert ("pull request too" in payload["text"]) is (shown != "nothing is live")
    assert ("`/rollback to 3333333`" if shown == "nothing is live" else "`/rollback`") in payload["text"]
    assert (payload["severity"], payload["commit_sha"]) == ("warning", commit)


@pytest.mark.parametrize("event", ["drifted", "drift_ended"])
def test_a_drift_that_is_over_when_it_is_told_is_told_as_that(event):
    payload = texts.target_notification(a_target(), Notice(event, "2026-07-01T12:00:00Z"))

    assert "/rollback" not in payload["text"]
    assert payload["commit_sha"] == a_version().commit_sha


def test_every_event_of_a_target_has_a_text():
    of_targets = [event for event, channels in notices.CHANNELS.items() if channels == (notices.N8N,)]
    texts_of = {texts.target_notification(a_target(), Notice(event))["text"] for event in of_targets}
    assert len(texts_of) == len(of_targets)


def test_the_health_of_a_target_without_version_or_address():
    bare = replace(a_target(verified=()), address=None)

    payload = texts.target_notification(bare, Notice("health_lost", "2026-07-01T12:00:00Z"))

    assert (payload["commit_sha"], payload["url"]) == (None, "")


def test_markers_are_hidden_and_tell_runs_and_replies_apart():
    assert texts.run_marker("a") != texts.run_marker("ab")
    assert texts.run_marker("1") != texts.reply_marker(1)
    for marker in (texts.run_marker(RUN), texts.reply_marker(7)):
        assert marker.startswith("<!-- ")
        assert marker.endswith(" -->")
