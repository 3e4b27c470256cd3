"""Other people's words where a user reads them: one function for each place, after which they are words alone.

Check names, titles, branches, commit messages, health answers, log lines and what a vendor or Claude says are foreign.
Every function takes what a text may do away: control characters (a terminal obeys them), and characters without a width
or that turn the direction of the line (what is read is not what is there). Pure.
"""

from __future__ import annotations

import re
from html import escape

REPLACED = "\ufffd"
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
"""But tab, line feed and carriage return."""
_INVISIBLE = (
    "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # without a width, or turning
    "\u2028\u2029\ud800-\udfff\U000e0000-\U000e007f"  # separators of lines, halves of characters, tags
)
_CONTROL = re.compile(f"[{_CONTROLS}]")
_UNSEEN = re.compile(f"[{_INVISIBLE}]")
_HIDDEN = re.compile(f"[{_CONTROLS}{_INVISIBLE}]")
_SPACES = re.compile(r"[\t\r\n ]+")
_MARKDOWN = re.compile(
    r"""(?x)
    (?P<code>(?<!`)`[A-Za-z0-9_./\ :-]{1,100}`(?!`))  # as our own sentences have it: it can do nothing
    | (?P<entity>&(?=\#|\w))        # as of a mention written as an entity
    | (?P<angle><)                  # HTML, our own markers, links in angle brackets
    | (?P<at>@)                     # mentions, addresses of mail
    | (?P<number>\#(?=\d))          # an issue, which would then name our comment
    | (?P<short>\bGH-(?=\d))
    | (?P<scheme>:(?=//))           # a bare link
    | (?P<www>(?<=www)\.)
    | (?P<other>[\\`*\[\]|~$]       # emphasis, code, links, images, cells, deletions, formulas
      | (?<![^\W_])_|_(?![^\W_])    # an underscore at the edge of a word
      | ^(?:[>=+-]|\#{1,6}(?=\s|$)) # a quotation, a heading, a list
      | (?<=\d)[.)](?=\s|$))        # a numbered list
    """,
    re.IGNORECASE,
)
_LINK = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]*)?", re.ASCII)
LONGEST_CODE = 200
_MANY_BACKTICKS = re.compile("`{20,}")
"""Renderers count backticks to a limit, from which on a fence is none (80 in GitHub's)."""
_APART = "\u200b"
"""Between two characters that mean something together only; no one sees it."""


def line(text: str) -> str:
    """On one line, of characters that are seen: for a title, a description, a notification, an error's text."""
    return _SPACES.sub(" ", _HIDDEN.sub("", text)).strip()


def lines(text: str) -> str:
    """The same with its lines and tabs: for the end of a log."""
    return _HIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def markdown(text: str, *, own: str = "") -> str:
    """Inside a line of a comment on GitHub: no markup, link, image, mention, reference, HTML or marker.

    `own`: an address of ours (scheme and host), to which a bare link may lead.
    Source: GitHub Flavored Markdown Spec (backslash escapes, autolinks); docs: "Autolinked references and URLs".
    """
    shown = line(text)
    if not own or not _LINK.fullmatch(own):
        return _MARKDOWN.sub(_escaped, shown)
    ours = re.compile(rf"({re.escape(own)}(?:/[A-Za-z0-9._~/-]*)?)(?=[,;.)]?(?:\s|$))", re.ASCII)
    parts = ours.split(shown)  # every second one is a link
    return "".join(part if at % 2 else _MARKDOWN.sub(_escaped, part) for at, part in enumerate(parts))


def code(text: str) -> str:
    """As code in a line of a comment, its first LONGEST_CODE characters, between backticks that it does not have."""
    shown = _MANY_BACKTICKS.sub(_quotes, line(text))[:LONGEST_CODE]
    if not shown:
        return "` `"
    fence = "`" * (_longest_run(shown) + 1)
    space = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{space}{shown}{space}{fence}"


def link(url: str) -> str:
    """A bare link, where it can be nothing but that; else the words."""
    return url if _LINK.fullmatch(url) else markdown(url)


def code_block(text: str) -> str:
    """As a block of code in a comment, which its own backticks do not end."""
    shown = _MANY_BACKTICKS.sub(_quotes, lines(text))
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}text\n{shown}\n{fence}"


def terminal(text: str) -> str:
    """On an operator's terminal: what would move its cursor, name its window or fill its clipboard is not obeyed."""
    return _CONTROL.sub(REPLACED, _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", REPLACED)))


def json_text(text: str) -> str:
    """In a JSON document that may be shown: the same document, with every character that is not seen written out."""
    return text if text.isprintable() else _HIDDEN.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _escaped(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "code":
            return found[0]
        case "entity":
            return "&amp;"
        case "angle":
            return "&lt;"
        case "at" | "number" | "short":
            return found[0] + _APART
        case "scheme":
            return ":\\"
        case _:
            return "\\" + found[0]


def html(text: str) -> str:
    """In a page, between tags and in a quoted attribute."""
    return escape(_HIDDEN.sub("", text))


def _quotes(found: re.Match[str]) -> str:
    return "'" * len(found[0])


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
