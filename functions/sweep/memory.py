"""What one instance of the sweep knows from its earlier minutes; losing it costs requests, and nothing else."""

from __future__ import annotations

from datetime import datetime


class Memory:
    """Kept by the instance's services."""

    def __init__(self) -> None:
        self.watched: dict[str, datetime] = {}
        """Since when the sweep knows each target."""
        self.settled: set[tuple[str, int]] = set()
        """Merged pull requests, by repository and number, that have their runs."""
        self.answered: dict[str, dict[int, datetime]] = {}
        """Of each repository the open pull requests all of whose labels are answered, and when each had last been
        updated then."""
