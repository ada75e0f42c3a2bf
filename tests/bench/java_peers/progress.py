"""What a Java peer reports of itself (Progress.java), and what it must be once the peer has read all events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workload import Shape, distinct


@dataclass(frozen=True, slots=True)
class PeerProgress:
    """Events read, events that were no copies, those of them that the profile "bytes" counts, the sum of "bytes"."""

    read: int = 0
    kept: int = 0
    counted: int = 0
    total_bytes: int = 0
    checkpoints: int = 0


def parsed(line: str) -> PeerProgress:
    """Of the one line in the file. Raises ValueError for any other."""
    numbers = [int(word) for word in line.split()]
    if len(numbers) != len(PeerProgress.__dataclass_fields__):
        raise ValueError(f"five numbers are expected in a peer's progress file, it says {line!r}")
    return PeerProgress(*numbers)


def progress_of(path: Path) -> PeerProgress:
    """What the peer says now; nothing done while it has not begun."""
    try:
        return parsed(path.read_text())
    except FileNotFoundError:
        return PeerProgress()


def complete(shape: Shape) -> PeerProgress:
    """After all events of ``shape``, each counted once: every second is of the USA and adds its number's last three
    digits."""
    kept = distinct(shape)
    return PeerProgress(shape.events, kept, kept // 2, sum(number % 1000 for number in range(1, kept, 2)))


def difference(progress: PeerProgress, shape: Shape) -> str:
    """What of ``progress`` is not as it must be after all events, as text; empty where all is right."""
    right = complete(shape)
    return ", ".join(
        f"{name} {getattr(progress, name)} instead of {getattr(right, name)}"
        for name in ("read", "kept", "counted", "total_bytes")
        if getattr(progress, name) != getattr(right, name)
    )
