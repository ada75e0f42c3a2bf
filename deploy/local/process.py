"""One supervised process: what it is, its launch, its signals, and the last words of its log.

Everything here is called by the supervisor's own thread: the kernel ends a child when the thread that started it ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.probes import Probe, running
from deploy.local.stack_state import ProcessState

_LOG_BYTES = 10_000_000
_TAIL_LINES = 8
_LAUNCHER = str(Path(__file__).with_name("child.py"))


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A program to keep running. ``env`` is its whole environment; ``ports`` are told, not used; one that ends
    with one of ``held_codes`` is not started again, but held until somebody does. A start fails when the process
    is not ready and did nothing for ``ready_timeout_s``, or after ``ready_limit_s`` whatever it does."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    ready: Probe = running
    ready_timeout_s: float = 60.0
    ready_limit_s: float = 600.0
    stop_grace_s: float = 5.0
    ports: Mapping[str, int] = field(default_factory=dict)
    held_codes: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Hook:
    """Work between two starts, done once, in the supervisor's process; what it raises ends the start. One that
    ``waits`` does so until all that was started before it is ready: it ends a stage."""

    name: str
    run: Callable[[], None]
    waits: bool = True


StartStep = ProcessSpec | Hook


@dataclass(slots=True)
class Child:
    """A process of the stack and how it fares. ``ready_at``, ``retry_at``: ``time.monotonic()``; ``failures``: deaths
    in a row."""

    spec: ProcessSpec
    state: ProcessState
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    ready_at: float = 0.0
    retry_at: float = 0.0


def launch(child: Child) -> None:
    """Start the child's program, which ends with this thread; a log that has grown large is put aside. Raises
    OSError."""
    path = Path(child.state.log)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
    with path.open("ab") as log:
        # Isolated mode: no environment variable and no file nearby can change what the launcher imports.
        child.process = subprocess.Popen(  # noqa: S603 (the supervised program, given by its specification)
            [sys.executable, "-I", "-S", _LAUNCHER, str(os.getpid()), *child.spec.command],
            env=dict(child.spec.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )


def terminate(child: Child) -> None:
    """SIGTERM to the process itself; what it started is its own to end."""
    if child.process is not None and child.process.poll() is None:
        child.process.send_signal(signal.SIGTERM)


def send_signal(child: Child, number: signal.Signals) -> None:
    """Send a signal to the process and its group; nothing where none runs."""
    if child.process is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, number)


def _tail(child: Child) -> list[str]:
    try:
        return Path(child.state.log).read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    except FileNotFoundError:
        return []


def last_log_line(child: Child) -> str:
    """The last line of its log that says something."""
    return next((line for line in reversed(_tail(child)) if line.strip()), "")


def failure_text(child: Child, what: str) -> str:
    """The sentence that ``what`` happened to the child, with the end of its log."""
    tail = _tail(child)
    return "\n  ".join([f"{child.spec.name} {what}; the end of {child.state.log}:", *tail])
