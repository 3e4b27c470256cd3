"""What GitHub asks for before it merges; what it says when it does not (405), and whether waiting helps.

Its texts are stable over years and promised nowhere, so a text that is not known here counts as one that passes: who
waits reads it in the run's history, and at the deadline as the run's reason. Within the list of a ruleset's violations
every line has to be known to pass. Texts as GitHub's users report them, such as github.com/akuity/kargo/issues/6397.
"""

from __future__ import annotations

import re
from typing import Literal

Passes = Literal["by itself", "by people", "never"]


_VIOLATIONS = "Repository rule violations found"
_BY_PEOPLE = re.compile(r"review|approv|conversation|code ?owner|draft", re.IGNORECASE)
_NEVER = re.compile(
    r"merge queue|not allowed|not authorized|not permitted|is closed|fail|must not contain|must have|must be made|"
    r"must be signed|cannot|can't|protected ref|linear history|changes must",
    re.IGNORECASE,
)
_BY_ITSELF = re.compile(
    r"expected|pending|in progress|queued|waiting|not (yet )?succeeded|up[- ]to[- ]date|out[- ]of[- ]date|"
    r"missing successful",
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"[^"\n]*"')
"""A check's name, which may be any of the words."""


def passes(said: str) -> Passes:
    """`by itself`: as checks do; `by people`: a review is missing; `never`: while the rules are as they are."""
    said = _QUOTED.sub("", said)
    if _VIOLATIONS not in said:
        return "never" if _NEVER.search(said) else "by people" if _BY_PEOPLE.search(said) else "by itself"
    lines = [line for line in said.partition(_VIOLATIONS)[2].splitlines() if line.strip()]
    found = {_violation(line) for line in lines}
    if not found or "never" in found:
        return "never"
    return "by people" if "by people" in found else "by itself"


def _violation(line: str) -> Passes:
    if _BY_PEOPLE.search(line):
        return "by people"
    return "by itself" if _BY_ITSELF.search(line) and not _NEVER.search(line) else "never"
