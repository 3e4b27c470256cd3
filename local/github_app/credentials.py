"""A new App's credentials in files that only their owner can read, one for each secret."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from shared.clients.github.manifest import NewApp
from shared.runtime.secrets import GITHUB_APP_PRIVATE_KEY, GITHUB_WEBHOOK_SECRET

FILES = (GITHUB_APP_PRIVATE_KEY, GITHUB_WEBHOOK_SECRET)


def make_folder(folder: Path) -> None:
    """Raises FileExistsError when one of the files is there already, and whatever else keeps it from being written."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in FILES:
        if (folder / name).exists():
            raise FileExistsError(f"{folder / name} is there already: what it holds may be needed; name another folder")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} cannot be written to")


def keep(folder: Path, made: NewApp) -> bool:
    """Whether GitHub made the webhook's secret; it makes none for an App without a webhook, which gets one of ours."""
    _write(folder / GITHUB_APP_PRIVATE_KEY, made.pem)
    _write(folder / GITHUB_WEBHOOK_SECRET, made.webhook_secret or secrets.token_urlsafe(32))
    return bool(made.webhook_secret)


def _write(file: Path, content: str) -> None:
    """New, and never readable for others, not even while it is written."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(content)
