"""Resident memory of the stack's processes, sampled while a run goes on."""

from __future__ import annotations

import threading
from pathlib import Path

from deploy.local.stack import Stack

MIB = 1024 * 1024
_PAGE = 4096


def resident(pid: int) -> int:
    """Bytes of a process' memory that are resident; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


class Sampler:
    """Samples every process each second from ``start`` to ``stop``; ``peak_mib`` by name of process."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self.peak_mib: dict[str, int] = {}

    def start(self) -> None:
        """In a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """The last sample is taken."""
        self._stop.set()
        self._thread.join(10)

    def now(self) -> dict[str, int]:
        """MiB by name of process, of this moment."""
        return {name: resident(one.pid) // MIB for name, one in self._stack.state().processes.items() if one.pid}

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            for name, mib in self.now().items():
                self.peak_mib[name] = max(mib, self.peak_mib.get(name, 0))
