"""What people write: any line is a command or is told how one is written; a command is read as it was meant."""

import re

from fuzz.inputs import command_lines, fuzzed, whole_texts
from hypothesis import example, given
from hypothesis import strategies as st

from functions.dispatch.commands import Command, parse
from functions.dispatch.commands.deploy import Deploy
from functions.dispatch.commands.lock import Lock
from functions.dispatch.commands.rollback import Rollback
from functions.dispatch.commands.unlock import Unlock
from shared.core import commands
from shared.core.reasons import Reason
from shared.runs.replying import Declined

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True).filter(lambda name: name != "to")
places = st.none() | names | st.tuples(names, names).map("/".join)
commits = st.none() | st.from_regex(r"[0-9a-f]{7,40}", fullmatch=True)
words = st.from_regex(r"\S{1,10}", fullmatch=True).filter(lambda word: len(word.split()) == 1)
reasons = st.lists(words, min_size=1, max_size=4).filter(lambda said: said[0][0].isalnum() and said[-1][-1].isalnum())
"""Quotes around the whole, and what nobody sees at its end, are not of it."""
said = st.one_of(
    st.builds(Deploy, places, st.none() | reasons.map(" ".join)),
    st.builds(Rollback, places, commits),
    st.builds(Lock, reasons.map(tuple)),
    st.builds(Unlock, places),
)
spaces = st.sampled_from([" ", "  ", "\t", "\u00a0", " \u2003"])


def written(command: Command, space: str) -> str:
    """As `USAGE` says."""
    match command:
        case Deploy(target, force):
            parts = ["/deploy", target, "--force" if force else None, force]
        case Rollback(target, to):
            parts = ["/rollback", target, "to" if to else None, to]
        case Lock(words):
            parts = ["/lock", *words]
        case Unlock(target):
            parts = ["/unlock", target]
    return space.join(part for part in parts if part)


@fuzzed(500)
@given(line=command_lines | whole_texts | st.text())
@example(line="")
@example(line="/")
@example(line="x")
def test_any_line_is_read(line):
    read = parse(line)

    if not commands.is_command(line):
        assert isinstance(read, Declined)
    if isinstance(read, Declined):
        assert read.code is Reason.COMMAND_INVALID
        assert read.message


@fuzzed(300)
@given(command=said, space=spaces, shout=st.booleans())
def test_what_is_written_as_the_usage_says_is_understood(command, space, shout):
    line = written(command, space)
    if shout:
        line = re.sub(r"/[a-z]+", lambda found: found[0].upper(), line, count=1)

    assert commands.is_command(line)
    assert parse(line) == command


@fuzzed(100)
@given(line=command_lines)
def test_a_command_that_was_read_is_written_and_read_again(line):
    read = parse(line)
    if not isinstance(read, Declined):
        assert parse(written(read, " ")) == read
