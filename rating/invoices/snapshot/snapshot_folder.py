"""The snapshot's place in its folder. Its name says of which version of the tables and of which log it is, with a
number: a damaged file is never mended, nor deleted under a name that is used again, since a process that has it open
would delete what belongs to the new one (``-wal``) when it closes its own.

Files of other versions and logs are left alone: processes of another release, or of another Kafka, may be at them.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from pathlib import Path
from typing import Final

from rating.invoices.snapshot.snapshot_file import VERSION, open_snapshot
from schemas.ledgers.folds.fold_file import is_damage

log = logging.getLogger(__name__)

_BESIDE: Final = ("", "-wal", "-shm")


def snapshot_file(folder: Path, log_id: str) -> Path:
    """The file that is used now; there may be none yet at that place."""
    stem = _stem(log_id)
    numbers = {beside: _numbers(folder, stem, beside) for beside in _BESIDE}
    whole, rest = max(numbers[""], default=-1), max((*numbers["-wal"], *numbers["-shm"]), default=-1)
    # What lies beside a file that was deleted may be open still, so its number is not given again.
    return folder / _name(stem, whole if whole >= max(rest, 0) else rest + 1)


def usable_file(folder: Path, log_id: str) -> Path:
    """``snapshot_file``, made if there is none; one that cannot be opened is succeeded by another. Raises
    sqlite3.Error, OSError."""
    path = snapshot_file(folder, log_id)
    try:
        open_snapshot(str(path), log_id).close()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise  # another process may be at it
        return succeed(path, log_id, error)
    return path


def succeed(damaged: Path, log_id: str, why: Exception) -> Path:
    """An empty file instead of a damaged one, which every process takes at its next look; it has it already if another
    process was first. Raises sqlite3.Error, OSError."""
    stem = _stem(log_id)
    path = snapshot_file(damaged.parent, log_id)
    if path == damaged:
        path = damaged.parent / _name(stem, max(_numbers(damaged.parent, stem, ""), default=0) + 1)
    log.warning("%s is damaged, and is made anew as %s: %s", damaged, path.name, why)
    open_snapshot(str(path), log_id).close()
    for number in _numbers(path.parent, stem, ""):
        if (earlier := path.parent / _name(stem, number)) != path:
            for beside in _BESIDE:
                Path(f"{earlier}{beside}").unlink(missing_ok=True)
    return path


def _stem(log_id: str) -> str:
    """Kafka's ids have characters that a file's name may not have."""
    return f"invoices-{VERSION}-{re.sub(r'[^A-Za-z0-9_-]', '_', log_id)[:100]}"


def _name(stem: str, number: int) -> str:
    return f"{stem}-{number}.sqlite"


def _numbers(folder: Path, stem: str, beside: str) -> list[int]:
    ends = f".sqlite{beside}"
    if not folder.is_dir():
        return []
    names = [entry.name for entry in folder.iterdir()]
    middle = [name[len(stem) + 1 : -len(ends)] for name in names if name.startswith(f"{stem}-") and name.endswith(ends)]
    return [int(number) for number in middle if number.isdecimal()]
