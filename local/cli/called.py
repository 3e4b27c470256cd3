"""How this command was called, for the lines that people copy: it need not be on their PATH."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def command() -> str:
    """Such as `.venv/bin/signalbox`; `signalbox` where PATH leads to the same."""
    called = sys.argv[0]
    name = Path(called).name
    if shutil.which(name) == called:
        return name
    return os.path.relpath(called) if Path(called).is_relative_to(Path.cwd()) else called
