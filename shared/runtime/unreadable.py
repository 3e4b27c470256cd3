"""What msgspec raises for bytes that are not the JSON that was expected."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Not JSON or of another shape, not UTF-8, nested too deeply."""
