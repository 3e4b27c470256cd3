"""The `signalbox` command, as its script in the virtual environment begins it.

It says "begun" at the first thing the command does, which is to see to Ctrl-C: before that it is Python that is
broken off, and nothing of ours can tell.
"""

import signal
import sys
from typing import Any

ours = signal.signal


def told(number: int, handler: Any) -> Any:
    before = ours(number, handler)
    signal.signal = ours
    print("begun", flush=True)  # noqa: T201
    return before


sys.argv[0] = "signalbox"
signal.signal = told
from local.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
