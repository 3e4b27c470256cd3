"""Known vulnerabilities of all that is pinned: `make audit`. Each lock by itself, as pip-audit takes one at a time.

`--strict`: a package that cannot be looked up fails its lock. Without it pip-audit leaves such a package out, and says
that no vulnerabilities are known.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PIP_AUDIT = (sys.executable, "-m", "pip_audit")
OPTIONS = ("--disable-pip", "--require-hashes", "--strict", "--progress-spinner=off")


def audit(locks: Sequence[Path], *options: str, program: Sequence[str] = PIP_AUDIT) -> list[Path]:
    """The locks that failed; all are looked at."""
    failed = []
    for lock in locks:
        print(f"{lock.name}:", flush=True)  # noqa: T201
        done = subprocess.run([*program, *OPTIONS, *options, "-r", str(lock)], check=False, timeout=900)
        if done.returncode != 0:
            failed.append(lock)
    return failed


def main() -> int:
    locks = sorted(Path("requirements").glob("*.txt"))
    failed = audit(locks, *sys.argv[1:])
    if failed or not locks:
        names = ", ".join(lock.name for lock in failed) or "there is no lock"
        print(f"the audit failed: {names}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"{len(locks)} locks audited: nothing known")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
