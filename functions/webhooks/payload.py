"""The JSON of a webhook, read into a type."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Struct

from shared.errors import BadInput
from shared.runtime.unreadable import UNREADABLE

S = TypeVar("S", bound=Struct)


def parse(body: bytes, kind: type[S], within: str = "") -> S:
    """A webhook's JSON, or the part of it under the field `within`. Raises BadInput that names the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _named(error, within) from error
    except UNREADABLE as error:
        raise BadInput("the body is not JSON", within) from error


def _named(error: msgspec.ValidationError, within: str) -> BadInput:
    """msgspec's text names a wrong value by its path, and a missing one by its parent's path and its own name."""
    text, _, path = str(error).partition(" - at `$")
    missing = re.search(r"missing required field `([^`]+)`", text)
    parts = (within, path.rstrip("`").lstrip("."), missing[1] if missing else "")
    field = ".".join(part for part in parts if part)
    return BadInput(f"{field or 'body'}: {text}", field)
