"""Keeps secrets out of logs, exceptions' texts, comments and documents: known values and known shapes are masked.

Every pattern is linear in the text's length (a test times each on text made to be slow), and no text is longer than a
few kilobytes: what is cut is masked first, so that no half of a secret is left at the cut.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from urllib.parse import quote, quote_plus, urlsplit

from shared.runtime.secret_shapes import MASK, mask_shapes

__all__ = ["LONGEST", "MASK", "names_secret", "redact", "remember", "shown_url"]

LONGEST = 4096
"""Characters of a text from outside that are kept, where nothing else is said."""
_OVERLAP = 1024
"""Characters beyond a cut that are looked at as well: the longest secret that may lie across it."""
CUT = " [cut]"
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_\-])(?:password|passwd|token|api[_-]?key|private[_-]?key|authorization|cookie)$|.[_\-]secret$"
)
_SHORTEST = 6  # shorter values would mask ordinary words
_MOST = 1000  # a process that lives for weeks is given a new token every hour
_WRAPPED = re.compile(r"(?:\r?\n|\\r\\n|\\n)[ \t]*")
"""Where a text is wrapped, as it is or written out as in JSON."""


class _Known:
    """The values that this process has seen of late, in the forms in which they may appear.

    The first characters of each form are looked up in a set, so that the time does not depend on how many there are.
    """

    def __init__(self) -> None:
        self._forms: dict[str, tuple[str, ...]] = {}
        """By value, latest last."""
        self._heads: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: set[str]) -> None:
        latest_last = {value: forms for value, forms in self._forms.items() if value not in values}
        latest_last |= {value: self._forms.get(value) or _forms(value) for value in sorted(values)}
        kept = dict(list(latest_last.items())[-_MOST:])
        if kept.keys() != self._forms.keys():
            self._pattern = None
            self._heads = frozenset(form[:_SHORTEST] for forms in kept.values() for form in forms)
        self._forms = kept

    def mask(self, text: str) -> str:
        if not self._heads:
            return text
        text = self._mask(text)
        breaks = list(_WRAPPED.finditer(text))
        return self._mask_wrapped(text, breaks) if breaks else text

    def _mask(self, text: str) -> str:
        return self._compiled().sub(MASK, text) if self._begins_in(text) else text

    def _mask_wrapped(self, text: str, breaks: list[re.Match[str]]) -> str:
        """Values across line ends: found in the text without those, and masked where they stood."""
        joined = _WRAPPED.sub("", text)
        if not self._begins_in(joined):
            return text
        starts, left_out, at = [0], [0], 0
        """From which place of the joined text on how many characters of the whole are left out before it."""
        for one in breaks:
            at += one.end() - one.start()
            starts.append(one.end() - at)
            left_out.append(at)
        made, done, piece = [], 0, 0
        for found in self._compiled().finditer(joined):
            ends = []
            for target_config in (found.start(), found.end() - 1):
                while piece + 1 < len(starts) and starts[piece + 1] <= target_config:
                    piece += 1
                ends.append(target_config + left_out[piece])
            made += [text[done : ends[0]], MASK]
            done = ends[1] + 1
        return "".join([*made, text[done:]])

    def _begins_in(self, text: str) -> bool:
        return not self._heads.isdisjoint([text[at : at + _SHORTEST] for at in range(len(text) - _SHORTEST + 1)])

    def _compiled(self) -> re.Pattern[str]:
        if self._pattern is None:
            forms = {form for forms in self._forms.values() for form in forms}
            self._pattern = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True))))
        return self._pattern


_known = _Known()


def remember(*values: str) -> None:
    """Mask these values from now on, as they are and as they are usually encoded, and each line of a private key."""
    texts: set[str] = set()
    for value in values:
        # Split at spaces too, so that "-----BEGIN RSA PRIVATE KEY-----" stays in sight and shows where any key begins.
        lines = [line for line in value.split() if len(line) > 20]
        texts.update((value.strip(), *lines))
    _known.add({text for text in texts if len(text) >= _SHORTEST})


def redact(text: str, longest: int = LONGEST) -> str:
    """The text with every known secret and everything that looks like one masked, and cut after `longest` characters.

    Takes time in proportion to `longest`, whatever the text is.
    """
    if len(text) <= longest:
        return _mask(text)
    masked = _mask(text[: longest + _OVERLAP])
    return masked[: max(0, min(longest, len(masked) - _OVERLAP))] + CUT


def _mask(text: str) -> str:
    return mask_shapes(_known.mask(text))


def _forms(value: str) -> tuple[str, ...]:
    """The value, and what it looks like in a URL, in JSON, in hexadecimal digits, and within base64.

    In base64 a value begins at one of three places within a group of four characters; those at its ends, which depend
    on what stands beside it, are left out.
    """
    raw = value.encode()
    forms = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], raw.hex(), raw.hex().upper()}
    forms.add(json.dumps(json.dumps(value)[1:-1])[1:-1])
    for before in range(3):
        encoded = b64encode(b"\0" * before + raw).decode().rstrip("=")
        whole = encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        forms |= {whole, whole.replace("+", "-").replace("/", "_")}
    return tuple(form for form in forms if len(form) >= _SHORTEST)


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
