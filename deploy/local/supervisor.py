"""Starts named processes, stage by stage, starts again what dies, and stops all of them in reverse; leaves no orphan.

One thread owns every child: the kernel ends a child when that thread ends (see child.py), and nothing else
starts, signals or waits for one.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from deploy.local.life_cycle import LifeCycle
from deploy.local.process import Child, Hook, StartStep, failure_text, send_signal, terminate
from deploy.local.ready_timeout import ReadyTimeout, activity
from deploy.local.stack_state import Phase, ProcessState, StackState, lock_data_dir, write_state
from schemas.errors import WeirError

_TICK_S = 0.05
_READY_TICK_S = 0.25
"""The same once all is ready: how soon the death of a process is seen."""
# What dies more often than this before it has once been ready will not get better by itself.
_START_DEATHS = 4
_REWRITE_S = 1.0
# A start that takes longer than this is reported anew, so often.
_REPORT_S = 30.0

PhaseProgress = Callable[[str, Phase], None]


class StartError(WeirError):
    """A process did not become ready; the message has the last lines of its log."""


class Supervisor:
    """Keeps the processes of one data folder running, which it owns from ``start`` to ``stop``. Every method may be
    called from any thread."""

    def __init__(
        self, data_dir: Path, steps: Sequence[StartStep], settings: Mapping[str, str], shutdown_s: float = 25.0
    ) -> None:
        self._dir = data_dir
        self._steps = tuple(steps)
        self._settings = dict(settings)
        self._shutdown_s = shutdown_s
        self._children: dict[str, Child] = {}
        self._stages: list[list[Child]] = [[]]
        for step in self._steps:
            if isinstance(step, Hook):
                self._stages += [[]] if step.waits else []
            else:
                log = str(self._dir / "logs" / f"{step.name}.log")
                child = Child(step, ProcessState(ports=dict(step.ports), log=log))
                self._children[step.name] = child
                self._stages[-1].append(child)
        self._commands: queue.SimpleQueue[tuple[Callable[[], None], Future[None]]] = queue.SimpleQueue()
        self._life = LifeCycle(self._publish)
        self._stopping = threading.Event()
        self._ready = False
        self._unwritten_since: float | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self, progress: PhaseProgress | None = None) -> None:
        """Start everything, those of one stage at once, and return when all is ready.

        Raises StackBusyError where another supervisor owns the folder, StartError where a process does not
        become ready, and what a hook raises; then nothing is left running.
        """
        lock = lock_data_dir(self._dir)
        self._progress = progress or (lambda _name, _phase: None)
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="supervisor", daemon=True)
        try:
            self._thread.start()
            started.result()
        except BaseException:
            # Also on Ctrl-C while waiting.
            self._stopping.set()
            self._thread.join()
            self._thread = None
            lock.close()
            raise
        self._lock = lock

    def stop(self) -> None:
        """Stop everything in reverse order within the shutdown deadline. Calling it again does nothing."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._lock.close()

    def check(self) -> None:
        """Raise what ended the supervision, if anything but ``stop`` did (a full disk, say)."""
        if self._error is not None:
            raise self._error

    def state(self) -> StackState:
        """What the processes are doing at this moment, as ``stack.json`` tells it."""
        processes = {name: child.state for name, child in self._children.items()}
        ready = self._ready and all(process.phase == "ready" for process in processes.values())
        return StackState(os.getpid(), ready, self._settings, processes)

    def pid(self, name: str) -> int:
        """The process' pid, 0 while none runs."""
        return self._children[name].state.pid

    def kill(self, name: str) -> int:
        """SIGKILL to the process and its group, as a crash would; it is started again. Gives the pid killed."""
        killed = []

        def work() -> None:
            killed.append(self.pid(name))
            send_signal(self._children[name], signal.SIGKILL)

        self._command(work)
        return killed[0]

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Any other signal to the process and its group; nothing where none runs."""
        self._command(lambda: send_signal(self._children[name], number))

    def restart(self, name: str) -> None:
        """Stop one process in its grace time and start it again; returns when it has been started, not ready."""
        self._command(lambda: self._life.restart(self._children[name]))

    def wait_ready(self, name: str, timeout_s: float = 60.0, not_pid: int = 0) -> None:
        """Wait until the process is ready (as another one than ``not_pid``). Raises StartError when its start did
        nothing for ``timeout_s`` or has gone on for ten times as long."""
        child = self._children[name]
        timeout = ReadyTimeout(timeout_s, 10 * timeout_s, time.monotonic())
        while True:
            state = child.state
            if state.phase == "ready" and state.pid != not_pid:
                return
            if state.phase == "held":
                raise StartError(failure_text(child, "needs you"))
            # What is ready already, and is to be another, makes no progress.
            gone_on = activity(0, "") if state.phase == "ready" else activity(state.pid, state.log)
            trouble = timeout.expired(gone_on, time.monotonic())
            if trouble or self._stopping.is_set():
                raise StartError(failure_text(child, trouble or "is being stopped"))
            time.sleep(_TICK_S)

    def _command(self, work: Callable[[], None]) -> None:
        if self._thread is None or self._stopping.is_set():
            raise RuntimeError("the stack is not running")
        done: Future[None] = Future()
        self._commands.put((work, done))
        done.result(timeout=60)

    def _run(self, started: Future[None]) -> None:
        try:
            try:
                self._start_all()
            except BaseException as error:
                self._stop_all()
                started.set_exception(error)
                return
            self._ready = True
            self._publish()
            started.set_result(None)
            while not self._stopping.is_set():
                self._tick()
                with contextlib.suppress(queue.Empty):
                    work, done = self._commands.get(timeout=_READY_TICK_S if self._ready else _TICK_S)
                    try:
                        work()
                        done.set_result(None)
                    except Exception as error:
                        done.set_exception(error)
        except BaseException as error:
            self._error = error
        finally:
            self._stopping.set()
            self._stop_all()
            with contextlib.suppress(queue.Empty):
                while True:
                    self._commands.get_nowait()[1].set_exception(RuntimeError("the stack is stopping"))

    def _start_all(self) -> None:
        stages = iter(self._stages)
        for step in self._steps:
            if isinstance(step, Hook) and step.waits:
                self._await_ready(next(stages))
            if self._stopping.is_set():
                raise StartError("the start was interrupted")
            self._report(step.name, "starting")
            if isinstance(step, Hook):
                step.run()
                self._report(step.name, "ready")
            else:
                self._life.start(self._children[step.name])
        self._await_ready(next(stages))

    def _await_ready(self, stage: Sequence[Child]) -> None:
        missing, reported = list(stage), time.monotonic()
        timeouts = {
            child.spec.name: ReadyTimeout(child.spec.ready_timeout_s, child.spec.ready_limit_s, reported)
            for child in stage
        }
        while missing:
            self._tick()
            now = time.monotonic()
            if now > reported + _REPORT_S:
                reported = now
                for child in missing:
                    self._report(child.spec.name, "starting")
            for child in list(missing):
                if child.state.phase == "ready":
                    missing.remove(child)
                    self._report(child.spec.name, "ready")
                elif child.state.phase == "held":
                    raise StartError(failure_text(child, "needs you"))
                elif child.failures > _START_DEATHS:
                    raise StartError(failure_text(child, f"died {child.failures} times"))
                elif trouble := timeouts[child.spec.name].expired(activity(child.state.pid, child.state.log), now):
                    raise StartError(failure_text(child, trouble))
            if missing and self._stopping.wait(_TICK_S):
                raise StartError("the start was interrupted")

    def _tick(self) -> None:
        now = time.monotonic()
        if self._unwritten_since is not None and now > self._unwritten_since + _REWRITE_S:
            self._publish()
        for child in self._children.values():
            self._life.advance(child, now)

    def _stop_all(self) -> None:
        self._ready = False
        deadline = time.monotonic() + self._shutdown_s
        for stage in reversed(self._stages):
            begun = [child for child in reversed(stage) if child.state.phase != "waiting"]
            for child in begun:
                terminate(child)
            asked_at = time.monotonic()
            for child in begun:
                self._life.end(child, min(deadline, asked_at + child.spec.stop_grace_s))

    def _publish(self) -> None:
        try:
            write_state(self._dir, self.state())
        except OSError:
            # A full disk: what runs goes on, and the state is written when there is room.
            self._unwritten_since = time.monotonic()
        else:
            self._unwritten_since = None

    def _report(self, name: str, phase: Phase) -> None:
        # Whoever listens may write to the disk that is full.
        with contextlib.suppress(OSError):
            self._progress(name, phase)
