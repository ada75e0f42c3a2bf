"""The supervisor over dummy processes: order, restart, clean stop, one owner a folder, no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.process import Hook, ProcessSpec
from deploy.local.stack_state import StackBusyError, lock_owner, read_state
from deploy.local.supervisor import StartError, Supervisor

pytestmark = pytest.mark.integration

_IDLE = "import signal; signal.pause()"
_STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\nwhile 1: signal.pause()"
)


def spec(name: str, code: str = _IDLE, **more: object) -> ProcessSpec:
    return ProcessSpec(name, (sys.executable, "-c", code), **more)


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that ended stays a zombie where nobody reaps (a container's first process may not).
    stat = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not stat.stdout.strip().startswith("Z") and bool(stat.stdout.strip())


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path, [spec("one", ports={"http": 7}), spec("two")], {"WEIR_X": "y"})
    supervisor.start()
    yield supervisor
    supervisor.stop()


def test_steps_start_in_order_and_a_probe_holds_the_next_back(tmp_path: Path) -> None:
    seen: list[str] = []
    gate = tmp_path / "gate"
    code = f"import pathlib, signal; pathlib.Path({str(gate)!r}).touch(); signal.pause()"
    hook = Hook("hook", lambda: seen.append(f"hook, gate open: {gate.exists()}"))
    supervisor = Supervisor(tmp_path, [spec("first", code, ready=gate.exists), hook, spec("last")], {})
    supervisor.start(lambda name, phase: seen.append(f"{name} {phase}"))
    supervisor.stop()
    assert seen == [
        *("first starting", "first ready", "hook starting", "hook, gate open: True", "hook ready"),
        *("last starting", "last ready"),
    ]


def test_a_killed_process_is_started_again_and_the_other_left_alone(two: Supervisor) -> None:
    other = two.pid("two")
    killed = two.kill("one")
    two.wait_ready("one", 20, not_pid=killed)
    assert two.pid("one") not in (0, killed)
    assert not alive(killed)
    assert two.pid("two") == other
    assert {name: one.restarts for name, one in two.state().processes.items()} == {"one": 1, "two": 0}


def test_the_last_words_of_one_that_dies_again_and_again_stand_while_it_lives(tmp_path: Path) -> None:
    code = "import sys, time; time.sleep(0.3); print('no room left'); sys.exit(70)"
    supervisor = Supervisor(tmp_path, [spec("dies", code)], {})
    supervisor.start()
    try:
        until(lambda: (one := supervisor.state().processes["dies"]).phase == "ready" and one.note == "no room left")
    finally:
        supervisor.stop()


def test_the_stack_is_not_ready_while_one_of_it_is_not(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    supervisor = Supervisor(tmp_path, [spec("gated", ready=gate.exists), spec("other")], {})
    supervisor.start()
    try:
        assert supervisor.state().ready
        gate.unlink()
        killed = supervisor.kill("gated")
        until(lambda: supervisor.pid("gated") not in (0, killed))
        state = read_state(tmp_path)
        assert state is not None
        assert not state.ready
        gate.touch()
        supervisor.wait_ready("gated", 20, not_pid=killed)
        until(lambda: supervisor.state().ready)
    finally:
        supervisor.stop()


def test_a_gentle_restart_gives_another_process(two: Supervisor) -> None:
    before = two.pid("two")
    two.restart("two")
    two.wait_ready("two", 20, not_pid=before)
    assert not alive(before)


def test_the_state_file_tells_what_runs(two: Supervisor, tmp_path: Path) -> None:
    state = read_state(tmp_path)
    assert state is not None
    assert state.ready
    assert state.pid == os.getpid() == lock_owner(tmp_path)
    assert state.settings == {"WEIR_X": "y"}
    assert state.processes["one"].ports == {"http": 7}
    assert state.processes["one"].pid == two.pid("one")
    assert state.processes["one"].phase == "ready"


def test_stop_ends_all_also_what_ignores_sigterm_and_grandchildren(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "deaf.log"
    grandchild = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {_IDLE!r}]); print(p.pid, flush=True)\n"
    )
    deaf = spec(
        "deaf", grandchild + _STUBBORN, stop_grace_s=0.3, ready=lambda: log.exists() and "deaf" in log.read_text()
    )
    supervisor = Supervisor(tmp_path, [deaf, spec("tame")], {})
    supervisor.start()
    pids = [supervisor.pid("deaf"), supervisor.pid("tame"), int(log.read_text().split()[0])]
    assert all(alive(pid) for pid in pids)
    started = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - started < 5
    until(lambda: not any(alive(pid) for pid in pids))
    assert read_state(tmp_path) is None


def test_a_second_supervisor_is_refused_by_name_of_the_first(two: Supervisor, tmp_path: Path) -> None:
    second = Supervisor(tmp_path, [spec("intruder")], {})
    with pytest.raises(StackBusyError, match=rf"pid {os.getpid()}\): stop it with `weir down`"):
        second.start()
    assert two.state().processes["one"].phase == "ready"


def test_a_process_that_cannot_start_fails_the_start_with_its_last_words(tmp_path: Path) -> None:
    bad = spec("bad", "raise SystemExit('port 80 is not for you')", ready=lambda: False)
    supervisor = Supervisor(tmp_path, [spec("good"), bad], {})
    with pytest.raises(StartError, match=r"bad died 5 times; .*bad\.log:\n(.*\n)*.*port 80 is not for you"):
        supervisor.start()
    assert lock_owner(tmp_path) is None
    assert supervisor.pid("good") == 0
    supervisor.stop()


def test_what_a_hook_raises_ends_the_start(tmp_path: Path) -> None:
    def broken() -> None:
        raise ValueError("no such topic")

    supervisor = Supervisor(tmp_path, [spec("good"), Hook("hook", broken)], {})
    with pytest.raises(ValueError, match="no such topic"):
        supervisor.start()
    assert supervisor.pid("good") == 0
    assert lock_owner(tmp_path) is None


def test_kill_9_of_the_supervisor_ends_its_children(tmp_path: Path) -> None:
    code = f"""
import sys, pathlib, signal
from deploy.local.process import ProcessSpec
from deploy.local.supervisor import Supervisor
s = Supervisor(pathlib.Path({str(tmp_path)!r}), [
    ProcessSpec(n, (sys.executable, "-c", {_STUBBORN!r})) for n in "ab"
], {{}})
s.start()
print(s.pid("a"), s.pid("b"), flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    until(lambda: not any(alive(pid) for pid in pids))
    assert lock_owner(tmp_path) is None


def test_a_process_that_says_it_needs_somebody_is_held_with_its_last_words(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = (
        f"import pathlib, sys, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\nprint('too "
        "much junk')\nsys.exit(65)"
    )
    supervisor = Supervisor(tmp_path, [spec("one", code, held_codes=frozenset({65})), spec("two")], {})
    supervisor.start()
    try:
        gate.touch()
        until(lambda: supervisor.state().processes["one"].phase == "held")
        state = supervisor.state()
        assert (state.processes["one"].note, state.processes["one"].pid, state.ready) == ("too much junk", 0, False)
        assert state.processes["two"].phase == "ready"
        with pytest.raises(StartError, match="needs you"):
            supervisor.wait_ready("one", 5)
        gate.unlink()
        supervisor.restart("one")
        supervisor.wait_ready("one", 20)
        assert (supervisor.state().processes["one"].note, supervisor.state().processes["one"].restarts) == ("", 1)
    finally:
        supervisor.stop()
