"""GitHub's webhooks: the signature, what is listened to, and what is kept of a full-size body."""

import hashlib
import hmac
import json
from datetime import datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.building import NOON

from functions.webhooks import github
from functions.webhooks.github import content, is_signature, listened_to
from functions.webhooks.signed_body import Signatures
from local.world.github.server import GitHubWorld
from shared.core.events import (
    ChecksReported,
    CommentWritten,
    PullRequestChanged,
    PullRequestLabelled,
    PullRequestMerged,
    PullRequestOpened,
    RepositoryMoved,
)
from shared.errors import BadInput

REPO = "acme/shop"
SECRET, BODY = "It's a Secret to Everybody", b"Hello, World!"
SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""GitHub's own example (docs: validating webhook deliveries)."""

EVENTS = ["pull_request", "pull_request_review", "check_suite", "status", "issue_comment", "repository"]


def normalise(event, body):
    """Without the repository's id, which is in each."""
    found = github.normalise(event, body)
    return found and replace(found, repository_id=None)


def signed_by(secrets, body, signature):
    made = Signatures(secrets)
    for at in range(0, len(body), 3):
        made.update(body[at : at + 3])
    return is_signature(signature) and made.include(signature)


class TestSignedBy:
    def test_the_documented_example(self):
        assert signed_by([SECRET], BODY, SIGNATURE)

    @pytest.mark.parametrize("secrets", [[SECRET, "old"], ["new", SECRET], ["new", "", SECRET]])
    def test_during_a_rotation_each_secret_will_do(self, secrets):
        assert signed_by(secrets, BODY, SIGNATURE)

    @pytest.mark.parametrize(
        "signature",
        [
            "",
            "sha256=",
            SIGNATURE.removeprefix("sha256="),
            SIGNATURE.upper(),
            SIGNATURE[:-1],
            SIGNATURE + "0",
            f" {SIGNATURE}",
            "sha1=" + hmac.new(SECRET.encode(), BODY, hashlib.sha1).hexdigest(),
            "sha1=" + SIGNATURE.removeprefix("sha256="),
            "sha256=\xe9\xff",
        ],
    )
    def test_nothing_else_will_do(self, signature):
        assert not signed_by([SECRET], BODY, signature)

    def test_another_body_or_secret(self):
        assert not signed_by([SECRET], BODY + b"\n", SIGNATURE)
        assert not signed_by(["other"], BODY, SIGNATURE)

    @pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
    def test_without_a_secret_everything_is_refused(self, secrets):
        with_an_empty_key = "sha256=" + hmac.new(b"", BODY, hashlib.sha256).hexdigest()

        assert not signed_by(secrets, BODY, SIGNATURE)
        assert not signed_by(secrets, BODY, with_an_empty_key)

    @given(body=st.binary(), signature=st.text(st.characters(max_codepoint=255)))
    def test_no_header_raises(self, body, signature):
        assert not signed_by([SECRET], body, signature)


class TestListenedTo:
    @pytest.mark.parametrize(
        ("event", "actions"),
        [
            (
                "pull_request",
                ["opened", "closed", "synchronize", "reopened", "ready_for_review", "labeled", "unlabeled"],
            ),
            ("pull_request_review", ["submitted", "dismissed"]),
            ("check_suite", ["completed"]),
            ("issue_comment", ["created"]),
        ],
    )
    def test_some_actions_of_some_events(self, event, actions):
        for action in [*actions, "assigned", "edited", "deleted", "requested", "milestoned"]:
            assert listened_to(event, json.dumps({"action": action}).encode()) is (action in actions)

    @pytest.mark.parametrize("event", ["push", "check_run", "ping", "installation", "", "Status"])
    def test_other_events_are_nobody_s(self, event):
        assert not listened_to(event, b'{"action":"completed"}')

    @pytest.mark.parametrize("event", EVENTS)
    @pytest.mark.parametrize(
        "body", [b"", b"{}", b'{"number":1,"action":"labeled"}', b'{"action":7}', b"\xff", b"[" * 100_000]
    )
    def test_what_the_peek_does_not_find_is_left_to_the_parser(self, event, body):
        assert listened_to(event, body)

    @pytest.mark.parametrize("start", [b'{"action":"', b'{ "action": "', b'\n{\n  "action" : "'])
    def test_it_peeks_at_the_start_and_parses_nothing(self, start):
        assert listened_to("pull_request", start + b'closed"' + b"\xff" * 10)
        assert not listened_to("pull_request", start + b'assigned"' + b"\xff" * 10)

    def test_a_status_has_no_action(self):
        assert listened_to("status", b'{"action":"whatever"}')


class StoppedClock:
    def now(self) -> datetime:
        return NOON


@pytest.fixture
def world() -> GitHubWorld:
    world = GitHubWorld(clock=StoppedClock(), webhook_secret=SECRET)
    world.add_repository(REPO, collaborators={"mona": "write"})
    world.open_pull_request(REPO, title="Sell socks", author="mona")
    world.webhooks.queue.clear()
    return world


def sent(world: GitHubWorld, event: str) -> bytes:
    """The body of the event, as large as GitHub's."""
    (body,) = [webhook.body for webhook in world.webhooks.queue if webhook.event == event]
    assert len(body) > 5_000
    return body


def changed(body: bytes, **fields) -> bytes:
    """With other values at dotted paths, written with __; ... takes the field away."""
    payload = json.loads(body)
    for path, value in fields.items():
        *parents, last = path.split("__")
        place = payload
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return json.dumps(payload).encode()


class TestPullRequest:
    def test_merged(self, world):
        world.merge(REPO, 1, "mona")

        body = sent(world, "pull_request")

        assert listened_to("pull_request", body)
        assert normalise("pull_request", body) == PullRequestMerged(repository=REPO, number=1)

    def test_closed_without_a_merge(self, world):
        world.close(REPO, 1)

        assert normalise("pull_request", sent(world, "pull_request")) == PullRequestChanged(repository=REPO, number=1)

    @pytest.mark.parametrize("action", ["synchronize", "reopened", "ready_for_review", "unlabeled"])
    def test_changed(self, world, action):
        world.push(REPO, 1)
        body = changed(sent(world, "pull_request"), action=action, pull_request__merged=True)

        assert normalise("pull_request", body) == PullRequestChanged(repository=REPO, number=1)

    def test_opened(self, world):
        world.push(REPO, 1)
        body = changed(sent(world, "pull_request"), action="opened")

        assert normalise("pull_request", body) == PullRequestOpened(repository=REPO, number=1)

    def test_an_action_the_peek_did_not_see(self, world):
        world.close(REPO, 1)

        assert normalise("pull_request", changed(sent(world, "pull_request"), action="assigned")) is None

    def test_labelled(self, world):
        world.label(REPO, 1, "Ship it", "mona")
        head = world.pull(REPO, 1).head_sha

        assert normalise("pull_request", sent(world, "pull_request")) == PullRequestLabelled(
            repository=REPO, number=1, label="Ship it", head_sha=head
        )

    @pytest.mark.parametrize("action", ["submitted", "dismissed"])
    def test_a_review_is_a_change(self, world, action):
        world.review(REPO, 1, "approved", "rev")
        body = sent(world, "pull_request_review")

        assert listened_to("pull_request_review", body)
        assert normalise("pull_request_review", changed(body, action=action)) == PullRequestChanged(
            repository=REPO, number=1
        )

    def test_an_edited_review_is_none(self, world):
        world.review(REPO, 1, "approved", "rev")

        assert normalise("pull_request_review", changed(sent(world, "pull_request_review"), action="edited")) is None


class TestChecks:
    def test_a_completed_suite(self, world):
        world.report_check(REPO, 1, "build", "failure")
        body = sent(world, "check_suite")

        assert listened_to("check_suite", body)
        assert normalise("check_suite", body) == ChecksReported(repository=REPO, head_sha=world.pull(REPO, 1).head_sha)
        assert normalise("check_suite", changed(body, action="requested")) is None

    @pytest.mark.parametrize("state", ["success", "failure", "error"])
    def test_a_status(self, world, state):
        world.report_status(REPO, 1, "ci/build", state)

        assert normalise("status", sent(world, "status")) == ChecksReported(
            repository=REPO, head_sha=world.pull(REPO, 1).head_sha
        )

    def test_a_pending_status_is_no_news(self, world):
        world.report_status(REPO, 1, "ci/build", "pending")

        assert normalise("status", sent(world, "status")) is None


class TestComment:
    def heard(self, world, text, author="mona", **fields):
        world.comment(REPO, 1, text, author)
        return normalise("issue_comment", changed(sent(world, "issue_comment"), **fields))

    def test_a_command(self, world):
        id = world.comment(REPO, 1, "/deploy production", "mona")
        body = sent(world, "issue_comment")

        assert listened_to("issue_comment", body)
        assert normalise("issue_comment", body) == CommentWritten(
            repository=REPO,
            number=1,
            comment_id=id,
            author="mona",
            body="/deploy production",
            url=f"https://github.com/acme/shop/pull/1#issuecomment-{id}",
        )

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("/deploy\nbecause I say so", "/deploy"),
            ("\r\n\r\n  /deploy  \r\n\r\n/rollback", "/deploy"),
            ("/lock " + "x" * 10_000, "/lock " + "x" * 494),
        ],
    )
    def test_only_the_line_with_the_command_is_kept(self, world, text, line):
        assert self.heard(world, text).body == line

    @pytest.mark.parametrize(
        "text", ["", "  \n ", "looks good", "/assign mona", "please\n/deploy", "> /deploy", "`/deploy`", "/deploying"]
    )
    def test_other_comments_are_none_of_our_business(self, world, text):
        assert self.heard(world, text) is None

    def test_bots_give_no_commands(self, world):
        assert self.heard(world, "/deploy", author="renovate[bot]") is None

    @pytest.mark.parametrize("who", ["sender__type", "comment__user__type"])
    def test_a_bot_on_either_side_is_a_bot(self, world, who):
        assert self.heard(world, "/deploy", **{who: "Bot"}) is None

    @pytest.mark.parametrize("gone", [..., None])
    def test_a_command_is_taken_though_its_sender_is_gone(self, world, gone):
        assert self.heard(world, "/deploy", sender=gone).author == "mona"

    @pytest.mark.parametrize("gone", [..., None])
    @pytest.mark.parametrize("what", ["comment__user", "comment__body"])
    def test_a_comment_without_author_or_text_is_no_command(self, world, what, gone):
        assert self.heard(world, "/deploy", **{what: gone}) is None

    @pytest.mark.parametrize("gone", [..., None])
    def test_a_comment_on_an_issue_is_no_command(self, world, gone):
        assert self.heard(world, "/deploy", issue__pull_request=gone) is None

    def test_editing_a_comment_gives_no_command(self, world):
        id = world.comment(REPO, 1, "nothing", "mona")
        world.webhooks.queue.clear()
        world.edit_comment(REPO, id, "/deploy", "mona")
        body = sent(world, "issue_comment")

        assert not listened_to("issue_comment", body)
        assert normalise("issue_comment", body) is None


class TestRepository:
    def test_every_event_has_the_id_that_stays(self, world):
        world.close(REPO, 1)
        world.comment(REPO, 1, "/deploy", "mona")
        world.report_status(REPO, 1, "ci/build", "success")

        found = [github.normalise(event, sent(world, event)) for event in ("issue_comment", "status")]

        assert {event.repository_id for event in found} == {world.repository(REPO).id}

    @pytest.mark.parametrize("to", ["acme/store", "globex/shop"])
    def test_another_name_or_owner(self, world, to):
        world.rename(REPO, to, "mona")
        body = sent(world, "repository")

        assert listened_to("repository", body)
        assert normalise("repository", body) == RepositoryMoved(repository=to)

    def test_what_else_happens_to_a_repository_is_none_of_our_business(self, world):
        world.rename(REPO, "acme/store", "mona")
        body = changed(sent(world, "repository"), action="archived")

        assert not listened_to("repository", body)
        assert normalise("repository", body) is None


class TestForm:
    TYPE = "application/x-www-form-urlencoded"

    @pytest.mark.parametrize("type", [TYPE, f"{TYPE}; charset=utf-8", TYPE.upper()])
    def test_the_payload_of_a_form_is_read(self, type):
        body = urlencode({"payload": '{"action": "closed", "title": "ü & ö + 1=1"}'}).encode()

        assert content(body, type) == '{"action": "closed", "title": "ü & ö + 1=1"}'.encode()

    @pytest.mark.parametrize("type", ["application/json", ""])
    def test_json_is_left_as_it_is(self, type):
        assert content(b'{"payload=": 1}', type) == b'{"payload=": 1}'

    @pytest.mark.parametrize("body", [b"", b"{}", b"other=1", b"payload=%ff", b"payload", b"\xff=1", b"a=1&" * 20])
    def test_a_form_without_a_payload_is_bad_input(self, body):
        with pytest.raises(BadInput):
            content(body, self.TYPE)


class TestUnusable:
    @pytest.mark.parametrize(
        ("event", "field"),
        [
            ("pull_request", "action"),
            ("pull_request", "pull_request"),
            ("pull_request", "pull_request.number"),
            ("pull_request", "repository"),
            ("pull_request", "repository.full_name"),
            ("pull_request_review", "pull_request.number"),
            ("check_suite", "check_suite"),
            ("check_suite", "check_suite.head_sha"),
            ("status", "sha"),
            ("status", "state"),
            ("issue_comment", "issue.number"),
            ("issue_comment", "comment.id"),
            ("issue_comment", "comment.user.login"),
        ],
    )
    @pytest.mark.parametrize("value", [..., [7]], ids=["missing", "wrong"])
    def test_the_field_is_named(self, world, event, field, value):
        world.close(REPO, 1)
        world.review(REPO, 1, "approved", "rev")
        world.report_check(REPO, 1, "build", "success")
        world.report_status(REPO, 1, "ci/build", "success")
        world.comment(REPO, 1, "/deploy", "mona")

        with pytest.raises(BadInput) as caught:
            normalise(event, changed(sent(world, event), **{field.replace(".", "__"): value}))

        assert caught.value.field == field
        assert str(caught.value).startswith(f"{field}: ")

    @pytest.mark.parametrize("event", EVENTS)
    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"null", b"payload=%7B%7D", b'{"action":"\xff"}', b'{"more":' + b"[" * 100_000]
    )
    def test_what_is_not_the_event_is_bad_input(self, event, body):
        with pytest.raises(BadInput):
            normalise(event, body)

    @given(event=st.sampled_from(EVENTS), body=st.binary())
    def test_junk_is_bad_input(self, event, body):
        with pytest.raises(BadInput):
            normalise(event, body)
