"""A stack in the foreground, as a daemon, and its end from outside: what ``weir up`` and ``weir down`` do.

``python -m deploy.local.daemon --data-dir DIR [--workers N] [--brokers 3] [--ports free]`` runs one until SIGTERM or
SIGINT.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.local.files import BrokenFileError
from deploy.local.stack import ALL, Ports, Stack
from deploy.local.stack_state import StackState, lock_data_dir, lock_owner, read_state
from deploy.local.supervisor import PhaseProgress, StartError

_POLL_S = 0.1


def run_foreground(
    stack: Stack, progress: PhaseProgress | None = None, on_ready: Callable[[Stack], None] | None = None
) -> None:
    """Start the stack and keep it until SIGINT (Ctrl-C) or SIGTERM; then stop all of it and return.

    Must be called from the main thread. A second Ctrl-C changes nothing: the stop has a deadline of its own.
    Raises what ``Stack.start`` raises.
    """
    stopping = threading.Event()
    phase = "starting"
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(_number: int, _frame: object) -> None:
        if stopping.is_set():
            return
        stopping.set()
        if phase == "starting":
            raise KeyboardInterrupt

    for number in old:
        signal.signal(number, interrupt)
    # What is made in the stack's folder from here on is its owner's alone.
    mask = os.umask(0o077)
    try:
        stack.start(progress)
        phase = "running"
        if on_ready is not None and not stopping.is_set():
            on_ready(stack)
        while not stopping.wait(0.5):
            stack.check()
    except KeyboardInterrupt:
        pass
    finally:
        phase = "stopping"
        stack.stop()
        os.umask(mask)
        for number, handler in old.items():
            signal.signal(number, handler)


def detach(
    data_dir: Path,
    *,
    ports: Ports = "preferred",
    processes: Sequence[str] = ALL,
    workers: int = 1,
    brokers: int | None = None,
    timeout_s: float = 3600.0,
) -> StackState:
    """Start a stack as a daemon and return its state when all is ready. The environment is handed on.

    The supervisor itself gives up on a start that makes no progress; ``timeout_s`` is the outer limit.

    Raises StackBusyError where one runs already, StartError (with the end of logs/supervisor.log) where the
    start fails.
    """
    lock_data_dir(data_dir).close()
    log = data_dir / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "deploy.local.daemon", "--data-dir", str(data_dir.absolute())]
    command += ["--workers", str(workers), "--ports", ports, "--processes", ",".join(processes)]
    command += ["--brokers", str(brokers)] if brokers is not None else []
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 (this very module)
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            state = read_state(data_dir)
        except BrokenFileError:
            state = None  # left by a stack before this one, which writes its own in a moment
        if state is not None and state.pid == process.pid and state.ready:
            return state
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            tail = log.read_text(errors="replace").splitlines()[-12:]
            raise StartError("\n  ".join([f"the stack did not start; the end of {log}:", *tail]))
        time.sleep(_POLL_S)


def down(data_dir: Path, timeout_s: float = 40.0) -> bool:
    """Stop the stack that owns the folder and wait until it is gone; False where none runs.

    The supervisor is found by the lock it holds, so no other process can be meant. Raises StartError where it
    does not end in time.
    """
    owner = lock_owner(data_dir)
    if owner is None:
        return False
    if owner:
        os.kill(owner, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while lock_owner(data_dir) is not None:
        if time.monotonic() > deadline:
            raise StartError(f"the supervisor, pid {owner}, did not end within {timeout_s:.0f} s: kill -9 {owner}")
        time.sleep(_POLL_S)
    return True


def main() -> None:
    """The daemon's command line."""
    parser = argparse.ArgumentParser(description="the local stack under its supervisor, until SIGTERM")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--brokers", type=int)
    parser.add_argument("--ports", choices=("preferred", "free"), default="preferred")
    parser.add_argument("--processes", default="", help="comma-separated kinds; empty: all")
    given = parser.parse_args()
    processes = tuple(given.processes.split(",")) if given.processes else ALL
    try:
        stack = Stack(
            given.data_dir, ports=given.ports, workers=given.workers, brokers=given.brokers, processes=processes
        )
        run_foreground(stack, lambda name, phase: print(f"{name}: {phase}", flush=True))  # noqa: T201 (its log)
    except Exception as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
