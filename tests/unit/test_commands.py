"""The commands' forms, and the target that is meant."""

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from unit.building import terms

from functions.dispatch.commands import USAGE, Command, parse
from functions.dispatch.commands.deploy import Deploy
from functions.dispatch.commands.help import Help
from functions.dispatch.commands.lock import Lock, split_reason
from functions.dispatch.commands.promote import Promote
from functions.dispatch.commands.resume import Resume
from functions.dispatch.commands.retry import Retry
from functions.dispatch.commands.rollback import Rollback
from functions.dispatch.commands.status import Status
from functions.dispatch.commands.target import choose, choose_on
from functions.dispatch.commands.unlock import Unlock
from shared.core.commands import command_line, is_command
from shared.core.reasons import Reason
from shared.core.target_config import TargetConfig
from shared.runs.replying import Declined

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("/deploy", True),
        ("/deploy web/production", True),
        ("/rollback\tto 0123456", True),
        ("/lock audit", True),
        ("/unlock", True),
        ("/deploy!", True),
        ("/deploy.", True),
        ("**/deploy**", True),
        ("`/deploy production`", False),
        ("> /deploy", False),
        ("/deploy-all", False),
        ("/deployment", False),
        ("/Deploy", True),
        (" /deploy", True),
        ("please /deploy", False),
        ("/assign @mona", False),
        ("//deploy", False),
        ("/", False),
        ("", False),
    ],
)
def test_other_words_after_a_slash_are_somebody_else_s(line, ours):
    assert is_command(line) is ours


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/deploy", Deploy()),
        ("/deploy production", Deploy("production")),
        ("/deploy web/production", Deploy("web/production")),
        ("/deploy   web/production  ", Deploy("web/production")),
        ("/deploy --force a false alarm", Deploy(force="a false alarm")),
        ("/deploy production --force it  is fine", Deploy("production", "it is fine")),
        ("/deploy --force a --force b", Deploy(force="a --force b")),
        ("/rollback", Rollback()),
        ("/rollback web/production", Rollback("web/production")),
        ("/rollback to 0123456", Rollback(to="0123456")),
        (f"/rollback production to {SHA}", Rollback("production", SHA)),
        ("/rollback to ABCDEF1", Rollback(to="abcdef1")),
        ("/lock audit", Lock(("audit",))),
        ("/lock production audit until noon", Lock(("production", "audit", "until", "noon"))),
        ("/promote staging production", Promote("staging", "production")),
        ("/promote web/staging web/production", Promote("web/staging", "web/production")),
        ("/unlock", Unlock()),
        ("/resume web/production", Resume("web/production")),
        ("/retry", Retry()),
        ("/status staging", Status("staging")),
        ("/help", Help()),
        ("/help me", Help()),
        ("/unlock web/production", Unlock("web/production")),
    ],
)
def test_forms(line, command):
    assert is_command(line)
    assert parse(line) == command


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/deploy \u2014force a false alarm", Deploy(force="a false alarm")),
        ("/deploy \u2013force a false alarm", Deploy(force="a false alarm")),
        ("/deploy \u2013\u2013force it is", Deploy(force="it is")),
        ("/deploy -force it is", Deploy(force="it is")),
        ("/deploy --Force it is", Deploy(force="it is")),
        ("/deploy --force=it is", Deploy(force="it is")),
        ("/deploy production \u2014force \u201cwe know better\u201d", Deploy("production", "we know better")),
        ("/deploy Production", Deploy("production")),
        ("/Deploy Web/Production", Deploy("web/production")),
        ("/deploy to production", Deploy("production")),
        ("/deploy on Production.", Deploy("production")),
        ("/deploy production!", Deploy("production")),
        ("/deploy `production`", Deploy("production")),
        ("/deploy \u201cproduction\u201d", Deploy("production")),
        ("/deploy **production**", Deploy("production")),
        ("/deploy\u00a0production", Deploy("production")),
        ("/deploy\u200b", Deploy()),
        ("/deploy, please", Deploy("please")),
        ("**/deploy production**", Deploy("production")),
        ("**/deploy** production", Deploy("production")),
        ("/rollback to `0123456`", Rollback(to="0123456")),
        ("/rollback to `0123456`.", Rollback(to="0123456")),
        ("/rollback Production To 0123456", Rollback("production", "0123456")),
        ("/rollback to commit 0123456", Rollback(to="0123456")),
        (f"/rollback to https://github.com/acme/shop/commit/{SHA}", Rollback(to=SHA)),
        ("/rollback on production", Rollback("production")),
        ("/promote Staging to Production!", Promote("staging", "production")),
        ("/promote from `web/staging` to production", Promote("web/staging", "production")),
        ("/unlock Production.", Unlock("production")),
        ("/status of production", Declined(Reason.COMMAND_INVALID, "at most a target is expected", USAGE["status"])),
        ("/retry on **Production**!", Retry("production")),
    ],
)
def test_what_phones_and_markdown_make_of_a_command_is_understood(line, command):
    assert is_command(line)
    assert parse(line) == command


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("/deploy\n\nthanks", "/deploy"),
        ("\n  \n/deploy", "/deploy"),
        ("> /deploy production\n\n/rollback", "/rollback"),
        ("> what do you think?\n>\n> /deploy\n", None),
        ("> /deploy\nNot today.", None),
        ("Please\n/deploy", None),
        ("", None),
    ],
)
def test_what_somebody_quotes_is_not_their_command(body, line):
    assert command_line(body) == line


@pytest.mark.parametrize(
    ("name", "branch", "message"),
    [
        (
            None,
            "next",
            "this pull request goes into `next`, and what is deployed is from `main`: `web/production`; "
            "from `develop`: `web/staging`",
        ),
        (
            "staging",
            "main",
            "this pull request goes into `main`, and what is deployed is from `develop`: `web/staging`",
        ),
    ],
)
def test_a_pull_request_into_another_branch_is_told_which_are_deployed(name, branch, message):
    refused = choose_on(branch, name, [web, replace(staging, branch="develop")])

    assert refused == Declined(Reason.BRANCH_NOT_DEPLOYED, message)


@pytest.mark.parametrize("branch", ["main", "next"])
def test_a_target_that_does_not_exist_is_answered_with_those_that_do(branch):
    refused = choose_on(branch, "nowhere", [web, replace(staging, branch="develop")])

    assert refused == Declined(
        Reason.TARGET_AMBIGUOUS, "`nowhere` is no target here; there are: `web/production`, `web/staging`"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/rollback to production", "`to` needs a commit of at least seven hexadecimal digits"),
        ("/deploy a b", "not understood: `a b`"),
        ("/deploy web/", "not understood: `web/`"),
        ("/deploy a/b/c", "not understood: `a/b/c`"),
        ("/deploy ../production", "not understood: `../production`"),
        ("/deploy --force", "--force needs a reason"),
        ("/deploy --now", "not understood: `--now`"),
        ("/deploy a b --force because", "not understood: `a b`"),
        ("/rollback a b", "not understood: `a b`"),
        ("/rollback to", "`to` needs a commit of at least seven hexadecimal digits"),
        ("/rollback to 012345", "`to` needs a commit of at least seven hexadecimal digits"),
        ("/rollback to 0123456g", "`to` needs a commit of at least seven hexadecimal digits"),
        (f"/rollback to {SHA}0", "`to` needs a commit of at least seven hexadecimal digits"),
        ("/rollback to 0123456 0123456", "`to` needs a commit of at least seven hexadecimal digits"),
        ("/rollback a b to 0123456", "not understood: `a b`"),
        ("/lock", "a lock needs a reason"),
        ("/unlock a b", "at most a target is expected"),
        ("/unlock !", "at most a target is expected"),
    ],
)
def test_what_is_not_understood_is_answered_with_the_usage(line, message):
    assert is_command(line)
    assert parse(line) == Declined(Reason.COMMAND_INVALID, message, USAGE[line.split()[0][1:]])


@pytest.mark.parametrize("word", USAGE)
def test_every_command_has_a_form_and_a_usage_of_its_own(word):
    made = parse(f"/{word} {'staging ' * (word == 'promote')}production")

    assert type(made) in typing.get_args(Command)
    assert type(made).__name__.lower() == word
    assert f"{USAGE[word]} ".startswith(f"/{word} ")


words = st.lists(
    st.sampled_from(["to", "--force", "production", "web/production", "0123456", "audit"]) | st.text(), max_size=6
).map(" ".join)


@given(word=st.sampled_from(sorted(USAGE)), rest=words, gap=st.sampled_from([" ", "\t", "\xa0", "\u2028", "\x1c"]))
def test_no_command_raises(word, rest, gap):
    line = f"/{word}{gap}{rest}"

    assert is_command(line)
    parsed = parse(line)
    assert isinstance(parsed, Command | Declined)
    if isinstance(parsed, Deploy | Rollback | Unlock) and parsed.target is not None:
        assert parsed.target in line.lower()


@given(st.text())
def test_asking_whether_it_is_a_command_never_raises(line):
    assert is_command(line) in (True, False)


def a_place(service: str, environment: str) -> TargetConfig:
    return TargetConfig(
        id=f"acme:shop:{service}:{environment}",
        repository="acme/shop",
        service=service,
        environment=environment,
        project_id="p",
        service_id=f"s-{service}",
        environment_id=f"e-{environment}",
        branch="main",
        policy=terms().policy,
    )


web, staging, api, api_staging = (
    a_place("web", "production"),
    a_place("web", "staging"),
    a_place("api", "production"),
    a_place("api", "staging"),
)


@pytest.mark.parametrize(
    ("name", "candidates", "chosen"),
    [
        (None, [staging], staging),
        (None, [staging, web], web),
        ("staging", [staging, web], staging),
        ("web/production", [staging, web, api], web),
        ("api", [web, api], api),
        ("api/staging", [web, staging, api, api_staging], api_staging),
    ],
)
def test_the_target_named_else_the_only_one_else_the_only_production(name, candidates, chosen):
    assert choose(name, candidates) is chosen


@pytest.mark.parametrize(
    ("name", "candidates", "message"),
    [
        (None, [web, api], "several targets are possible; there are: `web/production`, `api/production`"),
        (None, [staging, api_staging], "several targets are possible; there are: `web/staging`, `api/staging`"),
        ("production", [web, api], "several targets are possible; there are: `web/production`, `api/production`"),
        ("web", [web, staging], "several targets are possible; there are: `web/production`, `web/staging`"),
        ("moon", [web], "`moon` is no target here; there are: `web/production`"),
        ("moon", [], "`moon` is no target here; there are: none"),
        (None, [], "no target is named; there are: none"),
    ],
)
def test_what_is_not_clear_is_never_guessed(name, candidates, message):
    assert choose(name, candidates) == Declined(Reason.TARGET_AMBIGUOUS, message)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/lock audit until noon", (None, "audit until noon")),
        ("/lock production audit", ("production", "audit")),
        ("/lock web/production a long  audit", ("web/production", "a long audit")),
        ("/lock web audit", ("web", "audit")),
        ("/lock elsewhere audit", (None, "elsewhere audit")),
    ],
)
def test_a_lock_s_first_word_names_the_target_when_it_is_one(line, expected):
    lock = parse(line)

    assert isinstance(lock, Lock)
    assert split_reason(lock, [web, staging]) == expected


@pytest.mark.parametrize("line", ["/lock staging", "/lock web/production"])
def test_a_target_alone_is_no_reason_to_lock_another(line):
    lock = parse(line)

    assert isinstance(lock, Lock)
    refused = split_reason(lock, [web, staging])
    assert isinstance(refused, Declined)
    assert refused.code is Reason.COMMAND_INVALID
