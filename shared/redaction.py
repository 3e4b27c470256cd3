"""Keeps secrets out of logs, exceptions' texts, comments and documents: known values and known shapes are masked."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

MASK = "[redacted]"

_KEY = r"(?:api|private|secret|access|encryption|signing|master)[_-]?key"
_NAMED = rf"(?=[AEMPSTaempst\u017f])(?i:password|passwd|passphrase|secret|token|{_KEY}|authorization|signature)"
"""By its first letter first, which is faster: an s may be a long one."""
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?=[gesrxAnhS])(?<![A-Za-z0-9])(?:"
    r"(?:gh[opsur]_|github_pat_)[A-Za-z0-9_.\-]+"  # GitHub tokens, old and new (docs: token formats)
    r"|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]*)?"  # JSON web tokens
    r"|(?:sk-(?:ant|proj)-|[sr]k_(?:live|test)_|xox[abeoprs]-|glpat-)[A-Za-z0-9_\-]{8,}"  # Anthropic, Stripe, Slack
    r"|A(?:KIA|SIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_\-]{35}|(?:npm|hf)_[A-Za-z0-9]{30,}"  # AWS, Google, npm, Hugging Face
    r"|SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,})"  # SendGrid
    r"|(?<=/bot)\d+:[A-Za-z0-9_\-]+|(?<!\d)\d{8,10}:AA[A-Za-z0-9_\-]{30,}"  # a Telegram bot's, in a URL or alone
    r"|(?<=://)[^/\s?#\"'<>]+(?=@)"  # user and password in a URL
    rf"|(?P<quoted>{_NAMED}(?:\\*[\"']\s?[:,]|\s?[=:])\s?b?(?P<quote>\\*[\"']))"  # whatever is between the quotes
    r"(?:(?!(?P=quote))(?:\\.|[^\\\n])){4,500}(?=(?P=quote))"
    r"|(?P<keep>"
    r"(?i:bearer)\s+(?=\S{8})"
    r"|(?i:basic)\s+(?=\S*[0-9A-Z=])(?=\S{8})"  # base64, not the word "basic" in a sentence
    rf"|{_NAMED}\s?=\s?[\"']?(?=[^\s&\"']{{4}})"  # a query, a form, a setting
    r"|(?i:[_-]pass|pwd)\s?=\s?[\"']?(?=[^\s&\"']{4})"
    rf"|(?=[AEMPSaemps\u017f])(?i:passw(?:or)?d|passphrase|{_KEY}):[ \t]+(?=[^\s\"']{{6}})"  # YAML
    rf"|{_NAMED}\\*[\"']\s*[:,]\s*b?\\*[\"']"  # JSON, also within JSON; the text of a dict, of a list of headers
    rf"|(?i:(?:x-|access-)[a-z\-]*{_NAMED}[a-z0-9\-]*|authorization):\s*"  # a header
    r"(?:(?i:bearer|basic|token)\s+)?(?=\S)"
    r")[^\s&\"']+",
    re.DOTALL,
)
_HINTS = (
    *("-----begin", "gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_", "eyj", "/bot", "@"),
    *("bearer", "bas", "passw", "passp", "secret", "token", "key", "author", "nature", "_pass", "-pass", "pwd"),
    *(
        "sk-ant-",
        "sk-proj-",
        "k_live_",
        "k_test_",
        "xox",
        "glpat-",
        "akia",
        "asia",
        "aiza",
        "npm_",
        "hf_",
        "sg.",
        ":aa",
    ),
)
"""A text of a secret shape has one of these, however its letters are cased; to look for them first is much faster.

Those of words in any case have no i: to `re` the Turkish one without a dot is the same letter, to `casefold` it is not.
"""
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_\-])(?:password|passwd|token|api[_-]?key|private[_-]?key|authorization|cookie)$|.[_\-]secret$"
)
_SHORTEST = 6  # shorter values would mask ordinary words
_MOST = 1000  # each makes every look longer, and a process that lives for weeks is given a new token every hour
_NOTHING = re.compile(r"(?!)")


class _Known:
    """The values that this process has seen of late, as one pattern."""

    def __init__(self) -> None:
        self._values: tuple[str, ...] = ()
        self.pattern = _NOTHING

    def add(self, values: set[str]) -> None:
        others = tuple(value for value in self._values if value not in values)
        latest_last = (*others, *sorted(values))[-_MOST:]
        if set(latest_last) != set(self._values):
            self.pattern = re.compile("|".join(map(re.escape, sorted(latest_last, key=len, reverse=True))))
        self._values = latest_last


_known = _Known()


def remember(*values: str) -> None:
    """Mask these values from now on, as they are and as in a URL, and each line of a private key by itself."""
    texts: set[str] = set()
    for value in values:
        # Split at spaces too, so that "-----BEGIN RSA PRIVATE KEY-----" stays in sight and shows where any key begins.
        lines = [line for line in value.split() if len(line) > 20]
        texts.update((value.strip(), quote(value.strip(), safe=""), *lines))
    _known.add({text for text in texts if len(text) >= _SHORTEST})


def redact(text: str) -> str:
    """The text with every known secret and everything that looks like one masked."""
    text = _known.pattern.sub(MASK, text)
    folded = text.casefold()
    return _SHAPES.sub(rf"\g<quoted>\g<keep>{MASK}", text) if any(hint in folded for hint in _HINTS) else text


def names_secret(name: str) -> bool:
    """Whether what goes by this name (a field, a header) is to be masked whatever it looks like."""
    return _SECRET_NAME.search(name) is not None


def shown_url(url: str) -> str:
    """An address for people: scheme, host, port and path. The rest may hold a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return redact(url)
    return redact(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
