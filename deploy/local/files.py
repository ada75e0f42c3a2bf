"""Files of a stack's folder: written whole or not at all, also through a power cut, and for their owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from schemas.errors import WeirError


class BrokenFileError(WeirError):
    """A file of the stack's folder is empty or half-written; the message names it and the remedy."""


def private_folder(path: Path) -> None:
    """Make the folder for its owner alone, and close one that is there to others. A folder that is not this user's, or
    for all to write to (such as /tmp), stays as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat()
    shared = status.st_mode & stat.S_ISVTX or status.st_uid != os.geteuid() or path in (Path.home(), Path.cwd())
    if status.st_mode & 0o077 and not shared:
        path.chmod(0o700)


def write_whole(path: Path, text: str) -> None:
    """Replace the file in one step: a reader, and whoever comes after a power cut, sees the old text or the new one."""
    fresh = _write_beside(path, text)
    try:
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_or_create(path: Path, make: Callable[[], str], *, prefix: str, broken: str) -> str:
    """The text of a file of one word, which is created with ``make()`` where there is none. Safe from several
    processes at once.
    ``prefix`` begins what ``make`` makes, and a line end ends it; a word that somebody put there needs neither.

    Raises BrokenFileError where the file is empty or half-written; ``broken`` is the remedy.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = _write_beside(path, make() + "\n")
        try:
            # Linked into place whole: a second process never reads half of it, and the first one wins.
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
        _sync_folder(path.parent)
    text = path.read_text(errors="replace")
    word = text.strip()
    cut = (word.startswith(prefix) and not text.endswith("\n")) or prefix.startswith(word)
    if cut or len(word.split()) != 1 or "\0" in word:
        raise BrokenFileError(f"{path} is empty or half-written (a power cut, a full disk?): {broken}")
    return word


def _write_beside(path: Path, text: str) -> Path:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    return fresh


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
