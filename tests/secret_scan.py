"""Looks for secrets in everything that this repository ever held: `make secret-scan`.

By the shapes that shared/runtime/secret_shapes.py masks for certain (vendors' tokens, private keys, addresses),
UUID under the name of a token, as Railway's are. An old commit counts like a new one: whoever clones has it.
"""

import fnmatch
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from shared.runtime.secret_shapes import CERTAIN

ALLOWED: Mapping[str, str] = {
    "tests/*": "made up: the tests' own values, and corpora of what has to be masked",
    "local/world/*": "what the simulated vendors make up",
    "shared/*secret_shapes.py": "the shapes themselves",
    "shared/*redaction.py": "where they were at first, and the start of a key in a comment",
}
"""Where a find is none, and why; by the whole path."""
_UUID = re.compile(
    r"(?i)(?:token|secret|password|passwd|api[_-]?key)[\w.\-]{0,30}[\"']?\s{0,3}[=:]\s{0,3}[\"']?"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_LONGEST = 5000
"""Characters of a line that are looked at: a lock's or a minified file's are longer."""


class Find(Struct, frozen=True):
    """What is shown of it is its place alone."""

    commit: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.commit[:10]} {self.file}:{self.line}"


def looks_secret(line: str) -> bool:
    shown = line[:_LONGEST]
    return any(shape.mask(shown) != shown for shape in CERTAIN if _may_be(shape.hints, shown)) or bool(
        _UUID.search(shown)
    )


def scan(repository: Path) -> Iterator[Find]:
    """Every added line of every commit that any branch or tag leads to, each text of a file once."""
    command = ["git", "-C", str(repository), "log", "--all", "-p", "--unified=0", "--no-color", "--no-renames"]
    log = subprocess.run(
        [*command, "--no-ext-diff", "--format=commit %H"], capture_output=True, check=True, timeout=300
    ).stdout.decode(errors="replace")
    commit, file, number = "", "", 0
    seen: set[tuple[str, str]] = set()
    for line in log.splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith("+++ "):
            file = line.removeprefix("+++ ").removeprefix("b/")
        elif found := re.match(r"@@ -\S+ \+(\d+)", line):
            number = int(found[1]) - 1
        elif line.startswith("+"):
            number += 1
            if (file, line) not in seen:
                seen.add((file, line))
                if looks_secret(line[1:]) and not is_allowed(file):
                    yield Find(commit, file, number)


def is_allowed(file: str) -> bool:
    return any(fnmatch.fnmatchcase(file, pattern) for pattern in ALLOWED)


def _may_be(hints: tuple[str, ...], text: str) -> bool:
    folded = text.casefold()
    return any(hint in folded for hint in hints)


def main() -> int:
    found = list(scan(Path.cwd()))
    for one in found:
        print(one)  # noqa: T201
    if found:
        print(  # noqa: T201
            f"{len(found)} lines look like a secret. If one is: make it worthless first (docs/token-management.md), "
            "then take it out of the history. If it is none, name its place and why in tests/secret_scan.py."
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
