"""The folder of `signalbox up`: made when missing, and one process's alone for as long as that runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from shared.errors import ConfigError

LOCK = "up.lock"
"""Locked while somebody uses the folder; says who does. The system unlocks it when that process is gone."""


def make_folder(folder: Path) -> Path:
    """Raises ConfigError when there can be no such folder."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"{folder} is a file, and a folder is wanted") from error
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be made: {error.strerror}") from error
    return folder


def write(path: Path, text: str) -> None:
    """For its owner alone, whoever might read it before. Raises ConfigError when it cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(descriptor, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Nobody else's until the end. Raises ConfigError that says who holds it, or why it cannot be used."""
    path = make_folder(folder) / LOCK
    try:
        lock = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the folder {folder} cannot be written to: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise ConfigError(
                f"the folder {folder} is in use by {holder}: stop that one first, or start this one with other ports"
                " (--port) and another folder (SIGNALBOX_LOCAL_DIR)"
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, `{shlex.join(sys.argv)}`\n")
        lock.flush()
        yield
