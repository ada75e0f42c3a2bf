"""The life of a supervised process: started, ready, dead and started again after a pause, ended.

Everything here is called by the supervisor's own thread: the kernel ends a child when the thread that started it ends.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Final

from deploy.local.process import Child, last_log_line, launch, send_signal, terminate
from deploy.local.stack_state import Phase
from schemas.values.record_copy import replace

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_LAST_S: Final = 5.0
"""The pause before a start doubles with each death, from the first to the last."""
HEALTHY_S: Final = 10.0
"""A process that stayed ready for this long has recovered: its next death starts the backoff anew."""
RECOVERED_S: Final = 300.0
"""… and its last words are forgotten after this long."""


class LifeCycle:
    """Moves children from phase to phase. ``changed`` is called whenever the state of one has changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def advance(self, child: Child, now: float) -> None:
        """What is due for the child at ``now`` (monotonic seconds): a start after its pause, the end of one that died,
        readiness."""
        if child.state.phase in ("waiting", "stopped", "held"):
            return
        if child.state.phase == "backoff":
            if now >= child.retry_at:
                self.start(child)
        elif child.process is None or child.process.poll() is not None:
            self._died(child, now)
        elif child.state.phase == "starting" and child.spec.ready():
            child.ready_at = now
            self._enter(child, "ready")
        elif child.state.phase == "ready" and child.state.note and now - child.ready_at >= RECOVERED_S:
            child.state = replace(child.state, note="")
            self._changed()

    def start(self, child: Child) -> None:
        """Start the child's program; where that fails, it is tried again after the longest pause."""
        restarts = child.state.restarts + (child.state.phase in ("backoff", "stopped", "held"))
        # Who dies again and again is told of while he lives, too: he may live for a moment only each time.
        child.state = replace(child.state, restarts=restarts, note=child.state.note if child.failures else "")
        try:
            launch(child)
        except OSError as error:
            # No room for a log, no process left: it is tried again, as after a death.
            child.state = replace(child.state, note=f"cannot be started: {error}")
            child.retry_at = time.monotonic() + BACKOFF_LAST_S
            child.failures += 1
            self._enter(child, "backoff")
            return
        self._enter(child, "starting")

    def restart(self, child: Child) -> None:
        """End the child in its grace time and start it again."""
        terminate(child)
        self.end(child, time.monotonic() + child.spec.stop_grace_s)
        child.failures = 0  # somebody has seen to it
        self.start(child)

    def end(self, child: Child, deadline: float) -> None:
        """After ``terminate``: wait until the deadline, then kill."""
        if child.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            send_signal(child, signal.SIGKILL)
            child.process.wait()
            child.process = None
        self._enter(child, "stopped")

    def _died(self, child: Child, now: float) -> None:
        send_signal(child, signal.SIGKILL)  # what it may have left behind in its group
        if child.state.phase == "ready" and now - child.ready_at >= HEALTHY_S:
            child.failures = 0
        child.retry_at = now + min(BACKOFF_FIRST_S * 2**child.failures, BACKOFF_LAST_S)
        child.failures += 1
        held = child.process is not None and child.process.poll() in child.spec.held_codes
        child.process = None
        child.state = replace(child.state, note=last_log_line(child))
        self._enter(child, "held" if held else "backoff")

    def _enter(self, child: Child, phase: Phase) -> None:
        pid = child.process.pid if child.process is not None else 0
        child.state = replace(child.state, phase=phase, pid=pid, since=time.time())
        self._changed()
