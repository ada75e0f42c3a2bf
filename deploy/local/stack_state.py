"""What a supervisor tells the world: its lock and ``stack.json`` in the data folder."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

from deploy.local.files import BrokenFileError, private_folder, write_whole
from schemas.errors import WeirError
from schemas.values.json_text import JsonObject

Phase = Literal["waiting", "starting", "ready", "backoff", "stopped", "held"]


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One supervised process. ``since`` is the UTC Unix time of its phase; ``pid`` 0 where none runs. ``held``: it
    ended with a code that says that starting it again would not help; ``note`` has its last words."""

    phase: Phase = "waiting"
    pid: int = 0
    restarts: int = 0
    since: float = 0.0
    ports: dict[str, int] = field(default_factory=dict)
    log: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class StackState:
    """A snapshot of one stack. ``settings`` are the public ones, as WEIR_* variables; ``ready`` says all is up."""

    pid: int
    ready: bool
    settings: dict[str, str]
    processes: dict[str, ProcessState]


class StackBusyError(WeirError):
    """Another supervisor owns the data folder; the message names its pid and the way to stop it."""


def lock_data_dir(data_dir: Path) -> IO[str]:
    """Own the folder until the returned file is closed or this process ends. Raises StackBusyError."""
    private_folder(data_dir)
    # "a+" because opening must not empty the file: it holds the owner's pid while somebody else has the lock.
    file = (data_dir / "supervisor.lock").open("a+")
    if not _try_lock(file):
        owner = lock_owner(data_dir)
        file.close()
        raise StackBusyError(
            f"a stack is running on {data_dir} already (supervisor pid {owner}): stop it with `weir down`, "
            "or take another data folder (WEIR_DATA_DIR)"
        )
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _try_lock(file: IO[str]) -> bool:
    # More than once: whoever looks at the lock (lock_owner) holds it for a moment.
    for _ in range(20):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def lock_owner(data_dir: Path) -> int | None:
    """Pid of the living supervisor of the folder, None where there is none."""
    try:
        with (data_dir / "supervisor.lock").open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdigit() else 0
            return None
    except FileNotFoundError:
        return None


def write_state(data_dir: Path, state: StackState) -> None:
    """Replace stack.json in one step: a reader sees the old text or the new one."""
    write_whole(data_dir / "stack.json", json.dumps(asdict(state), indent=1) + "\n")


def read_state(data_dir: Path) -> StackState | None:
    """The running stack's state; None where no supervisor lives, whatever stack.json says, or where it has not written
    yet.

    Raises BrokenFileError where stack.json cannot be read.
    """
    owner = lock_owner(data_dir)
    if owner is None:
        return None
    try:
        raw: JsonObject = json.loads((data_dir / "stack.json").read_text())
        processes = {name: ProcessState(**value) for name, value in raw["processes"].items()}
        state = StackState(raw["pid"], raw["ready"], raw["settings"], processes)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BrokenFileError(
            f"{data_dir / 'stack.json'} is empty, half-written or of another version:"
            " `weir down` and `weir up` write it anew"
        ) from None
    # A file of a supervisor before this one: the present one has not written yet.
    return state if state.pid == owner else None
