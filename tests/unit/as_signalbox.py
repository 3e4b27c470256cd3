"""The `signalbox` command, as its script in the virtual environment begins it."""

import sys

sys.argv[0] = "signalbox"
print("begun", flush=True)  # noqa: T201
from local.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
