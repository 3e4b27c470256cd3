"""Other people's words stay words, wherever they are shown: a corpus of them, at every destination."""

import io
import json
import logging
import re
import time
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import click
import cmarkgfm
import pyte
import pytest
from click.testing import CliRunner
from cmarkgfm.cmark import Options
from rich.console import Console
from rich.table import Table
from unit.building import NOON, RUN, a_run, a_trigger
from unit.hostile_corpus import PIECES

from functions.dispatch.commands import parse
from functions.dispatch.commands.target import choose
from local import cli
from local.cli import output
from local.cli.timeline import Expectation, Line
from shared.core.notices import Notice
from shared.core.reasons import Reason
from shared.core.run import Check, Failure, HistoryEntry, PullRequest, Run, Stage, Status, Verdict, Verification
from shared.core.target import Health, Target
from shared.errors import Refused
from shared.runs import texts
from shared.runs.replying import Declined
from shared.runtime import escaping, log
from shared.runtime.escaping import code, code_block, html, json_text, line, lines, link, markdown, terminal

CONSOLE = "https://console.example"
OWN = "https://shop.up.railway.app"
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\U000e0000-\U000e007f]"
)
MENTION = re.compile(r"(?<![\w/])@\w")
REFERENCE = re.compile(r"#\d|\bGH-\d", re.IGNORECASE)

pieces = pytest.mark.parametrize("piece", PIECES, ids=range(len(PIECES)))


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.comments: list[str] = []
        self.text = ""
        self.outside_code = ""
        self._code = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag == "code"

    def handle_comment(self, data: str) -> None:
        self.comments.append(data.strip())

    def handle_data(self, data: str) -> None:
        self.text += data
        if not self._code:
            self.outside_code += data

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def links(self) -> set[str]:
        return {str(given.get("href") or given.get("src")) for tag, given in self.elements if tag in ("a", "img")}


def rendered(text: str) -> Page:
    """As GitHub's own renderer makes it, with every extension, and no HTML taken away that it lets through."""
    return Page(cmarkgfm.github_flavored_markdown_to_html(text, Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_FOOTNOTES))


def seen(text: str) -> str:
    return text.replace("\u200b", "")


def test_there_are_enough_pieces() -> None:
    assert len(set(PIECES)) >= 150


@pieces
def test_in_a_line_of_a_comment_they_are_text(piece: str) -> None:
    page = rendered(markdown(piece))
    assert [tag for tag in page.tags if tag != "code"] == (["p"] if line(piece) else [])
    assert seen(page.text).strip() == line(piece).replace("`", "") or "code" not in page.tags
    assert seen(page.text).strip() == line(piece) or "code" in page.tags
    assert not MENTION.search(page.text)
    assert not REFERENCE.search(page.text)
    assert page.comments == []
    assert not UNSEEN.search(page.text)


PLACES: dict[str, tuple[str, list[str]]] = {
    "after bold": ("**`unhealthy`** {} (3)\n\nNext.", ["p", "strong", "code", "p"]),
    "in a list": ("Latest checks:\n- ✅ {}: {}\n- ❌ {}", ["p", "ul", "li", "li"]),
    "in a heading": ("### on **web** {}", ["h3", "strong"]),
    "in a cell": (
        "| at | what |\n|---|---|\n| 1 | {} |\n| 2 | {} |",
        ["table", "thead", "tr", "th", "th", "tbody", *["tr", "td", "td"] * 2],
    ),
    "in emphasis": ("**{}**", ["p", "strong"]),
    "before a link": ("{} [run](https://console.example)", ["p", "a"]),
    "twice": ("{}{}", ["p"]),
}


@pytest.mark.parametrize(("place", "expected"), PLACES.values(), ids=PLACES)
@pieces
def test_around_them_everything_is_as_it_would_be(piece: str, place: str, expected: list[str]) -> None:
    """With a word before, as everywhere in our texts: bold of nothing, or of a space, is none."""
    page = rendered(place.replace("{}", f"x{markdown(piece)}x" if place.startswith("**{") else markdown(piece)))
    if place == "{}{}" and not line(piece):
        expected = []
    within = [tag for tag in page.tags if tag != "code"]
    assert within == [tag for tag in expected if tag != "code"]
    assert page.links <= {"https://console.example"}


@pieces
def test_as_code_they_are_code(piece: str) -> None:
    shown = re.sub("`{20,}", lambda run: "'" * len(run[0]), line(piece))[: escaping.LONGEST_CODE]
    page = rendered(f"on {code(piece)} it is")
    assert page.tags == ["p", "code"]
    assert page.text.strip() == f"on {shown or ' '} it is"


@pieces
def test_as_a_block_of_code_they_do_not_end_it(piece: str) -> None:
    page = rendered(f"<details>\n\n{code_block(piece)}\n</details>\n\nafter")
    assert page.tags == ["details", "pre", "code", "p"]
    shown = re.sub("`{20,}", lambda run: "'" * len(run[0]), lines(piece))
    assert shown.strip() in page.text


@pieces
def test_a_link_is_one_to_where_it_says_or_none(piece: str) -> None:
    assert rendered(link(piece)).links <= {piece}
    page = rendered(markdown(f"at {OWN}/health {piece} {OWN}", own=OWN))
    assert page.links <= {f"{OWN}/health", OWN, f"{OWN}/", f"{OWN}/health-x"}
    assert f"{OWN}/health" in page.links


@pytest.mark.parametrize("own", ["", "https://evil.test/a?b=[c]", "javascript:alert(1)", "https://a b"])
def test_an_address_that_is_none_of_ours_is_no_link(own: str) -> None:
    assert rendered(markdown(f"at {own} and https://evil.test", own=own)).links == set()


def failed(piece: str, **changes: Any) -> Run:
    """A run in which others wrote the piece."""
    pull = PullRequest(number=42, url="u", title=piece, author=piece, head_sha="2" * 40, base="main")
    return a_run(
        Stage.VERIFY,
        status=Status.FAILED,
        pull_request=pull,
        history=(HistoryEntry(NOON, Stage.VERIFY, Status.FAILED, piece),) * 2,
        error=Failure(stage=Stage.VERIFY, code=Reason.UNHEALTHY, message=piece, log_tail=(piece, piece)),
        **changes,
    )


def everywhere(piece: str) -> dict[str, str]:
    """Whole comments and replies that have the piece wherever others write something."""
    run = failed(
        piece,
        trigger=a_trigger("replay", actor=piece, force=piece),
        unchecked=piece,
        address=OWN,
        verification=Verification(checks=(Check(piece, Verdict.FAIL, piece),) * 2),
    )
    refused = [one for one in (parse(f"/deploy {line(piece)} x y"), choose(piece, [])) if isinstance(one, Declined)]
    return {
        "run": texts.comment(run, CONSOLE),
        **{f"refusal {at}": texts.refusal(one.code, one.message, one.usage) for at, one in enumerate(refused)},
    }


@pieces
def test_whole_comments_have_our_markup_and_no_other(piece: str) -> None:
    ours = {"p", "h3", "strong", "code", "pre", "ul", "li", "details", "summary", "a"}
    ours |= {"table", "thead", "tbody", "tr", "th", "td"}
    for name, said in everywhere(piece).items():
        page = rendered(said)
        assert set(page.tags) <= ours, name
        assert page.links <= {OWN, f"{OWN}/health", f"{CONSOLE}/runs/{RUN}"}, name
        assert not MENTION.search(page.outside_code), name
        assert not UNSEEN.search(said), name
        assert page.comments == ([f"signalbox:run:{RUN}"] if name == "run" else []), name
        assert page.tags.count("table") == (name == "run")
        assert page.tags.count("h3") == (name == "run")


@pieces
def test_what_n8n_is_told_is_on_a_line_and_seen(piece: str) -> None:
    run = failed(piece)
    told = texts.notification(run, Notice("failed"), CONSOLE)
    pull = told["pull_request"]
    assert isinstance(pull, dict)
    for words in (told["text"], told["message"], pull["title"]):
        assert not UNSEEN.search(str(words))
        assert "\n" not in str(words)
    assert isinstance(told["log_tail"], list)
    assert not any(UNSEEN.search(words) for words in told["log_tail"])
    assert not UNSEEN.search(texts.description(run))
    news = texts.target_notification(Target(id="web", health=Health(detail=piece)), Notice("health_lost", "1"))
    assert not UNSEEN.search(str(news["text"]))


# A terminal


def screen(written: str) -> pyte.Screen:
    shown = pyte.Screen(200, 400)
    stream = pyte.Stream(shown)
    stream.feed(written.replace("\n", "\r\n"))
    return shown


COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def printed(show: Callable[[Console], object]) -> str:
    """What a console on a terminal writes."""
    out = output._Console(file=io.StringIO(), force_terminal=True, width=190, highlight=False, color_system="standard")
    show(out)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def hostile(piece: str) -> list[Callable[[Console], object]]:
    run = failed(piece, trigger=a_trigger(actor=piece))
    table = Table("what")
    table.add_row(output.escape(piece))
    return [
        lambda out: output.run(out, run),
        lambda out: output.runs(out, [run]),
        lambda out: output.line(out, Line(NOON, "r", "verify", "failed", piece, 1.0)),
        lambda out: output.line(out, Line(NOON, "r", None, None, piece, None)),
        lambda out: output.warnings(out, [piece]),
        lambda out: output.expectations(out, [Expectation(piece, held=True)]),
        lambda out: out.print(table),
    ]


@pieces
def test_a_terminal_shows_them_and_obeys_none(piece: str) -> None:
    for show in hostile(piece):
        written = printed(show)
        plain = COLOURS.sub("", written)
        assert not UNSEEN.search(plain.replace("\n", ""))
        shown = screen(written)
        assert (shown.title, shown.icon_name) == ("", "")
        assert not any(cell.blink or cell.reverse for row in shown.buffer.values() for cell in row.values())
        if any(unicodedata.combining(character) for character in piece):
            continue  # which pyte puts into a cell of its own
        first = next(text for text in shown.display if text.strip())
        assert first.strip() == next(text for text in plain.split("\n") if text.strip()).strip()[:200]


@pieces
def test_what_a_command_echoes_or_fails_with_is_shown_too(piece: str) -> None:
    @click.command
    @click.argument("how")
    def say(how: str) -> None:
        if how == "echo":
            output.echo(piece)
        elif how == "json":
            output.as_json({"said": piece})
        else:
            raise output.failure(Refused(piece), {})

    group = cli._Commands()
    group.add_command(say)
    for how in ("echo", "json", "fail"):
        result = CliRunner().invoke(group, ["say", how])
        assert not UNSEEN.search(result.output.replace("\n", ""))
        if how == "json":
            assert json.loads(result.output) == {"said": piece}


def test_commands_echo_by_output_alone() -> None:
    folder = output.__file__.rpartition("/")[0]
    import pathlib  # noqa: PLC0415

    for file in pathlib.Path(folder).glob("*.py"):
        text = file.read_text(encoding="utf-8")
        if file.name != "output.py":
            assert not re.search(r"\bclick\.s?echo\(|(?<![.\w])print\(|\bConsole\(", text), file.name


def test_words_are_shown_whole_on_a_terminal() -> None:
    assert terminal("Größe: 3 µs — 東京 ✅ ↩️") == "Größe: 3 µs — 東京 ✅ ↩️"
    assert terminal("a\x1b[31mb\tc\nd") == f"a{escaping.REPLACED}[31mb\tc\nd"


# Logs, JSON, pages


@pieces
def test_a_line_of_the_log_is_one_and_is_seen(piece: str) -> None:
    record = logging.LogRecord("signalbox", logging.INFO, "f", 1, "%s", (piece,), None)
    record.fields = {"reason": piece, "also": [piece]}
    written = log.formatter().format(record)
    assert written.isprintable() or not UNSEEN.search(written)
    assert "\n" not in written
    assert isinstance(json.loads(written), dict)


@pieces
def test_a_document_is_the_same_with_what_is_not_seen_written_out(piece: str) -> None:
    document = json.dumps({"a": piece, piece: 1}, ensure_ascii=False)
    assert json.loads(json_text(document)) == json.loads(document)
    assert not UNSEEN.search(json_text(document))


@pieces
def test_in_a_page_they_are_text(piece: str) -> None:
    page = Page(f'<p title="{html(piece)}">{html(piece)}</p>')
    assert page.tags == ["p"]
    assert list(page.elements[0][1]) == ["title"]
    assert not UNSEEN.search(page.text.replace("\r", ""))


@pytest.mark.parametrize("of", [line, lines, markdown, code, code_block, terminal, json_text, html, link])
@pytest.mark.parametrize(
    "piece", ["@", "<", "[", "`", "\\", "\x1b", "_", "www.", "https://", "&#1", "a ", "#1", "\u202e", "1. "]
)
def test_the_time_grows_as_the_text_does(of: Callable[[str], str], piece: str) -> None:
    def took(length: int) -> float:
        text = piece * (length // len(piece))
        times = []
        for _ in range(5):
            begun = time.process_time()
            of(text)
            times.append(time.process_time() - begun)
        return min(times)

    assert took(64_000) < max(32 * took(8_000), 0.02)
